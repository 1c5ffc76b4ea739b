/* guard.h - what stands against loops, bursts and toll fraud; and the facts of a new call.
 *
 * Thread: the loop's.
 */
#ifndef ROUTER_GUARD_H
#define ROUTER_GUARD_H

#include "callref.h"
#include "routes.h"

struct guard;
int guard_new(struct guard **out, struct router *r) PAT_MUST_CHECK;
void guard_free(struct guard *g);

/* A new call as the carrier told it. */
struct guard_call {
    const char *from; /* "" when withheld */
    enum caller_kind caller;
    const char *passed_on_from; /* "" : not passed on */
    const char *call;           /* our id; NULL: none, it is only asked what if: counts nothing */
};
/* All the policies ask about. now_ms: Unix time, for the hours alone. */
void guard_facts(struct policy_facts *out, struct router *r, const struct route *route,
                 const struct guard_call *c, int64_t now_ms);

/* Why this user's call may not be sent to that phone, a constant; NULL: it may.
 * "no_forward_number", "forward_loop", "forward_own_number", "forward_not_allowed",
 * "country_not_allowed", "forward_burst", "spend_cap". */
const char *guard_forward_no(struct router *r, const struct route *route, const char *number,
                             const char *from, const char *passed_on_from);
/* A transfer somebody asked for; only what allow_transfer (allow.h) does not know: "country",
 * "spend_cap". */
const char *guard_transfer_no(struct router *r, const struct callref *ref, const char *number);
/* It is sent there. Counts it, and what it may cost, for all routers. */
void guard_forwarded(struct router *r, const struct callref *ref, const char *number,
                     const char *kind);
/* The call is over, or was not taken. */
void guard_ended(struct router *r, const char *call);

#endif
