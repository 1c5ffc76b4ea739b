/* reconcile_judge.h - what to make of an open call nobody has told of for a while. Pure.
 *
 * Never invents: a call is closed when the carrier or the stack says that it is over, with their
 * time, or when it cannot exist any more; else it is left. Times: unix ms, 0: not known. Thread:
 * any.
 */
#ifndef ROUTER_RECONCILE_JUDGE_H
#define ROUTER_RECONCILE_JUDGE_H

#include "pat.h"

/* What the one that was asked says. */
enum judge_says {
    JUDGE_NOT_ASKED, /* nobody there to be asked */
    JUDGE_NO_ANSWER, /* asked in vain */
    JUDGE_LIVE,
    JUDGE_OVER,
    JUDGE_UNKNOWN /* there is no such call */
};

struct judge_in {
    enum judge_says carrier, stack;
    const struct pat_end_reason *carrier_why, *stack_why; /* of JUDGE_OVER; or NULL */
    int64_t carrier_end_ms, stack_end_ms;
    const struct pat_end_reason
        *agent_why;                      /* what the agent said before it left (leg.h); or NULL */
    bool moved;                          /* the caller is with another phone, not the stack */
    bool swml;                           /* the carrier's list of calls may not have it */
    int gone;                            /* looks before this one that found the stack without it */
    int64_t offered_ms, last_ms, now_ms; /* last: the last sign of life */
    int64_t max_ms;                      /* longest call */
};

enum judge_do {
    JUDGE_LEAVE,
    JUDGE_LOOK_SOON, /* the stack has not got it: look again before believing it */
    JUDGE_CLOSE,     /* it is over */
    JUDGE_END        /* it is not: hang up, then close */
};
struct judge_out {
    enum judge_do what;
    const struct pat_end_reason *why; /* of CLOSE and END */
    int64_t at_ms;                    /* of CLOSE */
};

struct judge_out reconcile_judge(const struct judge_in *in);

#endif
