/* machine.h - a turn machine of its own, for tests that give it events and see what it wants done.
 *
 * Times are in ms from a zero of the test's.
 */
#ifndef CALL_TEST_MACHINE_H
#define CALL_TEST_MACHINE_H

#include "../turn.h"

struct machine {
    struct turn t;
    struct turn_opts o;
    struct turn_out out;
};

static inline void step(struct machine *m, int64_t at_ms, enum turn_event_kind kind, int n,
                        bool end)
{
    struct turn_event e = {
        .kind = kind, .now_us = (1000000 + at_ms) * 1000, .reply = m->t.reply, .n = n, .end = end
    };

    turn_step(&m->t, &m->o, &e, &m->out);
}

static inline bool did(const struct machine *m, enum turn_action a)
{
    for (int i = 0; i < m->out.n; i++)
        if (m->out.act[i] == a)
            return true;
    return false;
}

static inline int64_t wake_ms(const struct machine *m)
{
    return turn_wake_us(&m->t) / 1000 - 1000000;
}

#endif
