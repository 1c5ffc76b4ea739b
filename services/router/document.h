/* document.h - the answers a carrier understands: cXML (SignalWire's compatibility documents), and
 * SWML as JSON.
 *
 * Every function appends a whole document. PAT_E2BIG over DOCUMENT_MAX (the carrier's own limit is
 * 64 kB). Verbs, attributes and defaults: SignalWire docs, "cXML voice" (dial, sip noun, record,
 * say); SWML "connect", "transfer",
 * "prompt", "switch", "sleep".
 */
#ifndef ROUTER_DOCUMENT_H
#define ROUTER_DOCUMENT_H

#include "callref.h"

#define DOCUMENT_MAX 16384

struct dial {
    const struct router_conf *conf;
    const struct callref *ref;
    const char *action_url; /* asked for when the dialled leg has ended */
    /* Told when the dialled leg is answered and, SWML, when it ends, also because the caller left;
     * "" or NULL: nobody wants to know. */
    const char *state_url;
    const char *caller_id; /* NULL: the number that calls us */
};

/* sip:<user>@<host>;transport=..., with our signed context as X- headers when it goes to LiveKit.
 */
int document_sip_uri(struct pat_buf *out, const struct router_conf *conf,
                     const struct callref *ref) PAT_MUST_CHECK;
/* The same for another user than the call's own: another room. */
int document_room_uri(struct pat_buf *out, const struct router_conf *conf,
                      const struct callref *ref, const char *user) PAT_MUST_CHECK;

int cxml_dial(struct pat_buf *out, const struct dial *d, const char *sip_uri) PAT_MUST_CHECK;
int cxml_say_hangup(struct pat_buf *out, const char *voice, const char *text) PAT_MUST_CHECK;
int cxml_hangup(struct pat_buf *out) PAT_MUST_CHECK;
/* Not answered, and not charged. SWML's words: SignalWire docs, SWML "hangup". */
int cxml_reject(struct pat_buf *out, bool busy) PAT_MUST_CHECK;
int swml_reject(struct pat_buf *out, bool busy) PAT_MUST_CHECK;
/* Greets and records. */
struct voicemail_doc {
    const char *text;
    /* Asked when it is recorded, and told of the file; SWML only tells it. NULL (SWML): nobody. */
    const char *action_url;
    const char *transcribe_url; /* NULL: nobody writes it down */
    /* Asked how to go on: when nothing came of the recording (cXML), or in any case (SWML). NULL:
     * that is the end. */
    const char *next_url;
};
int cxml_voicemail(struct pat_buf *out, const struct router_conf *conf,
                   const struct voicemail_doc *v) PAT_MUST_CHECK;

int swml_dial(struct pat_buf *out, const struct dial *d, const char *sip_uri) PAT_MUST_CHECK;
int swml_say_hangup(struct pat_buf *out, const char *text) PAT_MUST_CHECK;
int swml_hangup(struct pat_buf *out) PAT_MUST_CHECK;
int swml_voicemail(struct pat_buf *out, const struct router_conf *conf,
                   const struct voicemail_doc *v) PAT_MUST_CHECK;

/* The caller is connected to another phone. */
struct dial_phone {
    const struct router_conf *conf;
    const char *number;
    const char *caller_id;
    int timeout_s;
    const char *action_url;  /* asked for when that leg has ended, or never began */
    const char *status_url;  /* told how it goes; or NULL */
    const char *whisper_url; /* asked for what the other side hears first; or NULL */
};
int cxml_dial_phone(struct pat_buf *out, const struct dial_phone *d) PAT_MUST_CHECK;
int swml_dial_phone(struct pat_buf *out, const struct dial_phone *d) PAT_MUST_CHECK;
/* Says the briefing; a 1 makes accept_url be asked, anything else hangs up. */
int cxml_whisper(struct pat_buf *out, const struct router_conf *conf, const char *briefing,
                 const char *accept_url) PAT_MUST_CHECK;
int swml_whisper(struct pat_buf *out, const char *briefing, const char *accept_url) PAT_MUST_CHECK;
/* Ends: what was to be connected is. */
int cxml_go_on(struct pat_buf *out) PAT_MUST_CHECK;
int swml_go_on(struct pat_buf *out) PAT_MUST_CHECK;
/* Silence for a leg that is being moved elsewhere: whatever the carrier makes of it does no harm.
 */
int cxml_wait(struct pat_buf *out, int seconds) PAT_MUST_CHECK;
int swml_wait(struct pat_buf *out, int seconds) PAT_MUST_CHECK;

#endif
