/* httpd_test.c - the HTTP server against raw sockets: what a request may be, and limits. */
#include "test/cmocka.h"

#include "test/httpd_fixture.h"

#include <stdlib.h>

static int setup_small(void **state)
{
    static const struct pat_httpd_opts opts = { .listen = "127.0.0.1:0",
                                                .max_body = 4096,
                                                .max_bodies = 2 * 4096 };

    *state = fixture_new(&opts, routes);
    return 0;
}

static int setup_impatient(void **state)
{
    static const struct pat_httpd_opts opts = { .listen = "127.0.0.1:0",
                                                .header_timeout_ms = 50,
                                                .idle_timeout_ms = 80 };

    *state = fixture_new(&opts, routes);
    return 0;
}

/* ---- raw sockets ---- */

static void test_httpd__answers_each_raw_request_as_the_rfc_says(void **state)
{
    static const struct {
        const char *why, *request;
        const char *want;  /* how the answer begins */
        const char *holds; /* what it holds, or NULL */
        bool closes;
    } rows[] = {
        { "plain", "GET /hello/bob HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n",
          "GET bob from 127.0.0.1 q= who=-", false },
        { "own header and length", "GET /hello/bob HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\n",
          "X-Test: yes\r\nContent-Length: 31\r\n", false },
        { "query", "GET /hello/a?who=a%20b+c&x=1 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
          "q=who=a%20b+c&x=1 who=a b c", false },
        { "escapes in a segment", "GET /hello/%2b49%201 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
          "GET +49 1 from", false },
        { "rest of the path", "GET /files/a/b.js HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
          "GET a/b.js from", false },
        { "absolute form", "GET http://x/hello/z HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200",
          "GET z from", false },
        { "blank line before", "\r\nGET /hello/z HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200", NULL,
          false },
        { "HTTP/1.0 closes", "GET /hello/z HTTP/1.0\r\n\r\n", "HTTP/1.1 200",
          "Connection: close\r\n", true },
        { "HTTP/1.0 asked to stay", "GET /hello/z HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
          "HTTP/1.1 200", "Connection: keep-alive\r\n", false },
        { "asked to close", "GET /hello/z HTTP/1.1\r\n" HOST "Connection: x, Close\r\n\r\n",
          "HTTP/1.1 200", "Connection: close\r\n", true },
        { "body by length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nhello",
          "HTTP/1.1 200", "\r\n\r\nhello", false },
        { "body in chunks",
          "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
          "3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nT: x\r\n\r\n",
          "HTTP/1.1 200", "\r\n\r\nhello", false },
        { "no such path", "GET /nope HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404",
          "{\"error\":{\"code\":\"not_found\"", false },
        { "an empty segment is none", "GET /hello/ HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 404", NULL,
          false },
        { "other method", "GET /echo HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 405",
          "Allow: POST, PUT\r\n", false },
        { "who may GET may HEAD", "DELETE /files/z HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 405",
          "Allow: GET, HEAD\r\n", false },
        { "a literal path is a resource of its own", "DELETE /hello/all HTTP/1.1\r\n" HOST "\r\n",
          "HTTP/1.1 405", "Allow: POST\r\n", false },
        { "and patterns do not take it", "GET /hello/all HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 405",
          "Allow: POST\r\n", false },
        { "error with a field", "GET /fail HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 403",
          "{\"error\":{\"code\":\"forbidden\",\"message\":\"no\",\"field\":\"call.\\\"from\\\"\"}}",
          false },
        { "too long by its length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4097\r\n\r\n",
          "HTTP/1.1 413", "Connection: close\r\n", true },
        { "expectation that is not ours",
          "POST /echo HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 417",
          NULL, true },
        { "slash in disguise", "GET /hello/a%2Fb HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", NULL,
          true },
        { "NUL in disguise", "GET /hello/a%00b HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", NULL,
          true },
        { "broken escape", "GET /hello/a%2 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", NULL, true },
        { "dots", "GET /files/a/%2e%2e/b HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 400", NULL, true },
        { "no host", "GET /hello/a HTTP/1.1\r\n\r\n", "HTTP/1.1 400", NULL, true },
        { "two hosts", "GET /hello/a HTTP/1.1\r\n" HOST HOST "\r\n", "HTTP/1.1 400", NULL, true },
        { "bare line feeds", "GET /hello/a HTTP/1.1\nHost: x\n\n", "HTTP/1.1 400", NULL, true },
        { "blank before the colon", "GET /hello/a HTTP/1.1\r\nHost : x\r\n\r\n", "HTTP/1.1 400",
          NULL, true },
        { "folded line", "GET /hello/a HTTP/1.1\r\n" HOST "A: b\r\n c\r\n\r\n", "HTTP/1.1 400",
          NULL, true },
        { "control byte", "GET /hello/a HTTP/1.1\r\n" HOST "A: b\001\r\n\r\n", "HTTP/1.1 400", NULL,
          true },
        { "two lengths",
          "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
          "HTTP/1.1 400", NULL, true },
        { "signed length", "POST /echo HTTP/1.1\r\n" HOST "Content-Length: +1\r\n\r\nx",
          "HTTP/1.1 400", NULL, true },
        { "length and chunks",
          "POST /echo HTTP/1.1\r\n" HOST
          "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
          "HTTP/1.1 400", NULL, true },
        { "unknown coding", "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip\r\n\r\n",
          "HTTP/1.1 501", NULL, true },
        { "chunk without a size",
          "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n\r\n", "HTTP/1.1 400",
          NULL, true },
        { "chunk longer than its size",
          "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n",
          "HTTP/1.1 400", NULL, true },
        { "chunk size that overflows",
          "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
          "HTTP/1.1 400", NULL, true },
        { "not HTTP", "\x16\x03\x01 garbage\r\n\r\n", "HTTP/1.1 400", NULL, true },
        { "HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/1.1 505", NULL, true },
        { "dropped by the handler", "GET /abort HTTP/1.1\r\n" HOST "\r\n", "", NULL, true },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct raw raw;
        char *answer;

        raw_open(&raw, f);
        raw_sends(&raw, rows[i].request);
        answer = raw_answer(&raw, rows[i].closes);
        if (strncmp(answer, rows[i].want, strlen(rows[i].want)) ||
            (rows[i].holds && !strstr(answer, rows[i].holds)))
            fail_msg("%s: %s", rows[i].why, answer);
        assert_true(strlen(rows[i].want) || !*answer);
        raw_close(&raw);
    }
}

