/* chat_mend_test.c - conversations shortened, continued, and not said twice. */
#include "chat_mend.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct pat_json *parsed(const char *text)
{
    struct pat_json *j;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    return j;
}

static void roles(const struct pat_json *messages, char *out, size_t cap)
{
    *out = '\0';
    for (size_t i = 0; i < pat_json_size(messages); i++)
        snprintf(out + strlen(out), cap - strlen(out), "%c",
                 *pat_json_str_or(pat_json_item(messages, i), "role", "?"));
}

static void test_shorten__keeps_the_lead_and_begins_with_the_user(void **state)
{
    static const struct {
        const char *before, *after;
    } rows[] = {
        { "suauauau", "suau" }, { "suattaua", "sua" }, /* no tool's answer without its call */
        { "ssuau", "ssu" },     { "su", NULL },        { "sua", NULL }, { "s", NULL }, { "", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pat_json *m = pat_json_arr(), *s;
        char got[20];

        for (const char *p = rows[i].before; *p; p++) {
            struct pat_json *one = pat_json_obj();

            pat_json_set_str(one, "role",
                             *p == 's'   ? "system"
                             : *p == 'u' ? "user"
                             : *p == 'a' ? "assistant"
                                         : "tool");
            pat_json_add_take(m, one);
        }
        s = chat_shorten(m);
        if (rows[i].after) {
            assert_non_null(s);
            roles(s, got, sizeof got);
            assert_string_equal(got, rows[i].after);
        } else {
            assert_null(s);
        }
        pat_json_free(s);
        pat_json_free(m);
    }
}

static void test_go_on__adds_what_was_said_and_the_wish(void **state)
{
    struct pat_json *m = parsed("[{\"role\":\"user\",\"content\":\"hi\"}]");
    struct pat_json *same = chat_go_on(m, ""), *more = chat_go_on(m, "It costs");

    (void)state;
    assert_int_equal(pat_json_size(same), 1);
    assert_int_equal(pat_json_size(more), 3);
    assert_string_equal(pat_json_str_or(pat_json_item(more, 1), "content", ""), "It costs");
    pat_json_free(m);
    pat_json_free(same);
    pat_json_free(more);
}

static void collect(const char *text, size_t len, void *arg)
{
    struct pat_buf *b = arg;

    assert_int_equal(pat_buf_add(b, text, len), PAT_OK);
}

static void test_repeat__lets_only_new_words_through(void **state)
{
    static const struct {
        const char *said, *again, *heard, *why;
    } rows[] = {
        { "It costs four euros.", "It costs four euros. And a tip.", "And a tip.", "all again" },
        { "It costs four euros.", "it costs, four EUROS! And a tip.", "And a tip.",
          "spelled else" },
        { "It costs four euros.", "And a tip.", "And a tip.", "nothing again" },
        { "It costs four euros.", "It costs nothing.", "It costs nothing.", "a chance likeness" },
        { "It costs four euros and ten cents.", "It costs four euros and two cents.", "two cents.",
          "another word late in it" },
        { "It costs four euros.", "It costs four", "", "ended within" },
        { "It costs four euros.", "It costs four euros.", "", "ended with it" },
        { "", "Anything.", "Anything.", "nothing was said" },
    };

    (void)state;
    for (size_t piece = 1; piece < 9; piece++) {
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            struct chat_repeat r;
            struct pat_buf got;

            pat_buf_init(&got, 1000);
            chat_repeat_init(&r, rows[i].said);
            for (size_t at = 0; at < strlen(rows[i].again); at += piece) {
                size_t left = strlen(rows[i].again) - at;

                chat_repeat_feed(&r, rows[i].again + at, left < piece ? left : piece, collect,
                                 &got);
            }
            assert_string_equal(got.data ? got.data : "", rows[i].heard);
            chat_repeat_fini(&r);
            pat_buf_fini(&got);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shorten__keeps_the_lead_and_begins_with_the_user),
        cmocka_unit_test(test_go_on__adds_what_was_said_and_the_wish),
        cmocka_unit_test(test_repeat__lets_only_new_words_through),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
