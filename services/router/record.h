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
void record_voicemail(struct router *r, const struct callref *c, const char *recording_url,
                      int64_t duration_ms);
/* Its words, as the carrier heard them: the same event again, with the text. */
void record_voicemail_text(struct router *r, const struct callref *c, const char *recording_url,
                           const char *text);

/* Owner and outcome are the reason's (end_reason.h). */
struct record_end {
    const char *reason;  /* a word of the list */
    const char *outcome; /* of patchbay.calls, where more is known than the word says; or NULL */
    int64_t talk_ms;     /* negative: not known */
    int64_t at_ms;       /* unix; 0: now */
};
void record_ended(struct router *r, const struct callref *c, const struct record_end *e);

#endif
