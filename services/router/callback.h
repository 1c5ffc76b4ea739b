/* callback.h - a request of the carrier about a call we know: its URL carries the call's signed
 * reference.
 */
#ifndef ROUTER_CALLBACK_H
#define ROUTER_CALLBACK_H

#include "carrier.h"

/* public URL, path (it ends where the call's id begins), call id, ?t= and the token. */
int callback_url(struct pat_buf *out, const struct router *r, const char *path,
                 const struct callref *ref) PAT_MUST_CHECK;
/* The same with its token, made before: it is the dear part. */
int callback_url_of(struct pat_buf *out, const struct router *r, const char *path,
                    const struct callref *ref, const char *token) PAT_MUST_CHECK;
/* Both must be right: the token is ours, the request is the carrier's. On failure it has replied.
 */
int callback_read(struct carrier_req *c, struct callref *ref, struct router *r,
                  struct pat_httpd_req *http) PAT_MUST_CHECK;
/* What follows mark ("?t=") in an address, up to the next parameter. False: it is not there, or too
 * long. url may be NULL. */
bool callback_url_part(char *out, size_t cap, const char *url, const char *mark) PAT_MUST_CHECK;
/* A document that hangs up. */
void callback_hangup(struct router *r, struct pat_httpd_req *http, enum carrier_form form);
/* A parameter that counts seconds, in ms. Negative: not said. */
int64_t callback_seconds_ms(const struct carrier_req *c, const char *name);

#endif
