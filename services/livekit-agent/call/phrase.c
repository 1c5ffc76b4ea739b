/* phrase.c - packets behind one another in one buffer, and a list with the last used in front.
 *
 * Encoder and files work on a pool thread, on a job that only it touches until it is done. Which
 * files there are is known from an index that is read again while the directory changes.
 */
#include "phrase.h"

#include "phrase_file.h"

#include "../speech/opusio.h"
#include "sound.h"

#include <stdlib.h>
#include <string.h>

enum {
    MAX_PACKETS = 3000, /* one minute */
    MAX_BYTES = 512 * 1024,
    TRIM_MAX = 300 * SOUND_PER_MS,
    SCAN_MS = 10000, /* what other processes have written is known after so long */
    ASKED = 4096,    /* texts remembered as asked for once */
};
#define TOUCH_US ((int64_t)600 * 1000 * 1000)

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
    uint8_t key[PHRASE_KEY];
    struct phrase *phrase;
    size_t bytes;
    int64_t touched_us; /* its file's time was renewed */
};

struct job {
    struct phrases *cache; /* NULL: it is gone */
    struct job *next, *prev;
    char *dir;  /* of files; NULL: none */
    int err;    /* of the file */
    bool keeps; /* the result belongs into the cache */
    uint8_t key[PHRASE_KEY];
    int16_t *samples;
    size_t n;
    double gain;
    struct phrase *phrase; /* the result, or what is written */
    phrases_fn *done;
    void *arg;
};

struct phrases {
    struct pat_loop *loop;
    size_t max_bytes, bytes;
    struct entry *first, *last; /* used last .. longest ago */
    struct job *jobs;
    char *dir; /* NULL: memory only */
    uint64_t dir_bytes;
    struct phrase_index index;
    struct scan *scan; /* under way */
    struct pat_timer timer;
    uint64_t *asked; /* a table of ASKED, by hash */
    struct pat_counter *hits_memory, *hits_disk, *saved, *file_errors;
};

/* Reads the directory on a pool thread. */
struct scan {
    struct phrases *cache; /* NULL: it is gone */
    char *dir;
    uint64_t max_bytes;
    struct phrase_index index;
    int err;
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

static void scan_free(struct scan *s)
{
    phrase_index_fini(&s->index);
    free(s->dir);
    free(s);
}

static void scan_work(void *arg)
{
    struct scan *s = arg;

    s->err = phrase_dir_scan(s->dir, s->max_bytes, &s->index);
}

static void scanned(void *arg)
{
    struct scan *s = arg;
    struct phrases *c = s->cache;

    if (c) {
        c->scan = NULL;
        if (!s->err) {
            phrase_index_fini(&c->index);
            c->index = s->index;
            s->index = (struct phrase_index){ 0 };
        } else if (s->err != PAT_EEXIST) {
            pat_counter_add(c->file_errors, 1);
            pat_log(PAT_WARN, "phrases.not_scanned", PAT_ERR(s->err));
        }
        pat_timer_start(&c->timer, SCAN_MS);
    }
    scan_free(s);
}

static void scan_now(void *arg)
{
    struct phrases *c = arg;
    struct scan *s = calloc(1, sizeof *s);

    if (s && (s->dir = strdup(c->dir)) != NULL) {
        s->cache = c;
        s->max_bytes = c->dir_bytes;
        s->index.changed_ns = c->index.changed_ns;
        c->scan = s;
        if (pat_loop_work(c->loop, scan_work, scanned, s) == PAT_OK)
            return;
        c->scan = NULL;
    }
    if (s)
        scan_free(s);
    pat_timer_start(&c->timer, SCAN_MS);
}

/* A directory that cannot be had costs money, not calls. */
static int open_dir(struct phrases *c, const struct phrases_opts *o)
{
    int err = phrase_dir_make(o->dir);

    if (err) {
        pat_log(PAT_ERROR, "phrases.no_directory", PAT_S("dir", o->dir), PAT_ERR(err));
        return PAT_OK;
    }
    c->dir = strdup(o->dir);
    c->dir_bytes = o->dir_bytes;
    if (!c->dir)
        return PAT_ENOMEM;
    scan_now(c);
    return PAT_OK;
}

static void make_counters(struct phrases *c, struct pat_metrics *m)
{
    static const char name[] = "pat_agent_phrase_hits_total";
    static const char help[] = "Sentences spoken from the phrase cache";

    c->hits_memory = pat_counter(m, name, help, "from=\"memory\"");
    c->hits_disk = pat_counter(m, name, help, "from=\"disk\"");
    c->saved = pat_counter(m, "pat_agent_phrase_saved_characters_total",
                           "Characters no voice was paid for, thanks to the phrase cache", NULL);
    c->file_errors = pat_counter(m, "pat_agent_phrase_file_errors_total",
                                 "Phrase files that were damaged or could not be written", NULL);
}

int phrases_new(struct phrases **out, struct pat_loop *l, const struct phrases_opts *o)
{
    struct phrases *c = calloc(1, sizeof *c);
    int err = PAT_ENOMEM;

    if (!c)
        return err;
    c->loop = l;
    c->max_bytes = o->max_bytes;
    c->asked = calloc(ASKED, sizeof *c->asked);
    if (c->asked)
        err = pat_timer_init(&c->timer, l, scan_now, c);
    if (err) {
        free(c->asked);
        free(c);
        return err;
    }
    make_counters(c, o->metrics);
    if (o->dir && *o->dir && (err = open_dir(c, o)) != PAT_OK) {
        phrases_free(c);
        return err;
    }
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
    if (c->scan)
        c->scan->cache = NULL;
    pat_timer_fini(&c->timer);
    phrase_index_fini(&c->index);
    free(c->asked);
    free(c->dir);
    free(c);
}

static struct entry *find(struct phrases *c, const uint8_t key[PHRASE_KEY])
{
    struct entry *e = c->first;

