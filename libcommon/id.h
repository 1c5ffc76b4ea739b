/* id.h - UUIDv7 (RFC 9562): sortable by time, unique without coordination.
 *
 * Ids made in one process within one millisecond keep their order (rand_a is a counter, section 6.2
 * method 1).
 */
#ifndef PAT_ID_H
#define PAT_ID_H

#include "err.h"

#include <stdint.h>

#define PAT_ID_LEN 36

struct pat_id {
    char s[PAT_ID_LEN + 1]; /* lower-case, with dashes */
};

/* Thread: any. Takes its randomness from getrandom(2). */
struct pat_id pat_id_new(void);
/* Time is an argument, for tests. */
struct pat_id pat_id_at(int64_t unix_ms, const uint8_t random[10]);
/* True for 36 characters of lower-case hexadecimal with dashes in place, any UUID version. */
bool pat_id_valid(const char *s);
/* For one written by somebody else, who may have used either case (RFC 9562, section 4): in place
 * it becomes the one spelling we keep and compare. False, and s stays, when it is no UUID. */
bool pat_id_lower(char *s);
/* Milliseconds since 1970 of a version 7 id; negative when it is not one. */
int64_t pat_id_time_ms(const char *s);

#endif
