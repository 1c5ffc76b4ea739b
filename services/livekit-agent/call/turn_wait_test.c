/* turn_wait_test.c - the turn machine and a caller who hears nothing though it is our turn. */
#include "test/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

enum { WAIT = 4000, LEAST = 1500, MORE = 4000 };

static struct machine listening(void)
{
    struct machine m = { .o = turn_opts_for(1, 1) };

    m.o.wait_ms = WAIT;
    m.o.wait_least_ms = LEAST;
    m.o.wait_more_ms = MORE;
    turn_init(&m.t);
    step(&m, -9000, TURN_READY, 0, false);
    return m;
}

/* The caller's last voice was at 0, and that their turn is over is known at decided_ms. */
static struct machine thinking(int64_t decided_ms)
{
    struct machine m = listening();

    step(&m, -2000, TURN_VOICE_START, 0, false);
    step(&m, 0, TURN_VOICE_STOP, 0, false);
    step(&m, decided_ms, TURN_FINAL, 3, true);
    assert_int_equal(m.t.state, TURN_THINKING);
    return m;
}

static void test_wait__counts_from_the_caller_s_last_voice(void **state)
{
    struct machine m = thinking(1000);

    (void)state;
    assert_int_equal(wake_ms(&m), WAIT);
    step(&m, WAIT, TURN_WAKE, 0, false);
    assert_true(did(&m, TURN_WAIT));
    assert_false(did(&m, TURN_CUT)); /* the reply is still wanted */
    assert_int_equal(m.t.state, TURN_THINKING);
}

static void test_wait__a_late_decision_leaves_time_for_the_reply(void **state)
{
    struct machine m = thinking(3500);

    (void)state;
    assert_int_equal(wake_ms(&m), 3500 + LEAST);
}

static void test_wait__after_the_word_as_much_again_then_an_apology(void **state)
{
    struct machine m = thinking(1000);

    (void)state;
    step(&m, WAIT, TURN_WAKE, 0, false);
    step(&m, WAIT, TURN_WAITED, 1200, false);
    assert_int_equal(wake_ms(&m), WAIT + 1200 + MORE);
    step(&m, WAIT + 1200 + MORE, TURN_WAKE, 0, false);
    assert_true(did(&m, TURN_SORRY));
    /* and the apology is waited for like anything else */
    assert_int_equal(wake_ms(&m), WAIT + 1200 + MORE + WAIT);
}

static void test_wait__where_there_is_no_word_the_apology_comes_as_ever(void **state)
{
    struct machine m = thinking(1000);

    (void)state;
    step(&m, WAIT, TURN_WAKE, 0, false);
    assert_int_equal(wake_ms(&m), 1000 + m.o.think_ms);
}

static void test_wait__a_word_on_its_way_is_asked_for_again(void **state)
{
    struct machine m = thinking(1000);

    (void)state;
    step(&m, WAIT, TURN_WAKE, 0, false);
    step(&m, WAIT, TURN_WAITED, -400, false);
    assert_int_equal(wake_ms(&m), WAIT + 400);
    step(&m, WAIT + 400, TURN_WAKE, 0, false);
    assert_true(did(&m, TURN_WAIT));
}

static void test_wait__sound_ends_it(void **state)
{
    struct machine m = thinking(1000);

    (void)state;
    step(&m, 2000, TURN_SOUNDING, 0, false);
    assert_int_equal(m.t.state, TURN_SPEAKING);
    step(&m, WAIT, TURN_WAKE, 0, false);
    assert_int_equal(m.out.n, 0);
}

static void test_wait__the_word_is_no_reply(void **state)
{
    struct machine m = thinking(1000);

    (void)state;
    step(&m, WAIT, TURN_WAKE, 0, false);
    step(&m, WAIT, TURN_WAITED, 1200, false);
    step(&m, WAIT + 2000, TURN_SOUNDING, 0, false); /* the reply comes after all */
    step(&m, WAIT + 4000, TURN_REPLY_DONE, 1, false);
    step(&m, WAIT + 5000, TURN_SPOKEN, 0, false);
    assert_int_equal(m.t.state, TURN_LISTENING);
}

