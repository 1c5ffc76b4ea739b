/* phrase.c - packets behind one another in one buffer, and a list with the last used in front.
 *
 * The encoder works on a pool thread, on a job that only it touches until it is done.
 */
#include "phrase.h"

#include "../speech/opusio.h"
#include "sound.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_PACKETS = 3000, /* one minute */
    MAX_BYTES = 512 * 1024,
    COMPLEXITY = 5, /* made once, heard often */
    TRIM_MAX = 300 * SOUND_PER_MS,
};

struct mark {
    uint32_t at;
    uint16_t len;
    uint8_t level;
};

struct phrase {
    int refs;
    struct pat_buf bytes;
    struct mark *marks;
    size_t n, cap;
};

struct entry {
    struct entry *next, *prev;
    uint8_t key[32];
    struct phrase *phrase;
    size_t bytes;
};

struct job {
    struct phrases *cache; /* NULL: it is gone */
    struct job *next, *prev;
    uint8_t key[32];
    int16_t *samples;
    size_t n;
    double gain;
    struct phrase *phrase; /* the result */
    phrases_fn *done;
    void *arg;
};

struct phrases {
    struct pat_loop *loop;
    size_t max_bytes, bytes;
    struct entry *first, *last; /* used last .. longest ago */
    struct job *jobs;
};

int phrase_new(struct phrase **out)
{
    struct phrase *p = calloc(1, sizeof *p);

    if (!p)
        return PAT_ENOMEM;
    p->refs = 1;
    pat_buf_init(&p->bytes, MAX_BYTES);
    *out = p;
    return PAT_OK;
}

struct phrase *phrase_ref(struct phrase *p)
{
    if (p)
        p->refs++;
    return p;
}

void phrase_unref(struct phrase *p)
{
    if (!p || --p->refs)
        return;
    pat_buf_fini(&p->bytes);
    free(p->marks);
    free(p);
}

int phrase_add(struct phrase *p, const uint8_t *opus, size_t len, int level)
{
    if (p->n == MAX_PACKETS || len > UINT16_MAX)
        return PAT_E2BIG;
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 128;
        struct mark *marks = realloc(p->marks, cap * sizeof *marks);
        if (!marks)
            return PAT_ENOMEM;
        p->marks = marks;
        p->cap = cap;
    }
    p->marks[p->n] = (struct mark){ (uint32_t)p->bytes.len, (uint16_t)len, (uint8_t)level };
    if (pat_buf_add(&p->bytes, opus, len))
        return p->bytes.err;
    p->n++;
    return PAT_OK;
}

int64_t phrase_ms(const struct phrase *p)
{
    return (int64_t)p->n * OPUSIO_FRAME / SOUND_PER_MS;
}

size_t phrase_packets(const struct phrase *p)
{
    return p->n;
}

const uint8_t *phrase_packet(const struct phrase *p, size_t i, size_t *len, int *level)
{
    *len = p->marks[i].len;
    *level = p->marks[i].level;
    return (const uint8_t *)p->bytes.data + p->marks[i].at;
}

int phrases_new(struct phrases **out, struct pat_loop *l, size_t max_bytes)
{
    struct phrases *c = calloc(1, sizeof *c);

    if (!c)
        return PAT_ENOMEM;
    c->loop = l;
    c->max_bytes = max_bytes;
    *out = c;
    return PAT_OK;
}

static void unlink_entry(struct phrases *c, struct entry *e)
{
    *(e->prev ? &e->prev->next : &c->first) = e->next;
    *(e->next ? &e->next->prev : &c->last) = e->prev;
}

static void push_front(struct phrases *c, struct entry *e)
{
    e->prev = NULL;
    e->next = c->first;
    *(c->first ? &c->first->prev : &c->last) = e;
    c->first = e;
}

static void drop(struct phrases *c, struct entry *e)
{
    unlink_entry(c, e);
    c->bytes -= e->bytes;
    phrase_unref(e->phrase);
    free(e);
}

void phrases_free(struct phrases *c)
{
    if (!c)
        return;
    while (c->first)
        drop(c, c->first);
    for (struct job *j = c->jobs; j; j = j->next)
        j->cache = NULL;
    free(c);
}

