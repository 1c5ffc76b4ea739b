/* reply.c - the sentences of one answer, and how far each has come.
 *
 * A sentence waits, is being spoken for (synthesised), is made, has been played. At most two are
 * with the synthesiser, and none while the player holds enough.
 */
#include "reply.h"

#include "../speech/sentence.h"
#include "heard.h"
#include "sound.h"

#include <stdlib.h>
#include <string.h>

enum { AHEAD_MS = 4000, AT_ONCE = 2, MAX_SENTENCES = 200, MAX_CALLS = 16 };

enum progress { WAITING, SPEAKING, MADE, FAILED };

struct line {
    struct line *next;
    enum progress progress;
    bool played;
    bool keep; /* in the phrase cache */
    uint32_t id;
    size_t samples;
    struct heard heard;
    size_t len;
    char text[];
};

struct reply {
    struct mouth *mouth;
    struct player *player;
    const struct reply_events *events;
    void *arg;
    struct llm_run *run;
    struct sentence splitter;
    struct line *first, *last;
    struct line *asked_after; /* the last one before the model was asked; NULL: none */
    size_t n, speaking;
    bool written; /* no further sentence comes */
    bool failed;  /* something of it could not be made */
    bool unwritten;
    bool sounds; /* some of it is with the player */
    bool told;
    bool keep;
    struct reply_call calls[MAX_CALLS];
    size_t n_calls;
    struct reply_times times;
    struct llm_usage usage;
    char model[64];
    const char *language;
};

static const struct llm_events llm_events;

static void on_sentence(const char *text, size_t len, void *arg);

static void begin_splitting(struct reply *r)
{
    sentence_init(&r->splitter, SENTENCE_MIN, on_sentence, r);
    sentence_language(&r->splitter, r->language);
}

static int make(struct reply **out, const struct reply_opts *o)
{
    struct reply *r = calloc(1, sizeof *r);

    if (!r)
        return PAT_ENOMEM;
    r->mouth = o->mouth;
    r->player = o->player;
    r->events = o->events;
    r->arg = o->arg;
    r->language = o->language;
    begin_splitting(r);
    *out = r;
    return PAT_OK;
}

int reply_think(struct reply **out, const struct reply_opts *o, struct llm *llm,
                const struct llm_req *req)
{
    struct reply *r;
    int err = make(&r, o);

    if (err)
        return err;
    r->times.asked_us = pat_now_us();
    err = llm_start(&r->run, llm, req, &llm_events, r);
    if (err) {
        free(r);
        return err;
    }
    *out = r;
    return PAT_OK;
}

static void forget_calls(struct reply *r)
{
    for (size_t i = 0; i < r->n_calls; i++) {
        free(r->calls[i].id);
        free(r->calls[i].name);
        free(r->calls[i].arguments);
    }
    r->n_calls = 0;
}

void reply_free(struct reply *r)
{
    if (!r)
        return;
    llm_cancel(r->run);
    while (r->first) {
        struct line *l = r->first;
        r->first = l->next;
        if (l->progress == SPEAKING && r->mouth)
            mouth_cancel(r->mouth, l->id);
        free(l);
    }
    forget_calls(r);
    free(r);
}

static struct line *line_of(const struct reply *r, uint32_t id)
{
    struct line *l = r->first;

    while (l && (l->id != id || l->progress == WAITING))
        l = l->next;
    return l;
}

/* The last thing a reply says of itself. The callback may free it. */
static void tell_if_over(struct reply *r)
{
    if (r->told || !r->written)
        return;
    for (struct line *l = r->first; l; l = l->next)
        if (l->progress == WAITING || l->progress == SPEAKING)
            return;
    r->told = true;
    if (r->failed)
        r->events->failed(r->sounds, r->arg);
    else
        r->events->made(r->sounds, r->arg);
}

/* Gives waiting sentences to the voice, as long as not enough is made already. */
static void feed(struct reply *r)
{
    for (struct line *l = r->first; l; l = l->next) {
        int err;

        if (l->progress != WAITING)
            continue;
        if (r->speaking >= AT_ONCE || (r->sounds && player_waiting_ms(r->player) > AHEAD_MS))
            return;
        if (!r->times.sentence_us)
            r->times.sentence_us = pat_now_us();
        err = r->mouth ? mouth_say(r->mouth, l->text, l->len, r->keep || l->keep, &l->id)
                       : PAT_EUNAVAIL;
        if (err) {
            l->progress = FAILED;
            r->failed = true;
            continue;
        }
        l->progress = SPEAKING;
        r->speaking++;
    }
}

static struct line *line_new(struct reply *r, const char *text, size_t len)
{
    struct line *l = r->n < MAX_SENTENCES ? calloc(1, sizeof *l + len + 1) : NULL;

