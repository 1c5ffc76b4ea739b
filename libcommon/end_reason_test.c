#include "end_reason.h"

#include "test/cmocka.h"

#include <stdbool.h>
#include <string.h>

static void test_end_reason__every_word_is_found_and_is_one_word(void **state)
{
    const struct pat_end_reason *e, *before = NULL;

    (void)state;
    for (size_t i = 0; (e = pat_end_reason_at(i)); i++) {
        assert_ptr_equal(pat_end_reason_find(e->word), e);
        assert_int_equal(strspn(e->word, "abcdefghijklmnopqrstuvwxyz_"), strlen(e->word));
        assert_true(strlen(e->word) <= 40); /* what router.hangup takes */
        assert_true(*e->means);
        if (before)
            assert_true(strcmp(before->word, e->word) < 0);
        before = e;
    }
    assert_non_null(before);
}

static void test_end_reason__outcomes_are_those_of_a_call(void **state)
{
    static const char *const known[] = { "answered", "transferred", "screened", "voicemail",
                                         "failed" };
    const struct pat_end_reason *e;

    (void)state;
    for (size_t i = 0; (e = pat_end_reason_at(i)); i++) {
        bool ok = !e->outcome;

        for (size_t k = 0; k < sizeof known / sizeof known[0]; k++)
            ok = ok || !strcmp(e->outcome, known[k]);
        assert_true(ok);
    }
}

static void test_end_reason__an_unknown_word_is_none(void **state)
{
    (void)state;
    assert_null(pat_end_reason_find("user_hangup"));
    assert_null(pat_end_reason_find(""));
    assert_null(pat_end_reason_find(NULL));
}

static void test_end_reason__owners_have_names(void **state)
{
    (void)state;
    assert_string_equal(pat_owner_name(pat_end_reason_find("caller_hangup")->owner), "caller");
    assert_string_equal(pat_owner_name(pat_end_reason_find("agent_hangup")->owner), "us");
    assert_string_equal(pat_owner_name(pat_end_reason_find("stt_failed")->owner), "provider");
    assert_string_equal(pat_owner_name(pat_end_reason_find("no_answer")->owner), "carrier");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_end_reason__every_word_is_found_and_is_one_word),
        cmocka_unit_test(test_end_reason__outcomes_are_those_of_a_call),
        cmocka_unit_test(test_end_reason__an_unknown_word_is_none),
        cmocka_unit_test(test_end_reason__owners_have_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
