/* heir.h - takes a dead router's lease back at once.
 *
 * A router that is killed keeps its lease until it ends, and every switch of a stack waits for it
 * so long. The spool file can be held by one living process alone; whoever holds it knows that
 * those before are dead, and says so (patchbay.routers_dead). Their names are beside it, in
 * <spool file>.leases: a line each of router, boot and folder, ours last. Only those of this boot
 * of this kernel and of this folder are believed, for only there the lock proves anything
 * (decisions/0021). Without a spool file leases end by themselves. Life: heir_new, after the
 * journal -> heir_free. Thread: the loop's; the small file is read and written where it stands.
 */
#ifndef ROUTER_HEIR_H
#define ROUTER_HEIR_H

#include "router.h"

struct heir;

/* id: of our own lease, not yet in Postgres. *out is NULL where there is nothing to do. */
int heir_new(struct heir **out, struct router *r, const char *id) PAT_MUST_CHECK;
void heir_free(struct heir *h);

#endif
