/* call_turn.c - events into the turn machine one at a time, its actions out.
 *
 * An action may cause the next event while it is carried out (a reply that fails at once): events
 * queue up, and are taken in order.
 */
#include "call_int.h"

#include <string.h>

static void enact(struct call *c, enum turn_action a)
{
    switch (a) {
    case TURN_GREET:
        call_greet(c);
        break;
    case TURN_THINK:
        call_think(c);
        break;
    case TURN_COMMIT:
        call_commit(c);
        break;
    case TURN_PLAY:
        player_resume(c->player);
        break;
    case TURN_PAUSE:
        player_pause(c->player);
        break;
    case TURN_CUT:
        call_reply_over(c, true);
        break;
    case TURN_FORGET:
        call_forget(c);
        break;
    case TURN_FLUSH:
        if (c->stt)
            stt_finalize(c->stt);
        break;
    case TURN_SORRY:
        call_sorry(c);
        break;
    case TURN_BYE:
        call_say(c, c->bye);
        break;
    case TURN_HELLO:
        call_say(c, OWN_HELLO);
        break;
    case TURN_ANNOUNCE:
        call_announcement(c);
        break;
    case TURN_IDLE:
        call_idle(c);
        break;
    case TURN_LEAVE:
        call_leave(c);
        break;
    case TURN_WAIT:
        call_wait(c);
        break;
    case TURN_ACTIONS:
        break;
    }
}

/* "lk.agent.state", for front ends that show it. */
static void show_state(struct call *c)
{
    static const char *const shown[TURN_STATES] = {
        [TURN_STARTING] = "initializing",
        [TURN_LISTENING] = "listening",
        [TURN_MAYBE_DONE] = "listening",
        [TURN_THINKING] = "thinking",
        [TURN_SPEAKING] = "speaking",
        [TURN_INTERRUPTED] = "speaking",
        [TURN_CLOSING] = NULL,
    };
    const char *now = shown[c->turn.state];

    if (!now || now == c->agent_state || !c->room)
        return;
    c->agent_state = now;
    (void)rtc_room_set_attribute(c->room, "lk.agent.state", now);
}

/* Speech is coming: silence at full rate lets the other end's buffer settle before it. */
static void show_intent(struct call *c)
{
    bool listening = c->turn.state == TURN_LISTENING && !c->turn.have;

    player_lead(c->player, !listening);
}

static void step(struct call *c, struct turn_event *e)
{
    struct turn_out out;
    int64_t wake;

    e->now_us = pat_now_us();
    turn_step(&c->turn, &c->turn_opts, e, &out);
    turn_log_add(c->log, e, &c->turn, &out);
    if (c->turn.refused) {
        pat_log(PAT_ERROR, "turn.impossible", PAT_S("call", c->id),
                PAT_S("what", turn_event_name(e->kind)),
                PAT_S("state", turn_state_name(c->turn.state)));
        c->turn.refused = 0;
    }
    for (int i = 0; i < out.n && !c->ending; i++)
        enact(c, (enum turn_action)out.act[i]);
    if (c->ending)
        return;
    call_touch(c);
    if (c->reply && !c->turn.have)
        call_reply_over(c, false);
    show_intent(c);
    show_state(c);
    wake = turn_wake_us(&c->turn);
    if (wake)
        pat_timer_start_at(&c->wake, wake);
    else
        pat_timer_stop(&c->wake);
}

void call_turn(struct call *c, struct turn_event e)
{
    if (c->ending || c->queued - c->handled == CALL_QUEUE)
        return;
    c->queue[c->queued++ % CALL_QUEUE] = e;
    if (c->stepping)
        return;
    c->stepping = true;
    while (c->handled < c->queued && !c->ending) {
        struct turn_event next = c->queue[c->handled++ % CALL_QUEUE];
        step(c, &next);
    }
    c->stepping = false;
}

void call_turn_kind(struct call *c, enum turn_event_kind kind, int32_t n)
{
    call_turn(c, (struct turn_event){ .kind = kind, .n = n, .reply = c->reply_no });
}
