/* bus_js_it.c - JetStream, durable consumers and key-value against a real nats-server. */
#include "test/cmocka.h"

#include "test/bus_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- JetStream ---- */

static void js_publish(struct fixture *f, const char *subject, const char *id, const char *text,
                       struct answer *a)
{
    *a = (struct answer){ 0 };
    assert_int_equal(
        pat_bus_js_publish(f->bus, subject, id, text, strlen(text), 5000, bus_on_reply, a), PAT_OK);
    loop_until(f->loop, a->n == 1);
}

static void test_js__stores_a_message_id_once(void **state)
{
    struct fixture *f = *state;
    struct answer a;

    bus_ensure_stream(f, "DEDUPE", "{\"subjects\":[\"dedupe.>\"],\"storage\":\"memory\"}");
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

    bus_ensure_stream(f, "GROW", "{\"subjects\":[\"grow.a\"],\"storage\":\"memory\"}");
    bus_ensure_stream(f, "GROW", "{\"subjects\":[\"grow.a\"],\"storage\":\"memory\"}");
    bus_ensure_stream(f, "GROW", "{\"subjects\":[\"grow.a\",\"grow.b\"],\"storage\":\"memory\"}");
    js_publish(f, "grow.b", NULL, "x", &a);
    assert_int_equal(a.err, PAT_OK);
}

