/* rollout_run.c - takes up rollouts and walks them: look, decide, do one thing, look again.
 *
 * A replica keeps one until it is over; each look renews its lease. News of its switches and wishes
 * of people make it look at once. Every act is a transaction of its own that may come twice, so
 * a replica may die anywhere.
 */
#include "rollout.h"
#include "rollout_next.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHANNEL    "patchbay_rollout"
#define TIMEOUT_MS 10000
/* A plan reads the settings of each of a cohort, some tenths of a millisecond a user; a start
 * writes a row for each. */
#define COHORT_TIMEOUT_MS 60000
/* News come in flocks. */
#define SOON_MS 30
/* Calls begun before the routers heard are still being written down. */
#define SETTLE_MS 2000
enum { RUNS_MAX = 16, SHARES = 100, BACKS = 100 };

struct roll_run {
    struct rollouts *r;
    char id[PAT_ID_LEN + 1], epoch[24];
    struct roll_facts facts; /* as last looked */
    struct pat_json *look;
    struct roll_move move;
    bool busy, again;
    pat_db_id query;
    struct pat_timer timer;
    const char *question;
    switch_reply_fn *asked;
    struct roll_run *next, **prev;
};

struct rollouts {
    struct switches *s;
    struct pat_daemon *d;
    int64_t judge_ms;
    char worker[80];
    struct roll_run *runs;
    int n_runs;
    bool claiming, closing;
    pat_db_id claim;
    struct pat_timer sweep;
    switch_news_fn *listener;
    void *listener_arg;
    struct pat_counter *done[ROLL_DOS], *failed;
    struct pat_gauge *running;
};

static void look(struct roll_run *r);

/* ------------------------------------------------------------------ one run */

static void drop(struct roll_run *r)
{
    struct rollouts *all = r->r;

    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    all->n_runs--;
    pat_gauge_set(all->running, all->n_runs);
    pat_db_cancel(all->d->db, r->query);
    pat_timer_fini(&r->timer);
    pat_json_free(r->look);
    free(r);
}

static void on_answer(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct roll_run *r = arg;
    PAT_AUTO_JSON reply = NULL;

    r->query = 0;
    err = switch_reply_read(&reply, err, results, n, r->question);
    r->asked(err, reply, r);
}

static void ask_pg(struct roll_run *r, const struct switch_query *q, switch_reply_fn *fn)
{
    r->asked = fn;
    r->question = q->name;
    r->busy = true;
    if (pat_db_run1(r->r->d->db, q->name, q->sql, q->params, q->n, TIMEOUT_MS, on_answer, r,
                    &r->query))
        drop(r); /* the lease ends, and somebody takes it up again */
}

/* For tests: dies where it is told to. */
static void maybe_die(const struct roll_run *r, const char *when)
{
    char at[40];

    snprintf(at, sizeof at, "rollout_%s:%s", roll_do_name(r->move.what), when);
    if (!strcmp(switches_conf(r->r->s)->die_at, at))
        raise(SIGKILL);
}

static void rest(struct roll_run *r, int64_t ms)
{
    int64_t most = switches_conf(r->r->s)->lease_ms / 3; /* to renew it */

    r->busy = false;
    if (r->again)
        ms = SOON_MS;
    r->again = false;
    pat_timer_start(&r->timer, ms < most ? ms : most);
}

static void on_timer(void *arg)
{
    look(arg);
}

static void wake(struct roll_run *r)
{
    if (r->busy)
        r->again = true;
    else
        pat_timer_start(&r->timer, SOON_MS);
}

/* ------------------------------------------------------------------ acting */

/* Done, or not any more what the row wants: the next look says. */
static void on_acted(int err, const struct pat_json *reply, void *arg)
{
    struct roll_run *r = arg;

    if (err) {
        pat_counter_add(r->r->failed, 1);
        rest(r, switches_conf(r->r->s)->retry_ms);
        return;
    }
    maybe_die(r, "after");
    if (reply)
        pat_counter_add(r->r->done[r->move.what], 1);
    /* Nothing was left to ask for: what was asked takes its time. */
    if (r->move.what == ROLL_BACK && reply && pat_json_value_num(reply) < 1) {
        rest(r, r->move.wait_ms);
        return;
    }
    look(r);
}

static void act_n(struct roll_run *r, const char *name, const char *sql, int64_t n)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)n);
    ask_pg(
        r,
        &(struct switch_query){
            .name = name, .sql = sql, .params = { r->id, r->r->worker, r->epoch, text }, .n = 4 },
        on_acted);
}

