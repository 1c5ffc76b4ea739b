/* bus_away_it.c - a nats-server that restarts, is not there, or is frozen: what the bus loses and
 * what it costs the loop.
 */
#include "test/cmocka.h"

#include "test/bus_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LATE_MAX_US = 20000 };

static void test_restart__keeps_subscriptions_and_delivers_what_waited(void **state)
{
    struct fixture *f = *state;
    struct heard h = { 0 };
    struct pat_sub *s;

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "restart", NULL, bus_on_message, &h), PAT_OK);
    assert_int_equal(bus_publish_number(f, "restart", 1), PAT_OK);
    loop_until(f->loop, h.n == 1);
    ctl(f->loop, "nats stop");
    loop_until(f->loop, !pat_bus_up(f->bus));
    for (int i = 2; i <= 1000; i++)
        assert_int_equal(bus_publish_number(f, "restart", i), PAT_OK);
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

    bus_bucket(f, "memory", 0);
    bus_ensure_stream(f, "DISK", "{\"subjects\":[\"disk.>\"]}");
    bus_fill(f, "disk.a", 5);
    c = bus_consume(&w, "DISK", "d", 10, 5000);
    loop_until(f->loop, w.h.n == 5);
    ctl(f->loop, "nats stop");
    ctl(f->loop, "nats start");
    loop_until(f->loop, f->ups == 2);
    for (begun = pat_now_ms(); bus_put(f, "memory", "k", "v", PAT_KV_ANY).err != PAT_OK;)
        assert_true(pat_now_ms() - begun < 5000);
    bus_fill(f, "disk.a", 3);
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
    bus_open(&late, 0);
    assert_int_equal(pat_bus_subscribe(late.bus, &s, "late", NULL, bus_on_message, &h), PAT_OK);
    for (int i = 1; i <= 100; i++)
        assert_int_equal(bus_publish_number(&late, "late", i), PAT_OK);
    assert_int_equal(pat_bus_request(late.bus, "late", "x", 1, NULL, 300, bus_on_reply, &a, NULL),
                     PAT_OK);
    loop_until(f->loop, a.n == 1);
    assert_int_equal(a.err, PAT_EUNAVAIL);
    assert_false(pat_bus_up(late.bus));
    ctl(f->loop, "nats start");
    loop_until(f->loop, h.n == 100); /* the request had expired: it is not sent */
    assert_int_equal(h.out_of_order, 0);
    assert_int_equal(late.ups, 1);
    pat_bus_close(late.bus, 2000, bus_on_true, &late.closed);
    loop_until(f->loop, late.closed);
    loop_until(f->loop, pat_bus_up(f->bus));
}

static void test_absent__closes_although_there_is_no_server(void **state)
{
    struct fixture *f = *state;
    struct fixture late = { .loop = f->loop };
    int64_t begun = pat_now_ms();

    ctl(f->loop, "nats stop");
    bus_open(&late, 0);
    assert_int_equal(bus_publish_number(&late, "never", 1), PAT_OK);
    ctl_pass(f->loop, 200);
    pat_bus_close(late.bus, 300, bus_on_true, &late.closed);
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

        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
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

    assert_int_equal(pat_bus_subscribe(f->bus, &s, "frozen", NULL, bus_on_message, &h), PAT_OK);
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
    bus_open(&stuck, 0);
    loop_until(f->loop, pat_bus_up(stuck.bus));
    ctl(f->loop, "nats pause");
    while (!pat_bus_publish(stuck.bus, "stuck", text, 100000))
        ;
    ctl_pass(f->loop, 200);
    begun = pat_now_ms();
    pat_bus_close(stuck.bus, 300, bus_on_true, &stuck.closed);
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

    bus_open(&small, 100000);
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
    pat_bus_close(small.bus, 2000, bus_on_true, &small.closed);
    loop_until(f->loop, small.closed);
    loop_until(f->loop, pat_bus_up(f->bus));
}

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        BUS_TEST(test_restart__keeps_subscriptions_and_delivers_what_waited),
        BUS_TEST(test_restart__makes_buckets_and_consumers_again),
        BUS_TEST(test_absent__starts_without_a_server_and_finds_it_later),
        BUS_TEST(test_absent__closes_although_there_is_no_server),
        BUS_TEST(test_frozen__costs_the_loop_nothing_and_loses_nothing),
        BUS_TEST(test_frozen__closes_although_a_write_is_stuck),
        BUS_TEST(test_frozen__says_when_the_queue_is_full),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
