/* retry.h - when to try again: exponential with full jitter, pure.
 *
 * Time and randomness are arguments; nothing here waits.
 */
#ifndef PAT_RETRY_H
#define PAT_RETRY_H

#include "err.h"

#include <stdint.h>

struct pat_retry {
    int64_t base_ms;
    int64_t max_ms;
    unsigned attempts; /* failures so far */
};

#define PAT_RETRY(base, max) ((struct pat_retry){ (base), (max), 0 })

/* Gives the pause before the next try and counts one failure: random in [half, whole] of base_ms
 * after the first failure, of twice that after the second, and so on up to max_ms. random: any 32
 * random bits. */
int64_t pat_retry_next_ms(struct pat_retry *r, uint32_t random);
void pat_retry_reset(struct pat_retry *r);
uint32_t pat_random32(void);

#endif
