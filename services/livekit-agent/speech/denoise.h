/* denoise.h - the caller's Opus with its background taken away: decoded, cleaned, encoded again.
 *
 * For those whose settings ask for it: everybody else's packets go to the recogniser untouched.
 * Costs about 120 us a packet (docs/audio.md). Thread: an object belongs to one.
 */
#ifndef SPEECH_DENOISE_H
#define SPEECH_DENOISE_H

#include "err.h"
#include "opusio.h"

struct denoise;

/* db: how far the background is pushed down, e.g. 25. */
int denoise_new(struct denoise **out, int db) PAT_MUST_CHECK;
void denoise_free(struct denoise *d);
/* A packet of any duration a frame of Opus can have up to 60 ms, in steps of 10; others, and broken
 * ones, are PAT_EPROTO: pass them on as they are. pcm: the cleaned samples at 16 kHz, n of them;
 * out: the packet made of them. Returns its length. */
int denoise_packet(struct denoise *d, const uint8_t *opus, size_t len, int16_t pcm[OPUSIO_MAX_16K],
                   int *n, uint8_t out[OPUSIO_MAX_PACKET]) PAT_MUST_CHECK;

#endif
