/* http_test.c - the HTTP client against our own server, and against peers that misbehave. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http.h"
#include "test/net_fixture.h"

#include <stdlib.h>
#include <string.h>

struct world {
    struct fixture *f;
    struct pat_http *http;
    struct pat_httpd_req *held;
    int aborted;
};

static struct world *w; /* the routes below need it */

struct outcome {
    int done;
    int err;
    int status;
    char body[256];
    size_t len;
    char header[64];
    int64_t first_byte_ms;
    int pieces;
    char data[256];
    size_t data_len;
    pat_http_id id;
    bool cancel_at_first;
    struct outcome *start_at_first;
};

/* ---- the server's side ---- */

static void on_describe(struct pat_httpd_req *r, void *arg)
{
    const char *type = pat_httpd_header(r, "Content-Type"), *x = pat_httpd_header(r, "X-In");
    const char *agent = pat_httpd_header(r, "User-Agent");
    char text[256];

    (void)arg;
    snprintf(text, sizeof text, "%s|%s|%s|%s|%s|%s", pat_httpd_method(r), pat_httpd_body(r, NULL),
             type ? type : "-", x ? x : "-", pat_httpd_header(r, "Expect") ? "expect" : "-",
             agent && !strncmp(agent, "patchbay/", 9) ? "ours" : "-");
    pat_httpd_set_header(r, "X-Out", "  two words ");
    pat_httpd_reply(r, strcmp(pat_httpd_method(r), "DELETE") ? 200 : 404, "text/plain", text,
                    strlen(text));
}

static void on_hold(struct pat_httpd_req *r, void *arg)
{
    (void)arg;
    w->held = r;
}

static void on_drop(struct pat_httpd_req *r, void *arg)
{
    (void)arg;
    w->aborted++;
    pat_httpd_abort(r);
}

static void on_big(struct pat_httpd_req *r, void *arg)
{
    static char big[100000];

    (void)arg;
    pat_httpd_reply(r, 200, "text/plain", big, sizeof big);
}

static void routes(struct pat_httpd *s)
{
    static const char *const methods[] = { "GET", "POST", "PUT", "PATCH", "DELETE" };

    for (size_t i = 0; i < 5; i++)
        assert_int_equal(pat_httpd_route(s, methods[i], "/describe", 0, on_describe, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "GET", "/hold", 0, on_hold, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "GET", "/drop", 0, on_drop, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "GET", "/big", 0, on_big, NULL), PAT_OK);
}

static int setup_with(void **state, const char *cert, const char *key)
{
    struct pat_httpd_opts opts = { .listen = "127.0.0.1:0", .cert_file = cert, .key_file = key };
    struct pat_http_opts http_opts = { .ca_file = cert };

    w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->f = fixture_new(&opts, routes);
    assert_int_equal(pat_http_new(&w->http, w->f->loop, &http_opts), PAT_OK);
    *state = w;
    return 0;
}

static int setup(void **state)
{
    return setup_with(state, NULL, NULL);
}

static int setup_tls(void **state)
{
    return setup_with(state, TEST_DATA "/localhost.crt", TEST_DATA "/localhost.key");
}

static int teardown(void **state)
{
    (void)state;
    pat_http_free(w->http);
    fixture_free(w->f);
    free(w);
    return 0;
}

/* ---- the client's side ---- */

static void on_done(int err, const struct pat_http_res *res, void *arg)
{
    struct outcome *o = arg;
    char value[64];

    o->done++;
    o->err = err;
    o->status = res->status;
    o->len = res->len;
    o->first_byte_ms = res->first_byte_ms;
    pat_strcpy(o->body, sizeof o->body, res->body);
    if (pat_http_header(res, "x-OUT", value, sizeof value))
        pat_strcpy(o->header, sizeof o->header, value);
    assert_null(pat_http_header(res, "X-Absent", value, sizeof value));
    assert_true(res->total_ms >= res->first_byte_ms);
}

static const char *url(const char *path)
{
    static char text[128];

    snprintf(text, sizeof text, "http://%s%s", w->f->base, path);
    return text;
}

