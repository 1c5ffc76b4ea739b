/* retry.c - exponential backoff with jitter.
 *
 * Half of each pause is fixed, so that a retry is never at once; the other half is chance, so that
 * many clients do not come back together.
 */
#include "retry.h"

#include <stdlib.h>

int64_t pat_retry_next_ms(struct pat_retry *r, uint32_t random)
{
    int64_t whole = r->base_ms;
    uint64_t half;

    for (unsigned i = 0; i < r->attempts && whole < r->max_ms; i++)
        whole = whole > INT64_MAX / 2 ? INT64_MAX : whole * 2;
    if (whole > r->max_ms)
        whole = r->max_ms;
    if (r->attempts < UINT32_MAX)
        r->attempts++;
    half = (uint64_t)(whole - whole / 2);
    return whole / 2 + (int64_t)((unsigned __int128)(half + 1) * random >> 32);
}

void pat_retry_reset(struct pat_retry *r)
{
    r->attempts = 0;
}

uint32_t pat_random32(void)
{
    return arc4random();
}
