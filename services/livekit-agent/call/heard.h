/* heard.h - how much of a text has sounded, when its audio has come so far. Pure.
 *
 * Exact where the voice tells when each piece of the text sounds, estimated by length else; always
 * cut between words.
 */
#ifndef CALL_HEARD_H
#define CALL_HEARD_H

#include <stddef.h>
#include <stdint.h>

#define HEARD_MARKS 96 /* further ones are left out: their words count with the next mark */

struct heard {
    struct {
        uint16_t chars;  /* bytes of text up to here */
        uint16_t end_cs; /* have sounded at this time, in hundredths of a second */
    } marks[HEARD_MARKS];
    size_t n;
    size_t chars;
};

/* A piece of the text, in order. */
void heard_mark(struct heard *h, size_t len, int end_ms);
/* Bytes of text heard after played_ms. whole_ms: length of its audio, 0: not known yet. */
size_t heard_bytes(const struct heard *h, const char *text, size_t len, int64_t played_ms,
                   int64_t whole_ms);

#endif
