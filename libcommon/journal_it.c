/* journal_it.c - the journal against real servers that go away, and in a process that is killed.
 *
 * Run by tests/integration/test_libcommon.py. The database has our schema. Called as
 * `journal_it spool FILE N` it is the process that dies: it adds N entries, none of which can be
 * stored, and kills itself.
 */
#include "test/cmocka.h"

#include "journal.h"
#include "metrics.h"
#include "test/ctl.h"
#include "test/loop_until.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOWHERE "postgres://u:p@127.0.0.1:1/x"

struct fixture {
    struct pat_loop *loop;
    struct pat_db *db;
    struct pat_bus *bus;
    struct pat_journal *journal;
    struct pat_id call;
    char spool[64];
    int closed;
};

static void on_closed(void *arg)
{
    (*(int *)arg)++;
}

static void open_journal(struct fixture *f, size_t max_entries, bool spool)
{
    assert_int_equal(
        pat_journal_new(&f->journal, f->loop, f->db, f->bus,
                        &(struct pat_journal_opts){ .max_entries = max_entries,
                                                    .spool_file = spool ? f->spool : NULL }),
        PAT_OK);
}

static void close_journal(struct fixture *f, int64_t timeout_ms)
{
    int closed = 0;

    pat_journal_close(f->journal, timeout_ms, on_closed, &closed);
    loop_until(f->loop, closed);
    f->journal = NULL;
}

static void on_reply(int err, const struct pat_msg *m, void *arg)
{
    (void)m;
    assert_int_equal(err, PAT_OK);
    (*(int *)arg)++;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    int made = 0;

    assert_non_null(f);
    f->call = pat_id_new();
    snprintf(f->spool, sizeof f->spool, "%s", "spool.XXXXXX");
    close(mkstemp(f->spool));
    assert_int_equal(pat_loop_new(&f->loop), PAT_OK);
    assert_int_equal(
        pat_db_new(&f->db, f->loop,
                   &(struct pat_db_opts){ .url = getenv("PAT_TEST_DB_URL"), .prepared = true }),
        PAT_OK);
    assert_int_equal(
        pat_bus_new(&f->bus, f->loop, &(struct pat_bus_opts){ .url = getenv("PAT_TEST_NATS_URL") }),
        PAT_OK);
    for (size_t i = 0; i < pat_event_streams_n; i++)
        assert_int_equal(pat_bus_stream_ensure(f->bus, pat_event_streams[i].name,
                                               pat_event_streams[i].config_json, 5000, on_reply,
                                               &made),
                         PAT_OK);
    loop_until(f->loop, made == (int)pat_event_streams_n && pat_db_up(f->db));
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->journal)
        close_journal(f, 2000);
    pat_bus_close(f->bus, 2000, on_closed, &f->closed);
    pat_db_close(f->db, 2000, on_closed, &f->closed);
    loop_until(f->loop, f->closed == 2);
    assert_int_equal(pat_loop_free(f->loop), PAT_OK);
    unlink(f->spool);
    free(f);
    return 0;
}

/* An event of this test's call, with its number. */
static int add_event(struct fixture *f, int number, const struct pat_db_stmt *stmts, size_t n)
{
    struct pat_json *data = pat_json_obj();

    pat_json_set_int(data, "n", number);
    pat_json_set_str(data, "quote", "it's \"quoted\" \\ and \xc3\xa9");
    return pat_journal_add(
        f->journal,
        &(struct pat_event){
            .area = "call", .name = "routed", .key = f->call.s, .source = "/patchbay/test" },
        data, stmts, n);
}

struct count {
    int n;
    int64_t value;
};

static void on_count(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct count *c = arg;

    c->n++;
    c->value = err || !n ? -1 : strtoll(pat_db_value(results[0], 0, 0), NULL, 10);
}

