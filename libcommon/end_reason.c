/* end_reason.c - why a call is over: see end_reason.h. */
#include "end_reason.h"

#include <stdlib.h>
#include <string.h>

/* In order of the words: it is searched by halves. */
static const struct pat_end_reason table[] = {
    { "agent_hangup", PAT_OWNER_US, "answered", "the agent said goodbye and hung up" },
    { "busy", PAT_OWNER_CARRIER, "failed", "what was dialled was busy" },
    { "caller_declined", PAT_OWNER_CALLER, "failed",
      "the phone that was called did not want the call" },
    { "caller_gave_up", PAT_OWNER_CALLER, "failed", "the caller hung up while it still rang" },
    { "caller_hangup", PAT_OWNER_CALLER, "answered", "the caller hung up" },
    { "caller_lost", PAT_OWNER_CARRIER, "answered",
      "the caller's leg broke off and did not come back" },
    { "completed", PAT_OWNER_CALLER, NULL,
      "it ended in the ordinary way; nobody said who hung up" },
    { "cost_limit", PAT_OWNER_US, "answered", "the call had used the money it may" },
    { "declined", PAT_OWNER_CARRIER, "failed", "the far end did not want the call" },
    { "failed", PAT_OWNER_CARRIER, "failed", "the carrier could not go on with the call" },
    { "idle", PAT_OWNER_US, "answered", "nobody spoke any more; the agent said goodbye" },
    { "invalid_number", PAT_OWNER_CARRIER, "failed", "the number cannot be dialled" },
    { "job_terminated", PAT_OWNER_US, "answered",
      "the stack was told to take the agent out of the call" },
    { "join_refused", PAT_OWNER_PROVIDER, "failed", "the stack let nobody into its room" },
    { "machine", PAT_OWNER_US, "answered", "an answering machine was on the line" },
    { "marked_as_spam", PAT_OWNER_CALLER, "failed",
      "the stack's provider holds the caller for a nuisance" },
    { "max_duration", PAT_OWNER_US, "answered", "longest time a call may take" },
    { "message_taken", PAT_OWNER_US, "answered", "the agent took a message and said goodbye" },
    { "no_answer", PAT_OWNER_CARRIER, "failed", "nobody answered what was dialled" },
    { "no_audio", PAT_OWNER_PROVIDER, "failed", "no sound ever came through" },
    { "no_caller", PAT_OWNER_CARRIER, "failed", "the caller's leg never reached the stack" },
    { "no_message", PAT_OWNER_CALLER, "failed", "asked for a message, the caller left none" },
    { "not_dialled", PAT_OWNER_US, "failed", "the stack was prepared and never dialled" },
    { "not_served", PAT_OWNER_PROVIDER, "failed",
      "nothing on the way down the ladder took the call" },
    { "operator_hangup", PAT_OWNER_US, "answered", "a person of ours ended the call" },
    { "operator_took_over", PAT_OWNER_US, "transferred",
      "a person of ours took the call from the agent" },
    { "provider_account", PAT_OWNER_PROVIDER, "failed", "the provider wants to be paid" },
    { "provider_capacity", PAT_OWNER_PROVIDER, "failed", "the provider had no room for the call" },
    { "provider_error", PAT_OWNER_PROVIDER, "failed", "the provider failed without saying how" },
    { "provider_refused", PAT_OWNER_PROVIDER, "failed", "the provider would not serve this call" },
    { "providers_failed", PAT_OWNER_PROVIDER, "answered",
      "no model or voice was left that worked" },
    { "reaped", PAT_OWNER_US, NULL, "a leg that was left behind was hung up" },
    { "refused", PAT_OWNER_US, "screened", "a policy of the user's does not take the call" },
    { "removed", PAT_OWNER_US, "answered", "the agent was put out of the room" },
    { "room_closed", PAT_OWNER_US, "answered", "the room was closed around the agent" },
    { "shutdown", PAT_OWNER_US, "answered", "the process that served was told to stop" },
    { "speech_failed", PAT_OWNER_PROVIDER, "failed", "the voice could not be begun with" },
    { "stack_lost", PAT_OWNER_PROVIDER, "answered",
      "the stack had lost the call while the caller was still on the line" },
    { "stt_failed", PAT_OWNER_PROVIDER, "answered", "no recogniser was left that worked" },
    { "tokens_limit", PAT_OWNER_US, "answered", "the call had used the model's words it may" },
    { "transferred", PAT_OWNER_US, "transferred",
      "the caller was put through, and that talk is over" },
    { "unheard", PAT_OWNER_CARRIER, NULL,
      "nobody told how it ended, and nobody knows it any more" },
    { "unreachable", PAT_OWNER_PROVIDER, "answered", "the stack could not be reached any more" },
    { "voicemail", PAT_OWNER_CALLER, "voicemail", "the caller left a message" },
};

const char *pat_owner_name(enum pat_owner o)
{
    static const char *const names[] = { "caller", "us", "provider", "carrier" };

    return names[o];
}

static int by_word(const void *word, const void *row)
{
    return strcmp(word, ((const struct pat_end_reason *)row)->word);
}

const struct pat_end_reason *pat_end_reason_find(const char *word)
{
    return word ? bsearch(word, table, sizeof table / sizeof table[0], sizeof table[0], by_word)
                : NULL;
}

const struct pat_end_reason *pat_end_reason_at(size_t i)
{
    return i < sizeof table / sizeof table[0] ? &table[i] : NULL;
}
