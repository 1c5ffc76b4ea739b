/* bus_it.c - the bus against a real nats-server: what it loses, what it blocks, what it says.
 *
 * Run by tests/integration/test_libcommon.py, which starts the server (PAT_TEST_NATS_URL) and obeys
 * test/ctl.h.
 */
#include "test/cmocka.h"

#include "bus.h"
#include "rpc.h"
#include "test/ctl.h"
#include "test/loop_until.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LATE_MAX_US = 20000 };

struct fixture {
    struct pat_loop *loop;
    struct pat_bus *bus;
    int ups, downs;
    bool closed;
};

static void on_state(bool up, void *arg)
{
    struct fixture *f = arg;

    (*(up ? &f->ups : &f->downs))++;
}

static void open_bus(struct fixture *f, size_t max_queue)
{
    assert_int_equal(pat_bus_new(&f->bus, f->loop,
                                 &(struct pat_bus_opts){ .url = getenv("PAT_TEST_NATS_URL"),
                                                         .name = "bus_it",
                                                         .max_queue = max_queue,
                                                         .state = on_state,
                                                         .arg = f }),
                     PAT_OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    assert_int_equal(pat_loop_new(&f->loop), PAT_OK);
    open_bus(f, 0);
    loop_until(f->loop, pat_bus_up(f->bus));
    *state = f;
    return 0;
}

static void on_true(void *arg)
{
    *(bool *)arg = true;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    pat_bus_close(f->bus, 2000, on_true, &f->closed);
    loop_until(f->loop, f->closed);
    assert_int_equal(pat_loop_free(f->loop), PAT_OK);
    free(f);
    return 0;
}

/* ---- what arrives ---- */

/* Messages are their number as text. */
struct heard {
    int n;
    int last;
    int out_of_order;
    char text[64];
    char reply[200];
    int deliveries;
};

static void on_message(const struct pat_msg *m, void *arg)
{
    struct heard *h = arg;
    int number = (int)strtol(m->data, NULL, 10);

    assert_int_equal(m->data[m->len], '\0');
    if (number <= h->last)
        h->out_of_order++;
    h->last = number;
    h->n++;
    snprintf(h->text, sizeof h->text, "%s", m->data);
    snprintf(h->reply, sizeof h->reply, "%s", m->reply ? m->reply : "");
    h->deliveries = pat_msg_deliveries(m);
}

static int publish_number(struct fixture *f, const char *subject, int number)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%d", number);

    return pat_bus_publish(f->bus, subject, text, (size_t)len);
}

struct answer {
    int n;
    int err;
    char text[256];
    uint64_t revision;
};

static void on_reply(int err, const struct pat_msg *m, void *arg)
{
    struct answer *a = arg;

    a->n++;
    a->err = err;
    snprintf(a->text, sizeof a->text, "%s", m ? m->data : "");
}

static void on_kv(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct answer *a = arg;

    a->n++;
    a->err = err;
    a->revision = revision;
    snprintf(a->text, sizeof a->text, "%.*s", (int)len, data ? data : "");
}

/* ---- core ---- */

static void test_bus__delivers_in_order(void **state)
{
    enum { N = 20000 };
    struct fixture *f = *state;
    struct heard h = { 0 };
    struct pat_sub *s;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "order.*", NULL, on_message, &h), PAT_OK);
    for (int i = 1; i <= N; i++)
        assert_int_equal(publish_number(f, "order.x", i), PAT_OK);
    loop_until(f->loop, h.n == N);
    assert_int_equal(h.out_of_order, 0);
    pat_bus_unsubscribe(s);
}

static void test_bus__is_silent_after_unsubscribe(void **state)
{
    struct fixture *f = *state;
    struct heard gone = { 0 }, there = { 0 };
    struct pat_sub *s, *t;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "quiet", NULL, on_message, &gone), PAT_OK);
    assert_int_equal(pat_bus_subscribe(f->bus, &t, "quiet", NULL, on_message, &there), PAT_OK);
    assert_int_equal(publish_number(f, "quiet", 1), PAT_OK);
    loop_until(f->loop, gone.n == 1 && there.n == 1);
    assert_int_equal(publish_number(f, "quiet", 2), PAT_OK);
    pat_bus_unsubscribe(s); /* number 2 may be on its way already */
    assert_int_equal(publish_number(f, "quiet", 3), PAT_OK);
    loop_until(f->loop, there.n == 3);
    assert_int_equal(gone.n, 1);
    pat_bus_unsubscribe(t);
}

