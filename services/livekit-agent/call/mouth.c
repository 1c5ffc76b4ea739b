/* mouth.c - the synthesiser with a memory.
 *
 * What is said stands in a queue in front of the synthesiser: a text that may be in the cache waits
 * there until it is known to be, and until those before it are done. Sound of an utterance to be
 * kept is collected beside its way to the listener, at most half a minute of it; what another voice
 * spoke in place of ours is not kept.
 */
#include "mouth.h"

#include "prompt.h"

#include "sound.h"

#include <stdlib.h>
#include <string.h>

enum {
    KEEP_MAX = 30 * 1000 * SOUND_PER_MS,
    KEY_MAX = 8 * 1024,
    TRIM_PACKETS = 15, /* leading silence not kept */
    AT_ONCE = 16,      /* utterances with the synthesiser; nobody gives it more */
};

struct keep {
    uint32_t utterance; /* 0: none */
    bool for_cache_only;
    char *key;
    int16_t *samples;
    size_t n, cap;
    struct phrase *packets; /* in place of samples */
    int trimmed;
};

/* Said, but not yet given to the synthesiser. */
struct line {
    struct line *next;
    uint32_t id;
    bool keep, looked; /* looked: it is not in the directory */
    struct phrase *phrase;
    bool from_disk;
    char *key;
    char text[];
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
    char *scope;
    struct pat_loop *loop;
    struct pat_task task; /* the queue moves on */
    struct line *first;
    bool loading;               /* the first of the queue, or what is prepared */
    char *prepare;              /* text, while it is looked for in the directory */
    uint32_t speaking[AT_ONCE]; /* with the synthesiser; 0: free */
    int64_t characters, saved, hits;
};

static void keep_clear(struct keep *k)
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

static void keep_add(struct keep *k, const int16_t *samples, size_t n)
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

static void keep_packet(struct keep *k, const uint8_t *opus, size_t len, int level)
{
    if (!k->packets && level > SOUND_FAINT && k->trimmed < TRIM_PACKETS) {
        k->trimmed++;
        return;
    }
    if (k->samples || (!k->packets && phrase_new(&k->packets)) ||
        phrase_add(k->packets, opus, len, level))
        keep_give_up(k);
}

static void on_packet(uint32_t utterance, const uint8_t *opus, size_t len, int level, void *arg)
{
    struct mouth *m = arg;

    if (utterance == m->keep.utterance && m->keep.key)
        keep_packet(&m->keep, opus, len, level);
    if (utterance == m->keep.utterance && m->keep.for_cache_only)
        return;
    if (m->ev && m->ev->packet)
        m->ev->packet(utterance, opus, len, level, m->arg);
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
    const struct keep *k = &m->keep;

    return !err && (m->any_voice || (!m->substituted && tts_speaks(m->tts)->own)) && k->key &&
           (k->n || k->packets);
}

static void keep_packets(struct mouth *m)
{
    struct phrase *p = phrase_ref(m->keep.packets);
    bool only = m->keep.for_cache_only;

    phrases_put(m->phrases, m->keep.key, p);
    keep_clear(&m->keep);
    if (only)
        told(m, p);
    phrase_unref(p);
}

static void keep_done(struct mouth *m, int err)
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

/* ---- what is with the synthesiser ---- */

static void speaking_add(struct mouth *m, uint32_t id)
{
    for (int i = 0; i < AT_ONCE; i++)
        if (!m->speaking[i]) {
            m->speaking[i] = id;
            return;
        }
}

static bool speaking_drop(struct mouth *m, uint32_t id)
{
    for (int i = 0; i < AT_ONCE; i++)
        if (m->speaking[i] == id) {
            m->speaking[i] = 0;
            return true;
        }
    return false;
}

static bool speaking_any(const struct mouth *m)
{
    for (int i = 0; i < AT_ONCE; i++)
        if (m->speaking[i])
            return true;
    return false;
}

static void on_queue(void *arg);

static void queue_soon(struct mouth *m)
{
    pat_loop_next_turn(m->loop, &m->task, on_queue, m);
}

