/* ws_test.c - WebSocket client against our own server, and raw peers that misbehave at both. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sign.h"
#include "test/net_fixture.h"
#include "ws.h"

#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

/* What one end of a connection has seen. */
struct end {
    struct pat_ws *ws;
    int opened;
    int messages;
    int closed;
    int err;
    int status;
    int code;
    char reason[128];
    char header[64];
    bool text;
    bool echo;
    bool abort_at_message;
    bool close_at_open;
    struct pat_buf last;
};

struct world {
    struct fixture *f;
    struct end client;
    struct end server;
    int refuse_with;
    bool unheard;
    char protocol[64];
    char in[64];
};

static struct world *w;

static void on_open(struct pat_ws *ws, void *arg)
{
    struct end *e = arg;
    const char *header = pat_ws_header(ws, "X-Out");

    e->opened++;
    if (header)
        pat_strcpy(e->header, sizeof e->header, header);
    if (e->close_at_open)
        pat_ws_close(ws, 1000, "enough");
}

static void on_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    struct end *e = arg;

    assert_int_equal(e->opened, 1);
    e->messages++;
    e->text = text;
    pat_buf_reset(&e->last);
    assert_int_equal(pat_buf_add(&e->last, data, len), PAT_OK);
    if (e->echo)
        assert_int_equal(pat_ws_send(ws, data, len, text), PAT_OK);
    if (e->abort_at_message) {
        e->ws = NULL;
        pat_ws_abort(ws);
    }
}

static void on_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                      void *arg)
{
    struct end *e = arg;

    assert_ptr_equal(ws, e->ws);
    e->ws = NULL;
    e->closed++;
    e->err = err;
    e->status = status;
    e->code = code;
    pat_strcpy(e->reason, sizeof e->reason, reason);
}

static const struct pat_ws_events events = { on_open, on_message, on_closed };

static int on_upgrade(struct pat_httpd_req *r, struct pat_ws *ws, void *arg)
{
    const char *protocol = pat_httpd_header(r, "Sec-WebSocket-Protocol");
    const char *in = pat_httpd_header(r, "X-In");

    (void)arg;
    pat_strcpy(w->protocol, sizeof w->protocol, protocol ? protocol : "");
    pat_strcpy(w->in, sizeof w->in, in ? in : "");
    if (w->refuse_with)
        return w->refuse_with;
    assert_int_equal(pat_httpd_set_header(r, "X-Out", "out"), PAT_OK);
    if (w->unheard) {
        w->server.opened = 1; /* nobody hears its events */
        return PAT_OK;
    }
    w->server.ws = ws;
    pat_ws_set(ws, &events, &w->server);
    return PAT_OK;
}

static void on_plain(struct pat_httpd_req *r, void *arg)
{
    (void)arg;
    pat_httpd_reply(r, 200, "text/plain", "plain", 5);
}

static void routes(struct pat_httpd *s)
{
    assert_int_equal(pat_httpd_route_ws(s, "/ws/{room}", 100000, on_upgrade, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "GET", "/plain", 0, on_plain, NULL), PAT_OK);
}

static int setup_with(void **state, const char *cert, const char *key)
{
    struct pat_httpd_opts opts = {
        .listen = "127.0.0.1:0", .cert_file = cert, .key_file = key, .max_connections = 4
    };

    w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->f = fixture_new_ca(&opts, routes, cert);
    pat_buf_init(&w->client.last, 1 << 24);
    pat_buf_init(&w->server.last, 1 << 24);
    w->server.echo = true;
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
    fixture_free(w->f);
    assert_null(w->client.ws); /* each was told closed, or let go */
    assert_null(w->server.ws);
    assert_true(w->client.closed <= 1 && w->server.closed <= 1);
    pat_buf_fini(&w->client.last);
    pat_buf_fini(&w->server.last);
    free(w);
    return 0;
}

static void dial(struct pat_ws_opts *opts, const char *scheme_host, const char *path)
{
    char url[256];

    snprintf(url, sizeof url, "%s:%d%s", scheme_host, pat_httpd_port(w->f->server), path);
    opts->url = url;
    if (!opts->connect_timeout_ms)
        opts->connect_timeout_ms = LOOP_UNTIL_MS;
    assert_int_equal(pat_ws_connect(&w->client.ws, w->f->net, opts, &events, &w->client), PAT_OK);
    assert_int_equal(w->client.opened + w->client.closed, 0);
}

