/* turn_reply.c - the one reply of a conversation: begun, let out, cut, finished, failed. */
#include "turn_int.h"

enum { LINGER_MS = 500 };

static void reply_over(struct turn *t)
{
    t->have = t->making = t->authorised = t->dry = t->greeting = t->apology = false;
    t->answered_words = 0;
    t->barge_us = t->resume_us = t->watch_us = t->unheard_us = t->work_us = 0;
}

void turn_reply_begin(struct turn_pass *s, enum turn_action how)
{
    struct turn *t = s->t;

    reply_over(t);
    t->reply++;
    t->have = t->making = true;
    t->greeting = how == TURN_GREET;
    t->apology = how == TURN_SORRY || how == TURN_BYE;
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
    s->t->watch_us = s->now + (int64_t)s->o->voice_ms * MS;
}

/* Back to listening, or away when that was planned. */
void turn_reply_finished(struct turn_pass *s)
{
    struct turn *t = s->t;
    bool greeted = t->greeting;

    reply_over(t);
    if (t->leaving) {
        turn_enter(s, TURN_CLOSING);
        t->resume_us = s->now + LINGER_MS * MS;
        return;
    }
    turn_enter(s, TURN_LISTENING);
    if (turn_words(t) && turn_words(t) < (greeted ? s->o->guard_words : s->o->barge_in_words)) {
        turn_act(s, TURN_FORGET);
        turn_forget(t);
    }
    turn_consider(s);
}

void turn_reply_failed(struct turn_pass *s)
{
    if (s->t->apology) {
        turn_reply_cut(s);
        turn_reply_finished(s);
        return;
    }
    turn_act(s, TURN_CUT);
    turn_say(s, TURN_SORRY);
}
