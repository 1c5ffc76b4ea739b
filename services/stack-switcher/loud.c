/* loud.c - see loud.h. Finds the form, takes samples from loud_ogg.c or from a WAV's data, and
 * keeps the loudest of each unit. */
#include "loud_int.h"

#include <stdlib.h>
#include <string.h>

enum { UNITS_MAX = LOUD_MS_MAX / LOUD_UNIT_MS, WAV_HEAD_MAX = 4096 };

struct loud {
    struct loud_units units;
    struct loud_ogg *ogg; /* or: */
    struct {
        bool on;
        int channels, rate;
    } wav;
    struct pat_buf head; /* bytes that do not yet say what they are; of a WAV: half a sample */
    int err;
};

int loud_new(struct loud **out)
{
    struct loud *l = calloc(1, sizeof *l);

    if (!l)
        return PAT_ENOMEM;
    pat_buf_init(&l->head, (size_t)1 << 20);
    *out = l;
    return PAT_OK;
}

void loud_free(struct loud *l)
{
    if (!l)
        return;
    loud_ogg_free(l->ogg);
    pat_buf_fini(&l->head);
    free(l->units.peak);
    free(l);
}

int64_t loud_ms(const struct loud *l)
{
    const struct loud_units *u = &l->units;

    return u->rate ? u->samples * 1000 / u->rate : 0;
}

/* ------------------------------------------------------------------ units */

static int grow(struct loud_units *u, size_t n)
{
    size_t room = u->room ? u->room * 2 : 4096;
    uint8_t *bigger;

    if (n <= u->room)
        return PAT_OK;
    if (n > UNITS_MAX)
        return PAT_E2BIG;
    bigger = realloc(u->peak, room * LOUD_SIDES);
    if (!bigger)
        return PAT_ENOMEM;
    memset(bigger + u->room * LOUD_SIDES, 0, (room - u->room) * LOUD_SIDES);
    u->peak = bigger;
    u->room = room;
    return PAT_OK;
}

int loud_add(struct loud_units *u, const int16_t *pcm, size_t n, int channels, int rate)
{
    size_t per_unit = (size_t)rate * LOUD_UNIT_MS / 1000;

    u->rate = rate;
    u->channels = channels;
    for (size_t i = 0; i < n; i++, u->samples++) {
        size_t at = (size_t)u->samples / per_unit;
        int err = grow(u, at + 1);

        if (err)
            return err;
        for (int c = 0; c < channels; c++) {
            int v = pcm[i * (size_t)channels + (size_t)c];
            uint8_t loud = (uint8_t)((v < 0 ? -(v + 1) : v) >> 7);

            if (loud > u->peak[at * LOUD_SIDES + (size_t)c])
                u->peak[at * LOUD_SIDES + (size_t)c] = loud;
        }
    }
    return PAT_OK;
}

/* ------------------------------------------------------------------ WAV */

static uint32_t le(const char *at, int bytes)
{
    uint32_t v = 0;

    for (int i = 0; i < bytes; i++)
        v |= (uint32_t)(uint8_t)at[i] << (8 * i);
    return v;
}

/* Where its samples begin; 0: not yet known. */
static size_t wav_data(struct loud *l)
{
    const char *b = l->head.data;

    for (size_t at = 12; at + 8 <= l->head.len;) {
        size_t size = le(b + at + 4, 4);

        if (!memcmp(b + at, "data", 4))
            return at + 8;
        if (!memcmp(b + at, "fmt ", 4) && at + 24 <= l->head.len) {
            uint32_t format = le(b + at + 8, 2);

            l->wav.on = (format == 1 || format == 0xFFFE) && le(b + at + 22, 2) == 16;
            l->wav.channels = (int)le(b + at + 10, 2);
            l->wav.rate = (int)(le(b + at + 12, 4) & 0x7FFFFFFF);
        }
        if (size > WAV_HEAD_MAX)
            l->err = PAT_EPROTO;
        at += 8 + size + size % 2;
    }
    return 0;
}

static int feed_wav(struct loud *l)
{
    size_t frame = 2 * (size_t)l->wav.channels, n = l->head.len / frame;
    int16_t pcm[512 * LOUD_SIDES];

    for (size_t done = 0; done < n;) {
        size_t some = n - done < 512 ? n - done : 512;
        int err;

        for (size_t i = 0; i < some * (size_t)l->wav.channels; i++)
            pcm[i] = (int16_t)le(l->head.data + done * frame + 2 * i, 2);
        err = loud_add(&l->units, pcm, some, l->wav.channels, l->wav.rate);
        if (err)
            return err;
        done += some;
    }
    pat_buf_drop(&l->head, n * frame);
    return PAT_OK;
}

static int begin_wav(struct loud *l)
{
    size_t at = wav_data(l);

    if (l->err || (at && (!l->wav.on || l->wav.channels < 1 || l->wav.channels > LOUD_SIDES ||
                          l->wav.rate < 1000 || l->wav.rate > 192000)))
        return PAT_EPROTO;
    if (!at)
        return l->head.len > WAV_HEAD_MAX ? PAT_EPROTO : PAT_OK;
    pat_buf_drop(&l->head, at);
    l->units.rate = l->wav.rate;
    return feed_wav(l);
}

/* ------------------------------------------------------------------ either */

static int begin(struct loud *l)
{
    int err;

    if (l->head.len < 12)
        return PAT_OK;
    if (!memcmp(l->head.data, "RIFF", 4) && !memcmp(l->head.data + 8, "WAVE", 4))
        return begin_wav(l);
    if (memcmp(l->head.data, "OggS", 4) != 0)
        return PAT_EPROTO;
    err = loud_ogg_new(&l->ogg, &l->units);
    if (!err)
        err = loud_ogg_feed(l->ogg, l->head.data, l->head.len);
    pat_buf_reset(&l->head);
    return err;
}

int loud_feed(struct loud *l, const void *data, size_t len)
{
    const char *at = data;

    while (len && !l->err) {
        size_t some = len < 65536 ? len : 65536;

        if (l->ogg) {
            l->err = loud_ogg_feed(l->ogg, at, some);
        } else {
            l->err = pat_buf_add(&l->head, at, some);
            if (!l->err)
                l->err = l->units.rate ? feed_wav(l) : begin(l);
        }
        at += some;
        len -= some;
    }
    return l->err;
}

/* Of several units the loudest. */
static uint8_t point(const struct loud_units *u, size_t units, size_t i, size_t points, size_t side)
{
    uint8_t most = 0;

    for (size_t at = i * units / points; at < (i + 1) * units / points; at++)
        if (u->peak[at * LOUD_SIDES + side] > most)
            most = u->peak[at * LOUD_SIDES + side];
    return most;
}

int loud_print(const struct loud *l, struct pat_buf *out)
{
    const struct loud_units *u = &l->units;
    size_t per_unit = (size_t)u->rate * LOUD_UNIT_MS / 1000;
    size_t units = per_unit ? ((size_t)u->samples + per_unit - 1) / per_unit : 0;
    size_t points = units < LOUD_POINTS_MAX ? units : LOUD_POINTS_MAX;

    if (!points)
        return PAT_ENOENT;
    pat_buf_addf(out, "{\"duration_ms\":%lld,\"peaks\":[", (long long)loud_ms(l));
    for (size_t c = 0; c < (size_t)u->channels; c++) {
        for (size_t i = 0; i < points; i++) {
            pat_buf_adds(out, i ? "," : c ? ",[" : "[");
            pat_buf_addi(out, point(u, units, i, points, c));
        }
        pat_buf_adds(out, "]");
    }
    pat_buf_adds(out, "]}");
    return out->err;
}
