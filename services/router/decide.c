/* decide.c - which stack serves a call: see decide.h. */
#include "decide.h"

static bool usable(const struct decide_in *in, enum stack s, struct decision *d)
{
    bool retell = s == STACK_RETELL;
    const char *why = NULL;

    if (in->tried & 1u << s)
        why = retell ? "retell_tried" : "livekit_tried";
    else if (!(retell ? in->on_retell : in->on_livekit))
        why = retell ? "no_retell_agent" : "no_livekit_agent";
    else if (retell ? in->retell_open : in->livekit_open)
        why = retell ? "retell_down" : "livekit_down";
    if (why)
        d->reasons[d->n_reasons++] = why;
    return !why;
}

struct decision decide(const struct decide_in *in)
{
    struct decision d = { 0 };
    enum stack other = in->own == STACK_RETELL ? STACK_LIVEKIT : STACK_RETELL;

    if (usable(in, in->own, &d)) {
        d.stack = in->own;
        d.reasons[d.n_reasons++] = "own_stack";
    } else if (usable(in, other, &d)) {
        d.stack = other;
        d.fallback = true;
        d.reasons[d.n_reasons++] = "fallback";
    }
    return d;
}
