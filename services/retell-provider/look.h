/* look.h - Retell's GET /v2/get-call: how a call stands, and what was said in it.
 *
 * Asked while a caller waits (the router wants to know whether his call has ended), so it does not
 * queue behind the control plane's requests (api.h). Errors as register.h has them; an outage of
 * Retell's, by whatever sign, is PAT_EUPSTREAM.
 */
#ifndef PROVIDER_LOOK_H
#define PROVIDER_LOOK_H

#include "provider.h"

/* call: Retell's call object, NULL on error. Borrowed. */
typedef void look_fn(int err, const struct pat_json *call, void *arg);
/* fn runs exactly once, never before this returns. */
int look_call(struct provider *p, const char *retell_call, int64_t left_ms, look_fn *fn,
              void *arg) PAT_MUST_CHECK;
/* {"status","reason","ended_ms"}: as RPC retell.look_call gives it. Yours. */
struct pat_json *look_json(const struct pat_json *call);

#endif
