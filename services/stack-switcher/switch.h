/* switch.h - switching a user's stack: the saga, for the API, the RPC, and what may come.
 *
 * A switch is a row (migrations/20261123110000_switches.sql). Whoever wants one asks Postgres
 * (switch_ask, switch_store.c); any replica takes it up, holds it by a lease, and walks it step by
 * step (switch_run.c, switch_next.c, switch_steps.c). Killed anywhere, it is taken up where it was:
 * each step is written down before and after, and may be done twice. Life: switches_new ->
 * switches_free. Thread: the loop's.
 */
#ifndef SWITCH_H
#define SWITCH_H

#include "pat.h"

struct switches;

struct switch_conf {
    int64_t lease_ms;    /* of a replica on a row; renewed while it works */
    int64_t sweep_ms;    /* rows whose replica died are looked for this often */
    int64_t retry_ms;    /* pause after a step's first failure, doubled by each */
    int64_t tries;       /* of a step before the way back begins */
    int64_t drain_ms;    /* calls on the old stack are waited for this long */
    int64_t settle_ms;   /* after the routers have confirmed: calls still being written down */
    int64_t window_ms;   /* the old agent is kept, where the request does not say */
    int64_t rehearse_ms; /* the test call */
    char *die_at;        /* "provision:before", "provision:after": for tests. "": never */
};

int switches_new(struct switches **out, struct pat_daemon *d,
                 const struct switch_conf *conf) PAT_MUST_CHECK;
void switches_free(struct switches *s);
const struct switch_conf *switches_conf(const struct switches *s);
struct pat_daemon *switches_daemon(const struct switches *s);

/* switch_age.c: the metric of steps nobody gets on with. */
struct switch_age;
int switch_age_new(struct switch_age **out, struct pat_daemon *d) PAT_MUST_CHECK;
void switch_age_free(struct switch_age *a);

/* Whoever shows a switch live: fn runs for each that has changed. id NULL: news may have been lost,
 * look at all. Listeners stay until switches_free. */
typedef void switch_news_fn(const char *id, void *arg);
int switches_listen(struct switches *s, switch_news_fn *fn, void *arg) PAT_MUST_CHECK;

/* ------------------------------------------------------------------ asking (switch_store.c) */

/* What Postgres said, one JSON value, borrowed; NULL: SQL NULL. Runs exactly once unless the
 * database was closed. */
typedef void switch_reply_fn(int err, const struct pat_json *reply, void *arg);
#define SWITCH_PARAMS 6
struct switch_query {
    const char *name; /* of the statement */
    const char *sql;
    const char *params[SWITCH_PARAMS];
    int n;
    int64_t timeout_ms; /* 0: ten seconds */
};
int switch_ask(struct pat_db *db, const struct switch_query *q, switch_reply_fn *fn,
               void *arg) PAT_MUST_CHECK;
/* The first value of a pat_db_fn's results, parsed, yours; a fault is logged once. */
int switch_reply_read(struct pat_json **out, int err, const struct pat_db_result *const *results,
                      size_t n, const char *name);

/* A request: as patchbay.switch_start and .switch_wish take it, by whoever is an admin (admin: by
 * his token; actor_id may be one by Postgres). op "start", "wish", "facts". The reply has "switch"
 * or "facts", or "error" (forbidden, not_found, conflict, mismatch) and "message". */
int switch_request(struct pat_db *db, const char *op, const struct pat_json *p, bool admin,
                   switch_reply_fn *fn, void *arg) PAT_MUST_CHECK;
/* PAT_OK, or what the reply's "error" is in our words. */
int switch_reply_err(const struct pat_json *reply);

/* ------------------------------------------------------------------ plan (plan.c)  */

struct plan_probe {
    bool asked; /* the stack's own daemon, about this voice */
    int err;    /* it did not answer */
    bool ready;
    bool voice_substituted;
};
/* The plan of patchbay.switch_facts: what each setting becomes, what speaks against it, health and
 * cost. Pure. */
int plan_make(struct pat_json **out, const struct pat_json *facts,
              const struct plan_probe *probe) PAT_MUST_CHECK;
/* The nth path in the settings that it looks at, NULL past the last; kept: by its value, of the
 * others only whether something is set (of a number: whether it is above 0). Users who are alike in
 * these, in their voice's grade, in having an avatar and an agent at Retell have the same grades.
 */
const char *plan_path(size_t n, bool *kept);

/* Facts and the new stack's daemon asked, then plan_make. fn gets the plan (borrowed), or an error:
 * PAT_ENOENT: no such user. reply has "error" and "message" when it was refused. */
int plan_ask(struct switches *s, const struct pat_json *p, bool admin, switch_reply_fn *fn,
             void *arg) PAT_MUST_CHECK;

#endif
