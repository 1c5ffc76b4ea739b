/* register.h - Retell's POST /v2/register-phone-call (docs.retellai.com, "Custom telephony": dial
 * to SIP).
 *
 * A registration is good for one call, dialled within five minutes; an unused one ends by itself
 * and costs nothing, so a lost connection may be tried once more.
 */
#ifndef PROVIDER_REGISTER_H
#define PROVIDER_REGISTER_H

#include "provider.h"

/* message is for people and logs; retell_call is NULL on error. Borrowed. Errors: PAT_EINVAL
 * (params, field named), PAT_ENOENT (Retell knows no such agent), PAT_EAUTH (our key), PAT_EPERM
 * (trial over, forbidden), PAT_EAGAIN (rate limit), PAT_EUNAVAIL (breaker open), PAT_ETIMEDOUT,
 * PAT_ECONN, PAT_EUPSTREAM, PAT_EPROTO. */
struct register_result {
    int err;
    const char *retell_call;
    const char *field;
    const char *message;
};
typedef void register_fn(const struct register_result *result, void *arg);

/* params: docs/rpc.md, retell.register_call. done runs exactly once, never before this returns.
 * left_ms: the caller's patience. */
int register_call(struct provider *p, const struct pat_json *params, int64_t left_ms,
                  register_fn *done, void *arg) PAT_MUST_CHECK;
/* {"retell_call_id"}: the result as RPC and HTTP give it. Yours. */
struct pat_json *register_json(const struct register_result *result);

#endif
