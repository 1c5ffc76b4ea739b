/* beep.h - is this the tone of an answering machine? Pure.
 *
 * One frequency between 400 and 2000 Hz that holds most of the sound's energy for a fifth of a
 * second. Speech has several at once and does not keep them; a telephone's keys have two.
 */
#ifndef SPEECH_BEEP_H
#define SPEECH_BEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BEEP_BLOCK 320 /* samples at 16 kHz: 20 ms, bins of 50 Hz */

struct beep {
    int bin;    /* of the tone in the last block; 0: none */
    int blocks; /* in a row */
    bool told;  /* this one was */
};

void beep_init(struct beep *b);
/* One block. True: a beep is sounding, once for each. */
bool beep_feed(struct beep *b, const int16_t samples[BEEP_BLOCK]);

#endif
