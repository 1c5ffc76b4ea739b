/* chains.h - the settings' providers: which accounts there are, and the order they are asked in.
 *
 * A chain that is not set is made of what is: every account of a part, the same model on the next
 * account before the next model.
 */
#ifndef CALL_CHAINS_H
#define CALL_CHAINS_H

#include "../speech/provider.h"
#include "conf.h"

/* Adds a line per fault. */
void chains_check(const struct agent_conf *c, struct pat_buf *errors);
int chains_new(struct providers **out, const struct agent_conf *c, struct pat_metrics *m,
               provider_change_fn *changed, void *arg) PAT_MUST_CHECK;

#endif