static void send_back(struct roll_run *r)
{
    char settle[24], drain[24], n[24];

    snprintf(settle, sizeof settle, "%d", SETTLE_MS);
    snprintf(drain, sizeof drain, "%lld", (long long)switches_conf(r->r->s)->drain_ms);
    snprintf(n, sizeof n, "%d", BACKS);
    ask_pg(r,
           &(struct switch_query){ .name = "rollout_back",
                                   .sql = "select patchbay.rollout_back($1::uuid, $2, $3::bigint, "
                                          "$4::bigint, $5::bigint, $6::integer)",
                                   .params = { r->id, r->r->worker, r->epoch, settle, drain, n },
                                   .n = 6 },
           on_acted);
}

/* p is taken. */
static void move(struct roll_run *r, struct pat_json *p_take)
{
    PAT_AUTO_STR text = NULL;

    pat_json_set_str(p_take, "was", pat_json_str_or(r->look, "state", ""));
    text = pat_json_print(p_take);
    pat_json_free(p_take);
    ask_pg(r,
           &(struct switch_query){
               .name = "rollout_move",
               .sql = "select patchbay.rollout_move($1::uuid, $2, $3::bigint, $4::jsonb)",
               .params = { r->id, r->r->worker, r->epoch, text ? text : "{}" },
               .n = 4 },
           on_acted);
}

static void tell(struct roll_run *r, const char *event, const char *why)
{
    pat_log(why ? PAT_WARN : PAT_INFO, event, PAT_S("rollout", r->id), PAT_I("step", r->facts.step),
            PAT_S("why", why));
}

static void next_step(struct roll_run *r)
{
    struct pat_json *p = pat_json_obj();

    pat_json_set_int(p, "step", r->facts.step + 1);
    if (r->facts.calls && r->facts.step + 1 >= r->facts.steps)
        pat_json_set_str(p, "phase", "cutting");
    pat_json_set_str(p, "reason", NULL);
    pat_json_set_str(p, "event", "step");
    tell(r, "rollout.step", NULL);
    move(r, p);
}

static void hold(struct roll_run *r)
{
    struct pat_json *p = pat_json_obj();
    const char *what = r->move.held_for;
    char why[120];

    if (!strcmp(what, "failures"))
        snprintf(why, sizeof why, "%lld users could not be switched", (long long)r->facts.failures);
    else
        snprintf(why, sizeof why, "%s",
                 *what == 'a' ? "the next step waits for approval"
                              : "the calls so far do not tell whether the new stack is worse");
    pat_json_set_str(p, "state", "held");
    pat_json_set_str(p, "held_for", what);
    pat_json_set_str(p, "reason", why);
    pat_json_set_str(p, "event", "held");
    tell(r, "rollout.held", why);
    move(r, p);
}

static void halt(struct roll_run *r)
{
    struct pat_json *p = pat_json_obj();
    const char *gate = "gate";
    char why[120];

    PAT_JSON_EACH(v, pat_json_at(r->look, "verdicts"))
    if (!strcmp(pat_json_str_or(v, "verdict", ""), "fail"))
        gate = pat_json_str_or(v, "gate", gate);
    snprintf(why, sizeof why, "%s: worse than the margin allows", gate);
    pat_json_set_str(p, "state", "returning");
    pat_json_set_str(p, "back", "halt");
    pat_json_set_str(p, "reason", why);
    pat_json_set_str(p, "event", "halted");
    tell(r, "rollout.halted", why);
    move(r, p);
}

static void finish(struct roll_run *r)
{
    const char *back = pat_json_str_or(r->look, "back", "");
    const char *outcome = r->facts.state != ROLL_RETURNING ? "completed"
                          : !strcmp(back, "abort")         ? "aborted"
                          : !strcmp(back, "halt")          ? "halted"
                                                           : "rolled_back";
    struct pat_json *p = pat_json_obj();

    pat_json_set_str(p, "state", "finished");
    pat_json_set_str(p, "outcome", outcome);
    pat_json_set_str(p, "event", "finished");
    pat_log(PAT_INFO, "rollout.finished", PAT_S("rollout", r->id), PAT_S("outcome", outcome));
    move(r, p);
}

/* ------------------------------------------------------------------ the gates */

static void put_verdicts(struct roll_run *r, const struct pat_json *measured)
{
    struct pat_json *p = pat_json_obj(), *verdicts;
    enum gate_verdict worst = gates_judge(&verdicts, pat_json_at(r->look, "gates"), measured);
    const char *was = pat_json_str_or(r->look, "verdict", "");

    pat_json_set_take(p, "verdicts", verdicts);
    pat_json_set_str(p, "verdict", gate_verdict_name(worst));
    if (strcmp(was, gate_verdict_name(worst)) != 0)
        pat_json_set_str(p, "event", "judged");
    move(r, p);
}

