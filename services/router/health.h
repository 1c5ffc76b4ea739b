/* health.h - may a new call be tried on a stack now?
 *
 * Fed by what happens to calls (health_outcome) and by probes; asked before a stack is dialled.
 * Half open, one call at a time is let through to see whether the stack is back. Answers come from
 * what this router knows: nothing here waits. Thread: the loop's.
 */
#ifndef ROUTER_HEALTH_H
#define ROUTER_HEALTH_H

#include "router.h"

enum health_word { HEALTH_UP, HEALTH_DEGRADED, HEALTH_DOWN };

struct health;
int health_new(struct health **out, struct router *r) PAT_MUST_CHECK;
void health_free(struct health *h);

/* May this call be tried there? While the stack is down: only as its one trial, which true
 * reserves; so ask only for the stack that is really chosen. */
bool health_allows(struct router *r, enum stack s) PAT_MUST_CHECK;
/* Would it be? Reserves nothing. */
bool health_would_allow(const struct router *r, enum stack s);
/* How a call fared there. ok false: the stack's fault, not the call's (a caller who gave up, a user
 * without an agent). why: a short word for people and metrics, copied; NULL when ok. */
void health_outcome(struct router *r, enum stack s, bool ok, const char *why);

enum health_word health_word(const struct router *r, enum stack s);
const char *health_word_name(enum health_word w); /* "up", "degraded", "down" */
/* Why it is not up; "" when it is. Borrowed until the loop's next turn. */
const char *health_reason(const struct router *r, enum stack s);

#endif
