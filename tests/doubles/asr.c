/* asr.c - see asr.h.
 *
 * How: an utterance owns a decoder from its first sound to its end. What a job works on (decoder,
 * batch, result) belongs to the pool thread until the job is done; the loop only adds to the next
 * batch. It does not find where speech begins or ends: deepgram.c does. */
#include "asr.h"

#include "phrases.h"
#include "synth.h"

#include <math.h>
#include <pocketsphinx.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_DECODERS = 6 /* of each kind */,
    BATCH = 1600,
    MAX_WORDS = 120,
    FRAME_MS = 10,
    SAMPLES_PER_MS = 16
};
#define MAX_SAMPLES ((size_t)16000 * 60)
#define MODEL       "/usr/share/pocketsphinx/model/en-us/"

struct grammar {
    int refs;
    unsigned id;
    struct phrases *phrases;
    char *jsgf;
};

struct decoder {
    ps_decoder_t *ps;
    bool with_grammar, busy;
    unsigned grammar_id; /* set in ps */
    struct decoder *next;
};

struct asr_utt {
    struct asr *asr;
    asr_fn *fn; /* NULL: canceled */
    void *arg;
    struct grammar *grammar; /* NULL: language model */
    struct decoder *dec;
    bool finish, done;
    int16_t *in; /* not yet given to a job */
    size_t n_in, cap_in;
    struct asr_utt *next;
    bool is_told; /* nothing below but words is used then */
    size_t n_told, n_shown;
    int64_t fed;
    bool telephone;
    /* the job's */
    bool running, started, ending;
    uint32_t noise;
    double loud; /* RMS of late */
    int16_t *batch;
    size_t n_batch;
    char text[2000];
    struct asr_word words[MAX_WORDS];
    size_t n_words;
    bool changed;
};

struct asr {
    struct pat_loop *loop;
    struct grammar *grammar;
    unsigned next_grammar;
    struct decoder *decoders;
    struct asr_utt *utts;
    int n_warming;
    bool closed, telephone;
};

static void grammar_unref(struct grammar *g)
{
    if (!g || --g->refs)
        return;
    phrases_free(g->phrases);
    free(g->jsgf);
    free(g);
}

static void utt_free(struct asr_utt *u)
{
    struct asr_utt **at = &u->asr->utts;

    while (*at != u)
        at = &(*at)->next;
    *at = u->next;
    if (u->dec)
        u->dec->busy = false;
    grammar_unref(u->grammar);
    free(u->in);
    free(u->batch);
    free(u);
}

static void asr_free(struct asr *a)
{
    while (a->decoders) {
        struct decoder *d = a->decoders;

        a->decoders = d->next;
        if (d->ps)
            ps_free(d->ps);
        free(d);
    }
    grammar_unref(a->grammar);
    free(a);
}

/* Pool thread, all up to utt_work. */
static ps_decoder_t *decoder_init(bool with_grammar)
{
    cmd_ln_t *conf;
    ps_decoder_t *ps;

    if (with_grammar)
        conf = cmd_ln_init(NULL, ps_args(), TRUE, "-hmm", MODEL "en-us", "-dict",
                           MODEL "cmudict-en-us.dict", "-logfn", "/dev/null", NULL);
    else
        conf = cmd_ln_init(NULL, ps_args(), TRUE, "-hmm", MODEL "en-us", "-dict",
                           MODEL "cmudict-en-us.dict", "-lm", MODEL "en-us.lm.bin", "-logfn",
                           "/dev/null", NULL);
    if (!conf)
        return NULL;
    ps = ps_init(conf);
    cmd_ln_free_r(conf);
    return ps;
}

