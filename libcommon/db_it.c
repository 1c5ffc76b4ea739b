/* db_it.c - the database module against a real PostgreSQL, one that stops, freezes and restarts.
 *
 * Run by tests/integration/test_libcommon.py: PAT_TEST_DB_URL is the server, or a pgbouncer in
 * transaction mode (PAT_TEST_POOLER set), PAT_TEST_LISTEN_URL the server itself.
 */
#include "test/cmocka.h"

#include "db.h"
#include "metrics.h"
#include "test/ctl.h"
#include "test/loop_until.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct fixture {
    struct pat_loop *loop;
    struct pat_db *db;
    int ups, downs;
    bool closed;
};

static void on_state(bool up, void *arg)
{
    struct fixture *f = arg;

    (*(up ? &f->ups : &f->downs))++;
}

static bool pooler(void)
{
    return getenv("PAT_TEST_POOLER") != NULL;
}

static void open_db(struct fixture *f, const char *url, int pool)
{
    assert_int_equal(pat_db_new(&f->db, f->loop,
                                &(struct pat_db_opts){ .url = url,
                                                       .listen_url = getenv("PAT_TEST_LISTEN_URL"),
                                                       .app_name = "db_it",
                                                       .pool = pool,
                                                       .prepared = !pooler(),
                                                       .state = on_state,
                                                       .arg = f }),
                     PAT_OK);
}

static void on_true(void *arg)
{
    *(bool *)arg = true;
}

static void close_db(struct fixture *f)
{
    f->closed = false;
    pat_db_close(f->db, 2000, on_true, &f->closed);
    loop_until(f->loop, f->closed);
}

/* What came of a unit. */
struct outcome {
    int n;
    int err;
    size_t results;
    size_t rows;
    char value[128]; /* first of the last result */
    char sqlstate[8];
    int64_t affected;
};

static void on_done(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct outcome *o = arg;
    const char *value;

    o->n++;
    o->err = err;
    o->results = n;
    if (!n)
        return;
    o->rows = pat_db_rows(results[n - 1]);
    o->affected = pat_db_affected(results[n - 1]);
    value = pat_db_value(results[n - 1], 0, 0);
    snprintf(o->value, sizeof o->value, "%s", value ? value : "(null)");
    snprintf(o->sqlstate, sizeof o->sqlstate, "%s", pat_db_sqlstate(results[n - 1]));
}

static struct outcome run(struct fixture *f, const char *name, const char *sql, const char *param)
{
    struct outcome o = { 0 };
    const char *params[] = { param };