/* sql with $1: this test's call. */
static int64_t ask(struct fixture *f, const char *sql)
{
    const char *params[] = { f->call.s };
    struct count c = { 0 };

    assert_int_equal(pat_db_run1(f->db, NULL, sql, params, 1, 9000, on_count, &c, NULL), PAT_OK);
    loop_until(f->loop, c.n);
    return c.value;
}

static int64_t stored(struct fixture *f)
{
    return ask(f, "select count(*) from patchbay.call_events where call_id = $1::uuid");
}

static int64_t outbox(struct fixture *f)
{
    return ask(f, "select count(*) from patchbay.outbox where payload->>'subject' = $1");
}

static int64_t published(struct fixture *f)
{
    return ask(f, "select count(*) from patchbay.outbox where payload->>'subject' = $1"
                  " and published_at is not null");
}

static void on_heard(const struct pat_msg *m, void *arg)
{
    (void)m;
    (*(int *)arg)++;
}

/* ---- storing ---- */

static void test_journal__stores_publishes_and_marks(void **state)
{
    enum { N = 500 };
    struct fixture *f = *state;
    struct pat_sub *s;
    char subject[128];
    int heard = 0;

    snprintf(subject, sizeof subject, "pat.call.v1.routed.*.%s", f->call.s);
    assert_int_equal(pat_bus_subscribe(f->bus, &s, subject, NULL, on_heard, &heard), PAT_OK);
    open_journal(f, 0, true);
    for (int i = 0; i < N; i++)
        assert_int_equal(add_event(f, i, NULL, 0), PAT_OK);
    loop_until(f->loop, pat_journal_pending(f->journal) == 0);
    loop_until(f->loop, heard == N);
    assert_int_equal(stored(f), N);
    assert_int_equal(outbox(f), N);
    loop_until(f->loop, published(f) == N);
    assert_int_equal(ask(f, "select count(*) from patchbay.call_events where call_id = $1::uuid"
                            " and type = 'pat.call.v1.routed' and user_id is null"
                            " and data->>'quote' = E'it''s \"quoted\" \\\\ and \\u00e9'"),
                     N);
    pat_bus_unsubscribe(s);
}

static void test_journal__runs_statements_in_order_with_their_event(void **state)
{
    enum { N = 300 };
    struct fixture *f = *state;
    char text[16];
    const char *params[] = { f->call.s, text };
    struct pat_db_stmt stmt = { "append",
                                "insert into public.journal_it values ($1::uuid, $2)"
                                " on conflict (call) do update set s ="
                                " journal_it.s || ',' || excluded.s",
                                2, params };

    open_journal(f, 0, false);
    for (int i = 0; i < N; i++) {
        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(i % 3 ? pat_journal_add(f->journal, NULL, NULL, &stmt, 1)
                               : add_event(f, i, &stmt, 1),
                         PAT_OK);
    }
    loop_until(f->loop, pat_journal_pending(f->journal) == 0);
    assert_int_equal(stored(f), N / 3);
    assert_int_equal(ask(f, "select count(*) from public.journal_it where call = $1::uuid and s ="
                            " (select string_agg(i::text, ',' order by i)"
                            " from generate_series(0, 299) i)"),
                     1);
}

static void test_journal__keeps_events_of_other_areas_out_of_call_events(void **state)
{
    struct fixture *f = *state;

    open_journal(f, 0, false);
    assert_int_equal(pat_journal_add(f->journal,
                                     &(struct pat_event){ .area = "usage",
                                                          .name = "recorded",
                                                          .key = f->call.s,
                                                          .source = "/patchbay/test" },
                                     pat_json_obj(), NULL, 0),
                     PAT_OK);
    loop_until(f->loop, pat_journal_pending(f->journal) == 0);
    assert_int_equal(stored(f), 0);
    assert_int_equal(outbox(f), 1);
}

