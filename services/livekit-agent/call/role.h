/* role.h - somebody who is in a room for a reason of ours, as the signed headers of his telephone's
 * leg say: "consult", asked apart whether he takes a call; "joined", on the way to its caller.
 *
 * The router signs the role together with the call and the transfer (docs/rpc.md). Pure.
 */
#ifndef CALL_ROLE_H
#define CALL_ROLE_H

#include "pat.h"

struct role {
    const char *name, *transfer, *sig; /* sip.h.x-pat-role and so on; NULL: not told */
};
/* PAT_EAUTH: not signed by secret, or not for this. */
int role_verify(const struct role *r, const char *call_id, const char *name, const char *transfer,
                const char *secret) PAT_MUST_CHECK;

#endif
