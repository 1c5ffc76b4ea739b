/* deepgram_ear.c - packets in, Results out: the hearing half of the Deepgram double.
 *
 * How: the level of 20 ms frames finds where speech begins and pauses;
 * utterances are recognised one after the other (asr.c) or scripted. All times follow the audio,
 * never the clock, but for the latency of a final, which counts from the last voiced frame's
 * arrival. Each final is logged with what a harness subtracts. */
#include "deepgram.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRAME = DG_FRAME,
    FRAME_MS = DG_FRAME_MS,
    PREROLL = 15,      /* frames before the first voiced one: soft beginnings */
    START_FRAMES = 3,  /* voiced in a row */
    LEAD_OUT_MS = 200, /* of silence the recogniser still gets */
    QUIET_RESULT_MS = 3000,
    INTERIM_MS = 300,
    LONG_MS = 20000,        /* then frozen without a pause */
    DEFAULT_PAUSE_MS = 800, /* is_final without endpointing */
};

struct utterance {
    struct dg_ear *ear;
    struct asr_utt *asr;  /* NULL: not its turn yet, or scripted, or done */
    const char *scripted; /* NULL: really heard */
    int16_t *pcm;         /* until its turn */
    size_t n, cap;
    int64_t start_ms, end_ms;    /* audio time; end: 0 while it goes on */
    int64_t voice_ms;            /* its first voice */
    int64_t last_voiced_unix_ms; /* when it arrived */
    int64_t last_interim_ms;
    bool closed, speech_final, from_finalize, heard;
    char *text, *written;
    struct asr_word *words;
    size_t n_words;
    struct utterance *next;
};

struct dg_ear {
    struct dg_conn *conn;
    struct deepgram *g;
    struct dg_options o;
    struct dg_sound sound;
    int16_t preroll[PREROLL][FRAME];
    int n_preroll;

    int64_t now_ms; /* audio time */
    int voiced_run, quiet_ms;
    struct utterance *open; /* being spoken */
    struct utterance *utts; /* oldest first, open is the last */
    struct pat_timer due;   /* the first's final may go out */
    int64_t last_result_ms; /* everything before is frozen */
    int64_t last_word_ms;   /* for UtteranceEnd; negative: told already */
    size_t script_at;
    bool finalize, closing;
};

int64_t dg_ear_audio_ms(const struct dg_ear *e)
{
    return e ? e->now_ms : 0;
}

static struct pat_json *results(const struct dg_ear *e, int64_t start_ms, int64_t end_ms,
                                bool is_final, bool speech_final, bool from_finalize)
{
    struct pat_json *j = dbl_obj("type", "Results"), *index = pat_json_arr(),
                    *meta = dbl_obj("request_id", dg_conn_request_id(e->conn)),
                    *info = dbl_obj("name", e->o.model), *one = pat_json_obj();

    for (int i = 0; i < 2; i++) { /* [0, 1] */
        pat_json_set_int(one, "n", i);
        pat_json_add_take(index, pat_json_dup(pat_json_at(one, "n")));
    }
    pat_json_free(one);
    pat_json_set_take(j, "channel_index", index);
    pat_json_set_num(j, "duration", (double)(end_ms - start_ms) / 1000);
    pat_json_set_num(j, "start", (double)start_ms / 1000);
    pat_json_set_bool(j, "is_final", is_final);
    pat_json_set_bool(j, "speech_final", speech_final);
    pat_json_set_bool(j, "from_finalize", from_finalize);
    pat_json_set_str(info, "version", "2025-01-01.0");
    pat_json_set_str(info, "arch", "nova-3");
    pat_json_set_take(meta, "model_info", info);
    pat_json_set_str(meta, "model_uuid", "00000000-0000-4000-8000-000000000001");
    pat_json_set_take(j, "metadata", meta);
    return j;
}

/* Takes words. */
static void send_results(struct dg_ear *e, struct pat_json *j, const char *text,
                         struct pat_json *words)
{
    struct pat_json *channel = pat_json_obj(), *list = pat_json_arr(),
                    *one = dbl_obj("transcript", text);

    pat_json_set_num(one, "confidence", *text ? 0.98 : 0);
    pat_json_set_take(one, "words", words);
    pat_json_add_take(list, one);
    pat_json_set_take(channel, "alternatives", list);
    pat_json_set_take(j, "channel", channel);
    dg_conn_send(e->conn, j);
}

