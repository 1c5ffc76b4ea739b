/* upsample.c - see upsample.h.
 *
 * How: the odd outputs are a symmetric 16-tap windowed sinc (Kaiser, beta 7) in Q15, the even ones
 * a delay. Eight multiplications per two samples. */
#include "upsample.h"

#include <string.h>

enum { HALF = UPSAMPLE_TAPS / 2, BLOCK = 256 };

static const int32_t taps[HALF] = { -26, 115, -330, 762, -1556, 3019, -6200, 20600 };

static int16_t between(const int16_t *w)
{
    int32_t sum = 1 << 14;

    for (int i = 0; i < HALF; i++)
        sum += taps[i] * (w[i] + w[UPSAMPLE_TAPS - 1 - i]);
    sum >>= 15;
    return (int16_t)(sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : sum);
}

static void block(struct upsample *u, const int16_t *in, size_t n, int16_t *out)
{
    int16_t w[UPSAMPLE_TAPS - 1 + BLOCK];

    memcpy(w, u->past, sizeof u->past);
    memcpy(w + UPSAMPLE_TAPS - 1, in, n * sizeof *in);
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = w[i + HALF - 1];
        out[2 * i + 1] = between(w + i);
    }
    memcpy(u->past, w + n, sizeof u->past);
}

void upsample_x2(struct upsample *u, const int16_t *in, size_t n, int16_t *out)
{
    while (n) {
        size_t m = n < BLOCK ? n : BLOCK;

        block(u, in, m, out);
        in += m;
        out += 2 * m;
        n -= m;
    }
}

size_t upsample_flush(struct upsample *u, int16_t *out)
{
    static const int16_t zero[HALF];

    upsample_x2(u, zero, HALF, out);
    memset(u, 0, sizeof *u);
    return (size_t)2 * HALF;
}
