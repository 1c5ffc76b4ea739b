/* loop_test.c - timers, tasks and posts on the loop, and the loop's own ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "loop.h"

#include "buf.h"
#include "test/loop_fixture.h"
#include "test/loop_until.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct lettered {
    struct trace *trace;
    char letter;
    struct pat_timer timer;
    struct pat_task task;
};

static void on_letter(void *arg)
{
    struct lettered *x = arg;

    mark(x->trace, x->letter);
}

static struct lettered *lettered_new(struct trace *t, char letter)
{
    struct lettered *x = calloc(1, sizeof *x);

    assert_non_null(x);
    x->trace = t;
    x->letter = letter;
    assert_int_equal(pat_timer_init(&x->timer, t->loop, on_letter, x), PAT_OK);
    return x;
}

static void lettered_free(struct lettered *x)
{
    pat_task_cancel(x->trace->loop, &x->task);
    pat_timer_fini(&x->timer);
    free(x);
}

/* ---- timers ---- */

static void test_timer__fires_by_due_time_then_by_start_order(void **state)
{
    struct trace *t = *state;
    static const struct {
        char letter;
        int64_t after_us;
    } rows[] = { { 'd', 3000 }, { 'a', 1000 }, { 'b', 2000 }, { 'c', 2000 }, { 'e', 9000 } };
    struct lettered *x[5];
    int64_t now = pat_now_us();

    for (size_t i = 0; i < 5; i++) {
        x[i] = lettered_new(t, rows[i].letter);
        pat_timer_start_at(&x[i]->timer, now + rows[i].after_us);
    }
    pat_loop_run(t->loop);
    assert_string_equal(t->text, "abcde");
    assert_true(pat_now_us() >= now + 9000);
    for (size_t i = 0; i < 5; i++)
        lettered_free(x[i]);
}

static void test_timer__rough_ones_come_together_and_never_early(void **state)
{
    struct trace *t = *state;
    struct lettered *a = lettered_new(t, 'a'), *b = lettered_new(t, 'b');
    int64_t now = pat_now_us();

    pat_timer_start_rough(&a->timer, 1);
    pat_timer_start_rough(&b->timer, 30);
    assert_int_equal(a->timer.due_us % PAT_ROUGH_US, 0);
    assert_int_equal(b->timer.due_us % PAT_ROUGH_US, 0);
    assert_in_range(a->timer.due_us, now + 1000, pat_now_us() + 1000 + PAT_ROUGH_US);
    pat_loop_run(t->loop);
    assert_string_equal(t->text, "ab");
    assert_true(pat_now_us() >= now + 30000);
    lettered_free(a);
    lettered_free(b);
}

static void test_timer__stopped_or_moved_does_what_was_said_last(void **state)
{
    struct trace *t = *state;
    struct lettered *a = lettered_new(t, 'a'), *b = lettered_new(t, 'b'), *c = lettered_new(t, 'c');

    pat_timer_start(&a->timer, 1);
    pat_timer_start(&b->timer, 2);
    pat_timer_start(&c->timer, 0);
    pat_timer_start(&a->timer, 4); /* behind b */
    pat_timer_stop(&c->timer);
    assert_false(pat_timer_running(&c->timer));
    assert_true(pat_timer_running(&a->timer));
    pat_timer_stop(&c->timer);
    pat_loop_run(t->loop);
    assert_string_equal(t->text, "ba");
    lettered_free(a);
    lettered_free(b);
    lettered_free(c);
}

struct crowd {
    struct pat_timer timer;
    struct crowd_seen {
        int64_t last_us;
        size_t fired;
        bool in_order;
    } * seen;
};

static void on_crowd(void *arg)
{
    struct crowd *c = arg;

    c->seen->in_order = c->seen->in_order && c->timer.due_us >= c->seen->last_us;
    c->seen->last_us = c->timer.due_us;
    c->seen->fired++;
}

