/* denoise.c - speexdsp's preprocessor between a decoder and an encoder, all at 16 kHz.
 *
 * Only its noise suppression is used: gain control would change what the detector of voices knows
 * as loud. */
#include "denoise.h"

#include <opus/opus.h>
#include <speex/speex_preprocess.h>
#include <stdbool.h>
#include <stdlib.h>

enum { RATE = 16000, STEP = 160 /* 10 ms */, BITRATE = 32000 };

struct denoise {
    struct opusio_dec *dec;
    SpeexPreprocessState *clean;
    OpusEncoder *enc;
};

int denoise_new(struct denoise **out, int db)
{
    struct denoise *d = calloc(1, sizeof *d);
    int err = d ? opusio_dec_new(&d->dec) : PAT_ENOMEM, on = 1, down = -db;

    if (err) {
        free(d);
        return err;
    }
    d->clean = speex_preprocess_state_init(STEP, RATE);
    d->enc = opus_encoder_create(RATE, 1, OPUS_APPLICATION_RESTRICTED_LOWDELAY, &err);
    if (!d->clean || !d->enc) {
        denoise_free(d);
        return PAT_ENOMEM;
    }
    speex_preprocess_ctl(d->clean, SPEEX_PREPROCESS_SET_DENOISE, &on);
    speex_preprocess_ctl(d->clean, SPEEX_PREPROCESS_SET_NOISE_SUPPRESS, &down);
    opus_encoder_ctl(d->enc, OPUS_SET_BITRATE(BITRATE));
    opus_encoder_ctl(d->enc, OPUS_SET_COMPLEXITY(1));
    *out = d;
    return PAT_OK;
}

void denoise_free(struct denoise *d)
{
    if (!d)
        return;
    opusio_dec_free(d->dec);
    if (d->clean)
        speex_preprocess_state_destroy(d->clean);
    if (d->enc)
        opus_encoder_destroy(d->enc);
    free(d);
}

static bool can_encode(int n)
{
    return n == 160 || n == 320 || n == 640 || n == 960;
}

int denoise_packet(struct denoise *d, const uint8_t *opus, size_t len, int16_t pcm[OPUSIO_MAX_16K],
                   int *n, uint8_t out[OPUSIO_MAX_PACKET])
{
    int got = opusio_decode(d->dec, opus, len, 0, pcm), made;

    if (got < 0 || !can_encode(got))
        return PAT_EPROTO;
    for (int at = 0; at < got; at += STEP)
        speex_preprocess_run(d->clean, pcm + at);
    made = opus_encode(d->enc, pcm, got, out, OPUSIO_MAX_PACKET);
    *n = got;
    return made > 0 ? made : PAT_EPROTO;
}
