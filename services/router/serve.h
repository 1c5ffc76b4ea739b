/* serve.h - one attempt to have a call served: the next rung of the ladder, ask the stack, write
 * the document, tell.
 *
 * Used for the first request of a call, again when a dialled leg failed, and to dial a leg that
 * died once more.
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
    const char *failed_over; /* why the last leg failed; NULL at the first attempt */
    int sip_code;            /* with which it did; 0: not known */
    bool redial;             /* the leg on ref.stack has died: the same again, if it can be */
    const char *returned;    /* how a transfer ended that nobody took; a constant, or NULL */
    struct transfer *transfer_take;    /* that transfer, from malloc; NULL: there was none */
    const struct policy_facts *policy; /* of a new call, copied; NULL: it has met its policies */
    bool is_new;          /* the carrier asks for the first time, or once more (repeat.h) */
    struct pat_id before; /* its id, had it come a moment ago; "" : the same */
    int64_t started_us;
};

/* What catches this user's calls, as far as his settings say: nothing is down, nothing was tried.
 * from: "" when withheld; call: NULL when there is none yet. */
void serve_ladder(struct decide_in *out, struct router *r, const struct route *route,
                  const char *from, const char *call);
/* Replies to http exactly once, now or later. route NULL: the number is nobody's any more;
 * voicemail. */
void serve_call(struct router *r, struct pat_httpd_req *http, const struct serve *s,
                const struct route *route);
/* The answer that was given for ref before, again: nothing is asked, noted or told. */
void serve_again(struct router *r, struct pat_httpd_req *http, const struct callref *ref,
                 enum carrier_form form, const struct route *route);

#endif
