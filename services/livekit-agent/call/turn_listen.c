/* turn_listen.c - while the caller may speak: their words, their pauses, the end of their turn.
 *
 * listening and maybe-done differ in what is waited for only, so one function serves both.
 */
#include "turn_int.h"

enum { HURRY_MS = 1000 };

int32_t turn_words(const struct turn *t)
{
    return t->words + t->partial_words + t->soft + t->partial_soft;
}

int32_t turn_hard_words(const struct turn *t)
{
    return t->words + t->partial_words;
}

void turn_forget(struct turn *t)
{
    t->words = t->partial_words = t->soft = t->partial_soft = t->answered_words = 0;
    t->thoughts = 0;
    t->ended = t->eager = t->typed = t->open = t->asked = t->flushed = false;
    t->turn_us = 0;
}

bool turn_is_words(enum turn_event_kind k)
{
    return k == TURN_PARTIAL || k == TURN_FINAL || k == TURN_UTTERANCE_END || k == TURN_EAGER ||
           k == TURN_TYPED;
}

static void count(struct turn *t, const struct turn_event *e)
{
    switch (e->kind) {
    case TURN_PARTIAL:
    case TURN_EAGER:
        t->partial_words = e->n;
        t->partial_soft = e->soft;
        break;
    case TURN_FINAL:
        t->partial_words = t->partial_soft = 0;
        t->words += e->n;
        t->soft += e->soft;
        break;
    case TURN_TYPED:
        t->words += e->n;
        t->typed = true;
        break;
    default:
        break;
    }
}

bool turn_take_words(struct turn_pass *s)
{
    struct turn *t = s->t;
    const struct turn_event *e = s->e;

    count(t, e);
    if (e->n + e->soft > 0) {
        t->unheard_us = 0;
        t->unheard = 0;
        t->word_at_us = s->now;
        t->ended = false;
        t->open = e->open;
        t->asked = e->asked;
        t->flushed = false;
    }
    if (e->kind == TURN_EAGER)
        t->eager = turn_words(t) > 0;
    if (e->kind == TURN_UTTERANCE_END || e->kind == TURN_TYPED ||
        (e->kind == TURN_FINAL && e->end)) {
        t->ended = turn_words(t) > 0;
        if (e->kind == TURN_TYPED)
            t->open = t->asked = false;
    }
    return e->n > 0;
}

/* The caller's turn is over: the reply may be heard as soon as there is any. */
static void commit(struct turn_pass *s)
{
    struct turn *t = s->t;
    int64_t from_us = turn_wait_from(s);

    if (!t->have)
        turn_reply_begin(s, TURN_THINK);
    turn_act(s, TURN_COMMIT);
    turn_forget(t);
    turn_enter(s, TURN_THINKING);
    turn_reply_play(s);
    t->watch_us = s->now + (int64_t)s->o->think_ms * MS;
    turn_wait_begin(s, from_us);
}

/* Makes the reply before it is certain that there will be one. */
static void think_ahead(struct turn_pass *s)
{
    struct turn *t = s->t;

    if (t->have || t->patience_ms || t->thoughts >= s->o->speculate_max)
        return;
    turn_reply_begin(s, TURN_THINK);
    t->answered_words = turn_words(t);
    t->thoughts++;
}

/* Silence that ends a turn which the recogniser calls over. */
static int32_t pause_ms(const struct turn_pass *s)
{
    if (s->t->open)
        return s->o->max_delay_ms;
    return s->t->asked && s->o->asked_delay_ms ? s->o->asked_delay_ms : s->o->min_delay_ms;
}