static struct pat_json *words_json(const struct utterance *u, const struct asr_word *w, size_t n)
{
    struct pat_json *list = pat_json_arr();

    for (size_t i = 0; i < n; i++) {
        struct pat_json *one = dbl_obj("word", w[i].word);

        pat_json_set_num(one, "start", (double)(u->start_ms + w[i].start_ms) / 1000);
        pat_json_set_num(one, "end", (double)(u->start_ms + w[i].end_ms) / 1000);
        pat_json_set_num(one, "confidence", 0.98);
        pat_json_set_str(one, "punctuated_word", w[i].word);
        pat_json_add_take(list, one);
    }
    return list;
}

static void utterance_free(struct utterance *u)
{
    asr_cancel(u->asr);
    free(u->pcm);
    free(u->text);
    free(u->written);
    free(u->words);
    free(u);
}

static void log_final(const struct dg_ear *e, const struct utterance *u, const char *text)
{
    struct pat_json *entry = dbl_obj("text", text);

    pat_json_set_int(entry, "speech_end_ms", u->last_voiced_unix_ms);
    pat_json_set_int(entry, "sent_ms", pat_unix_ms());
    pat_json_set_int(entry, "start_audio_ms", u->start_ms);
    pat_json_set_int(entry, "end_audio_ms", u->end_ms);
    pat_json_set_bool(entry, "scripted", u->scripted != NULL);
    dbl_log(e->g->d, "final", entry);
}

static void begin_next(struct dg_ear *e);

/* The oldest utterance is whole and its time has come. */
static void send_final(struct dg_ear *e)
{
    struct utterance *u = e->utts;
    char *text = u->written    ? strdup(u->written)
                 : u->scripted ? strdup(u->scripted)
                               : dg_formatted(u->text ? u->text : "", e->o.punctuate);
    struct pat_json *j =
        results(e, e->last_result_ms, u->end_ms, true, u->speech_final, u->from_finalize);

    log_final(e, u, text ? text : "");
    e->utts = u->next;
    e->last_result_ms = u->end_ms;
    if (text && *text)
        e->last_word_ms = u->n_words ? u->start_ms + u->words[u->n_words - 1].end_ms : u->end_ms;
    send_results(e, j, text ? text : "", words_json(u, u->words, u->n_words));
    free(text);
    utterance_free(u);
    begin_next(e);
}

static void flushed(struct dg_ear *e)
{
    if (!e->finalize || e->utts)
        return;
    e->finalize = false;
    /* A Finalize is answered also when there was nothing to flush. */
    send_results(e, results(e, e->last_result_ms, e->now_ms, true, false, !e->closing), "",
                 pat_json_arr());
    e->last_result_ms = e->now_ms;
    dg_conn_flushed(e->conn);
}

/* Audio that comes faster than it was spoken is ahead of its finals: asked again behind each. */
static void utterance_end(struct dg_ear *e)
{
    struct pat_json *j;

    if (!e->o.utterance_end_ms || e->last_word_ms < 0 || e->utts ||
        e->now_ms - e->last_word_ms < e->o.utterance_end_ms)
        return;
    j = dbl_obj("type", "UtteranceEnd");
    pat_json_set_take(j, "channel", pat_json_arr());
    pat_json_set_num(j, "last_word_end", (double)e->last_word_ms / 1000);
    e->last_word_ms = -1;
    dg_conn_send(e->conn, j);
}

static void on_due(void *arg)
{
    struct dg_ear *e = arg;

    send_final(e);
    utterance_end(e);
    flushed(e);
}

static void schedule_final(struct dg_ear *e)
{
    struct utterance *u = e->utts;
    int64_t due = u->last_voiced_unix_ms + e->g->d->latency_ms - pat_unix_ms();

    pat_timer_start(&e->due, due > 0 && !e->closing ? due : 0);
}

static void send_interim(struct dg_ear *e, struct utterance *u, const struct asr_result *r)
{
    if (!e->o.interim || !*r->text || e->now_ms - u->last_interim_ms < INTERIM_MS)
        return;
    u->last_interim_ms = e->now_ms;
    send_results(e, results(e, e->last_result_ms, e->now_ms, false, false, false), r->text,
                 words_json(u, r->words, r->n_words));
}

