/* sync.h - which agents at Retell need work, and who waits for it.
 *
 * Config events, a sweep of patchbay.due_retell_agents, and RPC put agents into one queue; an agent
 * is in it once, JOBS_MAX are worked on at a time. Changes are gathered for PAT_RETELL_SETTLE, so
 * that a page that saves as one types makes one version. Whatever an event missed, the sweep finds.
 * Thread: the loop's.
 */
#ifndef PROVIDER_SYNC_H
#define PROVIDER_SYNC_H

#include "agent.h"

int sync_new(struct sync **out, struct provider *p) PAT_MUST_CHECK;
/* Jobs under way give their agents back; who waits is told PAT_ECANCELED. */
void sync_free(struct sync *s);

/* fn runs exactly once, never before this returns: with the result of a job that began after this
 * was asked. config_id: a UUID. */
int sync_ask(struct sync *s, const char *config_id, enum agent_wish wish, agent_fn *fn,
             void *arg) PAT_MUST_CHECK;

#endif
