/* dial_words.h - what the carrier's words about a dialled leg mean: pure.
 *
 * A leg was never answered, or it was and is over; and who is to blame decides what follows. SIP
 * codes say more than the carrier's own word, which knows busy, no-answer and failed only
 * (RFC 3261, 21; SignalWire docs, "cXML Dial": DialSipResponseCode). The table is in
 * docs/routing.md.
 */
#ifndef ROUTER_DIAL_WORDS_H
#define ROUTER_DIAL_WORDS_H

#include "carrier.h"

enum dial_end {
    DIAL_GAVE_UP,     /* the caller hung up while it rang */
    DIAL_CALLER_LEFT, /* it was answered, and the caller hung up */
    DIAL_OVER,        /* it was answered and has ended; the caller is still there */
    DIAL_BROKE,       /* the same, and the carrier says by a fault */
    DIAL_FAILED       /* it was never answered */
};

/* Of DIAL_FAILED and DIAL_BROKE: what is said of the stack's health. */
enum dial_blame {
    BLAME_STACK, /* any call would have failed */
    BLAME_CALL   /* this user's agent, this registration, this caller's network: the next may do */
};

struct dial_words {
    const char *status;      /* DialCallStatus, or SWML's connect_failed_reason; NULL: not said */
    const char *call_status; /* of the caller's own leg; NULL: not said */
    const char *hung_up_by;  /* "caller", "callee"; NULL: not said */
    int sip_code;            /* 0: not said */
    int64_t talk_ms;         /* negative: not said */
    enum stack stack;        /* that was dialled; STACK_NONE: a telephone */
};

struct dial_result {
    enum dial_end end;
    enum dial_blame blame;
    const char *why; /* a constant: "busy", "no_answer", "not_found" ... */
};

struct dial_result dial_judge(const struct dial_words *w);
/* Out of a Dial's action or a SWML document's next request. Borrowed from c. */
struct dial_words dial_words_of(const struct carrier_req *c, enum stack stack);

#endif
