/* tts_openai.c - a voice of OpenAI: one HTTP request per piece of text, streamed.
 *
 * How: requests run one after the other, in the order of the utterances; text that comes while one
 * runs is spoken by the next. Answers are raw 24 kHz samples. No alignment: the vendor gives none.
 * It does not retry: tts.c decides. */
#include "tts_provider.h"

#include "chat.h"
#include "upsample.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTE_MS = 8000, IDLE_MS = 5000, MAX_FAILURES = 3, MAX_INPUT = 4000 };
#define MAX_TEXT ((size_t)64 << 10)

struct job { /* one utterance */
    uint32_t utterance;
    struct pat_buf pending;
    bool ended;
    struct upsample up;
    int carry; /* half a sample; -1: none */
    bool spoken;
    struct job *next;
};

struct openai_tts {
    struct tts_provider base;
    struct pat_loop *loop;
    struct pat_http *http;
    struct tts_provider_events ev;
    void *arg;
    struct voice voice;
    char *url, *auth, *model;
    int64_t connect_ms;
    struct job *jobs; /* the first one speaks */
    pat_http_id transfer;
    struct pat_task task; /* to go on, outside of every call of ops */
    int failures;
    bool told_ready;
};

static void go_on(void *arg);

static void go_on_soon(struct openai_tts *p)
{
    pat_loop_next_turn(p->loop, &p->task, go_on, p);
}

static struct job *job_of(struct openai_tts *p, uint32_t utterance)
{
    for (struct job *j = p->jobs; j; j = j->next)
        if (j->utterance == utterance)
            return j;
    return NULL;
}

static void job_free(struct openai_tts *p, struct job *j)
{
    struct job **at = &p->jobs;

    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    pat_buf_fini(&j->pending);
    free(j);
}

static void first_done(struct openai_tts *p, int err, const char *why)
{
    struct job *j = p->jobs;
    uint32_t utterance = j->utterance;

    job_free(p, j);
    go_on_soon(p);
    p->ev.done(utterance, err, why, p->arg);
}

/* Bytes pair up to samples across pieces; at most BLOCK samples at a time. */
static void on_data(const char *data, size_t len, void *arg)
{
    enum { BLOCK = 2048 };
    struct openai_tts *p = arg;
    uint32_t utterance = p->jobs->utterance;
    int16_t in[BLOCK], out[2 * BLOCK];

    p->failures = 0;
    while (len) {
        struct job *j = p->jobs;
        size_t n = 0;

        if (!j || j->utterance != utterance)
            return; /* canceled by the receiver of its samples */
        for (; len && n < BLOCK; data++, len--) {
            if (j->carry < 0) {
                j->carry = (uint8_t)*data;
                continue;
            }
            in[n++] = (int16_t)(uint16_t)((unsigned)j->carry | (unsigned)(uint8_t)*data << 8);
            j->carry = -1;
        }
        if (!n)
            return;
        upsample_x2(&j->up, in, n, out);
        j->spoken = true;
        p->ev.audio(utterance, out, 2 * n, p->arg);
    }
}

/* 400 for a voice it does not have names the parameter. */
static enum provider_fault fault_of(const struct pat_http_res *res, char *why, size_t cap)
{
    bool too_long;
    enum provider_fault f = chat_refusal(res->status, res->body, res->len, &too_long, why, cap);

    return f == FAULT_REQUEST && (strstr(res->body, "\"voice\"") || strstr(why, "'voice'"))
               ? FAULT_VOICE
               : f;
}

static void refused(struct openai_tts *p, const struct pat_http_res *res)
{
    char why[160], text[200];
    enum provider_fault f = fault_of(res, why, sizeof why);

    snprintf(text, sizeof text, "HTTP %d %s", res->status, why);
    if (f != FAULT_SERVER || ++p->failures >= MAX_FAILURES) {
        pat_log(PAT_ERROR, "tts.unusable", PAT_S("provider", "openai"),
                PAT_I("status", res->status));
        p->ev.unusable(f, text, p->arg);
        return;
    }
    first_done(p, PAT_EUPSTREAM, text);
}

static void on_done(int err, const struct pat_http_res *res, void *arg)
{
    struct openai_tts *p = arg;

    p->transfer = 0;
    if (err)
        first_done(p, err, "transfer");
    else if (res->status < 200 || res->status > 299)
        refused(p, res);
    else
        go_on_soon(p);
}

/* As much as one request takes, cut at a blank. */
static size_t piece_of(const struct pat_buf *b)
{
    size_t n = b->len;

    if (n <= MAX_INPUT)
        return n;
    for (n = MAX_INPUT; n && b->data[n] != ' '; n--)
        ;
    return n ? n : MAX_INPUT;
}

