/* allow_test.c - where a call may be transferred to. */
#include "allow.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define CALLER "+15550109999"
#define CALLED "+15550100001"

static void test_allow__follows_the_table(void **state)
{
    static const struct {
        struct allow_in in;
        const char *reason;
    } table[] = {
        { { "+15550123456", CALLER, CALLED, false, "+1", 0, 5 }, NULL },
        { { CALLER, CALLER, CALLED, false, "+1", 0, 5 }, "loop" },
        { { CALLED, CALLER, CALLED, true, "+1", 0, 5 }, "loop" },
        { { "+15550100002", CALLER, CALLED, true, "+1", 0, 5 }, "own_number" },
        { { "+15550123456", "", CALLED, false, "+1", 0, 5 }, NULL },
        { { "+15550123456", CALLER, CALLED, false, "+1", 4, 5 }, NULL },
        { { "+15550123456", CALLER, CALLED, false, "+1", 5, 5 }, "loop" },
        { { "+445550123456", CALLER, CALLED, false, "+1", 0, 5 }, "not_allowed" },
        { { "+19005550123", CALLER, CALLED, false, "+1,!+1900", 0, 5 }, "not_allowed" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const char *got = allow_transfer(&table[i].in);

        if (!table[i].reason)
            assert_null(got);
        else
            assert_string_equal(got, table[i].reason);
    }
}

static void test_allow__the_longest_prefix_decides(void **state)
{
    (void)state;
    assert_true(allow_prefix("+1, +44", "+445550"));
    assert_false(allow_prefix("!+1900,+1", "+1900555"));
    assert_true(allow_prefix("+1900123,!+1900,+1", "+1900123555"));
    assert_false(allow_prefix("", "+15550"));
    assert_false(allow_prefix(" , ,,", "+15550"));
    assert_true(allow_prefix("+", "+15550"));
    assert_false(allow_prefix("!", "+15550"));
}

static void test_allow__so_many_a_minute(void **state)
{
    struct allow_rate r = { 0 };

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(allow_rate(&r, 3, 1000 + i));
    assert_false(allow_rate(&r, 3, 1010));
    assert_false(allow_rate(&r, 3, 60999));
    assert_true(allow_rate(&r, 3, 61000));
    assert_false(allow_rate(&r, 3, 61000));
}

static void test_allow__a_masked_number_shows_four_digits(void **state)
{
    char out[NUMBER_MAX];

    (void)state;
    number_mask(out, "+15550100142");
    assert_string_equal(out, "+*******0142");
    number_mask(out, "+123456");
    assert_string_equal(out, "+******");
    number_mask(out, "");
    assert_string_equal(out, "");
}

static void test_allow__a_forward_goes_in_no_circle_and_not_everywhere(void **state)
{
    static const struct allow_forward good = { .number = "+15550100077",
                                               .from = "+15550109999",
                                               .called = "+15550100001",
                                               .passed_on_from = "",
                                               .prefixes = "+1,!+1900",
                                               .country_allowed = true };
    struct allow_forward in;

    (void)state;
    assert_null(allow_forward(&good));
#define BUT(change, why)                                                                           \
    in = good;                                                                                     \
    in.change;                                                                                     \
    assert_string_equal(allow_forward(&in), why)
    BUT(number = "", "no_forward_number");
    BUT(from = good.number, "forward_loop");
    BUT(called = good.number, "forward_loop");
    BUT(passed_on_from = good.number, "forward_loop");
    BUT(from_is_ours = true, "forward_loop");
    BUT(number_is_ours = true, "forward_own_number");
    BUT(number = "+19005550100", "forward_not_allowed");
    BUT(number = "+4930123456", "forward_not_allowed");
    BUT(country_allowed = false, "country_not_allowed");
    BUT(burst = true, "forward_burst");
    BUT(over_cap = true, "spend_cap");
#undef BUT
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_allow__a_forward_goes_in_no_circle_and_not_everywhere),
        cmocka_unit_test(test_allow__follows_the_table),
        cmocka_unit_test(test_allow__the_longest_prefix_decides),
        cmocka_unit_test(test_allow__so_many_a_minute),
        cmocka_unit_test(test_allow__a_masked_number_shows_four_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
