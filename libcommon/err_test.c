/* err_test.c - one table for all surfaces. */
#include "test/cmocka.h"

#include "err.h"

#include <string.h>

static void test_err__each_value_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = PAT_EINTERNAL; a <= PAT_OK; a++) {
        assert_int_equal(pat_err_from_name(pat_err_name(a)), a);
        assert_true(strlen(pat_err_text(a)) > 0);
        for (int b = PAT_EINTERNAL; b < a; b++)
            assert_string_not_equal(pat_err_name(a), pat_err_name(b));
    }
}

static void test_err__an_unknown_number_is_our_bug(void **state)
{
    (void)state;
    assert_string_equal(pat_err_name(-999), "internal");
    assert_int_equal(pat_err_http_status(7), 500);
}

static void test_err__an_unknown_name_is_the_peers_fault(void **state)
{
    (void)state;
    assert_int_equal(pat_err_from_name("gremlins"), PAT_EUPSTREAM);
    assert_int_equal(pat_err_from_name(""), PAT_EUPSTREAM);
}

static void test_err__what_may_be_tried_again_is_not_the_callers_fault(void **state)
{
    (void)state;
    for (int e = PAT_EINTERNAL; e < PAT_OK; e++)
        if (pat_err_retryable(e))
            assert_true(pat_err_http_status(e) >= 500 || pat_err_http_status(e) == 429);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_err__each_value_has_a_name_of_its_own),
        cmocka_unit_test(test_err__an_unknown_number_is_our_bug),
        cmocka_unit_test(test_err__an_unknown_name_is_the_peers_fault),
        cmocka_unit_test(test_err__what_may_be_tried_again_is_not_the_callers_fault),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
