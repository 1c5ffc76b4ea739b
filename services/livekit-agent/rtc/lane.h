/* lane.h - what is not STUN, on a socket of its own beside libnice's.
 *
 * Both have the same address (SO_REUSEPORT), and a filter in the kernel tells them apart by the
 * first byte (RFC 7983), so that a packet of voice costs one system call and nothing of GLib.
 * While all is calm it wakes nobody: what has come is read once in 20 ms, in the process's beat.
 * Life: lane_open -> lane_close, also inside its callback's turn but not inside the callback.
 * Thread: the loop's.
 */
#ifndef RTC_LANE_H
#define RTC_LANE_H

#include "beat.h"
#include "loop.h"

struct lane;

/* Writable in place, borrowed. From whom it is the layers above tell by its seal. */
typedef void lane_fn(uint8_t *data, size_t len, void *arg);

/* beside: a bound UDP socket; it stays the owner's and is left with STUN alone. PAT_EIO: this
 * machine cannot, and everything goes on arriving at beside. */
int lane_open(struct lane **out, struct pat_loop *l, struct beat *beat, int beside, lane_fn *fn,
              void *arg) PAT_MUST_CHECK;
/* Packets may be late by 20 ms from now on, or no more. */
void lane_calm(struct lane *w, bool calm);
void lane_close(struct lane *w); /* NULL is fine */

#endif
