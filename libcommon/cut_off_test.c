#include "cut_off.h"

#include "test/cmocka.h"

#include <string.h>

static char *said(const char *json, size_t max)
{
    PAT_AUTO_JSON j = NULL;
    struct pat_buf out;

    pat_buf_init(&out, 65536);
    if (json)
        assert_int_equal(pat_json_parse(&j, json, strlen(json), NULL), PAT_OK);
    assert_int_equal(pat_cut_off_said(j, max, &out), PAT_OK);
    return pat_buf_take(&out);
}

static void test_cut_off__tells_who_said_what(void **state)
{
    PAT_AUTO_STR text = said(
        "[{\"role\":\"agent\",\"content\":\"Hello.\"},{\"role\":\"user\",\"content\":\"Fence?\"},"
        "{\"role\":\"transfer_target\",\"content\":\"No.\"},{\"role\":\"user\",\"content\":\"\"}]",
        1000);

    (void)state;
    assert_non_null(strstr(text, "What was said before:\nYou: Hello.\nCaller: Fence?"));
    assert_null(strstr(text, "No."));
    assert_string_equal(strstr(text, "Caller: "), "Caller: Fence?");
}

static void test_cut_off__keeps_the_latest_that_fit(void **state)
{
    PAT_AUTO_STR text = said("[{\"role\":\"agent\",\"content\":\"The very first words.\"},"
                             "{\"role\":\"user\",\"content\":\"The last.\"}]",
                             24);

    (void)state;
    assert_null(strstr(text, "first words"));
    assert_non_null(strstr(text, "\nCaller: The last."));
}

static void test_cut_off__says_nothing_of_nothing(void **state)
{
    static const char *const none[] = { NULL, "[]", "{}", "[{\"role\":\"user\",\"content\":\"\"}]",
                                        "[1,null]" };

    (void)state;
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++) {
        PAT_AUTO_STR text = said(none[i], 1000);

        assert_true(!text || !*text);
    }
}

static void test_cut_off__speaks_the_callers_language(void **state)
{
    (void)state;
    assert_non_null(strstr(pat_cut_off_phrase("de-DE"), "unterbrochen"));
    assert_non_null(strstr(pat_cut_off_phrase("pt-BR"), "Desculpe"));
    assert_non_null(strstr(pat_cut_off_phrase("multi"), "cut off"));
    assert_non_null(strstr(pat_cut_off_phrase(""), "cut off"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cut_off__tells_who_said_what),
        cmocka_unit_test(test_cut_off__keeps_the_latest_that_fit),
        cmocka_unit_test(test_cut_off__says_nothing_of_nothing),
        cmocka_unit_test(test_cut_off__speaks_the_callers_language),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
