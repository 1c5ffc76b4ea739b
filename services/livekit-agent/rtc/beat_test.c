/* beat_test.c - few share one time, many are spread. */
#include "beat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void test_beat__few_calls_share_a_slot(void **state)
{
    struct beat b = { { 0 } };

    (void)state;
    for (int i = 0; i < BEAT_FEW; i++)
        assert_int_equal(beat_take(&b), 0);
    assert_int_equal(beat_take(&b), 1);
    beat_give(&b, 0);
    assert_int_equal(b.taken[0], BEAT_FEW - 1);
}

static void test_beat__many_calls_are_spread_evenly(void **state)
{
    struct beat b = { { 0 } };

    (void)state;
    for (int i = 0; i < BEAT_SLOTS * BEAT_FEW * 3; i++)
        (void)beat_take(&b);
    for (int i = 0; i < BEAT_SLOTS; i++)
        assert_int_equal(b.taken[i], BEAT_FEW * 3);
}

static void test_beat__a_slot_comes_every_20_ms(void **state)
{
    static const struct {
        int slot;
        int64_t now, next;
    } rows[] = {
        { 0, 1000000, 1020000 }, { 0, 1000001, 1020000 }, { 0, 1019999, 1020000 },
        { 1, 1000000, 1002500 }, { 1, 1002500, 1022500 }, { 7, 1000000, 1017500 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(beat_after(rows[i].slot, rows[i].now), rows[i].next);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beat__few_calls_share_a_slot),
        cmocka_unit_test(test_beat__many_calls_are_spread_evenly),
        cmocka_unit_test(test_beat__a_slot_comes_every_20_ms),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
