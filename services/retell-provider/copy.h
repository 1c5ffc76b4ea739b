/* copy.h - recordings of calls at Retell, copied to our own object store before their address
 * expires.
 *
 * A leg whose recording is offered (patchbay.retell_legs) is claimed by one replica and copied in
 * ranges, each a part of the object, so that memory is bounded whatever the length; a store that
 * takes no parts gets it whole. An address that is refused is asked for anew (get-call), one that
 * has not come yet is waited for. Only when the object is there it is told (call.recording, state
 * stored) and noted in patchbay.recordings, as our own agent's are; a replica that dies loses its
 * claim after five minutes and another one begins anew. Which are copied: PAT_RECORDING, the
 * agent's settings, and the user's record_calls, whose no always counts. The choice is kept with
 * the leg: what could not be copied, or has no store to go to (state remote), is listened to at
 * Retell, and nothing else is. Thread: the loop's.
 */
#ifndef PROVIDER_COPY_H
#define PROVIDER_COPY_H

#include "provider.h"

/* Without PAT_RECORDING_URL it only chooses. */
int copier_new(struct copier **out, struct provider *p) PAT_MUST_CHECK;
void copier_free(struct copier *c); /* NULL is fine */

/* copy_choice.c, pure: the name of the address to copy, a literal; NULL: there is none, why says
 * why, and later whether one may still come: Retell scrubs a recording when the call is over, and
 * nobody promises that it is done when it tells. */
struct copy_choice {
    const char *whose; /* "off", "wanted", "all" */
    bool both_sides;   /* the one with a channel for each, where there is one */
    bool refused;      /* the user wants no recordings */
    bool agreed;       /* or has said that he does */
};
const char *copy_choose(const struct copy_choice *c, const struct pat_json *settings,
                        const struct pat_json *urls, const char **why, bool *later);

#endif
