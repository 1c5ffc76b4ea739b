/* carrier.h - a request of the carrier: authentic or not, and what it says, whichever form it came
 * in.
 *
 * Forms (SignalWire docs): form-encoded compatibility requests (CallSid ...), the same names as
 * JSON or in a GET's query, and SWML's JSON
 * ({"call":{...},"vars":{...}}). Signatures: sign.h; the URL that was signed is our configured
 * public one, never rebuilt from Host.
 */
#ifndef ROUTER_CARRIER_H
#define ROUTER_CARRIER_H

#include "callref.h"
#include "number.h"

enum carrier_form { CARRIER_CXML, CARRIER_SWML };

struct carrier_req {
    struct pat_httpd_req *http; /* borrowed; replies go there */
    enum carrier_form form;
    struct pat_json *json;          /* owned; NULL for forms */
    const struct pat_param *params; /* borrowed from http; NULL for JSON */
    size_t n_params;
    char call_id[CALLREF_ID_MAX + 1]; /* the carrier's; "" when absent */
    const char *from;                 /* as sent; "" when absent */
    const char *to;
};

/* Reads and verifies. On failure it has replied (401/403/400 with a reason, logged once) and the
 * error comes back; what it was given is then gone. own_token: the URL carried a valid token of
 * ours, so SWML's unsigned requests during a call are fine. */
int carrier_read(struct carrier_req *out, const struct router *r, struct pat_httpd_req *http,
                 bool own_token) PAT_MUST_CHECK;
void carrier_fini(struct carrier_req *c);
/* A parameter by its compatibility name ("DialCallStatus"); for SWML "vars.connect_result" and the
 * like by path. NULL: absent. */
const char *carrier_param(const struct carrier_req *c, const char *name);
/* PAT_EINVAL with the field's name: no call id, or a called number that is none. withheld: from is
 * not a number. */
int carrier_check(const struct carrier_req *c, char from[NUMBER_MAX], char to[NUMBER_MAX],
                  const char **field) PAT_MUST_CHECK;

/* Sends a document with the right content type; on err a generic apology document, so that a caller
 * never meets an empty answer. */
void carrier_answer(struct router *r, struct pat_httpd_req *http, enum carrier_form form, int err,
                    struct pat_buf *document);

#endif
