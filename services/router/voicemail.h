/* voicemail.h - a message is taken: see voicemail.c. */
#ifndef ROUTER_VOICEMAIL_H
#define ROUTER_VOICEMAIL_H

#include "carrier.h"

/* The whole document: says text, records. */
int voicemail_write(struct router *r, const struct callref *ref, enum carrier_form form,
                    const char *text, struct pat_buf *doc) PAT_MUST_CHECK;
/* What the carrier asks and tells about messages. */
int voicemail_routes(struct router *r) PAT_MUST_CHECK;

#endif