static void start(struct outcome *o, const char *method, const char *path, const char *body)
{
    struct pat_http_req req = { .method = method,
                                .url = url(path),
                                .body = body,
                                .body_len = body ? strlen(body) : 0,
                                .timeout_ms = LOOP_UNTIL_MS };

    assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, o, &o->id), PAT_OK);
    assert_int_equal(o->done, 0);
}

static void on_data(const char *data, size_t len, void *arg)
{
    struct outcome *o = arg;

    o->pieces++;
    assert_true(o->data_len + len < sizeof o->data);
    memcpy(o->data + o->data_len, data, len);
    o->data_len += len;
    if (o->cancel_at_first)
        pat_http_cancel(w->http, o->id);
    if (o->start_at_first && o->pieces == 1)
        start(o->start_at_first, "GET", "/describe", NULL);
}

static void start_stream(struct outcome *o, const char *path, int64_t timeout_ms, int64_t idle_ms)
{
    struct pat_http_req req = { .url = url(path), .timeout_ms = timeout_ms, .idle_ms = idle_ms };

    assert_int_equal(pat_http_start(w->http, &req, on_data, on_done, o, &o->id), PAT_OK);
}

static void test_http__sends_what_was_asked_for(void **state)
{
    static const struct {
        const char *method, *body, *want;
        int status;
    } rows[] = {
        { NULL, NULL, "GET||-|in|-|ours", 200 },
        { "POST", "{}", "POST|{}|text/x|in|-|ours", 200 },
        { "POST", NULL, "POST||-|in|-|ours", 200 },
        { "PUT", "x", "PUT|x|text/x|in|-|ours", 200 },
        { "PATCH", "y", "PATCH|y|text/x|in|-|ours", 200 },
        { "DELETE", NULL, "DELETE||-|in|-|ours", 404 },
        { "HEAD", NULL, "", 200 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *with[] = { "X-In: in", "Content-Type: text/x", NULL };
        const char *without[] = { "X-In: in", NULL };
        struct outcome o = { 0 };
        struct pat_http_req req = { .method = rows[i].method,
                                    .url = url("/describe"),
                                    .headers = rows[i].body ? with : without,
                                    .body = rows[i].body,
                                    .body_len = rows[i].body ? strlen(rows[i].body) : 0,
                                    .timeout_ms = LOOP_UNTIL_MS };

        assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, &o, NULL), PAT_OK);
        loop_until(w->f->loop, o.done);
        assert_int_equal(o.err, PAT_OK);
        assert_int_equal(o.status, rows[i].status);
        assert_string_equal(o.body, rows[i].want);
        assert_string_equal(o.header, "two words");
        assert_int_equal(o.done, 1);
    }
}

static void test_http__refuses_bad_input_at_once(void **state)
{
    static const char *const split[] = { "A: b\r\nC: d", NULL };
    static const char *const nameless[] = { "value", NULL };
    struct pat_http_req rows[] = {
        { .url = "ftp://127.0.0.1/" },
        { .url = "file:///etc/passwd" },
        { .url = "http://127.0.0.1/", .headers = split },
        { .url = "http://127.0.0.1/", .headers = nameless },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(pat_http_start(w->http, &rows[i], NULL, on_done, NULL, NULL), PAT_EINVAL);
}

static bool all_done(const struct outcome *o, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!o[i].done)
            return false;
    return true;
}

static void test_http__many_at_once_all_come_back(void **state)
{
    enum { N = 200 };
    static struct outcome o[N];

    (void)state;
    memset(o, 0, sizeof o);
    for (size_t i = 0; i < N; i++)
        start(&o[i], "POST", "/describe", "b");
    loop_until(w->f->loop, all_done(o, N));
    for (size_t i = 0; i < N; i++)
        assert_int_equal(o[i].status, 200);
}

static void test_http__a_refused_connection_is_told(void **state)
{
    struct outcome o = { 0 };
    struct pat_http_req req = { .url = "http://127.0.0.1:1/", .timeout_ms = LOOP_UNTIL_MS };

    (void)state;
    assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, &o, NULL), PAT_OK);
    loop_until(w->f->loop, o.done);
    assert_int_equal(o.err, PAT_ECONN);
    assert_int_equal(o.status, 0);
}

