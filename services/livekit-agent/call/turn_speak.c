/* turn_speak.c - while a reply is on its way, heard, or held because the caller makes a sound. */
#include "turn_int.h"

/* Nothing the caller does ends it. Their words are kept for later. */
static bool unshakable(const struct turn_pass *s)
{
    return s->t->leaving || s->t->firm || !s->o->barge_in_words;
}

/* The caller makes a sound while we have not spoken yet: hold it until we know what it was. */
static void hold_reply(struct turn_pass *s)
{
    struct turn *t = s->t;

    if (s->e->kind == TURN_VOICE_START) {
        if (t->authorised) {
            t->authorised = false;
            turn_act(s, TURN_PAUSE);
        }
        t->resume_us = s->now + (int64_t)s->o->noise_ms * MS;
    } else if (!t->authorised) {
        bool blip = s->at - t->voice_at_us < (int64_t)s->o->barge_in_ms * MS;
        t->resume_us = s->now + (blip ? 0 : (int64_t)s->o->false_ms * MS / 2);
        if (blip)
            turn_reply_play(s);
    }
}

void turn_in_thinking(struct turn_pass *s)
{
    struct turn *t = s->t;

    switch (s->e->kind) {
    case TURN_PARTIAL:
    case TURN_FINAL:
    case TURN_TYPED:
    case TURN_UTTERANCE_END:
    case TURN_EAGER:
        if (turn_take_words(s) && !t->leaving && !t->firm && !t->greeting) {
            turn_reply_cut(s);
            turn_enter(s, TURN_LISTENING);
            turn_consider(s);
        }
        break;
    case TURN_VOICE_START:
    case TURN_VOICE_STOP:
        if (!t->greeting && !t->apology)
            hold_reply(s);
        break;
    case TURN_SOUNDING:
        /* Held, and yet its first packet was out already: it goes on as one that was interrupted.
         */
        turn_enter(s, t->authorised ? TURN_SPEAKING : TURN_INTERRUPTED);
        t->sound_at_us = s->now;
        t->watch_us = t->wait_us = 0;
        t->dry = false;
        break;
    case TURN_REPLY_DONE:
        t->making = false;
        if (s->e->n == 0)
            turn_reply_finished(s);
        break;
    case TURN_REPLY_FAILED:
        turn_reply_failed(s);
        break;
    case TURN_WAKE:
        if (turn_due(s, &t->resume_us)) {
            t->deaf = t->voice;
            turn_reply_play(s);
        }
        if (turn_due(s, &t->watch_us))
            turn_reply_failed(s);
        turn_wait_wake(s);
        break;
    default:
        break;
    }
}

static bool guarded(const struct turn_pass *s)
{
    return s->t->greeting && s->now < s->t->sound_at_us + (int64_t)s->o->guard_ms * MS;
}

/* Words over our own voice. Enough of them take the turn; "mhm" and "okay" do not count. */
static void words_over(struct turn_pass *s)
{
    struct turn *t = s->t;
    int32_t need = guarded(s) ? s->o->guard_words : s->o->barge_in_words;
    bool typed = s->e->kind == TURN_TYPED && !t->leaving && !t->firm;

    (void)turn_take_words(s);
    if (!typed && (unshakable(s) || turn_hard_words(t) < need))
        return;
    if (s->e->n <= 0 && t->state == TURN_SPEAKING)
        return; /* nothing new: what was said under the guard stays for later */
    turn_reply_cut(s);
    turn_enter(s, TURN_LISTENING);
    turn_consider(s);
}

static void interrupt(struct turn_pass *s)
{
    struct turn *t = s->t;

    t->barge_us = 0;
    t->authorised = false;
    turn_act(s, TURN_PAUSE);
    turn_enter(s, TURN_INTERRUPTED);
    t->watch_us = 0;
    t->resume_us = s->now + (int64_t)s->o->noise_ms * MS;
}

static void voice_over(struct turn_pass *s)
{
    struct turn *t = s->t;
    int64_t guard_end = t->sound_at_us + (int64_t)s->o->guard_ms * MS;

    if (unshakable(s))
        return;
    t->barge_us = s->at + (int64_t)s->o->barge_in_ms * MS;
    if (t->greeting && t->barge_us < guard_end)
        t->barge_us = guard_end;
    if (s->now >= t->barge_us)
        interrupt(s);
}

/* Everything made was sent: more has to come within a while, unless tools are at work. */
static void watch_stall(struct turn_pass *s)
{
    int64_t due = s->now + (int64_t)s->o->stall_ms * MS;

    s->t->watch_us = due > s->t->work_us ? due : s->t->work_us;
}

void turn_working(struct turn_pass *s)
{
    struct turn *t = s->t;
    bool silent = t->state == TURN_THINKING || (t->state == TURN_SPEAKING && t->dry);

    t->work_us = s->e->n > 0 ? s->now + (int64_t)s->e->n * MS : 0;
    if (silent && t->authorised)
        t->watch_us = t->work_us ? t->work_us : s->now + (int64_t)s->o->think_ms * MS;
}

void turn_in_speaking(struct turn_pass *s)
{
    struct turn *t = s->t;

    switch (s->e->kind) {
    case TURN_PARTIAL:
    case TURN_FINAL:
    case TURN_TYPED:
    case TURN_UTTERANCE_END:
    case TURN_EAGER:
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
        watch_stall(s);
        if (!t->making)
            turn_reply_finished(s);
        break;
    case TURN_REPLY_DONE:
    case TURN_REPLY_FAILED: /* its beginning was heard: that has to do */
        t->making = false;
        if (t->dry)
            turn_reply_finished(s);
        break;
    case TURN_WAKE:
        if (turn_due(s, &t->barge_us) && turn_talking(t)) {
            interrupt(s);
        } else if (turn_due(s, &t->watch_us)) {
            turn_act(s, TURN_CUT);
            turn_reply_finished(s);
        }
        break;
    default:
        break;
    }
}

/* The recogniser has heard a pause, and before it nothing but "mhm": they only listen. */
static void only_listening(struct turn_pass *s)
{
    struct turn *t = s->t;

    if (t->state == TURN_INTERRUPTED && s->o->backchannel_ms && !turn_talking(t) && t->ended &&
        turn_hard_words(t) == 0)
        t->resume_us = s->now + (int64_t)s->o->backchannel_ms * MS;
}

void turn_in_interrupted(struct turn_pass *s)
{
    struct turn *t = s->t;

    switch (s->e->kind) {
    case TURN_PARTIAL:
    case TURN_FINAL:
    case TURN_TYPED:
    case TURN_UTTERANCE_END:
    case TURN_EAGER:
        words_over(s);
        only_listening(s);
        break;
    case TURN_VOICE_START:
        t->resume_us = s->now + (int64_t)s->o->noise_ms * MS;
        break;
    case TURN_VOICE_STOP:
        t->resume_us = s->now + (int64_t)s->o->false_ms * MS;
        only_listening(s);
        break;
    case TURN_SPOKEN: /* the last packet was on its way when we paused */
        t->dry = true;
        break;
    case TURN_SOUNDING:
        t->dry = false;
        break;
    case TURN_REPLY_DONE:
    case TURN_REPLY_FAILED:
        t->making = false;
        break;
    case TURN_WAKE:
        if (!turn_due(s, &t->resume_us))
            break;
        t->deaf = t->voice;
        turn_enter(s, TURN_SPEAKING);
        turn_reply_play(s);
        if (t->dry) {
            watch_stall(s);
            if (!t->making)
                turn_reply_finished(s);
        }
        break;
    default:
        break;
    }
}
