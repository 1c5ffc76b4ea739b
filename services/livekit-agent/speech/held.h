/* held.h - sound that waits its turn: pieces of samples and Opus packets, one behind another. Pure.
 */
#ifndef SPEECH_HELD_H
#define SPEECH_HELD_H

#include "buf.h"

#include <stdint.h>

struct held_piece {
    const void *data; /* borrowed from the buffer; aligned for samples */
    size_t len;       /* bytes */
    int level;        /* of a packet, -dBov; negative: these are samples */
};

int held_add(struct pat_buf *b, const void *data, size_t len, int level) PAT_MUST_CHECK;
/* The piece at *at, which moves on; *at begins at 0. False: there is none. */
bool held_next(const struct pat_buf *b, size_t *at, struct held_piece *out);

#endif
