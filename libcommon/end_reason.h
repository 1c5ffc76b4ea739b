/* end_reason.h - why a call, or one of its legs, is over: one list of words for all daemons.
 *
 * Each word belongs to one owner: the caller, us (the agent, a limit, a transfer), the provider
 * whose stack served, or the carrier. A vendor's own word (Retell's disconnection_reason, a
 * carrier's CallStatus, LiveKit's DisconnectReason) is translated where it comes in and never
 * reaches call.ended. A new reason is a row here, in docs/events/call.ended.schema.json and in
 * docs/end-reasons.md; a test holds the three against each other. Thread: any.
 */
#ifndef PAT_END_REASON_H
#define PAT_END_REASON_H

#include <stddef.h>

enum pat_owner { PAT_OWNER_CALLER, PAT_OWNER_US, PAT_OWNER_PROVIDER, PAT_OWNER_CARRIER };

struct pat_end_reason {
    const char *word; /* a-z and _ */
    enum pat_owner owner;
    const char *outcome; /* of patchbay.calls; NULL: the reason alone does not say */
    const char *means;   /* for people */
};

/* "caller", "us", "provider", "carrier". */
const char *pat_owner_name(enum pat_owner o);
/* NULL: not one of ours, or word is NULL. */
const struct pat_end_reason *pat_end_reason_find(const char *word);
/* All of them, in order of their words. NULL: i is beyond the last. */
const struct pat_end_reason *pat_end_reason_at(size_t i);

#endif
