/* pacer.h - when in the 20 ms of a packet each call sends, so that not all encode at once.
 *
 * One per process. A call that begins to speak takes the emptiest phase that comes within a few
 * milliseconds, and keeps it until it is silent again. Pure but for its counters.
 */
#ifndef CALL_PACER_H
#define CALL_PACER_H

#include <stdint.h>

#define PACER_FRAME_US 20000
#define PACER_PHASES   40 /* of half a millisecond */
#define PACER_WITHIN   6  /* phases one waits for at most: 3 ms */

struct pacer {
    uint16_t taken[PACER_PHASES];
};

/* The time to send at, not before now_us; its phase is taken. */
int64_t pacer_take(struct pacer *p, int64_t now_us);
/* Gives the phase of a time got from pacer_take (or any number of frames later) back. */
void pacer_give(struct pacer *p, int64_t due_us);

#endif
