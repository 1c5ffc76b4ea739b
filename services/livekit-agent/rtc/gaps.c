/* gaps.c - a row of bits, and a short list of holes in it.
 * How: a packet behind the newest fills its hole; one ahead opens those between. It sends nothing.
 */
#include "gaps.h"

#include <string.h>

enum { TIMES = 2 };

static void forget(struct gaps *g, size_t i)
{
    g->n--;
    memmove(&g->open[i], &g->open[i + 1], sizeof g->open[0] * (g->n - i));
}

static void restart(struct gaps *g, uint16_t seq)
{
    g->begun = true;
    g->newest = seq;
    g->came = ~(uint64_t)0; /* what was before is nobody's business */
    g->n = 0;
}

static void open_holes(struct gaps *g, uint16_t from, uint16_t to, int64_t now_us)
{
    for (uint16_t seq = from; seq != to; seq++) {
        if (g->n == GAPS_OPEN)
            forget(g, 0);
        g->open[g->n].seq = seq;
        g->open[g->n].asked = 0;
        g->open[g->n++].seen_us = now_us;
    }
}

static bool fill_hole(struct gaps *g, uint16_t seq)
{
    uint16_t behind = (uint16_t)(g->newest - seq);
    uint64_t bit = (uint64_t)1 << (behind % GAPS_SPAN);

    if (behind >= GAPS_SPAN || (g->came & bit))
        return false;
    g->came |= bit;
    for (size_t i = 0; i < g->n; i++) {
        if (g->open[i].seq == seq) {
            forget(g, i);
            break;
        }
    }
    return true;
}

bool gaps_put(struct gaps *g, uint16_t seq, int64_t now_us)
{
    uint16_t ahead = (uint16_t)(seq - g->newest);

    if (!g->begun || (ahead > GAPS_OPEN + 1 && ahead < 0x8000) ||
        (ahead >= 0x8000 && ahead < 0x10000 - 1000)) {
        restart(g, seq);
        return true;
    }
    if (!ahead || ahead >= 0x8000)
        return fill_hole(g, seq);
    open_holes(g, (uint16_t)(g->newest + 1), seq, now_us);
    g->came = g->came << ahead | 1;
    g->newest = seq;
    return true;
}

size_t gaps_due(struct gaps *g, int64_t now_us, uint16_t out[GAPS_OPEN], size_t *first)
{
    static const int64_t after_us[TIMES] = { GAPS_SOON, GAPS_SURELY };
    size_t n = 0, i = 0;

    *first = 0;
    while (i < g->n) {
        if (now_us - g->open[i].seen_us >= after_us[g->open[i].asked]) {
            *first += !g->open[i].asked;
            out[n++] = g->open[i].seq;
            if (++g->open[i].asked == TIMES) {
                forget(g, i);
                continue;
            }
        }
        i++;
    }
    return n;
}
