/* turn_idle.c - a caller who says nothing: asked whether they are there, then let go.
 *
 * The time runs only while both are silent and nothing is being made; any voice starts it anew, and
 * only words, or keys, make us forget how often we have asked: a radio is not a caller.
 */
#include "turn_int.h"

static bool silent(const struct turn *t)
{
    return t->state == TURN_LISTENING && !t->have && !t->leaving && !turn_talking(t) &&
           !turn_words(t) && !t->unheard_us;
}

void turn_idle_ask(struct turn_pass *s)
{
    struct turn *t = s->t;

    if (!silent(t))
        return;
    t->leaving = t->idled++ >= s->o->idle_max;
    turn_say(s, TURN_IDLE);
}

void turn_idle_watch(struct turn_pass *s)
{
    struct turn *t = s->t;

    if (turn_is_words(s->e->kind) && s->e->n + s->e->soft > 0)
        t->idled = 0;
    if (!s->o->idle_ms || !silent(t))
        t->idle_us = 0;
    else if (!t->idle_us)
        t->idle_us = s->now + (int64_t)s->o->idle_ms * MS;
}
