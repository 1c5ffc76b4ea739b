/* turn_reply.c - the one reply of a conversation: begun, let out, cut, finished, failed. */
#include "turn_int.h"

enum { LINGER_MS = 500, HELLO_WORDS = 3 /* "oh hello there" is no question */ };

static void reply_over(struct turn *t)
{
    t->have = t->making = t->authorised = t->dry = t->greeting = t->apology = t->firm = false;
    t->answered_words = 0;
    t->barge_us = t->resume_us = t->watch_us = t->unheard_us = t->work_us = t->wait_us = 0;
}

void turn_reply_begin(struct turn_pass *s, enum turn_action how)
{
    struct turn *t = s->t;

    reply_over(t);
    t->reply++;
    t->have = t->making = true;
    t->greeting = how == TURN_GREET;
    t->apology = how != TURN_GREET && how != TURN_THINK;
    turn_act(s, how);
}

void turn_reply_play(struct turn_pass *s)
{
    s->t->authorised = true;
    s->t->resume_us = 0;
    turn_act(s, TURN_PLAY);
}

void turn_reply_cut(struct turn_pass *s)
{
    turn_act(s, TURN_CUT);
    reply_over(s->t);
}

void turn_say(struct turn_pass *s, enum turn_action how)
{
    turn_enter(s, TURN_THINKING);
    turn_reply_begin(s, how);
    turn_reply_play(s);
    s->t->turn_us = 0;
    s->t->watch_us = s->now + (int64_t)s->o->voice_ms * MS;
    turn_wait_begin(s, s->now);
}

/* The oldest text that waits. */
static void announce(struct turn_pass *s)
{
    struct turn *t = s->t;
    bool firm = t->say_firm & 1;

    t->says--;
    t->say_firm = (uint8_t)(t->say_firm >> 1);
    turn_say(s, TURN_ANNOUNCE);
    t->firm = firm;
}

/* Words that did not take the turn while we spoke. Shortly before our end they answer us; what was
 * said earlier was only "I am listening". What a firm reply did not let in is a turn of its own. */
static bool was_no_turn(const struct turn_pass *s, bool greeted, bool firm)
{
    const struct turn *t = s->t;
    int32_t guard = s->o->guard_words < HELLO_WORDS ? s->o->guard_words : HELLO_WORDS;
    int32_t need = greeted ? guard : s->o->barge_in_words;

    if (turn_words(t) == 0 || turn_talking(t) ||
        t->voice_at_us > s->now - (int64_t)s->o->boundary_ms * MS)
        return false;
    if (firm || !need)
        return turn_hard_words(t) == 0;
    return turn_hard_words(t) < need;
}

void turn_reply_finished(struct turn_pass *s)
{
    struct turn *t = s->t;
    bool no_turn = was_no_turn(s, t->greeting, t->firm);

    reply_over(t);
    if (t->says) {
        announce(s);
        return;
    }
    if (t->leaving) {
        turn_enter(s, TURN_CLOSING);
        turn_forget(t);
        t->resume_us = s->now + LINGER_MS * MS;
        return;
    }
    turn_enter(s, TURN_LISTENING);
    if (no_turn) {
        turn_act(s, TURN_FORGET);
        turn_forget(t);
    }
    turn_consider(s);
}

/* A greeting cannot be "said again": a plain one takes its place. */
void turn_reply_failed(struct turn_pass *s)
{
    bool greeting = s->t->greeting;

    if (s->t->apology) {
        turn_reply_cut(s);
        turn_reply_finished(s);
        return;
    }
    turn_act(s, TURN_CUT);
    turn_say(s, greeting ? TURN_HELLO : TURN_SORRY);
}

/* now: what is being said gives way. */
void turn_say_text(struct turn_pass *s, bool now)
{
    struct turn *t = s->t;
    bool busy =
        t->state == TURN_THINKING || t->state == TURN_SPEAKING || t->state == TURN_INTERRUPTED;

    if (t->says == TURN_SAY_MAX)
        return;
    if (s->e->firm)
        t->say_firm = (uint8_t)(t->say_firm | 1U << t->says);
    t->says++;
    if (t->state == TURN_STARTING || (busy && (!now || t->firm)))
        return;
    if (t->have)
        turn_act(s, TURN_CUT);
    announce(s);
}
