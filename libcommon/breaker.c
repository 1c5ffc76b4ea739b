/* breaker.c - the circuit breaker's three states.
 *
 * Only turn() writes the state. Nothing here asks the clock or tells anybody.
 */
#include "breaker.h"

static const char *const names[] = {
    [PAT_BREAKER_CLOSED] = "closed",
    [PAT_BREAKER_OPEN] = "open",
    [PAT_BREAKER_HALF_OPEN] = "half_open",
};

void pat_breaker_init(struct pat_breaker *b, int failures_to_open, int64_t open_ms)
{
    *b = (struct pat_breaker){ .failures_to_open = failures_to_open, .open_ms = open_ms };
}

static void turn(struct pat_breaker *b, enum pat_breaker_state to, int64_t now_ms)
{
    b->state = to;
    b->failures = 0;
    b->probing = false;
    if (to == PAT_BREAKER_OPEN) {
        b->opened_at_ms = now_ms;
        b->open_for_ms = b->open_ms;
    }
}

bool pat_breaker_would_allow(const struct pat_breaker *b, int64_t now_ms)
{
    if (b->state == PAT_BREAKER_OPEN)
        return now_ms - b->opened_at_ms >= b->open_for_ms;
    return b->state == PAT_BREAKER_CLOSED || !b->probing || now_ms - b->probe_at_ms >= b->open_ms;
}

void pat_breaker_trip(struct pat_breaker *b, int64_t open_ms, int64_t now_ms)
{
    int64_t left_ms = b->opened_at_ms + b->open_for_ms - now_ms;

    if (b->state == PAT_BREAKER_OPEN && left_ms >= open_ms)
        return;
    turn(b, PAT_BREAKER_OPEN, now_ms);
    b->open_for_ms = open_ms;
}

bool pat_breaker_allow(struct pat_breaker *b, int64_t now_ms)
{
    if (b->state == PAT_BREAKER_CLOSED)
        return true;
    if (b->state == PAT_BREAKER_OPEN) {
        if (now_ms - b->opened_at_ms < b->open_for_ms)
            return false;
        turn(b, PAT_BREAKER_HALF_OPEN, now_ms);
    }
    if (b->probing && now_ms - b->probe_at_ms < b->open_ms)
        return false;
    b->probing = true;
    b->probe_at_ms = now_ms;
    return true;
}

void pat_breaker_success(struct pat_breaker *b)
{
    if (b->state == PAT_BREAKER_HALF_OPEN)
        turn(b, PAT_BREAKER_CLOSED, 0);
    else if (b->state == PAT_BREAKER_CLOSED)
        b->failures = 0;
}

void pat_breaker_failure(struct pat_breaker *b, int64_t now_ms)
{
    if (b->state == PAT_BREAKER_OPEN)
        return;
    if (b->state == PAT_BREAKER_HALF_OPEN || ++b->failures >= b->failures_to_open)
        turn(b, PAT_BREAKER_OPEN, now_ms);
}

const char *pat_breaker_name(enum pat_breaker_state s)
{
    return names[s];
}
