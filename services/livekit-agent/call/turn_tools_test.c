/* turn_tools_test.c - the turn machine while tools work, and while a message is being left. */
#include "test/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* Asked something at 0; the reply is wanted and silent. */
static struct machine thinking(void)
{
    struct machine m = { .o = turn_opts_for(1, 1) };

    turn_init(&m.t);
    step(&m, -9000, TURN_READY, 0, false);
    step(&m, -2000, TURN_VOICE_START, 0, false);
    step(&m, -1000, TURN_VOICE_STOP, 0, false);
    step(&m, 0, TURN_FINAL, 3, true);
    assert_int_equal(m.t.state, TURN_THINKING);
    assert_int_equal(wake_ms(&m), m.o.think_ms);
    return m;
}

static void test_working__the_silence_of_tools_is_no_fault(void **state)
{
    struct machine m = thinking();

    (void)state;
    step(&m, 1000, TURN_WORKING, 30000, false);
    assert_int_equal(wake_ms(&m), 31000);
    step(&m, 20000, TURN_WORKING, 0, false);
    assert_int_equal(wake_ms(&m), 20000 + m.o.think_ms);
    step(&m, 20000 + m.o.think_ms, TURN_WAKE, 0, false);
    assert_true(did(&m, TURN_SORRY));
}

static void test_working__nor_is_it_behind_a_sentence(void **state)
{
    struct machine m = thinking();

    (void)state;
    step(&m, 500, TURN_SOUNDING, 0, false);
    step(&m, 1000, TURN_WORKING, 30000, false);
    step(&m, 2000, TURN_SPOKEN, 0, false);
    assert_int_equal(m.t.state, TURN_SPEAKING);
    assert_int_equal(wake_ms(&m), 31000);
    step(&m, 10000, TURN_WORKING, 0, false);
    assert_int_equal(wake_ms(&m), 10000 + m.o.think_ms);
    step(&m, 11000, TURN_SOUNDING, 0, false);
    step(&m, 12000, TURN_SPOKEN, 0, false);
    assert_int_equal(wake_ms(&m), 12000 + m.o.stall_ms);
}

static void test_working__the_caller_may_still_go_on(void **state)
{
    struct machine m = thinking();

    (void)state;
    step(&m, 500, TURN_WORKING, 30000, false);
    step(&m, 1500, TURN_FINAL, 2, false);
    assert_true(did(&m, TURN_CUT));
    assert_int_equal(m.t.state, TURN_LISTENING);
    assert_int_equal(m.t.work_us, 0);
}

static void test_patience__waits_for_pauses_in_a_message(void **state)
{
    struct machine m = { .o = turn_opts_for(1, 1) };

    (void)state;
    turn_init(&m.t);
    step(&m, 0, TURN_READY, 0, false);
    step(&m, 0, TURN_PATIENCE, 3000, false);
    step(&m, 1000, TURN_VOICE_START, 0, false);
    step(&m, 2000, TURN_VOICE_STOP, 0, false);
    step(&m, 2100, TURN_FINAL, 3, true);
    assert_false(did(&m, TURN_THINK)); /* nothing is thought ahead */
    assert_int_equal(wake_ms(&m), 5000);
    step(&m, 4000, TURN_VOICE_START, 0, false);
    step(&m, 6000, TURN_VOICE_STOP, 0, false);
    step(&m, 6100, TURN_FINAL, 3, true);
    assert_int_equal(wake_ms(&m), 9000);
    step(&m, 9000, TURN_WAKE, 0, false);
    assert_true(did(&m, TURN_THINK) && did(&m, TURN_COMMIT));
    step(&m, 9100, TURN_PATIENCE, 0, false);
    assert_int_equal(m.t.patience_ms, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_working__the_silence_of_tools_is_no_fault),
        cmocka_unit_test(test_working__nor_is_it_behind_a_sentence),
        cmocka_unit_test(test_working__the_caller_may_still_go_on),
        cmocka_unit_test(test_patience__waits_for_pauses_in_a_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
