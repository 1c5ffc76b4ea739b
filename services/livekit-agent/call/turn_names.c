/* turn_names.c - what events and actions are called in logs. */
#include "turn.h"

#include <string.h>

static const char *const event_names[TURN_EVENTS] = {
    [TURN_READY] = "ready",
    [TURN_VOICE_START] = "voice_start",
    [TURN_VOICE_STOP] = "voice_stop",
    [TURN_PARTIAL] = "partial",
    [TURN_FINAL] = "final",
    [TURN_UTTERANCE_END] = "utterance_end",
    [TURN_EAGER] = "eager",
    [TURN_RESUMED] = "resumed",
    [TURN_TYPED] = "typed",
    [TURN_REPLY_DONE] = "reply_done",
    [TURN_REPLY_FAILED] = "reply_failed",
    [TURN_SOUNDING] = "sounding",
    [TURN_SPOKEN] = "spoken",
    [TURN_WAKE] = "wake",
    [TURN_SAY] = "say",
    [TURN_HANG_UP] = "hang_up",
    [TURN_GONE] = "gone",
    [TURN_WORKING] = "working",
    [TURN_PATIENCE] = "patience",
    [TURN_WAITED] = "waited",
};

static const char *const action_names[TURN_ACTIONS] = {
    "",
    [TURN_GREET] = "greet",
    [TURN_THINK] = "think",
    [TURN_COMMIT] = "commit",
    [TURN_PLAY] = "play",
    [TURN_PAUSE] = "pause",
    [TURN_CUT] = "cut",
    [TURN_FORGET] = "forget",
    [TURN_FLUSH] = "flush",
    [TURN_SORRY] = "sorry",
    [TURN_BYE] = "bye",
    [TURN_HELLO] = "hello",
    [TURN_ANNOUNCE] = "announce",
    [TURN_IDLE] = "idle",
    [TURN_LEAVE] = "leave",
    [TURN_WAIT] = "wait",
};

const char *turn_event_name(enum turn_event_kind k)
{
    return (unsigned)k < TURN_EVENTS ? event_names[k] : "?";
}

const char *turn_action_name(enum turn_action a)
{
    return (unsigned)a < TURN_ACTIONS ? action_names[a] : "?";
}

int turn_event_by_name(const char *name)
{
    for (int i = 0; i < TURN_EVENTS; i++)
        if (strcmp(event_names[i], name) == 0)
            return i;
    return -1;
}
