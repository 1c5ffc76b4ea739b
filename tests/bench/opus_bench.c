/* opus_bench.c - what a packet of 20 ms costs on each of the ways it can go, and what it does to
 * the sound: opus_bench SPEECH.raw (48 kHz mono 16 bit).
 *
 * How: CPU time of this thread, best of five rounds. The distance is the mean over frames and
 * third-octave bands, 200 Hz to 3.4 kHz (a telephone) and to 7 kHz, of the difference in dB between
 * what went in and what a 48 kHz decoder gives back, where there is sound at all. */
#include "denoise.h"
#include "opusio.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_FRAMES = 3000, ROUNDS = 5, LAG_MAX = 960 };

struct speech {
    int16_t *pcm;
    size_t frames;
};

static double cpu_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* Power of one band by Goertzel's recurrence at its middle; good enough to compare two of the same.
 */
static double power(const int16_t *x, double hz)
{
    double w = 2 * cos(2 * M_PI * hz / 48000), a = 0, b = 0;

    for (int i = 0; i < OPUSIO_FRAME; i++) {
        double window = 0.5 - 0.5 * cos(2 * M_PI * i / OPUSIO_FRAME),
               next = x[i] * window + w * a - b;

        b = a;
        a = next;
    }
    return (a * a + b * b - w * a * b) / OPUSIO_FRAME;
}

static double distance(const int16_t *x, const int16_t *y, size_t n, double top)
{
    double sum = 0;
    size_t counted = 0;

    for (size_t at = 0; at + OPUSIO_FRAME <= n; at += OPUSIO_FRAME / 2)
        for (double hz = 200; hz <= top; hz *= 1.26) {
            double p = 0, q = 0;

            for (int k = -2; k <= 2; k++) {
                p += power(x + at, hz * pow(1.26, k / 5.0));
                q += power(y + at, hz * pow(1.26, k / 5.0));
            }
            if (p < 2000) /* nothing to hear */
                continue;
            sum += fabs(10 * log10((p + 100) / (q + 100)));
            counted++;
        }
    return counted ? sum / (double)counted : 0;
}

/* The decoder's delay: where the two fit best. */
static size_t lag_of(const int16_t *x, const int16_t *y, size_t n)
{
    double best = -1e18;
    size_t lag = 0;

    for (size_t l = 0; l < LAG_MAX; l += 2) {
        double sum = 0;

        for (size_t i = 0; i + l < n; i += 7)
            sum += (double)x[i] * y[i + l];
        if (sum > best) {
            best = sum;
            lag = l;
        }
    }
    return lag;
}

static void show(const char *name, double us, double bytes, const struct speech *s,
                 const int16_t *back)
{
    size_t n = s->frames * OPUSIO_FRAME, lag = back ? lag_of(s->pcm, back, n) : 0;

    printf("%-34s %6.1f us", name, us);
    if (bytes > 0)
        printf(" %6.1f bytes", bytes);
    if (back)
        printf("   %.1f dB to 3.4 kHz, %.1f dB to 7 kHz",
               distance(s->pcm, back + lag, n - lag, 3400),
               distance(s->pcm, back + lag, n - lag, 7000));
    printf("\n");
}

static uint8_t packets[MAX_FRAMES][OPUSIO_MAX_PACKET];
static int lengths[MAX_FRAMES];

static int encode_all(struct opusio_enc *enc, const struct speech *s, double *us, double *bytes)
{
    *us = 1e9;
    for (int r = 0; r < ROUNDS; r++) {
        double from = cpu_us();

        opusio_enc_reset(enc);
        *bytes = 0;
        for (size_t i = 0; i < s->frames; i++) {
            lengths[i] = opusio_encode(enc, s->pcm + i * OPUSIO_FRAME, packets[i]);
            if (lengths[i] < 0)
                return -1;
            *bytes += lengths[i];
        }
        from = (cpu_us() - from) / (double)s->frames;
        *us = from < *us ? from : *us;
    }
    *bytes /= (double)s->frames;
    return 0;
}

static int decode_all(struct opusio_dec *dec, const struct speech *s, int16_t *back, double *us)
{
    int16_t out[OPUSIO_MAX_48K];
    double from = cpu_us();

    for (size_t i = 0; i < s->frames; i++) {
        int n = opusio_decode(dec, packets[i], (size_t)lengths[i], OPUSIO_FRAME, out);

        if (n < 0)
            return -1;
        if (back)
            memcpy(back + i * OPUSIO_FRAME, out, OPUSIO_FRAME * sizeof *out);
    }
    *us = (cpu_us() - from) / (double)s->frames;
    return 0;
}

static int encoder(const char *name, enum opusio_use use, const struct speech *s)
{
    int16_t *back = calloc(s->frames + 1, OPUSIO_FRAME * sizeof *back);
    struct opusio_enc *enc;
    struct opusio_dec *dec;
    double us, bytes, ignored;

    if (!back || opusio_enc_for(&enc, use) || opusio_dec_new_48k(&dec))
        return 1;
    if (encode_all(enc, s, &us, &bytes) || decode_all(dec, s, back, &ignored))
        return 1;
    show(name, us, bytes, s, back);
    opusio_enc_free(enc);
    opusio_dec_free(dec);
    free(back);
    return 0;
}

static int others(const struct speech *s)
{
    struct opusio_dec *dec16, *dec48;
    struct denoise *d;
    int16_t pcm[OPUSIO_MAX_16K];
    uint8_t out[OPUSIO_MAX_PACKET];
    double us, from;
    int n, bad = 0;

    if (opusio_dec_new(&dec16) || opusio_dec_new_48k(&dec48) || denoise_new(&d, 25))
        return 1;
    if (decode_all(dec16, s, NULL, &us))
        return 1;
    show("decoded to 16 kHz (voice detector)", us, 0, s, NULL);
    if (decode_all(dec48, s, NULL, &us))
        return 1;
    show("decoded to 48 kHz (ambient sound)", us, 0, s, NULL);
    from = cpu_us();
    for (size_t i = 0; i < s->frames; i++)
        bad |= denoise_packet(d, packets[i], (size_t)lengths[i], pcm, &n, out) < 0;
    show("decoded, denoised, encoded", (cpu_us() - from) / (double)s->frames, 0, s, NULL);
    opusio_dec_free(dec16);
    opusio_dec_free(dec48);
    denoise_free(d);
    return bad;
}

int main(int argc, char **argv)
{
    struct speech s = { calloc(MAX_FRAMES, OPUSIO_FRAME * sizeof(int16_t)), 0 };
    FILE *f = argc == 2 ? fopen(argv[1], "rb") : NULL;
    int bad;

    if (!f || !s.pcm) {
        (void)fprintf(stderr, "opus_bench SPEECH.raw (48 kHz, mono, 16 bit)\n");
        return 2;
    }
    s.frames = fread(s.pcm, OPUSIO_FRAME * sizeof *s.pcm, MAX_FRAMES, f);
    (void)fclose(f);
    printf("%zu packets of 20 ms\n", s.frames);
    bad = encoder("encoded for a telephone", OPUSIO_PHONE, &s) ||
          encoder("encoded for a browser", OPUSIO_WIDE, &s) ||
          encoder("encoded to be kept", OPUSIO_KEPT, &s) || others(&s);
    free(s.pcm);
    return bad;
}
