/* reconcile_judge.c - what to make of an open call: see reconcile_judge.h. */
#include "reconcile_judge.h"

#include <string.h>

#define LATE_MS 300000 /* what ends by itself has ended by then */

/* "completed" leaves open who hung up; the agent or the stack may know. */
static const struct pat_end_reason *best(const struct judge_in *in)
{
    const struct pat_end_reason *carrier = in->carrier == JUDGE_OVER ? in->carrier_why : NULL;

    if (carrier && strcmp(carrier->word, "completed"))
        return carrier;
    if (in->agent_why)
        return in->agent_why;
    if (in->stack == JUDGE_OVER && in->stack_why && !in->moved)
        return in->stack_why;
    return carrier ? carrier : pat_end_reason_find("unheard");
}

static int64_t when(const struct judge_in *in)
{
    if (in->carrier == JUDGE_OVER && in->carrier_end_ms)
        return in->carrier_end_ms;
    if (in->stack == JUDGE_OVER && in->stack_end_ms && !in->moved)
        return in->stack_end_ms;
    return in->last_ms;
}

static struct judge_out close_it(const struct judge_in *in)
{
    return (struct judge_out){ .what = JUDGE_CLOSE, .why = best(in), .at_ms = when(in) };
}

/* The carrier has the leg. */
static struct judge_out judge_live(const struct judge_in *in)
{
    bool gone = !in->moved && (in->stack == JUDGE_OVER || in->stack == JUDGE_UNKNOWN);

    if (in->now_ms - in->offered_ms >= in->max_ms)
        return (struct judge_out){ .what = JUDGE_END, .why = pat_end_reason_find("max_duration") };
    if (gone && in->gone)
        return (struct judge_out){ .what = JUDGE_END,
                                   .why = in->stack_why ? in->stack_why
                                                        : pat_end_reason_find("stack_lost") };
    return (struct judge_out){ .what = gone ? JUDGE_LOOK_SOON : JUDGE_LEAVE };
}

/* We have no account at the carrier's API, or its API does not list such calls. */
static struct judge_out judge_without_carrier(const struct judge_in *in)
{
    if (in->stack == JUDGE_OVER && !in->moved)
        return close_it(in);
    /* Each document of ours limits the call; the carrier has ended it long since. */
    if (in->now_ms - in->offered_ms >= in->max_ms + LATE_MS)
        return close_it(in);
    return (struct judge_out){ .what = JUDGE_LEAVE };
}

struct judge_out reconcile_judge(const struct judge_in *in)
{
    switch (in->carrier) {
    case JUDGE_OVER:
        return close_it(in);
    case JUDGE_LIVE:
        return judge_live(in);
    case JUDGE_UNKNOWN:
        return in->swml ? judge_without_carrier(in) : close_it(in);
    case JUDGE_NOT_ASKED:
        return judge_without_carrier(in);
    default:
        return (struct judge_out){ .what = JUDGE_LEAVE };
    }
}
