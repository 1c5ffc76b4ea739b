/* gaps.h - which packets of one voice have come, and which to ask for again, when.
 *
 * livekit-server 1.13 answers a request only when the packet left it more than 100 ms, or twice the
 * round trip it has measured, ago (whichever is less). So each missing packet is asked for soon,
 * which a short path answers, and again when any path does; what was only out of order has
 * come by then. Pure: time is an argument, and passes with the packets that come.
 */
#ifndef RTC_GAPS_H
#define RTC_GAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define GAPS_SPAN   64 /* packets remembered */
#define GAPS_OPEN   16 /* missing ones asked for at a time; a longer gap is an outage */
#define GAPS_SOON   30000
#define GAPS_SURELY 100000 /* from when the gap was seen: its packet left 20 ms earlier */

struct gaps {
    bool begun;
    uint16_t newest;
    uint64_t came; /* bit n: newest - n */
    struct {
        uint16_t seq;
        uint8_t asked; /* times */
        int64_t seen_us;
    } open[GAPS_OPEN];
    size_t n;
};

/* False: it has come before, or is too old to tell. */
bool gaps_put(struct gaps *g, uint16_t seq, int64_t now_us);
/* Those to ask for now, ascending. *first: how many of them for the first time. */
size_t gaps_due(struct gaps *g, int64_t now_us, uint16_t out[GAPS_OPEN], size_t *first);

#endif