static void on_measured(int err, const struct pat_json *measured, void *arg)
{
    put_verdicts(arg, err ? NULL : measured);
}

static void judge(struct roll_run *r)
{
    ask_pg(r,
           &(struct switch_query){ .name = "rollout_measure",
                                   .sql = "select patchbay.rollout_measure($1::uuid)",
                                   .params = { r->id },
                                   .n = 1 },
           on_measured);
}

/* ------------------------------------------------------------------ deciding */

static void settle(struct roll_run *r)
{
    struct pat_json *p = pat_json_obj();

    pat_json_set_bool(p, "settled", true);
    pat_json_set_str(p, "event", "settled");
    move(r, p);
}

static void begin_sharing(struct roll_run *r)
{
    struct pat_json *p = pat_json_obj();

    pat_json_set_str(p, "phase", "sharing");
    pat_json_set_str(p, "event", "sharing");
    move(r, p);
}

#define HELD "($1::uuid, $2, $3::bigint, $4::integer)"

static void act(struct roll_run *r)
{
    const struct roll_move *m = &r->move;

    maybe_die(r, "before");
    switch (m->what) {
    case ROLL_START:
        act_n(r, "rollout_start_users", "select patchbay.rollout_start_users" HELD, m->n);
        break;
    case ROLL_SHARE:
        act_n(r, "rollout_share", "select patchbay.rollout_share" HELD, SHARES);
        break;
    case ROLL_CUT:
        act_n(r, "rollout_cut_users", "select patchbay.rollout_cut_users" HELD, m->n);
        break;
    case ROLL_BACK:
        send_back(r);
        break;
    case ROLL_SETTLE:
        settle(r);
        break;
    case ROLL_JUDGE:
        judge(r);
        break;
    case ROLL_PHASE:
        begin_sharing(r);
        break;
    case ROLL_STEP:
        next_step(r);
        break;
    case ROLL_HOLD:
        hold(r);
        break;
    case ROLL_HALT:
        halt(r);
        break;
    case ROLL_FINISH:
        finish(r);
        break;
    default:
        rest(r, m->wait_ms);
    }
}

static void on_looked(int err, const struct pat_json *seen, void *arg)
{
    struct roll_run *r = arg;

    if (err) {
        rest(r, switches_conf(r->r->s)->retry_ms);
        return;
    }
    pat_json_free(r->look);
    r->look = seen ? pat_json_dup(seen) : NULL;
    if (!r->look || !strcmp(pat_json_str_or(seen, "state", ""), "finished")) {
        drop(r); /* over, or somebody else's */
        return;
    }
    r->facts = roll_facts_of(r->look, r->r->judge_ms);
    r->move = roll_next(&r->facts);
    act(r);
}

static void look(struct roll_run *r)
{
    char ms[24];

    pat_timer_stop(&r->timer);
    r->again = false;
    snprintf(ms, sizeof ms, "%lld", (long long)switches_conf(r->r->s)->lease_ms);
    ask_pg(r,
           &(struct switch_query){
               .name = "rollout_look",
               .sql = "select patchbay.rollout_look($1::uuid, $2, $3::bigint, $4::bigint)",
               .params = { r->id, r->r->worker, r->epoch, ms },
               .n = 4 },
           on_looked);
}

/* ------------------------------------------------------------------ taking up */

static int run_new(struct roll_run **out, struct rollouts *all, const struct pat_json *row)
{
    struct roll_run *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return PAT_ENOMEM;
    r->r = all;
    pat_strcpy(r->id, sizeof r->id, pat_json_str_or(row, "id", ""));
    snprintf(r->epoch, sizeof r->epoch, "%lld", (long long)pat_json_int_or(row, "epoch", 0));
    err = pat_timer_init(&r->timer, all->d->loop, on_timer, r);
    if (err) {
        free(r);
        return err;
    }
    r->next = all->runs;
    r->prev = &all->runs;
    if (r->next)
        r->next->prev = &r->next;
    all->runs = r;
    pat_gauge_set(all->running, ++all->n_runs);
    *out = r;
    return PAT_OK;
}

static void claim(struct rollouts *all);

static void on_claimed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct rollouts *all = arg;
    PAT_AUTO_JSON row = NULL;
    struct roll_run *r;

    all->claim = 0;
    all->claiming = false;
    if (switch_reply_read(&row, err, results, n, "rollout_claim") || !row || run_new(&r, all, row))
        return;
    look(r);
    claim(all);
}