static void test_httpd__head_gets_the_length_and_no_body(void **state)
{
    struct fixture *f = *state;
    struct raw raw;
    char *answer;

    raw_open(&raw, f);
    raw_sends(&raw, "HEAD /hello/bob HTTP/1.1\r\n" HOST "\r\n");
    answer = raw_answer(&raw, false);
    assert_non_null(strstr(answer, "Content-Length: 32\r\n"));
    assert_string_equal(strstr(answer, "\r\n\r\n"), "\r\n\r\n");
    raw_close(&raw);
}

static void test_httpd__pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    raw_sends(&raw, "GET /hello/one HTTP/1.1\r\n" HOST "\r\n"
                    "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\ntwo"
                    "GET /hello/three HTTP/1.1\r\n" HOST "\r\n"
                    "rubbish\r\n\r\n");
    raw_until_eof(&raw);
    assert_non_null(strstr(raw.in.data, "GET one from"));
    assert_non_null(strstr(strstr(raw.in.data, "GET one from"), "\r\n\r\ntwo"));
    assert_non_null(strstr(strstr(raw.in.data, "\r\n\r\ntwo"), "GET three from"));
    assert_non_null(strstr(strstr(raw.in.data, "GET three from"), "HTTP/1.1 400"));
    raw_close(&raw);
}

