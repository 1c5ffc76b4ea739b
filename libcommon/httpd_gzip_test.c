/* httpd_gzip_test.c - who gets a reply compressed, and what it is then. */
#include "test/cmocka.h"

#include "test/httpd_fixture.h"

#include "httpd_private.h"

#include <stdlib.h>
#include <zlib.h>

enum { TEXT_LEN = 100 * 1000, HUGE_LEN = 9 << 20 };

/* "line 0\nline 1\n..." or, where it shall not shrink, noise. Yours. */
static char *text_new(size_t len, bool noise)
{
    char *text = malloc(len + 32);
    uint32_t x = 1;

    assert_non_null(text);
    for (size_t at = 0, i = 0; !noise && at < len; i++)
        at += (size_t)snprintf(text + at, 32, "line %zu\n", i);
    for (size_t at = 0; noise && at < len; at++) {
        x = x * 1664525 + 1013904223;
        text[at] = (char)(x >> 24);
    }
    return text;
}

static void on_text(struct pat_httpd_req *r, void *arg)
{
    const char *asked = pat_httpd_query_param(r, "len"), *status = pat_httpd_query_param(r, "s");
    size_t len = asked ? strtoul(asked, NULL, 10) : TEXT_LEN;
    char *text = text_new(len, pat_httpd_query_param(r, "noise"));

    if (!arg)
        pat_httpd_allow_gzip(r);
    pat_httpd_set_header(r, "ETag", "W/\"1\"");
    pat_httpd_reply(r, status ? strtol(status, NULL, 10) == 304 ? 304 : 201 : 200, "text/plain",
                    text, len);
    free(text);
}

static void gzip_routes(struct pat_httpd *s)
{
    static bool not_allowed;

    assert_int_equal(pat_httpd_route(s, "GET", "/text", 0, on_text, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "GET", "/secret", 0, on_text, &not_allowed), PAT_OK);
}

static int setup_gzip(void **state)
{
    static const struct pat_httpd_opts opts = { .listen = "127.0.0.1:0" };

    *state = fixture_new(&opts, gzip_routes);
    return 0;
}

/* Head and body of the answer; raw_close afterwards. */
static const char *asks(struct raw *raw, struct fixture *f, const char *line, const char *accept,
                        size_t *len)
{
    char request[256], *body;

    snprintf(request, sizeof request, "%s HTTP/1.1\r\n" HOST "Connection: close\r\n%s%s%s\r\n",
             line, accept ? "Accept-Encoding: " : "", accept ? accept : "", accept ? "\r\n" : "");
    raw_open(raw, f);
    raw_sends(raw, request);
    raw_until_eof(raw);
    body = strstr(raw->in.data, "\r\n\r\n");
    assert_non_null(body);
    *body = '\0';
    *len = raw->in.len - (size_t)(body + 4 - raw->in.data);
    return body + 4;
}

static bool says(const struct raw *raw, const char *header)
{
    return strstr(raw->in.data, header);
}

static unsigned long length_of(const struct raw *raw)
{
    const char *at = strstr(raw->in.data, "Content-Length: ");

    assert_non_null(at);
    return strtoul(at + 16, NULL, 10);
}

static void assert_inflates_to_the_text(const char *body, size_t len)
{
    z_stream z = { .next_in = (unsigned char *)body, .avail_in = (unsigned)len };
    char *text = text_new(TEXT_LEN, false), *out = malloc(TEXT_LEN + 1);

    assert_non_null(out);
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_out = (unsigned char *)out;
    z.avail_out = TEXT_LEN + 1;
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, TEXT_LEN);
    assert_int_equal(z.avail_in, 0);
    assert_memory_equal(out, text, TEXT_LEN);
    inflateEnd(&z);
    free(out);
    free(text);
}

