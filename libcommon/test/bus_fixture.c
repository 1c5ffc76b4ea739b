/* bus_fixture.c - see bus_fixture.h. */
#include "test/cmocka.h"

#include "test/bus_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void on_state(bool up, void *arg)
{
    struct fixture *f = arg;

    (*(up ? &f->ups : &f->downs))++;
}

void bus_open(struct fixture *f, size_t max_queue)
{
    assert_int_equal(pat_bus_new(&f->bus, f->loop,
                                 &(struct pat_bus_opts){ .url = getenv("PAT_TEST_NATS_URL"),
                                                         .ca_file = getenv("PAT_TEST_NATS_CA"),
                                                         .name = "bus_it",
                                                         .max_queue = max_queue,
                                                         .state = on_state,
                                                         .arg = f }),
                     PAT_OK);
}

int bus_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    assert_int_equal(pat_loop_new(&f->loop), PAT_OK);
    bus_open(f, 0);
    loop_until(f->loop, pat_bus_up(f->bus));
    *state = f;
    return 0;
}

void bus_on_true(void *arg)
{
    *(bool *)arg = true;
}

int bus_teardown(void **state)
{
    struct fixture *f = *state;

    pat_bus_close(f->bus, 2000, bus_on_true, &f->closed);
    loop_until(f->loop, f->closed);
    assert_int_equal(pat_loop_free(f->loop), PAT_OK);
    free(f);
    return 0;
}

void bus_on_message(const struct pat_msg *m, void *arg)
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

int bus_publish_number(struct fixture *f, const char *subject, int number)
{
    char text[16];
    int len = snprintf(text, sizeof text, "%d", number);

    return pat_bus_publish(f->bus, subject, text, (size_t)len);
}

void bus_on_reply(int err, const struct pat_msg *m, void *arg)
{
    struct answer *a = arg;

    a->n++;
    a->err = err;
    snprintf(a->text, sizeof a->text, "%s", m ? m->data : "");
}

void bus_on_kv(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct answer *a = arg;

    a->n++;
    a->err = err;
    a->revision = revision;
    snprintf(a->text, sizeof a->text, "%.*s", (int)len, data ? data : "");
}

void bus_ensure_stream(struct fixture *f, const char *name, const char *config)
{
    struct answer a = { 0 };

    assert_int_equal(pat_bus_stream_ensure(f->bus, name, config, 5000, bus_on_reply, &a), PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_int_equal(a.err, PAT_OK);
}

void bus_on_job(const struct pat_msg *m, void *arg)
{
    struct worker *w = arg;

    bus_on_message(m, &w->h);
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

struct pat_consumer *bus_consume(struct worker *w, const char *stream, const char *durable,
                                 int batch, int64_t ack_wait_ms)
{
    struct pat_consumer *c;

    assert_int_equal(pat_consumer_new(&c, w->f->bus,
                                      &(struct pat_consumer_opts){ .stream = stream,
                                                                   .durable = durable,
                                                                   .batch = batch,
                                                                   .ack_wait_ms = ack_wait_ms },
                                      bus_on_job, w),
                     PAT_OK);
    return c;
}

void bus_fill(struct fixture *f, const char *subject, int n)
{
    struct answer a = { 0 };
    char text[16];

    for (int i = 1; i <= n; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(
            pat_bus_js_publish(f->bus, subject, NULL, text, strlen(text), 5000, bus_on_reply, &a),
            PAT_OK);
    }
    loop_until(f->loop, a.n == n);
    assert_int_equal(a.err, PAT_OK);
}

void bus_bucket(struct fixture *f, const char *name, int64_t ttl_ms)
{
    struct answer a = { 0 };

    assert_int_equal(pat_kv_ensure(f->bus, name, ttl_ms, 5000, bus_on_reply, &a), PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_int_equal(a.err, PAT_OK);
}

struct answer bus_put(struct fixture *f, const char *b, const char *key, const char *value,
                      uint64_t expected)
{
    struct answer a = { 0 };

    assert_int_equal(
        pat_kv_put(f->bus, b, key, value, strlen(value), expected, 5000, bus_on_kv, &a), PAT_OK);
    loop_until(f->loop, a.n == 1);
    return a;
}

struct answer bus_get(struct fixture *f, const char *b, const char *key)
{
    struct answer a = { 0 };

    assert_int_equal(pat_kv_get(f->bus, b, key, 5000, bus_on_kv, &a), PAT_OK);
    loop_until(f->loop, a.n == 1);
    return a;
}
