/* synth.c - flite behind synth.h.
 *
 * How: flite makes 16 kHz samples with its speed stretched by the pitch factor; resampling to the
 * asked rate as if they were 16 kHz times pitch undoes the stretch and shifts the voice. The
 * library's voices are shared and not thread-safe: one lock holds them, the only state here that
 * belongs to the process. */
#include "synth.h"

#include "buf.h"

#include <flite/flite.h>
#include <math.h>
#include <pthread.h>
#include <speex/speex_resampler.h>
#include <stdlib.h>
#include <string.h>

cst_voice *register_cmu_us_slt(const char *voxdir);
cst_voice *register_cmu_us_rms(const char *voxdir);
cst_voice *register_cmu_us_awb(const char *voxdir);
cst_voice *register_cmu_us_kal16(const char *voxdir);
cst_lexicon *cmu_lex_init(void);

#define LEAD_MS 10  /* of silence kept before the first sound */
#define TAIL_MS 120 /* and behind the last */
#define QUIET   300 /* an amplitude nobody hears on a phone */

static pthread_mutex_t flite_lock = PTHREAD_MUTEX_INITIALIZER;

struct synth_job {
    char *text;
    struct synth_voice voice;
    int rate;
    synth_fn *fn; /* NULL: canceled */
    void *arg;
    int err;
    int16_t *pcm;
    size_t n;
};

/* Under flite_lock. */
static cst_voice *voice_named(const char *name)
{
    static cst_voice *slt, *rms, *awb, *kal;

    if (!slt) {
        flite_init();
        slt = register_cmu_us_slt(NULL);
        rms = register_cmu_us_rms(NULL);
        awb = register_cmu_us_awb(NULL);
        kal = register_cmu_us_kal16(NULL);
    }
    if (!strcmp(name, "rms"))
        return rms;
    if (!strcmp(name, "awb"))
        return awb;
    return strcmp(name, "kal16") ? slt : kal;
}

static cst_wave *speak(const struct synth_job *j)
{
    cst_utterance *u;
    cst_wave *w = NULL;
    cst_voice *v;

    pthread_mutex_lock(&flite_lock);
    v = voice_named(j->voice.flite);
    feat_set_float(v->features, "duration_stretch", (float)(j->voice.pitch / j->voice.speed));
    u = flite_synth_text(j->text, v);
    if (u) {
        w = copy_wave(utt_wave(u));
        delete_utterance(u);
    }
    pthread_mutex_unlock(&flite_lock);
    return w;
}

static void cut_silence(const cst_wave *w, size_t *from, size_t *to)
{
    size_t n = (size_t)w->num_samples, ms = (size_t)w->sample_rate / 1000;
    size_t a = 0, b = n;

    while (a < n && abs(w->samples[a]) < QUIET)
        a++;
    while (b > a && abs(w->samples[b - 1]) < QUIET)
        b--;
    *from = a > LEAD_MS * ms ? a - LEAD_MS * ms : 0;
    *to = b + TAIL_MS * ms < n ? b + TAIL_MS * ms : n;
}

static int resample(struct synth_job *j, const cst_wave *w)
{
    size_t from, to;
    int err;
    spx_uint32_t in, out, in_rate = (spx_uint32_t)lround(w->sample_rate * j->voice.pitch);
    SpeexResamplerState *rs;

    cut_silence(w, &from, &to);
    in = (spx_uint32_t)(to - from);
    out = (spx_uint32_t)((uint64_t)in * (uint64_t)j->rate / in_rate + 64);
    j->pcm = malloc((out ? out : 1) * sizeof *j->pcm);
    rs = speex_resampler_init(1, in_rate, (spx_uint32_t)j->rate, 5, &err);
    if (!j->pcm || !rs) {
        if (rs)
            speex_resampler_destroy(rs);
        return PAT_ENOMEM;
    }
    speex_resampler_skip_zeros(rs);
    if (in)
        speex_resampler_process_int(rs, 0, w->samples + from, &in, j->pcm, &out);
    else
        out = 0;
    speex_resampler_destroy(rs);
    j->n = out;
    return PAT_OK;
}

static void work(void *arg)
{
    struct synth_job *j = arg;
    cst_wave *w = speak(j);

    j->err = w ? resample(j, w) : PAT_EINTERNAL;
    if (w)
        delete_wave(w);
}

static void job_free(struct synth_job *j)
{
    free(j->text);
    free(j->pcm);
    free(j);
}

static void done(void *arg)
{
    struct synth_job *j = arg;

    if (j->fn)
        j->fn(j->err, j->pcm, j->n, j->arg);
    job_free(j);
}

int synth_start(struct synth_job **out, struct pat_loop *l, const char *text, size_t len,
                const struct synth_voice *v, int rate, synth_fn *fn, void *arg)
{
    struct synth_job *j = calloc(1, sizeof *j);
    int err;

    if (!j)
        return PAT_ENOMEM;
    *j = (struct synth_job){
        .text = strndup(text, len), .voice = *v, .rate = rate, .fn = fn, .arg = arg
    };
    err = j->text ? pat_loop_work(l, work, done, j) : PAT_ENOMEM;
    if (err) {
        job_free(j);
        return err;
    }
    *out = j;
    return PAT_OK;
}

void synth_cancel(struct synth_job *j)
{
    if (j)
        j->fn = NULL;
}

/* flite's phones are CMU's in lower case with a stress digit; its schwa is CMU's AH. */
static bool phone_add(const char *phone, char *out, size_t cap, size_t *at)
{
    size_t len = strcspn(phone, "0123456789");

    if (!strncmp(phone, "ax", 2))
        phone = "ah";
    if (*at + len + 2 > cap)
        return false;
    if (*at)
        out[(*at)++] = ' ';
    for (size_t i = 0; i < len; i++)
        out[(*at)++] = (char)(phone[i] >= 'a' ? phone[i] - 32 : phone[i]);
    out[*at] = '\0';
    return true;
}

bool synth_phones(const char *word, char *out, size_t cap)
{
    cst_val *phones;
    size_t at = 0;
    bool ok = true;

    pthread_mutex_lock(&flite_lock);
    (void)voice_named("slt");
    phones = lex_lookup(cmu_lex_init(), word, NULL, NULL);
    for (const cst_val *p = phones; p && ok; p = val_cdr(p))
        ok = phone_add(val_string(val_car(p)), out, cap, &at);
    delete_val(phones);
    pthread_mutex_unlock(&flite_lock);
    return ok && at > 0;
}

int synth_words(struct pat_buf *out, const char *text)
{
    cst_utterance *u;

    pthread_mutex_lock(&flite_lock);
    u = new_utterance();
    utt_set_input_text(u, text);
    utt_init(u, voice_named("kal16"));
    if (default_tokenization(u) && default_textanalysis(u))
        for (cst_item *w = relation_head(utt_relation(u, "Word")); w; w = item_next(w))
            pat_buf_addf(out, "%s%s", out->len ? " " : "", item_feat_string(w, "name"));
    delete_utterance(u);
    pthread_mutex_unlock(&flite_lock);
    return out->err;
}
