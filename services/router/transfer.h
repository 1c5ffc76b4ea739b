/* transfer.h - moving a caller to another phone, and back when nobody takes him.
 *
 * Life of a transfer: asked (actions.c) -> claimed as the call's move -> the carrier is asked
 * (transfer.c) -> the carrier asks us for documents and tells how it goes (transfer_http.c) ->
 * bridged, or the caller is dialled back to the stack that served him. What the later requests
 * need travels in their addresses, signed and bound to the call, so any router goes on with any
 * transfer. Every step is an event call.transfer, told once.
 *
 *   cold     the caller's leg is redirected to a document that dials the number
 *   whisper  the same, but the other side hears a briefing and has to press 1 (warm on Retell)
 *   consult  the other phone gets a leg of its own (warm on LiveKit), which dials into a LiveKit
 *            room of the transfer's, and once he wants the caller into the call's; the caller's leg
 *            is not touched
 */
#ifndef ROUTER_TRANSFER_H
#define ROUTER_TRANSFER_H

#include "callback.h"
#include "leg.h"

#define TRANSFER_LABEL_MAX    64
#define TRANSFER_BRIEFING_MAX 300
#define TRANSFER_TOKEN_MAX    1200

enum transfer_how { TRANSFER_COLD, TRANSFER_WHISPER, TRANSFER_CONSULT, TRANSFER_HOWS };

struct transfer {
    char id[PAT_ID_LEN + 1];
    unsigned attempt; /* which move of its call; move.n */
    enum transfer_how how;
    int timeout_s; /* how long the other phone may ring */
    char to[NUMBER_MAX];
    char label[TRANSFER_LABEL_MAX + 1];       /* "" : none */
    char briefing[TRANSFER_BRIEFING_MAX + 1]; /* only what a whisper says */
};

/* Appends &x= and the token. */
int transfer_token(struct pat_buf *out, const char *secret, const char *call,
                   const struct transfer *t) PAT_MUST_CHECK;
/* PAT_EAUTH: not ours, altered, or another call's. */
int transfer_parse(struct transfer *out, const char *secret, const char *call,
                   const char *token) PAT_MUST_CHECK;
/* Under our public address, with the call's reference and the transfer's. */
int transfer_url(struct pat_buf *out, const struct router *r, const char *path,
                 const struct callref *ref, const struct transfer *t) PAT_MUST_CHECK;

/* Asks the carrier. fn runs once: PAT_ENOENT when the leg is gone. leg is borrowed. */
typedef void transfer_fn(int err, void *arg);
int transfer_start(struct router *r, const struct leg *leg, const struct transfer *t,
                   int64_t timeout_ms, transfer_fn *fn, void *arg) PAT_MUST_CHECK;

/* The event: outcome as in docs/events; reason and other_leg may be NULL. Told once per outcome. */
void transfer_tell(struct router *r, const struct callref *ref, const struct transfer *t,
                   const char *outcome, const char *reason, const char *other_leg);
/* The caller's leg goes another way than it was routed: noted in the call's row, so that what the
 * left stack says about its end does not end the call. */
void transfer_note_moved(struct router *r, const struct callref *ref, unsigned n);
/* And in the end it was a transfer that served the caller. */
void transfer_note_outcome(struct router *r, const struct callref *ref);

/* The call's own leg has ended: nobody is left for whom another phone should be asked, or that it
 * could speak with. */
void transfer_caller_left(struct router *r, const struct leg *leg);

/* The action of a transfer's Dial that no router answered: the carrier asks the fallback address,
 * and how the leg ended is asked of it (dial_ask.h), else of our own mark; then the same follows as
 * if the action had arrived. ref: as the action's address says. True: c is taken, and it replies
 * exactly once, now or later. False: the address is none of a transfer's, c is as it was. */
bool transfer_lost(struct router *r, struct carrier_req *c, const struct callref *ref);
/* transfer_http.c: the carrier's requests about transfers. */
int transfer_routes(struct router *r) PAT_MUST_CHECK;

#endif
