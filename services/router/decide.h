/* decide.h - what is done with a call: pure.
 *
 * A new call meets the policies first (policy.h), in their order; when none of them stops it, it
 * goes down the ladder (ladder.h): the user's own stack, and what catches the call when that cannot
 * serve. A call that comes back because a leg failed meets only the ladder. Everything that spoke
 * is a reason, in order, up to the one that decided.
 */
#ifndef ROUTER_DECIDE_H
#define ROUTER_DECIDE_H

#include "policy.h"

#define DECIDE_REASONS (2 * POLICY_RULES + 1 + LADDER_REASONS)

enum decide_action {
    DECIDE_STACK,
    DECIDE_FORWARD,
    DECIDE_VOICEMAIL,
    DECIDE_REFUSE, /* not answered, and not charged: busy or rejected */
    DECIDE_SAY,    /* a notice, and the end */
    DECIDE_ACTIONS
};

struct decide_in {
    const struct policy_facts *policy; /* NULL: not a new call */
    struct ladder_in ladder;
    const char *share; /* why the ladder's own stack is not, or is, the user's (share.h); or NULL */
    char fallback_number[NUMBER_MAX]; /* where the ladder's rung "forward" leads */
};

struct decision {
    enum decide_action action;
    enum stack stack;                    /* of DECIDE_STACK; else STACK_NONE */
    bool standby;                        /* by the agent standing by there */
    bool fallback;                       /* not the user's own stack */
    bool busy;                           /* of DECIDE_REFUSE */
    char forward[NUMBER_MAX];            /* of DECIDE_FORWARD; else "" */
    const char *policy;                  /* the rule that decided; NULL: the ladder did */
    const char *reasons[DECIDE_REASONS]; /* constants */
    int n_reasons;
};

struct decision decide(const struct decide_in *in);
const char *decide_action_name(enum decide_action a); /* "stack", "forward" ... */

#endif
