/* switch_run.c - takes up switches that have something to do, and walks them: claim, begin, do,
 * done, next; waits and failures are written down and the row is given back.
 *
 * What is due comes by NOTIFY patchbay_switch at once, and by a sweep for what a dead replica left.
 */
#include "switch_run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL      "patchbay_switch"
#define TIMEOUT_MS   10000
#define RETRY_MAX_MS ((int64_t)5 * 60 * 1000)
#define SQL_BEGIN    "select patchbay.switch_begin($1::uuid, $2, $3::bigint, $4, $5::bigint)"
#define SQL_DONE     "select patchbay.switch_done($1::uuid, $2, $3::bigint, $4, $5, $6::jsonb)"
enum { RUNS_MAX = 32, LISTENERS_MAX = 4 };

struct switches {
    struct pat_daemon *d;
    struct switch_conf conf;
    char worker[80];
    struct switch_run *runs;
    int n_runs;
    bool claiming, again, closing;
    pat_db_id claim;
    struct pat_timer sweep;
    struct {
        switch_news_fn *fn;
        void *arg;
    } listeners[LISTENERS_MAX];
    int n_listeners;
    struct pat_counter *steps_ok, *steps_failed;
    struct pat_gauge *running;
};

static void look(struct switches *s);
static void go(struct switch_run *r);

/* ------------------------------------------------------------------ one run */

const char *run_worker(const struct switch_run *r)
{
    return r->s->worker;
}

void run_drop(struct switch_run *r)
{
    struct switches *s = r->s;

    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    s->n_runs--;
    pat_gauge_set(s->running, s->n_runs);
    pat_db_cancel(s->d->db, r->query);
    pat_db_cancel(s->d->db, r->renewal);
    pat_bus_cancel(s->d->bus, r->request);
    pat_timer_fini(&r->renew);
    pat_json_free(r->row);
    free(r);
    if (s->n_runs == RUNS_MAX - 1)
        look(s); /* there was no room for more */
}

static void on_answer(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct switch_run *r = arg;
    PAT_AUTO_JSON reply = NULL;

    r->query = 0;
    err = switch_reply_read(&reply, err, results, n, r->question);
    r->asked(err, reply, r);
}

void run_ask(struct switch_run *r, const struct switch_query *q, switch_reply_fn *fn)
{
    r->asked = fn;
    r->question = q->name;
    /* Left as it is: the lease ends, and somebody takes it up again. */
    if (pat_db_run1(r->s->d->db, q->name, q->sql, q->params, q->n, TIMEOUT_MS, on_answer, r,
                    &r->query))
        run_drop(r);
}

void run_call(struct switch_run *r, const char *service, const char *method,
              struct pat_json *params_take, int64_t timeout_ms, pat_rpc_done_fn *fn)
{
    int err =
        pat_rpc_call(r->s->d->bus, service, method, params_take, timeout_ms, fn, r, &r->request);

    pat_json_free(params_take);
    if (err)
        run_fail(r, err, pat_err_text(err));
}

static void on_renewed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct switch_run *r = arg;

    (void)n;
    r->renewal = 0;
    if (!err && strcmp(pat_db_value(results[0], 0, 0), "t") != 0) {
        pat_log(PAT_WARN, "switch.lease_lost", PAT_S("switch", r->id));
        run_drop(r);
    }
}

static void renew(void *arg)
{
    struct switch_run *r = arg;
    char ms[24];
    const char *params[] = { r->id, r->s->worker, r->epoch, ms };
    int err;

    pat_timer_start(&r->renew, r->s->conf.lease_ms / 3);
    if (r->renewal)
        return;
    snprintf(ms, sizeof ms, "%lld", (long long)r->s->conf.lease_ms);
    err = pat_db_run1(r->s->d->db, "switch_renew",
                      "select patchbay.switch_renew($1::uuid, $2, $3::bigint, $4::bigint)", params,
                      4, r->s->conf.lease_ms, on_renewed, r, &r->renewal);
    if (err)
        pat_log(PAT_WARN, "switch.not_renewed", PAT_S("switch", r->id), PAT_ERR(err));
}

