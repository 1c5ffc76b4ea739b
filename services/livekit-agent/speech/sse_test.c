/* sse_test.c - events survive every way of cutting the stream. */
#include "sse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

struct seen {
    char text[1000];
    int stop_at; /* events; 0: never */
    int n;
};

static bool on_event(const char *data, size_t len, void *arg)
{
    struct seen *s = arg;
    size_t at = strlen(s->text);

    assert_true(at + len + 2 < sizeof s->text);
    memcpy(s->text + at, data, len);
    memcpy(s->text + at + len, "|", 2);
    return ++s->n != s->stop_at;
}

/* In pieces of `piece` bytes. */
static int parse(const char *in, size_t piece, struct seen *seen)
{
    struct sse s;
    size_t len = strlen(in);
    int err = PAT_OK;

    sse_init(&s, 200);
    for (size_t at = 0; at < len && !err; at += piece)
        err = sse_feed(&s, in + at, len - at < piece ? len - at : piece, on_event, seen);
    if (!err)
        err = sse_end(&s, on_event, seen);
    sse_fini(&s);
    return err;
}

static void test_sse__reads_events_however_they_are_cut(void **state)
{
    static const struct {
        const char *in, *out, *why;
    } rows[] = {
        { "data: a\n\ndata: b\n\n", "a|b|", "LF" },
        { "data: a\r\n\r\ndata: b\r\n\r\n", "a|b|", "CRLF" },
        { "data: a\r\rdata: b\r\r", "a|b|", "CR alone" },
        { "data: a\r\n\ndata: b\n\r\n", "a|b|", "mixed" },
        { ": ping\n\ndata: a\n\n: x\n", "a|", "comments" },
        { "data:a\n\ndata:  b\n\n", "a| b|", "one blank is cut, no more" },
        { "data: a\ndata: b\n\n", "a\nb|", "several lines" },
        { "data\n\ndata:\n\n", "||", "empty data is an event" },
        { "event: x\nid: 1\nretry: 5\ndata: a\n\n", "a|", "other fields" },
        { "event: x\n\n\n\ndata: a\n\n", "a|", "no data, no event" },
        { "\xEF\xBB\xBF"
          "data: a\n\n",
          "a|", "byte order mark" },
        { "data: \xC3\xA4\xE2\x82\xAC\n\n", "\xC3\xA4\xE2\x82\xAC|", "UTF-8 is never torn" },
        { "data: a\n\ndata: b", "a|b|", "no blank line at the end" },
        { "data: a\n\ndata: b\n", "a|b|", "one line end at the end" },
        { "datax: a\n\n", "", "not data" },
        { "", "", "nothing" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t piece = 1; piece < 30; piece++) {
            struct seen seen = { 0 };

            assert_int_equal(parse(rows[i].in, piece, &seen), PAT_OK);
            if (strcmp(seen.text, rows[i].out) != 0)
                print_message("%s, pieces of %zu\n", rows[i].why, piece);
            assert_string_equal(seen.text, rows[i].out);
        }
}

static void test_sse__stops_when_told(void **state)
{
    struct seen seen = { .stop_at = 1 };

    (void)state;
    assert_int_equal(parse("data: a\n\ndata: b\n\n", 100, &seen), PAT_ECANCELED);
    assert_string_equal(seen.text, "a|");
}

static void test_sse__refuses_an_event_over_its_limit(void **state)
{
    char big[400];
    struct seen seen = { 0 };

    (void)state;
    memset(big, 'x', sizeof big);
    big[sizeof big - 1] = '\0';
    assert_int_equal(parse(big, 7, &seen), PAT_E2BIG);
    memcpy(big, "data: ", 6);
    for (size_t i = 60; i < sizeof big - 8; i += 60)
        memcpy(big + i, "\ndata: ", 7);
    assert_int_equal(parse(big, 400, &seen), PAT_E2BIG);
    assert_int_equal(seen.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sse__reads_events_however_they_are_cut),
        cmocka_unit_test(test_sse__stops_when_told),
        cmocka_unit_test(test_sse__refuses_an_event_over_its_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
