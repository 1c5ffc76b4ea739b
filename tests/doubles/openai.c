/* openai.c - the OpenAI double: chat completions, models, speech.
 *
 * How: a request is checked as the vendor would, then answered by rules (talk.c) after the desk's
 * latency, which counts from the whole request to the first token. Own control keys: token_ms,
 * split, no_done, reply, tool_calls [{name, arguments}], models [ids]. It does not know
 * embeddings, images or the Responses API. */
#include "openai.h"

#include "bills.h"
#include "mp3enc.h"
#include "synth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct speech {
    struct dbl *d;
    struct pat_httpd_req *r;
    int16_t *pcm;
    size_t n;
    bool wav, mp3;
};

static bool refuse_key(struct openai *o, struct pat_httpd_req *r)
{
    const char *auth = pat_httpd_header(r, "authorization");
    const char *key = auth && !strncmp(auth, "Bearer ", 7) ? auth + 7 : NULL;
    struct openai_refusal why = { 401, "invalid_request_error", "invalid_api_key", NULL,
                                  "Incorrect API key provided." };

    if (dbl_key_ok(o->d, key))
        return false;
    openai_refuse(r, &why);
    return true;
}

static bool refuse_scripted(struct openai *o, struct pat_httpd_req *r)
{
    struct dbl_fail f;
    struct openai_refusal why;
    char text[32];

    if (!dbl_fail_take(o->d, pat_httpd_path(r), &f))
        return false;
    why = (struct openai_refusal){ f.status, f.type, f.code, NULL, "" };
    if (!*f.type)
        why.type = f.status == 429  ? "requests"
                   : f.status < 500 ? "invalid_request_error"
                                    : "server_error";
    if (!*f.code)
        why.code = f.status == 429 ? "rate_limit_exceeded" : NULL;
    pat_strcpy(why.message, sizeof why.message, f.message);
    if (f.retry_after_ms) {
        snprintf(text, sizeof text, "%lld", (long long)f.retry_after_ms);
        pat_httpd_set_header(r, "retry-after-ms", text);
        snprintf(text, sizeof text, "%lld", (long long)(f.retry_after_ms + 999) / 1000);
        pat_httpd_set_header(r, "retry-after", text);
    }
    pat_httpd_set_header(r, "x-request-id", "req_scripted");
    openai_refuse(r, &why);
    return true;
}

/* NULL: refused and answered. The request is logged in any case, as what it asks for: "chat" or
 * "speech". */
static struct pat_json *body_of(struct openai *o, struct pat_httpd_req *r, const char *kind)
{
    size_t len;
    const char *text = pat_httpd_body(r, &len);
    struct pat_json *body = NULL, *entry = dbl_obj("path", pat_httpd_path(r));
    struct openai_refusal why = { 400, "invalid_request_error", NULL, NULL,
                                  "We could not parse the JSON body of your request." };
    int err = pat_json_parse(&body, text, len, NULL);

    if (!err)
        pat_json_set_take(entry, "body", pat_json_dup(body));
    dbl_log(o->d, kind, entry);
    if (!refuse_key(o, r) && !refuse_scripted(o, r)) {
        if (!err && pat_json_kind(body) == PAT_JSON_OBJ)
            return body;
        openai_refuse(r, &why);
    }
    pat_json_free(body);
    return NULL;
}

static void on_chat(struct pat_httpd_req *r, void *arg)
{
    struct openai *o = arg;
    PAT_AUTO_JSON body = body_of(o, r, "chat");
    struct openai_refusal why;

    if (!body)
        return;
    if (openai_check_chat(o, body, &why))
        openai_refuse(r, &why);
    else
        openai_answer(o, r, body);
}

static struct pat_json *model_json(const struct openai_model *m, const char *id)
{
    struct pat_json *j = dbl_obj("id", id);

    pat_json_set_str(j, "object", "model");
    pat_json_set_int(j, "created", 1721172741);
    pat_json_set_str(j, "owned_by", "system");
    pat_json_set_str(j, "shutdown_date", m->shutdown);
    return j;
}