static void test_httpd_gzip__is_what_the_header_asks_for(void **state)
{
    static const struct {
        const char *accept;
        bool takes;
    } rows[] = {
        { NULL, false },
        { "", false },
        { "gzip", true },
        { "GZIP", true },
        { "x-gzip", true },
        { "deflate, gzip, br", true },
        { "br,gzip;q=0.5", true },
        { " gzip ; q=1.0 ,br", true },
        { "gzip;q=0", false },
        { "gzip;q=0.000", false },
        { "gzip; Q=0.001", true },
        { "*", true },
        { "*;q=0", false },
        { "gzip;q=0, *", false },
        { "*;q=0, gzip", true },
        { "identity", false },
        { "identity;q=0.5, gzip;q=1.0", true },
        { "gzip;q=0.5, identity", false },
        { "identity, *", true },
        { "br", false },
        { "gzipped", false },
        { "not-gzip", false },
        { "deflate;gzip", false },
        { "gzip;q", false },
        { "gzip;q=", false },
        { "gzip;q=x", false },
        { "gzip;q=-1", false },
        { ",,, gzip", true },
        { "gzip,", true },
        { ";q=1", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (http_takes_gzip(rows[i].accept) != rows[i].takes)
            fail_msg("%s", rows[i].accept);
}

static void test_httpd_gzip__compresses_what_may_be_and_says_so(void **state)
{
    struct raw raw;
    size_t len;
    const char *body = asks(&raw, *state, "GET /text", "br, gzip", &len);

    assert_true(says(&raw, "Content-Encoding: gzip\r\n"));
    assert_true(says(&raw, "Vary: Accept-Encoding\r\n"));
    assert_int_equal(length_of(&raw), len);
    assert_true(len < TEXT_LEN / 2);
    assert_inflates_to_the_text(body, len);
    raw_close(&raw);
}

static void test_httpd_gzip__a_head_says_what_a_get_would(void **state)
{
    struct raw raw;
    size_t len, get_len;

    (void)asks(&raw, *state, "GET /text", "gzip", &get_len);
    raw_close(&raw);
    (void)asks(&raw, *state, "HEAD /text", "gzip", &len);
    assert_int_equal(len, 0);
    assert_true(says(&raw, "Content-Encoding: gzip\r\n"));
    assert_int_equal(length_of(&raw), get_len);
    raw_close(&raw);
}

static void test_httpd_gzip__leaves_other_answers_as_they_are(void **state)
{
    static const struct {
        const char *line, *accept;
        size_t len;
        bool varies;
    } rows[] = {
        { "GET /text", NULL, TEXT_LEN, true },
        { "GET /text", "gzip;q=0", TEXT_LEN, true },
        { "GET /text", "br", TEXT_LEN, true },
        { "GET /text?len=1023", "gzip", 1023, true },
        { "GET /text?len=0", "gzip", 0, true },
        { "GET /text?len=2000&noise=1", "gzip", 2000, true },
        { "GET /text?len=9437184", "gzip", HUGE_LEN, true },
        { "GET /text?s=201", "gzip", TEXT_LEN, true },
        { "GET /secret", "gzip", TEXT_LEN, false },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct raw raw;
        size_t len;

        (void)asks(&raw, *state, rows[i].line, rows[i].accept, &len);
        if (says(&raw, "Content-Encoding") || says(&raw, "Vary") != rows[i].varies ||
            len != rows[i].len || length_of(&raw) != len)
            fail_msg("%s: %s", rows[i].line, raw.in.data);
        raw_close(&raw);
    }
}

static void test_httpd_gzip__not_modified_has_no_body_to_compress(void **state)
{
    struct raw raw;
    size_t len;

    (void)asks(&raw, *state, "GET /text?s=304", "gzip", &len);
    assert_true(says(&raw, "304 Not Modified"));
    assert_true(says(&raw, "Vary: Accept-Encoding"));
    assert_true(says(&raw, "ETag: W/\"1\""));
    assert_false(says(&raw, "Content-"));
    assert_int_equal(len, 0);
    raw_close(&raw);
}

int main(void)
{
#define G(f) cmocka_unit_test_setup_teardown(f, setup_gzip, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_httpd_gzip__is_what_the_header_asks_for),
        G(test_httpd_gzip__compresses_what_may_be_and_says_so),
        G(test_httpd_gzip__a_head_says_what_a_get_would),
        G(test_httpd_gzip__leaves_other_answers_as_they_are),
        G(test_httpd_gzip__not_modified_has_no_body_to_compress),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
