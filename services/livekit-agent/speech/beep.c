/* beep.c - see beep.h.
 *
 * How: Goertzel's filter at each bin; a tone between two bins shows in both, so neighbours count
 * together. */
#include "beep.h"

#include <math.h>

enum {
    LOW = 400 / 50,
    HIGH = 2000 / 50,
    BLOCKS = 10, /* 200 ms */
    QUIET = 300, /* mean amplitude of what is no tone yet, about -40 dBFS */
};
#define SHARE 0.8

void beep_init(struct beep *b)
{
    *b = (struct beep){ 0 };
}

/* |X(bin)|^2 */
static double power(const int16_t x[BEEP_BLOCK], int bin)
{
    double c = 2 * cos(2 * M_PI * bin / BEEP_BLOCK), s1 = 0, s2 = 0;

    for (int i = 0; i < BEEP_BLOCK; i++) {
        double s = x[i] + c * s1 - s2;

        s2 = s1;
        s1 = s;
    }
    return s1 * s1 + s2 * s2 - c * s1 * s2;
}

/* The bin with nearly all of the energy in it and its neighbour; 0: there is none. */
static int tone_of(const int16_t x[BEEP_BLOCK])
{
    double energy = 0, last = 0, best = 0;
    int bin = 0;

    for (int i = 0; i < BEEP_BLOCK; i++)
        energy += (double)x[i] * x[i];
    if (energy < (double)QUIET * QUIET * BEEP_BLOCK)
        return 0;
    for (int k = LOW; k <= HIGH + 1; k++) {
        double p = power(x, k);

        if (p + last > best) {
            best = p + last;
            bin = p > last ? k : k - 1;
        }
        last = p;
    }
    /* A sine of that bin alone has |X|^2 = energy * N / 2. */
    return 2 * best >= SHARE * energy * BEEP_BLOCK ? bin : 0;
}

bool beep_feed(struct beep *b, const int16_t samples[BEEP_BLOCK])
{
    int bin = tone_of(samples);
    bool same = bin && b->bin && bin - b->bin <= 1 && b->bin - bin <= 1;

    b->blocks = same ? b->blocks + 1 : bin != 0;
    b->told = b->told && same;
    b->bin = bin;
    if (b->blocks < BLOCKS || b->told)
        return false;
    b->told = true;
    return true;
}
