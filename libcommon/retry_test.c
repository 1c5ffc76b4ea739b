/* retry_test.c - pauses between tries. */
#include "test/cmocka.h"

#include "retry.h"

static void test_retry__doubles_up_to_the_maximum(void **state)
{
    static const int64_t whole[] = { 100, 200, 400, 800, 1000, 1000 };
    struct pat_retry r = PAT_RETRY(100, 1000);

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(whole); i++)
        assert_int_equal(pat_retry_next_ms(&r, UINT32_MAX), whole[i]);
    assert_int_equal(r.attempts, PAT_COUNT(whole));
}

static void test_retry__jitter_stays_between_half_and_whole(void **state)
{
    static const struct {
        uint32_t random;
        int64_t ms;
    } rows[] = {
        { 0, 500 }, { UINT32_MAX / 4, 625 }, { UINT32_MAX / 2, 750 }, { UINT32_MAX, 1000 }
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct pat_retry r = PAT_RETRY(1000, 60000);

        assert_in_range(pat_retry_next_ms(&r, rows[i].random), rows[i].ms - 1, rows[i].ms + 1);
    }
}

static void test_retry__starts_over_after_a_reset(void **state)
{
    struct pat_retry r = PAT_RETRY(100, 1000);

    (void)state;
    for (int i = 0; i < 5; i++)
        (void)pat_retry_next_ms(&r, 0);
    pat_retry_reset(&r);
    assert_int_equal(pat_retry_next_ms(&r, UINT32_MAX), 100);
}

static void test_retry__does_not_overflow_however_often_it_failed(void **state)
{
    struct pat_retry r = { .base_ms = 1000, .max_ms = INT64_MAX, .attempts = 100 };

    (void)state;
    assert_true(pat_retry_next_ms(&r, UINT32_MAX) > 0);
    r = (struct pat_retry){ .base_ms = 1, .max_ms = 5000, .attempts = UINT32_MAX };
    assert_int_equal(pat_retry_next_ms(&r, UINT32_MAX), 5000);
    assert_int_equal(r.attempts, UINT32_MAX);
}

static void test_retry__a_base_above_the_maximum_is_the_maximum(void **state)
{
    struct pat_retry r = PAT_RETRY(5000, 1000);

    (void)state;
    assert_int_equal(pat_retry_next_ms(&r, UINT32_MAX), 1000);
}

static void test_random__is_not_a_constant(void **state)
{
    uint32_t first = pat_random32();
    bool differs = false;

    (void)state;
    for (int i = 0; i < 8; i++)
        differs |= pat_random32() != first;
    assert_true(differs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_retry__doubles_up_to_the_maximum),
        cmocka_unit_test(test_retry__jitter_stays_between_half_and_whole),
        cmocka_unit_test(test_retry__starts_over_after_a_reset),
        cmocka_unit_test(test_retry__does_not_overflow_however_often_it_failed),
        cmocka_unit_test(test_retry__a_base_above_the_maximum_is_the_maximum),
        cmocka_unit_test(test_random__is_not_a_constant),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
