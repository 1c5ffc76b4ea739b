/* ws_life_test.c - letting go of a WebSocket at any moment: aborted, closed early, with its net. */
#include "test/cmocka.h"

#include "test/ws_fixture.h"

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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(test_ws__abort_ends_without_closed),
        T(test_ws__abort_while_connecting_is_silent),
        T(test_ws__abort_in_its_own_message_is_fine_on_both_sides),
        T(test_ws__close_in_open_or_before_it_is_told),
        T(test_ws__the_net_may_be_closed_in_an_event),
        T(test_ws__closing_the_net_tells_all_of_them),
        T(test_ws__closing_the_net_in_a_handshake_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