static void dial_open(struct pat_ws_opts *opts)
{
    dial(opts, "ws://127.0.0.1", "/ws/a");
    loop_until(w->f->loop, w->client.opened && w->server.opened);
}

static void hang_up(void)
{
    pat_ws_close(w->client.ws, 1000, "bye");
    loop_until(w->f->loop, w->client.closed && w->server.closed);
}

static void test_ws__messages_go_both_ways_and_the_close_is_clean(void **state)
{
    struct pat_ws_opts opts = { 0 };

    (void)state;
    dial_open(&opts);
    assert_int_equal(pat_ws_send(w->client.ws, "hello", 5, true), PAT_OK);
    loop_until(w->f->loop, w->client.messages);
    assert_string_equal(w->client.last.data, "hello");
    assert_true(w->client.text);
    assert_int_equal(pat_ws_send(w->client.ws, "\0\1", 2, false), PAT_OK);
    loop_until(w->f->loop, w->client.messages == 2);
    assert_false(w->client.text);
    assert_memory_equal(w->client.last.data, "\0\1", 2);
    assert_int_equal(pat_ws_send(w->client.ws, "", 0, true), PAT_OK);
    loop_until(w->f->loop, w->client.messages == 3);
    assert_int_equal(w->client.last.len, 0);
    hang_up();
    assert_int_equal(w->client.err, PAT_OK);
    assert_int_equal(w->client.code, 1000);
    assert_int_equal(w->server.err, PAT_OK);
    assert_int_equal(w->server.code, 1000);
    assert_string_equal(w->server.reason, "bye");
}

static void test_ws__the_server_may_close_with_code_and_reason(void **state)
{
    struct pat_ws_opts opts = { 0 };

    (void)state;
    dial_open(&opts);
    pat_ws_close(w->server.ws, 4001, "go away");
    loop_until(w->f->loop, w->client.closed && w->server.closed);
    assert_int_equal(w->client.err, PAT_OK);
    assert_int_equal(w->client.code, 4001);
    assert_string_equal(w->client.reason, "go away");
    assert_int_equal(w->server.err, PAT_OK);
}

static void test_ws__headers_and_protocol_reach_the_other_side(void **state)
{
    static const char *const headers[] = { "X-In: in", "Authorization: Token abc", NULL };
    static const char *const keep[] = { "X-Absent", "x-out", "Upgrade", NULL };
    struct pat_ws_opts opts = { .headers = headers,
                                .protocol = "token, secret",
                                .keep_headers = keep };

    (void)state;
    dial_open(&opts);
    assert_string_equal(w->in, "in");
    assert_string_equal(w->protocol, "token, secret");
    assert_string_equal(w->client.header, "out");
    assert_string_equal(pat_ws_header(w->client.ws, "upgrade"), "websocket");
    assert_null(pat_ws_header(w->client.ws, "X-Absent"));
    hang_up();
}

static void test_ws__large_messages_arrive_whole(void **state)
{
    static char big[100000];
    struct pat_ws_opts opts = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)('a' + i % 23);
    dial_open(&opts);
    assert_int_equal(pat_ws_send(w->client.ws, big, sizeof big, true), PAT_OK);
    loop_until(w->f->loop, w->client.messages);
    assert_int_equal(w->client.last.len, sizeof big);
    assert_memory_equal(w->client.last.data, big, sizeof big);
    hang_up();
}

static void test_ws__many_messages_keep_their_order(void **state)
{
    enum { N = 5000 };
    struct pat_ws_opts opts = { 0 };
    char text[16];

    (void)state;
    dial_open(&opts);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(pat_ws_send(w->client.ws, text, strlen(text), true), PAT_OK);
    }
    loop_until(w->f->loop, w->client.messages == N);
    assert_string_equal(w->client.last.data, "4999");
    hang_up();
    assert_int_equal(w->server.messages, N);
}

