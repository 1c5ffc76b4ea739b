/* bus_it.c - publish, subscribe, requests and rpc against a real nats-server.
 *
 * Run by tests/integration/test_libcommon.py, as are bus_js_it.c and bus_away_it.c.
 */
#include "test/cmocka.h"

#include "rpc.h"
#include "test/bus_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- core ---- */

static void test_bus__delivers_in_order(void **state)
{
    enum { N = 20000 };
    struct fixture *f = *state;
    struct heard h = { 0 };
    struct pat_sub *s;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "order.*", NULL, bus_on_message, &h), PAT_OK);
    for (int i = 1; i <= N; i++)
        assert_int_equal(bus_publish_number(f, "order.x", i), PAT_OK);
    loop_until(f->loop, h.n == N);
    assert_int_equal(h.out_of_order, 0);
    pat_bus_unsubscribe(s);
}

static void test_bus__is_silent_after_unsubscribe(void **state)
{
    struct fixture *f = *state;
    struct heard gone = { 0 }, there = { 0 };
    struct pat_sub *s, *t;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "quiet", NULL, bus_on_message, &gone), PAT_OK);
    assert_int_equal(pat_bus_subscribe(f->bus, &t, "quiet", NULL, bus_on_message, &there), PAT_OK);
    assert_int_equal(bus_publish_number(f, "quiet", 1), PAT_OK);
    loop_until(f->loop, gone.n == 1 && there.n == 1);
    assert_int_equal(bus_publish_number(f, "quiet", 2), PAT_OK);
    pat_bus_unsubscribe(s); /* number 2 may be on its way already */
    assert_int_equal(bus_publish_number(f, "quiet", 3), PAT_OK);
    loop_until(f->loop, there.n == 3);
    assert_int_equal(gone.n, 1);
    pat_bus_unsubscribe(t);
}

static void test_bus__gives_each_message_to_one_of_a_queue_group(void **state)
{
    struct fixture *f = *state;
    struct heard a = { 0 }, b = { 0 };
    struct pat_sub *s, *t;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "group", "g", bus_on_message, &a), PAT_OK);
    assert_int_equal(pat_bus_subscribe(f->bus, &t, "group", "g", bus_on_message, &b), PAT_OK);
    for (int i = 1; i <= 200; i++)
        assert_int_equal(bus_publish_number(f, "group", i), PAT_OK);
    loop_until(f->loop, a.n + b.n == 200);
    assert_true(a.n > 0 && b.n > 0);
    pat_bus_unsubscribe(s);
    pat_bus_unsubscribe(t);
}

static void test_bus__refuses_subjects_that_would_break_the_protocol(void **state)
{
    struct fixture *f = *state;
    struct pat_sub *s;

    assert_int_equal(pat_bus_publish(f->bus, "a b", "x", 1), PAT_EINVAL);
    assert_int_equal(pat_bus_publish(f->bus, "a\r\nPUB b 1", "x", 1), PAT_EINVAL);
    assert_int_equal(pat_bus_publish(f->bus, "", "x", 1), PAT_EINVAL);
    assert_int_equal(pat_bus_subscribe(f->bus, &s, "a\tb", NULL, bus_on_message, NULL), PAT_EINVAL);
}

static void test_bus__refuses_what_the_server_would_refuse_for_size(void **state)
{
    struct fixture *f = *state;
    char *big = calloc(1, (1 << 20) + 1);

    assert_non_null(big);
    assert_int_equal(pat_bus_publish(f->bus, "big", big, (1 << 20) + 1), PAT_E2BIG);
    free(big);
}

/* ---- requests ---- */

static void on_echo(const struct pat_msg *m, void *arg)
{
    struct fixture *f = arg;
    const char *add = pat_msg_header(m, "Add");
    char text[128];

    snprintf(text, sizeof text, "%s%s", m->data, add ? add : "");
    assert_int_equal(pat_bus_reply(f->bus, m, text, strlen(text)), PAT_OK);
}

static void test_request__is_answered_and_carries_headers(void **state)
{
    static const char *const headers[] = { "Add: +more", "Other: x", NULL };
    struct fixture *f = *state;
    struct answer a = { 0 };
    struct pat_sub *s;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "echo", "q", on_echo, f), PAT_OK);
    assert_int_equal(
        pat_bus_request(f->bus, "echo", "hello", 5, headers, 5000, bus_on_reply, &a, NULL), PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_int_equal(a.err, PAT_OK);
    assert_string_equal(a.text, "hello+more");
    pat_bus_unsubscribe(s);
}

