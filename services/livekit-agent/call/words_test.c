/* words_test.c - which words are a turn, and which only keep us company. */
#include "words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_words__backchannels_are_told_from_meaning(void **state)
{
    static const struct {
        const char *text, *language;
        int hard, soft;
    } rows[] = {
        { "", "en", 0, 0 },
        { "Mhm.", "en-US", 0, 1 },
        { "Okay, yeah, right", "en", 0, 3 },
        { "Okay, stop!", "en", 1, 1 },
        { "no", "en", 1, 0 },
        { "Ja, genau.", "de-DE", 0, 2 },
        { "Ja, aber", "de", 1, 1 },
        { "Ähm", "de", 1, 0 }, /* upper-case umlauts: as the locale of a daemon has it */
        { "ähm", "de", 0, 1 },
        { "sí, claro", "es", 0, 2 },
        { "d'accord", "fr-FR", 0, 1 },
        { "ja", "en", 1, 0 }, /* not one of theirs */
        { "ja yes oui", "multi", 0, 3 },
        { "ja", "nl", 0, 1 },       /* no list: any of them */
        { "yesterday", "en", 1, 0 } /* no prefix of a word is the word */
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct words n = words_count(rows[i].text, rows[i].language);

        if (n.hard != rows[i].hard || n.soft != rows[i].soft)
            fail_msg("\"%s\" (%s): %d and %d", rows[i].text, rows[i].language, n.hard, n.soft);
    }
}

static void test_words__are_the_same_whatever_their_dress(void **state)
{
    (void)state;
    assert_true(words_same("Book a table, please.", "book a table please"));
    assert_true(words_same("", " . "));
    assert_false(words_same("a table for four", "a table for five"));
    assert_false(words_same("a table", "a table for"));
    assert_false(words_same("a table for", "a table"));
}

static void test_words__can_be_skipped(void **state)
{
    (void)state;
    assert_string_equal(words_skip("one, two three", 0), "one, two three");
    assert_string_equal(words_skip("one, two three", 2), " three");
    assert_string_equal(words_skip("one, two.", 5), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words__backchannels_are_told_from_meaning),
        cmocka_unit_test(test_words__are_the_same_whatever_their_dress),
        cmocka_unit_test(test_words__can_be_skipped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