static void test_journal__tells_and_stores_an_id_once(void **state)
{
    struct fixture *f = *state;
    struct pat_id id = pat_id_new();
    struct pat_sub *s;
    char subject[128];
    int heard = 0;

    snprintf(subject, sizeof subject, "pat.call.v1.*.*.%s", f->call.s);
    assert_int_equal(pat_bus_subscribe(f->bus, &s, subject, NULL, on_heard, &heard), PAT_OK);
    open_journal(f, 0, false);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pat_journal_add(f->journal,
                                         &(struct pat_event){ .area = "call",
                                                              .name = "ended",
                                                              .key = f->call.s,
                                                              .source = "/patchbay/test",
                                                              .id = &id },
                                         pat_json_obj(), NULL, 0),
                         PAT_OK);
    assert_int_equal(add_event(f, 0, NULL, 0), PAT_OK); /* sent behind them all */
    loop_until(f->loop, pat_journal_pending(f->journal) == 0);
    loop_until(f->loop, heard >= 2);
    assert_int_equal(heard, 2);
    assert_int_equal(stored(f), 2);
    pat_bus_unsubscribe(s);
}

static void test_journal__one_bad_row_does_not_hold_up_the_rest(void **state)
{
    enum { N = 40 };
    static const struct pat_db_stmt bad = { NULL, "select 'x'::int", 0, NULL };
    struct fixture *f = *state;
    char parked[80];
    struct stat st;

    open_journal(f, 0, true);
    for (int i = 0; i < N; i++)
        assert_int_equal(add_event(f, i, &bad, i == 7 ? 1 : 0), PAT_OK);
    loop_until(f->loop, pat_journal_pending(f->journal) == 0);
    assert_int_equal(stored(f), N); /* the event is kept, its statement is parked */
    snprintf(parked, sizeof parked, "%s.parked", f->spool);
    assert_int_equal(stat(parked, &st), 0);
    assert_true(st.st_size > 0);
    unlink(parked);
}

static void test_journal__refuses_what_it_cannot_hold(void **state)
{
    struct fixture *f = *state;
    struct pat_db *db = f->db;

    assert_int_equal(
        pat_db_new(&f->db, f->loop, &(struct pat_db_opts){ .url = NOWHERE, .pool = 1 }), PAT_OK);
    open_journal(f, 10, false);
    for (int i = 0; i < 10; i++)
        assert_int_equal(add_event(f, i, NULL, 0), PAT_OK);
    assert_int_equal(add_event(f, 10, NULL, 0), PAT_EAGAIN);
    assert_int_equal(pat_journal_pending(f->journal), 10);
    assert_int_equal(pat_journal_add(f->journal, NULL, NULL, NULL, 0), PAT_EINVAL);
    close_journal(f, 100);
    pat_db_close(f->db, 0, on_closed, &f->closed);
    loop_until(f->loop, f->closed);
    f->closed = 0;
    f->db = db;
}

static void test_journal__without_postgres_only_publishes(void **state)
{
    struct fixture *f = *state;
    struct pat_db *db = f->db;
    struct pat_sub *s;
    char subject[128];
    int heard = 0;

    snprintf(subject, sizeof subject, "pat.call.v1.routed.*.%s", f->call.s);
    assert_int_equal(pat_bus_subscribe(f->bus, &s, subject, NULL, on_heard, &heard), PAT_OK);
    f->db = NULL;
    open_journal(f, 0, false);
    assert_int_equal(add_event(f, 1, NULL, 0), PAT_OK);
    assert_int_equal(pat_journal_pending(f->journal), 0);
    loop_until(f->loop, heard == 1);
    close_journal(f, 100);
    f->db = db;
    pat_bus_unsubscribe(s);
}

/* ---- outages ---- */

/* Adds for ms, five every 10 ms; returns how many. */
static int add_for(struct fixture *f, int64_t ms, int from)
{
    int64_t begun = pat_now_ms();
    int n = 0;

    while (pat_now_ms() - begun < ms) {
        for (int i = 0; i < 5; i++)
            assert_int_equal(add_event(f, from + n++, NULL, 0), PAT_OK);
        ctl_pass(f->loop, 10);
    }
    return n;
}