static void test_request__fails_at_once_when_nobody_listens(void **state)
{
    struct fixture *f = *state;
    struct answer a = { 0 };
    int64_t begun = pat_now_ms();

    assert_int_equal(pat_bus_request(f->bus, "nobody", "x", 1, NULL, 5000, bus_on_reply, &a, NULL),
                     PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_int_equal(a.err, PAT_EUNAVAIL);
    assert_true(pat_now_ms() - begun < 2500);
}

static void on_nothing(const struct pat_msg *m, void *arg)
{
    (void)m;
    (*(int *)arg)++;
}

static void test_request__ends_at_its_deadline_and_not_twice(void **state)
{
    struct fixture *f = *state;
    struct answer a = { 0 };
    struct pat_sub *s;
    int asked = 0;
    int64_t begun = pat_now_ms();

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "mute", NULL, on_nothing, &asked), PAT_OK);
    assert_int_equal(pat_bus_request(f->bus, "mute", "x", 1, NULL, 200, bus_on_reply, &a, NULL),
                     PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_int_equal(a.err, PAT_ETIMEDOUT);
    assert_true(pat_now_ms() - begun >= 199);
    assert_int_equal(asked, 1);
    pat_bus_unsubscribe(s);
}

static void test_request__says_nothing_once_canceled(void **state)
{
    struct fixture *f = *state;
    struct answer canceled = { 0 }, other = { 0 };
    struct pat_sub *s;
    pat_bus_id id;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "echo2", NULL, on_echo, f), PAT_OK);
    assert_int_equal(
        pat_bus_request(f->bus, "echo2", "a", 1, NULL, 5000, bus_on_reply, &canceled, &id), PAT_OK);
    assert_int_equal(
        pat_bus_request(f->bus, "echo2", "b", 1, NULL, 5000, bus_on_reply, &other, NULL), PAT_OK);
    pat_bus_cancel(f->bus, id);
    pat_bus_cancel(f->bus, id); /* harmless */
    loop_until(f->loop, other.n == 1);
    assert_int_equal(canceled.n, 0);
    pat_bus_unsubscribe(s);
}

static void test_request__is_canceled_when_the_bus_closes(void **state)
{
    struct fixture *f = *state;
    struct answer a = { 0 };
    struct pat_sub *s;
    int asked = 0;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "mute2", NULL, on_nothing, &asked), PAT_OK);
    assert_int_equal(pat_bus_request(f->bus, "mute2", "x", 1, NULL, 60000, bus_on_reply, &a, NULL),
                     PAT_OK);
    loop_until(f->loop, asked == 1);
    pat_bus_close(f->bus, 2000, bus_on_true, &f->closed);
    assert_int_equal(a.n, 0); /* never inside the call */
    loop_until(f->loop, f->closed);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.err, PAT_ECANCELED);
    f->closed = false;
    bus_open(f, 0);
}

static void test_bus__sends_what_is_queued_before_it_closes(void **state)
{
    enum { N = 5000 };
    struct fixture *f = *state;
    struct fixture other = { .loop = f->loop };
    struct heard h = { 0 };
    struct pat_sub *s;
    struct answer a = { 0 };

    bus_open(&other, 0);
    assert_int_equal(pat_bus_subscribe(f->bus, &s, "last.words", NULL, bus_on_message, &h), PAT_OK);
    /* The answer proves that the subscription is made. */
    assert_int_equal(pat_bus_request(f->bus, "nobody", "x", 1, NULL, 5000, bus_on_reply, &a, NULL),
                     PAT_OK);
    loop_until(f->loop, a.n == 1 && pat_bus_up(other.bus));
    for (int i = 1; i <= N; i++)
        assert_int_equal(bus_publish_number(&other, "last.words", i), PAT_OK);
    pat_bus_close(other.bus, 5000, bus_on_true, &other.closed);
    loop_until(f->loop, other.closed && h.n == N);
    assert_int_equal(h.out_of_order, 0);
    pat_bus_unsubscribe(s);
}

/* ---- rpc ---- */

static void on_divide(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    int64_t a, b;
    struct pat_json_err wrong;
    struct pat_json *result;

    *(int64_t *)arg = pat_rpc_left_ms(r);
    if (pat_json_get_int(params, "a", &a, &wrong) || pat_json_get_int(params, "b", &b, &wrong)) {
        pat_rpc_fail(r, PAT_EINVAL, wrong.path, wrong.what);
        return;
    }
    if (!b) {
        pat_rpc_fail(r, PAT_EUNAVAIL, NULL, "no division today");
        return;
    }
    result = pat_json_obj();
    pat_json_set_int(result, "quotient", a / b);
    pat_rpc_reply(r, result);
}

struct rpc_answer {
    int n;
    int err;
    int64_t quotient;
    char message[100];
};

static void on_divided(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct rpc_answer *a = arg;

    a->n++;
    a->err = err;
    a->quotient = result ? pat_json_int_or(result, "quotient", -1) : -1;
    snprintf(a->message, sizeof a->message, "%s", message ? message : "");
}

static void divide(struct fixture *f, const char *params, struct rpc_answer *a)
{
    struct pat_json *j;

    assert_int_equal(pat_json_parse(&j, params, strlen(params), NULL), PAT_OK);
    *a = (struct rpc_answer){ 0 };
    assert_int_equal(pat_rpc_call(f->bus, "math", "math.divide", j, 4000, on_divided, a, NULL),
                     PAT_OK);
    pat_json_free(j);
    loop_until(f->loop, a->n == 1);
}