static void test_http__a_private_address_is_not_connected_to(void **state)
{
    static const char *const hosts[] = { "127.0.0.1", "localhost", "[::ffff:127.0.0.1]",
                                         "2130706433", "0x7f.1" };

    (void)state;
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        struct outcome o = { 0 }, open = { 0 };
        char url[100];
        struct pat_http_req req = { .url = url, .timeout_ms = LOOP_UNTIL_MS };

        snprintf(url, sizeof url, "http://%s:%d/describe", hosts[i], pat_httpd_port(w->f->server));
        if (i == 0) { /* a kept connection to the same place is no way in */
            assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, &open, NULL), PAT_OK);
            loop_until(w->f->loop, open.done);
            assert_int_equal(open.err, PAT_OK);
        }
        req.public_only = true;
        assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, &o, NULL), PAT_OK);
        loop_until(w->f->loop, o.done);
        assert_int_equal(o.err, PAT_ECONN);
        assert_int_equal(o.status, 0);
    }
}

static void test_http__a_peer_that_hangs_up_is_told(void **state)
{
    struct outcome o = { 0 };

    (void)state;
    start(&o, "GET", "/drop", NULL);
    loop_until(w->f->loop, o.done);
    assert_int_equal(o.err, PAT_ECONN);
    assert_true(w->aborted > 0);
}

/* One connection of a server that says this, whatever it is asked. */
struct talker {
    int listener, fd;
    int port;
};

static struct talker talker_new(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;
    struct talker t = { .fd = -1 };

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    t.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(t.listener >= 0);
    assert_int_equal(bind(t.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(t.listener, 1), 0);
    assert_int_equal(getsockname(t.listener, (struct sockaddr *)&at, &len), 0);
    t.port = ntohs(at.sin_port);
    return t;
}

static bool talker_asked(struct talker *t)
{
    char request[4096];

    if (t->fd < 0)
        t->fd = accept4(t->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    return t->fd >= 0 && recv(t->fd, request, sizeof request, 0) > 0;
}

static void test_http__an_answer_that_is_no_http_is_the_peers_fault(void **state)
{
    static const char *const answers[] = { "SSH-2.0-OpenSSH_9.6\r\n", "220 mail ESMTP\r\n",
                                           "\x15\x03\x01 no HTTP" };

    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        struct talker t = talker_new();
        struct outcome o = { 0 };
        char url[64];
        struct pat_http_req req = { .url = url, .timeout_ms = LOOP_UNTIL_MS };

        snprintf(url, sizeof url, "http://127.0.0.1:%d/", t.port);
        assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, &o, NULL), PAT_OK);
        loop_until(w->f->loop, talker_asked(&t));
        assert_int_equal(send(t.fd, answers[i], strlen(answers[i]), MSG_NOSIGNAL),
                         strlen(answers[i]));
        close(t.fd);
        close(t.listener);
        loop_until(w->f->loop, o.done);
        assert_string_equal(pat_err_name(o.err), pat_err_name(PAT_EPROTO));
        assert_int_equal(o.status, 0);
    }
}

static void test_http__a_range_tells_the_whole_or_is_refused(void **state)
{
    static const struct {
        int status;
        const char *headers;
        uint64_t from, total; /* 0: refused */
    } rows[] = {
        { 206, "Content-Range: bytes 0-3/10\r\n", 0, 10 },
        { 206, "content-range: bytes 6-9/10\r\n", 6, 10 },
        { 206, "Content-Range: bytes 6-9/10\r\n", 5, 0 },
        { 206, "Content-Range: bytes 0-4/10\r\n", 0, 0 },
        { 206, "Content-Range: bytes 7-10/10\r\n", 7, 0 },
        { 206, "Content-Range: bytes 7-6/10\r\n", 7, 0 },
        { 206, "Content-Range: bytes 0-3/*\r\n", 0, 0 },
        { 206, "", 0, 0 },
        { 200, "", 0, 4 },
        { 200, "", 4, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pat_http_res res = {
            .status = rows[i].status, .headers = rows[i].headers, .body = "abcd", .len = 4
        };
        uint64_t total = 0;
        int err = pat_http_range_total(&res, rows[i].from, &total);

        assert_int_equal(err, rows[i].total ? PAT_OK : PAT_EPROTO);
        if (!err)
            assert_int_equal(total, rows[i].total);
    }
}

static void test_http__a_silent_peer_times_out(void **state)
{
    struct outcome o = { 0 };
    struct pat_http_req req = { .url = url("/hold"), .timeout_ms = 30 };
    int64_t began = pat_now_ms();

    (void)state;
    assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, &o, NULL), PAT_OK);
    loop_until(w->f->loop, o.done);
    assert_int_equal(o.err, PAT_ETIMEDOUT);
    assert_in_range(pat_now_ms() - began, 29, 5000);
    loop_until(w->f->loop, w->held && pat_httpd_gone(w->held));
    pat_httpd_abort(w->held);
}