    while (e && memcmp(e->key, key, PHRASE_KEY) != 0)
        e = e->next;
    return e;
}

static void touch(struct phrases *c, struct entry *e);

struct phrase *phrases_get(struct phrases *c, const char *key)
{
    uint8_t hash[PHRASE_KEY];
    struct entry *e;

    pat_sha256(key, strlen(key), hash);
    e = find(c, hash);
    if (!e)
        return NULL;
    unlink_entry(c, e);
    push_front(c, e);
    if (c->dir && pat_now_us() - e->touched_us > TOUCH_US)
        touch(c, e);
    return phrase_ref(e->phrase);
}

static void keep(struct phrases *c, const uint8_t key[PHRASE_KEY], struct phrase *p)
{
    struct entry *e = find(c, key);

    if (e)
        drop(c, e);
    e = calloc(1, sizeof *e);
    if (!e)
        return;
    memcpy(e->key, key, PHRASE_KEY);
    e->touched_us = pat_now_us();
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

/* Pool threads, each of these three. */
static void encode_work(void *arg)
{
    struct job *j = arg;
    struct opusio_enc *enc;
    int err = opusio_enc_for(&enc, OPUSIO_KEPT);

    if (!err) {
        err = encode_all(j, enc);
        opusio_enc_free(enc);
    }
    if (err || !j->phrase->n) {
        phrase_unref(j->phrase);
        j->phrase = NULL;
    } else if (j->dir) {
        j->err = phrase_file_write(j->dir, j->key, j->phrase);
    }
}

static void read_work(void *arg)
{
    struct job *j = arg;

    j->err = phrase_file_read(j->dir, j->key, &j->phrase);
}

static void write_work(void *arg)
{
    struct job *j = arg;

    j->err = phrase_file_write(j->dir, j->key, j->phrase);
}

static void job_free(struct job *j)
{
    phrase_unref(j->phrase);
    free(j->samples);
    free(j->dir);
    free(j);
}

static void tell_file(struct phrases *c, const struct job *j)
{
    if (j->err && j->err != PAT_ENOENT) {
        pat_counter_add(c->file_errors, 1);
        pat_log(PAT_WARN, "phrases.file", PAT_ERR(j->err));
    } else if (!j->err && j->dir && j->phrase) {
        (void)phrase_index_add(&c->index, j->key);
    }
}

static void worked(void *arg)
{
    struct job *j = arg;
    struct phrases *c = j->cache;

    if (c) {
        *(j->prev ? &j->prev->next : &c->jobs) = j->next;
        if (j->next)
            j->next->prev = j->prev;
        tell_file(c, j);
        if (j->phrase && j->keeps)
            keep(c, j->key, j->phrase);
        if (j->done)
            j->done(j->phrase, j->arg);
    }
    job_free(j);
}

static struct job *job_new(struct phrases *c, const uint8_t key[PHRASE_KEY], phrases_fn *done,
                           void *arg)
{
    struct job *j = calloc(1, sizeof *j);

    if (!j)
        return NULL;
    memcpy(j->key, key, PHRASE_KEY);
    j->keeps = true;
    j->done = done;
    j->arg = arg;
    if (c->dir && !(j->dir = strdup(c->dir))) {
        free(j);
        return NULL;
    }
    return j;
}

static int job_start(struct phrases *c, struct job *j, pat_loop_fn *work)
{
    int err = pat_loop_work(c->loop, work, worked, j);

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

static void touch_work(void *arg)
{
    struct job *j = arg;

    phrase_file_touch(j->dir, j->key);
}

/* What is heard out of memory is not forgotten on disk. */
static void touch(struct phrases *c, struct entry *e)
{
    struct job *j = job_new(c, e->key, NULL, NULL);

    e->touched_us = pat_now_us();
    if (!j)
        return;
    j->keeps = false;
    (void)job_start(c, j, touch_work);
}

int phrases_make(struct phrases *c, const char *key, int16_t *samples_take, size_t n, double gain,
                 phrases_fn *done, void *arg)
{
    uint8_t hash[PHRASE_KEY];
    struct job *j;

    pat_sha256(key, strlen(key), hash);
    j = job_new(c, hash, done, arg);
    if (!j) {
        free(samples_take);
        return PAT_ENOMEM;
    }
    j->samples = samples_take;
    j->n = n;
    j->gain = gain;
    if (phrase_new(&j->phrase)) {
        job_free(j);
        return PAT_ENOMEM;
    }
    return job_start(c, j, encode_work);
}

int phrases_load(struct phrases *c, const char *key, phrases_fn *done, void *arg)
{
    uint8_t hash[PHRASE_KEY];
    struct job *j;

    if (!c->dir)
        return PAT_ENOENT;
    pat_sha256(key, strlen(key), hash);
    j = job_new(c, hash, done, arg);
    return j ? job_start(c, j, read_work) : PAT_ENOMEM;
}

void phrases_put(struct phrases *c, const char *key, struct phrase *p)
{
    uint8_t hash[PHRASE_KEY];
    struct job *j;

    pat_sha256(key, strlen(key), hash);
    keep(c, hash, p);
    j = c->dir ? job_new(c, hash, NULL, NULL) : NULL;
    if (!j)
        return;
    j->keeps = false; /* it is kept already */
    j->phrase = phrase_ref(p);
    if (job_start(c, j, write_work))
        pat_counter_add(c->file_errors, 1);
}

bool phrases_on_disk(const struct phrases *c, const char *key)
{
    uint8_t hash[PHRASE_KEY];

    if (!c->dir)
        return false;
    pat_sha256(key, strlen(key), hash);
    return phrase_index_has(&c->index, hash);
}

bool phrases_asked_before(struct phrases *c, const char *key)
{
    uint8_t hash[PHRASE_KEY];
    uint64_t v;
    bool before;

    pat_sha256(key, strlen(key), hash);
    memcpy(&v, hash, sizeof v);
    before = c->asked[v % ASKED] == v;
    c->asked[v % ASKED] = v;
    return before;
}

void phrases_count_hit(struct phrases *c, bool from_disk, int64_t characters)
{
    pat_counter_add(from_disk ? c->hits_disk : c->hits_memory, 1);
    pat_counter_add(c->saved, (double)characters);
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
