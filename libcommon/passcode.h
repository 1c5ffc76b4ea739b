/* passcode.h - is what was said the passcode that is stored?
 *
 * People say "it's four two double one", recognisers write "It's 42 11" or "four two eleven": both
 * sides are brought to one normal form (letters and digits, number words made digits, words around
 * it dropped) and compared by their digests, in constant time. Number words: English to 99; German,
 * Spanish and French digits. Nothing here logs. Thread: any; pure.
 */
#ifndef PAT_PASSCODE_H
#define PAT_PASSCODE_H

#include "buf.h"

/* Tries in one call; whoever compares counts. */
#define PAT_PASSCODE_TRIES 3

/* An empty stored one equals nothing, and so does a text longer than people speak. */
bool pat_passcode_equal(const char *stored, const char *said);
/* What was said instead of it, for others to read: numbers and words that are in the passcode
 * become "...". Returns how many words are left beside those a passcode is said with; negative:
 * too long, nothing is added. */
int pat_passcode_masked(struct pat_buf *out, const char *stored, const char *said);
/* The normal form; PAT_E2BIG over 200 bytes. For tests, and for who stores digests. */
int pat_passcode_normal(struct pat_buf *out, const char *text) PAT_MUST_CHECK;

#endif
