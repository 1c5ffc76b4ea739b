/* reconcile.h - what no callback told: open calls nobody has heard of for a while are asked about,
 * parked callbacks are taken up, legs left behind are hung up, messages taken while we were away
 * are fetched.
 *
 * All routers do it, each call and each chore is one router's at a time (claims in Postgres, which
 * lapse when it dies), and a round takes no more than its budget. reconcile_judge.h says what to
 * make of a call. Life: reconcile_new -> reconcile_free (what is under way ends by itself). Thread:
 * the loop's.
 */
#ifndef ROUTER_RECONCILE_H
#define ROUTER_RECONCILE_H

#include "lifecycle.h"
#include "router.h"

struct reconcile;

/* *out NULL: PAT_ROUTER_RECONCILE_MS is 0. */
int reconcile_new(struct reconcile **out, struct router *r) PAT_MUST_CHECK;
void reconcile_free(struct reconcile *rc); /* NULL is fine */

/* reconcile_look.c: one call is asked about, wherever it can be, and closed or left. */
typedef void reconcile_looked_fn(const char *outcome, void *arg);
struct reconcile_call {
    struct lifecycle_call call;
    int64_t last_ms; /* the last sign of life */
    int gone;        /* looks before this one that found the stack without it */
};
/* fn runs once, later. */
int reconcile_look(struct router *r, const struct reconcile_call *c, reconcile_looked_fn *fn,
                   void *arg) PAT_MUST_CHECK;

/* reconcile_legs.c: the carrier's legs of calls that are over. reconcile_messages.c: recordings at
 * the carrier that no callback told of. Each goes through the carrier's list; done runs once. */
int reconcile_legs(struct router *r, pat_loop_fn *done, void *arg) PAT_MUST_CHECK;
int reconcile_messages(struct router *r, const struct pat_json *state, pat_loop_fn *done,
                       void *arg) PAT_MUST_CHECK;

void reconcile_count(struct router *r, const char *what, const char *outcome);

#endif
