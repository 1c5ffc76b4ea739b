/* opusio.c - libopus behind opusio.h.
 *
 * How: plain calls; the settings are the only thought here. It does not buffer: frames in, packets
 * out. */
#include "opusio.h"

#include <opus/opus.h>
#include <stdlib.h>

enum { BITRATE = 32000, EXPECTED_LOSS = 5, RATE_IN = 16000, RATE_OUT = 48000 };

const uint8_t opusio_silence[OPUSIO_SILENCE_LEN] = { 0xF8, 0xFF, 0xFE };

struct opusio_dec {
    OpusDecoder *opus;
};

struct opusio_enc {
    OpusEncoder *opus;
};

uint32_t opusio_samples(const uint8_t *packet, size_t len)
{
    int n =
        len && len <= INT32_MAX ? opus_packet_get_nb_samples(packet, (opus_int32)len, RATE_OUT) : 0;

    return n > 0 ? (uint32_t)n : 0;
}

int opusio_dec_new(struct opusio_dec **out)
{
    struct opusio_dec *d = calloc(1, sizeof *d);
    int err;

    if (!d)
        return PAT_ENOMEM;
    d->opus = opus_decoder_create(RATE_IN, 1, &err);
    if (!d->opus) {
        free(d);
        return PAT_ENOMEM;
    }
    *out = d;
    return PAT_OK;
}

void opusio_dec_free(struct opusio_dec *d)
{
    if (!d)
        return;
    opus_decoder_destroy(d->opus);
    free(d);
}

int opusio_decode(struct opusio_dec *d, const uint8_t *packet, size_t len, uint32_t samples,
                  int16_t *out)
{
    int room = OPUSIO_MAX_16K, n;

    if (packet && (!len || len > INT32_MAX))
        return PAT_EPROTO;
    if (!packet) {
        room = (int)(samples / (RATE_OUT / RATE_IN));
        if (room > OPUSIO_MAX_16K)
            room = OPUSIO_MAX_16K;
    }
    n = opus_decode(d->opus, packet, packet ? (opus_int32)len : 0, out, room, 0);
    return n < 0 ? PAT_EPROTO : n;
}

int opusio_enc_new(struct opusio_enc **out, int complexity)
{
    struct opusio_enc *e = calloc(1, sizeof *e);
    int err;

    if (!e)
        return PAT_ENOMEM;
    e->opus = opus_encoder_create(RATE_OUT, 1, OPUS_APPLICATION_VOIP, &err);
    if (!e->opus) {
        free(e);
        return PAT_ENOMEM;
    }
    opus_encoder_ctl(e->opus, OPUS_SET_BITRATE(BITRATE));
    opus_encoder_ctl(e->opus, OPUS_SET_COMPLEXITY(complexity));
    opus_encoder_ctl(e->opus, OPUS_SET_INBAND_FEC(1));
    opus_encoder_ctl(e->opus, OPUS_SET_PACKET_LOSS_PERC(EXPECTED_LOSS));
    opus_encoder_ctl(e->opus, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
    *out = e;
    return PAT_OK;
}

void opusio_enc_free(struct opusio_enc *e)
{
    if (!e)
        return;
    opus_encoder_destroy(e->opus);
    free(e);
}

void opusio_enc_reset(struct opusio_enc *e)
{
    opus_encoder_ctl(e->opus, OPUS_RESET_STATE);
}

int opusio_encode(struct opusio_enc *e, const int16_t *pcm, uint8_t out[OPUSIO_MAX_PACKET])
{
    int n = opus_encode(e->opus, pcm, OPUSIO_FRAME, out, OPUSIO_MAX_PACKET);

    return n < 0 ? PAT_EINTERNAL : n;
}
