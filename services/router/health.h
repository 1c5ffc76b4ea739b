/* health.h - may a new call be tried on a stack now?
 *
 * Fed by what happens to calls (health_outcome, call.answered events), by the probes of
 * retell-provider and livekit-agent (health.stack events) and by rehearsals; asked before a stack
 * is dialled. What is known is shared by all routers in KV bucket pat_health, one key per stack, by
 * compare-and-set; the rules are pure (health_rules.h). While a stack is down one router at a time
 * holds the trial. With NATS away each router goes by what it sees itself; when it is back, what is
 * in the bucket counts, or ours when it is news. A deleted key makes a stack up again.
 * Nothing here waits. Thread: the loop's.
 */
#ifndef ROUTER_HEALTH_H
#define ROUTER_HEALTH_H

#include "health_rules.h"
#include "router.h"

struct health;
int health_new(struct health **out, struct router *r) PAT_MUST_CHECK;
void health_free(struct health *h);

/* May this call be tried there? While the stack is down: only as its one trial, which true uses up;
 * so ask only for the stack that is really chosen. */
bool health_allows(struct router *r, enum stack s) PAT_MUST_CHECK;
/* Would it be? Reserves nothing. */
bool health_would_allow(const struct router *r, enum stack s);
/* How a call fared there. ok: registered, prepared (that it was served is heard from
 * call.answered). Not ok: the stack's fault, not the call's (a caller who gave up, a user without
 * an agent). why: a short word for people and metrics, copied: an error's name, a Dial's result,
 * "no_agent", "sip_503"; NULL when ok. */
void health_outcome(struct router *r, enum stack s, bool ok, const char *why);
/* A dialled leg failed: result as the carrier says it ("failed", "busy", "no_answer"), sip_code its
 * final answer or NULL. */
void health_leg_failed(struct router *r, enum stack s, const char *result, const char *sip_code);
/* A call of our own is due: nobody calls, and the day's money will do (router_conf). True at one
 * router of all, once; asked again and again, since the others have to agree first. */
bool health_rehearse(struct router *r, enum stack s, int64_t cents);
/* A call of our own was served there, or was not. */
void health_rehearsed(struct router *r, enum stack s, bool ok, const char *why);

enum health_word health_word(const struct router *r, enum stack s);
/* Why it is not up; "" when it is. Borrowed until the loop's next turn. */
const char *health_reason(const struct router *r, enum stack s);

#endif
