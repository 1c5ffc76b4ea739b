/* turn_wait.c - a caller who hears nothing though it is our turn: a word in the reply's place, and
 * somewhat later the apology.
 *
 * Counted from the caller's last word, so that a late decision that they have finished, a late
 * model and a late voice share one time. The word is no reply: the machine goes on thinking.
 */
#include "turn_int.h"

/* Words this much behind a voice are not that voice's: it was too faint for the detector. */
enum { APART_MS = 6000 };

int64_t turn_wait_from(const struct turn_pass *s)
{
    const struct turn *t = s->t;
    int64_t silent_us = t->silent_at_us;

    if (t->typed)
        return s->at;
    if (silent_us < t->voice_at_us || silent_us + (int64_t)APART_MS * MS < t->word_at_us)
        return t->word_at_us;
    return silent_us;
}

void turn_wait_begin(struct turn_pass *s, int64_t from_us)
{
    int64_t least_us = s->now + (int64_t)s->o->wait_least_ms * MS;
    int64_t due_us = from_us + (int64_t)s->o->wait_ms * MS;

    s->t->wait_us = !s->o->wait_ms ? 0 : due_us > least_us ? due_us : least_us;
}

void turn_wait_wake(struct turn_pass *s)
{
    struct turn *t = s->t;

    if (!turn_due(s, &t->wait_us))
        return;
    if (t->authorised)
        turn_act(s, TURN_WAIT);
    else /* held for a sound of theirs: that is no silence of ours yet */
        t->wait_us = s->now + (int64_t)s->o->false_ms * MS;
}

void turn_waited(struct turn_pass *s)
{
    struct turn *t = s->t;
    int64_t due_us = s->now + ((int64_t)s->e->n + s->o->wait_more_ms) * MS;

    if (t->state != TURN_THINKING || !t->have)
        return;
    if (s->e->n < 0)
        t->wait_us = s->now - (int64_t)s->e->n * MS;
    else
        t->watch_us = due_us > t->work_us ? due_us : t->work_us;
}