static void test_timer__many_at_random_come_in_order(void **state)
{
    enum { N = 2000 };
    static struct crowd crowd[N];
    struct trace *t = *state;
    struct crowd_seen seen = { .in_order = true };
    struct pat_timer zeroed = { 0 };
    int64_t now = pat_now_us();
    unsigned seed = 7;

    for (size_t i = 0; i < N; i++) {
        crowd[i].seen = &seen;
        assert_int_equal(pat_timer_init(&crowd[i].timer, t->loop, on_crowd, &crowd[i]), PAT_OK);
        pat_timer_start_at(&crowd[i].timer, now + rand_r(&seed) % 5000);
    }
    for (size_t i = 0; i < N; i += 3) /* moves up and down the heap */
        pat_timer_start_at(&crowd[i].timer, now + rand_r(&seed) % 5000);
    for (size_t i = 0; i < N; i += 5)
        pat_timer_stop(&crowd[i].timer);
    pat_loop_run(t->loop);
    assert_int_equal(seen.fired, N - N / 5);
    assert_true(seen.in_order);
    for (size_t i = 0; i < N; i++)
        pat_timer_fini(&crowd[i].timer);
    pat_timer_stop(&zeroed);
    pat_timer_fini(&zeroed);
}

struct again {
    struct pat_timer timer;
    int runs;
    int fd;
    bool read;
};

static void on_again(void *arg)
{
    struct again *a = arg;

    a->runs++;
    if (!a->read)
        pat_timer_start(&a->timer, 0);
}

static void on_readable(int err, int events, void *arg)
{
    struct again *a = arg;
    char c;

    assert_int_equal(err, PAT_OK);
    assert_int_equal(events, PAT_POLL_IN);
    assert_int_equal(read(a->fd, &c, 1), 1);
    a->read = true;
}

