/* team.h - which of LiveKit's agents are alive, and callers all of them have left.
 *
 * Agents put a heartbeat into KV bucket pat_agents, and their name into the mark of each call they
 * serve (<call>.served, docs/rpc.md). When one falls silent the others take its calls over within
 * two to three seconds; that is theirs to do. A call whose mark still names a silent agent after
 * that has been left by all of them: its caller hears nothing, and the carrier knows of no failure.
 * watch.h fetches such a caller back.
 *
 * Calls are looked for only while somebody is silent who was not before. With NATS away nobody is
 * thought dead: agents serve on without it. Thread: the loop's.
 */
#ifndef ROUTER_TEAM_H
#define ROUTER_TEAM_H

#include "leg.h"

struct team;
/* Without the carrier's REST API, or PAT_ROUTER_NO_AGENT_MS, it follows nobody. */
int team_new(struct team **out, struct router *r) PAT_MUST_CHECK;
void team_free(struct team *t); /* before the bus has closed; NULL is fine */

/* Whoever the mark names has been silent for so long that nobody will go on with the call. */
bool team_has_left(const struct router *r, const struct leg *leg);

#endif
