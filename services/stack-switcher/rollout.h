/* rollout.h - many users switched by one request: for the API, the RPC and the console's feed.
 *
 * A rollout is a row (migrations/20261123150000_rollouts.sql) that walks as switches do
 * (switch.h): whoever wants one asks Postgres (rollout_request), any replica takes it up, holds it
 * by a lease, and does one thing after the other (rollout_run.c), each a transaction;
 * rollout_next.c decides, rollout_gate.c measures by. The users' switches are ordinary ones. Life:
 * rollouts_new -> rollouts_free, within the life of the switches. Thread: the loop's.
 */
#ifndef ROLLOUT_H
#define ROLLOUT_H

#include "switch.h"

/* Of one rollout: as many as a person may name in one request, and a page can show. */
#define ROLLOUT_USERS_MAX 10000

struct rollouts;

int rollouts_new(struct rollouts **out, struct switches *s, int64_t judge_ms) PAT_MUST_CHECK;
void rollouts_free(struct rollouts *r);
/* fn runs for each that has changed (id NULL: look at all); one listener, until rollouts_free. */
void rollouts_listen(struct rollouts *r, switch_news_fn *fn, void *arg);

/* op "start" with what rollout_read made, "wish" ({"id", "wish"}), both with who asks ("actor",
 * "actor_id", "peer", "why"). The reply has "rollout", or "error" and "message"
 * (switch_reply_err). */
int rollout_request(struct pat_db *db, const char *op, const struct pat_json *p, bool admin,
                    switch_reply_fn *fn, void *arg) PAT_MUST_CHECK;

/* ------------------------------------------------------------------ rollout_read.c */

/* What somebody asks for, completed by what he has not said: {"name", "to_stack", "cohort", "mode",
 * "steps", "gates", "at_a_time", "hold", "keep_ms", "verify_first", "verify_every",
 * "max_failures"}. Pure. PAT_EINVAL: field and what (constants) say what is wrong. */
int rollout_read(struct pat_json **out, const struct pat_json *body, int64_t window_ms,
                 const char **field, const char **what) PAT_MUST_CHECK;

/* ------------------------------------------------------------------ rollout_plan.c */

/* What the cohort of such a request is: how many, what is lossy, who is blocked and why. fn gets
 * it (borrowed), or an error; PAT_EPERM: reply has "error" and "message". p as for "start". */
int rollout_plan(struct switches *s, const struct pat_json *p, bool admin, switch_reply_fn *fn,
                 void *arg) PAT_MUST_CHECK;

#endif
