/* ladder.c - what catches a call whose stack cannot serve it: see ladder.h. */
#include "ladder.h"

#include <string.h>

static const char *const names[RUNGS] = {
    [RUNG_OWN] = "own_stack",   [RUNG_OTHER] = "other_stack", [RUNG_VOICEMAIL] = "voicemail",
    [RUNG_FORWARD] = "forward", [RUNG_APOLOGY] = "apology",
};

const char *rung_name(enum rung rung)
{
    return names[rung];
}

struct ladder ladder_default(void)
{
    return (struct ladder){ { RUNG_OTHER, RUNG_VOICEMAIL, RUNG_FORWARD }, 3 };
}

static bool has(const struct ladder *l, enum rung rung)
{
    for (int i = 0; i < l->n; i++)
        if (l->rungs[i] == rung)
            return true;
    return false;
}

int ladder_add(struct ladder *l, const char *name)
{
    for (unsigned char rung = RUNG_OTHER; rung < RUNGS; rung++) {
        if (strcmp(names[rung], name))
            continue;
        if (l->n == LADDER_MAX || has(l, rung))
            return PAT_EINVAL;
        l->rungs[l->n++] = rung;
        return PAT_OK;
    }
    return PAT_EINVAL;
}

/* NULL: it can be had. Names are part of call.routed: what reads them keeps working. */
static const char *stack_missing(const struct ladder_in *in, enum stack s)
{
    const struct ladder_stack *stack = s == STACK_RETELL ? &in->retell : &in->livekit;
    bool retell = s == STACK_RETELL;

    if (in->tried & LADDER_TRIED(s))
        return retell ? "retell_tried" : "livekit_tried";
    if (stack->can == LADDER_CANNOT)
        return retell ? "no_retell_agent" : "no_livekit_agent";
    if (stack->down)
        return retell ? "retell_down" : "livekit_down";
    return NULL;
}

static const char *missing(const struct ladder_in *in, enum rung rung, enum stack s)
{
    switch (rung) {
    case RUNG_OWN:
    case RUNG_OTHER:
        return stack_missing(in, s);
    case RUNG_VOICEMAIL:
        return in->tried & LADDER_TRIED_VOICEMAIL ? "voicemail_tried" : NULL;
    case RUNG_FORWARD:
        if (in->tried & LADDER_TRIED_FORWARD)
            return "forward_tried";
        return in->forward ? NULL : "no_forward_number";
    default:
        return NULL;
    }
}

static void reason(struct ladder_step *step, const char *why)
{
    step->reasons[step->n_reasons++] = why;
}

static enum stack stack_of(const struct ladder_in *in, enum rung rung)
{
    if (rung == RUNG_OWN)
        return in->own;
    if (rung == RUNG_OTHER)
        return in->own == STACK_RETELL ? STACK_LIVEKIT : STACK_RETELL;
    return STACK_NONE;
}

static bool take(const struct ladder_in *in, enum rung rung, struct ladder_step *step)
{
    enum stack s = stack_of(in, rung);
    const char *why = missing(in, rung, s);

    if (why) {
        reason(step, why);
        return false;
    }
    step->rung = rung;
    step->stack = s;
    step->standby = (s == STACK_RETELL && in->retell.can == LADDER_STANDBY) ||
                    (s == STACK_LIVEKIT && in->livekit.can == LADDER_STANDBY);
    reason(step, rung == RUNG_OTHER ? "fallback" : names[rung]);
    if (step->standby)
        reason(step, "standby_agent");
    return true;
}

struct ladder_step ladder_next(const struct ladder_in *in)
{
    struct ladder_step step = { 0 };

    if (take(in, RUNG_OWN, &step))
        return step;
    for (int i = 0; i < in->ladder.n; i++)
        if (take(in, in->ladder.rungs[i], &step))
            return step;
    take(in, RUNG_APOLOGY, &step);
    return step;
}