static void test_bus__gives_each_message_to_one_of_a_queue_group(void **state)
{
    struct fixture *f = *state;
    struct heard a = { 0 }, b = { 0 };
    struct pat_sub *s, *t;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "group", "g", on_message, &a), PAT_OK);
    assert_int_equal(pat_bus_subscribe(f->bus, &t, "group", "g", on_message, &b), PAT_OK);
    for (int i = 1; i <= 200; i++)
        assert_int_equal(publish_number(f, "group", i), PAT_OK);
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
    assert_int_equal(pat_bus_subscribe(f->bus, &s, "a\tb", NULL, on_message, NULL), PAT_EINVAL);
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
    assert_int_equal(pat_bus_request(f->bus, "echo", "hello", 5, headers, 5000, on_reply, &a, NULL),
                     PAT_OK);
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

    assert_int_equal(pat_bus_request(f->bus, "nobody", "x", 1, NULL, 5000, on_reply, &a, NULL),
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
    assert_int_equal(pat_bus_request(f->bus, "mute", "x", 1, NULL, 200, on_reply, &a, NULL),
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
    assert_int_equal(pat_bus_request(f->bus, "echo2", "a", 1, NULL, 5000, on_reply, &canceled, &id),
                     PAT_OK);
    assert_int_equal(pat_bus_request(f->bus, "echo2", "b", 1, NULL, 5000, on_reply, &other, NULL),
                     PAT_OK);
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
    assert_int_equal(pat_bus_request(f->bus, "mute2", "x", 1, NULL, 60000, on_reply, &a, NULL),
                     PAT_OK);
    loop_until(f->loop, asked == 1);
    pat_bus_close(f->bus, 2000, on_true, &f->closed);
    assert_int_equal(a.n, 0); /* never inside the call */
    loop_until(f->loop, f->closed);
    assert_int_equal(a.n, 1);
    assert_int_equal(a.err, PAT_ECANCELED);
    f->closed = false;
    open_bus(f, 0);
}

static void test_bus__sends_what_is_queued_before_it_closes(void **state)
{
    enum { N = 5000 };
    struct fixture *f = *state;
    struct fixture other = { .loop = f->loop };
    struct heard h = { 0 };
    struct pat_sub *s;
    struct answer a = { 0 };

    open_bus(&other, 0);
    assert_int_equal(pat_bus_subscribe(f->bus, &s, "last.words", NULL, on_message, &h), PAT_OK);
    /* The answer proves that the subscription is made. */
    assert_int_equal(pat_bus_request(f->bus, "nobody", "x", 1, NULL, 5000, on_reply, &a, NULL),
                     PAT_OK);
    loop_until(f->loop, a.n == 1 && pat_bus_up(other.bus));
    for (int i = 1; i <= N; i++)
        assert_int_equal(publish_number(&other, "last.words", i), PAT_OK);
    pat_bus_close(other.bus, 5000, on_true, &other.closed);
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
                                     4000, on_reply, &a, NULL),
                     PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_non_null(strstr(a.text, "\"code\":\"invalid\""));
    pat_bus_unsubscribe(s);
}

/* ---- JetStream ---- */