static void test_js__says_which_kind_of_error(void **state)
{
    struct fixture *f = *state;
    struct answer a = { 0 };

    assert_int_equal(pat_bus_stream_ensure(f->bus, "OVERLAP", "{\"subjects\":[\"$JS.>\"]}", 5000,
                                           bus_on_reply, &a),
                     PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_true(a.err == PAT_EINVAL || a.err == PAT_EUPSTREAM || a.err == PAT_EEXIST);
    assert_int_equal(pat_bus_stream_ensure(f->bus, "BAD.NAME", "{}", 5000, bus_on_reply, &a),
                     PAT_EINVAL);
}

static void test_consumer__delivers_everything_once_and_in_order(void **state)
{
    enum { N = 3000 };
    struct fixture *f = *state;
    struct worker w = { .f = f, .ack = true };
    struct pat_consumer *c;

    bus_ensure_stream(f, "WORK", "{\"subjects\":[\"work.>\"],\"storage\":\"memory\"}");
    bus_fill(f, "work.a", N);
    c = bus_consume(&w, "WORK", "all", 64, 30000);
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

    bus_ensure_stream(f, "LIMIT", "{\"subjects\":[\"limit.>\"],\"storage\":\"memory\"}");
    bus_fill(f, "limit.a", 50);
    c = bus_consume(&w, "LIMIT", "few", 10, 30000);
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

    bus_ensure_stream(f, "AGAIN", "{\"subjects\":[\"again.>\"],\"storage\":\"memory\"}");
    c = bus_consume(&w, "AGAIN", "nak", 10, 30000);
    bus_fill(f, "again.a", 1);
    loop_until(f->loop, w.h.n == 2);
    assert_int_equal(w.h.deliveries, 2);
    pat_consumer_close(c);

    w = (struct worker){ .f = f };
    c = bus_consume(&w, "AGAIN", "forget", 10, 500);
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
    struct pat_consumer *c = bus_consume(&w, "LATER", "d", 10, 5000);

    ctl_pass(f->loop, 300);
    bus_ensure_stream(f, "LATER", "{\"subjects\":[\"later.>\"],\"storage\":\"memory\"}");
    bus_fill(f, "later.a", 3);
    loop_until(f->loop, w.h.n == 3);
    pat_consumer_close(c);
}

/* ---- key-value ---- */

static void test_kv__reads_what_was_written(void **state)
{
    struct fixture *f = *state;
    struct answer a, b;

    bus_bucket(f, "plain", 0);
    assert_int_equal(bus_get(f, "plain", "k").err, PAT_ENOENT);
    a = bus_put(f, "plain", "k", "one", PAT_KV_ANY);
    assert_int_equal(a.err, PAT_OK);
    b = bus_get(f, "plain", "k");
    assert_int_equal(b.err, PAT_OK);
    assert_string_equal(b.text, "one");
    assert_int_equal(b.revision, a.revision);
    assert_int_equal(pat_kv_get(f->bus, "plain", "a b", 5000, bus_on_kv, &a), PAT_EINVAL);
}

static void test_kv__lets_one_of_two_win_a_race(void **state)
{
    enum { RACERS = 8 };
    struct fixture *f = *state;
    struct answer a[RACERS] = { 0 };
    uint64_t seen;
    int won = 0, n = 0;

    bus_bucket(f, "race", 0);
    seen = bus_put(f, "race", "lease", "free", 0).revision;
    assert_int_equal(bus_put(f, "race", "lease", "again", 0).err, PAT_EEXIST);
    for (int i = 0; i < RACERS; i++)
        assert_int_equal(
            pat_kv_put(f->bus, "race", "lease", "mine", 4, seen, 5000, bus_on_kv, &a[i]), PAT_OK);
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

    bus_bucket(f, "del", 0);
    assert_int_equal(bus_put(f, "del", "k", "one", 0).err, PAT_OK);
    assert_int_equal(pat_kv_delete(f->bus, "del", "k", 5000, bus_on_kv, &a), PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_int_equal(a.err, PAT_OK);
    assert_int_equal(bus_get(f, "del", "k").err, PAT_ENOENT);
    assert_int_equal(bus_put(f, "del", "k", "two", 0).err, PAT_OK);
    assert_string_equal(bus_get(f, "del", "k").text, "two");
}

static void test_kv__forgets_after_its_time_to_live(void **state)
{
    struct fixture *f = *state;
    int64_t begun = pat_now_ms();

    bus_bucket(f, "ttl", 1000);
    assert_int_equal(bus_put(f, "ttl", "k", "one", 0).err, PAT_OK);
    assert_int_equal(bus_get(f, "ttl", "k").err, PAT_OK);
    while (bus_get(f, "ttl", "k").err == PAT_OK) {
        assert_true(pat_now_ms() - begun < 8000);
        ctl_pass(f->loop, 50);
    }
    assert_int_equal(bus_get(f, "ttl", "k").err, PAT_ENOENT);
    assert_true(pat_now_ms() - begun >= 900);
    assert_int_equal(bus_put(f, "ttl", "k", "two", 0).err, PAT_OK);
}

struct seen {
    struct fixture *f;
    struct pat_kv_watch *watch;
    int begins, currents, gone, puts;
    bool close_at_put;
    char all[256]; /* "key=value " */
};

static void on_change(const struct pat_kv_change *c, void *arg)
{
    struct seen *s = arg;
    size_t at = strlen(s->all);

    switch (c->news) {
    case PAT_KV_BEGIN:
        s->begins++;
        s->all[0] = 0;
        return;
    case PAT_KV_CURRENT:
        s->currents++;
        return;
    case PAT_KV_GONE:
        s->gone++;
        snprintf(s->all + at, sizeof s->all - at, "-%s ", c->key);
        return;
    case PAT_KV_PUT:
        s->puts++;
        snprintf(s->all + at, sizeof s->all - at, "%s=%.*s ", c->key, (int)c->len, c->data);
        if (s->close_at_put) {
            pat_kv_watch_close(s->watch);
            s->watch = NULL;
        }
        return;
    }
}

static void watch(struct seen *s, struct fixture *f, const char *bucket, const char *filter)
{
    s->f = f;
    assert_int_equal(pat_kv_watch(&s->watch, f->bus, bucket, filter, on_change, s), PAT_OK);
    assert_int_equal(s->begins, 0); /* not before it has returned */
}

static void test_kv__a_watch_tells_what_is_there_and_then_what_changes(void **state)
{
    struct fixture *f = *state;
    struct seen s = { 0 };
    struct answer a = { 0 };

    bus_bucket(f, "watched", 0);
    bus_put(f, "watched", "a", "old", PAT_KV_ANY);
    bus_put(f, "watched", "a", "1", PAT_KV_ANY);
    bus_put(f, "watched", "b.x", "2", PAT_KV_ANY);
    watch(&s, f, "watched", ">");
    loop_until(f->loop, s.currents == 1);
    assert_string_equal(s.all, "a=1 b.x=2 ");
    bus_put(f, "watched", "c", "3", PAT_KV_ANY);
    assert_int_equal(bus_put(f, "watched", "c", "lost", 1).err, PAT_EEXIST); /* never told */
    assert_int_equal(pat_kv_delete(f->bus, "watched", "a", 5000, bus_on_kv, &a), PAT_OK);
    loop_until(f->loop, s.gone == 1);
    assert_string_equal(s.all, "a=1 b.x=2 c=3 -a ");
    assert_int_equal(s.begins, 1);
    assert_int_equal(s.currents, 1);
    pat_kv_watch_close(s.watch);
}

static void test_kv__a_watch_of_nothing_is_current_at_once(void **state)
{
    struct fixture *f = *state;
    struct seen s = { 0 };

    bus_bucket(f, "empty", 0);
    bus_put(f, "empty", "other", "1", PAT_KV_ANY);
    watch(&s, f, "empty", "*.served");
    loop_until(f->loop, s.currents == 1);
    assert_int_equal(s.puts, 0);
    bus_put(f, "empty", "x.served", "2", PAT_KV_ANY);
    loop_until(f->loop, s.puts == 1);
    assert_string_equal(s.all, "x.served=2 ");
    pat_kv_watch_close(s.watch);
}

static void test_kv__a_watch_waits_for_its_bucket(void **state)
{
    struct fixture *f = *state;
    struct seen s = { 0 };

    watch(&s, f, "later", ">");
    loop_until(f->loop, s.begins == 2); /* refused once, asked again */
    bus_bucket(f, "later", 0);
    bus_put(f, "later", "k", "v", PAT_KV_ANY);
    loop_until(f->loop, s.puts == 1 && s.currents == 1);
    pat_kv_watch_close(s.watch);
}

static void test_kv__a_watch_may_be_closed_by_its_handler(void **state)
{
    struct fixture *f = *state;
    struct seen s = { .close_at_put = true };

    bus_bucket(f, "closing", 0);
    bus_put(f, "closing", "a", "1", PAT_KV_ANY);
    bus_put(f, "closing", "b", "2", PAT_KV_ANY);
    watch(&s, f, "closing", ">");
    loop_until(f->loop, s.puts == 1);
    ctl_pass(f->loop, 50);
    assert_int_equal(s.puts, 1);
    assert_int_equal(s.currents, 0);
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        BUS_TEST(test_js__stores_a_message_id_once),
        BUS_TEST(test_js__publish_without_a_stream_is_unavailable),
        BUS_TEST(test_js__updates_a_stream_whose_configuration_differs),
        BUS_TEST(test_js__says_which_kind_of_error),
        BUS_TEST(test_consumer__delivers_everything_once_and_in_order),
        BUS_TEST(test_consumer__gives_no_more_than_the_batch_to_the_handler),
        BUS_TEST(test_consumer__sees_again_what_it_refused_or_forgot),
        BUS_TEST(test_consumer__waits_for_its_stream),
        BUS_TEST(test_kv__reads_what_was_written),
        BUS_TEST(test_kv__lets_one_of_two_win_a_race),
        BUS_TEST(test_kv__creates_again_after_a_delete),
        BUS_TEST(test_kv__forgets_after_its_time_to_live),
        BUS_TEST(test_kv__a_watch_tells_what_is_there_and_then_what_changes),
        BUS_TEST(test_kv__a_watch_of_nothing_is_current_at_once),
        BUS_TEST(test_kv__a_watch_waits_for_its_bucket),
        BUS_TEST(test_kv__a_watch_may_be_closed_by_its_handler),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
