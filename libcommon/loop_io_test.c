/* loop_io_test.c - descriptors, signals, work on other threads, names and times. */
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

struct poll_seen {
    int calls;
    int events;
    int err;
};

static void on_poll_seen(int err, int events, void *arg)
{
    struct poll_seen *s = arg;

    s->calls++;
    s->err = err;
    s->events = events;
}

static void test_poll__tells_what_was_asked_and_nothing_after_close(void **state)
{
    struct trace *t = *state;
    struct poll_seen seen = { 0 };
    struct pat_poll *p;
    int fd[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    assert_int_equal(pat_poll_new(&p, t->loop, fd[0], on_poll_seen, &seen), PAT_OK);
    assert_int_equal(pat_poll_set(p, PAT_POLL_OUT), PAT_OK);
    loop_until(t->loop, seen.calls);
    assert_int_equal(seen.events, PAT_POLL_OUT);
    assert_int_equal(pat_poll_set(p, PAT_POLL_IN), PAT_OK);
    assert_int_equal(write(fd[1], "x", 1), 1);
    loop_until(t->loop, seen.events == PAT_POLL_IN);
    pat_poll_close(p);
    close(fd[0]);
    close(fd[1]);
    seen.calls = 0;
    pat_loop_run_once(t->loop, 5);
    assert_int_equal(seen.calls, 0);
    pat_poll_close(NULL);
}

static void on_signum(int signum, void *arg)
{
    *(int *)arg = signum;
}

static void test_signal__is_told_on_the_loop(void **state)
{
    struct trace *t = *state;
    struct pat_signal *sig;
    int seen = 0;

    assert_int_equal(pat_signal_new(&sig, t->loop, SIGHUP, on_signum, &seen), PAT_OK);
    assert_int_equal(raise(SIGHUP), 0);
    loop_until(t->loop, seen);
    assert_int_equal(seen, SIGHUP);
    pat_signal_close(sig);
}

struct job {
    pthread_t ran_on;
    int worked;
    int done;
};

static void on_job(void *arg)
{
    struct job *j = arg;

    j->ran_on = pthread_self();
    j->worked++;
}

static void on_job_done(void *arg)
{
    struct job *j = arg;

    j->done += j->worked;
}

static void test_work__runs_elsewhere_and_ends_on_the_loop(void **state)
{
    struct trace *t = *state;
    struct job j = { 0 };

    assert_int_equal(pat_loop_work(t->loop, on_job, on_job_done, &j), PAT_OK);
    assert_int_equal(j.done, 0);
    pat_loop_run(t->loop);
    assert_int_equal(j.done, 1);
    assert_false(pthread_equal(j.ran_on, pthread_self()));
}

struct answer {
    int calls;
    int err;
    char address[64];
};

static void on_answer(int err, const char *address, void *arg)
{
    struct answer *a = arg;

    a->calls++;
    a->err = err;
    if (address)
        assert_true(pat_strcpy(a->address, sizeof a->address, address));
}

static void test_resolve__gives_numeric_text(void **state)
{
    static const struct {
        const char *host, *address;
        int err;
    } rows[] = {
        { "127.0.0.1", "127.0.0.1", PAT_OK }, { "::1", "::1", PAT_OK },
        { "[::1]", "::1", PAT_OK },           { "localhost", "127.0.0.1", PAT_OK },
        { "no such name", "", PAT_ECONN },
    };
    struct trace *t = *state;

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pat_resolve *r;
        struct answer a = { 0 };

        assert_int_equal(pat_resolve_start(&r, t->loop, rows[i].host, LOOP_UNTIL_MS, on_answer, &a),
                         PAT_OK);
        assert_int_equal(a.calls, 0);
        loop_until(t->loop, a.calls);
        assert_int_equal(a.err, rows[i].err);
        assert_string_equal(a.address, rows[i].address);
    }
}

static void test_resolve__canceled_does_not_answer(void **state)
{
    struct trace *t = *state;
    struct pat_resolve *r[2];
    struct answer a = { 0 };

    assert_int_equal(pat_resolve_start(&r[0], t->loop, "localhost", 1000, on_answer, &a), PAT_OK);
    assert_int_equal(pat_resolve_start(&r[1], t->loop, "127.0.0.1", 1000, on_answer, &a), PAT_OK);
    pat_resolve_cancel(r[0]);
    pat_resolve_cancel(r[1]);
    pat_loop_run(t->loop);
    assert_int_equal(a.calls, 0);
    pat_resolve_cancel(NULL);
}

static void test_time__is_written_as_iso_8601(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        { 0, "1970-01-01T00:00:00.000Z" },
        { 1795341600123, "2026-11-22T10:00:00.123Z" },
        { -1, "1969-12-31T23:59:59.999Z" },
    };
    char text[PAT_TIME_LEN + 1];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pat_time_format(rows[i].ms, text);
        assert_string_equal(text, rows[i].text);
    }
    assert_true(pat_unix_ms() > 1700000000000);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_poll__tells_what_was_asked_and_nothing_after_close),
        T(test_signal__is_told_on_the_loop),
        T(test_work__runs_elsewhere_and_ends_on_the_loop),
        T(test_resolve__gives_numeric_text),
        T(test_resolve__canceled_does_not_answer),
        T(test_time__is_written_as_iso_8601),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
