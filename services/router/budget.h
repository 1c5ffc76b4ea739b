/* budget.h - may this user's money take one more call? Of all routers together, and in memory.
 *
 * Caps and what was spent are read from Postgres at the start, every half a minute, soon after a
 * call whose money is not settled, and when a budget is changed (config.changed on NATS). A call
 * that is let in reserves what the user's own calls cost by the minute, for so many minutes; one
 * that lasts longer counts with its minutes. Calls of other routers are heard of on NATS (live.h).
 * What is reserved stays so until the call is over and its costs are in Postgres, a quarter of an
 * hour at most. Within one router no two calls get the same money; between n routers up to n - 1
 * reservations more may be given in the same few milliseconds. Nothing here ends a call under way.
 * Before the first look, as with Postgres away at the start, nobody has a cap. Life: new -> free.
 * Thread: the loop's.
 */
#ifndef ROUTER_BUDGET_H
#define ROUTER_BUDGET_H

#include "router.h"

#define BUDGET_MAX 65536 /* users with a cap, and calls of theirs */

struct budget;
int budget_new(struct budget **out, struct router *r) PAT_MUST_CHECK;
void budget_free(struct budget *b); /* NULL is fine */

/* Would this call still fit? True for who has no cap, and for one that is counted already. call
 * NULL: any. */
bool budget_allows(const struct budget *b, const char *user, const char *call);
/* A call of this router's is let in. Twice is once. */
void budget_hold(struct budget *b, const char *user, const char *call);
/* It is served by no stack after all. */
void budget_release(struct budget *b, const char *call);
/* Some router's call.routed, to a stack or not. */
void budget_routed(struct budget *b, const char *user, const char *call, const char *event,
                   size_t len);
/* The call is over; what it cost is not known yet. */
void budget_ended(struct budget *b, const char *call);

#endif
