/* call_machine.c - the other end is an answering machine: told, and hung up on, or left a message.
 *
 * A message is spoken when the machine's tone has come, or its greeting has ended without one.
 */
#include "call_int.h"

#include <string.h>

static bool wants(const struct call *c, const char *what)
{
    return c->env->conf->machine && strcmp(c->env->conf->machine, what) == 0;
}

static bool leaves_message(const struct call *c)
{
    return wants(c, "message") && c->env->conf->machine_message && *c->env->conf->machine_message;
}

static void on_left_message(bool whole, void *arg)
{
    struct call *c = arg;

    (void)whole;
    call_turn_kind(c, TURN_HANG_UP, 1);
}

static void leave_message(struct call *c)
{
    if (c->machine_told)
        return;
    c->machine_told = true;
    if (call_announce(c, c->env->conf->machine_message, CALL_SAY_NOW | CALL_SAY_FIRM,
                      on_left_message, c))
        call_turn_kind(c, TURN_HANG_UP, 0);
}

static void tell(struct call *c, const char *action)
{
    const struct machine *m = &c->machine;
    struct pat_json *data = pat_json_obj();

    pat_json_set_str(data, "action", action);
    pat_json_set_bool(data, "beep", m->beep);
    pat_json_set_int(data, "phrases", m->phrases);
    pat_json_set_int(data, "speech_ms", m->longest_ms);
    report_event(c, "call", "machine", data);
    pat_log(PAT_INFO, "call.machine", PAT_S("call", c->id), PAT_S("action", action),
            PAT_B("beep", m->beep), PAT_I("phrases", m->phrases));
}

static void found(struct call *c)
{
    tell(c, leaves_message(c) ? "message" : wants(c, "hang_up") ? "hang_up" : "none");
    if (leaves_message(c)) {
        if (c->machine.beep || !c->machine.voice)
            leave_message(c);
        return;
    }
    if (!wants(c, "hang_up"))
        return;
    pat_strcpy(c->reason, sizeof c->reason, "machine");
    call_turn_kind(c, TURN_HANG_UP, 0);
}

static int64_t now_of(const struct call *c)
{
    return pat_loop_now_ms(c->env->loop);
}

void call_machine_start(struct call *c)
{
    machine_init(&c->machine, now_of(c));
    beep_init(&c->beep);
}

void call_machine_voice(struct call *c, bool on)
{
    bool waiting = c->machine.decided && leaves_message(c);

    if (machine_voice(&c->machine, on, now_of(c)))
        found(c);
    else if (waiting && !on) /* its greeting is over, and there was no tone */
        leave_message(c);
}

void call_machine_words(struct call *c, const char *text)
{
    if (machine_words(&c->machine, text, now_of(c)))
        found(c);
}

void call_machine_sound(const int16_t *samples, int n, void *call)
{
    struct call *c = call;
    bool waiting = c->machine.decided && leaves_message(c) && !c->machine_told;

    if (c->ending || (!waiting && !machine_listens(&c->machine, now_of(c))))
        return;
    for (int at = 0; at + BEEP_BLOCK <= n; at += BEEP_BLOCK) {
        if (!beep_feed(&c->beep, samples + at))
            continue;
        if (waiting)
            leave_message(c);
        else if (machine_beep(&c->machine, now_of(c)))
            found(c);
    }
}