/* For tests: dies where it is told to, without a last word. */
static void maybe_die(const struct switch_run *r, const char *when)
{
    char at[40];

    snprintf(at, sizeof at, "%s:%s", switch_step_name(r->step), when);
    if (!strcmp(r->s->conf.die_at, at))
        raise(SIGKILL);
}

/* ------------------------------------------------------------------ the end of a step */

static void take_row(struct switch_run *r, const struct pat_json *row)
{
    struct pat_json *copy = pat_json_dup(row);

    if (!copy) {
        run_drop(r);
        return;
    }
    pat_json_free(r->row);
    r->row = copy;
    go(r);
}

static void on_stored(int err, const struct pat_json *row, void *arg)
{
    struct switch_run *r = arg;

    if (err || !row)
        run_drop(r);
    else
        take_row(r, row);
}

static void turn(struct switch_run *r, const char *why)
{
    run_ask(
        r,
        &(struct switch_query){ .name = "switch_turn",
                                .sql = "select patchbay.switch_turn($1::uuid, $2, $3::bigint, $4)",
                                .params = { r->id, r->s->worker, r->epoch, why },
                                .n = 4 },
        on_stored);
}

static void tell(const struct switch_run *r, const char *event, const char *why)
{
    pat_log(why ? PAT_WARN : PAT_INFO, event, PAT_S("switch", r->id),
            PAT_S("user", pat_json_str_or(r->row, "user_id", "")),
            PAT_S("step", switch_step_name(r->step)), PAT_S("why", why));
}

static void step_done(struct switch_run *r)
{
    pat_counter_add(r->s->steps_ok, 1);
    tell(r, "switch.step", NULL);
}

void run_row(struct switch_run *r, const struct pat_json *row)
{
    if (!row) {
        run_drop(r);
    } else if (pat_json_bool_or(row, "wait", false)) {
        run_drop(r);
    } else if (pat_json_bool_or(row, "turn", false)) {
        turn(r, "asked to go back");
    } else {
        maybe_die(r, "after");
        step_done(r);
        take_row(r, row);
    }
}

static void on_released(int err, const struct pat_json *row, void *arg)
{
    (void)err;
    (void)row;
    run_drop(arg);
}

void run_wait(struct switch_run *r, int64_t ms, const char *why)
{
    char seen[24], pause[24];

    snprintf(seen, sizeof seen, "%lld", (long long)pat_json_int_or(r->row, "version", 0));
    snprintf(pause, sizeof pause, "%lld", (long long)ms);
    run_ask(r,
            &(struct switch_query){ .name = "switch_wait",
                                    .sql = "select patchbay.switch_wait($1::uuid, $2, $3::bigint, "
                                           "$4::bigint, $5::bigint, $6)",
                                    .params = { r->id, r->s->worker, r->epoch, seen, pause, why },
                                    .n = 6 },
            on_released);
}

void run_fail(struct switch_run *r, int err, const char *why)
{
    int64_t attempts = pat_json_int_or(r->row, "attempts", 1);
    struct pat_retry retry = PAT_RETRY(r->s->conf.retry_ms, RETRY_MAX_MS);

    pat_counter_add(r->s->steps_failed, 1);
    tell(r, "switch.step_failed", why);
    if (switch_step_may_fail(r->step) &&
        (!pat_err_retryable(err) || attempts >= r->s->conf.tries)) {
        turn(r, why);
        return;
    }
    retry.attempts = attempts > 20 ? 20 : attempts > 0 ? (unsigned)attempts - 1 : 0;
    run_wait(r, pat_retry_next_ms(&retry, pat_random32()), why);
}

/* ------------------------------------------------------------------ the next step */

static void on_begun(int err, const struct pat_json *row, void *arg)
{
    struct switch_run *r = arg;

    if (err || !row || pat_json_bool_or(row, "wait", false)) {
        run_drop(r);
        return;
    }
    if (pat_json_bool_or(row, "turn", false)) {
        turn(r, "asked to go back");
        return;
    }
    pat_json_free(r->row);
    r->row = pat_json_dup(row);
    if (!r->row) {
        run_drop(r);
        return;
    }
    maybe_die(r, "before");
    switch_step_fns[r->step](r);
}