static void on_done(uint32_t utterance, int err, int64_t characters, void *arg)
{
    struct mouth *m = arg;
    bool only = utterance == m->keep.utterance && m->keep.for_cache_only;

    m->characters += characters;
    (void)speaking_drop(m, utterance);
    if (m->first)
        queue_soon(m);
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

static void on_returned(void *arg)
{
    ((struct mouth *)arg)->substituted = false;
}

static void on_provider_failed(const struct provider_failure *f, void *arg)
{
    struct mouth *m = arg;

    if (m->ev && m->ev->provider_failed)
        m->ev->provider_failed(f, m->arg);
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

/* The first of the queue. */
static void line_free(struct mouth *m)
{
    struct line *l = m->first;

    m->first = l->next;
    phrase_unref(l->phrase);
    free(l->key);
    free(l);
}

void mouth_free(struct mouth *m)
{
    if (!m)
        return;
    tts_close(m->tts);
    phrases_forget(m->phrases, m);
    pat_task_cancel(m->loop, &m->task);
    while (m->first)
        line_free(m);
    keep_clear(&m->keep);
    free(m->prepare);
    free(m->scope);
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
    pat_buf_addf(&b, "%s|", prompt_is_ours(text, m->language) ? "" : m->scope);
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

    if (!err) {
        speaking_add(m, id);
        tts_end(m->tts, id);
    }
    return err;
}

/* ---- the queue ---- */

static int64_t count_characters(const char *text)
{
    int64_t n = 0;

    for (; *text; text++)
        n += ((uint8_t)*text & 0xC0) != 0x80;
    return n;
}

static void count_hit(struct mouth *m, const char *text, bool from_disk)
{
    int64_t n = count_characters(text);

    m->hits++;
    m->saved += n;
    phrases_count_hit(m->phrases, from_disk, n);
}

void mouth_count_hit(struct mouth *m, const char *text)
{
    count_hit(m, text, false);
}

/* The first of the queue sounds, all at once; any event may cancel it or free the queue. */
static void play_first(struct mouth *m)
{
    struct phrase *p = phrase_ref(m->first->phrase);
    uint32_t id = m->first->id;

    count_hit(m, m->first->text, m->first->from_disk);
    for (size_t i = 0; i < phrase_packets(p) && m->first && m->first->id == id; i++) {
        size_t len;
        int level;
        const uint8_t *opus = phrase_packet(p, i, &len, &level);

        if (m->ev && m->ev->packet)
            m->ev->packet(id, opus, len, level, m->arg);
    }
    phrase_unref(p);
    if (!m->first || m->first->id != id)
        return;
    line_free(m);
    if (m->ev && m->ev->done)
        m->ev->done(id, PAT_OK, m->arg);
}

/* The first of the queue goes to the synthesiser; it has left the queue, also when that failed. */
static int speak_first(struct mouth *m)
{
    struct line *l = m->first;
    uint32_t id = l->id;
    int err;

    if ((l->keep || phrases_asked_before(m->phrases, l->key)) && !m->keep.utterance &&
        !m->keep.key) {
        m->keep.utterance = id;
        m->keep.key = l->key;
        l->key = NULL;
    }
    err = say(m, id, l->text, strlen(l->text));
    line_free(m);
    if (err && m->keep.utterance == id)
        keep_clear(&m->keep);
    return err;
}

static void on_loaded(struct phrase *p, void *arg)
{
    struct mouth *m = arg;

    m->loading = false;
    if (m->first) {
        m->first->looked = true; /* or what came in its place: it is looked up in memory again */
        m->first->from_disk = p != NULL;
    }
    on_queue(m);
}

/* True: the queue has moved. */
static bool queue_step(struct mouth *m)
{
    struct line *l = m->first;

    if (!l->phrase)
        l->phrase = phrases_get(m->phrases, l->key);
    if (!l->phrase && !l->looked && phrases_on_disk(m->phrases, l->key) &&
        phrases_load(m->phrases, l->key, on_loaded, m) == PAT_OK) {
        m->loading = true;
        return false;
    }
    if (!l->phrase) {
        uint32_t id = l->id;
        int err = speak_first(m);

        if (err && m->ev && m->ev->done)
            m->ev->done(id, err, m->arg);
        return true;
    }
    if (speaking_any(m))
        return false; /* on_done goes on */
    play_first(m);
    return true;
}

static void on_queue(void *arg)
{
    struct mouth *m = arg;

    while (m->first && !m->loading && queue_step(m))
        ;
}

int mouth_say(struct mouth *m, const char *text, size_t len, bool keep, uint32_t *utterance)
{
    struct line *l = calloc(1, sizeof *l + len + 1), **at = &m->first;
    bool direct = !m->first;

    if (!l)
        return PAT_ENOMEM;
    memcpy(l->text, text, len);
    l->key = key_of(m, l->text);
    if (!l->key) {
        free(l);
        return PAT_ENOMEM;
    }
    l->keep = keep;
    l->id = *utterance = mouth_next_id(m);
    while (*at)
        at = &(*at)->next;
    *at = l;
    l->phrase = phrases_get(m->phrases, l->key);
    if (direct && !l->phrase && !phrases_on_disk(m->phrases, l->key))
        return speak_first(m); /* nothing to wait for */
    queue_soon(m);
    return PAT_OK;
}

/* ---- preparing ---- */

static int prepare(struct mouth *m, const char *text)
{
    uint32_t id = mouth_next_id(m);
    int err;

    m->keep.utterance = id;
    m->keep.for_cache_only = true;
    err = say(m, id, text, strlen(text));
    if (err)
        keep_clear(&m->keep);
    return err;
}

static void on_prepare_loaded(struct phrase *p, void *arg)
{
    struct mouth *m = arg;
    char *text = m->prepare;

    m->prepare = NULL;
    m->loading = false;
    if (p)
        keep_clear(&m->keep);
    if (p || prepare(m, text))
        told(m, p);
    free(text);
    if (m->first)
        queue_soon(m);
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
    m->keep.key = key_of(m, text);
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
    for (size_t i = 0; p && i < phrase_packets(p) && m->keep.utterance == id; i++) {
        size_t len;
        int level;
        const uint8_t *opus = phrase_packet(p, i, &len, &level);

        if (m->ev && m->ev->packet)
            m->ev->packet(id, opus, len, level, m->arg);
    }
    phrase_unref(p);
}

uint32_t mouth_next_id(struct mouth *m)
{
    return ++m->last_id;
}

void mouth_cancel(struct mouth *m, uint32_t utterance)
{
    struct line **at = &m->first;

    if (utterance == m->keep.utterance)
        keep_clear(&m->keep);
    while (*at && (*at)->id != utterance)
        at = &(*at)->next;
    if (*at) {
        struct line *l = *at;

        *at = l->next;
        phrase_unref(l->phrase);
        free(l->key);
        free(l);
    } else {
        (void)speaking_drop(m, utterance);
        tts_cancel(m->tts, utterance);
    }
    if (m->first)
        queue_soon(m);
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

int64_t mouth_hits(const struct mouth *m)
{
    return m->hits;
}
