/* pacer.c - counts the calls in each phase. */
#include "pacer.h"

enum { PHASE_US = PACER_FRAME_US / PACER_PHASES };

static int phase_of(int64_t us)
{
    return (int)(us % PACER_FRAME_US / PHASE_US);
}

int64_t pacer_take(struct pacer *p, int64_t now_us)
{
    int64_t first = (now_us + PHASE_US - 1) / PHASE_US * PHASE_US;
    int64_t best = first;

    for (int i = 1; i < PACER_WITHIN; i++) {
        int64_t due = first + (int64_t)i * PHASE_US;
        if (p->taken[phase_of(due)] < p->taken[phase_of(best)])
            best = due;
    }
    p->taken[phase_of(best)]++;
    return best;
}

void pacer_give(struct pacer *p, int64_t due_us)
{
    int phase = phase_of(due_us);

    if (p->taken[phase])
        p->taken[phase]--;
}
