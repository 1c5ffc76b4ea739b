/* load.c - two shares, smoothed, and what follows from them. */
#include "load.h"

enum { CALLS_TO_TELL = 4, PACKETS_PER_S = 50 };

#define CPU_FULL  0.80 /* of a core: above, a burst makes packets late */
#define LATE_FULL 0.20 /* and a caller hears it */
#define FALLING   0.2  /* of the way per step, downwards */
#define PER_CALL  0.01 /* of a core, until it is known; measured: 0.003 to 0.012 */

static double follow(double was, double now)
{
    return now > was ? now : was + (now - was) * FALLING;
}

void load_step(struct load *l, const struct load_sample *s)
{
    int64_t passed_us = s->now_us - l->last.now_us;
    double seconds = (double)passed_us / 1e6, late;

    if (!l->measured) {
        *l = (struct load){ .last = *s, .per_call = PER_CALL, .measured = true };
        return;
    }
    l->last.calls = s->calls;
    l->last.max_calls = s->max_calls;
    if (passed_us < LOAD_STEP_US)
        return;
    l->cpu = follow(l->cpu, (double)(s->cpu_us - l->last.cpu_us) / (double)passed_us);
    if (s->calls >= CALLS_TO_TELL && l->last.calls >= CALLS_TO_TELL)
        l->per_call = l->cpu / s->calls;
    late = s->calls < CALLS_TO_TELL
               ? 0
               : (double)(s->late - l->last.late) / (seconds * PACKETS_PER_S * s->calls);
    l->late += (late - l->late) * FALLING; /* one bad moment is none */
    l->last = *s;
}

double load_fraction(const struct load *l)
{
    double all[] = { l->last.max_calls > 0 ? (double)l->last.calls / l->last.max_calls : 0,
                     l->cpu / CPU_FULL, l->late / LATE_FULL };
    double most = 0;

    for (int i = 0; i < 3; i++)
        most = all[i] > most ? all[i] : most;
    return most;
}

int load_room(const struct load *l, int calls, int max_calls)
{
    int by_limit = max_calls - calls, by_cpu = by_limit;

    if (by_limit <= 0 || (calls && (l->late >= LATE_FULL || l->cpu >= CPU_FULL)))
        return 0;
    if (l->per_call > 0)
        by_cpu = (int)((CPU_FULL - l->cpu) / l->per_call) + !calls; /* an idle one takes one */
    return by_cpu < by_limit ? (by_cpu > 0 ? by_cpu : 0) : by_limit;
}
