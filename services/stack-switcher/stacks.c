/* stacks.c - what a user gets with a stack: see stacks.h.
 *
 * Only what the daemons really do today. A word once given keeps its meaning.
 */
#include "stacks.h"

#include <string.h>

/* Which stacks have it: bit 0 Retell, bit 1 LiveKit. */
static const struct {
    const char *word;
    unsigned stacks;
} table[] = {
    { "inbound_calls", 3 },      /* a caller is answered */
    { "voicemail", 3 },          /* a message is taken when no stack can serve */
    { "call_records", 3 },       /* the call with its transcript, when it is over */
    { "barge_in", 3 },           /* the caller may interrupt the agent */
    { "live_transcript", 2 },    /* turn by turn while the call runs */
    { "live_interruptions", 2 }, /* and where the agent was cut off */
    { "post_call_analysis", 1 }, /* summary and sentiment by the provider */
};

size_t stacks_words(const struct stacks *s, const char **words, size_t cap)
{
    bool livekit = !strcmp(s->active, "livekit");
    bool there = livekit ? s->on_livekit : s->on_retell;
    bool other = livekit ? s->on_retell : s->on_livekit;
    unsigned bit = livekit ? 2 : 1;
    size_t n = 0;

    for (size_t i = 0; i < sizeof table / sizeof table[0] && n < cap; i++)
        if (there ? table[i].stacks & bit : !strcmp(table[i].word, "voicemail"))
            words[n++] = table[i].word;
    /* With an agent on the other stack too, a failed leg is dialled again there. */
    if (other && n < cap)
        words[n++] = "failover";
    return n;
}

void stacks_describe(struct pat_json *agent)
{
    const char *words[16];
    struct stacks s = { pat_json_str_or(agent, "stack", "retell"),
                        pat_json_bool_or(agent, "on_retell", false),
                        pat_json_bool_or(agent, "on_livekit", false) };
    struct pat_json *list = pat_json_arr();
    size_t n = stacks_words(&s, words, sizeof words / sizeof words[0]);

    for (size_t i = 0; i < n; i++)
        pat_json_add_str(list, words[i]);
    pat_json_set_take(agent, "capabilities", list);
}