static void on_heard(const struct asr_result *r, void *arg)
{
    struct utterance *u = arg;
    struct dg_ear *e = u->ear;

    if (!r->final) {
        send_interim(e, u, r);
        return;
    }
    u->asr = NULL;
    u->heard = true;
    dg_told_given(e->g, e->o.keyterm, r->n_words);
    u->text = strdup(r->text);
    u->written = r->written ? strdup(r->written) : NULL;
    u->words = malloc(r->n_words * sizeof *u->words + 1);
    if (u->words) {
        memcpy(u->words, r->words, r->n_words * sizeof *u->words);
        u->n_words = r->n_words;
    }
    schedule_final(e);
}

static int listen(struct dg_ear *e, struct utterance *u)
{
    struct asr_word words[DG_TOLD_MAX];
    size_t n;

    if (!dg_told_known(e->g, e->o.keyterm))
        return asr_begin(&u->asr, e->g->asr, on_heard, u);
    n = dg_told_voice(e->g, e->o.keyterm, u->voice_ms, u->start_ms, words);
    return asr_begin_told(&u->asr, e->g->asr, words, n, on_heard, u);
}

/* The oldest utterance is listened to; the others gather their sound. */
static void begin_next(struct dg_ear *e)
{
    struct utterance *u = e->utts;

    if (!u || u->asr || u->heard)
        return;
    if (u->scripted) {
        u->heard = u->closed;
        if (u->closed)
            schedule_final(e);
        return;
    }
    if (listen(e, u))
        return;
    asr_feed(u->asr, u->pcm, u->n);
    free(u->pcm);
    u->pcm = NULL;
    u->n = u->cap = 0;
    if (u->closed)
        asr_finish(u->asr);
}

static void utterance_feed(struct utterance *u, const int16_t *pcm)
{
    if (u->asr) {
        asr_feed(u->asr, pcm, FRAME);
        return;
    }
    if (u->scripted)
        return;
    if (u->n + FRAME > u->cap) {
        size_t cap = 2 * (u->n + FRAME);
        int16_t *to = realloc(u->pcm, cap * sizeof *to);

        if (!to)
            return;
        u->pcm = to;
        u->cap = cap;
    }
    memcpy(u->pcm + u->n, pcm, FRAME * sizeof *pcm);
    u->n += FRAME;
}

/* The next text of the script that is for an utterance, not for a time. */
static const char *next_scripted(struct dg_ear *e)
{
    while (e->g->script && e->script_at < pat_json_size(e->g->script)) {
        const char *s = pat_json_value_str(pat_json_item(e->g->script, e->script_at++));

        if (s)
            return s;
    }
    return e->g->script ? "" : NULL;
}

static struct utterance *utterance_open(struct dg_ear *e, int64_t start_ms, const char *scripted)
{
    struct utterance *u = calloc(1, sizeof *u), **at = &e->utts;

    if (!u)
        return NULL;
    u->ear = e;
    u->start_ms = start_ms;
    u->voice_ms = e->now_ms - START_FRAMES * FRAME_MS;
    u->scripted = scripted;
    u->last_voiced_unix_ms = pat_unix_ms();
    while (*at)
        at = &(*at)->next;
    *at = u;
    if (e->o.vad_events) {
        struct pat_json *j = dbl_obj("type", "SpeechStarted"), *channel = pat_json_arr();

        pat_json_set_take(j, "channel", channel);
        pat_json_set_num(j, "timestamp", (double)start_ms / 1000);
        dg_conn_send(e->conn, j);
    }
    begin_next(e);
    return u;
}

static void utterance_close(struct dg_ear *e, struct utterance *u, bool speech_final)
{
    u->closed = true;
    u->speech_final = speech_final;
    u->from_finalize = e->finalize && !e->closing;
    u->end_ms = e->now_ms;
    if (u->asr)
        asr_finish(u->asr);
    else
        begin_next(e);
}

static void speech_begins(struct dg_ear *e)
{
    int64_t start_ms = e->now_ms - (int64_t)e->n_preroll * FRAME_MS;

    e->open = utterance_open(e, start_ms > 0 ? start_ms : 0, next_scripted(e));
    for (int i = 0; e->open && i < e->n_preroll; i++)
        utterance_feed(e->open, e->preroll[i]);
    e->n_preroll = 0;
}