static void ensure_stream(struct fixture *f, const char *name, const char *config)
{
    struct answer a = { 0 };

    assert_int_equal(pat_bus_stream_ensure(f->bus, name, config, 5000, on_reply, &a), PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_int_equal(a.err, PAT_OK);
}

static void js_publish(struct fixture *f, const char *subject, const char *id, const char *text,
                       struct answer *a)
{
    *a = (struct answer){ 0 };
    assert_int_equal(pat_bus_js_publish(f->bus, subject, id, text, strlen(text), 5000, on_reply, a),
                     PAT_OK);
    loop_until(f->loop, a->n == 1);
}

static void test_js__stores_a_message_id_once(void **state)
{
    struct fixture *f = *state;
    struct answer a;

    ensure_stream(f, "DEDUPE", "{\"subjects\":[\"dedupe.>\"],\"storage\":\"memory\"}");
    js_publish(f, "dedupe.a", "id-1", "one", &a);
    assert_int_equal(a.err, PAT_OK);
    assert_non_null(strstr(a.text, "\"seq\":1"));
    js_publish(f, "dedupe.a", "id-1", "one", &a);
    assert_int_equal(a.err, PAT_OK);
    assert_non_null(strstr(a.text, "\"duplicate\""));
    js_publish(f, "dedupe.a", "id-2", "two", &a);
    assert_non_null(strstr(a.text, "\"seq\":2"));
}

static void test_js__publish_without_a_stream_is_unavailable(void **state)
{
    struct fixture *f = *state;
    struct answer a;

    js_publish(f, "no.stream.here", NULL, "x", &a);
    assert_int_equal(a.err, PAT_EUNAVAIL);
}

static void test_js__updates_a_stream_whose_configuration_differs(void **state)
{
    struct fixture *f = *state;
    struct answer a;

    ensure_stream(f, "GROW", "{\"subjects\":[\"grow.a\"],\"storage\":\"memory\"}");
    ensure_stream(f, "GROW", "{\"subjects\":[\"grow.a\"],\"storage\":\"memory\"}");
    ensure_stream(f, "GROW", "{\"subjects\":[\"grow.a\",\"grow.b\"],\"storage\":\"memory\"}");
    js_publish(f, "grow.b", NULL, "x", &a);
    assert_int_equal(a.err, PAT_OK);
}

static void test_js__says_which_kind_of_error(void **state)
{
    struct fixture *f = *state;
    struct answer a = { 0 };

    assert_int_equal(
        pat_bus_stream_ensure(f->bus, "OVERLAP", "{\"subjects\":[\"$JS.>\"]}", 5000, on_reply, &a),
        PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_true(a.err == PAT_EINVAL || a.err == PAT_EUPSTREAM || a.err == PAT_EEXIST);
    assert_int_equal(pat_bus_stream_ensure(f->bus, "BAD.NAME", "{}", 5000, on_reply, &a),
                     PAT_EINVAL);
}

struct worker {
    struct fixture *f;
    struct heard h;
    int nak_first;
    bool ack;
    int most; /* with the handler at once */
    int held;
    char replies[100][120];
};

static void on_job(const struct pat_msg *m, void *arg)
{
    struct worker *w = arg;

    on_message(m, &w->h);
    if (w->nak_first > 0) {
        w->nak_first--;
        assert_int_equal(pat_bus_nak(w->f->bus, m->reply, 50), PAT_OK);
        return;
    }
    if (w->ack) {
        assert_int_equal(pat_bus_ack(w->f->bus, m->reply), PAT_OK);
        return;
    }
    snprintf(w->replies[w->held % 100], sizeof w->replies[0], "%s", m->reply);
    w->held++;
    if (w->held > w->most)
        w->most = w->held;
}

static struct pat_consumer *consume(struct worker *w, const char *stream, const char *durable,
                                    int batch, int64_t ack_wait_ms)
{
    struct pat_consumer *c;

    assert_int_equal(pat_consumer_new(&c, w->f->bus,
                                      &(struct pat_consumer_opts){ .stream = stream,
                                                                   .durable = durable,
                                                                   .batch = batch,
                                                                   .ack_wait_ms = ack_wait_ms },
                                      on_job, w),
                     PAT_OK);
    return c;
}

static void fill(struct fixture *f, const char *subject, int n)
{
    struct answer a = { 0 };
    char text[16];

    for (int i = 1; i <= n; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(
            pat_bus_js_publish(f->bus, subject, NULL, text, strlen(text), 5000, on_reply, &a),
            PAT_OK);
    }
    loop_until(f->loop, a.n == n);
    assert_int_equal(a.err, PAT_OK);
}

static void test_consumer__delivers_everything_once_and_in_order(void **state)
{
    enum { N = 3000 };
    struct fixture *f = *state;
    struct worker w = { .f = f, .ack = true };
    struct pat_consumer *c;

    ensure_stream(f, "WORK", "{\"subjects\":[\"work.>\"],\"storage\":\"memory\"}");
    fill(f, "work.a", N);
    c = consume(&w, "WORK", "all", 64, 30000);
    loop_until(f->loop, w.h.n == N);
    assert_int_equal(w.h.out_of_order, 0);
    assert_int_equal(w.h.deliveries, 1);
    pat_consumer_close(c);
}

static void test_consumer__gives_no_more_than_the_batch_to_the_handler(void **state)
{
    struct fixture *f = *state;
    struct worker w = { .f = f };
    struct pat_consumer *c;

    ensure_stream(f, "LIMIT", "{\"subjects\":[\"limit.>\"],\"storage\":\"memory\"}");
    fill(f, "limit.a", 50);
    c = consume(&w, "LIMIT", "few", 10, 30000);
    loop_until(f->loop, w.h.n == 10);
    ctl_pass(f->loop, 300);
    assert_int_equal(w.h.n, 10);
    for (int i = 0; i < 10; i++)
        assert_int_equal(pat_bus_ack(f->bus, w.replies[i]), PAT_OK);
    w.ack = true;
    loop_until(f->loop, w.h.n == 50);
    assert_int_equal(w.most, 10);
    pat_consumer_close(c);
}

static void test_consumer__sees_again_what_it_refused_or_forgot(void **state)
{
    struct fixture *f = *state;
    struct worker w = { .f = f, .nak_first = 1, .ack = true };
    struct pat_consumer *c;

    ensure_stream(f, "AGAIN", "{\"subjects\":[\"again.>\"],\"storage\":\"memory\"}");
    c = consume(&w, "AGAIN", "nak", 10, 30000);
    fill(f, "again.a", 1);
    loop_until(f->loop, w.h.n == 2);
    assert_int_equal(w.h.deliveries, 2);
    pat_consumer_close(c);

    w = (struct worker){ .f = f };
    c = consume(&w, "AGAIN", "forget", 10, 500);
    loop_until(f->loop, w.h.n == 1);
    w.ack = true;
    loop_until(f->loop, w.h.n == 2);
    assert_int_equal(w.h.deliveries, 2);
    pat_consumer_close(c);
}

static void test_consumer__waits_for_its_stream(void **state)
{
    struct fixture *f = *state;
    struct worker w = { .f = f, .ack = true };
    struct pat_consumer *c = consume(&w, "LATER", "d", 10, 5000);

    ctl_pass(f->loop, 300);
    ensure_stream(f, "LATER", "{\"subjects\":[\"later.>\"],\"storage\":\"memory\"}");
    fill(f, "later.a", 3);
    loop_until(f->loop, w.h.n == 3);
    pat_consumer_close(c);
}

/* ---- key-value ---- */

static void bucket(struct fixture *f, const char *name, int64_t ttl_ms)
{
    struct answer a = { 0 };

    assert_int_equal(pat_kv_ensure(f->bus, name, ttl_ms, 5000, on_reply, &a), PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_int_equal(a.err, PAT_OK);
}

static struct answer put(struct fixture *f, const char *b, const char *key, const char *value,
                         uint64_t expected)
{
    struct answer a = { 0 };

    assert_int_equal(pat_kv_put(f->bus, b, key, value, strlen(value), expected, 5000, on_kv, &a),
                     PAT_OK);
    loop_until(f->loop, a.n == 1);
    return a;
}

static struct answer get(struct fixture *f, const char *b, const char *key)
{
    struct answer a = { 0 };

    assert_int_equal(pat_kv_get(f->bus, b, key, 5000, on_kv, &a), PAT_OK);
    loop_until(f->loop, a.n == 1);
    return a;
}

static void test_kv__reads_what_was_written(void **state)
{
    struct fixture *f = *state;
    struct answer a, b;

    bucket(f, "plain", 0);
    assert_int_equal(get(f, "plain", "k").err, PAT_ENOENT);
    a = put(f, "plain", "k", "one", PAT_KV_ANY);
    assert_int_equal(a.err, PAT_OK);
    b = get(f, "plain", "k");
    assert_int_equal(b.err, PAT_OK);
    assert_string_equal(b.text, "one");
    assert_int_equal(b.revision, a.revision);
    assert_int_equal(pat_kv_get(f->bus, "plain", "a b", 5000, on_kv, &a), PAT_EINVAL);
}

static void test_kv__lets_one_of_two_win_a_race(void **state)
{
    enum { RACERS = 8 };
    struct fixture *f = *state;
    struct answer a[RACERS] = { 0 };
    uint64_t seen;
    int won = 0, n = 0;

    bucket(f, "race", 0);
    seen = put(f, "race", "lease", "free", 0).revision;
    assert_int_equal(put(f, "race", "lease", "again", 0).err, PAT_EEXIST);
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(pat_kv_put(f->bus, "race", "lease", "mine", 4, seen, 5000, on_kv, &a[i]),
                         PAT_OK);
    for (int i = 0; i < RACERS; i++) {
        loop_until(f->loop, a[i].n == 1);
        n += a[i].n;
        won += a[i].err == PAT_OK;
        assert_true(a[i].err == PAT_OK || a[i].err == PAT_EEXIST);
    }
    assert_int_equal(n, RACERS);
    assert_int_equal(won, 1);
}

static void test_kv__creates_again_after_a_delete(void **state)
{
    struct fixture *f = *state;
    struct answer a = { 0 };

    bucket(f, "del", 0);
    assert_int_equal(put(f, "del", "k", "one", 0).err, PAT_OK);
    assert_int_equal(pat_kv_delete(f->bus, "del", "k", 5000, on_kv, &a), PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_int_equal(a.err, PAT_OK);
    assert_int_equal(get(f, "del", "k").err, PAT_ENOENT);
    assert_int_equal(put(f, "del", "k", "two", 0).err, PAT_OK);
    assert_string_equal(get(f, "del", "k").text, "two");
}

static void test_kv__forgets_after_its_time_to_live(void **state)
{
    struct fixture *f = *state;
    int64_t begun = pat_now_ms();

    bucket(f, "ttl", 1000);
    assert_int_equal(put(f, "ttl", "k", "one", 0).err, PAT_OK);
    assert_int_equal(get(f, "ttl", "k").err, PAT_OK);
    while (get(f, "ttl", "k").err == PAT_OK) {
        assert_true(pat_now_ms() - begun < 8000);
        ctl_pass(f->loop, 50);
    }
    assert_int_equal(get(f, "ttl", "k").err, PAT_ENOENT);
    assert_true(pat_now_ms() - begun >= 900);
    assert_int_equal(put(f, "ttl", "k", "two", 0).err, PAT_OK);
}

/* ---- a server that goes away ---- */

static void test_restart__keeps_subscriptions_and_delivers_what_waited(void **state)
{
    struct fixture *f = *state;
    struct heard h = { 0 };
    struct pat_sub *s;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "restart", NULL, on_message, &h), PAT_OK);
    assert_int_equal(publish_number(f, "restart", 1), PAT_OK);
    loop_until(f->loop, h.n == 1);
    ctl(f->loop, "nats stop");
    loop_until(f->loop, !pat_bus_up(f->bus));
    for (int i = 2; i <= 1000; i++)
        assert_int_equal(publish_number(f, "restart", i), PAT_OK);
    ctl(f->loop, "nats start");
    loop_until(f->loop, h.n == 1000);
    assert_int_equal(h.out_of_order, 0);
    assert_true(pat_bus_up(f->bus));
    assert_int_equal(f->downs, 1);
    assert_int_equal(f->ups, 2);
    pat_bus_unsubscribe(s);
}

static void test_restart__makes_buckets_and_consumers_again(void **state)
{
    struct fixture *f = *state;
    struct worker w = { .f = f, .ack = true };
    struct pat_consumer *c;
    int64_t begun;

    bucket(f, "memory", 0);
    ensure_stream(f, "DISK", "{\"subjects\":[\"disk.>\"]}");
    fill(f, "disk.a", 5);
    c = consume(&w, "DISK", "d", 10, 5000);
    loop_until(f->loop, w.h.n == 5);
    ctl(f->loop, "nats stop");
    ctl(f->loop, "nats start");
    loop_until(f->loop, f->ups == 2);
    for (begun = pat_now_ms(); put(f, "memory", "k", "v", PAT_KV_ANY).err != PAT_OK;)
        assert_true(pat_now_ms() - begun < 5000);
    fill(f, "disk.a", 3);
    loop_until(f->loop, w.h.n >= 8);
    pat_consumer_close(c);
}

static void test_absent__starts_without_a_server_and_finds_it_later(void **state)
{
    struct fixture *f = *state;
    struct fixture late = { .loop = f->loop };
    struct heard h = { 0 };
    struct answer a = { 0 };
    struct pat_sub *s;

    ctl(f->loop, "nats stop");
    open_bus(&late, 0);
    assert_int_equal(pat_bus_subscribe(late.bus, &s, "late", NULL, on_message, &h), PAT_OK);
    for (int i = 1; i <= 100; i++)
        assert_int_equal(publish_number(&late, "late", i), PAT_OK);
    assert_int_equal(pat_bus_request(late.bus, "late", "x", 1, NULL, 300, on_reply, &a, NULL),
                     PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_int_equal(a.err, PAT_EUNAVAIL);
    assert_false(pat_bus_up(late.bus));
    ctl(f->loop, "nats start");
    loop_until(f->loop, h.n == 100); /* the request had expired: it is not sent */
    assert_int_equal(h.out_of_order, 0);
    assert_int_equal(late.ups, 1);
    pat_bus_close(late.bus, 2000, on_true, &late.closed);
    loop_until(f->loop, late.closed);
    loop_until(f->loop, pat_bus_up(f->bus));
}

static void test_absent__closes_although_there_is_no_server(void **state)
{
    struct fixture *f = *state;
    struct fixture late = { .loop = f->loop };
    int64_t begun = pat_now_ms();

    ctl(f->loop, "nats stop");
    open_bus(&late, 0);
    assert_int_equal(publish_number(&late, "never", 1), PAT_OK);
    ctl_pass(f->loop, 200);
    pat_bus_close(late.bus, 300, on_true, &late.closed);
    loop_until(f->loop, late.closed);
    assert_true(pat_now_ms() - begun < 8000);
    ctl(f->loop, "nats start");
    loop_until(f->loop, pat_bus_up(f->bus));
}

/* A thread that does nothing but sleep a millisecond at a time: how late it gets is the machine's
 * doing, and what the loop is late beyond that is the bus's. */
struct witness {
    pthread_t thread;
    _Atomic bool stop;
    int64_t late_us;
};

static void *watch(void *arg)
{
    struct witness *w = arg;

    while (!w->stop) {
        int64_t begun = pat_now_us(), late;

        usleep(1000);
        late = pat_now_us() - begun - 1000;
        w->late_us = late > w->late_us ? late : w->late_us;
    }
    return NULL;
}

static void send_some(struct fixture *f, char *text, size_t len, int64_t n, int *sent)
{
    for (int64_t i = 0; i < n; i++) {
        memset(text, ' ', len);
        text[snprintf(text, len, "%d", *sent + 1)] = ' ';
        if (!pat_bus_publish(f->bus, "frozen", text, len))
            (*sent)++;
    }
}

/* A stopped server accepts bytes until the kernel's buffers are full, then nothing, and never says
 * so. */
static void send_for(struct fixture *f, int64_t for_ms, int *sent)
{
    enum { LEN = 1000, PER_MS = 2 };
    char text[LEN + 1] = "";
    int64_t begun = pat_now_ms(), last_ms = begun, now_ms;

    while ((now_ms = pat_now_ms()) - begun < for_ms) {
        send_some(f, text, LEN, (now_ms - last_ms) * PER_MS, sent);
        last_ms = now_ms;
        pat_loop_run_once(f->loop, 1);
    }
}

static void test_frozen__costs_the_loop_nothing_and_loses_nothing(void **state)
{
    struct fixture *f = *state;
    struct heard h = { 0 };
    struct pat_sub *s;
    struct witness w = { .stop = false };
    int64_t late_us;
    int sent = 0;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "frozen", NULL, on_message, &h), PAT_OK);
    ctl_pass(f->loop, 100);
    ctl(f->loop, "nats pause");
    assert_int_equal(pthread_create(&w.thread, NULL, watch, &w), 0);
    (void)pat_loop_lag_us(f->loop);
    send_for(f, 10000, &sent); /* 20 MB: more than the kernel's buffers take */
    late_us = pat_loop_lag_us(f->loop);
    w.stop = true;
    pthread_join(w.thread, NULL);
    print_message("sent %d, loop late by %lld us, the witness by %lld us\n", sent,
                  (long long)late_us, (long long)w.late_us);
    ctl(f->loop, "nats resume");
    loop_until(f->loop, h.last == sent);
    assert_int_equal(h.n, sent);
    assert_int_equal(h.out_of_order, 0);
    assert_true(late_us < LATE_MAX_US + w.late_us);
    pat_bus_unsubscribe(s);
}

static void test_frozen__closes_although_a_write_is_stuck(void **state)
{
    struct fixture *f = *state;
    struct fixture stuck = { .loop = f->loop };
    char *text = calloc(1, 100000);
    int64_t begun;

    assert_non_null(text);
    open_bus(&stuck, 0);
    loop_until(f->loop, pat_bus_up(stuck.bus));
    ctl(f->loop, "nats pause");
    while (!pat_bus_publish(stuck.bus, "stuck", text, 100000))
        ;
    ctl_pass(f->loop, 200);
    begun = pat_now_ms();
    pat_bus_close(stuck.bus, 300, on_true, &stuck.closed);
    loop_until(f->loop, stuck.closed);
    assert_true(pat_now_ms() - begun < 8000);
    ctl(f->loop, "nats resume");
    free(text);
}

static void test_frozen__says_when_the_queue_is_full(void **state)
{
    struct fixture *f = *state;
    struct fixture small = { .loop = f->loop };
    char text[1000] = "";
    int err = PAT_OK, taken = 0;

    open_bus(&small, 100000);
    loop_until(f->loop, pat_bus_up(small.bus));
    ctl(f->loop, "nats stop");
    loop_until(f->loop, !pat_bus_up(small.bus));
    while (taken < 1000 && !(err = pat_bus_publish(small.bus, "full", text, sizeof text)))
        taken++;
    assert_int_equal(err, PAT_EAGAIN);
    assert_true(taken > 50 && taken <= 100);
    ctl(f->loop, "nats start");
    loop_until(f->loop, pat_bus_up(small.bus));
    loop_until(f->loop, !pat_bus_publish(small.bus, "full", text, sizeof text));
    pat_bus_close(small.bus, 2000, on_true, &small.closed);
    loop_until(f->loop, small.closed);
    loop_until(f->loop, pat_bus_up(f->bus));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_bus__delivers_in_order),
        TEST(test_bus__is_silent_after_unsubscribe),
        TEST(test_bus__gives_each_message_to_one_of_a_queue_group),
        TEST(test_bus__refuses_subjects_that_would_break_the_protocol),
        TEST(test_bus__refuses_what_the_server_would_refuse_for_size),
        TEST(test_bus__sends_what_is_queued_before_it_closes),
        TEST(test_request__is_answered_and_carries_headers),
        TEST(test_request__fails_at_once_when_nobody_listens),
        TEST(test_request__ends_at_its_deadline_and_not_twice),
        TEST(test_request__says_nothing_once_canceled),
        TEST(test_request__is_canceled_when_the_bus_closes),
        TEST(test_rpc__answers_with_a_result_or_a_typed_error),
        TEST(test_rpc__without_a_server_is_unavailable),
        TEST(test_rpc__forgets_a_canceled_call),
        TEST(test_rpc__answers_broken_json_with_an_error),
        TEST(test_js__stores_a_message_id_once),
        TEST(test_js__publish_without_a_stream_is_unavailable),
        TEST(test_js__updates_a_stream_whose_configuration_differs),
        TEST(test_js__says_which_kind_of_error),
        TEST(test_consumer__delivers_everything_once_and_in_order),
        TEST(test_consumer__gives_no_more_than_the_batch_to_the_handler),
        TEST(test_consumer__sees_again_what_it_refused_or_forgot),
        TEST(test_consumer__waits_for_its_stream),
        TEST(test_kv__reads_what_was_written),
        TEST(test_kv__lets_one_of_two_win_a_race),
        TEST(test_kv__creates_again_after_a_delete),
        TEST(test_kv__forgets_after_its_time_to_live),
        TEST(test_restart__keeps_subscriptions_and_delivers_what_waited),
        TEST(test_restart__makes_buckets_and_consumers_again),
        TEST(test_absent__starts_without_a_server_and_finds_it_later),
        TEST(test_absent__closes_although_there_is_no_server),
        TEST(test_frozen__costs_the_loop_nothing_and_loses_nothing),
        TEST(test_frozen__closes_although_a_write_is_stuck),
        TEST(test_frozen__says_when_the_queue_is_full),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
