/* beat.c - counts the calls in each slot. Full ones fill up evenly. */
#include "beat.h"

int beat_take(struct beat *b)
{
    int best = 0;

    for (int i = 0; i < BEAT_SLOTS && b->taken[best] >= BEAT_FEW; i++)
        if (b->taken[i] < b->taken[best])
            best = i;
    b->taken[best]++;
    return best;
}

void beat_give(struct beat *b, int slot)
{
    if (b->taken[slot])
        b->taken[slot]--;
}

int64_t beat_after(int slot, int64_t us)
{
    int64_t phase = (int64_t)slot * (BEAT_US / BEAT_SLOTS);

    return (us - phase) / BEAT_US * BEAT_US + BEAT_US + phase;
}
