/* deepgram_sound.c - what both ears of the Deepgram double have in common: packets or raw audio
 * into 20 ms frames of 16 kHz, is a frame voiced, and words as a vendor writes them.
 */
#include "deepgram.h"

#include <ctype.h>
#include <math.h>
#include <opus/opus.h>
#include <speex/speex_resampler.h>
#include <stdlib.h>
#include <string.h>

enum { RATE = 16000 };
#define FLOOR_DB  (-50.0)
#define MARGIN_DB 10.0

bool dg_sound_voiced(struct dg_sound *s, const int16_t *pcm, bool speaking)
{
    double sum = 1, db;
    bool voiced;

    for (int i = 0; i < DG_FRAME; i++)
        sum += (double)pcm[i] * pcm[i];
    db = 10 * log10(sum / DG_FRAME / (32768.0 * 32768.0));
    voiced = db > FLOOR_DB && db > s->background_db + MARGIN_DB;
    if (db < s->background_db)
        s->background_db += 0.3 * (db - s->background_db);
    else if (!speaking)
        s->background_db += 0.01 * (db - s->background_db);
    return voiced;
}

static void on_samples(struct dg_sound *s, const int16_t *pcm, size_t n)
{
    while (n) {
        size_t m = DG_FRAME - s->n < n ? DG_FRAME - s->n : n;

        memcpy(s->frame + s->n, pcm, m * sizeof *pcm);
        s->n += m;
        pcm += m;
        n -= m;
        if (s->n == DG_FRAME) {
            s->n = 0;
            s->on_frame(s->frame, s->arg);
        }
    }
}

static int16_t from_ulaw(uint8_t byte)
{
    int u = ~byte & 0xFF, magnitude = (((u & 0x0F) << 3) + 132) << (u >> 4 & 7);

    return (int16_t)(u & 0x80 ? 132 - magnitude : magnitude - 132);
}

static int16_t from_linear(const uint8_t *p)
{
    unsigned v = p[0] | (unsigned)p[1] << 8;

    return (int16_t)(uint16_t)v;
}

static int on_raw(struct dg_sound *s, const uint8_t *data, size_t len)
{
    enum { BLOCK = 1024 };
    size_t width = s->encoding == DG_LINEAR16 ? 2 : 1;

    while (len >= width) {
        int16_t in[BLOCK], out[BLOCK * 2 + 64];
        spx_uint32_t n = 0, n_out = sizeof out / sizeof out[0];

        for (; n < BLOCK && len >= width; n++, data += width, len -= width)
            in[n] = width == 2 ? from_linear(data) : from_ulaw(*data);
        if (!s->resampler) {
            on_samples(s, in, n);
            continue;
        }
        speex_resampler_process_int(s->resampler, 0, in, &n, out, &n_out);
        on_samples(s, out, n_out);
    }
    return PAT_OK;
}

int dg_sound_take(struct dg_sound *s, const uint8_t *data, size_t len)
{
    int16_t pcm[1920];
    int n;

    if (!s->opus)
        return on_raw(s, data, len);
    n = opus_decode(s->opus, data, (opus_int32)len, pcm, 1920, 0);
    if (n < 0)
        return PAT_EPROTO;
    on_samples(s, pcm, (size_t)n);
    return PAT_OK;
}

int dg_sound_init(struct dg_sound *s, enum dg_encoding encoding, int rate, dg_frame_fn *fn,
                  void *arg)
{
    memset(s, 0, sizeof *s);
    s->encoding = encoding;
    s->on_frame = fn;
    s->arg = arg;
    s->background_db = -65;
    if (encoding == DG_OPUS) {
        s->opus = opus_decoder_create(RATE, 1, &(int){ 0 });
        return s->opus ? PAT_OK : PAT_ENOMEM;
    }
    if (rate == RATE)
        return PAT_OK;
    s->resampler = speex_resampler_init(1, (spx_uint32_t)rate, RATE, 3, NULL);
    return s->resampler ? PAT_OK : PAT_ENOMEM;
}

void dg_sound_fini(struct dg_sound *s)
{
    if (s->opus)
        opus_decoder_destroy(s->opus);
    if (s->resampler)
        speex_resampler_destroy(s->resampler);
}

char *dg_formatted(const char *text, bool punctuate)
{
    struct pat_buf b;
    size_t len = strlen(text);

    if (!len)
        return strdup("");
    pat_buf_init(&b, len + 8);
    pat_buf_add(&b, text, len);
    if (punctuate && b.len) {
        b.data[0] = (char)toupper((unsigned char)b.data[0]);
        for (size_t i = 1; i < len; i++)
            if (b.data[i] == 'i' && b.data[i - 1] == ' ' &&
                (i + 1 == len || b.data[i + 1] == ' ' || b.data[i + 1] == '\''))
                b.data[i] = 'I';
        if (isalnum((unsigned char)b.data[len - 1]))
            pat_buf_adds(&b, ".");
    }
    return pat_buf_take(&b);
}