static void claim(struct rollouts *all)
{
    char ms[24];
    const char *params[] = { all->worker, ms };

    if (all->claiming || all->closing || all->n_runs >= RUNS_MAX)
        return;
    snprintf(ms, sizeof ms, "%lld", (long long)switches_conf(all->s)->lease_ms);
    all->claiming =
        !pat_db_run1(all->d->db, "rollout_claim", "select patchbay.rollout_claim($1, $2::bigint)",
                     params, 2, TIMEOUT_MS, on_claimed, all, &all->claim);
}

static void on_sweep(void *arg)
{
    struct rollouts *all = arg;

    pat_timer_start(&all->sweep, switches_conf(all->s)->sweep_ms);
    claim(all);
}

/* payload: "<id>", or "<id> due"; NULL: anything may have happened. */
static void on_notify(const char *channel, const char *payload, void *arg)
{
    struct rollouts *all = arg;
    char id[PAT_ID_LEN + 1] = "";
    bool whole = payload && strlen(payload) >= PAT_ID_LEN;

    (void)channel;
    if (whole)
        memcpy(id, payload, PAT_ID_LEN);
    if (all->listener)
        all->listener(whole ? id : NULL, all->listener_arg);
    if (whole && !payload[PAT_ID_LEN])
        return;
    for (struct roll_run *r = all->runs; r; r = r->next)
        if (!whole || !strcmp(r->id, id))
            wake(r);
    claim(all);
}

/* Some switch has changed: perhaps one of ours. */
static void on_switch(const char *id, void *arg)
{
    struct rollouts *all = arg;

    (void)id;
    for (struct roll_run *r = all->runs; r; r = r->next)
        if (r->facts.moving || r->facts.returning)
            wake(r);
}

/* ------------------------------------------------------------------ asking */

int rollout_request(struct pat_db *db, const char *op, const struct pat_json *p, bool admin,
                    switch_reply_fn *fn, void *arg)
{
    PAT_AUTO_STR text = pat_json_print(p);

    if (!text)
        return PAT_ENOMEM;
    return switch_ask(
        db,
        &(struct switch_query){ .name = "rollout_ask",
                                .sql = "select patchbay.rollout_ask($1, $2::jsonb, $3::boolean)",
                                .params = { op, text, admin ? "true" : "false" },
                                .n = 3,
                                .timeout_ms = COHORT_TIMEOUT_MS },
        fn, arg);
}

/* ------------------------------------------------------------------ life */

void rollouts_listen(struct rollouts *r, switch_news_fn *fn, void *arg)
{
    r->listener = fn;
    r->listener_arg = arg;
}

static void count_all(struct rollouts *all)
{
    for (int i = 0; i < ROLL_DOS; i++) {
        char label[40];

        snprintf(label, sizeof label, "action=\"%s\"", roll_do_name((enum roll_do)i));
        all->done[i] = pat_counter(all->d->metrics, "pat_switcher_rollout_actions_total",
                                   "What this replica did for rollouts", label);
    }
    all->failed = pat_counter(all->d->metrics, "pat_switcher_rollout_failures_total",
                              "Acts for rollouts that Postgres did not answer", NULL);
    all->running = pat_gauge(all->d->metrics, "pat_switcher_rollouts",
                             "Rollouts in this replica's hands", NULL);
}

int rollouts_new(struct rollouts **out, struct switches *s, int64_t judge_ms)
{
    struct rollouts *all = calloc(1, sizeof *all);
    int err;

    if (!all)
        return PAT_ENOMEM;
    all->s = s;
    all->d = switches_daemon(s);
    all->judge_ms = judge_ms;
    snprintf(all->worker, sizeof all->worker, "switcher-%s", pat_id_new().s);
    count_all(all);
    err = pat_timer_init(&all->sweep, all->d->loop, on_sweep, all);
    if (err) {
        free(all);
        return err;
    }
    err = pat_db_listen(all->d->db, CHANNEL, on_notify, all);
    if (!err)
        err = switches_listen(s, on_switch, all);
    if (err) {
        rollouts_free(all);
        return err;
    }
    pat_timer_start(&all->sweep, switches_conf(s)->sweep_ms);
    *out = all;
    return PAT_OK;
}

void rollouts_free(struct rollouts *all)
{
    if (!all)
        return;
    all->closing = true;
    while (all->runs)
        drop(all->runs);
    pat_db_cancel(all->d->db, all->claim);
    pat_timer_fini(&all->sweep);
    free(all);
}