    assert_int_equal(
        pat_db_run1(f->db, name, sql, params, strchr(sql, '$') ? 1 : 0, 8000, on_done, &o, NULL),
        PAT_OK);
    assert_int_equal(o.n, 0); /* never inside the call */
    loop_until(f->loop, o.n == 1);
    return o;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    assert_int_equal(pat_loop_new(&f->loop), PAT_OK);
    open_db(f, getenv("PAT_TEST_DB_URL"), 2);
    loop_until(f->loop, pat_db_up(f->db));
    assert_int_equal(run(f, NULL, "drop table if exists t", NULL).err, PAT_OK);
    assert_int_equal(run(f, NULL, "create table t (id int primary key, s text not null)", NULL).err,
                     PAT_OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    close_db(f);
    assert_int_equal(pat_loop_free(f->loop), PAT_OK);
    free(f);
    return 0;
}

/* ---- units ---- */

static void test_db__reads_texts_nulls_and_counts(void **state)
{
    struct fixture *f = *state;
    struct outcome o = run(f, "echo", "select $1::text || '!'", "h\xc3\xa9llo");

    assert_int_equal(o.err, PAT_OK);
    assert_string_equal(o.value, "h\xc3\xa9llo!");
    o = run(f, "echo", "select $1::text || '!'", NULL);
    assert_string_equal(o.value, "(null)");
    o = run(f, NULL, "insert into t select i, 'x' from generate_series(1, 7) i", NULL);
    assert_int_equal(o.affected, 7);
    o = run(f, NULL, "select id from t where id > 100", NULL);
    assert_int_equal(o.rows, 0);
}

static void on_columns(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    assert_int_equal(err, PAT_OK);
    assert_int_equal(n, 2);
    assert_int_equal(pat_db_col(results[1], "b"), 1);
    assert_int_equal(pat_db_col(results[1], "B"), -1);
    assert_string_equal(pat_db_get(results[1], 1, "b"), "4");
    assert_null(pat_db_get(results[1], 0, "nope"));
    assert_null(pat_db_value(results[1], 2, 0));
    *(bool *)arg = true;
}

static void test_db__gives_one_result_per_statement(void **state)
{
    static const struct pat_db_stmt stmts[] = {
        { .sql = "insert into t values (1, 'one')" },
        { .sql = "select * from (values (1, 2), (3, 4)) as v (a, b)" },
    };
    struct fixture *f = *state;
    bool done = false;

    assert_int_equal(pat_db_run(f->db, stmts, 2, 5000, on_columns, &done, NULL), PAT_OK);
    loop_until(f->loop, done);
}

static void test_db__a_unit_is_all_or_nothing(void **state)
{
    static const char *const one[] = { "1" };
    static const struct pat_db_stmt stmts[] = {
        { "ins", "insert into t values ($1::int, 'a')", 1, one },
        { "dup", "insert into t values ($1::int, 'b')", 1, one },
        { NULL, "insert into t values (2, 'c')", 0, NULL },
    };
    struct fixture *f = *state;
    struct outcome o = { 0 };

    assert_int_equal(pat_db_run(f->db, stmts, 3, 5000, on_done, &o, NULL), PAT_OK);
    loop_until(f->loop, o.n == 1);
    assert_int_equal(o.err, PAT_EEXIST);
    assert_string_equal(o.sqlstate, "23505");
    assert_int_equal(o.results, 1);
    assert_string_equal(run(f, NULL, "select count(*) from t", NULL).value, "0");
}

static void test_db__maps_errors(void **state)
{
    static const struct {
        const char *sql;
        int err;
        const char *sqlstate;
    } rows[] = {
        { "insert into t values (1, null)", PAT_EINVAL, "23502" },
        { "select 'x'::int", PAT_EINVAL, "22P02" },
        { "select 1 / 0", PAT_EINVAL, "22012" },
        { "do $x$ begin raise insufficient_privilege; end $x$", PAT_EPERM, "42501" },
        { "do $x$ begin raise unique_violation; end $x$", PAT_EEXIST, "23505" },
        { "select nope from t", PAT_EUPSTREAM, "42703" },
        { "this is no sql", PAT_EUPSTREAM, "42601" },
        { "do $x$ begin raise query_canceled; end $x$", PAT_ETIMEDOUT, "57014" },
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct outcome o = { 0 };

        assert_int_equal(pat_db_run1(f->db, NULL, rows[i].sql, NULL, 0, 5000, on_done, &o, NULL),
                         PAT_OK);
        loop_until(f->loop, o.n == 1);
        if (o.err != rows[i].err || strcmp(o.sqlstate, rows[i].sqlstate) != 0)
            fail_msg("%s: %s %s", rows[i].sql, pat_err_name(o.err), o.sqlstate);
    }
}

static void test_db__a_bad_statement_harms_nobody_else(void **state)
{
    enum { N = 300 };
    struct fixture *f = *state;
    struct outcome good = { 0 }, bad = { 0 };

    for (int i = 0; i < N; i++) {
        assert_int_equal(
            pat_db_run1(f->db, "good", "select 1", NULL, 0, 8000, on_done, &good, NULL), PAT_OK);
        assert_int_equal(
            pat_db_run1(f->db, "bad", "select nope", NULL, 0, 8000, on_done, &bad, NULL), PAT_OK);
    }
    loop_until(f->loop, good.n == N && bad.n == N);
    assert_int_equal(good.err, PAT_OK);
    assert_int_equal(bad.err, PAT_EUPSTREAM);
    assert_string_equal(bad.sqlstate, "42703"); /* the reason, not that it was never prepared */
}

static void on_order(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    int *next = arg;

    assert_int_equal(err, PAT_OK);
    assert_int_equal(n, 1);
    assert_int_equal(strtol(pat_db_value(results[0], 0, 0), NULL, 10), *next);
    (*next)++;
}

static void test_db__keeps_order_on_one_connection(void **state)
{
    enum { N = 2000 };
    struct fixture *f = *state;
    struct fixture one = { .loop = f->loop };
    int next = 0;

    open_db(&one, getenv("PAT_TEST_DB_URL"), 1);
    for (int i = 0; i < N; i++) {
        char text[16];
        const char *params[] = { text };

        snprintf(text, sizeof text, "%d", i);
        assert_int_equal(
            pat_db_run1(one.db, "n", "select $1::text", params, 1, 9000, on_order, &next, NULL),
            PAT_OK);
    }
    loop_until(f->loop, next == N);
    close_db(&one);
}

static void test_db__large_values_pass(void **state)
{
    enum { LEN = 3000000 };
    struct fixture *f = *state;
    char *text = malloc(LEN + 1);
    char want[16];
    struct outcome o;

    assert_non_null(text);
    memset(text, 'x', LEN);
    text[LEN] = '\0';
    o = run(f, "len", "select length($1)", text);
    snprintf(want, sizeof want, "%d", LEN);
    assert_string_equal(o.value, want);
    free(text);
}

static void test_db__refuses_more_than_the_queue_takes(void **state)
{
    struct fixture *f = *state;
    struct pat_db *db;
    struct outcome o = { 0 };
    bool closed = false;

    assert_int_equal(
        pat_db_new(&db, f->loop,
                   &(struct pat_db_opts){ .url = "postgres://u:p@127.0.0.1:1/x", .max_queue = 3 }),
        PAT_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pat_db_run1(db, NULL, "select 1", NULL, 0, 60000, on_done, &o, NULL),
                         PAT_OK);
    assert_int_equal(pat_db_run1(db, NULL, "select 1", NULL, 0, 60000, on_done, &o, NULL),
                     PAT_EAGAIN);
    assert_int_equal(pat_db_run1(db, NULL, "select 1", NULL, 0, 0, on_done, &o, NULL), PAT_EINVAL);
    pat_db_close(db, 100, on_true, &closed);
    loop_until(f->loop, closed);
    assert_int_equal(o.n, 3);
    assert_int_equal(o.err, PAT_ECANCELED);
}

/* ---- time ---- */

static void test_deadline__ends_a_unit_in_flight_and_drops_its_results(void **state)
{
    struct fixture *f = *state;
    struct outcome o = { 0 };
    int64_t begun = pat_now_ms();

    assert_int_equal(
        pat_db_run1(f->db, NULL, "select pg_sleep(1)", NULL, 0, 200, on_done, &o, NULL), PAT_OK);
    loop_until(f->loop, o.n == 1);
    assert_int_equal(o.err, PAT_ETIMEDOUT);
    assert_int_equal(o.results, 0);
    assert_true(pat_now_ms() - begun < 900);
    for (int i = 0; i < 4; i++) /* both connections */
        assert_int_equal(run(f, NULL, "select 1", NULL).err, PAT_OK);
    ctl_pass(f->loop, 1000);
    assert_int_equal(o.n, 1);
}

static void test_deadline__ends_a_unit_that_never_got_a_connection(void **state)
{
    struct fixture *f = *state;
    struct fixture none = { .loop = f->loop };
    struct outcome o = { 0 };

    open_db(&none, "postgres://u:p@127.0.0.1:1/x", 1);
    assert_int_equal(pat_db_run1(none.db, NULL, "select 1", NULL, 0, 150, on_done, &o, NULL),
                     PAT_OK);
    loop_until(f->loop, o.n == 1);
    assert_int_equal(o.err, PAT_ETIMEDOUT);
    assert_false(pat_db_up(none.db));
    close_db(&none);
}

static void test_cancel__says_nothing(void **state)
{
    struct fixture *f = *state;
    struct outcome flying = { 0 }, queued = { 0 }, after = { 0 };
    struct fixture one = { .loop = f->loop };
    pat_db_id a, b;

    open_db(&one, getenv("PAT_TEST_DB_URL"), 1);
    loop_until(f->loop, pat_db_up(one.db));
    assert_int_equal(
        pat_db_run1(one.db, NULL, "select pg_sleep(0.2)", NULL, 0, 8000, on_done, &flying, &a),
        PAT_OK);
    for (int i = 0; i < 40; i++) /* more than may fly */
        assert_int_equal(pat_db_run1(one.db, NULL, "select 1", NULL, 0, 8000, on_done, &queued, &b),
                         PAT_OK);
    assert_int_equal(pat_db_run1(one.db, NULL, "select 1", NULL, 0, 8000, on_done, &after, NULL),
                     PAT_OK);
    pat_db_cancel(one.db, a);
    pat_db_cancel(one.db, b);
    pat_db_cancel(one.db, b);
    loop_until(f->loop, after.n == 1);
    assert_int_equal(flying.n, 0);
    assert_int_equal(queued.n, 39);
    close_db(&one);
}

static void test_close__finishes_what_is_queued(void **state)
{
    struct fixture *f = *state;
    struct fixture other = { .loop = f->loop };
    struct outcome o = { 0 };

    open_db(&other, getenv("PAT_TEST_DB_URL"), 1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(pat_db_run1(other.db, NULL, "insert into t select count(*), 'x' from t",
                                     NULL, 0, 8000, on_done, &o, NULL),
                         PAT_OK);
    close_db(&other);
    assert_int_equal(o.n, 100);
    assert_int_equal(o.err, PAT_OK);
    assert_string_equal(run(f, NULL, "select count(*) from t", NULL).value, "100");
}

static void test_close__cancels_what_takes_too_long(void **state)
{
    struct fixture *f = *state;
    struct fixture other = { .loop = f->loop };
    struct outcome o = { 0 };
    int64_t begun;

    open_db(&other, getenv("PAT_TEST_DB_URL"), 1);
    loop_until(f->loop, pat_db_up(other.db));
    assert_int_equal(
        pat_db_run1(other.db, NULL, "select pg_sleep(5)", NULL, 0, 8000, on_done, &o, NULL),
        PAT_OK);
    begun = pat_now_ms();
    pat_db_close(other.db, 200, on_true, &other.closed);
    loop_until(f->loop, other.closed);
    assert_true(pat_now_ms() - begun < 2000);
    assert_int_equal(o.err, PAT_ECANCELED);
    assert_int_equal(o.n, 1);
}

/* ---- listening ---- */

struct ear {
    int looks; /* told to look itself */
    int n;
    char payload[64];
};

static void on_notify(const char *channel, const char *payload, void *arg)
{
    struct ear *e = arg;

    assert_string_equal(channel, "my \"channel\"");
    if (!payload) {
        e->looks++;
        return;
    }
    e->n++;
    snprintf(e->payload, sizeof e->payload, "%s", payload);
}

static void test_listen__hears_and_is_told_to_look_after_a_reconnect(void **state)
{
    struct fixture *f = *state;
    struct ear e = { 0 };
    const char *shout = "notify \"my \"\"channel\"\"\", 'hi'";

    assert_int_equal(pat_db_listen(f->db, "my \"channel\"", on_notify, &e), PAT_OK);
    loop_until(f->loop, e.looks == 1);
    assert_int_equal(run(f, NULL, shout, NULL).err, PAT_OK);
    loop_until(f->loop, e.n == 1);
    assert_string_equal(e.payload, "hi");
    assert_int_equal(run(f, NULL,
                         "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                         " where query like 'LISTEN%' and pid <> pg_backend_pid()",
                         NULL)
                         .err,
                     PAT_OK);
    loop_until(f->loop, e.looks == 2);
    assert_int_equal(run(f, NULL, shout, NULL).err, PAT_OK);
    loop_until(f->loop, e.n == 2);
}

/* ---- a server that goes away ---- */

static void test_restart__units_wait_and_the_rest_is_told(void **state)
{
    struct fixture *f = *state;
    struct outcome flying = { 0 }, waiting = { 0 };

    assert_int_equal(run(f, "p", "select $1::text", "before").err, PAT_OK);
    assert_int_equal(
        pat_db_run1(f->db, NULL, "select pg_sleep(8)", NULL, 0, 30000, on_done, &flying, NULL),
        PAT_OK);
    ctl(f->loop, "postgres halt");
    loop_until(f->loop, !pat_db_up(f->db));
    loop_until(f->loop, flying.n == 1);
    assert_int_equal(flying.err, PAT_ECONN);
    assert_int_equal(
        pat_db_run1(f->db, NULL, "select 'late'", NULL, 0, 30000, on_done, &waiting, NULL), PAT_OK);
    ctl_pass(f->loop, 1000);
    assert_int_equal(waiting.n, 0);
    ctl(f->loop, "postgres start");
    loop_until(f->loop, waiting.n == 1);
    assert_int_equal(waiting.err, PAT_OK);
    assert_string_equal(waiting.value, "late");
    assert_string_equal(run(f, "p", "select $1::text", "after").value, "after"); /* prepared anew */
    assert_int_equal(f->ups, 2);
    assert_int_equal(f->downs, 1);
}

static void test_restart__a_killed_session_is_made_anew(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++) {
        struct outcome o = run(f, NULL,
                               "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                               " where application_name = 'db_it' and pid <> pg_backend_pid()",
                               NULL);

        assert_int_equal(o.err, PAT_OK);
    }
    loop_until(f->loop, run(f, NULL, "select 1", NULL).err == PAT_OK);
}

static void test_stale__a_changed_table_does_not_poison_a_prepared_statement(void **state)
{
    struct fixture *f = *state;
    int tries = 0;

    assert_int_equal(run(f, "star", "select * from t where id = $1::int", "1").err, PAT_OK);
    assert_int_equal(run(f, "star", "select * from t where id = $1::int", "1").err, PAT_OK);
    assert_int_equal(run(f, NULL, "alter table t add column extra int", NULL).err, PAT_OK);
    while (run(f, "star", "select * from t where id = $1::int", "1").err != PAT_OK)
        assert_true(++tries <= 2); /* once per connection */
    assert_int_equal(run(f, "star", "select * from t where id = $1::int", "1").err, PAT_OK);
}

static void test_frozen__ends_units_at_their_deadline_and_recovers(void **state)
{
    struct fixture *f = *state;
    struct outcome o = { 0 };
    int64_t lag_us;

    ctl(f->loop, "postgres pause");
    (void)pat_loop_lag_us(f->loop);
    for (int i = 0; i < 10; i++)
        assert_int_equal(pat_db_run1(f->db, NULL, "select 1", NULL, 0, 500, on_done, &o, NULL),
                         PAT_OK);
    ctl_pass(f->loop, 10000);
    lag_us = pat_loop_lag_us(f->loop);
    assert_int_equal(o.n, 10);
    assert_int_equal(o.err, PAT_ETIMEDOUT);
    assert_true(lag_us < 100000);
    ctl(f->loop, "postgres resume");
    loop_until(f->loop, run(f, NULL, "select 1", NULL).err == PAT_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    static const struct CMUnitTest tests[] = {
        TEST(test_db__reads_texts_nulls_and_counts),
        TEST(test_db__gives_one_result_per_statement),
        TEST(test_db__a_unit_is_all_or_nothing),
        TEST(test_db__maps_errors),
        TEST(test_db__a_bad_statement_harms_nobody_else),
        TEST(test_db__keeps_order_on_one_connection),
        TEST(test_db__large_values_pass),
        TEST(test_db__refuses_more_than_the_queue_takes),
        TEST(test_deadline__ends_a_unit_in_flight_and_drops_its_results),
        TEST(test_deadline__ends_a_unit_that_never_got_a_connection),
        TEST(test_cancel__says_nothing),
        TEST(test_close__finishes_what_is_queued),
        TEST(test_close__cancels_what_takes_too_long),
        TEST(test_listen__hears_and_is_told_to_look_after_a_reconnect),
        TEST(test_restart__units_wait_and_the_rest_is_told),
        TEST(test_restart__a_killed_session_is_made_anew),
        TEST(test_stale__a_changed_table_does_not_poison_a_prepared_statement),
        TEST(test_frozen__ends_units_at_their_deadline_and_recovers),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
