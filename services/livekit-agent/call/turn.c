/* turn.c - whose turn it is: the table of states, and one event after the other.
 *
 * What happens in a state stands in turn_listen.c and turn_speak.c; what becomes of a reply in
 * turn_reply.c. None of it knows of words more than their number, or of sound but when it begins
 * and ends.
 */
#include "turn_int.h"

#include <stddef.h>
#include <string.h>

#define TO(s) (1U << (s))

static const struct {
    const char *name;
    unsigned next;
} states[] = {
    [TURN_STARTING] = { "starting", TO(TURN_THINKING) | TO(TURN_LISTENING) | TO(TURN_CLOSING) },
    [TURN_LISTENING] = { "listening", TO(TURN_MAYBE_DONE) | TO(TURN_THINKING) | TO(TURN_CLOSING) },
    [TURN_MAYBE_DONE] = { "maybe_done", TO(TURN_LISTENING) | TO(TURN_THINKING) | TO(TURN_CLOSING) },
    [TURN_THINKING] = { "thinking", TO(TURN_LISTENING) | TO(TURN_SPEAKING) | TO(TURN_INTERRUPTED) |
                                        TO(TURN_CLOSING) },
    [TURN_SPEAKING] = { "speaking", TO(TURN_LISTENING) | TO(TURN_INTERRUPTED) | TO(TURN_THINKING) |
                                        TO(TURN_CLOSING) },
    [TURN_INTERRUPTED] = { "interrupted", TO(TURN_LISTENING) | TO(TURN_SPEAKING) |
                                              TO(TURN_THINKING) | TO(TURN_CLOSING) },
    [TURN_CLOSING] = { "closing", 0 },
};
static_assert(sizeof states / sizeof states[0] == TURN_STATES, "every state has a row");

void turn_act(struct turn_pass *s, enum turn_action a)
{
    assert(s->out->n < TURN_MAX_ACTIONS);
    if (s->out->n < TURN_MAX_ACTIONS)
        s->out->act[s->out->n++] = a;
}

void turn_enter(struct turn_pass *s, enum turn_state next)
{
    bool fine = next == s->t->state || (states[s->t->state].next & TO(next));

    assert(fine);
    if (fine)
        s->t->state = next;
    else if (s->t->refused < UINT8_MAX)
        s->t->refused++;
}

bool turn_talking(const struct turn *t)
{
    return t->voice && !t->deaf;
}

bool turn_due(const struct turn_pass *s, int64_t *timer)
{
    if (!*timer || s->now < *timer)
        return false;
    *timer = 0;
    return true;
}

static void in_starting(struct turn_pass *s)
{
    if (turn_is_words(s->e->kind))
        (void)turn_take_words(s);
    if (s->e->kind != TURN_READY)
        return;
    if (s->e->n < 0) {
        s->t->leaving = true;
        s->t->says = 0;
        turn_say(s, TURN_SORRY);
    } else if (s->e->n > 0) {
        turn_say(s, TURN_GREET);
    } else {
        turn_reply_finished(s); /* of nothing: what waits is said */
    }
}

static void leave(struct turn_pass *s)
{
    struct turn *t = s->t;

    turn_act(s, TURN_CUT);
    turn_act(s, TURN_LEAVE);
    t->left = true;
    t->have = t->authorised = false;
    turn_enter(s, TURN_CLOSING);
    t->barge_us = t->turn_us = t->resume_us = t->watch_us = t->unheard_us = t->wait_us = 0;
}

static void hang_up(struct turn_pass *s)
{
    struct turn *t = s->t;
    bool busy = t->state == TURN_THINKING || t->state == TURN_SPEAKING;

    if (s->e->n == 0 || (s->e->n == 1 && !busy) || t->state == TURN_STARTING) {
        leave(s);
        return;
    }
    t->leaving = true;
    if (s->e->n == 1)
        return;
    turn_act(s, TURN_CUT);
    turn_say(s, TURN_BYE);
}

static void in_closing(struct turn_pass *s)
{
    struct turn *t = s->t;

    if (t->left || !((s->e->kind == TURN_WAKE && turn_due(s, &t->resume_us)) ||
                     s->e->kind == TURN_GONE || s->e->kind == TURN_HANG_UP))
        return;
    t->left = true;
    t->resume_us = 0;
    turn_act(s, TURN_LEAVE);
}

static void note_voice(struct turn_pass *s)
{
    struct turn *t = s->t;

    if (s->e->kind == TURN_VOICE_START) {
        t->voice = true;
        t->voice_at_us = s->at;
    } else if (s->e->kind == TURN_VOICE_STOP) {
        t->voice = t->deaf = false;
        t->silent_at_us = s->at;
    }
}

void turn_init(struct turn *t)
{
    memset(t, 0, sizeof *t);
}

static bool stale(const struct turn *t, const struct turn_event *e)
{
    bool about_reply = e->kind == TURN_REPLY_DONE || e->kind == TURN_REPLY_FAILED ||
                       e->kind == TURN_SOUNDING || e->kind == TURN_SPOKEN ||
                       e->kind == TURN_WORKING || e->kind == TURN_WAITED;

    return about_reply && e->reply != t->reply;
}

void turn_step(struct turn *t, const struct turn_opts *o, const struct turn_event *e,
               struct turn_out *out)
{
    static void (*const in[TURN_STATES])(struct turn_pass *) = {
        [TURN_STARTING] = in_starting,         [TURN_LISTENING] = turn_in_listening,
        [TURN_MAYBE_DONE] = turn_in_listening, [TURN_THINKING] = turn_in_thinking,
        [TURN_SPEAKING] = turn_in_speaking,    [TURN_INTERRUPTED] = turn_in_interrupted,
        [TURN_CLOSING] = in_closing,
    };
    struct turn_pass s = { t, o, e, out, e->now_us, e->at_us ? e->at_us : e->now_us };

    out->n = 0;
    if (stale(t, e))
        return;
    note_voice(&s);
    if (t->state == TURN_CLOSING)
        in_closing(&s);
    else if (e->kind == TURN_GONE)
        leave(&s);
    else if (e->kind == TURN_HANG_UP)
        hang_up(&s);
    else if (e->kind == TURN_SAY)
        turn_say_text(&s, e->n == 0);
    else if (e->kind == TURN_WORKING && t->have)
        turn_working(&s);
    else if (e->kind == TURN_WAITED)
        turn_waited(&s);
    else if (e->kind == TURN_PATIENCE)
        t->patience_ms = e->n;
    else
        in[t->state](&s);
    turn_idle_watch(&s);
}

int64_t turn_wake_us(const struct turn *t)
{
    const int64_t all[] = { t->barge_us,   t->turn_us, t->resume_us, t->watch_us,
                            t->unheard_us, t->idle_us, t->wait_us };
    int64_t first = 0;

    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (all[i] && (!first || all[i] < first))
            first = all[i];
    return first;
}

const char *turn_state_name(enum turn_state s)
{
    return (unsigned)s < TURN_STATES ? states[s].name : "?";
}