static void begin(struct switch_run *r, enum switch_step step)
{
    char ms[24];

    r->step = step;
    snprintf(ms, sizeof ms, "%lld", (long long)r->s->conf.lease_ms);
    run_ask(r,
            &(struct switch_query){
                .name = "switch_begin",
                .sql = SQL_BEGIN,
                .params = { r->id, r->s->worker, r->epoch, switch_step_name(step), ms },
                .n = 5 },
            on_begun);
}

/* Both rows of one unit: the step is done, and the one that follows has begun. */
static void on_done(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct switch_run *r = arg;
    PAT_AUTO_JSON row = NULL;
    PAT_AUTO_JSON begun = NULL;

    r->query = 0;
    err = switch_reply_read(&row, err, results, n, "switch_done");
    if (err || !row || n < 2) {
        run_row(r, row);
        return;
    }
    step_done(r);
    r->step = r->follows;
    err = switch_reply_read(&begun, err, results + 1, n - 1, "switch_begin");
    on_begun(err, begun, r);
}

/* What follows when the running step is done, as far as the row is known. */
static enum switch_step following(const struct switch_run *r)
{
    struct switch_facts f = switch_facts_of(r->row);

    f.done |= 1u << r->step;
    f.finished = r->step == STEP_RETIRE || r->step == STEP_CLEAN_UP;
    return switch_next(&f).step;
}

void run_done(struct switch_run *r, struct pat_json *result_take)
{
    PAT_AUTO_STR text = pat_json_print(result_take);
    const char *state = r->step == STEP_CLEAN_UP ? switch_end(r->row) : switch_step_state(r->step);
    char ms[24];
    const char *done[] = { r->id, r->s->worker,      r->epoch, switch_step_name(r->step),
                           NULL,  text ? text : "{}" };
    const char *begin[] = { r->id, r->s->worker, r->epoch, NULL, ms };
    struct pat_db_stmt stmts[] = { { "switch_done", SQL_DONE, 6, done },
                                   { "switch_begin", SQL_BEGIN, 5, begin } };

    pat_json_free(result_take);
    /* It told so when it cut back. */
    if (r->step != STEP_CLEAN_UP || strcmp(pat_json_str_or(r->row, "state", ""), state) != 0)
        done[4] = state;
    r->follows = following(r);
    begin[3] = switch_step_name(r->follows);
    snprintf(ms, sizeof ms, "%lld", (long long)r->s->conf.lease_ms);
    maybe_die(r, "after");
    if (pat_db_run(r->s->d->db, stmts, r->follows ? 2 : 1, TIMEOUT_MS, on_done, r, &r->query))
        run_drop(r);
}

/* The routers have confirmed just now: nothing is drained before the calls begun until then are
 * written down, so it need not be looked at. */
static bool must_settle(const struct switch_run *r, enum switch_step next)
{
    return r->s->conf.settle_ms > 0 && ((r->step == STEP_OBSERVE && next == STEP_DRAIN) ||
                                        (r->step == STEP_OBSERVE_BACK && next == STEP_DRAIN_BACK));
}

static void go(struct switch_run *r)
{
    struct switch_facts f = switch_facts_of(r->row);
    struct switch_move m = switch_next(&f);

    if (m.turn)
        turn(r, "asked to go back");
    else if (must_settle(r, m.step))
        run_wait(r, r->s->conf.settle_ms, "calls may still be written down");
    else if (m.step)
        begin(r, m.step);
    else if (m.wait_ms)
        run_wait(r, m.wait_ms, m.why);
    else
        run_drop(r);
}

/* ------------------------------------------------------------------ taking up */

static int run_new(struct switch_run **out, struct switches *s, const struct pat_json *row)
{
    struct switch_run *r = calloc(1, sizeof *r);
    int err = PAT_ENOMEM;

    if (!r)
        return err;
    r->s = s;
    r->row = pat_json_dup(row);
    pat_strcpy(r->id, sizeof r->id, pat_json_str_or(row, "id", ""));
    snprintf(r->epoch, sizeof r->epoch, "%lld", (long long)pat_json_int_or(row, "epoch", 0));
    if (r->row)
        err = pat_timer_init(&r->renew, s->d->loop, renew, r);
    if (err) {
        pat_json_free(r->row);
        free(r);
        return err;
    }
    r->next = s->runs;
    r->prev = &s->runs;
    if (r->next)
        r->next->prev = &r->next;
    s->runs = r;
    s->n_runs++;
    pat_gauge_set(s->running, s->n_runs);
    pat_timer_start(&r->renew, s->conf.lease_ms / 3);
    *out = r;
    return PAT_OK;
}

