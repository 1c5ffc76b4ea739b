/* sweep.h - what nobody told: results of calls whose webhooks never came, ends the carrier kept to
 * itself, and calls Retell need not keep any longer.
 *
 * Every few seconds Postgres is asked (claim_retell_fetches, untold_retell_ends, retell_to_forget);
 * any replica does what it claims. What Retell answers (get-call) is stored as the webhook that did
 * not come, and goes that one's way. Requests are within api.h's budget. Thread: the loop's.
 */
#ifndef PROVIDER_SWEEP_H
#define PROVIDER_SWEEP_H

#include "provider.h"

int sweep_new(struct sweep **out, struct provider *p) PAT_MUST_CHECK;
void sweep_free(struct sweep *s); /* NULL is fine */

#endif
