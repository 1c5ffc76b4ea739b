/* actions.h - RPC router.transfer, router.transfer_update, router.voicemail, router.hangup and
 * router.dtmf: what may be asked to be done with a call's carrier leg.
 *
 * Only the router acts on the leg, for both stacks. Whoever asks names the call, its user and the
 * epoch of its lease; a stale epoch is refused. An error's message is one constant word, its reason
 * (docs/rpc.md).
 */
#ifndef ROUTER_ACTIONS_H
#define ROUTER_ACTIONS_H

#include "router.h"

struct actions;
int actions_new(struct actions **out, struct router *r) PAT_MUST_CHECK;
void actions_free(struct actions *a);

#endif