static void test_ws__a_message_over_the_limit_ends_the_connection(void **state)
{
    static char big[100001];
    struct pat_ws_opts opts = { 0 };

    (void)state;
    memset(big, 'a', sizeof big);
    dial_open(&opts);
    assert_int_equal(pat_ws_send(w->client.ws, big, sizeof big, true), PAT_OK);
    loop_until(w->f->loop, w->client.closed && w->server.closed);
    assert_int_equal(w->server.err, PAT_E2BIG);
    assert_int_equal(w->server.messages, 0);
    assert_int_equal(w->client.messages, 0);
}

static void test_ws__a_full_queue_takes_nothing(void **state)
{
    static char part[6000]; /* more than is written at once */
    struct pat_ws_opts opts = { .max_queue = 10000 };

    (void)state;
    dial_open(&opts);
    assert_int_equal(pat_ws_send(w->client.ws, part, 6000, false), PAT_OK);
    assert_int_equal(pat_ws_send(w->client.ws, part, 6000, false), PAT_EAGAIN);
    assert_int_equal(pat_ws_send(w->client.ws, part, 4000, false), PAT_OK);
    assert_int_equal(pat_ws_queued(w->client.ws), 10000);
    loop_until(w->f->loop, w->client.messages == 2);
    hang_up();
}

static void test_ws__what_is_queued_goes_out_before_the_close(void **state)
{
    struct pat_ws_opts opts = { 0 };

    (void)state;
    w->server.echo = false;
    dial_open(&opts);
    for (int i = 0; i < 100; i++)
        assert_int_equal(pat_ws_send(w->client.ws, "x", 1, true), PAT_OK);
    pat_ws_close(w->client.ws, 1000, NULL);
    assert_int_equal(pat_ws_send(w->client.ws, "x", 1, true), PAT_ECONN);
    loop_until(w->f->loop, w->client.closed && w->server.closed);
    assert_int_equal(w->server.messages, 100);
}

static void test_ws__a_refused_upgrade_tells_the_status(void **state)
{
    static const struct {
        int refuse_with;
        const char *path;
        int status;
    } rows[] = {
        { PAT_EAUTH, "/ws/a", 401 }, { PAT_EPERM, "/ws/a", 403 }, { PAT_EAGAIN, "/ws/a", 429 },
        { PAT_OK, "/nowhere", 404 }, { PAT_OK, "/plain", 200 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pat_ws_opts opts = { 0 };

        w->client = (struct end){ .last = w->client.last };
        w->refuse_with = rows[i].refuse_with;
        dial(&opts, "ws://127.0.0.1", rows[i].path);
        loop_until(w->f->loop, w->client.closed);
        assert_int_equal(w->client.err, PAT_EUPSTREAM);
        assert_int_equal(w->client.status, rows[i].status);
        assert_int_equal(w->client.opened, 0);
    }
}

static void test_ws__what_cannot_be_reached_is_told_once(void **state)
{
    static const struct {
        const char *url;
        int err;
    } rows[] = {
        { "ws://127.0.0.1:1/", PAT_ECONN },
        { "ws://no-such-name.invalid/", PAT_ECONN },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pat_ws_opts opts = { .url = rows[i].url, .connect_timeout_ms = LOOP_UNTIL_MS };

        w->client = (struct end){ .last = w->client.last };
        assert_int_equal(pat_ws_connect(&w->client.ws, w->f->net, &opts, &events, &w->client),
                         PAT_OK);
        loop_until(w->f->loop, w->client.closed);
        assert_int_equal(w->client.err, rows[i].err);
        pat_loop_run_once(w->f->loop, 1);
        assert_int_equal(w->client.closed, 1);
    }
}

static void test_ws__bad_addresses_are_refused_at_once(void **state)
{
    static const char *const urls[] = { "http://x/",     "ws://",     "ws://x:0/",
                                        "ws://x:70000/", "ws://u@x/", "ws://x/a b" };
    static const char *const split[] = { "A: b\r\nC: d", NULL };
    struct pat_ws_opts opts = { 0 };

    (void)state;
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        opts.url = urls[i];
        assert_int_equal(pat_ws_connect(&w->client.ws, w->f->net, &opts, &events, &w->client),
                         PAT_EINVAL);
    }
    opts.url = "ws://127.0.0.1:1/";
    opts.headers = split;
    assert_int_equal(pat_ws_connect(&w->client.ws, w->f->net, &opts, &events, &w->client),
                     PAT_EINVAL);
}

