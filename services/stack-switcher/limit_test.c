/* limit_test.c - how often a person may ask for a change. */
#include "switcher.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static void test_limit__refills_with_time(void **state)
{
    struct limits *l;
    int64_t wait_s;

    (void)state;
    assert_int_equal(limits_new(&l, 2), PAT_OK);
    assert_true(limits_take(l, "ada", 1000, &wait_s));
    assert_true(limits_take(l, "ada", 1000, &wait_s));
    assert_false(limits_take(l, "ada", 1000, &wait_s));
    assert_int_equal(wait_s, 31);
    assert_true(limits_take(l, "bob", 1000, &wait_s)); /* each his own */
    assert_false(limits_take(l, "ada", 30000, &wait_s));
    assert_true(limits_take(l, "ada", 31001, &wait_s));
    assert_false(limits_take(l, "ada", 31001, &wait_s));
    /* Never more than a minute's worth at once. */
    assert_true(limits_take(l, "ada", 9000000, &wait_s));
    assert_true(limits_take(l, "ada", 9000000, &wait_s));
    assert_false(limits_take(l, "ada", 9000000, &wait_s));
    limits_free(l);
}

static void test_limit__forgets_who_was_quiet_longest(void **state)
{
    struct limits *l;
    char who[24];
    int64_t wait_s;

    (void)state;
    assert_int_equal(limits_new(&l, 1), PAT_OK);
    assert_true(limits_take(l, "first", 0, &wait_s));
    for (int i = 0; i < 1023; i++) {
        snprintf(who, sizeof who, "%d", i);
        assert_true(limits_take(l, who, 0, &wait_s));
    }
    assert_false(limits_take(l, "first", 0, &wait_s)); /* still known, and seen again */
    assert_true(limits_take(l, "one more", 0, &wait_s));
    assert_true(limits_take(l, "0", 0, &wait_s)); /* had been forgotten */
    assert_false(limits_take(l, "first", 0, &wait_s));
    limits_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit__refills_with_time),
        cmocka_unit_test(test_limit__forgets_who_was_quiet_longest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
