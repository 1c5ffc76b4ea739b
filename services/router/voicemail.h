/* voicemail.h - a message is taken: see voicemail.c. */
#ifndef ROUTER_VOICEMAIL_H
#define ROUTER_VOICEMAIL_H

#include "carrier.h"

/* The whole document: says text, records. */
int voicemail_write(struct router *r, const struct callref *ref, enum carrier_form form,
                    const char *text, struct pat_buf *doc) PAT_MUST_CHECK;
/* A Record's action that no router answered: the carrier asks the fallback address. Replies exactly
 * once, now or later; c_take is gone. */
void voicemail_lost(struct router *r, struct carrier_req *c_take, const struct callref *ref);
/* What the carrier asks and tells about messages. */
int voicemail_routes(struct router *r) PAT_MUST_CHECK;

#endif
