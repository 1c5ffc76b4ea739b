/* heard_test.c - how much of a text has sounded; phrases kept; the log of a turn machine. */
#include "heard.h"
#include "phrase.h"
#include "sound.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void test_heard__is_estimated_by_length_between_words(void **state)
{
    static const struct {
        int played_ms, whole_ms;
        const char *heard;
    } rows[] = {
        { 0, 2000, "" },
        { 400, 2000, "" }, /* 4 of 21 bytes: inside "Hello" */
        { 600, 2000, "Hello" },
        { 1400, 2000, "Hello there" },
        { 1900, 2000, "Hello there dear Ada." }, /* the rest is the silence at the end */
        { 3000, 2000, "Hello there dear Ada." },
        { 700, 0, "Hello" }, /* length unknown: by speaking pace */
        { 9000, 0, "Hello there dear Ada." },
    };
    static const char text[] = "Hello there dear Ada.";
    const struct heard none = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        size_t n = heard_bytes(&none, text, strlen(text), rows[i].played_ms, rows[i].whole_ms);
        if (n != strlen(rows[i].heard))
            fail_msg("row %zu: %zu bytes, should be \"%s\"", i, n, rows[i].heard);
    }
}

static void test_heard__is_exact_where_the_voice_tells(void **state)
{
    static const char text[] = "Hello there dear Ada.";
    struct heard h = { 0 };

    (void)state;
    heard_mark(&h, 6, 900); /* "Hello " takes long */
    heard_mark(&h, 6, 1000);
    heard_mark(&h, 9, 1500);
    assert_int_equal(heard_bytes(&h, text, strlen(text), 800, 3000), 0);
    assert_int_equal(heard_bytes(&h, text, strlen(text), 900, 3000), 5);
    assert_int_equal(heard_bytes(&h, text, strlen(text), 1200, 3000), 11);
    assert_int_equal(heard_bytes(&h, text, strlen(text), 1500, 3000), strlen(text));
}

static void test_heard__more_marks_than_it_keeps_do_no_harm(void **state)
{
    static char text[2000];
    struct heard h = { 0 };

    (void)state;
    memset(text, 'a', sizeof text);
    for (int i = 0; i < 1000; i++)
        heard_mark(&h, 2, i * 10);
    assert_int_equal(heard_bytes(&h, text, sizeof text, 9990, 100000), sizeof text);
}

static void test_sound__levels_are_decibels_below_overload(void **state)
{
    int16_t loud[960], quiet[960] = { 0 };

    (void)state;
    for (int i = 0; i < 960; i++)
        loud[i] = i % 2 ? 32767 : -32768;
    assert_int_equal(sound_level(loud, 960), 0);
    assert_int_equal(sound_level(quiet, 960), SOUND_SILENT);
    quiet[0] = 1;
    assert_true(sound_level(quiet, 960) > 110);
    for (int i = 0; i < 960; i++)
        loud[i] = (int16_t)(i % 2 ? 3277 : -3277);
    assert_int_equal(sound_level(loud, 960), 19); /* a tenth: 20 dB */
}

static void test_sound__amplifies_without_wrapping(void **state)
{
    int16_t pcm[] = { 100, -100, 30000, -30000 };

    (void)state;
    sound_amplify(pcm, 4, 1.5);
    assert_int_equal(pcm[0], 150);
    assert_int_equal(pcm[1], -150);
    assert_int_equal(pcm[2], 32767);
    assert_int_equal(pcm[3], -32768);
}

static void on_made(struct phrase *p, void *arg)
{
    *(int *)arg = p ? (int)phrase_ms(p) : -1;
}

static void make(struct pat_loop *l, struct phrases *c, const char *key, int ms)
{
    int16_t *pcm = calloc((size_t)ms * SOUND_PER_MS, sizeof *pcm);
    int made = 0;

    for (int i = 0; i < ms * SOUND_PER_MS; i++)
        pcm[i] = (int16_t)(i % 100 < 50 ? 5000 : -5000);
    assert_int_equal(phrases_make(c, key, pcm, (size_t)ms * SOUND_PER_MS, 1, on_made, &made),
                     PAT_OK);
    for (int i = 0; i < 200 && !made; i++)
        pat_loop_run_once(l, 20);
    assert_int_equal(made, ms);
}

static void test_phrases__keep_what_was_used_last(void **state)
{
    struct pat_loop *l;
    struct phrases *c;
    struct phrase *p;

    (void)state;
    assert_int_equal(pat_loop_new(&l), PAT_OK);
    assert_int_equal(phrases_new(&c, l, &(struct phrases_opts){ .max_bytes = 10000 }), PAT_OK);
    assert_null(phrases_get(c, "a"));
    make(l, c, "a", 400);
    assert_in_range(phrases_bytes(c), 1000, 5000);
    make(l, c, "b", 400);
    p = phrases_get(c, "a"); /* used again: b is older now */
    assert_non_null(p);
    for (int i = 0; i < 4; i++) {
        char key[2] = { (char)('c' + i), 0 };
        make(l, c, key, 400);
        phrase_unref(phrases_get(c, "a"));
    }
    assert_true(phrases_bytes(c) <= 10000);
    assert_null(phrases_get(c, "b"));
    phrase_unref(p);
    p = phrases_get(c, "a");
    assert_non_null(p);
    phrases_free(c);
    assert_int_equal(phrase_ms(p), 400); /* whoever plays it keeps it */
    phrase_unref(p);
    assert_int_equal(pat_loop_free(l), PAT_OK);
}

static void test_phrases__silence_alone_is_no_phrase(void **state)
{
    struct pat_loop *l;
    struct phrases *c;
    int made = 0;

    (void)state;
    assert_int_equal(pat_loop_new(&l), PAT_OK);
    assert_int_equal(phrases_new(&c, l, &(struct phrases_opts){ .max_bytes = 10000 }), PAT_OK);
    assert_int_equal(phrases_make(c, "x", NULL, 0, 1, on_made, &made), PAT_OK);
    for (int i = 0; i < 200 && !made; i++)
        pat_loop_run_once(l, 20);
    assert_int_equal(made, -1);
    assert_null(phrases_get(c, "x"));
    phrases_free(c);
    assert_int_equal(pat_loop_free(l), PAT_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_heard__is_estimated_by_length_between_words),
        cmocka_unit_test(test_heard__is_exact_where_the_voice_tells),
        cmocka_unit_test(test_heard__more_marks_than_it_keeps_do_no_harm),
        cmocka_unit_test(test_sound__levels_are_decibels_below_overload),
        cmocka_unit_test(test_sound__amplifies_without_wrapping),
        cmocka_unit_test(test_phrases__keep_what_was_used_last),
        cmocka_unit_test(test_phrases__silence_alone_is_no_phrase),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
