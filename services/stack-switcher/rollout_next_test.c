/* rollout_next_test.c - what a rollout does next, and that it gets to its end. */
#include "rollout_next.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static struct roll_facts users(void)
{
    return (struct roll_facts){ .total = 100,
                                .waiting = 100,
                                .target = 10,
                                .at_a_time = 5,
                                .steps = 3,
                                .max_failures = 2,
                                .judged_ms = -1,
                                .judge_ms = 1000,
                                .verdict = GATE_INCONCLUSIVE };
}

static struct roll_facts settled(void)
{
    struct roll_facts f = users();

    f.waiting = 90;
    f.moved = 10;
    f.settled = f.has_gates = true;
    return f;
}

static void test_roll_next__starts_as_many_as_may_be_under_way(void **state)
{
    static const struct {
        int64_t waiting, moving, n;
    } table[] = { { 100, 0, 5 }, { 97, 3, 2 }, { 92, 1, 2 }, { 91, 4, 1 } };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct roll_facts f = users();
        struct roll_move m;

        f.waiting = table[i].waiting;
        f.moving = table[i].moving;
        m = roll_next(&f);
        assert_int_equal(m.what, ROLL_START);
        assert_int_equal(m.n, table[i].n);
    }
}

static void test_roll_next__waits_for_those_under_way(void **state)
{
    struct roll_facts f = users();

    (void)state;
    f.waiting = 90;
    f.moving = 5;
    assert_int_equal(roll_next(&f).what, ROLL_WAIT);
    f.moving = 0;
    f.moved = 10;
    assert_int_equal(roll_next(&f).what, ROLL_SETTLE);
}

static void test_roll_next__a_step_is_weighed(void **state)
{
    const struct {
        const char *what;
        struct roll_facts f;
        bool judged, hold, promoted;
        enum gate_verdict verdict;
        int64_t bake, wait;
        enum roll_do expected;
    } table[] = {
        { "its time is not over", settled(), true, false, false, GATE_PASS, 500, 500, ROLL_WAIT },
        { "not measured since", settled(), false, false, false, GATE_PASS, 0, 500, ROLL_JUDGE },
        { "passed", settled(), true, false, false, GATE_PASS, 0, 500, ROLL_STEP },
        { "passed, and held", settled(), true, true, false, GATE_PASS, 0, 500, ROLL_HOLD },
        { "failed", settled(), true, false, false, GATE_FAIL, 0, 500, ROLL_HALT },
        { "failed early", settled(), false, false, false, GATE_FAIL, 500, 500, ROLL_HALT },
        { "nobody knows yet", settled(), true, false, false, GATE_INCONCLUSIVE, 0, 500, ROLL_WAIT },
        { "nobody knows", settled(), true, false, false, GATE_INCONCLUSIVE, 0, 0, ROLL_HOLD },
        { "a person knows", settled(), true, true, true, GATE_INCONCLUSIVE, 900, 900, ROLL_STEP },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct roll_facts f = table[i].f;

        f.judged = table[i].judged;
        f.judged_ms = 100;
        f.hold = table[i].hold;
        f.promoted = table[i].promoted;
        f.verdict = table[i].verdict;
        f.bake_left_ms = table[i].bake;
        f.wait_left_ms = table[i].wait;
        if (roll_next(&f).what != table[i].expected)
            fail_msg("%s: %s", table[i].what, roll_do_name(roll_next(&f).what));
    }
}

static void test_roll_next__looks_again_as_often_as_it_is_set(void **state)
{
    struct roll_facts f = settled();

    (void)state;
    f.bake_left_ms = 60000;
    assert_int_equal(roll_next(&f).what, ROLL_JUDGE);
    f.judged_ms = 400;
    assert_int_equal(roll_next(&f).wait_ms, 600);
    f.judged_ms = 1000;
    assert_int_equal(roll_next(&f).what, ROLL_JUDGE);
}

static void test_roll_next__without_gates_time_alone_counts(void **state)
{
    struct roll_facts f = settled();

    (void)state;
    f.has_gates = false;
    f.bake_left_ms = 700;
    assert_int_equal(roll_next(&f).wait_ms, 700);
    f.bake_left_ms = -1;
    assert_int_equal(roll_next(&f).what, ROLL_STEP);
    f.step = 2;
    f.hold = true; /* nothing is left to approve */
    assert_int_equal(roll_next(&f).what, ROLL_FINISH);
    f.step = 0;
    assert_int_equal(roll_next(&f).what, ROLL_HOLD);
    f.waiting = 0;
    f.moved = 100;
    assert_int_equal(roll_next(&f).what, ROLL_FINISH);
}