/* Names and the like: as flite would pronounce them. */
static void add_missing_words(ps_decoder_t *ps, const struct phrases *p)
{
    const char *heard;

    for (size_t i = 0; (heard = phrases_heard(p, i)); i++)
        for (const char *w = heard; *w; w += strspn(w, " ")) {
            char word[64] = "", phones[400], *known;
            size_t len = strcspn(w, " ");

            memcpy(word, w, len < sizeof word ? len : sizeof word - 1);
            w += len;
            known = ps_lookup_word(ps, word);
            if (!known && synth_phones(word, phones, sizeof phones))
                ps_add_word(ps, word, phones, FALSE);
            free(known);
        }
}

static bool decoder_ready(struct decoder *d, const struct grammar *g)
{
    if (!d->ps)
        d->ps = decoder_init(d->with_grammar);
    if (!d->ps)
        return false;
    if (!g || d->grammar_id == g->id)
        return true;
    add_missing_words(d->ps, g->phrases);
    if (ps_set_jsgf_string(d->ps, "g", g->jsgf) || ps_set_search(d->ps, "g"))
        return false;
    d->grammar_id = g->id;
    return true;
}

/* "read(2)" is another pronunciation of "read"; "<sil>" and "[NOISE]" are no words. */
static void read_words(struct asr_utt *u)
{
    u->n_words = 0;
    for (ps_seg_t *s = ps_seg_iter(u->dec->ps); s; s = ps_seg_next(s)) {
        const char *w = ps_seg_word(s);
        struct asr_word *to = &u->words[u->n_words];
        int from, until;

        if (*w == '<' || *w == '[' || *w == '+' || *w == '(' || u->n_words == MAX_WORDS)
            continue;
        ps_seg_frames(s, &from, &until);
        snprintf(to->word, sizeof to->word, "%.*s", (int)strcspn(w, "("), w);
        to->start_ms = from * FRAME_MS;
        to->end_ms = (until + 1) * FRAME_MS;
        u->n_words++;
    }
}

static void read_text(struct asr_utt *u)
{
    int32 score;
    const char *heard = ps_get_hyp(u->dec->ps, &score);

    /* A grammar that was left in the middle has no final text: the last partial one stands. */
    u->changed = heard && strcmp(heard, u->text) != 0;
    if (u->changed)
        snprintf(u->text, sizeof u->text, "%s", heard);
    if (heard)
        read_words(u);
}

/* 34 dB below the voice. */
static void add_noise(struct asr_utt *u)
{
    double sum = 0, peak;

    for (size_t i = 0; i < u->n_batch; i++)
        sum += (double)u->batch[i] * u->batch[i];
    sum = sqrt(sum / (double)u->n_batch);
    u->loud = sum > u->loud * 0.7 ? sum : u->loud * 0.7;
    peak = u->loud / 50 * 1.73;
    for (size_t i = 0; i < u->n_batch; i++) {
        double v;

        u->noise = u->noise * 1664525u + 1013904223u;
        v = u->batch[i] + peak * ((double)(u->noise >> 8) / (1 << 23) - 1);
        u->batch[i] = (int16_t)(v > INT16_MAX ? INT16_MAX : v < INT16_MIN ? INT16_MIN : v);
    }
}

static void utt_work(void *arg)
{
    struct asr_utt *u = arg;

    if (!u->started) {
        if (!decoder_ready(u->dec, u->grammar))
            return;
        ps_start_stream(u->dec->ps); /* else frames go on counting from the last utterance */
        ps_start_utt(u->dec->ps);
        u->started = true;
    }
    if (u->n_batch && u->telephone)
        add_noise(u);
    if (u->n_batch)
        ps_process_raw(u->dec->ps, u->batch, u->n_batch, FALSE, FALSE);
    if (u->ending)
        ps_end_utt(u->dec->ps);
    read_text(u);
}

static void kick_all(struct asr *a);

