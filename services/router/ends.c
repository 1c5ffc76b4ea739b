/* ends.c - the carrier's words for an end, as ours: see ends.h. */
#include "ends.h"

#include <assert.h>
#include <string.h>

const struct pat_end_reason *ends_of_ours(const char *word)
{
    const struct pat_end_reason *e = pat_end_reason_find(word);

    assert(e);
    return e ? e : pat_end_reason_find("completed");
}

const struct pat_end_reason *ends_of_status(const char *status)
{
    static const char *const table[][2] = {
        { "completed", "completed" },
        { "canceled", "caller_gave_up" },
        { "failed", "failed" },
        { "busy", "busy" },
        { "no-answer", "no_answer" },
        /* SWML: end_reason of the state "ended" */
        { "hangup", "completed" },
        { "cancel", "caller_gave_up" },
        { "no_answer", "no_answer" },
        { "declined", "declined" },
        { "error", "failed" },
    };

    for (size_t i = 0; status && i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(status, table[i][0]))
            return ends_of_ours(table[i][1]);
    return NULL; /* "ringing", "in-progress", or new to us */
}

const struct pat_end_reason *ends_of_dial(const struct carrier_req *c, const struct leg *leg)
{
    const char *by = carrier_param(c, "HangupBy");

    if (by && !strcmp(by, "caller"))
        return ends_of_ours("caller_hangup");
    if (leg && leg->end)
        return leg->end;
    return ends_of_ours(by && !strcmp(by, "callee") ? "agent_hangup" : "completed");
}
