/* document.h - the answers a carrier understands: cXML (SignalWire's compatibility documents), and
 * SWML as JSON.
 *
 * Every function appends a whole document. PAT_E2BIG over DOCUMENT_MAX (the carrier's own limit is
 * 64 kB). Verbs, attributes and defaults: SignalWire docs, "cXML voice" (dial, sip noun, record,
 * say); SWML "connect", "transfer".
 */
#ifndef ROUTER_DOCUMENT_H
#define ROUTER_DOCUMENT_H

#include "callref.h"

#define DOCUMENT_MAX 16384

struct dial {
    const struct router_conf *conf;
    const struct callref *ref;
    const char *action_url; /* asked for when the dialled leg has ended */
};

/* sip:<user>@<host>;transport=..., with our signed context as X- headers when it goes to LiveKit.
 */
int document_sip_uri(struct pat_buf *out, const struct router_conf *conf,
                     const struct callref *ref) PAT_MUST_CHECK;

int cxml_dial(struct pat_buf *out, const struct dial *d, const char *sip_uri) PAT_MUST_CHECK;
int cxml_say_hangup(struct pat_buf *out, const char *voice, const char *text) PAT_MUST_CHECK;
int cxml_hangup(struct pat_buf *out) PAT_MUST_CHECK;
/* Greets, records, then asks action_url; the recording's file is told to the same URL. */
int cxml_voicemail(struct pat_buf *out, const struct router_conf *conf, const char *text,
                   const char *action_url) PAT_MUST_CHECK;

int swml_dial(struct pat_buf *out, const struct dial *d, const char *sip_uri) PAT_MUST_CHECK;
int swml_say_hangup(struct pat_buf *out, const char *text) PAT_MUST_CHECK;
int swml_hangup(struct pat_buf *out) PAT_MUST_CHECK;
int swml_voicemail(struct pat_buf *out, const struct router_conf *conf, const char *text,
                   const char *status_url) PAT_MUST_CHECK;

#endif
