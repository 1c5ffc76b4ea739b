/* invoices.h - what vendors say they bill, beside what we counted: GET /v1/invoices.
 *
 * Each night the vendors whose keys are set are asked for the day before, and for the three before
 * that again (bills of a day still grow). One replica asks at a time: it holds a lease on the row
 * (patchbay.claim_invoice). What differs by more than the margin is an event and a metric. LiveKit
 * has no API for this. Thread: the loop's.
 */
#ifndef SWITCHER_INVOICES_H
#define SWITCHER_INVOICES_H

#include "switcher.h"

struct invoices;
int invoices_new(struct invoices **out, struct switcher *s) PAT_MUST_CHECK;
void invoices_free(struct invoices *i); /* NULL is fine */
int invoices_routes(struct switcher *s) PAT_MUST_CHECK;

#endif
