/* limit_test.c - how often a person may ask for a change. */
#include "limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

static struct limit_state got;

static bool take(struct limits *l, const char *who, int64_t now_ms)
{
    return limits_take(l, LIMIT_WRITES, who, now_ms, &got);
}

static void test_limit__refills_with_time(void **state)
{
    struct limits *l;

    (void)state;
    assert_int_equal(limits_new(&l, (int64_t[LIMIT_KINDS]){ 1, 2, 1 }), PAT_OK);
    assert_true(take(l, "ada", 1000));
    assert_true(take(l, "ada", 1000));
    assert_false(take(l, "ada", 1000));
    assert_int_equal(got.wait_s, 31);
    assert_true(take(l, "bob", 1000)); /* each his own */
    assert_false(take(l, "ada", 30000));
    assert_true(take(l, "ada", 31001));
    assert_false(take(l, "ada", 31001));
    /* Never more than a minute's worth at once. */
    assert_true(take(l, "ada", 9000000));
    assert_true(take(l, "ada", 9000000));
    assert_false(take(l, "ada", 9000000));
    limits_free(l);
}

static void test_limit__tells_what_is_left(void **state)
{
    struct limits *l;

    (void)state;
    assert_int_equal(limits_new(&l, (int64_t[LIMIT_KINDS]){ 1, 60, 1 }), PAT_OK);
    assert_true(take(l, "ada", 0));
    assert_int_equal(got.per_min, 60);
    assert_int_equal(got.left, 59);
    assert_int_equal(got.wait_s, 0);
    assert_int_equal(got.full_s, 2);
    for (int i = 0; i < 59; i++)
        assert_true(take(l, "ada", 0));
    assert_int_equal(got.left, 0);
    assert_int_equal(got.full_s, 61);
    limits_free(l);
}

static void test_limit__reads_and_writes_are_counted_apart(void **state)
{
    struct limits *l;

    (void)state;
    assert_int_equal(limits_new(&l, (int64_t[LIMIT_KINDS]){ 1, 1, 1 }), PAT_OK);
    assert_true(take(l, "ada", 0));
    assert_false(take(l, "ada", 0));
    assert_true(limits_take(l, LIMIT_READS, "ada", 0, &got));
    assert_false(limits_take(l, LIMIT_READS, "ada", 0, &got));
    limits_free(l);
}

static void test_limit__forgets_who_was_quiet_longest(void **state)
{
    struct limits *l;
    char who[24];

    (void)state;
    assert_int_equal(limits_new(&l, (int64_t[LIMIT_KINDS]){ 1, 1, 1 }), PAT_OK);
    assert_true(take(l, "first", 0));
    for (int i = 0; i < 4095; i++) {
        snprintf(who, sizeof who, "%d", i);
        assert_true(take(l, who, 0));
    }
    assert_false(take(l, "first", 0)); /* still known, and seen again */
    assert_true(take(l, "one more", 0));
    assert_true(take(l, "0", 0)); /* had been forgotten */
    assert_false(take(l, "first", 0));
    limits_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limit__refills_with_time),
        cmocka_unit_test(test_limit__tells_what_is_left),
        cmocka_unit_test(test_limit__reads_and_writes_are_counted_apart),
        cmocka_unit_test(test_limit__forgets_who_was_quiet_longest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
