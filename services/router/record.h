/* record.h - what the router tells about a call: events and the row in patchbay.calls, behind the
 * answer's back.
 *
 * Everything goes through the journal: NATS at once, Postgres soon, nobody waits. It is in the
 * spool file when one of these returns, so call them before the carrier is answered. Each of these
 * is told once however often it is said (their event ids are made from the call's id), and each
 * write of the row only adds what it knows (patchbay.put_call).
 */
#ifndef ROUTER_RECORD_H
#define ROUTER_RECORD_H

#include "callref.h"
#include "decide.h"

/* The carrier asked, and this is what we answered. */
void record_routed(struct router *r, const struct callref *c, const struct decision *d,
                   const char *sip_target, int64_t answer_us);
/* A leg failed or died, and the caller goes on elsewhere. */
struct record_step {
    enum stack to;      /* STACK_NONE: to no stack */
    const char *action; /* what is done there (decide.h) */
    const char *reason; /* a constant */
    int sip_code;       /* 0: not known */
    bool redial;        /* the same leg once more */
};
void record_failed_over(struct router *r, const struct callref *c, const struct record_step *s);
/* A call that only the carrier knew of: its row, and the offer. */
void record_found(struct router *r, const struct callref *c);

/* record_message.c: a message the carrier has recorded. */
struct record_message {
    const char *recording; /* the carrier's id of it */
    const char *url;       /* where the carrier keeps it; NULL: it did not say so that one could */
    int64_t length_ms;     /* negative: not known */
};
/* "m-" and the id of its row in patchbay.voicemails, made from the carrier's two. */
#define RECORD_NAME_MAX 40
void record_message_name(const char *carrier_call, const char *recording,
                         char out[RECORD_NAME_MAX]);
/* It is there; its file is to be fetched (lifecycle_fetch.h). */
void record_voicemail(struct router *r, const struct callref *c, const struct record_message *m);
/* Its words, as the carrier heard them: the same event again, with the text. */
void record_voicemail_text(struct router *r, const struct callref *c,
                           const struct record_message *m, const char *text);
/* Its file is in our store: once more, with that address. Of c: call and user. */
struct record_object {
    const char *name; /* record_message_name's */
    const char *object, *url;
    int64_t duration_ms; /* negative: not known */
    int64_t bytes;
};
void record_voicemail_stored(struct router *r, const struct callref *c,
                             const struct record_object *o);

/* Owner and outcome are the reason's (end_reason.h). */
struct record_end {
    const char *reason;  /* a word of the list */
    const char *outcome; /* of patchbay.calls, where more is known than the word says; or NULL */
    int64_t talk_ms;     /* negative: not known */
    int64_t at_ms;       /* unix; 0: now */
};
void record_ended(struct router *r, const struct callref *c, const struct record_end *e);

#endif