static void test_httpd__many_requests_at_once_wait_for_their_turn(void **state)
{
    static const char get[] = "GET /hello/one HTTP/1.1\r\n" HOST "\r\n";
    static const char post[] = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4000\r\n\r\n";
    enum { N = 5000 };
    struct fixture *f = *state;
    char body[4000];
    struct raw raw;
    size_t one;

    memset(body, 'b', sizeof body);
    raw_open(&raw, f);
    raw_sends(&raw, get);
    raw_answer(&raw, false);
    one = raw.in.len;
    for (int i = 1; i < N; i++)
        raw_sends(&raw, get);
    raw_sends(&raw, post);
    raw_send(&raw, body, sizeof body);
    loop_until(f->loop, raw_pump(&raw) && raw.in.len > N * one + sizeof body);
    assert_int_equal(strncmp(raw.in.data + (N - 1) * one, "HTTP/1.1 200 OK", 15), 0);
    assert_int_equal(strncmp(raw.in.data + N * one, "HTTP/1.1 200 OK", 15), 0);
    assert_int_equal(raw.in.data[raw.in.len - 1], 'b');
    raw_close(&raw);
}

static void test_httpd__a_request_may_come_byte_by_byte(void **state)
{
    static const char request[] =
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
        "5\r\nhello\r\n0\r\n\r\n";
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    for (size_t i = 0; i < sizeof request - 1; i++) {
        raw_send(&raw, &request[i], 1);
        pat_loop_run_once(f->loop, 0);
    }
    assert_non_null(strstr(raw_answer(&raw, false), "\r\n\r\nhello"));
    raw_close(&raw);
}

static void test_httpd__a_head_over_16_kib_is_refused(void **state)
{
    struct fixture *f = *state;
    struct raw raw;
    char filler[1024];

    memset(filler, 'a', sizeof filler);
    raw_open(&raw, f);
    raw_sends(&raw, "GET /hello/a HTTP/1.1\r\n" HOST "X: ");
    for (int i = 0; i < 17; i++)
        raw_send(&raw, filler, sizeof filler);
    assert_int_equal(strncmp(raw_answer(&raw, true), "HTTP/1.1 431", 12), 0);
    raw_close(&raw);
}