static void on_claimed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct switches *s = arg;
    PAT_AUTO_JSON row = NULL;
    struct switch_run *r;
    bool again = s->again;

    s->claim = 0;
    s->claiming = s->again = false;
    if (switch_reply_read(&row, err, results, n, "switch_claim"))
        return; /* the next sweep looks again */
    if (row && !run_new(&r, s, row)) {
        again = true; /* there may be more */
        go(r);
    }
    if (again)
        look(s);
}

/* One claim at a time, and again while there is something. */
static void look(struct switches *s)
{
    char ms[24];
    const char *params[] = { s->worker, ms };

    if (s->claiming) {
        s->again = true;
        return;
    }
    if (s->n_runs >= RUNS_MAX || s->closing)
        return; /* when one has ended */
    snprintf(ms, sizeof ms, "%lld", (long long)s->conf.lease_ms);
    s->claiming =
        !pat_db_run1(s->d->db, "switch_claim", "select patchbay.switch_claim($1, $2::bigint, null)",
                     params, 2, TIMEOUT_MS, on_claimed, s, &s->claim);
}

static void on_sweep(void *arg)
{
    struct switches *s = arg;

    pat_timer_start(&s->sweep, s->conf.sweep_ms);
    look(s);
}

/* payload: "<id>", or "<id> due" */
static void on_notify(const char *channel, const char *payload, void *arg)
{
    struct switches *s = arg;
    char id[PAT_ID_LEN + 1] = "";
    bool whole = payload && strlen(payload) >= PAT_ID_LEN;

    (void)channel;
    if (whole)
        memcpy(id, payload, PAT_ID_LEN);
    for (int i = 0; i < s->n_listeners; i++)
        s->listeners[i].fn(whole ? id : NULL, s->listeners[i].arg);
    if (!whole || payload[PAT_ID_LEN])
        look(s);
}

/* ------------------------------------------------------------------ life */

const struct switch_conf *switches_conf(const struct switches *s)
{
    return &s->conf;
}

struct pat_daemon *switches_daemon(const struct switches *s)
{
    return s->d;
}

int switches_listen(struct switches *s, switch_news_fn *fn, void *arg)
{
    if (s->n_listeners == LISTENERS_MAX)
        return PAT_EAGAIN;
    s->listeners[s->n_listeners].fn = fn;
    s->listeners[s->n_listeners++].arg = arg;
    return PAT_OK;
}

int switches_new(struct switches **out, struct pat_daemon *d, const struct switch_conf *conf)
{
    struct switches *s = calloc(1, sizeof *s);
    const char *help = "Steps of switches this replica took";
    int err = PAT_ENOMEM;

    if (!s)
        return err;
    s->d = d;
    s->conf = *conf;
    snprintf(s->worker, sizeof s->worker, "switcher-%s", pat_id_new().s);
    s->steps_ok = pat_counter(d->metrics, "pat_switcher_steps_total", help, "outcome=\"done\"");
    s->steps_failed =
        pat_counter(d->metrics, "pat_switcher_steps_total", help, "outcome=\"failed\"");
    s->running =
        pat_gauge(d->metrics, "pat_switcher_running", "Switches in this replica's hands", NULL);
    err = pat_timer_init(&s->sweep, d->loop, on_sweep, s);
    if (err) {
        free(s);
        return err;
    }
    pat_timer_start(&s->sweep, s->conf.sweep_ms);
    err = pat_db_listen(d->db, CHANNEL, on_notify, s);
    if (err) {
        switches_free(s);
        return err;
    }
    *out = s;
    return PAT_OK;
}

void switches_free(struct switches *s)
{
    if (!s)
        return;
    s->closing = true;
    while (s->runs)
        run_drop(s->runs);
    pat_db_cancel(s->d->db, s->claim);
    pat_timer_fini(&s->sweep);
    free(s);
}
