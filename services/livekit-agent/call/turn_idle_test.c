/* turn_idle_test.c - a caller who says nothing: asked, asked again, and let go. */
#include "turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct world {
    struct turn t;
    struct turn_opts o;
    int64_t now_us;
    struct turn_out out;
};

static bool did(const struct world *w, enum turn_action a)
{
    for (int i = 0; i < w->out.n; i++)
        if (w->out.act[i] == a)
            return true;
    return false;
}

static void step(struct world *w, int64_t after_ms, enum turn_event_kind kind, int32_t n)
{
    struct turn_event e = { .kind = kind, .n = n };

    w->now_us += after_ms * 1000;
    e.now_us = w->now_us;
    e.reply = w->t.reply;
    turn_step(&w->t, &w->o, &e, &w->out);
}

/* The reply under way is spoken to its end. */
static void spoken(struct world *w)
{
    step(w, 50, TURN_SOUNDING, 0);
    step(w, 10, TURN_REPLY_DONE, 1);
    step(w, 1000, TURN_SPOKEN, 0);
}

static struct world greeted(void)
{
    struct world w = { .o = turn_opts_for(1, 1), .now_us = 1000000000 };

    w.o.idle_ms = 10000;
    w.o.idle_max = 2;
    turn_init(&w.t);
    step(&w, 0, TURN_READY, 1);
    spoken(&w);
    assert_int_equal(w.t.state, TURN_LISTENING);
    return w;
}

static void wakes_for_idle(struct world *w)
{
    assert_int_equal(turn_wake_us(&w->t), w->now_us + 10000000);
    step(w, 9999, TURN_WAKE, 0);
    assert_int_equal(w->out.n, 0);
    step(w, 1, TURN_WAKE, 0);
    assert_true(did(w, TURN_IDLE));
    assert_true(did(w, TURN_PLAY));
}

static void test_idle__asks_twice_and_says_goodbye(void **state)
{
    struct world w = greeted();

    (void)state;
    for (int i = 0; i < 2; i++) {
        wakes_for_idle(&w);
        assert_false(w.t.leaving);
        spoken(&w);
        assert_int_equal(w.t.state, TURN_LISTENING);
    }
    wakes_for_idle(&w);
    assert_true(w.t.leaving);
    spoken(&w);
    assert_int_equal(w.t.state, TURN_CLOSING);
}

static void test_idle__words_are_a_fresh_start_noise_is_not(void **state)
{
    struct world w = greeted();

    (void)state;
    wakes_for_idle(&w);
    spoken(&w);
    step(&w, 5000, TURN_VOICE_START, 0);
    assert_int_equal(w.t.idle_us, 0); /* while there is a voice nobody is asked */
    step(&w, 300, TURN_VOICE_STOP, 0);
    assert_int_equal(w.t.idled, 1);
    wakes_for_idle(&w);
    spoken(&w);
    step(&w, 1000, TURN_TYPED, 3);
    assert_int_equal(w.t.idled, 0);
    assert_int_equal(w.t.idle_us, 0);
}

static void test_idle__never_in_the_middle_of_something(void **state)
{
    struct world w = greeted();

    (void)state;
    step(&w, 1000, TURN_TYPED, 3); /* thinking */
    assert_int_equal(w.t.state, TURN_THINKING);
    assert_int_equal(w.t.idle_us, 0);
    step(&w, 50, TURN_SOUNDING, 0);
    assert_int_equal(w.t.idle_us, 0);
}

static void test_idle__may_be_off(void **state)
{
    struct world w = greeted();

    (void)state;
    w.o.idle_ms = 0;
    step(&w, 10, TURN_VOICE_START, 0);
    step(&w, 10, TURN_VOICE_STOP, 0);
    assert_int_equal(w.t.idle_us, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle__asks_twice_and_says_goodbye),
        cmocka_unit_test(test_idle__words_are_a_fresh_start_noise_is_not),
        cmocka_unit_test(test_idle__never_in_the_middle_of_something),
        cmocka_unit_test(test_idle__may_be_off),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