static void utt_done(void *arg)
{
    struct asr_utt *u = arg;
    struct asr *a = u->asr;
    struct asr_result r = {
        .text = u->text, .words = u->words, .n_words = u->n_words, .final = u->ending
    };

    u->running = false;
    u->n_batch = 0;
    if (u->ending)
        u->done = true;
    if (u->grammar && u->ending)
        r.written = phrases_written(u->grammar->phrases, u->text);
    if (u->fn && (u->ending || u->changed))
        u->fn(&r, u->arg);
    if (!u->fn && !u->ending) { /* canceled: the decoder must be left at rest */
        u->finish = true;
        u->n_in = 0;
    }
    if (u->done)
        utt_free(u);
    if (a->closed && !a->utts && !a->n_warming)
        asr_free(a);
    else
        kick_all(a);
}

static struct decoder *decoder_take(struct asr *a, bool with_grammar)
{
    struct decoder *d;
    int n = 0;

    for (d = a->decoders; d; d = d->next) {
        if (d->with_grammar != with_grammar)
            continue;
        if (!d->busy)
            break;
        n++;
    }
    if (!d && n < MAX_DECODERS) {
        d = calloc(1, sizeof *d);
        if (!d)
            return NULL;
        d->with_grammar = with_grammar;
        d->next = a->decoders;
        a->decoders = d;
    }
    if (d)
        d->busy = true;
    return d;
}

static void kick(struct asr_utt *u)
{
    if (u->running || u->done || (u->n_in < BATCH && !u->finish))
        return;
    if (!u->dec)
        u->dec = decoder_take(u->asr, u->grammar != NULL);
    if (!u->dec)
        return; /* all are busy: utt_done of another kicks */
    free(u->batch);
    u->batch = u->in;
    u->n_batch = u->n_in;
    u->ending = u->finish;
    u->in = NULL;
    u->n_in = u->cap_in = 0;
    u->running = !pat_loop_work(u->asr->loop, utt_work, utt_done, u);
    if (u->running)
        return;
    u->in = u->batch; /* tried again with the next sound */
    u->n_in = u->cap_in = u->n_batch;
    u->batch = NULL;
}

static void kick_all(struct asr *a)
{
    for (struct asr_utt *u = a->utts; u; u = u->next)
        kick(u);
}

struct warming {
    struct asr *asr;
    struct decoder *dec;
    struct grammar *grammar;
};

static void warm_work(void *arg)
{
    struct warming *w = arg;

    (void)decoder_ready(w->dec, w->grammar);
}

static void warm_done(void *arg)
{
    struct warming *w = arg;
    struct asr *a = w->asr;

    w->dec->busy = false;
    grammar_unref(w->grammar);
    free(w);
    a->n_warming--;
    if (a->closed && !a->utts && !a->n_warming)
        asr_free(a);
    else
        kick_all(a);
}

void asr_warm(struct asr *a)
{
    struct warming *w = calloc(1, sizeof *w);

    if (!w)
        return;
    *w = (struct warming){ .asr = a, .grammar = a->grammar };
    w->dec = decoder_take(a, a->grammar != NULL);
    if (!w->dec) {
        free(w);
        return;
    }
    if (w->grammar)
        w->grammar->refs++;
    a->n_warming++;
    if (pat_loop_work(a->loop, warm_work, warm_done, w)) {
        a->n_warming--;
        grammar_unref(w->grammar);
        w->dec->busy = false;
        free(w);
    }
}

int asr_begin(struct asr_utt **out, struct asr *a, asr_fn *fn, void *arg)
{
    struct asr_utt *u = calloc(1, sizeof *u);

    if (!u)
        return PAT_ENOMEM;
    u->asr = a;
    u->fn = fn;
    u->arg = arg;
    u->telephone = a->telephone;
    u->grammar = a->grammar;
    if (u->grammar)
        u->grammar->refs++;
    u->next = a->utts;
    a->utts = u;
    *out = u;
    return PAT_OK;
}

