/* watch.h - a dialled stack that keeps its caller waiting is given up while the caller still
 * listens.
 *
 * The carrier tells us a leg's end; it does not tell that nobody is behind a leg LiveKit has
 * answered, or that its own word was lost. So each leg dialled there is looked at again: when it
 * has been answered for PAT_ROUTER_NO_AGENT_MS, and once more when it should long have been. An
 * agent that serves has put its mark into KV (<call>.served, docs/rpc.md), or, NATS away, the
 * call's row says "answered". Without either the caller's leg is redirected, by the carrier's REST
 * API, to the next rung of the ladder (/v1/signalwire/next/{call}). The move is claimed first
 * (leg.h): however many routers look, one redirects.
 *
 * What a router that died was watching is found in Postgres by the others (and by itself when it is
 * back): calls LiveKit was dialled for that nobody has begun to serve. Without the carrier's REST
 * API nothing is watched. Thread: the loop's.
 */
#ifndef ROUTER_WATCH_H
#define ROUTER_WATCH_H

#include "callref.h"

struct watches;
int watch_new(struct watches **out, struct router *r) PAT_MUST_CHECK;
void watch_free(struct watches *w);

/* The carrier has been told to dial LiveKit. ref: as in that answer. Copied. */
void watch_dialled(struct router *r, const struct callref *ref);
/* LiveKit has answered that leg. */
void watch_answered(struct router *r, const struct callref *ref);

/* Is this call's caller alone (team_has_left)? Then he is fetched back. */
void watch_left(struct router *r, const struct pat_id *call);

/* /v1/signalwire/next/{call}: a redirected caller asks how to go on. */
int watch_routes(struct router *r) PAT_MUST_CHECK;

#endif
