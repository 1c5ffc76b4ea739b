/* limit.h - how often one principal may ask: a user, the service, or, without a good token, an
 * address.
 *
 * Pure but for its memory: time is an argument, never going back. Each replica counts for itself.
 */
#ifndef SWITCHER_LIMIT_H
#define SWITCHER_LIMIT_H

#include "pat.h"

struct limits;

enum limit_kind { LIMIT_READS, LIMIT_WRITES, LIMIT_PREVIEWS, LIMIT_TALKS, LIMIT_KINDS };

struct limit_state {
    int64_t per_min; /* as many at once, and within a minute after that */
    int64_t left;    /* at once, now */
    int64_t wait_s;  /* until one is let through; 0: it was */
    int64_t full_s;  /* until per_min are let through at once */
};

int limits_new(struct limits **out, const int64_t per_min[LIMIT_KINDS]) PAT_MUST_CHECK;
void limits_free(struct limits *l);
/* One request. False: too often. */
bool limits_take(struct limits *l, enum limit_kind kind, const char *who, int64_t now_ms,
                 struct limit_state *out);
const char *limit_name(enum limit_kind kind); /* "reads", ... */

#endif