    if (!l)
        return NULL;
    memcpy(l->text, text, len);
    l->len = len;
    if (r->last)
        r->last->next = l;
    else
        r->first = l;
    r->last = l;
    r->n++;
    return l;
}

static void on_sentence(const char *text, size_t len, void *arg)
{
    struct reply *r = arg;

    if (!line_new(r, text, len))
        return;
    feed(r);
}

static void on_text(const char *delta, size_t len, void *arg)
{
    struct reply *r = arg;

    if (!r->times.token_us)
        r->times.token_us = pat_now_us();
    sentence_feed(&r->splitter, delta, len);
}

static void on_tool_call(int index, const char *id, const char *name, const char *arguments,
                         void *arg)
{
    struct reply *r = arg;
    struct reply_call *c = &r->calls[r->n_calls];

    (void)index;
    if (r->n_calls == MAX_CALLS)
        return;
    *c = (struct reply_call){ strdup(id), strdup(name), strdup(arguments) };
    r->n_calls++;
    if (!c->id || !c->name || !c->arguments) {
        forget_calls(r);
        r->failed = true;
    }
}

static void add_usage(struct reply *r, const struct llm_usage *u)
{
    struct llm_usage before = r->usage;

    r->usage = *u;
    r->usage.prompt_tokens += before.prompt_tokens;
    r->usage.cached_tokens += before.cached_tokens;
    r->usage.completion_tokens += before.completion_tokens;
    r->usage.lost_provider = r->usage.lost_model = NULL; /* told, and gone */
}

static void on_llm_done(int err, const char *finish_reason, const char *model,
                        const struct llm_usage *u, void *arg)
{
    struct reply *r = arg;

    (void)finish_reason;
    r->run = NULL;
    if (model)
        pat_strcpy(r->model, sizeof r->model, model);
    if (u) {
        add_usage(r, u);
        if (r->events->used)
            r->events->used(model ? model : "", u, r->arg);
    }
    if (err)
        r->failed = r->unwritten = true;
    sentence_end(&r->splitter);
    if (!err && r->n_calls && r->events->tools) {
        r->events->tools(r->arg);
        return;
    }
    reply_end(r);
}

static void add_spaced(struct pat_buf *out, const char *text, size_t len)
{
    if (len && out->len)
        pat_buf_adds(out, " ");
    pat_buf_add(out, text, len);
}

/* Whole sentences of this run stand; the one begun is written anew. */
static void on_broke_off(struct pat_buf *out, void *arg)
{
    struct reply *r = arg;

    for (const struct line *l = r->asked_after ? r->asked_after->next : r->first; l; l = l->next)
        add_spaced(out, l->text, l->len);
    begin_splitting(r);
    r->splitter.first = !r->first;
}

static void on_llm_failed(const struct provider_failure *f, void *arg)
{
    struct reply *r = arg;

    if (r->events->provider_failed)
        r->events->provider_failed(f, r->arg);
}

static const struct llm_events llm_events = {
    .text = on_text,
    .tool_call = on_tool_call,
    .done = on_llm_done,
    .broke_off = on_broke_off,
    .failed = on_llm_failed,
};

bool reply_has_text(const struct reply *r)
{
    return r->first != NULL;
}

const struct reply_call *reply_calls(const struct reply *r, size_t *n)
{
    *n = r->n_calls;
    return r->calls;
}

int reply_go_on(struct reply *r, struct llm *llm, const struct llm_req *req)
{
    forget_calls(r);
    r->asked_after = r->last;
    return llm_start(&r->run, llm, req, &llm_events, r);
}

int reply_add(struct reply *r, const char *text)
{
    struct line *l = line_new(r, text, strlen(text));

    if (!l)
        return PAT_ENOMEM;
    l->keep = true;
    feed(r);
    return PAT_OK;
}

void reply_end(struct reply *r)
{
    forget_calls(r);
    r->written = true;
    tell_if_over(r);
}

int reply_say(struct reply **out, const struct reply_opts *o, const char *text,
              struct phrase *known, bool keep)
{
    struct reply *r;
    struct line *l;
    int err = make(&r, o);

    if (err)
        return err;
    r->keep = keep;
    l = line_new(r, text, strlen(text));
    if (!l) {
        free(r);
        return PAT_ENOMEM;
    }
    r->written = true;
    if (known) {
        l->id = o->mouth ? mouth_next_id(o->mouth) : 1;
        l->progress = MADE;
        l->samples = (size_t)phrase_ms(known) * SOUND_PER_MS;
        r->sounds = true;
        err = player_add_phrase(o->player, l->id, known);
        if (o->mouth)
            mouth_count_hit(o->mouth, text);
    } else {
        feed(r);
        err = l->progress == FAILED ? PAT_EUNAVAIL : PAT_OK;
    }
    if (err) {
        reply_free(r);
        return err;
    }
    *out = r;
    return PAT_OK;
}