static void on_models(struct pat_httpd_req *r, void *arg)
{
    struct openai *o = arg;
    struct pat_json *out, *data;

    if (refuse_key(o, r) || refuse_scripted(o, r))
        return;
    out = dbl_obj("object", "list");
    data = pat_json_arr();
    for (size_t i = 0; !o->models && openai_model_at(i); i++)
        pat_json_add_take(data, model_json(openai_model_at(i), openai_model_at(i)->id));
    for (size_t i = 0; o->models && i < pat_json_size(o->models); i++) {
        const char *id = pat_json_value_str(pat_json_item(o->models, i));

        if (id)
            pat_json_add_take(data, model_json(openai_model_find(o, id), id));
    }
    pat_json_set_take(out, "data", data);
    dbl_reply(r, 200, out);
}

static void on_model(struct pat_httpd_req *r, void *arg)
{
    struct openai *o = arg;
    const char *id = pat_httpd_param(r, "id");
    const struct openai_model *m = openai_model_find(o, id ? id : "");
    struct openai_refusal why = { 404, "invalid_request_error", "model_not_found", "model",
                                  "The model does not exist." };

    if (refuse_key(o, r))
        return;
    if (m)
        dbl_reply(r, 200, model_json(m, id));
    else
        openai_refuse(r, &why);
}

static void speech_free(void *arg)
{
    struct speech *s = arg;

    free(s->pcm);
    free(s);
}

static void speech_drop(void *arg)
{
    struct speech *s = arg;

    pat_httpd_abort(s->r);
    speech_free(s);
}

static void put32(uint8_t *p, uint32_t v)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(v >> (8 * i));
}

/* RIFF, 24 kHz mono 16 bit. */
static void wav_head(uint8_t h[44], size_t bytes)
{
    static const uint8_t fmt[] = {
        'W', 'A', 'V', 'E', 'f', 'm', 't', ' ', 16, 0, 0, 0, 1, 0, 1, 0
    };

    memcpy(h, "RIFF", 4);
    put32(h + 4, (uint32_t)bytes + 36);
    memcpy(h + 8, fmt, sizeof fmt);
    put32(h + 24, 24000);
    put32(h + 28, 48000);
    put32(h + 32, 2 | 16 << 16);
    memcpy(h + 36, "data", 4);
    put32(h + 40, (uint32_t)bytes);
}

static void send_mp3(struct speech *s)
{
    struct pat_buf bytes;

    pat_buf_init(&bytes, (size_t)8 << 20);
    if (mp3enc(&bytes, 24000, 64, s->pcm, s->n)) {
        speech_drop(s);
    } else {
        pat_httpd_reply(s->r, 200, "audio/mpeg", bytes.data, bytes.len);
        speech_free(s);
    }
    pat_buf_fini(&bytes);
}

static void speech_send(void *arg)
{
    struct speech *s = arg;
    size_t bytes = s->n * 2, head = s->wav ? 44 : 0;
    uint8_t *body;

    if (s->mp3) {
        send_mp3(s);
        return;
    }
    body = malloc(bytes + 44);
    if (!body) {
        speech_drop(s);
        return;
    }
    if (s->wav)
        wav_head(body, bytes);
    memcpy(body + head, s->pcm, bytes);
    pat_httpd_reply(s->r, 200, s->wav ? "audio/wav" : "audio/pcm", body, bytes + head);
    free(body);
    speech_free(s);
}

static void on_spoken(int err, const int16_t *pcm, size_t n, void *arg)
{
    struct speech *s = arg;

    s->pcm = err || !s->d->state ? NULL : malloc(n * sizeof *pcm + 1);
    if (!s->pcm) {
        speech_drop(s);
        return;
    }
    memcpy(s->pcm, pcm, n * sizeof *pcm);
    s->n = n;
    if (dbl_after(s->d, s->d->latency_ms, speech_send, speech_drop, s))
        speech_drop(s);
}

static const struct synth_voice *speech_voice(const char *name)
{
    static const struct {
        const char *name;
        struct synth_voice v;
    } voices[] = {
        { "alloy", { "slt", 0.93, 1 } }, { "echo", { "rms", 1.08, 1 } },
        { "fable", { "awb", 1.05, 1 } }, { "nova", { "slt", 1.08, 1 } },
        { "onyx", { "rms", 0.88, 1 } },  { "shimmer", { "slt", 1.18, 1 } },
    };

    for (size_t i = 0; i < sizeof voices / sizeof voices[0]; i++)
        if (!strcmp(voices[i].name, name))
            return &voices[i].v;
    return NULL;
}

