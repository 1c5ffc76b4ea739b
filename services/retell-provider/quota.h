/* quota.h - how many calls Retell would still take.
 *
 * A workspace has so many calls at once (docs.retellai.com, "Concurrency"), of everybody's.
 * get-concurrency is asked every PAT_RETELL_QUOTA_EVERY, more often when little is left; between
 * two answers our own registrations are counted. A 429 to a registration means none for a moment.
 * Where nothing is known (never answered, or long ago) nothing is refused. Thread: the loop's.
 */
#ifndef PROVIDER_QUOTA_H
#define PROVIDER_QUOTA_H

#include "provider.h"

struct retell_quota {
    bool known;      /* the rest is of any use */
    int64_t limit;   /* calls at once, bursts included where they are bought */
    int64_t current; /* under way when Retell was asked */
    int64_t free;    /* of limit, without those registered since; never negative */
    int64_t age_ms;  /* since Retell answered */
    int64_t busy_ms; /* after a 429: none for so long; else 0 */
};
/* What is known now; asks nobody. */
struct retell_quota retell_quota(const struct provider *p);

int quota_new(struct quota **out, struct provider *p) PAT_MUST_CHECK;
void quota_free(struct quota *q); /* NULL is fine */
/* A call is about to be registered. False: it would be refused, say busy. */
bool quota_take(struct quota *q);
/* Retell refused one with 429; retry_after_ms 0: it did not say for how long. */
void quota_refused(struct quota *q, int64_t retry_after_ms);

#endif
