/* pitch.c - the median of autocorrelation over loud frames, 60 to 400 Hz; the shortest lag that is
 * nearly as good as the best, or an octave below would win. */
#include "pitch.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
    RATE = 8000,
    FRAME = 400,
    LAG_MIN = RATE / 400,
    LAG_MAX = RATE / 60,
    SECONDS = 20,
    FRAMES = 2000
};
#define LOUD     400.0
#define HARMONIC 0.5  /* of a frame's power repeats after one period */
#define AS_GOOD  0.85 /* as the best lag */

struct wav {
    const uint8_t *data;
    size_t n; /* samples of one channel */
    uint32_t rate;
    unsigned channels;
};

static uint32_t get(const uint8_t *p, int bytes)
{
    uint32_t v = 0;

    while (bytes--)
        v = v << 8 | p[bytes];
    return v;
}

static int open_wav(struct wav *w, const uint8_t *p, size_t len)
{
    if (len < 12 || memcmp(p, "RIFF", 4) != 0 || memcmp(p + 8, "WAVE", 4) != 0)
        return -1;
    for (size_t at = 12; at + 8 <= len;) {
        size_t size = get(p + at + 4, 4), left = len - at - 8;

        if (!memcmp(p + at, "fmt ", 4) && size >= 16 && size <= left) {
            w->channels = get(p + at + 10, 2);
            w->rate = get(p + at + 12, 4);
            if (get(p + at + 8, 2) != 1 || get(p + at + 22, 2) != 16)
                return -1;
        } else if (!memcmp(p + at, "data", 4)) {
            w->data = p + at + 8;
            w->n = (size < left ? size : left) / (2 * (w->channels ? w->channels : 1));
            return w->rate >= RATE && w->channels ? 0 : -1;
        }
        if (size > left)
            return -1;
        at += 8 + size + (size & 1);
    }
    return -1;
}

/* At 8 kHz, by means: enough below 400 Hz. */
static float sample(const struct wav *w, size_t i)
{
    size_t from = (size_t)((uint64_t)i * w->rate / RATE);
    size_t to = (size_t)((uint64_t)(i + 1) * w->rate / RATE);
    float sum = 0;

    for (size_t k = from; k < to; k++)
        sum += (int16_t)get(w->data + 2 * k * w->channels, 2);
    return sum / (float)(to > from ? to - from : 1);
}

static double correlation(const float *x, int lag)
{
    double sum = 0, a = 1e-9, b = 1e-9;

    for (int i = 0; i < FRAME; i++) {
        sum += (double)x[i] * (double)x[i + lag];
        a += (double)x[i] * (double)x[i];
        b += (double)x[i + lag] * (double)x[i + lag];
    }
    return sum > 0 ? sum * sum / (a * b) : 0;
}

static double frame_pitch(const float *x)
{
    double power = 0, best = 0, all[LAG_MAX + 1];

    for (int i = 0; i < FRAME; i++)
        power += (double)x[i] * (double)x[i];
    if (power < FRAME * LOUD * LOUD)
        return 0;
    for (int lag = LAG_MIN; lag <= LAG_MAX; lag++) {
        all[lag] = correlation(x, lag);
        best = all[lag] > best ? all[lag] : best;
    }
    for (int lag = LAG_MIN + 1; best >= HARMONIC && lag < LAG_MAX; lag++)
        if (all[lag] >= AS_GOOD * best && all[lag] >= all[lag - 1] && all[lag] >= all[lag + 1])
            return (double)RATE / lag;
    return 0;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

double pitch_of_wav(const void *wav, size_t len)
{
    struct wav w = { 0 };
    double found[FRAMES], p;
    float x[FRAME + LAG_MAX];
    size_t n_samples, n = 0;

    if (open_wav(&w, wav, len))
        return 0;
    n_samples = (size_t)((uint64_t)w.n * RATE / w.rate);
    if (n_samples > (size_t)SECONDS * RATE)
        n_samples = (size_t)SECONDS * RATE;
    for (size_t at = 0; at + FRAME + LAG_MAX < n_samples && n < FRAMES; at += FRAME) {
        for (size_t i = 0; i < FRAME + LAG_MAX; i++)
            x[i] = sample(&w, at + i);
        p = frame_pitch(x);
        if (p > 0)
            found[n++] = p;
    }
    if (n < 5)
        return 0;
    qsort(found, n, sizeof *found, by_value);
    return found[n / 2];
}
