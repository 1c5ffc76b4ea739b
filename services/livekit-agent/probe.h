/* probe.h - could LiveKit serve a call? Its server API answers, our key counts, an agent has room.
 * Who of the agents looks, and how it is told: libcommon/probe.h. Thread: the loop's. */
#ifndef AGENT_PROBE_H
#define AGENT_PROBE_H

#include "call/conf.h"
#include "pat.h"

struct probe;
int probe_new(struct probe **out, struct pat_daemon *d) PAT_MUST_CHECK;
void probe_free(struct probe *b); /* NULL is fine */

#endif
