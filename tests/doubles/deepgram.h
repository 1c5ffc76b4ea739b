/* deepgram.h - the pieces of the Deepgram double.
 *
 * deepgram.c has the routes, the sockets and v1's messages; deepgram_ear.c turns audio into
 * utterances and Results, deepgram_flux.c into turns; both stand on deepgram_sound.c.
 */
#ifndef DOUBLES_DEEPGRAM_H
#define DOUBLES_DEEPGRAM_H

#include "asr.h"
#include "doubles.h"

enum { DG_KEYTERM_MAX = 64, DG_TOLD_MAX = 120 /* words of one telling */ };

struct deepgram {
    struct dbl *d;
    struct asr *asr;
    struct pat_json *script; /* array; NULL: really listen */
    struct dg_told *told;
    struct dg_conn *conns;
    struct dg_v2 *v2;
    int64_t next_request;
};

enum dg_encoding { DG_OPUS, DG_LINEAR16, DG_MULAW };

struct dg_options {
    enum dg_encoding encoding;
    int rate;
    bool interim, vad_events, punctuate, smart_format;
    int endpointing_ms;   /* 0: off */
    int utterance_end_ms; /* 0: off */
    char model[64];
    char keyterm[DG_KEYTERM_MAX]; /* the first */
};

enum { DG_FRAME = 320 /* 20 ms at 16 kHz */, DG_FRAME_MS = 20 };

/* deepgram_sound.c: audio as it comes, frame by frame. */
typedef void dg_frame_fn(const int16_t *pcm, void *arg);
struct OpusDecoder;
struct SpeexResamplerState_;
struct dg_sound {
    enum dg_encoding encoding;
    struct OpusDecoder *opus;
    struct SpeexResamplerState_ *resampler;
    int16_t frame[DG_FRAME];
    size_t n;
    double background_db;
    dg_frame_fn *on_frame;
    void *arg;
};
int dg_sound_init(struct dg_sound *s, enum dg_encoding encoding, int rate, dg_frame_fn *fn,
                  void *arg) PAT_MUST_CHECK;
void dg_sound_fini(struct dg_sound *s);
/* PAT_EPROTO: not decodable as declared. */
int dg_sound_take(struct dg_sound *s, const uint8_t *data, size_t len) PAT_MUST_CHECK;
/* speaking: the background is not learnt from it. */
bool dg_sound_voiced(struct dg_sound *s, const int16_t *pcm, bool speaking);
/* "hello i am ann" -> "Hello I am ann.": as much as words alone tell. Yours to free. */
char *dg_formatted(const char *text, bool punctuate);

/* What hears: one per connection. */
struct dg_ear;
int dg_ear_new(struct dg_ear **out, struct dg_conn *c, struct deepgram *g,
               const struct dg_options *o) PAT_MUST_CHECK;
void dg_ear_free(struct dg_ear *e);
/* PAT_EPROTO: not decodable as declared. */
int dg_ear_audio(struct dg_ear *e, const uint8_t *data, size_t len) PAT_MUST_CHECK;
/* Flushes; dg_conn_flushed when every Results is out. */
void dg_ear_finalize(struct dg_ear *e, bool closing);
int64_t dg_ear_audio_ms(const struct dg_ear *e);

/* deepgram.c, for the ear. */
void dg_conn_send(struct dg_conn *c, struct pat_json *j);
void dg_conn_flushed(struct dg_conn *c);
const char *dg_conn_request_id(const struct dg_conn *c);

/* deepgram.c, for both versions. */
bool dg_key_ok(const struct deepgram *g, struct pat_httpd_req *r);
void dg_refuse(struct pat_httpd_req *r, int status, const char *code, const char *message);
/* encoding and sample_rate; NULL: fine, else what is wrong. */
const char *dg_read_encoding(struct pat_httpd_req *r, struct dg_options *o);
int dg_number(struct pat_httpd_req *r, const char *name, int fallback);
void dg_read_keyterm(struct pat_httpd_req *r, struct dg_options *o);

/* deepgram_told.c: what will be said by the connection with this keyterm, from its next voice on.
 */
bool dg_told_set(struct deepgram *g, const struct pat_json *v);
void dg_told_clear(struct deepgram *g);
bool dg_told_known(const struct deepgram *g, const char *keyterm);
/* A voice begins. Those of its words not given yet, their times since start_ms: at most
 * DG_TOLD_MAX. */
size_t dg_told_voice(struct deepgram *g, const char *keyterm, int64_t voice_ms, int64_t start_ms,
                     struct asr_word *words);
/* n of them were heard for good. */
void dg_told_given(struct deepgram *g, const char *keyterm, size_t n);

/* deepgram_v2.c: Flux's route and sockets. */
int dg_v2_route(struct deepgram *g) PAT_MUST_CHECK;
void dg_v2_stop(struct deepgram *g);

/* deepgram_flux.c: audio into turns. Thresholds may change at any time. */
struct dg_flux_opts {
    double eot, eager; /* eager 0: off */
    int timeout_ms;
    bool multi;
};
struct dg_flux;
int dg_flux_new(struct dg_flux **out, struct dg_v2 *c, struct deepgram *g,
                const struct dg_options *o, const struct dg_flux_opts *f) PAT_MUST_CHECK;
void dg_flux_free(struct dg_flux *f);
int dg_flux_audio(struct dg_flux *f, const uint8_t *data, size_t len) PAT_MUST_CHECK;
void dg_flux_set(struct dg_flux *f, const struct dg_flux_opts *o);
void dg_flux_force(struct dg_flux *f);
int64_t dg_flux_audio_ms(const struct dg_flux *f);
/* Adds request_id and sequence_id, and sends. */
void dg_v2_send(struct dg_v2 *c, struct pat_json *j);

#endif
