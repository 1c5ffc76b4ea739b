/* decide.h - which stack serves a call: pure.
 *
 * The user's own stack first; the other one only when the user has an agent there; a stack whose
 * health says no or that was tried already for this call is skipped.
 */
#ifndef ROUTER_DECIDE_H
#define ROUTER_DECIDE_H

#include "router.h"

#define DECIDE_REASONS 4

struct decide_in {
    enum stack own;
    bool on_retell; /* the user has an agent there */
    bool on_livekit;
    bool retell_open; /* down: do not even try */
    bool livekit_open;
    unsigned tried; /* bit per enum stack */
};

struct decision {
    enum stack stack; /* STACK_NONE: voicemail */
    bool fallback;    /* not the user's own stack */
    const char *reasons[DECIDE_REASONS];
    int n_reasons;
};

struct decision decide(const struct decide_in *in);

#endif
