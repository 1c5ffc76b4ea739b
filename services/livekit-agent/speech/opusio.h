/* opusio.h - Opus packets to samples and back, and the packet that means silence.
 *
 * Decoding goes straight to 16 kHz for voice activity (no resampler); encoding takes 48 kHz mono
 * for the agent's track. Frames of the encoder are 20 ms. Thread: an object belongs to one.
 */
#ifndef SPEECH_OPUSIO_H
#define SPEECH_OPUSIO_H

#include "err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPUSIO_FRAME      960  /* samples of 20 ms at 48 kHz */
#define OPUSIO_MAX_16K    1920 /* samples of the longest packet, 120 ms, at 16 kHz */
#define OPUSIO_MAX_48K    5760
#define OPUSIO_MAX_PACKET 1276 /* RFC 6716 section 3.4 */

/* 20 ms of digital silence, mono, 48 kHz: CELT, full band, code 0 (RFC 6716 section 3.1). */
#define OPUSIO_SILENCE_LEN 3
extern const uint8_t opusio_silence[OPUSIO_SILENCE_LEN];

/* Samples at 48 kHz a packet holds; 0: it is broken. */
uint32_t opusio_samples(const uint8_t *packet, size_t len);

/* The sender says that nobody speaks in it: DTX, digital silence, or a SILK frame whose VAD flag is
 * off (RFC 6716 sections 3.1 and 4.2.3; its first bit). false: only the samples can tell. */
bool opusio_inactive(const uint8_t *packet, size_t len);

struct opusio_dec;
int opusio_dec_new(struct opusio_dec **out) PAT_MUST_CHECK;
/* To 48 kHz, for what is mixed and encoded again: opusio_decode gives 48 kHz samples then, and out
 * has room for OPUSIO_MAX_48K. */
int opusio_dec_new_48k(struct opusio_dec **out) PAT_MUST_CHECK;
void opusio_dec_free(struct opusio_dec *d);
/* out has room for OPUSIO_MAX_16K. packet NULL: conceals `samples` (at 48 kHz) lost ones. Returns
 * samples at 16 kHz, or PAT_EPROTO. */
int opusio_decode(struct opusio_dec *d, const uint8_t *packet, size_t len, uint32_t samples,
                  int16_t *out) PAT_MUST_CHECK;

/* The sound of `samples` (at 48 kHz) lost ones, from what the packet after them says of them
 * (in-band FEC, RFC 6716 section 4.2.5), else concealed. As opusio_decode. */
int opusio_recover(struct opusio_dec *d, const uint8_t *next, size_t len, uint32_t samples,
                   int16_t *out) PAT_MUST_CHECK;

/* What is encoded for whom. DTX is off everywhere: the caller decides what silence is sent. Costs
 * and spectral distances are in docs/audio.md, from tests/bench/opus_bench.c. */
enum opusio_use {
    OPUSIO_PHONE, /* a telephone carries 7 kHz at best: CELT alone, wide band, 40 kb/s, no FEC */
    OPUSIO_WIDE,  /* a browser: all that is heard, 32 kb/s, in-band FEC against loss */
    OPUSIO_KEPT,  /* made once, heard often, by anybody */
};

struct opusio_enc;
int opusio_enc_for(struct opusio_enc **out, enum opusio_use use) PAT_MUST_CHECK;
/* As OPUSIO_WIDE, with an effort of one's own (0 to 10). */
int opusio_enc_new(struct opusio_enc **out, int complexity) PAT_MUST_CHECK;
void opusio_enc_free(struct opusio_enc *e);
/* Forgets what came before: for an utterance that begins after a cut. */
void opusio_enc_reset(struct opusio_enc *e);
/* OPUSIO_FRAME samples; returns the packet's length. */
int opusio_encode(struct opusio_enc *e, const int16_t *pcm,
                  uint8_t out[OPUSIO_MAX_PACKET]) PAT_MUST_CHECK;

#endif
