/* lifecycle_fetch.h - messages the carrier has recorded are brought into our own object store: its
 * addresses need its password, and the files do not stay there for ever.
 *
 * A file to be fetched is a row of patchbay.recordings in state 'fetching', so nothing is lost with
 * a router; each is claimed for a while by one. Fetched: the row has the object, and call.voicemail
 * is told once more with it. Life: fetch_new -> fetch_free (what is under way is dropped, and
 * claimed again later). Thread: the loop's.
 */
#ifndef ROUTER_LIFECYCLE_FETCH_H
#define ROUTER_LIFECYCLE_FETCH_H

#include "router.h"

struct fetch;

/* *out NULL: there is no store (PAT_RECORDING_URL). */
int fetch_new(struct fetch **out, struct router *r) PAT_MUST_CHECK;
void fetch_free(struct fetch *f); /* NULL is fine */
/* A row may have come: look a little sooner. NULL is fine. */
void fetch_soon(struct fetch *f);

#endif
