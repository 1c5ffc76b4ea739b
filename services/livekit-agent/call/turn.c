/* turn.c - whose turn it is, state by state.
 *
 * One function per state; what several states share stands above them. It knows nothing of words
 * but their number, and nothing of sound but when it begins and ends.
 */
#include "turn.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

enum { MS = 1000, LINGER_MS = 500, HURRY_MS = 1000 };

#define TO(s) (1U << (s))

static const struct {
    const char *name;
    unsigned next;
} states[] = {
    [TURN_STARTING] = { "starting", TO(TURN_THINKING) | TO(TURN_LISTENING) | TO(TURN_CLOSING) },
    [TURN_LISTENING] = { "listening", TO(TURN_MAYBE_DONE) | TO(TURN_THINKING) | TO(TURN_CLOSING) },
    [TURN_MAYBE_DONE] = { "maybe_done", TO(TURN_LISTENING) | TO(TURN_THINKING) | TO(TURN_CLOSING) },
    [TURN_THINKING] = { "thinking", TO(TURN_LISTENING) | TO(TURN_SPEAKING) | TO(TURN_CLOSING) },
    [TURN_SPEAKING] = { "speaking", TO(TURN_LISTENING) | TO(TURN_INTERRUPTED) | TO(TURN_THINKING) |
                                        TO(TURN_CLOSING) },
    [TURN_INTERRUPTED] = { "interrupted", TO(TURN_LISTENING) | TO(TURN_SPEAKING) |
                                              TO(TURN_THINKING) | TO(TURN_CLOSING) },
    [TURN_CLOSING] = { "closing", 0 },
};
static_assert(sizeof states / sizeof states[0] == TURN_STATES, "every state has a row");

struct step {
    struct turn *t;
    const struct turn_opts *o;
    const struct turn_event *e;
    struct turn_out *out;
    int64_t now, at;
};

static void act(struct step *s, enum turn_action a)
{
    assert(s->out->n < TURN_MAX_ACTIONS);
    if (s->out->n < TURN_MAX_ACTIONS)
        s->out->act[s->out->n++] = a;
}

static void enter(struct step *s, enum turn_state next)
{
    assert(next == s->t->state || (states[s->t->state].next & TO(next)));
    s->t->state = next;
}

static bool talking(const struct turn *t)
{
    return t->voice && !t->deaf;
}

static int32_t heard_words(const struct turn *t)
{
    return t->words + t->partial_words;
}

static void forget_words(struct turn *t)
{
    t->words = t->partial_words = t->answered_words = 0;
    t->ended = t->open = t->flushed = false;
    t->turn_us = 0;
}

static void reply_over(struct turn *t)
{
    t->have = t->making = t->authorised = t->dry = t->greeting = t->apology = false;
    t->answered_words = 0;
    t->barge_us = t->resume_us = t->watch_us = t->unheard_us = 0;
}

static void reply_begin(struct step *s, enum turn_action how)
{
    struct turn *t = s->t;

    reply_over(t);
    t->reply++;
    t->have = t->making = true;
    t->greeting = how == TURN_GREET;
    t->apology = how == TURN_SORRY || how == TURN_BYE;
    act(s, how);
}

static void reply_play(struct step *s)
{
    s->t->authorised = true;
    s->t->resume_us = 0;
    act(s, TURN_PLAY);
}

static void cut(struct step *s)
{
    act(s, TURN_CUT);
    reply_over(s->t);
}

static void say_now(struct step *s, enum turn_action how)
{
    enter(s, TURN_THINKING);
    reply_begin(s, how);
    reply_play(s);
    s->t->watch_us = s->now + (int64_t)s->o->voice_ms * MS;
}

/* The caller's turn is over: the reply may be heard as soon as there is any. */
static void commit(struct step *s)
{
    struct turn *t = s->t;

    if (!t->have)
        reply_begin(s, TURN_THINK);
    act(s, TURN_COMMIT);
    forget_words(t);
    enter(s, TURN_THINKING);
    reply_play(s);
    t->watch_us = s->now + (int64_t)s->o->think_ms * MS;
}

