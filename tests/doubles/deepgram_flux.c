/* deepgram_flux.c - audio into turns: the judging half of Flux.
 *
 * How: the whole sound of a turn is kept. At a pause the recogniser is asked for its text; when the
 * speaker goes on, it begins anew with everything. The model's certainty grows with silence: half
 * of the way from 0.3 to 1.1 is reached `latency_ms` (260 when it is 0) after the last voice,
 * measured on the clock, so that a threshold of 0.7 ends a turn then. A sentence that sounds open
 * ("and", "to the", "um") leaves it uncertain: only eot_timeout_ms ends such a turn. Each
 * EagerEndOfTurn is logged as `eager`, each EndOfTurn as `final`, with the same times as v1's. */
#include "deepgram.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    PREROLL = 15,
    START_FRAMES = 3,
    PAUSE_MS = 100, /* then the text is wanted */
    UPDATE_MS = 240,
    LATENCY_MS = 260, /* what the vendor says of itself */
    MAX_MS = 60000,   /* of a turn's sound */
};
#define CERTAIN_AT_ONCE 0.3
#define CERTAIN_LATER   0.7

struct dg_flux {
    struct dg_v2 *conn;
    struct deepgram *g;
    struct dg_flux_opts o;
    struct dg_sound sound;
    struct pat_timer due;
    int16_t preroll[PREROLL][DG_FRAME];
    int n_preroll, voiced_run, quiet_ms;
    int64_t now_ms, updated_ms;
    size_t script_at;
    char keyterm[DG_KEYTERM_MAX];

    /* The turn. */
    bool open, paused, known, started, eager, forced;
    int index;
    int64_t start_ms, began_ms, voiced_ms; /* began: its first voice */
    int64_t voiced_unix_ms;                /* when its last voice arrived */
    int16_t *pcm;
    size_t n, cap;
    struct asr_utt *asr;
    const char *scripted;
    char *text; /* so far; whole when known */
    struct asr_word *words;
    size_t n_words;
};

int64_t dg_flux_audio_ms(const struct dg_flux *f)
{
    return f ? f->now_ms : 0;
}

static int latency_ms(const struct dg_flux *f)
{
    return f->g->d->latency_ms ? (int)f->g->d->latency_ms : LATENCY_MS;
}

/* Silence it takes to be this certain. */
static int64_t silence_for(const struct dg_flux *f, double certainty)
{
    double share = (certainty - CERTAIN_AT_ONCE) / (CERTAIN_LATER - CERTAIN_AT_ONCE);

    return (int64_t)(share * latency_ms(f));
}

static double certainty_after(const struct dg_flux *f, int64_t silence_ms)
{
    double c =
        CERTAIN_AT_ONCE + (CERTAIN_LATER - CERTAIN_AT_ONCE) * (double)silence_ms / latency_ms(f);

    return c > 0.99 ? 0.99 : c;
}

static struct pat_json *words_json(const struct dg_flux *f)
{
    struct pat_json *list = pat_json_arr();

    for (size_t i = 0; i < f->n_words; i++) {
        struct pat_json *one = dbl_obj("word", f->words[i].word);

        pat_json_set_num(one, "confidence", 0.98);
        pat_json_set_num(one, "start", (double)(f->start_ms + f->words[i].start_ms) / 1000);
        pat_json_set_num(one, "end", (double)(f->start_ms + f->words[i].end_ms) / 1000);
        pat_json_add_take(list, one);
    }
    return list;
}

static void send_turn(struct dg_flux *f, const char *event, const char *trigger)
{
    struct pat_json *j = dbl_obj("type", "TurnInfo");

    pat_json_set_str(j, "event", event);
    pat_json_set_int(j, "turn_index", f->index);
    pat_json_set_num(j, "audio_window_start", (double)f->start_ms / 1000);
    pat_json_set_num(j, "audio_window_end", (double)f->now_ms / 1000);
    pat_json_set_str(j, "transcript", f->text ? f->text : "");
    pat_json_set_take(j, "words", words_json(f));
    pat_json_set_num(j, "end_of_turn_confidence",
                     f->paused ? certainty_after(f, pat_unix_ms() - f->voiced_unix_ms) : 0.02);
    if (trigger)
        pat_json_set_str(j, "trigger", trigger);
    if (f->o.multi) {
        struct pat_json *languages = pat_json_arr();

        pat_json_add_str(languages, "en");
        pat_json_set_take(j, "languages", languages);
    }
    dg_v2_send(f->conn, j);
}

static void log_turn(const struct dg_flux *f, const char *kind)
{
    struct pat_json *entry = dbl_obj("text", f->text ? f->text : "");

    pat_json_set_int(entry, "speech_end_ms", f->voiced_unix_ms);
    pat_json_set_int(entry, "sent_ms", pat_unix_ms());
    pat_json_set_int(entry, "start_audio_ms", f->start_ms);
    pat_json_set_int(entry, "end_audio_ms", f->voiced_ms);
    pat_json_set_bool(entry, "scripted", f->scripted != NULL);
    dbl_log(f->g->d, kind, entry);
}

