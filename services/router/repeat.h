/* repeat.h - a request for a new call that comes twice gets the same answer.
 *
 * Carriers do not repeat it; proxies do, and a carrier that waited in vain asks the fallback
 * address. So a call's id is made of the carrier's own (and a secret), the same at every router and
 * with everything else away; what was answered is in this router's memory for a while, and in KV
 * (<call>.leg, leg.h) for the others. An id has the time in it, as a version 7 UUID must; it is
 * rounded down to five minutes, and a request that comes just after such a border may be the
 * repetition of one that came before: then the earlier id is looked for first. Thread: the loop's.
 */
#ifndef ROUTER_REPEAT_H
#define ROUTER_REPEAT_H

#include "carrier.h"

/* Nothing is repeated later than this. */
#define REPEAT_MS 20000

struct repeats;
int repeat_new(struct repeats **out) PAT_MUST_CHECK;
void repeat_free(struct repeats *p);

/* The id of the carrier's call. before: what it was called had it come a moment ago, "" when that
 * is the same. */
struct pat_id repeat_call_id(const struct router *r, const char *carrier_call, const char *to,
                             int64_t now_ms, struct pat_id *before);

/* This is what a new call was answered. Copied. */
void repeat_note(struct router *r, const struct callref *ref);
/* NULL: not by this router, or too long ago. Borrowed. */
const struct callref *repeat_find(const struct router *r, const char *call);

/* What any router has answered. fn runs once, on the loop; ref NULL: nothing, as far as KV knows.
 */
typedef void repeat_fn(const struct callref *ref, void *arg);
int repeat_look(struct router *r, const char *call, repeat_fn *fn, void *arg) PAT_MUST_CHECK;

#endif