static bool refuse_speech(struct openai *o, struct pat_httpd_req *r, const struct pat_json *body)
{
    const struct openai_model *m = openai_model_find(o, pat_json_str_or(body, "model", ""));
    const char *format = pat_json_str_or(body, "response_format", "mp3");
    const char *input = pat_json_str_or(body, "input", "");
    struct openai_refusal why = { 400, "invalid_request_error", NULL, NULL, "" };

    if (!m || !m->speech) {
        why.status = 404;
        why.code = "model_not_found";
    } else if (!*input || strlen(input) > 4096) {
        why.param = "input";
    } else if (!speech_voice(pat_json_str_or(body, "voice", ""))) {
        why.param = "voice";
    } else if (strcmp(format, "pcm") != 0 && strcmp(format, "wav") != 0 &&
               (strcmp(format, "mp3") != 0 || !mp3enc_there())) {
        why.param = "response_format";
    } else {
        return false;
    }
    snprintf(why.message, sizeof why.message, "Invalid value for '%s'.",
             why.param ? why.param : "model");
    openai_refuse(r, &why);
    return true;
}

static void on_speech(struct pat_httpd_req *r, void *arg)
{
    struct openai *o = arg;
    PAT_AUTO_JSON body = body_of(o, r, "speech");
    struct speech *s;
    struct synth_job *job;
    struct synth_voice v;
    const char *input;

    if (!body || refuse_speech(o, r, body))
        return;
    s = calloc(1, sizeof *s);
    if (!s) {
        pat_httpd_abort(r);
        return;
    }
    *s = (struct speech){ .d = o->d, .r = r };
    s->wav = !strcmp(pat_json_str_or(body, "response_format", ""), "wav");
    s->mp3 = !strcmp(pat_json_str_or(body, "response_format", "mp3"), "mp3");
    v = *speech_voice(pat_json_str_or(body, "voice", ""));
    v.speed = pat_json_num_or(body, "speed", 1);
    input = pat_json_str_or(body, "input", "");
    if (v.speed < 0.25 || v.speed > 4 ||
        synth_start(&job, o->d->loop, input, strlen(input), &v, 24000, on_spoken, s))
        speech_drop(s);
}

static bool openai_control(struct dbl *d, const char *key, const struct pat_json *v)
{
    struct openai *o = d->state;
    const char *text = pat_json_value_str(v);
    bool is_array = pat_json_kind(v) == PAT_JSON_ARR;

    if (!strcmp(key, "token_ms")) {
        o->token_ms = (int64_t)pat_json_value_num(v);
    } else if (!strcmp(key, "split")) {
        o->split = dbl_flag(v);
    } else if (!strcmp(key, "no_done")) {
        o->no_done = dbl_flag(v);
    } else if (!strcmp(key, "reply")) {
        free(o->reply);
        o->reply = text ? strdup(text) : NULL;
    } else if (!strcmp(key, "tool_calls")) {
        pat_json_free(o->tool_calls);
        o->tool_calls = is_array ? pat_json_dup(v) : NULL;
    } else if (!strcmp(key, "models")) {
        pat_json_free(o->models);
        o->models = is_array ? pat_json_dup(v) : NULL;
    } else {
        return false;
    }
    return true;
}

static void openai_reset(struct dbl *d)
{
    struct openai *o = d->state;

    free(o->reply);
    pat_json_free(o->tool_calls);
    pat_json_free(o->models);
    *o = (struct openai){ .d = d, .next_id = o->next_id };
}

static void openai_stop(struct dbl *d)
{
    openai_reset(d);
    free(d->state);
    d->state = NULL;
}

static int openai_start(struct dbl *d)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v1/chat/completions", 0, on_chat },
        { "GET", "/v1/models", 0, on_models },
        { "GET", "/v1/models/{id}", 0, on_model },
        { "POST", "/v1/audio/speech", 0, on_speech },
        { 0 },
    };
    struct openai *o = calloc(1, sizeof *o);
    int err;

    if (!o)
        return PAT_ENOMEM;
    o->d = d;
    d->state = o;
    err = pat_httpd_routes(d->server, routes, o);
    return err ? err : bills_openai(d);
}

const struct dbl_vendor dbl_vendor_openai = {
    .name = "openai",
    .start = openai_start,
    .control = openai_control,
    .reset = openai_reset,
    .stop = openai_stop,
};
