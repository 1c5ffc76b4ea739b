/* ambience_make.c - five places out of noise, and a little music to wait with: nothing here was
 * ever recorded, so nothing is licensed.
 *
 * A talker of a murmuring crowd is noise through two resonators (the formants of a vowel), swelling
 * and fading at the pace of syllables; a hall is what echoes; wind is noise that rises and falls;
 * birds, crickets and cups are short tones. The end is faded into the beginning: it is a loop. */
#include "ambience.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    RATE = 48000,
    N = AMBIENCE_SECONDS * RATE,
    FADE = RATE / 2,
    LOUDNESS = 400, /* root mean square: -38 dBov, well behind a voice */
};

struct place {
    const char *name;
    int talkers;
    double echo;                  /* 0..1 */
    double wind, crickets, birds; /* how much */
    double cups, steps;           /* a second */
    bool music;
};

static const struct place places[] = {
    { .name = "coffee-shop", .talkers = 7, .echo = 0.15, .cups = 0.9 },
    { .name = "convention-hall", .talkers = 18, .echo = 0.55, .steps = 0.3 },
    { .name = "high-school-hallway", .talkers = 9, .echo = 0.75, .steps = 2.2 },
    { .name = "hold-music", .echo = 0.3, .music = true },
    { .name = "mountain-outdoor", .wind = 0.3, .birds = 1 },
    { .name = "summer-outdoor", .wind = 0.03, .crickets = 1, .birds = 0.8 },
};

struct noise {
    uint64_t state;
};

static double uniform(struct noise *r) /* 0..1 */
{
    r->state = r->state * 6364136223846793005ULL + 1442695040888963407ULL;
    return (double)(r->state >> 40) / (double)(1 << 24);
}

static double white(struct noise *r)
{
    return 2 * uniform(r) - 1;
}

/* A two-pole resonator. */
struct resonator {
    double a1, a2, gain, y1, y2;
};

static struct resonator resonator(double hz, double width_hz)
{
    double radius = exp(-M_PI * width_hz / RATE);

    return (struct resonator){ .a1 = 2 * radius * cos(2 * M_PI * hz / RATE),
                               .a2 = -radius * radius,
                               .gain = 1 - radius };
}

static double ring(struct resonator *f, double x)
{
    double y = f->gain * x + f->a1 * f->y1 + f->a2 * f->y2;

    f->y2 = f->y1;
    f->y1 = y;
    return y;
}

/* Goes towards a random target, a new one every so often: syllables, or gusts. */
struct swell {
    double value, target, pace;
    size_t left;
};

static double swell(struct swell *s, struct noise *r, double period_s, double silent)
{
    if (!s->left) {
        s->left = (size_t)(RATE * period_s * (0.5 + uniform(r)));
        s->target = uniform(r) < silent ? 0 : 0.3 + 0.7 * uniform(r);
    }
    s->left--;
    s->value += (s->target - s->value) * s->pace;
    return s->value;
}

static void add_talker(double *out, size_t n, struct noise *r)
{
    struct resonator low = resonator(350 + 350 * uniform(r), 120);
    struct resonator high = resonator(1100 + 1100 * uniform(r), 200);
    struct swell syllable = { .pace = 0.0012 }, phrase = { .pace = 0.0003 };
    double loud = 0.4 + 0.6 * uniform(r), pitch = 90 + 130 * uniform(r), phase = 0;

    for (size_t i = 0; i < n; i++) {
        double x, turn = swell(&phrase, r, 1.8, 0.35);

        phase += pitch / RATE * (1 + 0.05 * syllable.value);
        phase -= phase >= 1;
        x = (0.7 * (1 - 2 * phase) + 0.6 * white(r)) * swell(&syllable, r, 0.14, 0.25) * turn;
        out[i] += loud * (ring(&low, x) + 0.5 * ring(&high, x));
    }
}

static void add_wind(double *out, size_t n, double much, struct noise *r)
{
    struct resonator low = resonator(180, 260), high = resonator(520, 500);
    struct swell gust = { .pace = 0.00004, .value = 0.4 };

    for (size_t i = 0; i < n; i++) {
        double w = white(r);

        out[i] += much * (0.25 + swell(&gust, r, 1.6, 0)) * (ring(&low, w) + 0.4 * ring(&high, w));
    }
}

/* A tone that dies away; slide: its pitch at the end, as a share of that at the start. */
static void add_tone(double *out, size_t n, size_t at, double hz, double slide, double seconds,
                     double loud)
{
    size_t len = (size_t)(seconds * RATE);
    double phase = 0;

    for (size_t i = 0; i < len && at + i < n; i++) {
        double t = (double)i / (double)len;

        phase += hz * (1 + (slide - 1) * t) / RATE;
        out[at + i] += loud * sin(2 * M_PI * phase) * exp(-4 * t) * (i < 200 ? (double)i / 200 : 1);
    }
}