int asr_begin_told(struct asr_utt **out, struct asr *a, const struct asr_word *words, size_t n,
                   asr_fn *fn, void *arg)
{
    struct asr_utt *u;
    int err = asr_begin(&u, a, fn, arg);

    if (err)
        return err;
    u->is_told = true;
    u->n_told = n < MAX_WORDS ? n : MAX_WORDS;
    memcpy(u->words, words, u->n_told * sizeof *words);
    *out = u;
    return PAT_OK;
}

/* The words whose middle has passed. */
static void told(struct asr_utt *u, bool final)
{
    int fed_ms = (int)(u->fed / SAMPLES_PER_MS);
    struct asr_result r = { .text = u->text, .words = u->words, .final = final };
    size_t at = 0;

    *u->text = 0;
    while (u->n_words < u->n_told &&
           (u->words[u->n_words].start_ms + u->words[u->n_words].end_ms) / 2 <= fed_ms)
        u->n_words++;
    if (!final && u->n_words == u->n_shown)
        return;
    for (size_t i = 0; i < u->n_words && at < sizeof u->text; i++)
        at += (size_t)snprintf(u->text + at, sizeof u->text - at, "%s%s", i ? " " : "",
                               u->words[i].word);
    u->n_shown = r.n_words = u->n_words;
    r.written = u->text;
    u->fn(&r, u->arg);
    if (final)
        utt_free(u);
}

void asr_feed(struct asr_utt *u, const int16_t *pcm, size_t n)
{
    if (u->is_told) {
        u->fed += (int64_t)n;
        told(u, false);
        return;
    }
    if (!n || u->finish || u->n_in + n > MAX_SAMPLES)
        return;
    if (u->n_in + n > u->cap_in) {
        size_t cap = 2 * (u->n_in + n) + BATCH;
        int16_t *to = realloc(u->in, cap * sizeof *to);

        if (!to)
            return;
        u->in = to;
        u->cap_in = cap;
    }
    memcpy(u->in + u->n_in, pcm, n * sizeof *pcm);
    u->n_in += n;
    kick(u);
}

void asr_finish(struct asr_utt *u)
{
    if (u->is_told) {
        told(u, true);
        return;
    }
    u->finish = true;
    kick(u);
}

void asr_cancel(struct asr_utt *u)
{
    if (!u)
        return;
    u->fn = NULL;
    if (!u->dec) {
        utt_free(u);
        return;
    }
    u->n_in = 0;
    u->finish = true;
    kick(u);
}

int asr_grammar(struct asr *a, const char *const *sentences, size_t n)
{
    struct grammar *g = NULL;
    struct pat_buf jsgf;
    int err = PAT_OK;

    if (n) {
        g = calloc(1, sizeof *g);
        if (!g)
            return PAT_ENOMEM;
        g->refs = 1;
        g->id = ++a->next_grammar;
        err = phrases_new(&g->phrases);
        for (size_t i = 0; i < n && !err; i++)
            err = phrases_add(g->phrases, sentences[i]);
        pat_buf_init(&jsgf, (size_t)4 << 20);
        if (!err)
            err = phrases_jsgf(g->phrases, &jsgf);
        g->jsgf = err ? NULL : pat_buf_take(&jsgf);
        pat_buf_fini(&jsgf);
        if (!g->jsgf) {
            grammar_unref(g);
            return err ? err : PAT_ENOMEM;
        }
    }
    grammar_unref(a->grammar);
    a->grammar = g;
    return PAT_OK;
}

void asr_telephone(struct asr *a, bool telephone)
{
    a->telephone = telephone;
}

int asr_new(struct asr **out, struct pat_loop *l)
{
    struct asr *a = calloc(1, sizeof *a);

    if (!a)
        return PAT_ENOMEM;
    a->loop = l;
    *out = a;
    return PAT_OK;
}

void asr_close(struct asr *a)
{
    if (!a)
        return;
    a->closed = true;
    for (struct asr_utt *u = a->utts, *next; u; u = next) {
        next = u->next;
        asr_cancel(u);
    }
    if (!a->utts && !a->n_warming)
        asr_free(a);
}
