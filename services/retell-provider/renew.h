/* renew.h - addresses of a recording at Retell that have expired: get-call gives others.
 *
 * For who listens (RPC retell.renew_urls: stack-switcher) only what patchbay.remote_recordings has
 * of that user, and one at a time whatever the replicas (patchbay.claim_renewal). Which address may
 * be listened to was decided when the call was over, and is not looked at here. Thread: the loop's.
 */
#ifndef PROVIDER_RENEW_H
#define PROVIDER_RENEW_H

#include "provider.h"

/* RPC {"call_id", "user_id", "refused"} -> {"url"}. */
void renew_urls(struct pat_rpc_req *r, const struct pat_json *params, void *provider);
/* The addresses in what get-call answered stand for the leg's. call NULL: it did not answer. */
void renew_keep(struct provider *p, const char *retell_call, const struct pat_json *call);

#endif
