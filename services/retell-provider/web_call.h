/* web_call.h - calls that begin in a browser: made at Retell, and ended there (RPC retell.web_call,
 * retell.stop_call).
 *
 * docs.retellai.com, "Create Web Call": its answer has a token for the browser, good for half a
 * minute. Version 2 of it, whose token is for LiveKit's client: version 3 names a gateway that no
 * published web SDK speaks (retell-client-js-sdk 2.0.8). The metadata names our call as it does for
 * telephone calls, so webhooks find their way. Thread: the loop's.
 */
#ifndef PROVIDER_WEB_CALL_H
#define PROVIDER_WEB_CALL_H

#include "provider.h"

/* {"call_id", "user_id", "agent_id", "agent_version" or null, "max_call_ms"} -> {"retell_call_id",
 * "access_token"}. */
void web_call(struct pat_rpc_req *r, const struct pat_json *params, void *provider);
/* {"retell_call_id"} -> {}; not_found: Retell has no such call, or it is over. */
void web_call_stop(struct pat_rpc_req *r, const struct pat_json *params, void *provider);

#endif
