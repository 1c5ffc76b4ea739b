/* standby.h - the one agent of the workspace that stands by for users who have none at Retell.
 *
 * While a user is on LiveKit there is no agent of theirs at Retell; a call of theirs that LiveKit
 * cannot serve is caught by this one, which gets the user's prompt and greeting with the call. It
 * takes messages and callbacks, and transfers to whom that user's callers may be put through; tools
 * of the user's own it has not. Made at the start or when it is first asked
 * for (PAT_RETELL_STANDBY), and kept like any agent of ours (agent.h). Thread: the loop's.
 */
#ifndef PROVIDER_STANDBY_H
#define PROVIDER_STANDBY_H

#include "provider.h"

int standby_new(struct standby **out, struct provider *p) PAT_MUST_CHECK;
void standby_free(struct standby *s);

/* Its id and published version; false: there is none yet, it is being made or looked for. */
bool standby_get(struct standby *s, const char **agent_id, int64_t *version);
/* Retell does not know it any more. */
void standby_lost(struct standby *s);

/* What a call of a user with these settings tells it, added to the dynamic variables:
 * standby_prompt and standby_greeting. vars has caller_number and call_began already. */
int standby_variables(const struct provider *p, const struct pat_json *settings,
                      struct pat_json *vars) PAT_MUST_CHECK;

#endif
