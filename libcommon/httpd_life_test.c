/* httpd_life_test.c - the HTTP server's requests that outlive something: late replies, streams,
 * draining. Against raw sockets and our own client. */
#include "test/cmocka.h"

#include "http.h"
#include "test/httpd_fixture.h"

#include <stdlib.h>

/* ---- held ---- */

static void count(void *arg)
{
    ++*(int *)arg;
}

static void let_in(void *arg)
{
    struct fixture *f = arg;

    assert_null(held.req); /* nobody was served meanwhile */
    held.calls = 100;
    pat_httpd_hold(f->server, false);
}

static void test_httpd__who_connects_while_it_is_held_is_served_later(void **state)
{
    struct fixture *f = *state;
    struct pat_timer timer;
    struct raw raw;

    pat_httpd_hold(f->server, true);
    raw_open(&raw, f);
    raw_sends(&raw, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(pat_timer_init(&timer, f->loop, let_in, f), PAT_OK);
    pat_timer_start(&timer, 50);
    loop_until(f->loop, held.req);
    assert_int_equal(held.calls, 101);
    pat_httpd_reply(held.req, 204, NULL, NULL, 0);
    loop_until(f->loop, raw_pump(&raw) && strstr(raw.in.data, "204 No Content"));
    raw_close(&raw);
    pat_timer_fini(&timer);
}

static void test_httpd__who_was_held_is_served_before_it_drains(void **state)
{
    struct fixture *f = *state;
    struct raw raw;
    int drained = 0;

    pat_httpd_hold(f->server, true);
    raw_open(&raw, f);
    raw_sends(&raw, "GET /hello/you HTTP/1.1\r\n" HOST "\r\n");
    pat_httpd_drain(f->server, LOOP_UNTIL_MS, count, &drained);
    raw_until_eof(&raw);
    assert_non_null(strstr(raw.in.data, "GET you"));
    raw_close(&raw);
    loop_until(f->loop, drained);
}

/* ---- late replies ---- */

static void test_httpd__a_late_reply_reaches_its_client(void **state)
{
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    raw_sends(&raw, "GET /hold HTTP/1.1\r\n" HOST "\r\nGET /hello/next HTTP/1.1\r\n" HOST "\r\n");
    loop_until(f->loop, held.req);
    assert_false(pat_httpd_gone(held.req));
    pat_httpd_reply(held.req, 204, NULL, NULL, 0);
    loop_until(f->loop, raw_pump(&raw) && strstr(raw.in.data, "GET next"));
    assert_int_equal(strncmp(raw.in.data, "HTTP/1.1 204 No Content\r\n", 25), 0);
    raw_close(&raw);
}

static void test_httpd__a_request_outlives_its_peer(void **state)
{
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    raw_sends(&raw, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(f->loop, held.req);
    raw_close(&raw);
    loop_until(f->loop, pat_httpd_gone(held.req));
    assert_string_equal(pat_httpd_path(held.req), "/hold");
    pat_httpd_reply(held.req, 200, "text/plain", "nobody", 6);
}

static void test_httpd__a_peer_that_only_stopped_sending_gets_its_answer(void **state)
{
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    raw_sends(&raw, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    raw_half_close(&raw);
    loop_until(f->loop, held.req && pat_httpd_gone(held.req));
    pat_httpd_reply(held.req, 200, "text/plain", "late", 4);
    raw_until_eof(&raw);
    assert_non_null(strstr(raw.in.data, "\r\n\r\nlate"));
    raw_close(&raw);
}

static void test_httpd__half_a_request_of_who_stopped_sending_is_not_waited_for(void **state)
{
    static const char *const halves[] = {
        "GET /hello/n",
        "\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nab",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof halves / sizeof halves[0]; i++) {
        struct raw raw;

        held.req = NULL;
        raw_open(&raw, f);
        raw_sends(&raw, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
        raw_sends(&raw, halves[i]);
        raw_half_close(&raw);
        loop_until(f->loop, held.req && pat_httpd_gone(held.req));
        pat_httpd_reply(held.req, 204, NULL, NULL, 0);
        raw_until_eof(&raw);
        assert_non_null(strstr(raw.in.data, "204 No Content"));
        assert_null(strstr(raw.in.data, "408"));
        raw_close(&raw);
    }
}

static void test_httpd__a_request_outlives_the_server(void **state)
{
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    raw_sends(&raw, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(f->loop, held.req);
    fixture_close_net(f);
    assert_true(pat_httpd_gone(held.req));
    pat_httpd_reply(held.req, 200, "text/plain", "nobody", 6);
    raw_close(&raw);
}

/* ---- streams ---- */

static void test_httpd__a_streamed_reply_pushes_back_and_ends(void **state)
{
    static char piece[64 * 1024];
    struct fixture *f = *state;
    struct raw raw;
    size_t sent = 0;
    int err = PAT_OK;

    memset(piece, 's', sizeof piece);
    raw_open(&raw, f);
    raw_sends(&raw, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(f->loop, held.req);
    assert_int_equal(pat_httpd_stream_begin(held.req, 200, "text/event-stream"), PAT_OK);
    while (!err && sent < 1000) {
        err = pat_httpd_stream_send(held.req, piece, sizeof piece);
        sent += !err;
    }
    assert_int_equal(err, PAT_EAGAIN);
    loop_until(f->loop, raw_pump(&raw) && pat_httpd_stream_send(held.req, "last", 4) == PAT_OK);
    pat_httpd_stream_end(held.req);
    loop_until(f->loop, raw_pump(&raw) && raw.in.len > 10 &&
                            !strcmp(raw.in.data + raw.in.len - 5, "0\r\n\r\n"));
    assert_non_null(strstr(raw.in.data, "Transfer-Encoding: chunked\r\n\r\n10000\r\nsss"));
    assert_non_null(strstr(raw.in.data, "\r\n4\r\nlast\r\n0\r\n\r\n"));
    assert_true(raw.in.len > sent * sizeof piece);
    raw_close(&raw);
}

static void test_httpd__a_stream_to_a_peer_that_left_says_so(void **state)
{
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    raw_sends(&raw, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(f->loop, held.req);
    assert_int_equal(pat_httpd_stream_begin(held.req, 200, "text/event-stream"), PAT_OK);
    raw_close(&raw);
    loop_until(f->loop, pat_httpd_stream_send(held.req, "data: x\n\n", 9) == PAT_ECONN);
    pat_httpd_stream_end(held.req);
}

static void test_httpd__a_stream_of_known_length_is_whole_or_breaks_off(void **state)
{
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    raw_sends(&raw, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(f->loop, held.req);
    assert_int_equal(pat_httpd_stream_begin_len(held.req, 206, "audio/ogg", 5), PAT_OK);
    assert_int_equal(pat_httpd_stream_send(held.req, "abc", 3), PAT_OK);
    assert_int_equal(pat_httpd_stream_send(held.req, "def", 3), PAT_EINVAL);
    assert_int_equal(pat_httpd_stream_send(held.req, "de", 2), PAT_OK);
    pat_httpd_stream_end(held.req);
    held.req = NULL;
    raw_sends(&raw, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(f->loop, raw_pump(&raw) && held.req);
    assert_non_null(strstr(raw.in.data, "Content-Length: 5\r\n\r\nabcde"));
    assert_null(strstr(raw.in.data, "chunked"));
    assert_int_equal(pat_httpd_stream_begin_len(held.req, 200, "audio/ogg", 5), PAT_OK);
    assert_int_equal(pat_httpd_stream_send(held.req, "abc", 3), PAT_OK);
    pat_httpd_stream_end(held.req);
    raw_until_eof(&raw);
    raw_close(&raw);
}

static void test_httpd__a_stream_to_http_1_0_ends_with_the_connection(void **state)
{
    struct fixture *f = *state;
    struct raw raw;

    raw_open(&raw, f);
    raw_sends(&raw, "GET /hold HTTP/1.0\r\n\r\n");
    loop_until(f->loop, held.req);
    assert_int_equal(pat_httpd_stream_begin(held.req, 200, "text/plain"), PAT_OK);
    assert_int_equal(pat_httpd_stream_send(held.req, "ab", 2), PAT_OK);
    assert_int_equal(pat_httpd_stream_send(held.req, "cd", 2), PAT_OK);
    pat_httpd_stream_end(held.req);
    raw_until_eof(&raw);
    assert_non_null(strstr(raw.in.data, "\r\n\r\nabcd"));
    raw_close(&raw);
}

/* ---- draining ---- */

static void test_httpd__drain_waits_for_the_open_request(void **state)
{
    struct fixture *f = *state;
    struct raw busy, idle;
    int drained = 0;

    raw_open(&busy, f);
    raw_open(&idle, f);
    raw_sends(&busy, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(f->loop, held.req);
    pat_httpd_drain(f->server, LOOP_UNTIL_MS, count, &drained);
    raw_until_eof(&idle);
    assert_int_equal(drained, 0);
    pat_httpd_reply(held.req, 200, "text/plain", "done", 4);
    assert_int_equal(drained, 0);
    loop_until(f->loop, drained);
    raw_until_eof(&busy);
    assert_non_null(strstr(busy.in.data, "Connection: close\r\n"));
    assert_non_null(strstr(busy.in.data, "\r\n\r\ndone"));
    assert_int_equal(drained, 1);
    raw_close(&busy);
    raw_close(&idle);
}

static void test_httpd__drain_answers_what_is_on_its_way(void **state)
{
    struct fixture *f = *state;
    struct raw served, unseen, late;
    int drained = 0;

    raw_open(&served, f);
    raw_sends(&served, "GET /hello/a HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(raw_answer(&served, false), "200 OK"));
    raw_open(&late, f);
    raw_connect(&unseen, f); /* with the kernel still */
    raw_sends(&served, "GET /hello/b HTTP/1.1\r\n" HOST "\r\n");
    raw_sends(&unseen, "GET /hello/c HTTP/1.1\r\n" HOST "\r\n");
    pat_httpd_drain(f->server, LOOP_UNTIL_MS, count, &drained);
    raw_sends(&late, "GET /hello/d HTTP/1.1\r\n" HOST "\r\n");
    assert_non_null(strstr(raw_answer(&served, true), "GET b from"));
    assert_non_null(strstr(raw_answer(&unseen, true), "GET c from"));
    assert_non_null(strstr(raw_answer(&late, true), "GET d from"));
    assert_non_null(strstr(late.in.data, "Connection: close\r\n"));
    loop_until(f->loop, drained);
    raw_close(&served);
    raw_close(&unseen);
    raw_close(&late);
}

static void test_httpd__drain_gives_up_at_its_deadline(void **state)
{
    struct fixture *f = *state;
    struct raw raw;
    int drained = 0;

    raw_open(&raw, f);
    raw_sends(&raw, "GET /hold HTTP/1.1\r\n" HOST "\r\n");
    loop_until(f->loop, held.req);
    pat_httpd_drain(f->server, 20, count, &drained);
    loop_until(f->loop, drained);
    raw_until_eof(&raw);
    assert_int_equal(raw.in.len, 0);
    assert_true(pat_httpd_gone(held.req));
    pat_httpd_reply(held.req, 200, NULL, NULL, 0);
    assert_int_equal(drained, 1);
    raw_close(&raw);
}

static void test_httpd__listens_where_it_can_and_says_when_not(void **state)
{
    static const struct {
        const char *listen;
        int err;
    } rows[] = {
        { "127.0.0.1:0", PAT_OK },
        { "[::]:0", PAT_OK },
        { ":0", PAT_OK },
        { "localhost:0", PAT_OK },
        { "127.0.0.1", PAT_EINVAL },
        { "127.0.0.1:x", PAT_EINVAL },
        { "127.0.0.1:99999", PAT_EINVAL },
        { "[::1:0", PAT_EINVAL },
        { "host.test:0", PAT_EINVAL },
    };
    struct fixture *f = *state;
    char taken[32];
    struct pat_httpd_opts opts = { .listen = taken };
    struct pat_httpd *s;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        opts.listen = rows[i].listen;
        assert_int_equal(pat_httpd_new(&s, f->net, &opts), PAT_OK);
        assert_int_equal(pat_httpd_listen(s), rows[i].err);
        assert_int_equal(pat_httpd_port(s) > 0, !rows[i].err);
    }
    snprintf(taken, sizeof taken, "127.0.0.1:%d", pat_httpd_port(f->server));
    opts.listen = taken;
    assert_int_equal(pat_httpd_new(&s, f->net, &opts), PAT_OK);
    assert_int_equal(pat_httpd_listen(s), PAT_EEXIST);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(test_httpd__who_connects_while_it_is_held_is_served_later),
        T(test_httpd__who_was_held_is_served_before_it_drains),
        T(test_httpd__a_late_reply_reaches_its_client),
        T(test_httpd__a_request_outlives_its_peer),
        T(test_httpd__a_peer_that_only_stopped_sending_gets_its_answer),
        T(test_httpd__half_a_request_of_who_stopped_sending_is_not_waited_for),
        T(test_httpd__a_request_outlives_the_server),
        T(test_httpd__a_streamed_reply_pushes_back_and_ends),
        T(test_httpd__a_stream_to_a_peer_that_left_says_so),
        T(test_httpd__a_stream_of_known_length_is_whole_or_breaks_off),
        T(test_httpd__a_stream_to_http_1_0_ends_with_the_connection),
        T(test_httpd__drain_waits_for_the_open_request),
        T(test_httpd__drain_answers_what_is_on_its_way),
        T(test_httpd__drain_gives_up_at_its_deadline),
        T(test_httpd__listens_where_it_can_and_says_when_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
