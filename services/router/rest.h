/* rest.h - what we ask of the carrier: move a leg to another document, end it, place a new one.
 *
 * Two dialects of one API: SignalWire's compatibility REST and Twilio's are the same forms under
 * another address (docs.signalwire.com, "Compatibility API: Calls"; twilio.com/docs/voice/api);
 * legs that run SWML are moved and ended by SignalWire's JSON commands (POST /api/calling/calls,
 * "update" and "calling.end"). Every request has a deadline; moving and ending, which may be asked
 * twice, are asked once more when the carrier was busy or not to be reached.
 */
#ifndef ROUTER_REST_H
#define ROUTER_REST_H

#include "carrier.h"

/* Project, token and address are set: the router can act on legs. */
bool rest_configured(const struct router *r);

/* Runs once, on the loop, before the deadline is much over. sid: of a new leg, else NULL.
 * PAT_ENOENT: there is no such leg any more. PAT_EAUTH: our credentials are wrong. PAT_EINVAL: the
 * carrier refuses the numbers. */
typedef void rest_fn(int err, const char *sid, void *arg);

/* The leg's document is dropped and url is asked for the next one. */
int rest_redirect(struct router *r, const char *sid, enum carrier_form form, const char *url,
                  int64_t timeout_ms, rest_fn *fn, void *arg) PAT_MUST_CHECK;
/* fn may be NULL: nobody waits. */
int rest_end(struct router *r, const char *sid, enum carrier_form form, int64_t timeout_ms,
             rest_fn *fn, void *arg) PAT_MUST_CHECK;

struct rest_call {
    const char *to;
    const char *from; /* a number of ours */
    const char *url;  /* asked for a document (cXML) when somebody answers */
    const char *status_url;
    int64_t ring_s;
    const char *sip_username; /* of a SIP address; NULL or "": none */
    const char *sip_password;
};
int rest_create(struct router *r, const struct rest_call *c, int64_t timeout_ms, rest_fn *fn,
                void *arg) PAT_MUST_CHECK;

/* What the carrier has: json is borrowed, NULL on an error. PAT_ENOENT: no such thing. */
typedef void rest_look_fn(int err, const struct pat_json *json, void *arg);
/* One call or leg: {"status", "start_time", "end_time", "duration", "to", "from" ...}. */
int rest_look(struct router *r, const char *sid, int64_t timeout_ms, rest_look_fn *fn,
              void *arg) PAT_MUST_CHECK;
/* what: "Calls", "Recordings"; query: encoded. {"calls": [...], "next_page_uri"}. */
int rest_list(struct router *r, const char *what, const char *query, int64_t timeout_ms,
              rest_look_fn *fn, void *arg) PAT_MUST_CHECK;
/* uri: next_page_uri as it was given. PAT_EPROTO: it leads elsewhere. */
int rest_list_next(struct router *r, const char *uri, int64_t timeout_ms, rest_look_fn *fn,
                   void *arg) PAT_MUST_CHECK;

#endif