static void test_http__an_answer_over_the_limit_is_cut_off(void **state)
{
    struct outcome o = { 0 };
    struct pat_http_req req = { .url = url("/big"),
                                .timeout_ms = LOOP_UNTIL_MS,
                                .max_body = 99999 };

    (void)state;
    assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, &o, NULL), PAT_OK);
    loop_until(w->f->loop, o.done);
    assert_int_equal(o.err, PAT_E2BIG);
    req.max_body = 100000;
    req.url = url("/big");
    o.done = 0;
    assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, &o, NULL), PAT_OK);
    loop_until(w->f->loop, o.done);
    assert_int_equal(o.err, PAT_OK);
    assert_int_equal(o.len, 100000);
}

static void test_http__canceled_does_not_call_back(void **state)
{
    struct outcome before = { 0 }, under_way = { 0 };

    (void)state;
    start(&before, "GET", "/hold", NULL);
    pat_http_cancel(w->http, before.id);
    start(&under_way, "GET", "/hold", NULL);
    loop_until(w->f->loop, w->held);
    pat_http_cancel(w->http, under_way.id);
    pat_http_cancel(w->http, under_way.id);
    pat_http_cancel(w->http, 0);
    pat_http_cancel(w->http, 12345);
    loop_until(w->f->loop, pat_httpd_gone(w->held));
    pat_httpd_abort(w->held);
    assert_int_equal(before.done + under_way.done, 0);
}

static void test_http__a_stream_comes_piece_by_piece(void **state)
{
    struct outcome o = { 0 };

    (void)state;
    start_stream(&o, "/hold", LOOP_UNTIL_MS, LOOP_UNTIL_MS);
    loop_until(w->f->loop, w->held);
    assert_int_equal(pat_httpd_stream_begin(w->held, 200, "text/event-stream"), PAT_OK);
    assert_int_equal(pat_httpd_stream_send(w->held, "data: 1\n\n", 9), PAT_OK);
    loop_until(w->f->loop, o.pieces == 1);
    assert_int_equal(o.done, 0);
    assert_int_equal(pat_httpd_stream_send(w->held, "data: 2\n\n", 9), PAT_OK);
    loop_until(w->f->loop, o.pieces == 2);
    pat_httpd_stream_end(w->held);
    loop_until(w->f->loop, o.done);
    assert_int_equal(o.err, PAT_OK);
    assert_int_equal(o.status, 200);
    assert_string_equal(o.data, "data: 1\n\ndata: 2\n\n");
    assert_int_equal(o.len, 0);
}

static void test_http__a_stream_that_pauses_too_long_times_out(void **state)
{
    struct outcome o = { 0 };

    (void)state;
    start_stream(&o, "/hold", LOOP_UNTIL_MS, 40);
    loop_until(w->f->loop, w->held);
    assert_int_equal(pat_httpd_stream_begin(w->held, 200, "text/event-stream"), PAT_OK);
    assert_int_equal(pat_httpd_stream_send(w->held, "x", 1), PAT_OK);
    loop_until(w->f->loop, o.done);
    assert_int_equal(o.err, PAT_ETIMEDOUT);
    assert_int_equal(o.pieces, 1);
    pat_httpd_stream_end(w->held);
}

static void test_http__an_error_body_is_not_streamed(void **state)
{
    struct outcome o = { 0 };

    (void)state;
    start_stream(&o, "/nowhere", LOOP_UNTIL_MS, 0);
    loop_until(w->f->loop, o.done);
    assert_int_equal(o.status, 404);
    assert_int_equal(o.pieces, 0);
    assert_non_null(strstr(o.body, "not_found"));
}