/* ---- peers that misbehave ---- */

struct mute {
    int fd;
    int accepted;
    char url[64];
};

/* Listens; the kernel accepts, nobody ever answers. */
static void mute_open(struct mute *m)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    m->fd = socket(AF_INET, SOCK_STREAM, 0);
    m->accepted = -1;
    assert_int_equal(bind(m->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(m->fd, 4), 0);
    assert_int_equal(getsockname(m->fd, (struct sockaddr *)&at, &len), 0);
    snprintf(m->url, sizeof m->url, "ws://127.0.0.1:%d/", ntohs(at.sin_port));
}

static void test_ws__a_peer_that_never_answers_times_out(void **state)
{
    struct pat_ws_opts opts = { .connect_timeout_ms = 50 };
    struct mute m;

    (void)state;
    mute_open(&m);
    opts.url = m.url;
    assert_int_equal(pat_ws_connect(&w->client.ws, w->f->net, &opts, &events, &w->client), PAT_OK);
    loop_until(w->f->loop, w->client.closed);
    assert_int_equal(w->client.err, PAT_ETIMEDOUT);
    close(m.fd);
}

static void test_ws__an_answer_that_is_not_http_is_told(void **state)
{
    struct pat_ws_opts opts = { .connect_timeout_ms = LOOP_UNTIL_MS };
    struct mute m;

    (void)state;
    mute_open(&m);
    opts.url = m.url;
    assert_int_equal(pat_ws_connect(&w->client.ws, w->f->net, &opts, &events, &w->client), PAT_OK);
    pat_loop_run_once(w->f->loop, 10);
    m.accepted = accept(m.fd, NULL, NULL);
    assert_int_equal(send(m.accepted, "SSH-2.0-x\r\n\r\n", 13, MSG_NOSIGNAL), 13);
    close(m.accepted);
    loop_until(w->f->loop, w->client.closed);
    assert_int_not_equal(w->client.err, PAT_OK);
    assert_int_equal(w->client.opened, 0);
    close(m.fd);
}