static void add_crickets(double *out, size_t n, double much, struct noise *r)
{
    for (int c = 0; c < 3; c++) {
        double hz = 3900 + 700 * uniform(r);

        for (size_t at = (size_t)(RATE * uniform(r)); at < n;
             at += (size_t)(RATE * (0.45 + 0.3 * uniform(r))))
            for (int k = 0; k < 4; k++)
                add_tone(out, n, at + (size_t)k * RATE / 30, hz, 1.01, 0.03, 0.06 * much);
    }
}

static void add_birds(double *out, size_t n, double much, struct noise *r)
{
    for (size_t at = (size_t)(RATE * uniform(r)); at < n;
         at += (size_t)(RATE * (0.7 + 1.6 * uniform(r)))) {
        double hz = 2200 + 2200 * uniform(r);
        int notes = 2 + (int)(4 * uniform(r));

        for (int k = 0; k < notes; k++)
            add_tone(out, n, at + (size_t)k * RATE / 9, hz * (0.9 + 0.3 * uniform(r)),
                     0.8 + 0.5 * uniform(r), 0.09, 0.08 * much);
    }
}

/* per_s: how many a second, of tones around hz that last seconds. */
static void add_knocks(double *out, size_t n, double per_s, double hz, double seconds,
                       struct noise *r)
{
    for (size_t at = (size_t)(RATE * uniform(r)); per_s > 0 && at < n;
         at += (size_t)(RATE / per_s * (0.5 + uniform(r)))) {
        double base = hz * (0.8 + 0.4 * uniform(r)), loud = 0.02 + 0.04 * uniform(r);

        add_tone(out, n, at, base, 0.98, seconds, loud);
        add_tone(out, n, at, base * 1.52, 0.99, seconds / 2, loud / 2);
    }
}

/* Four combs of different lengths: a room with walls. */
static void echo(double *x, size_t n, double much)
{
    static const size_t lengths[] = { 1687, 2111, 2503, 3307 };

    for (size_t c = 0; c < sizeof lengths / sizeof lengths[0]; c++)
        for (size_t i = lengths[c]; i < n; i++)
            x[i] += much * 0.45 * x[i - lengths[c]] * (c % 2 ? -1 : 1);
}

/* Four broken chords, a note every half second, each a soft tone with its octave that fades. */
static void add_music(double *x, size_t n)
{
    static const double hz[] = { 261.63, 329.63, 392.00, 523.25, 220.00, 261.63, 329.63, 440.00,
                                 174.61, 220.00, 261.63, 349.23, 196.00, 246.94, 293.66, 392.00 };

    for (size_t note = 0; note * (RATE / 2) < n; note++) {
        double f = hz[note % 16];

        for (size_t i = 0, at = note * (RATE / 2); i < RATE * 2 && at < n; i++, at++) {
            double t = (double)i / RATE;

            x[at] += fmin(t / 0.03, 1) * exp(-2.2 * t) *
                     (sin(2 * M_PI * f * t) + 0.25 * sin(4 * M_PI * f * t));
        }
    }
}

static void fill(const struct place *p, double *x, size_t n)
{
    struct noise r = { 0x9E3779B97F4A7C15ULL };

    for (const char *c = p->name; *c; c++)
        r.state = r.state * 31 + (uint8_t)*c;
    for (int i = 0; i < p->talkers; i++)
        add_talker(x, n, &r);
    add_knocks(x, n, p->cups, 3100, 0.25, &r);
    add_knocks(x, n, p->steps, 140, 0.08, &r);
    if (p->wind > 0)
        add_wind(x, n, p->wind, &r);
    if (p->crickets > 0)
        add_crickets(x, n, p->crickets, &r);
    if (p->birds > 0)
        add_birds(x, n, p->birds, &r);
    if (p->music)
        add_music(x, n);
    if (p->echo > 0)
        echo(x, n, p->echo);
}

/* What comes behind the end sounds together with the beginning. */
static void close_loop(double *x)
{
    for (size_t i = 0; i < FADE; i++) {
        double t = (double)i / FADE;

        x[i] = x[i] * sqrt(t) + x[N + i] * sqrt(1 - t);
    }
}

static void level(const double *x, int16_t *out)
{
    double sum = 0, gain;

    for (size_t i = 0; i < N; i++)
        sum += x[i] * x[i];
    gain = LOUDNESS / sqrt(sum / N + 1e-12);
    for (size_t i = 0; i < N; i++) {
        double v = x[i] * gain;

        out[i] = (int16_t)(v > 8000 ? 8000 : v < -8000 ? -8000 : v);
    }
}

static const struct place *place_of(const char *name)
{
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (strcmp(places[i].name, name) == 0)
            return &places[i];
    return NULL;
}

bool ambience_is_ours(const char *name)
{
    return place_of(name) != NULL;
}

int16_t *ambience_make(const char *name, size_t *n)
{
    const struct place *p = place_of(name);
    double *x = p ? calloc(N + FADE, sizeof *x) : NULL;
    int16_t *out = x ? malloc(N * sizeof *out) : NULL;

    if (out) {
        fill(p, x, N + FADE);
        close_loop(x);
        level(x, out);
        *n = N;
    }
    free(x);
    return out;
}
