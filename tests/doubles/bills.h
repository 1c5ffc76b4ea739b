/* bills.h - what vendors say they billed, by the day: part of several desks.
 *
 * Control key of every desk: "bills": [{"day": "2026-11-20", "amount": 1.25}, ...], dollars or
 * characters as the vendor counts; days that are not there cost nothing. Replaces what was there.
 */
#ifndef BILLS_H
#define BILLS_H

#include "doubles.h"

int bills_openai(struct dbl *d) PAT_MUST_CHECK;     /* GET /v1/organization/costs */
int bills_deepgram(struct dbl *d) PAT_MUST_CHECK;   /* GET /v1/projects/{id}/billing/breakdown */
int bills_elevenlabs(struct dbl *d) PAT_MUST_CHECK; /* GET /v1/usage/character-stats */

#endif
