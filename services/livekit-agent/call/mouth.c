/* mouth.c - the synthesiser with a memory.
 *
 * Samples of an utterance to be kept are collected beside their way to the listener, at most half
 * a minute of them; what another voice spoke in place of ours is not kept.
 */
#include "mouth.h"

#include "sound.h"

#include <stdlib.h>
#include <string.h>

enum { KEEP_MAX = 30 * 1000 * SOUND_PER_MS, KEY_MAX = 8 * 1024 };

struct keep {
    uint32_t utterance; /* 0: none */
    bool for_cache_only;
    char *key;
    int16_t *samples;
    size_t n, cap;
};

struct mouth {
    struct tts *tts;
    struct phrases *phrases;
    struct voice voice;
    char model[64];
    char language[8];
    double gain;
    const struct mouth_events *ev;
    void *arg;
    uint32_t last_id;
    struct keep keep;
    bool substituted, any_voice;
    int64_t characters;
};

static void keep_clear(struct keep *k)
{
    free(k->key);
    free(k->samples);
    memset(k, 0, sizeof *k);
}

static void keep_add(struct keep *k, const int16_t *samples, size_t n)
{
    if (k->n + n > k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 4 * 48000;
        int16_t *more;
        while (cap < k->n + n)
            cap *= 2;
        more = cap <= 2 * (size_t)KEEP_MAX ? realloc(k->samples, cap * sizeof *more) : NULL;
        if (!more) { /* too long, or no memory: it is not kept */
            free(k->samples);
            k->samples = NULL;
            k->n = k->cap = 0;
            free(k->key);
            k->key = NULL;
            return;
        }
        k->samples = more;
        k->cap = cap;
    }
    memcpy(k->samples + k->n, samples, n * sizeof *samples);
    k->n += n;
}

static void on_audio(uint32_t utterance, const int16_t *samples, size_t n, void *arg)
{
    struct mouth *m = arg;

    if (utterance == m->keep.utterance && m->keep.key)
        keep_add(&m->keep, samples, n);
    if (utterance == m->keep.utterance && m->keep.for_cache_only)
        return;
    if (m->ev && m->ev->audio)
        m->ev->audio(utterance, samples, n, m->arg);
}

static void on_aligned(uint32_t utterance, const char *text, size_t len, int start_ms, int end_ms,
                       void *arg)
{
    struct mouth *m = arg;

    if (m->ev && m->ev->aligned && !(utterance == m->keep.utterance && m->keep.for_cache_only))
        m->ev->aligned(utterance, text, len, start_ms, end_ms, m->arg);
}

/* The one being prepared has become a phrase, or not. */
static void told(struct mouth *m, struct phrase *p)
{
    if (m->ev && m->ev->prepared)
        m->ev->prepared(p, m->arg);
}

static void on_encoded(struct phrase *p, void *arg)
{
    struct mouth *m = arg;

    keep_clear(&m->keep);
    told(m, p);
}

static bool worth_keeping(const struct mouth *m, int err)
{
    return !err && (m->any_voice || !m->substituted) && m->keep.key && m->keep.n;
}

static void keep_done(struct mouth *m, int err)
{
    struct keep *k = &m->keep;
    bool only = k->for_cache_only;
    int16_t *samples = k->samples;

    k->samples = NULL;
    if (!worth_keeping(m, err)) {
        free(samples);
        keep_clear(k);
        if (only)
            told(m, NULL);
        return;
    }
    k->utterance = 0;
    err = phrases_make(m->phrases, k->key, samples, k->n, m->gain, only ? on_encoded : NULL, m);
    if (!only || err)
        keep_clear(k);
    if (only && err)
        told(m, NULL);
}

static void on_done(uint32_t utterance, int err, int64_t characters, void *arg)
{
    struct mouth *m = arg;
    bool only = utterance == m->keep.utterance && m->keep.for_cache_only;

    m->characters += characters;
    if (utterance == m->keep.utterance)
        keep_done(m, err);
    if (!only && m->ev && m->ev->done)
        m->ev->done(utterance, err, m->arg);
}

static void on_fell_back(const char *from, const char *to, const char *why, void *arg)
{
    struct mouth *m = arg;

    m->substituted = true;
    if (m->ev && m->ev->fell_back)
        m->ev->fell_back(from, to, why, m->arg);
}