static int request(struct openai_tts *p, struct job *j)
{
    const char *const headers[] = { "Content-Type: application/json", p->auth, NULL };
    struct pat_http_req req = { .method = "POST",
                                .url = p->url,
                                .headers = headers,
                                .timeout_ms = FIRST_BYTE_MS,
                                .connect_timeout_ms = p->connect_ms,
                                .idle_ms = IDLE_MS };
    PAT_AUTO_JSON body = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    size_t n = piece_of(&j->pending);
    int err;

    pat_json_set_str(body, "model", p->model);
    pat_json_set_strn(body, "input", j->pending.data, n);
    pat_json_set_str(body, "voice", p->voice.id);
    pat_json_set_str(body, "response_format", "pcm");
    if (p->voice.speed > 0)
        pat_json_set_num(body, "speed", p->voice.speed);
    text = pat_json_print(body);
    if (!text)
        return PAT_ENOMEM;
    req.body = text;
    req.body_len = strlen(text);
    err = pat_http_start(p->http, &req, on_data, on_done, p, &p->transfer);
    if (!err)
        pat_buf_drop(&j->pending, n);
    return err;
}

static void finish_first(struct openai_tts *p)
{
    struct job *j = p->jobs;
    uint32_t utterance = j->utterance;
    int16_t tail[UPSAMPLE_TAPS];

    if (j->spoken) {
        size_t n = upsample_flush(&j->up, tail);

        j->spoken = false;
        p->ev.audio(utterance, tail, n, p->arg);
    }
    if (p->jobs && p->jobs->utterance == utterance)
        first_done(p, PAT_OK, "");
}

static void go_on(void *arg)
{
    struct openai_tts *p = arg;
    struct job *j = p->jobs;
    int err;

    if (!p->told_ready) {
        p->told_ready = true;
        if (p->ev.ready)
            p->ev.ready(p->arg);
        go_on_soon(p);
        return;
    }
    if (!j || p->transfer)
        return;
    if (j->pending.len) {
        err = request(p, j);
        if (err)
            first_done(p, err, "cannot ask");
    } else if (j->ended) {
        finish_first(p);
    }
}

static struct job *job_new(struct openai_tts *p, uint32_t utterance)
{
    struct job *j = calloc(1, sizeof *j), **at = &p->jobs;

    if (!j)
        return NULL;
    j->utterance = utterance;
    j->carry = -1;
    pat_buf_init(&j->pending, MAX_TEXT);
    while (*at)
        at = &(*at)->next;
    *at = j;
    return j;
}

static int openai_op_text(struct tts_provider *base, uint32_t utterance, const char *text,
                          size_t len)
{
    struct openai_tts *p = (struct openai_tts *)base;
    struct job *j = job_of(p, utterance);

    if (!j)
        j = job_new(p, utterance);
    if (!j)
        return PAT_ENOMEM;
    if (j->pending.len)
        pat_buf_adds(&j->pending, " ");
    if (pat_buf_add(&j->pending, text, len))
        return j->pending.err;
    go_on_soon(p);
    return PAT_OK;
}

static void openai_op_end(struct tts_provider *base, uint32_t utterance)
{
    struct openai_tts *p = (struct openai_tts *)base;
    struct job *j = job_of(p, utterance);

    if (!j)
        return;
    j->ended = true;
    go_on_soon(p);
}

static void openai_op_cancel(struct tts_provider *base, uint32_t utterance)
{
    struct openai_tts *p = (struct openai_tts *)base;
    struct job *j = job_of(p, utterance);

    if (!j)
        return;
    if (j == p->jobs) {
        pat_http_cancel(p->http, p->transfer);
        p->transfer = 0;
    }
    job_free(p, j);
    go_on_soon(p);
}

static void openai_op_close(struct tts_provider *base)
{
    struct openai_tts *p = (struct openai_tts *)base;

    pat_http_cancel(p->http, p->transfer);
    pat_task_cancel(p->loop, &p->task);
    while (p->jobs)
        job_free(p, p->jobs);
    free(p->url);
    free(p->auth);
    free(p->model);
    free(p);
}

int tts_openai_open(struct tts_provider **out, struct pat_loop *l, struct pat_http *http,
                    const struct tts_opts *o, const struct tts_hop *hop,
                    const struct tts_provider_events *ev, void *arg)
{
    static const struct tts_provider_ops ops = { openai_op_text, openai_op_end, openai_op_cancel,
                                                 openai_op_close };
    struct openai_tts *p = calloc(1, sizeof *p);

    if (!p)
        return PAT_ENOMEM;
    *p = (struct openai_tts){ .base = { &ops },
                              .loop = l,
                              .http = http,
                              .ev = *ev,
                              .arg = arg,
                              .voice = hop->voice,
                              .connect_ms = o->connect_ms };
    p->model = strdup(hop->by->model);
    if (!p->model || asprintf(&p->url, "%s/audio/speech", hop->by->url) < 0 ||
        asprintf(&p->auth, "Authorization: Bearer %s", hop->by->key) < 0) {
        openai_op_close(&p->base);
        return PAT_ENOMEM;
    }
    go_on_soon(p);
    *out = &p->base;
    return PAT_OK;
}
