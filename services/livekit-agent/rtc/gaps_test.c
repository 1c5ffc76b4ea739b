/* gaps_test.c - what is missing is asked for soon and once more; what came is nobody's business. */
#include "gaps.h"

#include "test/cmocka.h"

#include <string.h>

static struct gaps g;

static int setup(void **state)
{
    (void)state;
    memset(&g, 0, sizeof g);
    return 0;
}

/* Asked for at this moment: how many, of which the first. */
static size_t due(int64_t now_ms, uint16_t *seq, size_t *first)
{
    uint16_t out[GAPS_OPEN];
    size_t n = gaps_due(&g, now_ms * 1000, out, first);

    *seq = n ? out[0] : 0;
    return n;
}

static void test_gaps__asks_soon_and_once_more(void **state)
{
    uint16_t seq;
    size_t first;

    (void)state;
    assert_true(gaps_put(&g, 65534, 0));
    assert_true(gaps_put(&g, 1, 60000)); /* 65535 and 0 are missing */
    assert_int_equal(due(80, &seq, &first), 0);
    assert_int_equal(due(100, &seq, &first), 2);
    assert_int_equal(seq, 65535);
    assert_int_equal(first, 2);
    assert_int_equal(due(120, &seq, &first), 0);
    assert_true(gaps_put(&g, 65535, 120000));
    assert_int_equal(due(165, &seq, &first), 1);
    assert_int_equal(seq, 0);
    assert_int_equal(first, 0);
    assert_int_equal(due(1000, &seq, &first), 0);
}

static void test_gaps__out_of_order_is_not_lost(void **state)
{
    uint16_t seq;
    size_t first;

    (void)state;
    assert_true(gaps_put(&g, 7, 0));
    assert_true(gaps_put(&g, 9, 20000));
    assert_true(gaps_put(&g, 8, 25000));
    assert_int_equal(due(500, &seq, &first), 0);
}

static void test_gaps__each_packet_is_new_once(void **state)
{
    (void)state;
    assert_true(gaps_put(&g, 7, 0));
    assert_false(gaps_put(&g, 7, 0));
    assert_false(gaps_put(&g, 6, 0)); /* before the beginning */
    assert_true(gaps_put(&g, 10, 0));
    assert_true(gaps_put(&g, 8, 0));
    assert_false(gaps_put(&g, 8, 0));
    assert_false(gaps_put(&g, 10, 0));
    for (uint16_t i = 11; i < 100; i++)
        assert_true(gaps_put(&g, i, 0));
    assert_false(gaps_put(&g, 9, 0)); /* too old to tell */
}

static void test_gaps__an_outage_and_a_new_stream_begin_anew(void **state)
{
    uint16_t seq;
    size_t first;

    (void)state;
    assert_true(gaps_put(&g, 7, 0));
    assert_true(gaps_put(&g, 700, 0));
    assert_int_equal(due(500, &seq, &first), 0);
    assert_true(gaps_put(&g, 40000, 0));
    assert_true(gaps_put(&g, 40001, 0));
    assert_true(gaps_put(&g, 30000, 0));
    assert_true(gaps_put(&g, 30001, 0));
    assert_int_equal(due(500, &seq, &first), 0);
}

static void test_gaps__the_list_of_holes_is_bounded(void **state)
{
    uint16_t seq;
    size_t first;

    (void)state;
    for (uint16_t i = 0; i < 100; i += 2)
        assert_true(gaps_put(&g, i, i));
    assert_int_equal(due(500, &seq, &first), GAPS_OPEN);
    assert_int_equal(seq, 97 - 2 * (GAPS_OPEN - 1));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        T(test_gaps__asks_soon_and_once_more),
        T(test_gaps__out_of_order_is_not_lost),
        T(test_gaps__each_packet_is_new_once),
        T(test_gaps__an_outage_and_a_new_stream_begin_anew),
        T(test_gaps__the_list_of_holes_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