static void turn_reset(struct dg_flux *f)
{
    asr_cancel(f->asr);
    f->asr = NULL;
    free(f->text);
    f->text = NULL;
    f->n = f->n_words = 0;
    f->open = f->paused = f->known = f->started = f->eager = f->forced = false;
    f->voiced_run = f->n_preroll = 0;
    pat_timer_stop(&f->due);
}

static void turn_end(struct dg_flux *f, const char *trigger)
{
    if (f->started) {
        log_turn(f, "final");
        send_turn(f, "EndOfTurn", trigger);
        dg_told_given(f->g, f->keyterm, f->n_words);
        f->index++;
    }
    turn_reset(f);
}

/* A person would wait for the rest. */
static bool sounds_open(const char *text)
{
    static const char list[] = " and but or so because the a an to my your of for with if that um "
                               "uh is i at from about ";
    size_t end = strlen(text), start;
    char word[24] = " ";

    while (end && !isalnum((unsigned char)text[end - 1]) && text[end - 1] != '\'')
        end--;
    for (start = end; start && isalnum((unsigned char)text[start - 1]); start--)
        ;
    if (end == start || end - start > sizeof word - 3)
        return false;
    for (size_t i = start; i < end; i++)
        word[1 + i - start] = (char)tolower((unsigned char)text[i]);
    memcpy(word + 1 + end - start, " ", 2);
    return strstr(list, word) != NULL;
}

/* The text of a pause is known: when is what of it told? */
static void judge(struct dg_flux *f)
{
    int64_t silence_ms = pat_unix_ms() - f->voiced_unix_ms;
    bool open = f->text && sounds_open(f->text);
    bool eager_wanted = f->o.eager > 0 && !f->eager && !open && f->text && *f->text;
    int64_t eager_ms = silence_for(f, f->o.eager);
    int64_t eot_ms = open || f->o.eot >= 1 ? f->o.timeout_ms : silence_for(f, f->o.eot);
    bool timed_out = eot_ms >= f->o.timeout_ms;

    if (timed_out)
        eot_ms = f->o.timeout_ms;
    if (f->forced) {
        turn_end(f, "manual");
        return;
    }
    if (eager_wanted && silence_ms >= eager_ms) {
        f->eager = true;
        eager_wanted = false;
        log_turn(f, "eager");
        send_turn(f, "EagerEndOfTurn", NULL);
    }
    if (silence_ms >= eot_ms) {
        turn_end(f, timed_out ? "timeout" : "model");
        return;
    }
    eot_ms -= silence_ms;
    eager_ms -= silence_ms;
    pat_timer_start(&f->due, eager_wanted && eager_ms < eot_ms ? eager_ms : eot_ms);
}

static void on_due(void *arg)
{
    judge(arg);
}

static void take_text(struct dg_flux *f, const struct asr_result *r)
{
    free(f->text);
    f->text = r->written ? strdup(r->written) : dg_formatted(r->text, r->final);
    free(f->words);
    f->n_words = 0;
    f->words = malloc(r->n_words * sizeof *f->words + 1);
    if (f->words && r->n_words) {
        memcpy(f->words, r->words, r->n_words * sizeof *f->words);
        f->n_words = r->n_words;
    }
}

static void start_if_words(struct dg_flux *f)
{
    if (f->started || !f->text || !*f->text)
        return;
    f->started = true;
    send_turn(f, "StartOfTurn", NULL);
}

static void on_heard(const struct asr_result *r, void *arg)
{
    struct dg_flux *f = arg;

    if (r->final)
        f->asr = NULL;
    else if (f->paused || !*r->text)
        return;
    take_text(f, r);
    start_if_words(f);
    if (!r->final)
        return;
    f->known = true;
    judge(f);
}

/* The recogniser begins with all the sound there is. */
static void listen(struct dg_flux *f)
{
    struct asr_word words[DG_TOLD_MAX];
    size_t n;
    int err;

    f->paused = f->known = false;
    if (f->scripted)
        return;
    asr_cancel(f->asr);
    f->asr = NULL;
    if (dg_told_known(f->g, f->keyterm)) {
        n = dg_told_voice(f->g, f->keyterm, f->began_ms, f->start_ms, words);
        err = asr_begin_told(&f->asr, f->g->asr, words, n, on_heard, f);
    } else {
        err = asr_begin(&f->asr, f->g->asr, on_heard, f);
    }
    if (err)
        return;
    asr_feed(f->asr, f->pcm, f->n);
}

static void turn_pause(struct dg_flux *f)
{
    f->paused = true;
    if (f->asr) {
        asr_finish(f->asr);
        return;
    }
    if (!f->scripted)
        return;
    free(f->text);
    f->text = strdup(f->scripted);
    f->known = true;
    start_if_words(f);
    judge(f);
}

static void resume(struct dg_flux *f)
{
    pat_timer_stop(&f->due);
    if (f->eager)
        send_turn(f, "TurnResumed", NULL);
    f->eager = false;
    listen(f);
}