static void test_rpc__answers_with_a_result_or_a_typed_error(void **state)
{
    struct fixture *f = *state;
    struct rpc_answer a;
    struct pat_sub *s;
    int64_t left = 0;

    assert_int_equal(pat_rpc_serve(f->bus, &s, "math", "math.divide", on_divide, &left), PAT_OK);
    divide(f, "{\"a\":42,\"b\":6}", &a);
    assert_int_equal(a.err, PAT_OK);
    assert_int_equal(a.quotient, 7);
    assert_true(left > 1000 && left <= 4000);
    divide(f, "{\"a\":42,\"b\":0}", &a);
    assert_int_equal(a.err, PAT_EUNAVAIL);
    assert_string_equal(a.message, "no division today");
    divide(f, "{\"a\":42}", &a);
    assert_int_equal(a.err, PAT_EINVAL);
    pat_bus_unsubscribe(s);
}

static void test_rpc__without_a_server_is_unavailable(void **state)
{
    struct fixture *f = *state;
    struct rpc_answer a;

    divide(f, "{}", &a);
    assert_int_equal(a.err, PAT_EUNAVAIL);
}

static void test_rpc__forgets_a_canceled_call(void **state)
{
    struct fixture *f = *state;
    struct rpc_answer a = { 0 };
    pat_bus_id id;

    assert_int_equal(pat_rpc_call(f->bus, "math", "math.divide", NULL, 4000, on_divided, &a, &id),
                     PAT_OK);
    pat_bus_cancel(f->bus, id);
    assert_int_equal(a.n, 0);
}

static void test_rpc__answers_broken_json_with_an_error(void **state)
{
    struct fixture *f = *state;
    struct answer a = { 0 };
    struct pat_sub *s;
    int64_t left = 0;

    assert_int_equal(pat_rpc_serve(f->bus, &s, "math", "math.divide", on_divide, &left), PAT_OK);
    assert_int_equal(pat_bus_request(f->bus, "pat.rpc.v1.math.math.divide", "{\"a\":", 5, NULL,
                                     4000, bus_on_reply, &a, NULL),
                     PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_non_null(strstr(a.text, "\"code\":\"invalid\""));
    pat_bus_unsubscribe(s);
}

static void keep(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    (void)params;
    *(struct pat_rpc_req **)arg = r;
}

static void keep_message(const struct pat_msg *m, void *arg)
{
    (void)m;
    ++*(int *)arg;
}

/* Seconds of its own: both wait at once. */
static void test_rpc__hears_that_one_is_at_it_and_that_one_is_gone(void **state)
{
    struct fixture *f = *state;
    struct rpc_answer slow = { 0 }, gone = { 0 };
    struct pat_sub *alive, *dead;
    struct pat_rpc_req *kept = NULL;
    struct pat_json *result;
    int taken = 0;

    assert_int_equal(pat_rpc_serve(f->bus, &alive, "math", "math.slow", keep, &kept), PAT_OK);
    assert_int_equal(
        pat_bus_subscribe(f->bus, &dead, "pat.rpc.v1.math.gone", NULL, keep_message, &taken),
        PAT_OK);
    assert_int_equal(
        pat_rpc_call(f->bus, "math", "math.slow", NULL, 120000, on_divided, &slow, NULL), PAT_OK);
    loop_until(f->loop, kept);
    assert_int_equal(pat_rpc_call(f->bus, "math", "gone", NULL, 120000, on_divided, &gone, NULL),
                     PAT_OK);
    loop_until(f->loop, gone.n == 1);
    assert_int_equal(taken, 1);
    assert_int_equal(gone.err, PAT_ETIMEDOUT);
    assert_int_equal(slow.n, 0); /* asked before, and has heard of it all the time */
    result = pat_json_obj();
    pat_json_set_int(result, "quotient", 7);
    pat_rpc_reply(kept, result);
    loop_until(f->loop, slow.n == 1);
    assert_int_equal(slow.err, PAT_OK);
    assert_int_equal(slow.quotient, 7);
    pat_bus_unsubscribe(alive);
    pat_bus_unsubscribe(dead);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        BUS_TEST(test_bus__delivers_in_order),
        BUS_TEST(test_bus__is_silent_after_unsubscribe),
        BUS_TEST(test_bus__gives_each_message_to_one_of_a_queue_group),
        BUS_TEST(test_bus__refuses_subjects_that_would_break_the_protocol),
        BUS_TEST(test_bus__refuses_what_the_server_would_refuse_for_size),
        BUS_TEST(test_bus__sends_what_is_queued_before_it_closes),
        BUS_TEST(test_request__is_answered_and_carries_headers),
        BUS_TEST(test_request__fails_at_once_when_nobody_listens),
        BUS_TEST(test_request__ends_at_its_deadline_and_not_twice),
        BUS_TEST(test_request__says_nothing_once_canceled),
        BUS_TEST(test_request__is_canceled_when_the_bus_closes),
        BUS_TEST(test_rpc__answers_with_a_result_or_a_typed_error),
        BUS_TEST(test_rpc__without_a_server_is_unavailable),
        BUS_TEST(test_rpc__forgets_a_canceled_call),
        BUS_TEST(test_rpc__answers_broken_json_with_an_error),
        BUS_TEST(test_rpc__hears_that_one_is_at_it_and_that_one_is_gone),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