static void keep_preroll(struct dg_ear *e, const int16_t *pcm)
{
    if (e->n_preroll == PREROLL) {
        memmove(e->preroll[0], e->preroll[1], sizeof e->preroll - sizeof e->preroll[0]);
        e->n_preroll--;
    }
    memcpy(e->preroll[e->n_preroll++], pcm, FRAME * sizeof *pcm);
}

static void while_quiet(struct dg_ear *e, const int16_t *pcm, bool voiced)
{
    keep_preroll(e, pcm);
    e->voiced_run = voiced ? e->voiced_run + 1 : 0;
    if (e->voiced_run >= START_FRAMES) {
        e->quiet_ms = 0;
        speech_begins(e);
        return;
    }
    utterance_end(e);
    if (!e->utts && !voiced && e->now_ms - e->last_result_ms >= QUIET_RESULT_MS) {
        send_results(e, results(e, e->last_result_ms, e->now_ms, true, false, false), "",
                     pat_json_arr());
        e->last_result_ms = e->now_ms;
    }
}

static void while_speaking(struct dg_ear *e, const int16_t *pcm, bool voiced)
{
    struct utterance *u = e->open;
    int pause_ms = e->o.endpointing_ms ? e->o.endpointing_ms : DEFAULT_PAUSE_MS;
    bool is_long = e->now_ms - u->start_ms >= LONG_MS;

    e->quiet_ms = voiced ? 0 : e->quiet_ms + FRAME_MS;
    if (voiced)
        u->last_voiced_unix_ms = pat_unix_ms();
    if (e->quiet_ms <= LEAD_OUT_MS)
        utterance_feed(u, pcm);
    if (e->quiet_ms < pause_ms && !is_long)
        return;
    e->open = NULL;
    e->voiced_run = 0;
    utterance_close(e, u, e->o.endpointing_ms && !is_long);
}

/* Objects of the script, at their time. */
static void scripted_times(struct dg_ear *e)
{
    while (e->g->script && e->script_at < pat_json_size(e->g->script)) {
        const struct pat_json *s = pat_json_item(e->g->script, e->script_at);
        int64_t at = pat_json_int_or(s, "at_ms", 0);
        struct utterance *u;

        if (pat_json_kind(s) != PAT_JSON_OBJ ||
            at + pat_json_int_or(s, "duration_ms", 500) > e->now_ms)
            return;
        e->script_at++;
        u = utterance_open(e, at, pat_json_str_or(s, "text", ""));
        if (u)
            utterance_close(e, u, true);
    }
}

static void on_frame(const int16_t *pcm, void *arg)
{
    struct dg_ear *e = arg;
    bool voiced = dg_sound_voiced(&e->sound, pcm, e->open != NULL);

    e->now_ms += FRAME_MS;
    scripted_times(e);
    if (e->open)
        while_speaking(e, pcm, voiced);
    else
        while_quiet(e, pcm, voiced);
}

int dg_ear_audio(struct dg_ear *e, const uint8_t *data, size_t len)
{
    return dg_sound_take(&e->sound, data, len);
}

void dg_ear_finalize(struct dg_ear *e, bool closing)
{
    struct utterance *u = e->open;

    e->finalize = true;
    e->closing = e->closing || closing;
    e->open = NULL;
    e->voiced_run = 0;
    if (u)
        utterance_close(e, u, false);
    flushed(e);
}

int dg_ear_new(struct dg_ear **out, struct dg_conn *c, struct deepgram *g,
               const struct dg_options *o)
{
    struct dg_ear *e = calloc(1, sizeof *e);
    int err;

    if (!e)
        return PAT_ENOMEM;
    e->conn = c;
    e->g = g;
    e->o = *o;
    e->last_word_ms = -1;
    err = pat_timer_init(&e->due, g->d->loop, on_due, e);
    if (!err)
        err = dg_sound_init(&e->sound, o->encoding, o->rate, on_frame, e);
    if (err) {
        dg_ear_free(e);
        return err;
    }
    *out = e;
    return PAT_OK;
}

void dg_ear_free(struct dg_ear *e)
{
    if (!e)
        return;
    while (e->utts) {
        struct utterance *u = e->utts;

        e->utts = u->next;
        utterance_free(u);
    }
    pat_timer_fini(&e->due);
    dg_sound_fini(&e->sound);
    free(e);
}
