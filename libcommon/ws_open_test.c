/* ws_open_test.c - becoming a WebSocket, and what cannot: refused, unreachable, silent, not what
 * the certificate says. */
#include "test/cmocka.h"

#include "test/ws_fixture.h"

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

static int setup_tls(void **state)
{
    return setup_with(state, TEST_DATA "/localhost.crt", TEST_DATA "/localhost.key");
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(test_ws__a_refused_upgrade_tells_the_status),
        T(test_ws__what_cannot_be_reached_is_told_once),
        T(test_ws__bad_addresses_are_refused_at_once),
        T(test_ws__a_peer_that_never_answers_times_out),
        T(test_ws__an_answer_that_is_not_http_is_told),
        T(test_ws__upgrades_that_are_not_are_refused),
        cmocka_unit_test_setup_teardown(test_ws__tls_checks_authority_and_name, setup_tls,
                                        teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
