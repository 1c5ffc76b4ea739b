/* out_lanes.c - see out_lanes.h: a chained hash table, 256 chains for at most 4096. */
#include "out_lanes.h"

#include <stdlib.h>
#include <string.h>

enum { BUCKETS = sizeof((struct out_lanes *)0)->buckets / sizeof(struct out_lane *) };

/* FNV-1a. */
static size_t bucket_of(const char *endpoint)
{
    uint32_t h = 2166136261U;

    for (; *endpoint; endpoint++)
        h = (h ^ (unsigned char)*endpoint) * 16777619U;
    return (h ^ h >> 16) % BUCKETS;
}

void out_lanes_fini(struct out_lanes *l)
{
    for (size_t i = 0; i < BUCKETS; i++)
        while (l->buckets[i]) {
            struct out_lane *lane = l->buckets[i];

            l->buckets[i] = lane->next;
            free(lane);
        }
    l->n = 0;
}

struct out_lane *out_lanes_find(const struct out_lanes *l, const char *endpoint)
{
    struct out_lane *lane = l->buckets[bucket_of(endpoint)];

    while (lane && strcmp(lane->endpoint, endpoint) != 0)
        lane = lane->next;
    return lane;
}

struct out_lane *out_lanes_get(struct out_lanes *l, const char *endpoint)
{
    struct out_lane *lane = out_lanes_find(l, endpoint);
    size_t i = bucket_of(endpoint);

    if (lane) {
        lane->hungry = true;
        return lane;
    }
    lane = l->n < OUT_LANES_MAX ? calloc(1, sizeof *lane) : NULL;
    if (!lane)
        return NULL;
    (void)pat_strcpy(lane->endpoint, sizeof lane->endpoint, endpoint);
    lane->cap = lane->limit = OUT_LANE_FIRST;
    lane->hungry = true;
    lane->next = l->buckets[i];
    l->buckets[i] = lane;
    l->n++;
    return lane;
}

void out_lanes_leave(struct out_lanes *l, struct out_lane *lane)
{
    struct out_lane **at = &l->buckets[bucket_of(lane->endpoint)];

    if (lane->hungry || lane->in_flight || lane->asked)
        return;
    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    l->n--;
    free(lane);
}

int out_lane_free(const struct out_lane *lane)
{
    int cap = lane->cap < lane->limit ? lane->cap : lane->limit;

    return cap > lane->in_flight + lane->asked ? cap - lane->in_flight - lane->asked : 0;
}

size_t out_lanes_pick(struct out_lanes *l, struct out_lane **out, size_t max)
{
    size_t n = 0;

    for (size_t i = 0; i < BUCKETS; i++) {
        size_t at = (l->turn + i) % BUCKETS;

        for (struct out_lane *lane = l->buckets[at]; lane; lane = lane->next) {
            if (!lane->hungry || !out_lane_free(lane))
                continue;
            if (n == max) { /* the next walk begins with this chain: it is shorter than max */
                l->turn = at;
                return n;
            }
            out[n++] = lane;
        }
    }
    return n;
}

void out_lane_ended(struct out_lane *lane, bool taken)
{
    lane->in_flight--;
    if (taken) {
        lane->failed = 0;
        if (lane->cap < lane->limit)
            lane->cap++;
        return;
    }
    lane->failed++;
    lane->cap = lane->cap / 2 > 1 ? lane->cap / 2 : 1;
}
