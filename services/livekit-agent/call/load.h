/* load.h - how full this process is: by its limit of calls, and by what it measures. Pure.
 *
 * The loop is one thread; its share of a core is the capacity there is. What a call costs is
 * measured while there are enough of them to tell, so a slow machine refuses sooner than
 * PAT_AGENT_MAX_CALLS says. Packets that leave late mean the same, whatever else the machine does.
 * A busier core counts at once, an idler one slowly: no flapping. Thread: any, one at a time.
 */
#ifndef CALL_LOAD_H
#define CALL_LOAD_H

#include <stdbool.h>
#include <stdint.h>

struct load_sample {
    int64_t now_us;
    int64_t cpu_us; /* of the loop's thread, since it began */
    int64_t late;   /* packets sent late, since the process began */
    int calls, max_calls;
};

struct load {
    struct load_sample last;
    double cpu;      /* share of a core, 0..1 */
    double per_call; /* of that, by one call */
    double late;     /* share of packets */
    bool measured;
};

#define LOAD_STEP_US 500000 /* samples closer than this are passed over */

void load_step(struct load *l, const struct load_sample *s);
/* 0 idle .. 1 full, and beyond. */
double load_fraction(const struct load *l);
/* Calls there is room for; 0: none. */
int load_room(const struct load *l, int calls, int max_calls);

#endif
