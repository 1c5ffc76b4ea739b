/* rehearse.h - RPC router.rehearse: a call of our own to a stack, to see that it serves one.
 *
 * The carrier is asked to call the stack's SIP address, exactly as it would be told to dial it for
 * a caller. It is good when the carrier says that the leg was answered and the stack that the agent
 * speaks (call.answered). Then the leg is ended. The row in patchbay.calls is marked as a
 * rehearsal, before anything begins, and nothing of it is billed, counted or shown to the user.
 *
 * Without traffic a router rehearses by itself: every PAT_HEALTH_REHEARSE_EVERY per stack, one
 * router of all, with the agent PAT_HEALTH_REHEARSE_AGENT, as long as the day's money lasts
 * (health_rules.h). Thread: the loop's.
 */
#ifndef ROUTER_REHEARSE_H
#define ROUTER_REHEARSE_H

#include "router.h"

struct rehearsals;
/* The RPC. */
int rehearsals_new(struct rehearsals **out, struct router *r) PAT_MUST_CHECK;
void rehearsals_free(struct rehearsals *x);
/* The carrier's requests about the legs. */
int rehearsals_routes(struct router *r) PAT_MUST_CHECK;

#endif
