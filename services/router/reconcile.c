/* reconcile.c - the rounds: see reconcile.h. */
#include "reconcile.h"

#include "rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    AT_ONCE = 8,     /* looks under way */
    PARKED_MAX = 50, /* callbacks a round */
    LEASE_S = 300,   /* a call that was left is looked at again then */
    DB_MS = 5000,
    HURRY_MS = 200, /* there was more than a round takes */
};

enum chore { CHORE_LEGS, CHORE_MESSAGES, CHORES };

struct reconcile {
    struct router *r;
    struct pat_timer tick;
    int open; /* what holds this: looks, claims, chores */
    int looks;
    bool closing, hurry;
    enum chore chore; /* the one whose turn it is */
    bool chore_runs;
};

/* Freed by the last that comes back. */
static bool released(struct reconcile *rc)
{
    rc->open--;
    if (!rc->closing)
        return false;
    if (!rc->open)
        free(rc);
    return true;
}

void reconcile_count(struct router *r, const char *what, const char *outcome)
{
    struct pat_buf labels;

    pat_buf_init(&labels, 256);
    pat_metric_label(&labels, "what", what);
    pat_metric_label(&labels, "outcome", outcome);
    pat_counter_add(pat_counter(r->d->metrics, "pat_router_reconciled_total",
                                "What no callback told: calls, legs and messages looked after",
                                labels.data),
                    1);
    pat_buf_fini(&labels);
}

/* ------------------------------------------------------------------ open calls */

static void on_looked(const char *outcome, void *arg)
{
    struct reconcile *rc = arg;

    rc->looks--;
    if (!rc->closing)
        reconcile_count(rc->r, "call", outcome);
    (void)released(rc);
}

static int64_t number(const struct pat_db_result *rows, size_t row, const char *column)
{
    const char *v = pat_db_get(rows, row, column);

    return v ? strtoll(v, NULL, 10) : 0;
}

static void look(struct reconcile *rc, const struct pat_db_result *rows, size_t row)
{
    struct reconcile_call c = { .last_ms = number(rows, row, "last_ms"),
                                .gone = (int)number(rows, row, "gone") };
    int err = lifecycle_read(&c.call, rows, row);

    if (!err)
        err = reconcile_look(rc->r, &c, on_looked, rc);
    if (err) {
        pat_log(PAT_WARN, "reconcile.call", PAT_S("call", c.call.ref.call.s), PAT_ERR(err));
        return;
    }
    rc->open++;
    rc->looks++;
}

static void on_calls(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct reconcile *rc = arg;
    size_t rows = err ? 0 : pat_db_rows(results[0]);

    (void)n;
    if (released(rc))
        return;
    if (err)
        pat_log(PAT_WARN, "reconcile.claim", PAT_ERR(err));
    for (size_t i = 0; i < rows; i++)
        look(rc, results[0], i);
    rc->hurry |= rows >= AT_ONCE;
}

static void claim_calls(struct reconcile *rc)
{
    char lease[24], most[24];
    const char *params[] = { lease, most };

    if (rc->looks >= AT_ONCE)
        return;
    snprintf(lease, sizeof lease, "%d s", LEASE_S);
    snprintf(most, sizeof most, "%d", AT_ONCE - rc->looks);
    if (!pat_db_run1(rc->r->d->db, "claim_calls",
                     "select * from patchbay.claim_calls($1::interval, $2::integer)", params, 2,
                     DB_MS, on_calls, rc, NULL))
        rc->open++;
}

/* ------------------------------------------------------------------ parked callbacks */

static void on_parked(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct reconcile *rc = arg;
    size_t rows = err ? 0 : pat_db_rows(results[0]);

    (void)n;
    if (released(rc))
        return;
    for (size_t i = 0; i < rows; i++) {
        struct lifecycle_call c;

        if (!pat_db_get(results[0], i, "id") || lifecycle_read(&c, results[0], i))
            continue;
        pat_log(PAT_INFO, "status.unparked", PAT_S("call", c.ref.call.s));
        reconcile_count(rc->r, "callback", "unparked");
        lifecycle_follow(rc->r, &c);
    }
    rc->hurry |= rows >= PARKED_MAX;
}

static void take_parked(struct reconcile *rc)
{
    char most[24];
    const char *params[] = { most };

    snprintf(most, sizeof most, "%d", PARKED_MAX);
    if (!pat_db_run1(rc->r->d->db, "take_parked",
                     "select t.* from patchbay.claim_parked($1::integer) p, "
                     "lateral patchbay.take_status(p) t",
                     params, 1, DB_MS, on_parked, rc, NULL))
        rc->open++;
}

/* ------------------------------------------------------------------ chores */

static void on_chore_done(void *arg)
{
    struct reconcile *rc = arg;

    rc->chore_runs = false;
    (void)released(rc);
}

static int run_chore(struct reconcile *rc, const char *state)
{
    PAT_AUTO_JSON j = NULL;

    if (pat_json_parse(&j, state, strlen(state), NULL))
        return PAT_EPROTO;
    return rc->chore == CHORE_LEGS ? reconcile_legs(rc->r, on_chore_done, rc)
                                   : reconcile_messages(rc->r, j, on_chore_done, rc);
}

static void on_chore(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct reconcile *rc = arg;
    const char *state = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    (void)n;
    if (rc->closing || !state) {
        on_chore_done(rc);
        return;
    }
    err = run_chore(rc, state);
    if (err) {
        pat_log(PAT_WARN, "reconcile.chore", PAT_ERR(err));
        on_chore_done(rc);
    }
}

static void claim_chore(struct reconcile *rc)
{
    static const char *const names[] = { "router.legs", "router.messages" };
    char every[24];
    const char *params[] = { names[rc->chore], every };

    if (rc->chore_runs || !rest_configured(rc->r))
        return;
    rc->chore = (enum chore)((rc->chore + 1) % CHORES);
    params[0] = names[rc->chore];
    snprintf(every, sizeof every, "%lld ms", (long long)rc->r->conf->chores_ms);
    if (pat_db_run1(rc->r->d->db, "claim_chore",
                    "select * from patchbay.claim_chore($1, $2::interval)", params, 2, DB_MS,
                    on_chore, rc, NULL))
        return;
    rc->chore_runs = true;
    rc->open++;
}

/* ------------------------------------------------------------------ rounds */

static void on_tick(void *arg)
{
    struct reconcile *rc = arg;
    bool hurry = rc->hurry;

    rc->hurry = false;
    if (pat_db_up(rc->r->d->db)) {
        take_parked(rc);
        claim_calls(rc);
        claim_chore(rc);
    }
    pat_timer_start(&rc->tick, hurry ? HURRY_MS : rc->r->conf->reconcile_ms);
}

int reconcile_new(struct reconcile **out, struct router *r)
{
    struct reconcile *rc;
    int err;

    *out = NULL;
    if (!r->conf->reconcile_ms)
        return PAT_OK;
    rc = calloc(1, sizeof *rc);
    if (!rc)
        return PAT_ENOMEM;
    rc->r = r;
    err = pat_timer_init(&rc->tick, r->d->loop, on_tick, rc);
    if (err) {
        free(rc);
        return err;
    }
    pat_timer_start(&rc->tick, r->conf->reconcile_ms);
    *out = rc;
    return PAT_OK;
}

void reconcile_free(struct reconcile *rc)
{
    if (!rc)
        return;
    rc->closing = true;
    pat_timer_fini(&rc->tick);
    if (!rc->open)
        free(rc);
}