/* Listening: has the caller finished? Sets when to ask again. */
static void consider(struct step *s)
{
    struct turn *t = s->t;
    int64_t silent_us = t->silent_at_us;
    int64_t due;

    /* Words without voice: speech too faint for the detector. */
    if (!silent_us || (!t->ended && silent_us < t->word_at_us))
        silent_us = t->word_at_us;

    t->turn_us = 0;
    if (heard_words(t) == 0) {
        enter(s, TURN_LISTENING);
        return;
    }
    if (talking(t)) {
        enter(s, TURN_LISTENING);
        /* The recogniser heard the end, yet there is voice without words: noise, after a while. */
        if (t->ended)
            t->turn_us = s->now + (int64_t)s->o->max_delay_ms * MS;
        return;
    }
    due =
        silent_us + (int64_t)(t->ended && !t->open ? s->o->min_delay_ms : s->o->max_delay_ms) * MS;
    if (!t->ended && t->flushed)
        due = silent_us + (int64_t)(s->o->max_delay_ms + HURRY_MS) * MS;
    if (s->now < due) {
        if (t->ended && s->o->speculate && !t->have) {
            reply_begin(s, TURN_THINK);
            t->answered_words = heard_words(t);
        }
        enter(s, t->ended ? TURN_MAYBE_DONE : TURN_LISTENING);
        t->turn_us = due;
        return;
    }
    if (!t->ended && t->partial_words && !t->flushed) {
        t->flushed = true;
        act(s, TURN_FLUSH);
        t->turn_us = s->now + HURRY_MS * MS;
        return;
    }
    commit(s);
}

/* Back to listening, or away when that was planned. */
static void reply_finished(struct step *s)
{
    struct turn *t = s->t;
    bool greeted = t->greeting;

    reply_over(t);
    if (t->leaving) {
        enter(s, TURN_CLOSING);
        t->resume_us = s->now + LINGER_MS * MS;
        return;
    }
    enter(s, TURN_LISTENING);
    if (heard_words(t) && heard_words(t) < (greeted ? s->o->guard_words : s->o->barge_in_words)) {
        act(s, TURN_FORGET);
        forget_words(t);
    }
    consider(s);
}

static void reply_failed(struct step *s)
{
    if (s->t->apology) {
        cut(s);
        reply_finished(s);
        return;
    }
    act(s, TURN_CUT);
    say_now(s, TURN_SORRY);
}

/* Words of any event into the counters. True: something new was said. */
static bool take_words(struct step *s)
{
    struct turn *t = s->t;
    const struct turn_event *e = s->e;

    switch (e->kind) {
    case TURN_PARTIAL:
        t->partial_words = e->n;
        break;
    case TURN_FINAL:
        t->partial_words = 0;
        t->words += e->n;
        break;
    case TURN_TYPED:
        t->words += e->n;
        t->silent_at_us = 1;
        break;
    default:
        break;
    }
    if (e->n > 0) {
        t->unheard_us = 0;
        t->unheard = 0;
        t->word_at_us = s->now;
        t->ended = false;
        t->open = e->open;
        t->flushed = false;
    }
    if (e->kind == TURN_UTTERANCE_END || e->kind == TURN_TYPED ||
        (e->kind == TURN_FINAL && e->end)) {
        t->ended = heard_words(t) > 0;
        if (e->kind == TURN_TYPED)
            t->open = false;
    }
    return e->n > 0;
}

static bool is_words(enum turn_event_kind k)
{
    return k == TURN_PARTIAL || k == TURN_FINAL || k == TURN_UTTERANCE_END || k == TURN_TYPED;
}

static bool due(const struct step *s, int64_t *timer)
{
    if (!*timer || s->now < *timer)
        return false;
    *timer = 0;
    return true;
}

static void in_starting(struct step *s)
{
    if (is_words(s->e->kind))
        (void)take_words(s);
    if (s->e->kind != TURN_READY)
        return;
    if (s->e->n < 0) {
        s->t->leaving = true;
        say_now(s, TURN_SORRY);
    } else if (s->e->n > 0) {
        say_now(s, TURN_GREET);
    } else {
        enter(s, TURN_LISTENING);
        consider(s);
    }
}

/* They spoke, and the recogniser says nothing: it may be deaf or away. Silence would be the worst
 * answer. */
static void expect_words(struct step *s)
{
    struct turn *t = s->t;

    if (heard_words(t) || t->unheard == s->o->unheard_max || t->unheard_us ||
        s->at - t->voice_at_us < (int64_t)s->o->unheard_voice_ms * MS)
        return;
    t->unheard_us = s->at + (int64_t)s->o->unheard_ms * MS;
}

static void ask_again(struct step *s)
{
    struct turn *t = s->t;

    if (heard_words(t) || t->have)
        return;
    if (talking(t)) {
        t->unheard_us = s->now + HURRY_MS * MS;
        return;
    }
    t->unheard++;
    say_now(s, TURN_SORRY);
}

