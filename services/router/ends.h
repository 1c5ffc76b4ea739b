/* ends.h - the carrier's and the stacks' words for an end, as words of the one list (end_reason.h).
 *
 * Pure. Every function gives a row; none is NULL.
 */
#ifndef ROUTER_ENDS_H
#define ROUTER_ENDS_H

#include "carrier.h"
#include "leg.h"

/* A word this router says itself. One that is not in the list is our bug: it asserts, and in
 * production becomes "completed". */
const struct pat_end_reason *ends_of_ours(const char *word);
/* CallStatus of a call or a leg that is over ("completed", "busy", "no-answer", "failed",
 * "canceled"), or SWML's end_reason of the state "ended". NULL: it is not over. */
const struct pat_end_reason *ends_of_status(const char *status);
/* A dialled stack was served and its leg has ended: by whom? The carrier says (HangupBy), or who
 * served did before it went (leg->end). leg may be NULL. */
const struct pat_end_reason *ends_of_dial(const struct carrier_req *c, const struct leg *leg);

#endif
