/* breaker_test.c - closed, open, half-open. */
#include "test/cmocka.h"

#include "breaker.h"

enum { FAILURES = 5, OPEN_MS = 1000 };

static struct pat_breaker opened_at(int64_t now_ms)
{
    struct pat_breaker b;

    pat_breaker_init(&b, FAILURES, OPEN_MS);
    for (int i = 0; i < FAILURES; i++)
        pat_breaker_failure(&b, now_ms);
    return b;
}

static void test_breaker__opens_after_five_failures_in_a_row(void **state)
{
    struct pat_breaker b;

    (void)state;
    pat_breaker_init(&b, FAILURES, OPEN_MS);
    for (int i = 0; i < FAILURES; i++) {
        assert_int_equal(b.state, PAT_BREAKER_CLOSED);
        assert_true(pat_breaker_allow(&b, i));
        pat_breaker_failure(&b, i);
    }
    assert_int_equal(b.state, PAT_BREAKER_OPEN);
    assert_false(pat_breaker_allow(&b, FAILURES));
}

static void test_breaker__a_success_between_failures_starts_the_count_anew(void **state)
{
    struct pat_breaker b;

    (void)state;
    pat_breaker_init(&b, FAILURES, OPEN_MS);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < FAILURES - 1; i++)
            pat_breaker_failure(&b, round);
        assert_int_equal(b.state, PAT_BREAKER_CLOSED);
        pat_breaker_success(&b);
    }
}

static void test_breaker__lets_one_probe_through_when_the_time_is_over(void **state)
{
    struct pat_breaker b = opened_at(100);

    (void)state;
    assert_false(pat_breaker_allow(&b, 100 + OPEN_MS - 1));
    assert_int_equal(b.state, PAT_BREAKER_OPEN);
    assert_true(pat_breaker_allow(&b, 100 + OPEN_MS));
    assert_int_equal(b.state, PAT_BREAKER_HALF_OPEN);
    assert_false(pat_breaker_allow(&b, 100 + OPEN_MS));
    assert_false(pat_breaker_allow(&b, 100 + OPEN_MS + 500));
}

static void test_breaker__a_probe_that_worked_closes_it(void **state)
{
    struct pat_breaker b = opened_at(0);

    (void)state;
    assert_true(pat_breaker_allow(&b, OPEN_MS));
    pat_breaker_success(&b);
    assert_int_equal(b.state, PAT_BREAKER_CLOSED);
    assert_true(pat_breaker_allow(&b, OPEN_MS));
    assert_true(pat_breaker_allow(&b, OPEN_MS));
    pat_breaker_failure(&b, OPEN_MS);
    assert_int_equal(b.state, PAT_BREAKER_CLOSED);
}

static void test_breaker__a_probe_that_failed_opens_it_for_the_whole_time_again(void **state)
{
    struct pat_breaker b = opened_at(0);

    (void)state;
    assert_true(pat_breaker_allow(&b, OPEN_MS));
    pat_breaker_failure(&b, OPEN_MS + 300);
    assert_int_equal(b.state, PAT_BREAKER_OPEN);
    assert_false(pat_breaker_allow(&b, 2 * OPEN_MS + 299));
    assert_true(pat_breaker_allow(&b, 2 * OPEN_MS + 300));
}

static void test_breaker__a_probe_without_an_outcome_is_given_up(void **state)
{
    struct pat_breaker b = opened_at(0);

    (void)state;
    assert_true(pat_breaker_allow(&b, OPEN_MS));
    assert_false(pat_breaker_allow(&b, 2 * OPEN_MS - 1));
    assert_true(pat_breaker_allow(&b, 2 * OPEN_MS));
    assert_false(pat_breaker_allow(&b, 2 * OPEN_MS));
}

static void test_breaker__outcomes_of_calls_begun_before_do_not_count_while_open(void **state)
{
    struct pat_breaker b = opened_at(0);

    (void)state;
    pat_breaker_success(&b);
    assert_int_equal(b.state, PAT_BREAKER_OPEN);
    pat_breaker_failure(&b, 900); /* nor does it stay open longer for them */
    assert_true(pat_breaker_allow(&b, OPEN_MS));
}

static void test_breaker__tripped_it_stays_open_for_as_long_as_was_said(void **state)
{
    struct pat_breaker b;

    (void)state;
    pat_breaker_init(&b, 5, OPEN_MS);
    pat_breaker_trip(&b, 3 * OPEN_MS, 0);
    pat_breaker_trip(&b, OPEN_MS, 0); /* less than is known already */
    assert_false(pat_breaker_would_allow(&b, 3 * OPEN_MS - 1));
    assert_false(pat_breaker_allow(&b, 3 * OPEN_MS - 1));
    assert_true(pat_breaker_would_allow(&b, 3 * OPEN_MS));
    assert_true(pat_breaker_allow(&b, 3 * OPEN_MS));
    assert_false(pat_breaker_would_allow(&b, 3 * OPEN_MS)); /* the probe is out */
    pat_breaker_failure(&b, 3 * OPEN_MS);
    assert_true(pat_breaker_would_allow(&b, 4 * OPEN_MS)); /* a failed probe: the usual time */
}

static void test_breaker__states_have_names(void **state)
{
    (void)state;
    assert_string_equal(pat_breaker_name(PAT_BREAKER_CLOSED), "closed");
    assert_string_equal(pat_breaker_name(PAT_BREAKER_OPEN), "open");
    assert_string_equal(pat_breaker_name(PAT_BREAKER_HALF_OPEN), "half_open");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_breaker__opens_after_five_failures_in_a_row),
        cmocka_unit_test(test_breaker__a_success_between_failures_starts_the_count_anew),
        cmocka_unit_test(test_breaker__lets_one_probe_through_when_the_time_is_over),
        cmocka_unit_test(test_breaker__a_probe_that_worked_closes_it),
        cmocka_unit_test(test_breaker__a_probe_that_failed_opens_it_for_the_whole_time_again),
        cmocka_unit_test(test_breaker__a_probe_without_an_outcome_is_given_up),
        cmocka_unit_test(test_breaker__outcomes_of_calls_begun_before_do_not_count_while_open),
        cmocka_unit_test(test_breaker__tripped_it_stays_open_for_as_long_as_was_said),
        cmocka_unit_test(test_breaker__states_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
