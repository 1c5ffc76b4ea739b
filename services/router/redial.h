/* redial.h - a leg has ended and its caller is still there: was that the end of the call?
 *
 * The stack knows. LiveKit's agent leaves its reason in KV before it lets go (<call>.end,
 * docs/rpc.md); Retell is asked by way of the retell-provider (retell.look_call). A leg that ended
 * by nobody's will has died: it is dialled again into the same call, at most PAT_ROUTER_REDIALS
 * times, and then the ladder goes on. An agent that had to give up is not asked again: the ladder
 * goes on at once. When nobody can be asked the call has ended: a caller who has
 * said goodbye is not to be rung up again. Thread: the loop's.
 */
#ifndef ROUTER_REDIAL_H
#define ROUTER_REDIAL_H

#include "leg.h"

/* Why it was none, though who served let it end: nobody was left there to hear, think or speak. */
#define REDIAL_GAVE_UP "gave_up"

/* Runs once, on the loop. lost NULL: it was the end; else why it was none, a constant. leg is as
 * it was last found; borrowed. */
typedef void redial_fn(const char *lost, const struct leg *leg, void *arg);
/* leg is copied. */
int redial_judge(struct router *r, const struct callref *ref, const struct leg *leg, redial_fn *fn,
                 void *arg) PAT_MUST_CHECK;

#endif