static void test_http__a_data_callback_may_cancel_itself_and_start_another(void **state)
{
    struct outcome o = { .cancel_at_first = true }, other = { 0 };

    (void)state;
    o.start_at_first = &other;
    start_stream(&o, "/hold", LOOP_UNTIL_MS, 0);
    loop_until(w->f->loop, w->held);
    assert_int_equal(pat_httpd_stream_begin(w->held, 200, "text/event-stream"), PAT_OK);
    assert_int_equal(pat_httpd_stream_send(w->held, "x", 1), PAT_OK);
    loop_until(w->f->loop, other.done);
    assert_int_equal(other.status, 200);
    loop_until(w->f->loop, pat_httpd_gone(w->held));
    pat_httpd_stream_end(w->held);
    assert_int_equal(o.done, 0);
    assert_int_equal(o.pieces, 1);
}

static void test_http__freeing_the_client_cancels_all(void **state)
{
    struct outcome o = { 0 };

    (void)state;
    start(&o, "GET", "/hold", NULL);
    loop_until(w->f->loop, w->held);
    pat_http_free(w->http);
    w->http = NULL;
    loop_until(w->f->loop, pat_httpd_gone(w->held));
    pat_httpd_abort(w->held);
    assert_int_equal(o.done, 0);
}

static void test_http__tls_checks_authority_and_name(void **state)
{
    struct outcome good = { 0 }, bad_name = { 0 }, bad_ca = { 0 };
    struct pat_http *strangers;
    struct pat_http_req req = { .timeout_ms = LOOP_UNTIL_MS };
    char text[64];

    (void)state;
    snprintf(text, sizeof text, "https://localhost:%d/big", pat_httpd_port(w->f->server));
    req.url = text;
    assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, &good, NULL), PAT_OK);
    loop_until(w->f->loop, good.done);
    assert_int_equal(good.err, PAT_OK);
    assert_int_equal(good.status, 200);
    assert_int_equal(good.len, 100000);
    assert_int_equal(pat_http_new(&strangers, w->f->loop, NULL), PAT_OK);
    assert_int_equal(pat_http_start(strangers, &req, NULL, on_done, &bad_ca, NULL), PAT_OK);
    snprintf(text, sizeof text, "https://127.0.0.1:%d/big", pat_httpd_port(w->f->server));
    assert_int_equal(pat_http_start(w->http, &req, NULL, on_done, &bad_name, NULL), PAT_OK);
    loop_until(w->f->loop, bad_name.done && bad_ca.done);
    assert_int_equal(bad_name.err, PAT_ECONN);
    assert_int_equal(bad_ca.err, PAT_ECONN);
    pat_http_free(strangers);
}

static void test_url_encode__leaves_only_unreserved_characters(void **state)
{
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 100);
    assert_int_equal(pat_url_encode(&b, "aZ09-._~ /?&=+%\xc3\xa4"), PAT_OK);
    assert_string_equal(b.data, "aZ09-._~%20%2F%3F%26%3D%2B%25%C3%A4");
    pat_buf_fini(&b);
    pat_buf_init(&b, 2);
    assert_int_equal(pat_url_encode(&b, "/"), PAT_E2BIG);
    pat_buf_fini(&b);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_http__sends_what_was_asked_for),
        T(test_http__refuses_bad_input_at_once),
        T(test_http__many_at_once_all_come_back),
        T(test_http__a_refused_connection_is_told),
        T(test_http__a_private_address_is_not_connected_to),
        T(test_http__a_peer_that_hangs_up_is_told),
        T(test_http__an_answer_that_is_no_http_is_the_peers_fault),
        T(test_http__a_range_tells_the_whole_or_is_refused),
        T(test_http__a_silent_peer_times_out),
        T(test_http__an_answer_over_the_limit_is_cut_off),
        T(test_http__canceled_does_not_call_back),
        T(test_http__a_stream_comes_piece_by_piece),
        T(test_http__a_stream_that_pauses_too_long_times_out),
        T(test_http__an_error_body_is_not_streamed),
        T(test_http__a_data_callback_may_cancel_itself_and_start_another),
        T(test_http__freeing_the_client_cancels_all),
        cmocka_unit_test_setup_teardown(test_http__tls_checks_authority_and_name, setup_tls,
                                        teardown),
        cmocka_unit_test(test_url_encode__leaves_only_unreserved_characters),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
