/* mouth.h - one call's voice: texts in, sound out, from the cache or the synthesiser.
 *
 * Outlives the wait between preparing a call and serving it: whoever owns it at the moment listens
 * (mouth_listen). Utterances are spoken in the order begun, under ids that ascend; one that was
 * said before comes out of the phrase cache, in its place in that order, and costs nothing. What a
 * user has his agent say is kept for him alone; our own phrases are everybody's. Life: mouth_new ->
 * mouth_free; no event after it. Thread: the loop's.
 */
#ifndef CALL_MOUTH_H
#define CALL_MOUTH_H

#include "../speech/tts.h"
#include "phrase.h"

struct mouth;

/* Each may be NULL. */
struct mouth_events {
    void (*audio)(uint32_t utterance, const int16_t *samples, size_t n, void *arg);
    /* One Opus packet of 20 ms in place of samples. */
    void (*packet)(uint32_t utterance, const uint8_t *opus, size_t len, int level, void *arg);
    void (*aligned)(uint32_t utterance, const char *text, size_t len, int start_ms, int end_ms,
                    void *arg);
    void (*done)(uint32_t utterance, int err, void *arg);
    /* mouth_prepare came to its end; p is borrowed, NULL: it could not be made. */
    void (*prepared)(struct phrase *p, void *arg);
    void (*fell_back)(const char *from, const char *to, const char *why, void *arg);
    void (*provider_failed)(const struct provider_failure *f, void *arg);
};

struct mouth_opts {
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_http *http;
    struct phrases *phrases;
    const struct tts_opts *tts; /* with the voice; borrowed until mouth_new returns */
    double gain;
    bool any_voice;    /* what the fallback voice spoke is kept too */
    const char *scope; /* whose texts these are (a user's id); borrowed until mouth_new returns */
};

int mouth_new(struct mouth **out, const struct mouth_opts *o) PAT_MUST_CHECK;
void mouth_free(struct mouth *m);
/* NULL: nobody for now. A provider that failed while nobody asked for provider_failed is told of
 * before this returns. */
void mouth_listen(struct mouth *m, const struct mouth_events *ev, void *arg);

/* A phrase that was said before in this very voice: a reference of yours, or NULL. */
struct phrase *mouth_known(struct mouth *m, const char *text);
/* Says it into the cache only. One at a time: PAT_EAGAIN. */
int mouth_prepare(struct mouth *m, const char *text) PAT_MUST_CHECK;
/* It is not over yet: prepared will come. */
bool mouth_preparing(const struct mouth *m);
/* Somebody wants to hear what is being prepared, now: it goes on as events of *utterance, and
 * prepared does not come. What there is of it already is told again by mouth_replay, once who
 * listens is ready for it. False: all of it is made (prepared is about to come), or nothing is
 * being prepared. */
bool mouth_listen_in(struct mouth *m, uint32_t *utterance);
void mouth_replay(struct mouth *m);
/* *utterance names it in the events to come. keep: into the cache too; what was said before is kept
 * the second time anyway. */
int mouth_say(struct mouth *m, const char *text, size_t len, bool keep,
              uint32_t *utterance) PAT_MUST_CHECK;
/* An id in the same row, for what is not spoken by the synthesiser. */
uint32_t mouth_next_id(struct mouth *m);
void mouth_cancel(struct mouth *m, uint32_t utterance);

/* Text was played from a phrase of mouth_known. */
void mouth_count_hit(struct mouth *m, const char *text);
int64_t mouth_characters(const struct mouth *m); /* billed so far */
int64_t mouth_saved(const struct mouth *m);      /* characters spoken out of the cache */
int64_t mouth_hits(const struct mouth *m);
size_t mouth_used(const struct mouth *m, struct provider_used *out, size_t max); /* tts_used */
/* Who speaks now: vendor, account of the chain, model of the user's own voice, voice. */
const char *mouth_provider(const struct mouth *m);
const char *mouth_account(const struct mouth *m);
const char *mouth_model(const struct mouth *m);
const char *mouth_voice(const struct mouth *m);

#endif
