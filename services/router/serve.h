/* serve.h - one attempt to have a call served: decide, ask the stack, write the document, tell.
 *
 * Used for the first request of a call and again when a dialled leg failed.
 */
#ifndef ROUTER_SERVE_H
#define ROUTER_SERVE_H

#include "callref.h"
#include "carrier.h"
#include "decide.h"
#include "routes.h"

struct transfer;

struct serve {
    struct callref ref; /* who; ref.tried says what was tried */
    enum carrier_form form;
    const char *failed_over;        /* why the last leg failed; NULL at the first attempt */
    const char *returned;           /* how a transfer ended that nobody took; a constant, or NULL */
    struct transfer *transfer_take; /* that transfer, from malloc; NULL: there was none */
    const struct policy_facts *policy; /* of a new call, copied; NULL: it has met its policies */
    int64_t started_us;
};

/* What catches this user's calls, as far as his settings say: nothing is down, nothing was tried.
 * from: "" when withheld. */
void serve_ladder(struct decide_in *out, struct router *r, const struct route *route,
                  const char *from);
/* Replies to http exactly once, now or later. route NULL: the number is nobody's any more;
 * voicemail. */
void serve_call(struct router *r, struct pat_httpd_req *http, const struct serve *s,
                const struct route *route);

#endif