static struct entry *find(struct phrases *c, const uint8_t key[32])
{
    struct entry *e = c->first;

    while (e && memcmp(e->key, key, 32) != 0)
        e = e->next;
    return e;
}

struct phrase *phrases_get(struct phrases *c, const char *key)
{
    uint8_t hash[32];
    struct entry *e;

    pat_sha256(key, strlen(key), hash);
    e = find(c, hash);
    if (!e)
        return NULL;
    unlink_entry(c, e);
    push_front(c, e);
    return phrase_ref(e->phrase);
}

static void keep(struct phrases *c, const uint8_t key[32], struct phrase *p)
{
    struct entry *e = find(c, key);

    if (e)
        drop(c, e);
    e = calloc(1, sizeof *e);
    if (!e)
        return;
    memcpy(e->key, key, 32);
    e->phrase = phrase_ref(p);
    e->bytes = p->bytes.cap + p->cap * sizeof *p->marks + sizeof *e + sizeof *p;
    c->bytes += e->bytes;
    push_front(c, e);
    while (c->bytes > c->max_bytes && c->last)
        drop(c, c->last);
}

/* Pool thread. */
static int encode_all(struct job *j, struct opusio_enc *enc)
{
    size_t at = sound_leading_silence(j->samples, j->n, TRIM_MAX);
    uint8_t opus[OPUSIO_MAX_PACKET];
    int err = PAT_OK;

    while (!err && at < j->n) {
        int16_t pcm[OPUSIO_FRAME] = { 0 };
        size_t part = j->n - at < OPUSIO_FRAME ? j->n - at : OPUSIO_FRAME;
        int len;

        memcpy(pcm, j->samples + at, part * sizeof *pcm);
        sound_amplify(pcm, part, j->gain);
        len = opusio_encode(enc, pcm, opus);
        err = len < 0 ? len
                      : phrase_add(j->phrase, opus, (size_t)len, sound_level(pcm, OPUSIO_FRAME));
        at += part;
    }
    return err;
}

static void work(void *arg)
{
    struct job *j = arg;
    struct opusio_enc *enc;
    int err = opusio_enc_new(&enc, COMPLEXITY);

    if (!err) {
        err = encode_all(j, enc);
        opusio_enc_free(enc);
    }
    if (err || !j->phrase->n) {
        phrase_unref(j->phrase);
        j->phrase = NULL;
    }
}

static void job_free(struct job *j)
{
    phrase_unref(j->phrase);
    free(j->samples);
    free(j);
}

static void worked(void *arg)
{
    struct job *j = arg;
    struct phrases *c = j->cache;

    if (c) {
        *(j->prev ? &j->prev->next : &c->jobs) = j->next;
        if (j->next)
            j->next->prev = j->prev;
        if (j->phrase)
            keep(c, j->key, j->phrase);
        if (j->done)
            j->done(j->phrase, j->arg);
    }
    job_free(j);
}

int phrases_make(struct phrases *c, const char *key, int16_t *samples_take, size_t n, double gain,
                 phrases_fn *done, void *arg)
{
    struct job *j = calloc(1, sizeof *j);
    int err;

    if (!j) {
        free(samples_take);
        return PAT_ENOMEM;
    }
    pat_sha256(key, strlen(key), j->key);
    j->samples = samples_take;
    j->n = n;
    j->gain = gain;
    j->done = done;
    j->arg = arg;
    err = phrase_new(&j->phrase);
    if (!err)
        err = pat_loop_work(c->loop, work, worked, j);
    if (err) {
        job_free(j);
        return err;
    }
    j->cache = c;
    j->next = c->jobs;
    if (c->jobs)
        c->jobs->prev = j;
    c->jobs = j;
    return PAT_OK;
}

void phrases_forget(struct phrases *c, void *arg)
{
    for (struct job *j = c->jobs; j; j = j->next)
        if (j->arg == arg)
            j->done = NULL;
}

size_t phrases_bytes(const struct phrases *c)
{
    return c->bytes;
}
