/* shape_test.c - which ends of a sentence sound like ends. */
#include "shape.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

struct row {
    const char *text, *language;
    enum shape shape;
};

static void check(const struct row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (shape_of(rows[i].text, rows[i].language) != rows[i].shape)
            fail_msg("\"%s\" (%s) is %d, not %d", rows[i].text, rows[i].language,
                     (int)shape_of(rows[i].text, rows[i].language), (int)rows[i].shape);
}

static void test_shape__of_a_sentence_that_goes_on(void **state)
{
    static const struct row rows[] = {
        { "I would like to", "en-US", SHAPE_OPEN },
        { "I would like to.", "en-US", SHAPE_PLAIN }, /* "if you want me to." */
        { "tea and,", "en-US", SHAPE_OPEN },
        { "Tea and.", "en-US", SHAPE_OPEN },
        { "please call back tomorrow,", "en-US", SHAPE_OPEN },
        { "I think \xe2\x80\xa6", "en-US", SHAPE_OPEN },
        { "I think...", "ja", SHAPE_OPEN },
        { "the office", "en-US", SHAPE_PLAIN },
        { "The office.", "en-US", SHAPE_PLAIN },
        { "Yes.", "en-US", SHAPE_PLAIN },
        { "", "en-US", SHAPE_PLAIN },
        { "...", "en-US", SHAPE_PLAIN },
        { "and", "en", SHAPE_OPEN },
        { "and", "ja", SHAPE_PLAIN },
        { "Ich hätte gerne einen", "de-DE", SHAPE_OPEN },
        { "Ich hätte gerne einen Tisch.", "de-DE", SHAPE_PLAIN },
        { "Ich rufe Sie morgen an.", "de-DE", SHAPE_PLAIN },
        { "Quiero hablar con", "es-ES", SHAPE_OPEN },
        { "Je voudrais parler à", "fr", SHAPE_OPEN },
        { "Vorrei un tavolo per", "it-IT", SHAPE_OPEN },
        { "Queria falar com", "pt-BR", SHAPE_OPEN },
    };

    (void)state;
    check(rows, sizeof rows / sizeof rows[0]);
}

static void test_shape__of_somebody_who_thinks(void **state)
{
    static const struct row rows[] = {
        { "Um.", "en-US", SHAPE_OPEN },
        { "Äh", "de-DE", SHAPE_OPEN },
        { "I need, uh", "multi", SHAPE_OPEN },
        { "Let me see.", "en-US", SHAPE_OPEN },
        { "I can see.", "en-US", SHAPE_PLAIN },
        { "Hold on", "en-US", SHAPE_OPEN },
        { "Is the machine on.", "en-US", SHAPE_PLAIN },
        { "It was on the third, sorry.", "en-US", SHAPE_OPEN },
        { "Einen Moment", "de", SHAPE_OPEN },
        { "A ver.", "es", SHAPE_OPEN },
        { "Un instant.", "fr", SHAPE_OPEN },
    };

    (void)state;
    check(rows, sizeof rows / sizeof rows[0]);
}

static void test_shape__of_half_a_number(void **state)
{
    static const struct row rows[] = {
        { "My number is 5 5 5.", "en-US", SHAPE_OPEN },
        { "My number is 555.", "en-US", SHAPE_OPEN },
        { "My number is 5 5 5 1 2 3 4.", "en-US", SHAPE_PLAIN },
        { "My number is 555-1234.", "en-US", SHAPE_PLAIN },
        { "It is zero four one", "en-US", SHAPE_OPEN },
        { "The code is 4 7", "en-US", SHAPE_OPEN },
        { "The code is 4 7 1 9.", "en-US", SHAPE_PLAIN },
        { "A table for 2.", "en-US", SHAPE_PLAIN },
        { "At 10 30.", "en-US", SHAPE_PLAIN },
        { "Meine Nummer ist 0 8 9", "de-DE", SHAPE_OPEN },
        { "It is spelled M I L", "en-US", SHAPE_OPEN },
        { "It is spelled M I L E R.", "en-US", SHAPE_PLAIN },
        { "This is plan B", "en-US", SHAPE_PLAIN },
    };

    (void)state;
    check(rows, sizeof rows / sizeof rows[0]);
}

static void test_shape__of_a_question(void **state)
{
    static const struct row rows[] = {
        { "Are you open on Monday?", "en-US", SHAPE_ASKED },
        { "Sorry?", "en-US", SHAPE_ASKED },
        { "What is it about?", "xx", SHAPE_ASKED },
        { "Stop!", "en-US", SHAPE_PLAIN },
    };

    (void)state;
    check(rows, sizeof rows / sizeof rows[0]);
}

/* Nothing of what a recogniser may send is read beyond its end. */
static void test_shape__of_any_bytes(void **state)
{
    char text[200];

    (void)state;
    for (unsigned seed = 0; seed < 2000; seed++) {
        static const char some[] = "a5 .,?-\xc3\xa9'\xe2\x80\xa6 I";
        unsigned x = seed * 2654435761U;
        size_t len = x % sizeof text;

        for (size_t i = 0; i < len; i++) {
            x = x * 1664525U + 1013904223U;
            text[i] = some[(x >> 16) % (sizeof some - 1)];
        }
        text[len ? len - 1 : 0] = 0;
        assert_in_range(shape_of(text, seed % 2 ? "en" : "de-DE"), SHAPE_PLAIN, SHAPE_ASKED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shape__of_a_sentence_that_goes_on),
        cmocka_unit_test(test_shape__of_somebody_who_thinks),
        cmocka_unit_test(test_shape__of_half_a_number),
        cmocka_unit_test(test_shape__of_a_question),
        cmocka_unit_test(test_shape__of_any_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