static void test_httpd__a_chunked_body_over_the_limit_is_refused(void **state)
{
    static char filler[4097];
    struct fixture *f = *state;
    struct raw raw;

    memset(filler, 'a', sizeof filler);
    raw_open(&raw, f);
    raw_sends(&raw, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1001\r\n");
    raw_send(&raw, filler, sizeof filler);
    assert_int_equal(strncmp(raw_answer(&raw, true), "HTTP/1.1 413", 12), 0);
    raw_close(&raw);
}

static void test_httpd__too_many_headers_are_refused(void **state)
{
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    raw_sends(&raw, "GET /hello/a HTTP/1.1\r\n" HOST);
    for (int i = 0; i < 70; i++)
        raw_sends(&raw, "A: b\r\n");
    raw_sends(&raw, "\r\n");
    assert_int_equal(strncmp(raw_answer(&raw, true), "HTTP/1.1 431", 12), 0);
    raw_close(&raw);
}

static void test_httpd__continue_is_told_when_the_client_waits_for_it(void **state)
{
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    raw_sends(&raw,
              "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    loop_until(f->loop, raw_pump(&raw) && strstr(raw.in.data, "\r\n\r\n"));
    assert_string_equal(raw.in.data, "HTTP/1.1 100 Continue\r\n\r\n");
    raw_sends(&raw, "ok");
    loop_until(f->loop, raw_pump(&raw) && strstr(raw.in.data, "\r\n\r\nok"));
    raw_close(&raw);
}

static void test_httpd__a_slow_head_or_body_times_out(void **state)
{
    static const char *const starts[] = { "GET /hel", "POST /echo HTTP/1.1\r\n" HOST
                                                      "Content-Length: 5\r\n\r\nhe" };
    struct fixture *f = *state;

    for (size_t i = 0; i < 2; i++) {
        struct raw raw;

        raw_open(&raw, f);
        raw_sends(&raw, starts[i]);
        assert_int_equal(strncmp(raw_answer(&raw, true), "HTTP/1.1 408", 12), 0);
        raw_close(&raw);
    }
}

static void test_httpd__an_idle_connection_is_closed_without_a_word(void **state)
{
    struct fixture *f = *state;
    struct raw silent, kept;

    raw_open(&silent, f);
    raw_open(&kept, f);
    raw_sends(&kept, "GET /hello/a HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(raw_answer(&kept, false), "200 OK"));
    raw_until_eof(&silent);
    assert_int_equal(silent.in.len, 0);
    raw_until_eof(&kept);
    raw_close(&silent);
    raw_close(&kept);
}

static void test_httpd__over_the_limit_who_waits_longest_makes_room(void **state)
{
    struct fixture *f = *state;
    struct raw raw[10];

    raw_open(&raw[0], f); /* the oldest, but it has asked something */
    raw_sends(&raw[0], "GET /hello/a HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(raw_answer(&raw[0], false), "200 OK"));
    for (size_t i = 1; i < 10; i++) {
        raw_open(&raw[i], f);
        raw_sends(&raw[i], "GET /hel");
        pat_loop_run_once(f->loop, 0);
    }
    raw_until_eof(&raw[1]);
    raw_until_eof(&raw[2]);
    assert_int_equal(raw[1].in.len + raw[2].in.len, 0);
    for (size_t i = 3; i < 10; i++) {
        raw_sends(&raw[i], "lo/b HTTP/1.1\r\n" HOST "\r\n");
        assert_non_null(strstr(raw_answer(&raw[i], false), "200 OK"));
    }
    assert_false(raw[0].eof);
    for (size_t i = 0; i < 10; i++)
        raw_close(&raw[i]);
}

static void test_httpd__over_the_limit_of_busy_ones_it_is_closed_at_once(void **state)
{
    struct fixture *f = *state;
    struct pat_httpd_req *reqs[8];
    struct raw raw[9];

    for (int i = 0; i < 8; i++) {
        raw_open(&raw[i], f);
        raw_sends(&raw[i], "GET /hold HTTP/1.1\r\n" HOST "\r\n");
        loop_until(f->loop, held.calls == i + 1);
        reqs[i] = held.req;
    }
    raw_open(&raw[8], f);
    raw_until_eof(&raw[8]);
    assert_int_equal(raw[8].in.len, 0);
    for (int i = 0; i < 8; i++) {
        pat_httpd_reply(reqs[i], 200, NULL, NULL, 0);
        assert_non_null(strstr(raw_answer(&raw[i], false), "200 OK"));
    }
    for (size_t i = 0; i < 9; i++)
        raw_close(&raw[i]);
}

static void test_httpd__all_bodies_together_have_a_limit(void **state)
{
    static const char chunk[] = "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                                "5\r\n12345\r\n0\r\n\r\n";
    struct fixture *f = *state;
    struct raw raw[3], late;

    for (int i = 0; i < 3; i++) {
        raw_open(&raw[i], f);
        raw_sends(&raw[i], "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4096\r\n\r\nx");
        pat_loop_run_once(f->loop, 0);
    }
    assert_non_null(strstr(raw_answer(&raw[2], true), "HTTP/1.1 503"));
    raw_open(&late, f);
    raw_sends(&late, chunk);
    assert_non_null(strstr(raw_answer(&late, true), "HTTP/1.1 503"));
    raw_close(&late);
    raw_close(&raw[0]); /* what it held is free again */
    raw_open(&late, f);
    loop_until(f->loop, (raw_close(&late), raw_open(&late, f), raw_sends(&late, chunk),
                         strstr(raw_answer(&late, false), "\r\n\r\n12345")));
    for (int i = 1; i < 3; i++)
        raw_close(&raw[i]);
    raw_close(&late);
}

/* ---- forms ---- */

static void test_httpd__forms_are_decoded_in_order(void **state)
{
    static const struct {
        const char *type, *body;
        int status;
        const char *want;
    } rows[] = {
        { "application/x-www-form-urlencoded", "a=1&b=x+y%21&a=&c&=d", 200,
          "[a|1][b|x y!][a|][c|][|d]" },
        { "application/x-www-form-urlencoded; charset=utf-8", "&&a=%C3%A4&", 200, "[a|\xc3\xa4]" },
        { "application/x-www-form-urlencoded", "a=%zz", 400, NULL },
        { "application/x-www-form-urlencoded", "a=%00", 400, NULL },
        { "application/x-www-form-urlencoded", "a=%4", 400, NULL },
        { "application/json", "a=1", 400, NULL },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct raw raw;
        char request[1024], *answer;

        snprintf(request, sizeof request,
                 "POST /form HTTP/1.1\r\n" HOST "Content-Type: %s\r\nContent-Length: %zu\r\n\r\n%s",
                 rows[i].type, strlen(rows[i].body), rows[i].body);
        raw_open(&raw, f);
        raw_sends(&raw, request);
        answer = raw_answer(&raw, false);
        assert_int_equal((int)strtol(answer + 9, NULL, 10), rows[i].status);
        if (rows[i].want)
            assert_string_equal(strstr(answer, "\r\n\r\n") + 4, rows[i].want);
        raw_close(&raw);
    }
}

static void test_httpd__a_form_of_more_than_200_fields_is_refused(void **state)
{
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    raw_sends(&raw,
              "POST /form HTTP/1.1\r\n" HOST
              "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 804\r\n\r\n");
    for (int i = 0; i < 201; i++)
        raw_sends(&raw, "a=1&");
    assert_int_equal(strncmp(raw_answer(&raw, false), "HTTP/1.1 400", 12), 0);
    raw_close(&raw);
}

/* RFC 9457, with what was there before as a member. */
static void test_httpd__errors_are_problems_where_asked_for(void **state)
{
    static const struct {
        const char *request, *type, *body;
    } rows[] = {
        { "GET /fail HTTP/1.1\r\n" HOST "\r\n", "Content-Type: application/problem+json\r\n",
          "\r\n\r\n{\"type\":\"about:blank\",\"title\":\"Forbidden\",\"status\":403,"
          "\"code\":\"forbidden\",\"detail\":\"no\",\"field\":\"call.\\\"from\\\"\",\"error\":{"
          "\"code\":\"forbidden\",\"message\":\"no\",\"field\":\"call.\\\"from\\\"\"}}" },
        { "GET /nope HTTP/1.1\r\n" HOST "\r\n", "Cache-Control: no-store\r\n",
          "\"status\":404,\"code\":\"not_found\"" },
        { "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4097\r\n\r\n",
          "Content-Type: application/problem+json\r\n", "\"status\":413,\"code\":\"too_large\"" },
    };
    struct fixture *f = *state;
    struct raw raw;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *answer;

        raw_open(&raw, f);
        raw_sends(&raw, rows[i].request);
        answer = raw_answer(&raw, false);
        assert_non_null(strstr(answer, rows[i].type));
        assert_non_null(strstr(answer, rows[i].body));
        raw_close(&raw);
    }
}

static int setup_problems(void **state)
{
    static const struct pat_httpd_opts opts = { .listen = "127.0.0.1:0",
                                                .max_body = 4096,
                                                .problems = true };

    *state = fixture_new(&opts, routes);
    return 0;
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(test_httpd__answers_each_raw_request_as_the_rfc_says),
        T(test_httpd__head_gets_the_length_and_no_body),
        T(test_httpd__pipelined_requests_are_answered_in_order),
        T(test_httpd__many_requests_at_once_wait_for_their_turn),
        T(test_httpd__a_request_may_come_byte_by_byte),
        T(test_httpd__a_head_over_16_kib_is_refused),
        T(test_httpd__a_chunked_body_over_the_limit_is_refused),
        T(test_httpd__too_many_headers_are_refused),
        T(test_httpd__continue_is_told_when_the_client_waits_for_it),
        T(test_httpd__over_the_limit_who_waits_longest_makes_room),
        T(test_httpd__over_the_limit_of_busy_ones_it_is_closed_at_once),
        cmocka_unit_test_setup_teardown(test_httpd__errors_are_problems_where_asked_for,
                                        setup_problems, teardown),
        cmocka_unit_test_setup_teardown(test_httpd__a_slow_head_or_body_times_out, setup_impatient,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_httpd__an_idle_connection_is_closed_without_a_word,
                                        setup_impatient, teardown),
        cmocka_unit_test_setup_teardown(test_httpd__all_bodies_together_have_a_limit, setup_small,
                                        teardown),
        T(test_httpd__forms_are_decoded_in_order),
        T(test_httpd__a_form_of_more_than_200_fields_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
