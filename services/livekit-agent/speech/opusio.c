/* opusio.c - libopus behind opusio.h.
 *
 * How: plain calls; the settings are the only thought here. It does not buffer: frames in, packets
 * out. */
#include "opusio.h"

#include <opus/opus.h>
#include <stdbool.h>
#include <stdlib.h>

enum { EXPECTED_LOSS = 5, RATE_IN = 16000, RATE_OUT = 48000 };

const uint8_t opusio_silence[OPUSIO_SILENCE_LEN] = { 0xF8, 0xFF, 0xFE };

struct opusio_dec {
    OpusDecoder *opus;
    int rate;
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

static int dec_new(struct opusio_dec **out, int rate)
{
    struct opusio_dec *d = calloc(1, sizeof *d);
    int err;

    if (!d)
        return PAT_ENOMEM;
    d->rate = rate;
    d->opus = opus_decoder_create(rate, 1, &err);
    if (!d->opus) {
        free(d);
        return PAT_ENOMEM;
    }
    *out = d;
    return PAT_OK;
}

bool opusio_inactive(const uint8_t *packet, size_t len)
{
    uint8_t toc, config;

    if (len <= OPUSIO_SILENCE_LEN)
        return len > 0;
    toc = packet[0];
    config = toc >> 3;
    /* 0 to 11 are SILK of 10, 20, 40, 60 ms, the first two one SILK frame; 12 to 15 hybrid, one
     * too. Mono, one frame in the packet: anything else has its flag elsewhere. */
    return config < 16 && (toc & 7) == 0 && (config >= 12 || (config & 3) < 2) &&
           (packet[1] & 0x80) == 0;
}

int opusio_dec_new(struct opusio_dec **out)
{
    return dec_new(out, RATE_IN);
}

int opusio_dec_new_48k(struct opusio_dec **out)
{
    return dec_new(out, RATE_OUT);
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
    int most = d->rate == RATE_IN ? OPUSIO_MAX_16K : OPUSIO_MAX_48K, room = most, n;

    if (packet && (!len || len > INT32_MAX))
        return PAT_EPROTO;
    if (!packet) {
        room = (int)(samples / (uint32_t)(RATE_OUT / d->rate));
        if (room > most)
            room = most;
    }
    n = opus_decode(d->opus, packet, packet ? (opus_int32)len : 0, out, room, 0);
    return n < 0 ? PAT_EPROTO : n;
}

int opusio_recover(struct opusio_dec *d, const uint8_t *next, size_t len, uint32_t samples,
                   int16_t *out)
{
    int most = d->rate == RATE_IN ? OPUSIO_MAX_16K : OPUSIO_MAX_48K;
    uint32_t wanted = samples / (uint32_t)(RATE_OUT / d->rate);
    int n;

    if (!len || len > INT32_MAX || !wanted || wanted > (uint32_t)most)
        return PAT_EPROTO;
    n = opus_decode(d->opus, next, (opus_int32)len, out, (int)wanted, 1);
    return n < 0 ? PAT_EPROTO : n;
}

struct effort {
    int application, bitrate, complexity, bandwidth;
    bool fec;
};

static int enc_new(struct opusio_enc **out, const struct effort *f)
{
    struct opusio_enc *e = calloc(1, sizeof *e);
    int err;

    if (!e)
        return PAT_ENOMEM;
    e->opus = opus_encoder_create(RATE_OUT, 1, f->application, &err);
    if (!e->opus) {
        free(e);
        return PAT_ENOMEM;
    }
    opus_encoder_ctl(e->opus, OPUS_SET_BITRATE(f->bitrate));
    opus_encoder_ctl(e->opus, OPUS_SET_COMPLEXITY(f->complexity));
    opus_encoder_ctl(e->opus, OPUS_SET_MAX_BANDWIDTH(f->bandwidth));
    opus_encoder_ctl(e->opus, OPUS_SET_INBAND_FEC(f->fec));
    opus_encoder_ctl(e->opus, OPUS_SET_PACKET_LOSS_PERC(f->fec ? EXPECTED_LOSS : 0));
    opus_encoder_ctl(e->opus, OPUS_SET_SIGNAL(OPUS_SIGNAL_VOICE));
    *out = e;
    return PAT_OK;
}

int opusio_enc_for(struct opusio_enc **out, enum opusio_use use)
{
    static const struct effort efforts[] = {
        [OPUSIO_PHONE] = { OPUS_APPLICATION_RESTRICTED_LOWDELAY, 40000, 3, OPUS_BANDWIDTH_WIDEBAND,
                           false },
        [OPUSIO_WIDE] = { OPUS_APPLICATION_VOIP, 32000, 0, OPUS_BANDWIDTH_FULLBAND, true },
        [OPUSIO_KEPT] = { OPUS_APPLICATION_VOIP, 32000, 5, OPUS_BANDWIDTH_FULLBAND, true },
    };

    return enc_new(out, &efforts[use]);
}

int opusio_enc_new(struct opusio_enc **out, int complexity)
{
    const struct effort f = { OPUS_APPLICATION_VOIP, 32000, complexity, OPUS_BANDWIDTH_FULLBAND,
                              true };

    return enc_new(out, &f);
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
