/* oggenc.h - samples as an Ogg Opus stream, for a double that is asked for Opus.
 *
 * Packets of 20 ms (or 60, for one that behaves badly), a page per call. RFC 7845. Pure.
 */
#ifndef DOUBLES_OGGENC_H
#define DOUBLES_OGGENC_H

#include "buf.h"

#include <stdint.h>

struct oggenc;

/* frame_ms: 20 or 60. */
int oggenc_new(struct oggenc **out, int bitrate, int frame_ms) PAT_MUST_CHECK;
void oggenc_free(struct oggenc *e);
/* Adds the pages of n samples (48 kHz mono; the last frame is filled up with silence), behind the
 * headers the first time. bare: the packets alone, as they are, in no container. */
int oggenc_add(struct oggenc *e, struct pat_buf *out, const int16_t *pcm, size_t n,
               bool bare) PAT_MUST_CHECK;

#endif