static void test_wait__a_reply_held_back_is_not_spoken_over(void **state)
{
    struct machine m = thinking(1000);

    (void)state;
    step(&m, WAIT - 100, TURN_VOICE_START, 0, false); /* the caller makes a sound: it is held */
    assert_false(m.t.authorised);
    step(&m, WAIT, TURN_WAKE, 0, false);
    assert_false(did(&m, TURN_WAIT));
    assert_true(wake_ms(&m) > WAIT);
}

static void test_wait__a_greeting_and_an_apology_are_waited_for_too(void **state)
{
    struct machine m = { .o = turn_opts_for(1, 1) };

    (void)state;
    m.o.wait_ms = WAIT;
    m.o.wait_more_ms = MORE;
    turn_init(&m.t);
    step(&m, 0, TURN_READY, 1, false);
    assert_int_equal(wake_ms(&m), WAIT);
    step(&m, WAIT, TURN_WAKE, 0, false);
    assert_true(did(&m, TURN_WAIT));
    step(&m, WAIT, TURN_WAITED, 1000, false);
    step(&m, WAIT + 1000 + MORE, TURN_WAKE, 0, false);
    assert_true(did(&m, TURN_HELLO));
    step(&m, WAIT + 1000 + MORE + WAIT, TURN_WAKE, 0, false);
    assert_true(did(&m, TURN_WAIT));
}

static void test_wait__what_was_typed_counts_from_when_it_came(void **state)
{
    struct machine m = listening();

    (void)state;
    step(&m, 20000 - 15000, TURN_TYPED, 2, true);
    assert_int_equal(m.t.state, TURN_THINKING);
    assert_int_equal(wake_ms(&m), 5000 + WAIT);
}

static void test_wait__words_without_a_voice_count_from_the_words(void **state)
{
    struct machine m = listening();

    (void)state;
    step(&m, -8500, TURN_VOICE_START, 0, false);
    step(&m, -8400, TURN_VOICE_STOP, 0, false); /* long ago: nobody's words */
    step(&m, 0, TURN_FINAL, 3, true);
    assert_int_equal(m.t.state, TURN_THINKING);
    assert_int_equal(wake_ms(&m), WAIT);
}

static void test_wait__tools_at_work_are_no_fault(void **state)
{
    struct machine m = thinking(1000);

    (void)state;
    step(&m, 2000, TURN_WORKING, 30000, false);
    step(&m, WAIT, TURN_WAKE, 0, false);
    assert_true(did(&m, TURN_WAIT));
    step(&m, WAIT, TURN_WAITED, 1200, false);
    assert_int_equal(wake_ms(&m), 32000);
}

static void test_wait__is_off_where_no_option_asks_for_it(void **state)
{
    struct machine m = { .o = turn_opts_for(1, 1) };

    (void)state;
    turn_init(&m.t);
    step(&m, 0, TURN_READY, 1, false);
    assert_int_equal(wake_ms(&m), m.o.voice_ms);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wait__counts_from_the_caller_s_last_voice),
        cmocka_unit_test(test_wait__a_late_decision_leaves_time_for_the_reply),
        cmocka_unit_test(test_wait__after_the_word_as_much_again_then_an_apology),
        cmocka_unit_test(test_wait__where_there_is_no_word_the_apology_comes_as_ever),
        cmocka_unit_test(test_wait__a_word_on_its_way_is_asked_for_again),
        cmocka_unit_test(test_wait__sound_ends_it),
        cmocka_unit_test(test_wait__the_word_is_no_reply),
        cmocka_unit_test(test_wait__a_reply_held_back_is_not_spoken_over),
        cmocka_unit_test(test_wait__a_greeting_and_an_apology_are_waited_for_too),
        cmocka_unit_test(test_wait__what_was_typed_counts_from_when_it_came),
        cmocka_unit_test(test_wait__words_without_a_voice_count_from_the_words),
        cmocka_unit_test(test_wait__tools_at_work_are_no_fault),
        cmocka_unit_test(test_wait__is_off_where_no_option_asks_for_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
