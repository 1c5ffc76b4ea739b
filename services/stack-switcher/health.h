/* health.h - how the stacks are, and how they have been: GET /v1/health/stacks.
 *
 * Now: what the routers say (patchbay.stack_states). The last hour: calls. Thirty days: a roll-up
 * by the hour (patchbay.stack_hours), which one replica brings up to date each minute; availability
 * and what is left of the error budget are metrics too. Thread: the loop's.
 */
#ifndef SWITCHER_HEALTH_H
#define SWITCHER_HEALTH_H

#include "switcher.h"

int health_routes(struct switcher *s) PAT_MUST_CHECK;
/* The roll-up. */
struct roll;
int roll_new(struct roll **out, struct switcher *s) PAT_MUST_CHECK;
void roll_free(struct roll *r); /* NULL is fine */

#endif
