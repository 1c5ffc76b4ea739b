/* mouth_keep.c - what becomes a phrase of the cache: sound kept beside its way to the listener, and
 * phrases prepared for nobody yet.
 *
 * One utterance at a time, at most half a minute of it; what another voice spoke in place of ours
 * is not kept. Keeping never holds up what is heard: what cannot be kept is given up.
 */
#include "mouth_int.h"

#include "sound.h"

#include <stdlib.h>
#include <string.h>

enum {
    KEEP_MAX = 30 * 1000 * SOUND_PER_MS,
    TRIM_PACKETS = 15, /* leading silence not kept */
};

void mouth_keep_clear(struct keep *k)
{
    free(k->key);
    free(k->samples);
    phrase_unref(k->packets);
    memset(k, 0, sizeof *k);
}

/* It will not be kept; whoever listens hears it all the same. */
static void keep_give_up(struct keep *k)
{
    free(k->samples);
    free(k->key);
    phrase_unref(k->packets);
    k->samples = NULL;
    k->n = k->cap = 0;
    k->key = NULL;
    k->packets = NULL;
}

void mouth_keep_add(struct keep *k, const int16_t *samples, size_t n)
{
    if (k->packets) { /* half packets, half samples: two voices */
        keep_give_up(k);
        return;
    }
    if (k->n + n > k->cap) {
        size_t cap = k->cap ? 2 * k->cap : 4 * 48000;
        int16_t *more;
        while (cap < k->n + n)
            cap *= 2;
        more = cap <= 2 * (size_t)KEEP_MAX ? realloc(k->samples, cap * sizeof *more) : NULL;
        if (!more) { /* too long, or no memory */
            keep_give_up(k);
            return;
        }
        k->samples = more;
        k->cap = cap;
    }
    memcpy(k->samples + k->n, samples, n * sizeof *samples);
    k->n += n;
}

void mouth_keep_packet(struct keep *k, const uint8_t *opus, size_t len, int level)
{
    if (!k->packets && level > SOUND_FAINT && k->trimmed < TRIM_PACKETS) {
        k->trimmed++;
        return;
    }
    if (k->samples || (!k->packets && phrase_new(&k->packets)) ||
        phrase_add(k->packets, opus, len, level))
        keep_give_up(k);
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

    mouth_keep_clear(&m->keep);
    told(m, p);
}

static bool worth_keeping(const struct mouth *m, int err)
{
    const struct keep *k = &m->keep;

    return !err && (m->any_voice || (!m->substituted && tts_speaks(m->tts)->own)) && k->key &&
           (k->n || k->packets);
}

static void keep_packets(struct mouth *m)
{
    struct phrase *p = phrase_ref(m->keep.packets);
    bool only = m->keep.for_cache_only;

    phrases_put(m->phrases, m->keep.key, p);
    mouth_keep_clear(&m->keep);
    if (only)
        told(m, p);
    phrase_unref(p);
}

void mouth_keep_done(struct mouth *m, int err)
{
    struct keep *k = &m->keep;
    bool only = k->for_cache_only;
    int16_t *samples = k->samples;

    if (worth_keeping(m, err) && k->packets) {
        keep_packets(m);
        return;
    }
    k->samples = NULL;
    if (!worth_keeping(m, err)) {
        free(samples);
        mouth_keep_clear(k);
        if (only)
            told(m, NULL);
        return;
    }
    k->utterance = 0;
    err = phrases_make(m->phrases, k->key, samples, k->n, m->gain, only ? on_encoded : NULL, m);
    if (!only || err)
        mouth_keep_clear(k);
    if (only && err)
        told(m, NULL);
}

/* ---- preparing ---- */

static int prepare(struct mouth *m, const char *text)
{
    uint32_t id = mouth_next_id(m);
    int err;

    m->keep.utterance = id;
    m->keep.for_cache_only = true;
    err = mouth_speak(m, id, text, strlen(text));
    if (err)
        mouth_keep_clear(&m->keep);
    return err;
}

static void on_prepare_loaded(struct phrase *p, void *arg)
{
    struct mouth *m = arg;
    char *text = m->prepare;

    m->prepare = NULL;
    m->loading = false;
    if (p)
        mouth_keep_clear(&m->keep);
    if (p || prepare(m, text))
        told(m, p);
    free(text);
    if (m->first)
        mouth_queue_soon(m);
}

static bool prepare_from_disk(struct mouth *m, const char *text)
{
    if (m->loading || !phrases_on_disk(m->phrases, m->keep.key) || !(m->prepare = strdup(text)))
        return false;
    if (phrases_load(m->phrases, m->keep.key, on_prepare_loaded, m)) {
        free(m->prepare);
        m->prepare = NULL;
        return false;
    }
    m->loading = m->keep.for_cache_only = true;
    return true;
}

int mouth_prepare(struct mouth *m, const char *text)
{
    if (m->keep.utterance || m->keep.key)
        return PAT_EAGAIN;
    m->keep.key = mouth_key(m, text);
    if (!m->keep.key)
        return PAT_ENOMEM;
    return prepare_from_disk(m, text) ? PAT_OK : prepare(m, text);
}

bool mouth_preparing(const struct mouth *m)
{
    return m->keep.for_cache_only;
}

bool mouth_listen_in(struct mouth *m, uint32_t *utterance)
{
    struct keep *k = &m->keep;

    if (!k->for_cache_only || !k->utterance || !k->key)
        return false;
    k->for_cache_only = false;
    *utterance = k->utterance;
    return true;
}

/* Each event may end it all: the utterance is looked at again. */
void mouth_replay(struct mouth *m)
{
    uint32_t id = m->keep.utterance;
    struct phrase *p = phrase_ref(m->keep.packets);

    if (m->keep.n && m->ev && m->ev->audio)
        m->ev->audio(id, m->keep.samples, m->keep.n, m->arg);
    for (size_t i = 0; p && i < phrase_packets(p) && m->keep.utterance == id; i++)
        mouth_tell_packet(m, id, p, i);
    phrase_unref(p);
}
