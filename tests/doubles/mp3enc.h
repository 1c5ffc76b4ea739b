/* mp3enc.h - samples as MP3, by the LAME library where the machine has it (sox brings it).
 *
 * Found when it is first asked for, not linked: it is on every machine that has the tests' sox, its
 * headers are not. Thread: the loop's.
 */
#ifndef DOUBLES_MP3ENC_H
#define DOUBLES_MP3ENC_H

#include "buf.h"

#include <stdbool.h>
#include <stdint.h>

bool mp3enc_there(void);
/* Adds n mono samples as one MP3 stream. PAT_EUNAVAIL: no LAME here. */
int mp3enc(struct pat_buf *out, int rate, int kbps, const int16_t *pcm, size_t n) PAT_MUST_CHECK;

#endif
