/* share_test.c - one caller, one side; and as many as were asked for. */
#include "share.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define USER "01890000-0000-7000-8000-00000000000a"

static const char *nth(int i)
{
    static char number[20];

    snprintf(number, sizeof number, "+1555%07d", i);
    return number;
}

static void test_share__takes_about_as_many_as_asked(void **state)
{
    (void)state;
    for (int percent = 0; percent <= 100; percent += 5) {
        int n = 0;

        for (int i = 0; i < 10000; i++)
            n += share_takes(USER, nth(i), "c", percent);
        /* Three standard deviations of a fair coin of that kind are 150 at most. */
        assert_in_range(n, percent * 100 < 150 ? 0 : percent * 100 - 150, percent * 100 + 150);
        assert_true(percent % 100 || n == percent * 100);
    }
}

static void test_share__who_is_on_the_new_side_stays_there(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        for (int percent = 1, was = 0; percent <= 100; percent++) {
            int takes = share_takes(USER, nth(i), "c", percent);

            assert_true(takes >= was);
            was = takes;
        }
}

static void test_share__a_number_is_the_same_whatever_the_call(void **state)
{
    int differ = 0, others = 0;

    (void)state;
    for (int i = 0; i < 1000; i++) {
        char call[20];

        snprintf(call, sizeof call, "call-%d", i);
        assert_int_equal(share_takes(USER, nth(i), call, 50), share_takes(USER, nth(i), NULL, 50));
        differ += share_takes(USER, "", call, 50) != share_takes(USER, "", "call-0", 50);
        others += share_takes(USER, nth(i), call, 50) != share_takes("other", nth(i), call, 50);
    }
    /* Withheld: each call by itself. And another user's callers are other ones. */
    assert_in_range(differ, 400, 600);
    assert_in_range(others, 400, 600);
}

static void test_share__goes_to_the_other_stack_or_stays(void **state)
{
    struct route r = { .stack = STACK_RETELL, .user = USER };

    (void)state;
    assert_int_equal(share_of(&r, "+15550100001", "c").stack, STACK_RETELL);
    assert_null(share_of(&r, "+15550100001", "c").reason);
    r.share = 100;
    assert_int_equal(share_of(&r, "+15550100001", "c").stack, STACK_LIVEKIT);
    assert_string_equal(share_of(&r, "+15550100001", "c").reason, "rollout_new");
    r.stack = STACK_LIVEKIT;
    assert_int_equal(share_of(&r, "", "c").stack, STACK_RETELL);
    r.share = 1;
    for (int i = 0, n = 0; i < 20; i++) {
        struct share s = share_of(&r, nth(i), "c");

        n += s.stack == STACK_LIVEKIT && !strcmp(s.reason, "rollout_old");
        assert_true(i < 19 || n > 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share__takes_about_as_many_as_asked),
        cmocka_unit_test(test_share__who_is_on_the_new_side_stays_there),
        cmocka_unit_test(test_share__a_number_is_the_same_whatever_the_call),
        cmocka_unit_test(test_share__goes_to_the_other_stack_or_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
