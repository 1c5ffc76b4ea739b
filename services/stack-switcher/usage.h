/* usage.h - what calls use and cost: GET /v1/usage, /v1/usage/summary, /v1/calls/{id}/cost.
 *
 * The sums stand in Postgres (patchbay.usage_days and those beside it). They are brought up to date
 * by usage_roll.c: every replica tries, one at a time gets it. Whether LiveKit has become slower
 * than Retell is looked at there too. Thread: the loop's.
 */
#ifndef SWITCHER_USAGE_H
#define SWITCHER_USAGE_H

#include "switcher.h"

int usage_routes(struct switcher *s) PAT_MUST_CHECK;

/* The sums. */
struct usage_roll;
int usage_roll_new(struct usage_roll **out, struct switcher *s) PAT_MUST_CHECK;
void usage_roll_free(struct usage_roll *r); /* NULL is fine */

#endif
