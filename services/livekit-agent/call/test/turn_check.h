/* turn_check.h - what must hold after every event of a turn machine, whatever came before.
 *
 * Used by tests with random events and by the fuzzer. turn_check returns NULL, or which rule was
 * broken.
 */
#ifndef CALL_TEST_TURN_CHECK_H
#define CALL_TEST_TURN_CHECK_H

#include "../turn.h"

#include <stddef.h>

struct turn_check {
    bool live;    /* a reply was begun and neither cut nor finished */
    bool playing; /* it may be heard */
    bool made;    /* no more sound of it comes */
    bool dry;     /* what there is of it was sent */
    uint32_t reply;
    bool gone; /* the room is over */
    int left;  /* times TURN_LEAVE was given */
};

static inline bool turn_check_makes(enum turn_action a)
{
    return a == TURN_GREET || a == TURN_THINK || a == TURN_SORRY || a == TURN_BYE ||
           a == TURN_HELLO || a == TURN_ANNOUNCE || a == TURN_IDLE;
}

static inline const char *turn_check_action(struct turn_check *c, enum turn_action a)
{
    if (c->left)
        return "nothing follows leave";
    if (turn_check_makes(a)) {
        if (c->live && !(c->made && c->dry))
            return "never two replies";
        c->live = true;
        c->playing = c->made = c->dry = false;
        c->reply++;
    } else if (a == TURN_PLAY) {
        if (!c->live)
            return "nothing is played that was cut, or never made";
        c->playing = true;
    } else if (a == TURN_PAUSE) {
        if (!c->playing)
            return "only what plays is paused";
        c->playing = false;
    } else if (a == TURN_CUT) {
        c->live = c->playing = false;
    } else if (a == TURN_LEAVE) {
        c->left++;
    }
    return NULL;
}

/* What the event says of the reply, before the machine acts on it. */
static inline void turn_check_event(struct turn_check *c, const struct turn_event *e)
{
    c->gone |= e->kind == TURN_GONE;
    if (e->reply != c->reply)
        return;
    c->made |= e->kind == TURN_REPLY_DONE || e->kind == TURN_REPLY_FAILED;
    c->dry |= e->kind == TURN_SPOKEN || (e->kind == TURN_REPLY_DONE && e->n == 0);
    c->dry &= e->kind != TURN_SOUNDING;
}

/* Somebody must wake it, or an event of voice or player must be on its way. */
static inline const char *turn_check_waits(const struct turn *t)
{
    int64_t wake = turn_wake_us(t);
    bool said = t->words + t->partial_words + t->soft + t->partial_soft > 0;

    if ((t->state == TURN_THINKING || t->state == TURN_INTERRUPTED) && !wake)
        return "thinking and interrupted end some day";
    if (t->state == TURN_SPEAKING && t->dry && !wake)
        return "silence in a reply ends some day";
    if ((t->state == TURN_LISTENING || t->state == TURN_MAYBE_DONE) && said &&
        (!t->voice || t->deaf) && !wake)
        return "words in silence become a turn some day";
    if (t->state == TURN_CLOSING && !t->left && !wake)
        return "closing ends some day";
    return NULL;
}

static inline const char *turn_check(struct turn_check *c, const struct turn *t,
                                     const struct turn_event *e, const struct turn_out *out)
{
    const char *wrong = NULL;

    turn_check_event(c, e);
    for (int i = 0; i < out->n && !wrong; i++)
        wrong = turn_check_action(c, out->act[i]);
    if (wrong)
        return wrong;
    if (c->live && !t->have)
        c->live = c->playing = false; /* spoken to its end */
    if (c->live != t->have)
        return "a reply it believes in was made";
    if (c->playing != t->authorised)
        return "it knows whether the reply may be heard";
    if (c->gone && (t->state != TURN_CLOSING || c->left != 1))
        return "a caller who has gone ends the call, once";
    if (t->refused)
        return "no transition outside of the table";
    if (e->kind == TURN_WAKE && turn_wake_us(t) && turn_wake_us(t) <= e->now_us)
        return "woken in time, it does not ask for the same again";
    return turn_check_waits(t);
}

#endif
