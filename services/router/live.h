/* live.h - how many calls each user has under way, and what his forwards cost today: of all routers
 * together.
 *
 * Fed by what routers tell anyway (call.routed and call.ended on NATS, subjects alone), by this
 * router's own calls at once, and put right from Postgres at the start, after a lost connection and
 * every half a minute. So a count is exact within one router and late by NATS's way between two: of
 * calls that come in the same few milliseconds at n routers, up to n - 1 more than the limit are
 * let in. With NATS away each router counts its own and, every half a minute, everybody's. Memory
 * is bounded: beyond LIVE_MAX calls no more are counted. Life: new -> free. Thread: the loop's.
 */
#ifndef ROUTER_LIVE_H
#define ROUTER_LIVE_H

#include "router.h"

#define LIVE_MAX 65536

struct live;
int live_new(struct live **out, struct router *r) PAT_MUST_CHECK;
void live_free(struct live *l);

/* Twice is once. */
void live_begin(struct live *l, const char *user, const char *call);
void live_end(struct live *l, const char *call);
unsigned live_calls(const struct live *l, const char *user);
unsigned live_last_minute(const struct live *l, const char *user); /* calls that began */

/* Known to all routers soon. */
void live_spend(struct live *l, const char *user, int64_t microusd);
/* Since midnight, UTC. Never less than what was spent; for half a minute it may be more. */
int64_t live_spent_microusd(const struct live *l, const char *user);

#endif
