/* decide.c - what is done with a call: see decide.h. */
#include "decide.h"

#include <string.h>

const char *decide_action_name(enum decide_action a)
{
    static const char *const names[DECIDE_ACTIONS] = {
        [DECIDE_STACK] = "stack",   [DECIDE_FORWARD] = "forward", [DECIDE_VOICEMAIL] = "voicemail",
        [DECIDE_REFUSE] = "refuse", [DECIDE_SAY] = "say",
    };

    return names[a];
}

static void reason(struct decision *d, const char *why)
{
    if (why)
        d->reasons[d->n_reasons++] = why;
}

static void take_step(struct decision *d, const struct policy_step *s)
{
    d->policy = s->rule;
    switch (s->what) {
    case POLICY_FORWARD:
        d->action = DECIDE_FORWARD;
        pat_strcpy(d->forward, sizeof d->forward, s->number);
        break;
    case POLICY_BUSY:
    case POLICY_REJECT:
        d->action = DECIDE_REFUSE;
        d->busy = s->what == POLICY_BUSY;
        break;
    default:
        d->action = DECIDE_VOICEMAIL;
    }
}

/* True: the policies have decided. */
static bool ask_policies(struct decision *d, const struct policy_facts *f)
{
    struct policy_step steps[POLICY_RULES];
    int first = policy_walk(f, steps), n = first < 0 ? POLICY_RULES : first + 1;

    for (int i = 0; i < n; i++)
        if (steps[i].verdict != POLICY_SILENT) {
            reason(d, steps[i].reasons[0]);
            reason(d, steps[i].reasons[1]);
        }
    if (first >= 0)
        take_step(d, &steps[first]);
    return first >= 0;
}

static void ask_ladder(struct decision *d, const struct decide_in *in)
{
    static const enum decide_action actions[RUNGS] = {
        [RUNG_OWN] = DECIDE_STACK,           [RUNG_OTHER] = DECIDE_STACK,
        [RUNG_VOICEMAIL] = DECIDE_VOICEMAIL, [RUNG_FORWARD] = DECIDE_FORWARD,
        [RUNG_APOLOGY] = DECIDE_SAY,
    };
    struct ladder_step step = ladder_next(&in->ladder);

    reason(d, in->share);
    d->action = actions[step.rung];
    d->stack = step.stack;
    d->standby = step.standby;
    d->fallback = step.rung == RUNG_OTHER;
    if (step.rung == RUNG_FORWARD)
        pat_strcpy(d->forward, sizeof d->forward, in->fallback_number);
    for (int i = 0; i < step.n_reasons; i++)
        reason(d, step.reasons[i]);
}

struct decision decide(const struct decide_in *in)
{
    struct decision d = { 0 };

    if (!in->policy || !ask_policies(&d, in->policy))
        ask_ladder(&d, in);
    return d;
}