static void test_timer__zero_ms_started_in_its_callback_lets_io_run(void **state)
{
    struct trace *t = *state;
    struct again a = { 0 };
    struct pat_poll *poll;
    int fd[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    a.fd = fd[0];
    assert_int_equal(pat_poll_new(&poll, t->loop, fd[0], on_readable, &a), PAT_OK);
    assert_int_equal(pat_poll_set(poll, PAT_POLL_IN), PAT_OK);
    assert_int_equal(pat_timer_init(&a.timer, t->loop, on_again, &a), PAT_OK);
    pat_timer_start(&a.timer, 0);
    assert_int_equal(write(fd[1], "x", 1), 1);
    loop_until(t->loop, a.read);
    assert_true(a.runs < 10);
    pat_poll_close(poll);
    pat_timer_fini(&a.timer);
    close(fd[0]);
    close(fd[1]);
}

struct metronome {
    struct pat_timer timer;
    int64_t next_us;
    int ticks;
};

static void on_tick(void *arg)
{
    struct metronome *m = arg;

    m->ticks++;
    m->next_us += 2000;
    if (m->ticks < 50)
        pat_timer_start_at(&m->timer, m->next_us);
}

static void test_timer__absolute_deadlines_do_not_drift(void **state)
{
    struct trace *t = *state;
    struct metronome m = { 0 };
    int64_t start = pat_now_us();

    assert_int_equal(pat_timer_init(&m.timer, t->loop, on_tick, &m), PAT_OK);
    m.next_us = start + 2000;
    pat_timer_start_at(&m.timer, m.next_us);
    pat_loop_run(t->loop);
    assert_int_equal(m.ticks, 50);
    assert_int_equal(m.next_us, start + 51 * 2000);
    /* Each relative re-arm would add its lateness; this leaves only the last one's. */
    assert_true(pat_now_us() >= start + 50 * 2000);
    pat_timer_fini(&m.timer);
}

static void on_free_self(void *arg)
{
    struct lettered *x = arg;

    mark(x->trace, x->letter);
    lettered_free(x);
}

static void test_timer__may_be_freed_in_its_own_callback(void **state)
{
    struct trace *t = *state;
    struct lettered *x = lettered_new(t, 'x');

    x->timer.fn = on_free_self;
    pat_timer_start(&x->timer, 0);
    pat_loop_run(t->loop);
    assert_string_equal(t->text, "x");
}

/* ---- tasks ---- */

static void test_task__runs_after_the_callback_in_order_once(void **state)
{
    struct trace *t = *state;
    struct lettered *a = lettered_new(t, 'a'), *b = lettered_new(t, 'b');

    pat_loop_next_turn(t->loop, &a->task, on_letter, a);
    pat_loop_next_turn(t->loop, &b->task, on_letter, b);
    pat_loop_next_turn(t->loop, &a->task, on_letter, a);
    assert_int_equal(t->n, 0);
    pat_loop_run(t->loop);
    assert_string_equal(t->text, "ab");
    lettered_free(a);
    lettered_free(b);
}

static void on_cancel_other(void *arg)
{
    struct lettered *x = arg;

    mark(x->trace, 'c');
    pat_task_cancel(x->trace->loop, &x->task);
}

static void test_task__canceled_before_or_during_the_same_turn_does_not_run(void **state)
{
    struct trace *t = *state;
    struct lettered *a = lettered_new(t, 'a'), *b = lettered_new(t, 'b');
    struct pat_task killer = { 0 };

    pat_loop_next_turn(t->loop, &a->task, on_letter, a);
    pat_task_cancel(t->loop, &a->task);
    pat_loop_next_turn(t->loop, &killer, on_cancel_other, b);
    pat_loop_next_turn(t->loop, &b->task, on_letter, b);
    pat_loop_next_turn(t->loop, &a->task, on_letter, a);
    pat_loop_run(t->loop);
    assert_string_equal(t->text, "ca");
    lettered_free(a);
    lettered_free(b);
}

static void on_requeue(void *arg)
{
    struct lettered *x = arg;

    mark(x->trace, x->letter);
    if (x->trace->n < 5)
        pat_loop_next_turn(x->trace->loop, &x->task, on_requeue, x);
}

static void test_task__queued_by_itself_waits_for_the_turn_after(void **state)
{
    struct trace *t = *state;
    struct lettered *a = lettered_new(t, 'a');

    pat_loop_next_turn(t->loop, &a->task, on_requeue, a);
    pat_loop_run_once(t->loop, 0);
    assert_string_equal(t->text, "a");
    pat_loop_run(t->loop);
    assert_string_equal(t->text, "aaaaa");
    lettered_free(a);
}

/* ---- posts ---- */

enum { THREADS = 4, POSTS = 2000 };

struct poster {
    struct pat_loop *loop;
    size_t seen; /* loop's thread only */
    bool in_order;
    struct numbered {
        struct poster *of;
        size_t number;
    } posts[POSTS];
};

static void on_posted(void *arg)
{
    struct numbered *p = arg;

    p->of->in_order = p->of->in_order && p->number == p->of->seen;
    p->of->seen++;
}

static void *post_all(void *arg)
{
    struct poster *p = arg;

    for (size_t i = 0; i < POSTS; i++) {
        p->posts[i] = (struct numbered){ p, i };
        if (pat_loop_post(p->loop, on_posted, &p->posts[i]))
            return arg;
    }
    return NULL;
}

static void test_post__from_several_threads_all_arrive_in_each_ones_order(void **state)
{
    struct trace *t = *state;
    static struct poster posters[THREADS];
    pthread_t threads[THREADS];

    for (size_t i = 0; i < THREADS; i++) {
        posters[i] = (struct poster){ .loop = t->loop, .in_order = true };
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    loop_until(t->loop, posters[0].seen + posters[1].seen + posters[2].seen + posters[3].seen ==
                            THREADS * POSTS);
    for (size_t i = 0; i < THREADS; i++) {
        void *failed = &posters[i];

        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
        assert_true(posters[i].in_order);
    }
}

static void test_post__made_before_the_loop_ran_is_not_lost(void **state)
{
    struct trace *t = *state;
    struct lettered *a = lettered_new(t, 'a');

    assert_int_equal(pat_loop_post(t->loop, on_letter, a), PAT_OK);
    pat_loop_run(t->loop);
    assert_string_equal(t->text, "a");
    lettered_free(a);
}

/* ---- the loop ---- */

static void on_stop(void *arg)
{
    pat_loop_stop(((struct lettered *)arg)->trace->loop);
}

static void test_loop__stop_ends_a_run_with_timers_left(void **state)
{
    struct trace *t = *state;
    struct lettered *a = lettered_new(t, 'a'), *far = lettered_new(t, 'z');

    a->timer.fn = on_stop;
    pat_timer_start(&a->timer, 1);
    pat_timer_start(&far->timer, 3600000);
    pat_loop_run(t->loop);
    assert_true(pat_timer_running(&far->timer));
    assert_int_equal(t->n, 0);
    lettered_free(a);
    lettered_free(far);
}

static void test_loop__refuses_to_be_freed_with_something_open(void **state)
{
    struct trace *t = *state;
    struct lettered *a = lettered_new(t, 'a');
    struct pat_signal *sig;

    pat_timer_start(&a->timer, 3600000);
    assert_int_equal(pat_loop_free(t->loop), PAT_EAGAIN);
    lettered_free(a);
    assert_int_equal(pat_signal_new(&sig, t->loop, SIGHUP, NULL, NULL), PAT_OK);
    assert_int_equal(pat_loop_free(t->loop), PAT_EAGAIN);
    pat_signal_close(sig);
}

static void test_loop__run_once_waits_no_longer_than_asked(void **state)
{
    struct trace *t = *state;
    int64_t start = pat_now_us();

    pat_loop_run_once(t->loop, 5);
    assert_true(pat_now_us() - start >= 5000);
    assert_in_range(pat_loop_now_ms(t->loop), start / 1000, pat_now_ms() + 1);
}

static void on_busy(void *arg)
{
    int64_t until = pat_now_us() + 30000;

    (void)arg;
    while (pat_now_us() < until)
        ; /* what a blocking call would do to the loop */
}

static void test_loop__lag_shows_a_callback_that_held_it(void **state)
{
    struct trace *t = *state;
    struct lettered *a = lettered_new(t, 'a');

    assert_int_equal(pat_loop_lag_us(t->loop), 0);
    a->timer.fn = on_busy;
    pat_timer_start(&a->timer, 1);
    pat_loop_run(t->loop);
    pat_loop_run_once(t->loop, 20);
    assert_in_range(pat_loop_lag_us(t->loop), 15000, 5000000);
    lettered_free(a);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_timer__fires_by_due_time_then_by_start_order),
        T(test_timer__rough_ones_come_together_and_never_early),
        T(test_timer__stopped_or_moved_does_what_was_said_last),
        T(test_timer__many_at_random_come_in_order),
        T(test_timer__zero_ms_started_in_its_callback_lets_io_run),
        T(test_timer__absolute_deadlines_do_not_drift),
        T(test_timer__may_be_freed_in_its_own_callback),
        T(test_task__runs_after_the_callback_in_order_once),
        T(test_task__canceled_before_or_during_the_same_turn_does_not_run),
        T(test_task__queued_by_itself_waits_for_the_turn_after),
        T(test_post__from_several_threads_all_arrive_in_each_ones_order),
        T(test_post__made_before_the_loop_ran_is_not_lost),
        T(test_loop__stop_ends_a_run_with_timers_left),
        T(test_loop__refuses_to_be_freed_with_something_open),
        T(test_loop__run_once_waits_no_longer_than_asked),
        T(test_loop__lag_shows_a_callback_that_held_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
