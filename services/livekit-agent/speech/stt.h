/* stt.h - speech to text: Opus packets in, words and ends of turns out.
 *
 * The interface; stt_deepgram.c is the provider. A stream that breaks is connected anew, to the
 * next step of the STT chain (provider.h) where there is one, and what was not yet answered for is
 * replayed (at most 5 s): no word is lost. Life: stt_open -> audio... -> stt_close; no callback
 * after it. Thread: the loop's.
 */
#ifndef SPEECH_STT_H
#define SPEECH_STT_H

#include "pat.h"
#include "provider.h"

struct stt;

/* One piece of recognised speech. Borrowed. Times are audio time of the stream. */
struct stt_transcript {
    const char *text;  /* this stretch so far; may be empty */
    bool is_final;     /* frozen */
    bool speech_final; /* and the speaker paused (endpointing), or their turn is over (Flux) */
    bool eager;        /* not frozen, but the turn is probably over (Flux) */
    double confidence;
    int64_t start_ms, end_ms;
};

struct stt_events {
    void (*ready)(void *arg); /* connected (again) */
    /* The provider heard speech begin. May repeat or be missed. */
    void (*speech_started)(int64_t audio_ms, void *arg);
    void (*transcript)(const struct stt_transcript *t, void *arg);
    /* After an eager transcript: the speaker goes on. */
    void (*resumed)(void *arg);
    /* No further word within the utterance limit. */
    void (*utterance_end)(int64_t last_word_end_ms, void *arg);
    /* Gave up (bad key, unknown model), or still trying (retrying). */
    void (*failed)(int err, bool retrying, const char *why, void *arg);
    /* The same, before it, for the record; may be NULL. */
    void (*provider_failed)(const struct provider_failure *f, void *arg);
};

/* Turns judged by the provider's model (Deepgram Flux) instead of pauses. */
struct stt_flux {
    const char *model;      /* "flux-general-en", "flux-general-multi" */
    double eot_threshold;   /* 0.5..0.9: how certain it must be that a turn is over */
    double eager_threshold; /* 0.3..0.9: and for eager; 0: never eager */
    int eot_timeout_ms;     /* 500..10000: then it is over whatever the model thinks */
};

struct stt_opts {
    struct providers *providers; /* with an STT chain; borrowed while the stream lives */
    int64_t connect_ms;
    const char *language; /* BCP 47 or "multi" */
    int endpointing_ms;
    int utterance_end_ms;        /* >= 1000, 0: off */
    const char *const *keyterms; /* NULL-terminated, or NULL */
    /* NULL: pauses. Where a step of the chain refuses it, pauses again (see stt_judges). */
    const struct stt_flux *flux;
};

int stt_open(struct stt **out, struct pat_loop *l, struct pat_net *net, const struct stt_opts *o,
             const struct stt_events *ev, void *arg) PAT_MUST_CHECK;
/* One Opus packet, samples at 48 kHz long, as received. Silence that was not transmitted: opus
 * NULL, len 0. */
void stt_audio(struct stt *s, const uint8_t *opus, size_t len, uint32_t samples);
/* So many packets may wait for each other, for nobody speaks: sent together they cost one write. 1:
 * each at once, and what waits goes now. */
#define STT_TOGETHER_MAX 5
void stt_together(struct stt *s, int packets);
/* Flush what is in flight, or end the turn: a transcript with is_final follows. */
void stt_finalize(struct stt *s);
int64_t stt_audio_ms(const struct stt *s); /* sent so far: what is billed */
/* The same, told apart by who was given it: at most max of them, and how many there are. Models of
 * a language of many ("multi") are billed apart: their name ends so, behind a colon. */
#define STT_USED_MAX (3 * PROVIDER_STEPS)
size_t stt_used(const struct stt *s, struct provider_used *out, size_t max);
/* Does who listens judge turns, or only pauses? May change with each connection. */
bool stt_judges(const struct stt *s);
/* The model that listens. */
const char *stt_model(const struct stt *s);
/* Who listens now. Lives with the chain. */
const struct provider *stt_listens(const struct stt *s);
void stt_close(struct stt *s); /* asks the provider to end; NULL is fine */

#endif
