/* beat.h - when in the 20 ms of a packet each call does what it does 50 times a second.
 *
 * To be woken costs more than a packet, so calls share a few slots of the process's time: the first
 * one until BEAT_FEW are in it, then the next, so that few calls are one wake-up in 20 ms and many
 * do not all encode in the same instant. Slots lie on the same times for every struct beat, the
 * first one where rough timers (loop.h) are. Pure but for its counters.
 */
#ifndef RTC_BEAT_H
#define RTC_BEAT_H

#include "loop.h"

#define BEAT_US    PAT_ROUGH_US
#define BEAT_SLOTS 8 /* 2.5 ms apart */
#define BEAT_FEW   8 /* are not too much for one instant */

struct beat {
    uint16_t taken[BEAT_SLOTS];
};

/* A slot, to be given back. */
int beat_take(struct beat *b);
void beat_give(struct beat *b, int slot);
/* The slot's next time, later than us. */
int64_t beat_after(int slot, int64_t us);

#endif
