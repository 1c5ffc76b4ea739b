/* ws_test.c - WebSocket client against our own server: messages and the clean close. */
#include "test/cmocka.h"

#include "test/ws_fixture.h"

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

static void test_ws__several_messages_go_together_all_or_none(void **state)
{
    static char big[5000];
    const struct pat_ws_part small[] = { { "one", 3 }, { "", 0 }, { big, 200 }, { "four", 4 } };
    const struct pat_ws_part large[] = { { "five", 4 }, { big, 5000 }, { "seven", 5 } };
    struct pat_ws_opts opts = { .max_queue = 8000 };

    (void)state;
    w->server.echo = false;
    dial_open(&opts);
    assert_int_equal(pat_ws_send_all(w->client.ws, small, 4, true), PAT_OK);
    assert_int_equal(pat_ws_queued(w->client.ws), 0);
    loop_until(w->f->loop, w->server.messages == 4);
    assert_string_equal(w->server.last.data, "four");
    assert_int_equal(pat_ws_send_all(w->client.ws, large, 3, true), PAT_OK);
    assert_int_equal(pat_ws_send_all(w->client.ws, large, 3, true), PAT_EAGAIN);
    assert_int_equal(pat_ws_queued(w->client.ws), 5009);
    loop_until(w->f->loop, w->server.messages == 7);
    assert_string_equal(w->server.last.data, "seven");
    hang_up();
    assert_int_equal(w->server.messages, 7);
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

int main(void)
{
    static const struct CMUnitTest tests[] = {
        T(test_ws__messages_go_both_ways_and_the_close_is_clean),
        T(test_ws__the_server_may_close_with_code_and_reason),
        T(test_ws__headers_and_protocol_reach_the_other_side),
        T(test_ws__large_messages_arrive_whole),
        T(test_ws__many_messages_keep_their_order),
        T(test_ws__several_messages_go_together_all_or_none),
        T(test_ws__a_message_over_the_limit_ends_the_connection),
        T(test_ws__a_full_queue_takes_nothing),
        T(test_ws__what_is_queued_goes_out_before_the_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
