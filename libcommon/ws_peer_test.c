/* ws_peer_test.c - WebSockets against raw peers that misbehave at either end, or fall silent. */
#include "test/cmocka.h"

#include "sign.h"
#include "test/ws_fixture.h"

#include <openssl/sha.h>

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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(test_ws__fragments_are_put_together),
        T(test_ws__frames_against_the_rules_end_the_connection),
        T(test_ws__sockets_count_as_connections_until_they_end),
        T(test_ws__pings_keep_a_live_peer_and_find_a_dead_one),
        T(test_ws__two_unanswered_pings_end_the_connection),
        T(test_ws__a_close_nobody_answers_ends_after_two_seconds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
