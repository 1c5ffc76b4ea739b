/* breaker.h - a circuit breaker, pure: (state, outcome, now) -> state.
 *
 * closed    calls go through; failures_to_open failures in a row open it
 * open      calls are refused for open_ms; outcomes of calls begun before are ignored
 * half-open one probe at a time goes through; its outcome decides
 */
#ifndef PAT_BREAKER_H
#define PAT_BREAKER_H

#include "err.h"

#include <stdint.h>

enum pat_breaker_state { PAT_BREAKER_CLOSED, PAT_BREAKER_OPEN, PAT_BREAKER_HALF_OPEN };

struct pat_breaker {
    int failures_to_open; /* in a row */
    int64_t open_ms;
    /* inside */
    enum pat_breaker_state state;
    int failures;
    int64_t opened_at_ms, open_for_ms;
    bool probing;
    int64_t probe_at_ms;
};

void pat_breaker_init(struct pat_breaker *b, int failures_to_open, int64_t open_ms);
/* May a call go out now? In half-open, true reserves the one probe (given up after open_ms without
 * an outcome). */
bool pat_breaker_allow(struct pat_breaker *b, int64_t now_ms) PAT_MUST_CHECK;
/* Would it be allowed? Reserves nothing. */
bool pat_breaker_would_allow(const struct pat_breaker *b, int64_t now_ms);
/* Opens at once for at least open_ms, whatever came before: the other side said how long, or trying
 * is known to be useless. */
void pat_breaker_trip(struct pat_breaker *b, int64_t open_ms, int64_t now_ms);
void pat_breaker_success(struct pat_breaker *b);
void pat_breaker_failure(struct pat_breaker *b, int64_t now_ms);
const char *pat_breaker_name(enum pat_breaker_state s);

#endif