static void test_outage__of_postgres_loses_nothing(void **state)
{
    struct fixture *f = *state;
    int n;

    open_journal(f, 0, true);
    n = add_for(f, 300, 0);
    ctl(f->loop, "postgres halt");
    n += add_for(f, 10000, n);
    assert_true(pat_journal_pending(f->journal) > 1000);
    ctl(f->loop, "postgres start");
    n += add_for(f, 300, n);
    loop_until(f->loop, pat_journal_pending(f->journal) == 0);
    assert_int_equal(stored(f), n);
    loop_until(f->loop, published(f) == n);
}

static void test_outage__of_nats_loses_nothing(void **state)
{
    struct fixture *f = *state;
    int n;

    open_journal(f, 0, false);
    n = add_for(f, 300, 0);
    ctl(f->loop, "nats stop");
    n += add_for(f, 10000, n);
    ctl(f->loop, "nats start");
    n += add_for(f, 300, n);
    loop_until(f->loop, pat_journal_pending(f->journal) == 0);
    assert_int_equal(stored(f), n);
    /* What was cut off between socket and acknowledgement stays unmarked: the sweep's. */
    loop_until(f->loop, published(f) >= n - 50);
    print_message("%d events, %lld left to the sweep\n", n, (long long)(n - published(f)));
}

/* ---- the spool ---- */

static void torn_line(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "{\"s\":\"pat.call.v1.rou", 21), 21);
    close(fd);
}

struct child {
    char *argv[6];
    int status;
    bool done;
};

static void wait_for_child(void *arg)
{
    struct child *c = arg;
    pid_t pid;

    if (posix_spawn(&pid, "/proc/self/exe", NULL, NULL, c->argv, environ) ||
        waitpid(pid, &c->status, 0) != pid)
        c->status = -1;
}

static void child_done(void *arg)
{
    ((struct child *)arg)->done = true;
}

static void test_spool__survives_kill_9(void **state)
{
    struct fixture *f = *state;
    char n[] = "1000";
    struct child c = { .argv = { "journal_it", "spool", f->spool, n, f->call.s, NULL } };

    assert_int_equal(pat_loop_work(f->loop, wait_for_child, child_done, &c), PAT_OK);
    loop_until(f->loop, c.done);
    assert_true(WIFSIGNALED(c.status) && WTERMSIG(c.status) == SIGKILL);
    torn_line(f->spool);
    open_journal(f, 0, true);
    assert_int_equal(pat_journal_pending(f->journal), 1000);
    loop_until(f->loop, pat_journal_pending(f->journal) == 0);
    assert_int_equal(stored(f), 1000);
    assert_int_equal(ask(f, "select length(s) from public.journal_it where call = $1::uuid"), 1000);
    loop_until(f->loop, published(f) == 1000);
}

static void test_spool__belongs_to_one_process(void **state)
{
    struct fixture *f = *state;
    struct pat_journal *second;

    open_journal(f, 0, true);
    assert_int_equal(pat_journal_new(&second, f->loop, f->db, f->bus,
                                     &(struct pat_journal_opts){ .spool_file = f->spool }),
                     PAT_EIO);
}

static void test_spool__keeps_what_closing_could_not_store(void **state)
{
    struct fixture *f = *state;
    struct pat_db *db = f->db;

    assert_int_equal(
        pat_db_new(&f->db, f->loop, &(struct pat_db_opts){ .url = NOWHERE, .pool = 1 }), PAT_OK);
    open_journal(f, 0, true);
    for (int i = 0; i < 25; i++)
        assert_int_equal(add_event(f, i, NULL, 0), PAT_OK);
    close_journal(f, 100);
    pat_db_close(f->db, 0, on_closed, &f->closed);
    loop_until(f->loop, f->closed);
    f->closed = 0;
    f->db = db;
    open_journal(f, 0, true);
    loop_until(f->loop, pat_journal_pending(f->journal) == 0);
    assert_int_equal(stored(f), 25);
}