/* listening and maybe-done: they differ in what is waited for only. */
static void in_listening(struct step *s)
{
    struct turn *t = s->t;

    switch (s->e->kind) {
    case TURN_PARTIAL:
    case TURN_FINAL:
    case TURN_UTTERANCE_END:
    case TURN_TYPED:
        (void)take_words(s);
        if (t->have && heard_words(t) > t->answered_words)
            cut(s); /* a reply to half of what was said */
        consider(s);
        break;
    case TURN_WAKE:
        if (due(s, &t->turn_us)) {
            t->deaf = t->voice;
            consider(s);
        }
        if (due(s, &t->unheard_us))
            ask_again(s);
        break;
    case TURN_VOICE_STOP:
        expect_words(s);
        consider(s);
        break;
    case TURN_VOICE_START:
        consider(s);
        break;
    case TURN_REPLY_FAILED:
    case TURN_REPLY_DONE:
        t->making = false;
        if (t->have && (s->e->kind == TURN_REPLY_FAILED || s->e->n == 0))
            cut(s); /* thought ahead in vain: think again when it is needed */
        break;
    default:
        break;
    }
}

/* The caller makes a sound while we have not spoken yet: hold it until we know what it was. */
static void hold_reply(struct step *s)
{
    struct turn *t = s->t;

    if (s->e->kind == TURN_VOICE_START) {
        if (t->authorised) {
            t->authorised = false;
            act(s, TURN_PAUSE);
        }
        t->resume_us = s->now + (int64_t)s->o->noise_ms * MS;
    } else if (!t->authorised) {
        bool blip = s->at - t->voice_at_us < (int64_t)s->o->barge_in_ms * MS;
        t->resume_us = s->now + (blip ? 0 : (int64_t)s->o->false_ms * MS / 2);
        if (blip)
            reply_play(s);
    }
}

static void in_thinking(struct step *s)
{
    struct turn *t = s->t;

    switch (s->e->kind) {
    case TURN_PARTIAL:
    case TURN_FINAL:
    case TURN_TYPED:
    case TURN_UTTERANCE_END:
        if (take_words(s) && !t->leaving && !t->greeting) {
            cut(s);
            enter(s, TURN_LISTENING);
            consider(s);
        }
        break;
    case TURN_VOICE_START:
    case TURN_VOICE_STOP:
        if (!t->greeting && !t->apology)
            hold_reply(s);
        break;
    case TURN_SOUNDING:
        enter(s, TURN_SPEAKING);
        t->sound_at_us = s->now;
        t->watch_us = 0;
        t->dry = false;
        break;
    case TURN_REPLY_DONE:
        t->making = false;
        if (s->e->n == 0)
            reply_finished(s);
        break;
    case TURN_REPLY_FAILED:
        reply_failed(s);
        break;
    case TURN_WAKE:
        if (due(s, &t->resume_us)) {
            t->deaf = t->voice;
            reply_play(s);
        }
        if (due(s, &t->watch_us))
            reply_failed(s);
        break;
    default:
        break;
    }
}

static bool guarded(const struct step *s)
{
    return s->t->greeting && s->now < s->t->sound_at_us + (int64_t)s->o->guard_ms * MS;
}

/* Words over our own voice. Enough of them take the turn. */
static void words_over(struct step *s)
{
    struct turn *t = s->t;
    int32_t need = guarded(s) ? s->o->guard_words : s->o->barge_in_words;

    (void)take_words(s);
    if (t->leaving || (heard_words(t) < need && s->e->kind != TURN_TYPED))
        return;
    if (s->e->n <= 0 && t->state == TURN_SPEAKING)
        return; /* nothing new: what was said under the guard stays for later */
    cut(s);
    enter(s, TURN_LISTENING);
    consider(s);
}

static void interrupt(struct step *s)
{
    struct turn *t = s->t;

    t->barge_us = 0;
    t->authorised = false;
    act(s, TURN_PAUSE);
    enter(s, TURN_INTERRUPTED);
    t->watch_us = 0;
    t->resume_us = s->now + (int64_t)s->o->noise_ms * MS;
}

static void voice_over(struct step *s)
{
    struct turn *t = s->t;
    int64_t guard_end = t->sound_at_us + (int64_t)s->o->guard_ms * MS;

    if (t->leaving)
        return;
    t->barge_us = s->at + (int64_t)s->o->barge_in_ms * MS;
    if (t->greeting && t->barge_us < guard_end)
        t->barge_us = guard_end;
    if (s->now >= t->barge_us)
        interrupt(s);
}

