/* allow.h - may this call be transferred to that number? Pure.
 *
 * A transfer costs money and moves a person: it goes only where the operator allows, never in a
 * circle, and not too often.
 */
#ifndef ROUTER_ALLOW_H
#define ROUTER_ALLOW_H

#include "number.h"

struct allow_in {
    const char *to;       /* E.164 */
    const char *caller;   /* "" when withheld */
    const char *called;   /* the number of ours that was dialled */
    bool to_is_ours;      /* somebody's number at this router */
    const char *prefixes; /* "+1,!+1900,+44": the longest that matches decides */
    unsigned before;      /* moves of this call so far */
    unsigned max;
};

/* NULL: yes. Else the reason, a constant: "loop", "own_number", "not_allowed". */
const char *allow_transfer(const struct allow_in *in);
bool allow_prefix(const char *prefixes, const char *number);

/* A call sent to a phone before anybody has spoken with it. */
struct allow_forward {
    const char *number;         /* E.164; "" none */
    const char *from;           /* "" when withheld */
    const char *called;         /* the number of ours that was dialled */
    const char *passed_on_from; /* the phone it was passed on from; "" none */
    bool from_is_ours;          /* a forward of ours has come back */
    bool number_is_ours;
    const char *prefixes;
    bool country_allowed; /* by the user */
    bool burst;           /* this caller was sent there too often lately */
    bool over_cap;        /* the day's money is spent */
};
/* NULL: yes. Else the reason, a constant (guard.h). */
const char *allow_forward(const struct allow_forward *in);

/* So many of one user in the last minute. Zeroed is empty. */
struct allow_rate {
    int64_t at_ms[64]; /* a ring */
    unsigned next;
};
/* Counts one. False: there were max in the minute before now. */
bool allow_rate(struct allow_rate *r, unsigned max, int64_t now_ms);

#endif
