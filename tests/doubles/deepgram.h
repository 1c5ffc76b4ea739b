/* deepgram.h - the pieces of the Deepgram double.
 *
 * deepgram.c has the route, the socket and its messages; deepgram_ear.c turns packets into
 * utterances and Results.
 */
#ifndef DOUBLES_DEEPGRAM_H
#define DOUBLES_DEEPGRAM_H

#include "asr.h"
#include "doubles.h"

struct deepgram {
    struct dbl *d;
    struct asr *asr;
    struct pat_json *script; /* array; NULL: really listen */
    struct dg_conn *conns;
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
};

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

#endif
