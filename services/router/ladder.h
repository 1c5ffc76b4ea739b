/* ladder.h - what catches a call whose stack cannot serve it: pure.
 *
 * A ladder is a user's list of rungs, in the order they are tried. Before them stands the user's
 * own stack; after them, always, a spoken apology: no call ends in silence. A rung is passed over
 * when it was tried in this call, cannot be had, or (a stack) is down. Whoever walks it notes what
 * was tried in the call's reference (callref.h, tried) and asks again: before dialling, when a
 * stack is known to be down, and after it, when the dialled leg failed. Thread: any, no state.
 */
#ifndef ROUTER_LADDER_H
#define ROUTER_LADDER_H

#include "router.h"

#define LADDER_MAX     4
#define LADDER_REASONS 8 /* what was passed over, and what was found */

enum rung {
    RUNG_OWN,       /* the user's own stack; never in a list */
    RUNG_OTHER,     /* "other_stack" */
    RUNG_VOICEMAIL, /* "voicemail": the carrier records a message */
    RUNG_FORWARD,   /* "forward": the user's number for such cases is dialled */
    RUNG_APOLOGY,   /* "apology": says sorry and hangs up */
    RUNGS
};

/* Bits of what was tried in a call. Stacks keep the bit of their number in enum stack. */
#define LADDER_TRIED(stack)    (1u << (stack))
#define LADDER_TRIED_VOICEMAIL 8u
#define LADDER_TRIED_FORWARD   16u

struct ladder {
    unsigned char rungs[LADDER_MAX]; /* enum rung */
    int n;
};

const char *rung_name(enum rung rung); /* "own_stack", "other_stack", "voicemail" ... */
/* Who has chosen nothing: other_stack, voicemail, forward. */
struct ladder ladder_default(void);
/* One more rung by its name. PAT_EINVAL: no such rung, or it is there already. */
int ladder_add(struct ladder *l, const char *name) PAT_MUST_CHECK;

enum ladder_can {
    LADDER_CANNOT,
    LADDER_STANDBY, /* by the agent that stands by for everybody (Retell) */
    LADDER_AGENT    /* by an agent of the user's; LiveKit needs none of its own, see routes.h */
};

struct ladder_stack {
    enum ladder_can can;
    bool down; /* its health says: do not even try */
};

struct ladder_in {
    struct ladder ladder;
    enum stack own;
    struct ladder_stack retell;
    struct ladder_stack livekit;
    unsigned tried;
    bool forward; /* there is a number to forward to, and it is allowed */
};

struct ladder_step {
    enum rung rung;
    enum stack stack;                    /* of RUNG_OWN and RUNG_OTHER; else STACK_NONE */
    bool standby;                        /* that stack's agent is the one standing by */
    const char *reasons[LADDER_REASONS]; /* constants: why others were passed over, then why this */
    int n_reasons;
};

struct ladder_step ladder_next(const struct ladder_in *in);

#endif
