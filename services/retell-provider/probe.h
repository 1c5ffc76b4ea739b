/* probe.h - could Retell serve a call? Our key counts, a call has room, an agent can be read. Who
 * of the replicas looks, and how it is told: libcommon/probe.h. Thread: the loop's. */
#ifndef PROVIDER_PROBE_H
#define PROVIDER_PROBE_H

#include "provider.h"

int probe_new(struct probe **out, struct provider *p) PAT_MUST_CHECK;
void probe_free(struct probe *b); /* NULL is fine */

#endif