static void in_speaking(struct step *s)
{
    struct turn *t = s->t;

    switch (s->e->kind) {
    case TURN_PARTIAL:
    case TURN_FINAL:
    case TURN_TYPED:
    case TURN_UTTERANCE_END:
        words_over(s);
        break;
    case TURN_VOICE_START:
        voice_over(s);
        break;
    case TURN_VOICE_STOP:
        t->barge_us = 0;
        break;
    case TURN_SOUNDING:
        t->dry = false;
        t->watch_us = 0;
        break;
    case TURN_SPOKEN:
        t->dry = true;
        t->watch_us = s->now + (int64_t)s->o->stall_ms * MS;
        if (!t->making)
            reply_finished(s);
        break;
    case TURN_REPLY_DONE:
    case TURN_REPLY_FAILED: /* its beginning was heard: that has to do */
        t->making = false;
        if (t->dry)
            reply_finished(s);
        break;
    case TURN_WAKE:
        if (due(s, &t->barge_us) && talking(t)) {
            interrupt(s);
        } else if (due(s, &t->watch_us)) {
            act(s, TURN_CUT);
            reply_finished(s);
        }
        break;
    default:
        break;
    }
}

static void in_interrupted(struct step *s)
{
    struct turn *t = s->t;

    switch (s->e->kind) {
    case TURN_PARTIAL:
    case TURN_FINAL:
    case TURN_TYPED:
    case TURN_UTTERANCE_END:
        words_over(s);
        break;
    case TURN_VOICE_START:
        t->resume_us = s->now + (int64_t)s->o->noise_ms * MS;
        break;
    case TURN_VOICE_STOP:
        t->resume_us = s->now + (int64_t)s->o->false_ms * MS;
        break;
    case TURN_SPOKEN: /* the last packet was on its way when we paused */
        t->dry = true;
        break;
    case TURN_REPLY_DONE:
    case TURN_REPLY_FAILED:
        t->making = false;
        break;
    case TURN_WAKE:
        if (!due(s, &t->resume_us))
            break;
        t->deaf = t->voice;
        enter(s, TURN_SPEAKING);
        reply_play(s);
        if (t->dry) {
            t->watch_us = s->now + (int64_t)s->o->stall_ms * MS;
            if (!t->making)
                reply_finished(s);
        }
        break;
    default:
        break;
    }
}

static void hang_up(struct step *s)
{
    struct turn *t = s->t;
    bool busy = t->state == TURN_THINKING || t->state == TURN_SPEAKING;

    if (s->e->n == 0 || (s->e->n == 1 && !busy) || t->state == TURN_STARTING) {
        act(s, TURN_CUT);
        act(s, TURN_LEAVE);
        enter(s, TURN_CLOSING);
        return;
    }
    t->leaving = true;
    if (s->e->n == 1)
        return;
    act(s, TURN_CUT);
    say_now(s, TURN_BYE);
}

static void in_closing(struct step *s)
{
    if (s->e->kind == TURN_WAKE && due(s, &s->t->resume_us))
        act(s, TURN_LEAVE);
}

static void note_voice(struct step *s)
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
                       e->kind == TURN_SOUNDING || e->kind == TURN_SPOKEN;

    return about_reply && e->reply != t->reply;
}

void turn_step(struct turn *t, const struct turn_opts *o, const struct turn_event *e,
               struct turn_out *out)
{
    static void (*const in[TURN_STATES])(struct step *) = {
        [TURN_STARTING] = in_starting,    [TURN_LISTENING] = in_listening,
        [TURN_MAYBE_DONE] = in_listening, [TURN_THINKING] = in_thinking,
        [TURN_SPEAKING] = in_speaking,    [TURN_INTERRUPTED] = in_interrupted,
        [TURN_CLOSING] = in_closing,
    };
    struct step s = { t, o, e, out, e->now_us, e->at_us ? e->at_us : e->now_us };

    out->n = 0;
    if (stale(t, e))
        return;
    note_voice(&s);
    if (e->kind == TURN_GONE && t->state != TURN_CLOSING) {
        act(&s, TURN_CUT);
        act(&s, TURN_LEAVE);
        enter(&s, TURN_CLOSING);
        t->barge_us = t->turn_us = t->resume_us = t->watch_us = t->unheard_us = 0;
        return;
    }
    if (e->kind == TURN_HANG_UP && t->state != TURN_CLOSING) {
        hang_up(&s);
        return;
    }
    in[t->state](&s);
}

int64_t turn_wake_us(const struct turn *t)
{
    const int64_t all[] = { t->barge_us, t->turn_us, t->resume_us, t->watch_us, t->unheard_us };
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