static void test_spool__does_not_grow_for_ever(void **state)
{
    enum { N = 20000 };
    struct fixture *f = *state;
    struct stat st;
    off_t most = 0;
    struct rusage before, after;
    int64_t us;

    open_journal(f, 0, true);
    getrusage(RUSAGE_SELF, &before);
    for (int i = 0; i < N; i++) {
        assert_int_equal(add_event(f, i, NULL, 0), PAT_OK);
        if (i % 20 == 0)
            pat_loop_run_once(f->loop, 1);
        if (i % 1000 == 0 && !stat(f->spool, &st) && st.st_size > most)
            most = st.st_size;
    }
    loop_until(f->loop, pat_journal_pending(f->journal) == 0);
    getrusage(RUSAGE_SELF, &after);
    us = (after.ru_utime.tv_sec - before.ru_utime.tv_sec + after.ru_stime.tv_sec -
          before.ru_stime.tv_sec) *
             1000000 +
         after.ru_utime.tv_usec - before.ru_utime.tv_usec + after.ru_stime.tv_usec -
         before.ru_stime.tv_usec;
    print_message("%d events: %lld us CPU each with all threads, spool at most %lld bytes\n", N,
                  (long long)us / N, (long long)most);
    assert_int_equal(stored(f), N);
    assert_true(most < 40 << 20);
    assert_int_equal(stat(f->spool, &st), 0);
    assert_true(st.st_size <= 1 << 20); /* a little of what is dead is kept */
    close_journal(f, 1000);
    assert_int_equal(stat(f->spool, &st), 0);
    assert_int_equal(st.st_size, 0);
}

/* The process that dies. */
static int die(char **argv)
{
    struct fixture f = { .closed = 0 };
    const char *params[] = { argv[4] };
    struct pat_db_stmt stmt = { NULL,
                                "insert into public.journal_it values ($1::uuid, 'x') on conflict"
                                " (call) do update set s = journal_it.s || 'x'",
                                1, params };
    int n = (int)strtol(argv[3], NULL, 10);

    snprintf(f.spool, sizeof f.spool, "%s", argv[2]);
    pat_strcpy(f.call.s, sizeof f.call.s, argv[4]);
    if (pat_loop_new(&f.loop) || pat_db_new(&f.db, f.loop, &(struct pat_db_opts){ .url = NOWHERE }))
        return 1;
    open_journal(&f, 0, true);
    for (int i = 0; i < n; i++) {
        if (add_event(&f, i, &stmt, 1))
            return 1;
        if (i == n / 2)
            pat_loop_run_once(f.loop, 10); /* a turn's end writes them */
    }
    pat_journal_sync(f.journal); /* and so does this */
    return raise(SIGKILL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_journal__stores_publishes_and_marks),
        TEST(test_journal__runs_statements_in_order_with_their_event),
        TEST(test_journal__keeps_events_of_other_areas_out_of_call_events),
        TEST(test_journal__tells_and_stores_an_id_once),
        TEST(test_journal__one_bad_row_does_not_hold_up_the_rest),
        TEST(test_journal__refuses_what_it_cannot_hold),
        TEST(test_journal__without_postgres_only_publishes),
        TEST(test_outage__of_postgres_loses_nothing),
        TEST(test_outage__of_nats_loses_nothing),
        TEST(test_spool__survives_kill_9),
        TEST(test_spool__belongs_to_one_process),
        TEST(test_spool__keeps_what_closing_could_not_store),
        TEST(test_spool__does_not_grow_for_ever),
    };

    if (argc == 5 && !strcmp(argv[1], "spool"))
        return die(argv);
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