static void keep(struct dg_flux *f, const int16_t *pcm)
{
    if (f->n + DG_FRAME > f->cap) {
        size_t cap = 2 * (f->n + DG_FRAME);
        int16_t *to = realloc(f->pcm, cap * sizeof *to);

        if (!to)
            return;
        f->pcm = to;
        f->cap = cap;
    }
    memcpy(f->pcm + f->n, pcm, DG_FRAME * sizeof *pcm);
    f->n += DG_FRAME;
}

static const char *next_scripted(struct dg_flux *f)
{
    while (f->g->script && f->script_at < pat_json_size(f->g->script)) {
        const char *s = pat_json_value_str(pat_json_item(f->g->script, f->script_at++));

        if (s)
            return s;
    }
    return f->g->script ? "" : NULL;
}

static void turn_begin(struct dg_flux *f)
{
    f->open = true;
    f->quiet_ms = 0;
    f->start_ms = f->now_ms - (int64_t)f->n_preroll * DG_FRAME_MS;
    f->updated_ms = f->now_ms;
    f->began_ms = f->now_ms - START_FRAMES * DG_FRAME_MS;
    f->scripted = next_scripted(f);
    for (int i = 0; i < f->n_preroll; i++)
        keep(f, f->preroll[i]);
    f->n_preroll = 0;
    listen(f);
}

static void while_quiet(struct dg_flux *f, const int16_t *pcm, bool voiced)
{
    if (f->n_preroll == PREROLL) {
        memmove(f->preroll[0], f->preroll[1], sizeof f->preroll - sizeof f->preroll[0]);
        f->n_preroll--;
    }
    memcpy(f->preroll[f->n_preroll++], pcm, DG_FRAME * sizeof *pcm);
    f->voiced_run = voiced ? f->voiced_run + 1 : 0;
    if (f->voiced_run >= START_FRAMES) {
        f->voiced_unix_ms = pat_unix_ms();
        f->voiced_ms = f->now_ms;
        turn_begin(f);
    }
}

static void while_open(struct dg_flux *f, const int16_t *pcm, bool voiced)
{
    f->quiet_ms = voiced ? 0 : f->quiet_ms + DG_FRAME_MS;
    keep(f, pcm);
    if (voiced) {
        f->voiced_run++;
        if (f->paused && f->voiced_run >= START_FRAMES)
            resume(f);
        else if (!f->paused && f->asr)
            asr_feed(f->asr, pcm, DG_FRAME);
        if (!f->paused) {
            f->voiced_unix_ms = pat_unix_ms();
            f->voiced_ms = f->now_ms;
        }
    } else {
        f->voiced_run = 0;
        if (!f->paused && f->asr)
            asr_feed(f->asr, pcm, DG_FRAME);
    }
    if (!f->paused && (f->quiet_ms >= PAUSE_MS || f->now_ms - f->start_ms > MAX_MS))
        turn_pause(f);
    if (f->started && f->now_ms - f->updated_ms >= UPDATE_MS) {
        f->updated_ms = f->now_ms;
        send_turn(f, "Update", NULL);
    }
}

static void on_frame(const int16_t *pcm, void *arg)
{
    struct dg_flux *f = arg;
    bool voiced = dg_sound_voiced(&f->sound, pcm, f->open);

    f->now_ms += DG_FRAME_MS;
    if (f->open)
        while_open(f, pcm, voiced);
    else
        while_quiet(f, pcm, voiced);
}

int dg_flux_audio(struct dg_flux *f, const uint8_t *data, size_t len)
{
    return dg_sound_take(&f->sound, data, len);
}

void dg_flux_set(struct dg_flux *f, const struct dg_flux_opts *o)
{
    f->o = *o;
    if (f->known)
        judge(f);
}

void dg_flux_force(struct dg_flux *f)
{
    if (!f->open || !f->started)
        return;
    f->forced = true;
    if (f->known)
        judge(f);
    else if (!f->paused)
        turn_pause(f);
}

int dg_flux_new(struct dg_flux **out, struct dg_v2 *c, struct deepgram *g,
                const struct dg_options *o, const struct dg_flux_opts *opts)
{
    struct dg_flux *f = calloc(1, sizeof *f);
    int err;

    if (!f)
        return PAT_ENOMEM;
    f->conn = c;
    f->g = g;
    f->o = *opts;
    pat_strcpy(f->keyterm, sizeof f->keyterm, o->keyterm);
    err = pat_timer_init(&f->due, g->d->loop, on_due, f);
    if (!err)
        err = dg_sound_init(&f->sound, o->encoding, o->rate, on_frame, f);
    if (err) {
        dg_flux_free(f);
        return err;
    }
    *out = f;
    return PAT_OK;
}

void dg_flux_free(struct dg_flux *f)
{
    if (!f)
        return;
    turn_reset(f);
    pat_timer_fini(&f->due);
    dg_sound_fini(&f->sound);
    free(f->words);
    free(f->pcm);
    free(f);
}