int reply_call_tool(struct reply **out, const struct reply_opts *o, const char *name,
                    const char *arguments)
{
    struct pat_id id = pat_id_new();
    struct reply *r;
    int err = make(&r, o);

    if (err)
        return err;
    on_tool_call(0, id.s, name, arguments, r);
    if (!r->n_calls) {
        free(r);
        return PAT_ENOMEM;
    }
    *out = r;
    return PAT_OK;
}

int reply_join(struct reply **out, const struct reply_opts *o, const char *text, uint32_t utterance)
{
    struct reply *r;
    struct line *l;
    int err = make(&r, o);

    if (err)
        return err;
    l = line_new(r, text, strlen(text));
    if (!l) {
        free(r);
        return PAT_ENOMEM;
    }
    l->id = utterance;
    l->progress = SPEAKING;
    r->speaking = 1;
    r->written = true;
    r->times.sentence_us = pat_now_us();
    *out = r;
    return PAT_OK;
}

/* The line that sound of n samples belongs to, or NULL. */
static struct line *sounding(struct reply *r, uint32_t utterance, size_t n)
{
    struct line *l = line_of(r, utterance);

    if (!l || l->progress != SPEAKING)
        return NULL;
    if (!r->times.sound_us)
        r->times.sound_us = pat_now_us();
    l->samples += n;
    r->sounds = true;
    return l;
}

void reply_audio(struct reply *r, uint32_t utterance, const int16_t *samples, size_t n)
{
    if (sounding(r, utterance, n) && player_add(r->player, utterance, samples, n))
        r->failed = true; /* more than anybody listens to; the rest of this sentence is lost */
}

void reply_packet(struct reply *r, uint32_t utterance, const uint8_t *opus, size_t len, int level)
{
    if (sounding(r, utterance, OPUSIO_FRAME) &&
        player_add_packet(r->player, utterance, opus, len, level))
        r->failed = true;
}

void reply_aligned(struct reply *r, uint32_t utterance, const char *text, size_t len, int start_ms,
                   int end_ms)
{
    struct line *l = line_of(r, utterance);

    (void)text, (void)start_ms;
    if (l)
        heard_mark(&l->heard, len, end_ms);
}

void reply_spoken_for(struct reply *r, uint32_t utterance, int err)
{
    struct line *l = line_of(r, utterance);

    if (!l || l->progress != SPEAKING)
        return;
    r->speaking--;
    l->progress = err ? FAILED : MADE;
    if (err)
        r->failed = true;
    if (l->samples)
        player_end(r->player, utterance);
    feed(r);
    tell_if_over(r);
}

void reply_voiced(struct reply *r, uint32_t piece)
{
    if (!r->times.voiced_us && line_of(r, piece))
        r->times.voiced_us = pat_now_us();
}

void reply_played(struct reply *r, uint32_t piece)
{
    struct line *l = line_of(r, piece);

    if (l)
        l->played = true;
    reply_tick(r);
}

void reply_tick(struct reply *r)
{
    feed(r);
    tell_if_over(r);
}

void reply_heard(const struct reply *r, struct pat_buf *out)
{
    for (const struct line *l = r->first; l; l = l->next) {
        int64_t whole_ms = l->progress == MADE ? (int64_t)(l->samples / SOUND_PER_MS) : 0;
        int64_t played_ms = l->progress == WAITING ? 0 : player_played_ms(r->player, l->id);

        if (l->played)
            add_spaced(out, l->text, l->len);
        else
            add_spaced(out, l->text, heard_bytes(&l->heard, l->text, l->len, played_ms, whole_ms));
    }
}

void reply_text(const struct reply *r, struct pat_buf *out)
{
    for (const struct line *l = r->first; l; l = l->next)
        add_spaced(out, l->text, l->len);
}

bool reply_written(const struct reply *r)
{
    return r->written;
}

int64_t reply_heard_ms(const struct reply *r)
{
    int64_t ms = 0;

    for (const struct line *l = r->first; l; l = l->next)
        if (l->played)
            ms += (int64_t)(l->samples / SOUND_PER_MS);
        else if (l->progress != WAITING)
            ms += player_played_ms(r->player, l->id);
    return ms;
}

const struct reply_times *reply_times(const struct reply *r)
{
    return &r->times;
}

const struct llm_usage *reply_usage(const struct reply *r)
{
    return &r->usage;
}

const char *reply_provider(const struct reply *r)
{
    return r->usage.provider ? r->usage.provider : "";
}

bool reply_asks(const struct reply *r, const char **account, const char **model)
{
    if (r->run)
        llm_asked(r->run, account, model);
    return r->run != NULL;
}

bool reply_unwritten(const struct reply *r)
{
    return r->unwritten;
}

const char *reply_model(const struct reply *r)
{
    return r->model;
}
