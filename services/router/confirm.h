/* confirm.h - says that this router is there, and by which version it routes a user.
 *
 * A lease in Postgres, renewed three times within its length; a switch of a user's stack waits for
 * each router with a lease (patchbay.router_confirms). Without Postgres for as long as the lease,
 * less a third, and until its numbers have come from there, the router is fenced: it goes on
 * serving from its cache, but no longer believes it where it says that a user has no agent on
 * LiveKit (decisions/0019). Life: confirm_new -> confirm_leave -> confirm_free. Thread: the loop's.
 */
#ifndef ROUTER_CONFIRM_H
#define ROUTER_CONFIRM_H

#include "router.h"

struct confirm;

int confirm_new(struct confirm **out, struct router *r) PAT_MUST_CHECK;
/* Gives the lease back: nobody has to wait for it to end. */
void confirm_leave(struct confirm *c);
void confirm_free(struct confirm *c);
const char *confirm_id(const struct confirm *c); /* of the lease */
bool confirm_fenced(const struct confirm *c);

#endif
