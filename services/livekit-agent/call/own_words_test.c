/* own_words_test.c - the table has no holes, and speaks the language asked for. */
#include "own_words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const languages[] = { "en-US", "de-DE", "es-MX", "fr", "it-IT", "nl", "pt-BR" };

static void test_own_words__are_whole_in_every_language(void **state)
{
    (void)state;
    for (size_t l = 0; l < sizeof languages / sizeof languages[0]; l++)
        for (int i = 0; i < OWN_WORDS; i++) {
            const char *text = own_words((enum own_words)i, languages[l]);
            const char *english = own_words((enum own_words)i, "en");

            assert_non_null(text);
            if (l && strcmp(text, english) == 0)
                fail_msg("phrase %d is English in %s", i, languages[l]);
            /* A name is put in where English has one, and nothing else looks like a format. */
            assert_int_equal(strstr(text, "%s") != NULL, strstr(english, "%s") != NULL);
            assert_int_equal(strchr(text, '%') == strrchr(text, '%'), 1);
        }
}

static void test_own_words__are_english_where_we_speak_no_other(void **state)
{
    static const char *const others[] = { "", "multi", "ja-JP", "x", "english" };

    (void)state;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_string_equal(own_language(others[i]), "en");
        assert_string_equal(own_words(OWN_MOMENT, others[i]), "One moment, please.");
    }
    assert_string_equal(own_language("ES_mx"), "es");
    assert_non_null(strstr(own_words(OWN_GOODBYE, "de-DE"), "Wiederh"));
}

static void test_own_words__are_known_in_their_language_only(void **state)
{
    (void)state;
    assert_true(own_words_has("Un momento, por favor.", "es"));
    assert_false(own_words_has("Un momento, por favor.", "de"));
    assert_false(own_words_has("Buy my tea.", "en"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_own_words__are_whole_in_every_language),
        cmocka_unit_test(test_own_words__are_english_where_we_speak_no_other),
        cmocka_unit_test(test_own_words__are_known_in_their_language_only),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
