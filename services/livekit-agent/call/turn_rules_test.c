/* turn_rules_test.c - random conversations: the rules of test/turn_check.h hold after every event.
 */
#include "test/turn_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { SEEDS = 600, EVENTS = 400 };

static uint32_t next(uint32_t *x)
{
    *x = *x * 1664525U + 1013904223U;
    return *x >> 8;
}

/* A wake-up is due before anything later happens, as the loop's timer would have it. */
static struct turn_event draw(const struct turn *t, uint32_t *x, int64_t *now, int i)
{
    static const enum turn_event_kind seldom[] = { TURN_HANG_UP, TURN_GONE, TURN_SAY, TURN_READY };
    struct turn_event e = { .kind = (enum turn_event_kind)(next(x) % TURN_SAY) };
    int64_t at = *now + next(x) % 700000, wake = turn_wake_us(t);

    if (i == 0)
        e.kind = TURN_READY;
    else if (next(x) % 60 == 0)
        e.kind = next(x) % 2 ? TURN_WORKING : TURN_PATIENCE;
    else if (next(x) % 40 == 0)
        e.kind = seldom[next(x) % (i > EVENTS * 3 / 4 ? 4 : 1 + 2 * (next(x) % 2))];
    if (i < EVENTS * 3 / 4 && (e.kind == TURN_HANG_UP || e.kind == TURN_GONE))
        e.kind = TURN_SAY;
    if (wake && wake <= at) {
        at = wake > *now ? wake : *now;
        e.kind = TURN_WAKE;
    }
    *now = at;
    e.now_us = at;
    e.at_us = at - next(x) % 60000;
    e.reply = t->reply - (next(x) % 8 == 0);
    e.n = (int32_t)(next(x) % 4) - (e.kind == TURN_READY);
    if (e.kind == TURN_WORKING || e.kind == TURN_PATIENCE)
        e.n *= 2500;
    e.soft = (int32_t)(next(x) % 8 == 0);
    e.end = next(x) & 1;
    e.open = next(x) & 1;
    e.asked = !e.open && (next(x) & 1);
    e.changed = next(x) % 8 == 0;
    e.firm = next(x) & 1;
    return e;
}

static struct turn_event shifted(struct turn_event e, int64_t by_us)
{
    e.now_us += by_us;
    e.at_us += by_us;
    return e;
}

static void walk(uint32_t seed)
{
    struct turn t, later;
    struct turn_check rules = { 0 };
    struct turn_opts o = turn_opts_for((seed % 5) / 4.0, (seed % 7) / 6.0);
    uint32_t x = seed * 2654435761U;
    int64_t now = 1000000;

    if (seed % 3 == 0)
        o.end_wait_ms = 6000; /* a recogniser that judges turns */
    turn_init(&t);
    turn_init(&later);
    for (int i = 0; i < EVENTS; i++) {
        struct turn_event e = draw(&t, &x, &now, i);
        struct turn_event f = shifted(e, 3600LL * 1000000);
        struct turn_out out, again;
        const char *wrong;

        turn_step(&t, &o, &e, &out);
        wrong = turn_check(&rules, &t, &e, &out);
        if (wrong)
            fail_msg("seed %u, event %d (%s in %s): %s", seed, i, turn_event_name(e.kind),
                     turn_state_name(t.state), wrong);
        turn_step(&later, &o, &f, &again);
        assert_int_equal(out.n, again.n);
        assert_memory_equal(out.act, again.act, (size_t)out.n * sizeof out.act[0]);
        assert_int_equal(t.state, later.state);
    }
}

static void test_turn__keeps_its_rules_whatever_happens(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= SEEDS; seed++)
        walk(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn__keeps_its_rules_whatever_happens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
