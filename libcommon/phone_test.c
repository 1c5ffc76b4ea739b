/* phone_test.c - numbers as people write them, and what is left of them in a log. */
#include "test/cmocka.h"

#include "phone.h"

static void test_normal__finds_the_one_spelling(void **state)
{
    static const struct {
        const char *text, *number; /* NULL: refused */
    } rows[] = {
        { "+15550100001", "+15550100001" },
        { "5550100001", "+15550100001" },
        { "15550100001", "+15550100001" },
        { "(555) 010-0001", "+15550100001" },
        { "0049 30 1234567", "+49301234567" },
        { "+49 (30) 123.45-67", "+49301234567" },
        { "+123456789012345", "+123456789012345" },
        { "+1234567890123456", NULL },
        { "+0555010000", NULL },
        { "555010", NULL },
        { "25550100001", NULL },
        { "", NULL },
        { "+", NULL },
        { "++15550100001", NULL },
        { "1+5550100001", NULL },
        { "+1555010000a", NULL },
        { "sip:me@example.com", NULL },
        { "+1555;010", NULL },
        { "99999999999999999999999999", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[PAT_PHONE_LEN + 1] = "";
        int err = pat_phone_normal(out, rows[i].text);

        assert_int_equal(err, rows[i].number ? PAT_OK : PAT_EINVAL);
        if (rows[i].number) {
            assert_string_equal(out, rows[i].number);
            assert_true(pat_phone_valid(out));
        }
    }
}

static void test_valid__takes_e164_only(void **state)
{
    (void)state;
    assert_true(pat_phone_valid("+4930123456"));
    assert_false(pat_phone_valid("4930123456"));
    assert_false(pat_phone_valid("+4930 123456"));
    assert_false(pat_phone_valid("+49301"));
    assert_false(pat_phone_valid("anonymous"));
}

static void test_allowed__goes_by_prefix(void **state)
{
    (void)state;
    assert_true(pat_phone_allowed("+4930123456", ""));
    assert_true(pat_phone_allowed("+4930123456", NULL));
    assert_true(pat_phone_allowed("+4930123456", "+1, +49"));
    assert_false(pat_phone_allowed("+4830123456", "+1,+49"));
    assert_false(pat_phone_allowed("+4830123456", ", "));
}

static void test_mask__keeps_the_last_four(void **state)
{
    char out[PAT_PHONE_LEN + 1];

    (void)state;
    pat_phone_mask(out, "+15550100001");
    assert_string_equal(out, "+*******0001");
    pat_phone_mask(out, "");
    assert_string_equal(out, "");
    pat_phone_mask(out, "123");
    assert_string_equal(out, "123");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_normal__finds_the_one_spelling),
        cmocka_unit_test(test_valid__takes_e164_only),
        cmocka_unit_test(test_allowed__goes_by_prefix),
        cmocka_unit_test(test_mask__keeps_the_last_four),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