static void test_roll_next__one_who_cannot_be_switched_does_not_stop_the_rest(void **state)
{
    struct roll_facts f = users();

    (void)state;
    f.failures = 2;
    assert_int_equal(roll_next(&f).what, ROLL_START);
    f.failures = 3;
    assert_int_equal(roll_next(&f).what, ROLL_HOLD);
    assert_string_equal(roll_next(&f).held_for, "failures");
}

static void test_roll_next__does_nothing_while_a_person_is_waited_for(void **state)
{
    struct roll_facts f = users();

    (void)state;
    f.verdict = GATE_FAIL;
    f.judged_ms = 0;
    f.has_gates = true;
    f.state = ROLL_PAUSED;
    assert_int_equal(roll_next(&f).what, ROLL_WAIT);
    f.state = ROLL_HELD;
    assert_int_equal(roll_next(&f).what, ROLL_WAIT);
}

static void test_roll_next__an_abort_leaves_who_has_been_moved(void **state)
{
    struct roll_facts f = settled();

    (void)state;
    f.state = ROLL_RETURNING;
    f.waiting = 0;
    assert_int_equal(roll_next(&f).what, ROLL_BACK);
    f.abort = true;
    assert_int_equal(roll_next(&f).what, ROLL_FINISH);
    f.returning = 1;
    assert_int_equal(roll_next(&f).what, ROLL_BACK);
}

/* A world that does what it is told: any rollout ends, in the order of its phases. */
static struct roll_facts obey(struct roll_facts f, struct roll_move m)
{
    switch (m.what) {
    case ROLL_START:
        f.waiting -= m.n;
        f.moving += m.n;
        break;
    case ROLL_SHARE:
        f.unshared = 0;
        break;
    case ROLL_CUT:
        f.ready -= m.n;
        f.moving += m.n;
        break;
    case ROLL_SETTLE:
        f.settled = true;
        break;
    case ROLL_JUDGE:
        f.judged = true;
        f.judged_ms = 0;
        f.verdict = GATE_PASS;
        break;
    case ROLL_PHASE:
        f.phase = ROLL_SHARING;
        f.unshared = f.ready;
        break;
    case ROLL_STEP:
        f.step++;
        f.settled = f.judged = false;
        f.judged_ms = -1;
        f.verdict = GATE_INCONCLUSIVE;
        f.target = f.calls || f.step + 1 == f.steps ? f.total : f.target * 2;
        f.unshared = f.ready;
        if (f.calls && f.step >= f.steps)
            f.phase = ROLL_CUTTING;
        break;
    default: /* time passes */
        f.judged_ms += f.judged_ms < 0 ? 0 : m.wait_ms;
        if (f.calls && f.phase != ROLL_CUTTING)
            f.ready += f.moving;
        else
            f.moved += f.moving;
        f.moving = 0;
    }
    return f;
}

static void test_roll_next__every_rollout_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct roll_facts f = users();
        struct roll_move m = { 0 };
        int shares = 0, n = 0;

        f.calls = i & 1;
        f.has_gates = i & 2;
        f.at_a_time = i & 4 ? 1 : 50;
        f.target = f.calls ? f.total : 10;
        for (; n < 10000 && m.what != ROLL_FINISH; n++) {
            m = roll_next(&f);
            assert_int_not_equal(m.what, ROLL_HOLD);
            assert_true(f.moving <= f.at_a_time);
            shares += m.what == ROLL_SHARE;
            f = obey(f, m);
        }
        assert_int_equal(m.what, ROLL_FINISH);
        assert_int_equal(f.moved, f.total);
        assert_int_equal(shares, f.calls ? f.steps : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_roll_next__starts_as_many_as_may_be_under_way),
        cmocka_unit_test(test_roll_next__waits_for_those_under_way),
        cmocka_unit_test(test_roll_next__a_step_is_weighed),
        cmocka_unit_test(test_roll_next__looks_again_as_often_as_it_is_set),
        cmocka_unit_test(test_roll_next__without_gates_time_alone_counts),
        cmocka_unit_test(test_roll_next__one_who_cannot_be_switched_does_not_stop_the_rest),
        cmocka_unit_test(test_roll_next__does_nothing_while_a_person_is_waited_for),
        cmocka_unit_test(test_roll_next__an_abort_leaves_who_has_been_moved),
        cmocka_unit_test(test_roll_next__every_rollout_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
