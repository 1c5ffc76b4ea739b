/* agent.h - the process: registered at LiveKit, preparing and serving calls, draining.
 *
 *   router --agent.prepare--> prepared (room made, greeting spoken into the cache, voice connected)
 *   LiveKit --job--> call, with the prepared context, or the one looked up
 *   a prepared call that nobody serves after a while is claimed by whoever prepared it
 *
 * Life: agent_start -> agent_drain -> drained(arg) -> agent_free. Thread: the loop's.
 */
#ifndef CALL_AGENT_H
#define CALL_AGENT_H

#include "pat.h"

struct agent;

/* d is borrowed for the agent's life. On an error what was made stays: the process ends. */
int agent_start(struct agent **out, struct pat_daemon *d) PAT_MUST_CHECK;
/* No new calls; live ones finish, those that last too long are ended in time. */
void agent_drain(struct agent *a, pat_loop_fn *drained, void *arg);
void agent_free(struct agent *a); /* NULL is fine */

#endif
