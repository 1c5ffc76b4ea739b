/* out_lanes.h - the endpoints that have something to do now, and how much each may have at once.
 *
 * A lane is one endpoint. How many requests it gets at once grows by one with each success and
 * halves with each failure, so that a slow receiver soon holds one place and the others keep
 * theirs. A lane with nothing under way and nothing to do is dropped: memory is that of what is
 * under way, not of what is queued. Thread: the loop's.
 */
#ifndef OUT_LANES_H
#define OUT_LANES_H

#include "pat.h"

enum { OUT_LANES_MAX = 4096, OUT_LANE_FIRST = 4 };

struct out_lane {
    struct out_lane *next;
    char endpoint[PAT_ID_LEN + 1];
    int in_flight;
    int asked;   /* places a claim under way may fill */
    int cap;     /* at once, now */
    int limit;   /* at once, ever: the endpoint's setting */
    int failed;  /* in a row */
    bool hungry; /* something may be due */
};

struct out_lanes {
    struct out_lane *buckets[256];
    size_t n;
    size_t turn; /* where the next walk begins */
};

/* Zeroed is empty. */
void out_lanes_fini(struct out_lanes *l);
struct out_lane *out_lanes_find(const struct out_lanes *l, const char *endpoint);
/* Made when it is not there, hungry. NULL: no memory, or OUT_LANES_MAX; a later sweep finds it. */
struct out_lane *out_lanes_get(struct out_lanes *l, const char *endpoint);
/* Drops the lane when nothing is to do in it. */
void out_lanes_leave(struct out_lanes *l, struct out_lane *lane);
int out_lane_free(const struct out_lane *lane);
/* Those that are hungry and have room, each once, at most max, the next ones with each call. */
size_t out_lanes_pick(struct out_lanes *l, struct out_lane **out, size_t max);
void out_lane_ended(struct out_lane *lane, bool taken);

#endif