/* A raw client that has upgraded. */
static void raw_upgrade(struct raw *r)
{
    raw_open(r, w->f);
    raw_sends(r, "GET /ws/raw HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\n"
                 "Upgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    loop_until(w->f->loop, raw_pump(r) && strstr(r->in.data, "\r\n\r\n") && w->server.opened);
    assert_non_null(strstr(r->in.data, "HTTP/1.1 101"));
    /* RFC 6455, 1.3: this key's answer. */
    assert_non_null(strcasestr(r->in.data, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert_non_null(strcasestr(r->in.data, "X-Out: out\r\n"));
    pat_buf_reset(&r->in);
}

static void test_ws__fragments_are_put_together(void **state)
{
    struct raw raw;

    (void)state;
    raw_upgrade(&raw);
    raw_send(&raw, "\x01\x83\0\0\0\0one", 9); /* masked with zeros */
    raw_send(&raw, "\x89\x80\0\0\0\0", 6);    /* a ping in between */
    raw_send(&raw, "\x80\x83\0\0\0\0two", 9);
    loop_until(w->f->loop, w->server.messages);
    assert_string_equal(w->server.last.data, "onetwo");
    loop_until(w->f->loop, raw_pump(&raw) && raw.in.len >= 10);
    /* The pong and the echo come in either order. */
    assert_true(!memcmp(raw.in.data, "\x8a\x00\x81\x06onetwo", 10) ||
                !memcmp(raw.in.data, "\x81\x06onetwo\x8a\x00", 10));
    raw_close(&raw);
    loop_until(w->f->loop, w->server.closed);
    assert_int_equal(w->server.err, PAT_ECONN);
    assert_int_equal(w->server.code, 1006);
}

static void test_ws__frames_against_the_rules_end_the_connection(void **state)
{
    static const struct {
        const char *why, *bytes;
        size_t len;
    } rows[] = {
        { "reserved opcode", "\x83\x80\0\0\0\0", 6 },
        { "reserved bit", "\xf1\x81\0\0\0\0a", 7 },
        { "text that is not UTF-8", "\x81\x82\0\0\0\0\xff\xfe", 8 },
        { "continuation of nothing", "\x80\x81\0\0\0\0a", 7 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct raw raw;

        w->server = (struct end){ .last = w->server.last };
        raw_upgrade(&raw);
        raw_send(&raw, rows[i].bytes, rows[i].len);
        loop_until(w->f->loop, raw_pump(&raw) || raw.eof);
        if (raw.in.len) /* a close frame; without our answer it would be waited for */
            assert_int_equal((unsigned char)raw.in.data[0], 0x88);
        raw_close(&raw);
        loop_until(w->f->loop, w->server.closed);
        assert_int_not_equal(w->server.err, PAT_OK);
        assert_int_equal(w->server.messages, 0);
    }
}

static void test_ws__sockets_count_as_connections_until_they_end(void **state)
{
    struct raw up[4], over;

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        w->unheard = i < 3;
        w->server.opened = 0;
        raw_upgrade(&up[i]);
    }
    raw_open(&over, w->f);
    raw_until_eof(&over);
    raw_close(&over);
    raw_close(&up[3]);
    loop_until(w->f->loop, w->server.closed);
    w->server = (struct end){ .last = w->server.last };
    raw_upgrade(&up[3]);
    for (size_t i = 0; i < 4; i++)
        raw_close(&up[i]);
    loop_until(w->f->loop, w->server.closed);
}

static void test_ws__upgrades_that_are_not_are_refused(void **state)
{
    static const struct {
        const char *request, *want;
    } rows[] = {
        { "GET /ws/a HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 426" },
        { "POST /ws/a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 426" },
        { "GET /ws/a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
          "HTTP/1.1 426" },
        { "GET /ws/a HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
          "HTTP/1.1 426" },
        { "GET /plain HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
          "HTTP/1.1 200" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct raw raw;

        raw_open(&raw, w->f);
        raw_sends(&raw, rows[i].request);
        assert_int_equal(strncmp(raw_answer(&raw, false), rows[i].want, 12), 0);
        raw_close(&raw);
    }
    assert_int_equal(w->server.opened, 0);
}

static void test_ws__pings_keep_a_live_peer_and_find_a_dead_one(void **state)
{
    struct pat_ws_opts opts = { .ping_ms = 20 };
    int64_t until;

    (void)state;
    dial_open(&opts);
    until = pat_now_ms() + 120; /* six pings, all answered */
    loop_until(w->f->loop, pat_now_ms() > until);
    assert_int_equal(w->client.closed, 0);
    hang_up();
}

/* Answers the upgrade by hand and then nothing. */
static void mute_upgrade(struct mute *m)
{
    struct pat_ws_opts opts = { .url = m->url, .ping_ms = 20, .connect_timeout_ms = LOOP_UNTIL_MS };
    char in[2048] = "", *key;
    struct pat_buf answer;
    unsigned char sha[20];
    char joined[128];
    ssize_t n = 0;

    assert_int_equal(pat_ws_connect(&w->client.ws, w->f->net, &opts, &events, &w->client), PAT_OK);
    while (!strstr(in, "\r\n\r\n")) {
        ssize_t more;

        pat_loop_run_once(w->f->loop, 5);
        if (m->accepted < 0)
            m->accepted = accept4(m->fd, NULL, NULL, SOCK_NONBLOCK);
        more = recv(m->accepted, in + n, sizeof in - 1 - (size_t)n, 0);
        n += more > 0 ? more : 0;
    }
    key = strcasestr(in, "Sec-WebSocket-Key: ");
    assert_non_null(key);
    snprintf(joined, sizeof joined, "%.24s258EAFA5-E914-47DA-95CA-C5AB0DC85B11", key + 19);
    SHA1((unsigned char *)joined, strlen(joined), sha);
    pat_buf_init(&answer, 512);
    pat_buf_adds(&answer, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                          "Connection: Upgrade\r\nSec-WebSocket-Accept: ");
    pat_base64(&answer, sha, sizeof sha);
    pat_buf_adds(&answer, "\r\n\r\n");
    assert_int_equal(send(m->accepted, answer.data, answer.len, MSG_NOSIGNAL), answer.len);
    pat_buf_fini(&answer);
    loop_until(w->f->loop, w->client.opened);
}

static void test_ws__two_unanswered_pings_end_the_connection(void **state)
{
    struct mute m;

    (void)state;
    mute_open(&m);
    m.accepted = -1;
    mute_upgrade(&m);
    loop_until(w->f->loop, w->client.closed);
    assert_int_equal(w->client.err, PAT_ETIMEDOUT);
    close(m.accepted);
    close(m.fd);
}

static void test_ws__a_close_nobody_answers_ends_after_two_seconds(void **state)
{
    struct mute m;
    int64_t began;

    (void)state;
    mute_open(&m);
    mute_upgrade(&m);
    began = pat_now_ms();
    pat_ws_close(w->client.ws, 1000, "bye");
    loop_until(w->f->loop, w->client.closed);
    assert_int_equal(w->client.err, PAT_ETIMEDOUT);
    assert_in_range(pat_now_ms() - began, 1900, 5000);
    close(m.accepted);
    close(m.fd);
}

/* ---- letting go ---- */

static void test_ws__abort_ends_without_closed(void **state)
{
    struct pat_ws_opts opts = { 0 };

    (void)state;
    dial_open(&opts);
    pat_ws_abort(w->client.ws);
    w->client.ws = NULL;
    loop_until(w->f->loop, w->server.closed);
    assert_int_equal(w->server.err, PAT_ECONN);
    assert_int_equal(w->client.closed, 0);
    pat_ws_abort(NULL);
}

static void test_ws__abort_while_connecting_is_silent(void **state)
{
    struct pat_ws_opts opts = { 0 };

    (void)state;
    for (int turns = 0; turns < 6; turns++) {
        dial(&opts, turns % 2 ? "ws://localhost" : "ws://127.0.0.1", "/ws/a");
        for (int i = 0; i < turns && w->client.ws; i++)
            pat_loop_run_once(w->f->loop, 1);
        pat_ws_abort(w->client.ws);
        w->client = (struct end){ .last = w->client.last, .closed = w->client.closed };
        for (int i = 0; i < 5; i++)
            pat_loop_run_once(w->f->loop, 1);
        assert_int_equal(w->client.closed, 0);
        if (w->server.opened)
            loop_until(w->f->loop, w->server.closed);
        w->server = (struct end){ .last = w->server.last };
    }
}

static void test_ws__abort_in_its_own_message_is_fine_on_both_sides(void **state)
{
    struct pat_ws_opts opts = { 0 };

    (void)state;
    w->client.abort_at_message = true;
    dial_open(&opts);
    assert_int_equal(pat_ws_send(w->server.ws, "1", 1, true), PAT_OK);
    assert_int_equal(pat_ws_send(w->server.ws, "2", 1, true), PAT_OK);
    loop_until(w->f->loop, w->server.closed);
    assert_int_equal(w->client.messages, 1);
    assert_int_equal(w->client.closed, 0);

    w->client = (struct end){ .last = w->client.last };
    w->server = (struct end){ .last = w->server.last, .abort_at_message = true };
    dial_open(&opts);
    assert_int_equal(pat_ws_send(w->client.ws, "1", 1, true), PAT_OK);
    loop_until(w->f->loop, w->client.closed);
    assert_int_equal(w->client.err, PAT_ECONN);
    assert_int_equal(w->server.closed, 0);
}

static void test_ws__close_in_open_or_before_it_is_told(void **state)
{
    struct pat_ws_opts opts = { 0 };

    (void)state;
    w->client.close_at_open = true;
    dial(&opts, "ws://127.0.0.1", "/ws/a");
    loop_until(w->f->loop, w->client.closed && w->server.closed);
    assert_int_equal(w->server.code, 1000);
    assert_string_equal(w->server.reason, "enough");

    w->client = (struct end){ .last = w->client.last };
    w->server = (struct end){ .last = w->server.last };
    dial(&opts, "ws://127.0.0.1", "/ws/a");
    pat_ws_close(w->client.ws, 1000, "never mind");
    assert_int_equal(w->client.closed, 0);
    loop_until(w->f->loop, w->client.closed);
    assert_int_equal(w->client.opened, 0);
    assert_int_equal(w->client.err, PAT_ECANCELED);
}

static void on_closed_close_net(struct pat_ws *ws, int err, int status, int code,
                                const char *reason, void *arg)
{
    struct pat_net *net = w->f->net;

    on_closed(ws, err, status, code, reason, arg);
    w->f->net = NULL;
    pat_net_close(net, fixture_counted, &w->f->net_closed);
}

static void test_ws__the_net_may_be_closed_in_an_event(void **state)
{
    static const struct pat_ws_events last = { on_open, on_message, on_closed_close_net };
    struct pat_ws_opts opts = { 0 };

    (void)state;
    dial_open(&opts);
    pat_ws_set(w->server.ws, &last, &w->server);
    pat_ws_close(w->client.ws, 1000, "bye");
    loop_until(w->f->loop, w->f->net_closed);
    assert_int_equal(w->client.closed + w->server.closed, 2);
}

static void test_ws__closing_the_net_tells_all_of_them(void **state)
{
    struct pat_ws_opts opts = { 0 };

    (void)state;
    dial_open(&opts);
    fixture_close_net(w->f);
    assert_int_equal(w->client.closed, 1);
    assert_int_equal(w->client.err, PAT_ECANCELED);
    assert_int_equal(w->server.closed, 1);
}

static void test_ws__closing_the_net_in_a_handshake_leaves_nothing(void **state)
{
    struct pat_ws_opts opts = { 0 };

    (void)state;
    dial(&opts, "ws://127.0.0.1", "/ws/a");
    pat_loop_run_once(w->f->loop, 1);
    fixture_close_net(w->f);
    assert_int_equal(w->client.closed, 1);
}

static void test_ws__tls_checks_authority_and_name(void **state)
{
    struct pat_ws_opts opts = { 0 };

    (void)state;
    dial(&opts, "wss://localhost", "/ws/a");
    loop_until(w->f->loop, w->client.opened && w->server.opened);
    assert_int_equal(pat_ws_send(w->client.ws, "hello", 5, true), PAT_OK);
    loop_until(w->f->loop, w->client.messages);
    assert_string_equal(w->client.last.data, "hello");
    hang_up();

    w->client = (struct end){ .last = w->client.last };
    w->server = (struct end){ .last = w->server.last };
    dial(&opts, "wss://127.0.0.1", "/ws/a"); /* not what the certificate is for */
    loop_until(w->f->loop, w->client.closed);
    assert_int_equal(w->client.err, PAT_ECONN);
    assert_int_equal(w->server.opened, 0);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_ws__messages_go_both_ways_and_the_close_is_clean),
        T(test_ws__the_server_may_close_with_code_and_reason),
        T(test_ws__headers_and_protocol_reach_the_other_side),
        T(test_ws__large_messages_arrive_whole),
        T(test_ws__many_messages_keep_their_order),
        T(test_ws__a_message_over_the_limit_ends_the_connection),
        T(test_ws__a_full_queue_takes_nothing),
        T(test_ws__what_is_queued_goes_out_before_the_close),
        T(test_ws__a_refused_upgrade_tells_the_status),
        T(test_ws__what_cannot_be_reached_is_told_once),
        T(test_ws__bad_addresses_are_refused_at_once),
        T(test_ws__a_peer_that_never_answers_times_out),
        T(test_ws__an_answer_that_is_not_http_is_told),
        T(test_ws__fragments_are_put_together),
        T(test_ws__frames_against_the_rules_end_the_connection),
        T(test_ws__sockets_count_as_connections_until_they_end),
        T(test_ws__upgrades_that_are_not_are_refused),
        T(test_ws__pings_keep_a_live_peer_and_find_a_dead_one),
        T(test_ws__two_unanswered_pings_end_the_connection),
        T(test_ws__a_close_nobody_answers_ends_after_two_seconds),
        T(test_ws__abort_ends_without_closed),
        T(test_ws__abort_while_connecting_is_silent),
        T(test_ws__abort_in_its_own_message_is_fine_on_both_sides),
        T(test_ws__close_in_open_or_before_it_is_told),
        T(test_ws__the_net_may_be_closed_in_an_event),
        T(test_ws__closing_the_net_tells_all_of_them),
        T(test_ws__closing_the_net_in_a_handshake_leaves_nothing),
        cmocka_unit_test_setup_teardown(test_ws__tls_checks_authority_and_name, setup_tls,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
