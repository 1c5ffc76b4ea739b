/* mouth.c - the synthesiser with a memory.
 *
 * Its life, what the synthesiser tells, and under which key a text is remembered. What is said
 * stands in a queue (mouth_queue.c); sound to be remembered is collected beside its way to the
 * listener (mouth_keep.c).
 */
#include "mouth_int.h"

#include "own_words.h"

#include <stdlib.h>
#include <string.h>

#define KEY_MAX ((size_t)8 * 1024)

static void on_audio(uint32_t utterance, const int16_t *samples, size_t n, void *arg)
{
    struct mouth *m = arg;

    if (utterance == m->keep.utterance && m->keep.key)
        mouth_keep_add(&m->keep, samples, n);
    if (utterance == m->keep.utterance && m->keep.for_cache_only)
        return;
    if (m->ev && m->ev->audio)
        m->ev->audio(utterance, samples, n, m->arg);
}

static void tell_packet(struct mouth *m, uint32_t id, const uint8_t *opus, size_t len, int level)
{
    if (m->ev && m->ev->packet)
        m->ev->packet(id, opus, len, level, m->arg);
}

void mouth_tell_packet(struct mouth *m, uint32_t id, const struct phrase *p, size_t i)
{
    size_t len;
    int level;
    const uint8_t *opus = phrase_packet(p, i, &len, &level);

    tell_packet(m, id, opus, len, level);
}

static void on_packet(uint32_t utterance, const uint8_t *opus, size_t len, int level, void *arg)
{
    struct mouth *m = arg;

    if (utterance == m->keep.utterance && m->keep.key)
        mouth_keep_packet(&m->keep, opus, len, level);
    if (utterance == m->keep.utterance && m->keep.for_cache_only)
        return;
    tell_packet(m, utterance, opus, len, level);
}

static void on_aligned(uint32_t utterance, const char *text, size_t len, int start_ms, int end_ms,
                       void *arg)
{
    struct mouth *m = arg;

    if (m->ev && m->ev->aligned && !(utterance == m->keep.utterance && m->keep.for_cache_only))
        m->ev->aligned(utterance, text, len, start_ms, end_ms, m->arg);
}

static void on_done(uint32_t utterance, int err, int64_t characters, void *arg)
{
    struct mouth *m = arg;
    bool only = utterance == m->keep.utterance && m->keep.for_cache_only;

    m->characters += characters;
    mouth_speaking_drop(m, utterance);
    if (m->first)
        mouth_queue_soon(m);
    if (utterance == m->keep.utterance)
        mouth_keep_done(m, err);
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

static void on_returned(void *arg)
{
    ((struct mouth *)arg)->substituted = false;
}

static void on_provider_failed(const struct provider_failure *f, void *arg)
{
    struct mouth *m = arg;
    struct unheard *u = &m->unheard;

    if (m->ev && m->ev->provider_failed) {
        m->ev->provider_failed(f, m->arg);
        return;
    }
    u->there = true;
    u->f = *f;
    pat_strcpy(u->model, sizeof u->model, f->model ? f->model : "");
    pat_strcpy(u->detail, sizeof u->detail, f->detail ? f->detail : "");
    u->f.model = u->model;
    u->f.detail = u->detail;
}

static const struct tts_events tts_events = {
    .audio = on_audio,
    .packet = on_packet,
    .aligned = on_aligned,
    .done = on_done,
    .fell_back = on_fell_back,
    .returned = on_returned,
    .provider_failed = on_provider_failed,
};

int mouth_new(struct mouth **out, const struct mouth_opts *o)
{
    struct mouth *m = calloc(1, sizeof *m);
    const struct provider *by;
    int err;

    if (!m)
        return PAT_ENOMEM;
    m->phrases = o->phrases;
    m->voice = o->tts->voice;
    m->gain = o->gain;
    m->any_voice = o->any_voice;
    by = tts_hops_first(providers_of(o->tts->providers, PROVIDER_TTS), m->voice.provider);
    pat_strcpy(m->model, sizeof m->model, by ? by->model : "");
    pat_strcpy(m->language, sizeof m->language, o->tts->language ? o->tts->language : "");
    m->loop = o->loop;
    m->scope = strdup(o->scope ? o->scope : "");
    if (!m->scope) {
        free(m);
        return PAT_ENOMEM;
    }
    err = tts_open(&m->tts, o->loop, o->net, o->http, o->tts, &tts_events, m);
    if (err) {
        free(m->scope);
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
    mouth_queue_clear(m);
    mouth_keep_clear(&m->keep);
    free(m->prepare);
    free(m->scope);
    free(m);
}

void mouth_listen(struct mouth *m, const struct mouth_events *ev, void *arg)
{
    m->ev = ev;
    m->arg = arg;
    if (ev && ev->provider_failed && m->unheard.there) {
        m->unheard.there = false;
        ev->provider_failed(&m->unheard.f, arg);
    }
}

char *mouth_key(const struct mouth *m, const char *text)
{
    const struct voice *v = &m->voice;
    struct pat_buf b;

    pat_buf_init(&b, KEY_MAX);
    pat_buf_addf(&b, "%s|", own_words_has(text, m->language) ? "" : m->scope);
    pat_buf_addf(&b, "%d|%s|%g|%g|%g|%g|%d|%s|%s|%g|%s", (int)v->provider, v->id, v->stability,
                 v->similarity, v->style, v->speed, v->speaker_boost, m->model, m->language,
                 m->gain, text);
    return pat_buf_take(&b);
}

struct phrase *mouth_known(struct mouth *m, const char *text)
{
    char *key = mouth_key(m, text);
    struct phrase *p = key ? phrases_get(m->phrases, key) : NULL;

    free(key);
    return p;
}

uint32_t mouth_next_id(struct mouth *m)
{
    return ++m->last_id;
}

int64_t mouth_characters(const struct mouth *m)
{
    return m->characters;
}

const char *mouth_provider(const struct mouth *m)
{
    return provider_vendor_name(tts_speaks(m->tts)->by->vendor);
}

const char *mouth_model(const struct mouth *m)
{
    return m->model;
}

const char *mouth_voice(const struct mouth *m)
{
    return tts_speaks(m->tts)->voice.id;
}

const char *mouth_account(const struct mouth *m)
{
    return tts_speaks(m->tts)->by->name;
}

int64_t mouth_saved(const struct mouth *m)
{
    return m->saved;
}

size_t mouth_used(const struct mouth *m, struct provider_used *out, size_t max)
{
    return tts_used(m->tts, out, max);
}

int64_t mouth_hits(const struct mouth *m)
{
    return m->hits;
}
