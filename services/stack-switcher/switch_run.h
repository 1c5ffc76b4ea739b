/* switch_run.h - one switch in this replica's hands: the inside of switch_run.c and switch_steps.c.
 */
#ifndef SWITCH_RUN_H
#define SWITCH_RUN_H

#include "switch.h"
#include "switch_next.h"

struct switch_run {
    struct switches *s;
    char id[PAT_ID_LEN + 1];
    char epoch[24];
    struct pat_json *row; /* as last told */
    enum switch_step step;
    enum switch_step follows; /* begins in the transaction in which this one is done */
    pat_db_id query, renewal;
    switch_reply_fn *asked; /* runs when the query is answered */
    const char *question;
    pat_bus_id request;
    struct pat_timer renew;
    struct switch_run *next, **prev;
};

/* The step's work begins; it ends by exactly one of the three below, never before it has returned.
 */
typedef void switch_step_fn(struct switch_run *r);
extern switch_step_fn *const switch_step_fns[SWITCH_STEPS];

/* It is done: stored with the result (taken). */
void run_done(struct switch_run *r, struct pat_json *result_take);
/* Postgres did it and said so: the row after it (borrowed), NULL when somebody else holds it. */
void run_row(struct switch_run *r, const struct pat_json *row);
/* Not yet: the row is given back for so long. */
void run_wait(struct switch_run *r, int64_t ms, const char *why);
/* It failed: again later when that may help, else the way back. */
void run_fail(struct switch_run *r, int err, const char *why);
/* The replica's hands are off it; whoever is next takes it up. */
void run_drop(struct switch_run *r);

/* The running step's question to Postgres, its request to another daemon. */
void run_ask(struct switch_run *r, const struct switch_query *q, switch_reply_fn *fn);
void run_call(struct switch_run *r, const char *service, const char *method,
              struct pat_json *params_take, int64_t timeout_ms, pat_rpc_done_fn *fn);
const char *run_worker(const struct switch_run *r);

#endif
