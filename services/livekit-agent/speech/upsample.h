/* upsample.h - 24 kHz to 48 kHz, in pieces of any size. Pure.
 *
 * A half-band interpolator: every input sample goes through as it is, one between each two is
 * made by a short filter, flat to 9 kHz. Delay: 8 input samples, a third of a millisecond.
 */
#ifndef SPEECH_UPSAMPLE_H
#define SPEECH_UPSAMPLE_H

#include <stddef.h>
#include <stdint.h>

#define UPSAMPLE_TAPS 16

struct upsample {
    int16_t past[UPSAMPLE_TAPS - 1]; /* oldest first */
};

/* A zeroed struct is a fresh start. out has room for 2 * n. */
void upsample_x2(struct upsample *u, const int16_t *in, size_t n, int16_t *out);
/* What the filter still holds: out has room for UPSAMPLE_TAPS samples; returns how many. */
size_t upsample_flush(struct upsample *u, int16_t *out);

#endif
