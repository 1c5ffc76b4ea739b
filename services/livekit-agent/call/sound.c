/* sound.c - sums of squares and a threshold. */
#include "sound.h"

#include <math.h>

enum { QUIET = 100 /* -50 dBov */, PRE_ROLL = 10 * SOUND_PER_MS };

int sound_level(const int16_t *pcm, size_t n)
{
    double sum = 0, db;

    for (size_t i = 0; i < n; i++)
        sum += (double)pcm[i] * pcm[i];
    if (sum < 1)
        return SOUND_SILENT;
    db = -10 * log10(sum / (double)n / (32768.0 * 32768.0));
    return db > SOUND_SILENT ? SOUND_SILENT : db < 0 ? 0 : (int)db;
}

void sound_amplify(int16_t *pcm, size_t n, double gain)
{
    for (size_t i = 0; gain != 1 && i < n; i++) {
        double x = pcm[i] * gain;
        pcm[i] = (int16_t)(x > INT16_MAX ? INT16_MAX : x < INT16_MIN ? INT16_MIN : x);
    }
}

size_t sound_leading_silence(const int16_t *pcm, size_t n, size_t max)
{
    size_t i = 0;

    if (n > max)
        n = max;
    while (i < n && pcm[i] > -QUIET && pcm[i] < QUIET)
        i++;
    return i > PRE_ROLL ? i - PRE_ROLL : 0;
}
