/* said.h - what was said in a call before it comes (again) to Retell, for the agent that goes on.
 *
 * Postgres has what either stack has told so far (patchbay.call_said). Of a leg at Retell that has
 * just died Retell itself knows it sooner. Both are asked at once and not waited for longer than a
 * caller may: an agent that knows nothing is better than silence. Thread: the loop's.
 */
#ifndef PROVIDER_SAID_H
#define PROVIDER_SAID_H

#include "provider.h"

#define SAID_MAX                                                                                   \
    ((size_t)16 * 1024) /* of text, the latest: a prompt that a model reads at once                \
                         */

struct said_of {
    const char *call, *user;
    const char *retell_call; /* the leg that died; NULL: it was not at Retell */
};

/* Runs once, on the loop. text: for the prompt (cut_off.h), "" when nothing was said or nobody
 * knows. language: of the agent; NULL: not known. Borrowed. */
typedef void said_fn(const char *text, const char *language, void *arg);
int said_ask(struct provider *p, const struct said_of *of, said_fn *fn, void *arg) PAT_MUST_CHECK;

#endif