/* When the turn is over if nothing further happens. */
static int64_t turn_end(const struct turn_pass *s)
{
    const struct turn *t = s->t;
    int64_t silent_us = t->silent_at_us;
    int32_t wait_ms = pause_ms(s);

    if (t->typed && t->ended)
        return s->now;
    /* Words without voice: speech too faint for the detector. */
    if (!silent_us || (!t->ended && silent_us < t->word_at_us))
        silent_us = t->word_at_us;
    if (!t->ended)
        wait_ms = s->o->end_wait_ms + (t->flushed ? HURRY_MS : 0);
    if (t->patience_ms)
        wait_ms = t->patience_ms;
    return silent_us + (int64_t)wait_ms * MS;
}

void turn_consider(struct turn_pass *s)
{
    struct turn *t = s->t;
    int64_t due;

    t->turn_us = 0;
    if (turn_words(t) == 0) {
        turn_enter(s, TURN_LISTENING);
        return;
    }
    if (turn_talking(t)) {
        if (t->eager && !t->ended)
            think_ahead(s);
        turn_enter(s, t->eager ? TURN_MAYBE_DONE : TURN_LISTENING);
        /* The recogniser heard the end, yet there is voice without words: noise, after a while. */
        if (t->ended)
            t->turn_us = s->now + (int64_t)s->o->max_delay_ms * MS;
        return;
    }
    due = turn_end(s);
    if (s->now < due) {
        if (t->ended || t->eager)
            think_ahead(s);
        turn_enter(s, t->ended || t->eager ? TURN_MAYBE_DONE : TURN_LISTENING);
        t->turn_us = due;
        return;
    }
    if (!t->ended && t->partial_words + t->partial_soft && !t->flushed) {
        t->flushed = true;
        turn_act(s, TURN_FLUSH);
        t->turn_us = s->now + HURRY_MS * MS;
        return;
    }
    commit(s);
}

/* They spoke, and the recogniser says nothing: it may be deaf or away. Silence would be the worst
 * answer. */
static void expect_words(struct turn_pass *s)
{
    struct turn *t = s->t;

    if (turn_words(t) || t->unheard == s->o->unheard_max || t->unheard_us ||
        s->at - t->voice_at_us < (int64_t)s->o->unheard_voice_ms * MS)
        return;
    t->unheard_us = s->at + (int64_t)s->o->unheard_ms * MS;
}

static void ask_again(struct turn_pass *s)
{
    struct turn *t = s->t;

    if (turn_words(t) || t->have)
        return;
    if (turn_talking(t)) {
        t->unheard_us = s->now + HURRY_MS * MS;
        return;
    }
    t->unheard++;
    turn_say(s, TURN_SORRY);
}

static void resumed(struct turn_pass *s)
{
    s->t->eager = false;
    if (s->t->have)
        turn_reply_cut(s);
    turn_consider(s);
}

void turn_in_listening(struct turn_pass *s)
{
    struct turn *t = s->t;

    switch (s->e->kind) {
    case TURN_PARTIAL:
    case TURN_FINAL:
    case TURN_UTTERANCE_END:
    case TURN_EAGER:
    case TURN_TYPED:
        (void)turn_take_words(s);
        if (t->have && (turn_words(t) > t->answered_words || s->e->changed))
            turn_reply_cut(s); /* a reply to half of what was said, or to something else */
        turn_consider(s);
        break;
    case TURN_RESUMED:
        resumed(s);
        break;
    case TURN_WAKE:
        if (turn_due(s, &t->turn_us)) {
            t->deaf = t->voice;
            turn_consider(s);
        }
        if (turn_due(s, &t->unheard_us))
            ask_again(s);
        if (turn_due(s, &t->idle_us))
            turn_idle_ask(s);
        break;
    case TURN_VOICE_STOP:
        expect_words(s);
        turn_consider(s);
        break;
    case TURN_VOICE_START:
        turn_consider(s);
        break;
    case TURN_REPLY_FAILED:
    case TURN_REPLY_DONE:
        t->making = false;
        if (t->have && (s->e->kind == TURN_REPLY_FAILED || s->e->n == 0))
            turn_reply_cut(s); /* thought ahead in vain: think again when it is needed */
        break;
    default:
        break;
    }
}