static const struct tts_events tts_events = {
    .audio = on_audio,
    .aligned = on_aligned,
    .done = on_done,
    .fell_back = on_fell_back,
};

int mouth_new(struct mouth **out, const struct mouth_opts *o)
{
    struct mouth *m = calloc(1, sizeof *m);
    bool openai = o->tts->voice.provider == VOICE_OPENAI;
    int err;

    if (!m)
        return PAT_ENOMEM;
    m->phrases = o->phrases;
    m->voice = o->tts->voice;
    m->gain = o->gain;
    m->any_voice = o->any_voice;
    pat_strcpy(m->model, sizeof m->model, openai ? o->tts->openai_model : o->tts->elevenlabs_model);
    pat_strcpy(m->language, sizeof m->language, o->tts->language ? o->tts->language : "");
    err = tts_open(&m->tts, o->loop, o->net, o->http, o->tts, &tts_events, m);
    if (err) {
        free(m);
        return err;
    }
    *out = m;
    return PAT_OK;
}

void mouth_free(struct mouth *m)
{
    if (!m)
        return;
    tts_close(m->tts);
    phrases_forget(m->phrases, m);
    keep_clear(&m->keep);
    free(m);
}

void mouth_listen(struct mouth *m, const struct mouth_events *ev, void *arg)
{
    m->ev = ev;
    m->arg = arg;
}

static char *key_of(const struct mouth *m, const char *text)
{
    const struct voice *v = &m->voice;
    struct pat_buf b;

    pat_buf_init(&b, KEY_MAX);
    pat_buf_addf(&b, "%d|%s|%g|%g|%g|%g|%d|%s|%s|%g|%s", (int)v->provider, v->id, v->stability,
                 v->similarity, v->style, v->speed, v->speaker_boost, m->model, m->language,
                 m->gain, text);
    return pat_buf_take(&b);
}

struct phrase *mouth_known(struct mouth *m, const char *text)
{
    char *key = key_of(m, text);
    struct phrase *p = key ? phrases_get(m->phrases, key) : NULL;

    free(key);
    return p;
}

static int say(struct mouth *m, uint32_t id, const char *text, size_t len)
{
    int err = tts_text(m->tts, id, text, len);

    if (!err)
        tts_end(m->tts, id);
    return err;
}

int mouth_prepare(struct mouth *m, const char *text)
{
    uint32_t id;
    int err;

    if (m->keep.utterance || m->keep.key)
        return PAT_EAGAIN;
    m->keep.key = key_of(m, text);
    if (!m->keep.key)
        return PAT_ENOMEM;
    id = mouth_next_id(m);
    m->keep.utterance = id;
    m->keep.for_cache_only = true;
    err = say(m, id, text, strlen(text));
    if (err)
        keep_clear(&m->keep);
    return err;
}

bool mouth_preparing(const struct mouth *m)
{
    return m->keep.for_cache_only;
}

bool mouth_listen_in(struct mouth *m, uint32_t *utterance, const int16_t **samples, size_t *n)
{
    struct keep *k = &m->keep;

    if (!k->for_cache_only || !k->utterance || !k->key)
        return false;
    k->for_cache_only = false;
    *utterance = k->utterance;
    *samples = k->samples;
    *n = k->n;
    return true;
}

int mouth_say(struct mouth *m, const char *text, size_t len, bool keep, uint32_t *utterance)
{
    char *copy = keep && !m->keep.utterance && !m->keep.key ? strndup(text, len) : NULL;

    *utterance = mouth_next_id(m);
    if (copy) {
        m->keep.key = key_of(m, copy);
        m->keep.utterance = m->keep.key ? *utterance : 0;
        free(copy);
    }
    return say(m, *utterance, text, len);
}

uint32_t mouth_next_id(struct mouth *m)
{
    return ++m->last_id;
}

void mouth_cancel(struct mouth *m, uint32_t utterance)
{
    if (utterance == m->keep.utterance)
        keep_clear(&m->keep);
    tts_cancel(m->tts, utterance);
}

int64_t mouth_characters(const struct mouth *m)
{
    return m->characters;
}

const char *mouth_provider(const struct mouth *m)
{
    return m->voice.provider == VOICE_OPENAI ? "openai" : "elevenlabs";
}

const char *mouth_model(const struct mouth *m)
{
    return m->model;
}

const char *mouth_voice(const struct mouth *m)
{
    return m->voice.id;
}
