/* elevenlabs.c - the ElevenLabs double: speech over HTTP, models, the account.
 *
 * How: text is really spoken by flite (synth.c) in the format asked for; latency counts from the
 * receipt of the text. Opus is refused here with the field named; the sockets speak it.
 * Own control keys: voices [ids that exist too], gone [ids], snake, opus, drip_ms, voice_limit,
 * requires_verification. */
#include "elevenlabs.h"

#include "audio.h"
#include "bills.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_AUDIO ((size_t)32 << 20)

struct spoken {
    struct dbl *d;
    struct pat_httpd_req *r;
    struct audio_format format;
    char *text;
    bool timestamps;
    int64_t received_ms;
    int16_t *pcm;
    size_t n;
};

void eleven_error(struct pat_httpd_req *r, int status, const char *code, const char *message,
                  const char *param)
{
    struct pat_json *body = pat_json_obj(), *detail = pat_json_obj();

    pat_json_set_str(detail, "type", status == 401 ? "authentication_error" : "validation_error");
    pat_json_set_str(detail, "code", code);
    pat_json_set_str(detail, "status", code);
    pat_json_set_str(detail, "message", message);
    pat_json_set_str(detail, "request_id", "req_double");
    if (param)
        pat_json_set_str(detail, "param", param);
    pat_json_set_take(body, "detail", detail);
    dbl_reply(r, status, body);
}

const char *eleven_key(struct pat_httpd_req *r)
{
    const char *key = pat_httpd_header(r, "xi-api-key");

    if (!key)
        key = pat_httpd_query_param(r, "authorization");
    return key ? key : pat_httpd_query_param(r, "single_use_token");
}

bool eleven_refuse(struct elevenlabs *e, struct pat_httpd_req *r)
{
    struct dbl_fail f;
    char seconds[32];

    if (!dbl_key_ok(e->d, eleven_key(r))) {
        eleven_error(r, 401, "invalid_api_key", "Invalid API key", NULL);
        return true;
    }
    if (!dbl_fail_take(e->d, pat_httpd_path(r), &f))
        return false;
    if (f.retry_after_ms) {
        snprintf(seconds, sizeof seconds, "%lld", (long long)(f.retry_after_ms + 999) / 1000);
        pat_httpd_set_header(r, "retry-after", seconds);
    }
    eleven_error(r, f.status, *f.code ? f.code : "scripted", f.message, NULL);
    return true;
}

static void spoken_free(struct spoken *s)
{
    free(s->text);
    free(s->pcm);
    free(s);
}

static void spoken_drop(void *arg)
{
    struct spoken *s = arg;

    pat_httpd_abort(s->r);
    spoken_free(s);
}

static void reply_timestamps(struct spoken *s, const struct pat_buf *bytes)
{
    struct pat_json *j = pat_json_obj();
    int64_t ms = (int64_t)s->n * 1000 / s->format.rate;
    struct pat_buf base64;

    pat_buf_init(&base64, MAX_AUDIO * 2);
    (void)audio_base64(&base64, bytes->data, bytes->len);
    pat_json_set_strn(j, "audio_base64", base64.data ? base64.data : "", base64.len);
    pat_buf_fini(&base64);
    pat_json_set_take(j, "alignment", audio_timestamps(s->text, ms));
    pat_json_set_take(j, "normalized_alignment", audio_timestamps(s->text, ms));
    dbl_reply(s->r, 200, j);
}

static const char *content_type(const struct audio_format *f)
{
    return f->mp3_kbps ? "audio/mpeg" : f->ulaw ? "audio/basic" : "audio/pcm";
}

static void spoken_send(void *arg)
{
    struct spoken *s = arg;
    struct pat_json *entry = dbl_obj("text", s->text);
    struct pat_buf bytes;
    char cost[32];

    pat_json_set_int(entry, "received_ms", s->received_ms);
    pat_json_set_int(entry, "first_audio_ms", pat_unix_ms());
    dbl_log(s->d, "http_speech", entry);
    snprintf(cost, sizeof cost, "%zu", strlen(s->text));
    pat_httpd_set_header(s->r, "character-cost", cost);
    pat_httpd_set_header(s->r, "request-id", "req_double");
    pat_buf_init(&bytes, MAX_AUDIO);
    if (audio_bytes(&bytes, &s->format, s->pcm, s->n)) {
        pat_buf_fini(&bytes);
        spoken_drop(s);
        return;
    }
    if (s->timestamps)
        reply_timestamps(s, &bytes);
    else
        pat_httpd_reply(s->r, 200, content_type(&s->format), bytes.data, bytes.len);
    pat_buf_fini(&bytes);
    spoken_free(s);
}

static void on_spoken(int err, const int16_t *pcm, size_t n, void *arg)
{
    struct spoken *s = arg;
    int64_t waited = pat_unix_ms() - s->received_ms;
    int64_t wait = waited < s->d->latency_ms ? s->d->latency_ms - waited : 0;

    s->pcm = err || !s->d->state ? NULL : malloc(n * sizeof *pcm + 1);
    if (!s->pcm) {
        spoken_drop(s);
        return;
    }
    memcpy(s->pcm, pcm, n * sizeof *pcm);
    s->n = n;
    if (dbl_after(s->d, wait, spoken_send, spoken_drop, s))
        spoken_drop(s);
}

static void speak(struct elevenlabs *e, struct pat_httpd_req *r, const char *text,
                  const struct synth_voice *v, const struct audio_format *f, bool timestamps)
{
    struct spoken *s = calloc(1, sizeof *s);
    struct synth_job *job;

    if (!s) {
        pat_httpd_abort(r);
        return;
    }
    *s = (struct spoken){ .d = e->d, .r = r, .format = *f, .text = strdup(text) };
    s->timestamps = timestamps;
    s->received_ms = pat_unix_ms();
    if (!s->text || synth_start(&job, e->d->loop, text, strlen(text), v, f->rate, on_spoken, s))
        spoken_drop(s);
}

/* The framework's own shape: detail is an array. */
static void reply_missing(struct pat_httpd_req *r, const char *field)
{
    struct pat_json *body = pat_json_obj(), *detail = pat_json_arr(), *one = pat_json_obj();
    struct pat_json *loc = pat_json_arr();

    pat_json_add_str(loc, "body");
    pat_json_add_str(loc, field);
    pat_json_set_take(one, "loc", loc);
    pat_json_set_str(one, "msg", "field required");
    pat_json_set_str(one, "type", "value_error.missing");
    pat_json_add_take(detail, one);
    pat_json_set_take(body, "detail", detail);
    dbl_reply(r, 422, body);
}

static void log_request(struct elevenlabs *e, struct pat_httpd_req *r, const struct pat_json *body,
                        const char *format)
{
    struct pat_json *entry = dbl_obj("voice_id", pat_httpd_param(r, "id"));
    const struct pat_json *settings = pat_json_at(body, "voice_settings");

    pat_json_set_str(entry, "output_format", format);
    pat_json_set_str(entry, "text", pat_json_str_or(body, "text", ""));
    pat_json_set_str(entry, "model_id", pat_json_str_or(body, "model_id", NULL));
    if (settings)
        pat_json_set_take(entry, "voice_settings", pat_json_dup(settings));
    dbl_log(e->d, "http_request", entry);
}

static void on_tts(struct pat_httpd_req *r, void *arg)
{
    struct elevenlabs *e = arg;
    PAT_AUTO_JSON body = NULL;
    size_t len;
    const char *raw = pat_httpd_body(r, &len), *text;
    const char *format = pat_httpd_query_param(r, "output_format");
    struct audio_format f;
    struct synth_voice v;

    if (eleven_refuse(e, r))
        return;
    if (pat_json_parse(&body, raw, len, NULL) || pat_json_get_str(body, "text", &text, NULL)) {
        reply_missing(r, "text");
    } else if (!eleven_voice(e, pat_httpd_param(r, "id"), &v)) {
        eleven_error(r, 404, "voice_not_found", "A voice with the requested id was not found.",
                     "voice_id");
    } else if (!audio_format_parse(&f, format ? format : "mp3_44100_128")) {
        eleven_error(r, 400, "invalid_parameters",
                     "this double speaks pcm_*, ulaw_8000 and mp3_* only", "output_format");
    } else {
        v.speed = pat_json_num_or(body, "voice_settings.speed", 1);
        log_request(e, r, body, format);
        speak(e, r, text, &v, &f, strstr(pat_httpd_path(r), "with-timestamps") != NULL);
    }
}

static void on_models(struct pat_httpd_req *r, void *arg)
{
    static const char *const ids[] = { "eleven_flash_v2_5", "eleven_turbo_v2_5",
                                       "eleven_multilingual_v2" };
    struct elevenlabs *e = arg;
    struct pat_json *out;

    if (eleven_refuse(e, r))
        return;
    out = pat_json_arr();
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct pat_json *m = dbl_obj("model_id", ids[i]);

        pat_json_set_str(m, "name", ids[i]);
        pat_json_set_bool(m, "can_do_text_to_speech", true);
        pat_json_set_num(m, "token_cost_factor", 1);
        pat_json_set_take(m, "languages", pat_json_arr());
        pat_json_add_take(out, m);
    }
    dbl_reply(r, 200, out);
}

static struct pat_json *subscription(const struct elevenlabs *e)
{
    struct pat_json *j = dbl_obj("tier", "creator");

    pat_json_set_int(j, "character_count", 1000);
    pat_json_set_int(j, "character_limit", 100000);
    pat_json_set_int(j, "max_character_limit_extension", 0);
    pat_json_set_int(j, "max_credit_limit_extension", 0);
    pat_json_set_bool(j, "can_extend_character_limit", false);
    pat_json_set_bool(j, "allowed_to_extend_character_limit", false);
    pat_json_set_int(j, "next_character_count_reset_unix", 1800000000);
    pat_json_set_int(j, "voice_slots_used", e->n_clones);
    pat_json_set_int(j, "professional_voice_slots_used", 0);
    pat_json_set_int(j, "voice_limit", e->voice_limit);
    pat_json_set_int(j, "voice_add_edit_counter", e->n_clones);
    pat_json_set_int(j, "professional_voice_limit", 0);
    pat_json_set_bool(j, "can_extend_voice_limit", false);
    pat_json_set_bool(j, "can_use_instant_voice_cloning", true);
    pat_json_set_bool(j, "can_use_professional_voice_cloning", false);
    pat_json_set_str(j, "currency", "usd");
    pat_json_set_str(j, "status", "active");
    pat_json_set_str(j, "billing_period", "monthly_period");
    pat_json_set_str(j, "character_refresh_period", "monthly_period");
    pat_json_set_bool(j, "has_open_invoices", false);
    pat_json_set_take(j, "open_invoices", pat_json_arr());
    return j;
}

static void on_subscription(struct pat_httpd_req *r, void *arg)
{
    struct elevenlabs *e = arg;

    if (!eleven_refuse(e, r))
        dbl_reply(r, 200, subscription(e));
}

static void on_user(struct pat_httpd_req *r, void *arg)
{
    struct elevenlabs *e = arg;
    struct pat_json *j;

    if (eleven_refuse(e, r))
        return;
    j = dbl_obj("user_id", "user_double");
    pat_json_set_take(j, "subscription", subscription(e));
    pat_json_set_bool(j, "is_new_user", false);
    pat_json_set_bool(j, "can_use_delayed_payment_methods", false);
    pat_json_set_bool(j, "is_onboarding_completed", true);
    pat_json_set_bool(j, "is_onboarding_checklist_completed", true);
    pat_json_set_int(j, "created_at", 1700000000);
    dbl_reply(r, 200, j);
}

static bool elevenlabs_control(struct dbl *d, const char *key, const struct pat_json *v)
{
    struct elevenlabs *e = d->state;
    bool is_array = pat_json_kind(v) == PAT_JSON_ARR;

    if (!strcmp(key, "voices")) {
        pat_json_free(e->extra);
        e->extra = is_array ? pat_json_dup(v) : NULL;
    } else if (!strcmp(key, "gone")) {
        pat_json_free(e->gone);
        e->gone = is_array ? pat_json_dup(v) : NULL;
    } else if (!strcmp(key, "snake")) {
        e->snake = dbl_flag(v);
    } else if (!strcmp(key, "drip_ms")) {
        e->drip_ms = (int64_t)pat_json_value_num(v);
    } else if (!strcmp(key, "opus")) {
        const char *how = pat_json_value_str(v);
        pat_strcpy(e->opus, sizeof e->opus, how ? how : "clean");
    } else if (!strcmp(key, "voice_limit")) {
        e->voice_limit = (int)pat_json_value_num(v);
    } else if (!strcmp(key, "requires_verification")) {
        e->requires_verification = dbl_flag(v);
    } else {
        return false;
    }
    return true;
}

static void elevenlabs_reset(struct dbl *d)
{
    struct elevenlabs *e = d->state;

    eleven_clones_free(e);
    pat_json_free(e->extra);
    pat_json_free(e->gone);
    *e = (struct elevenlabs){ .d = d, .voice_limit = 30, .seed = e->seed, .conns = e->conns };
}

static void elevenlabs_stop(struct dbl *d)
{
    struct elevenlabs *e = d->state;

    eleven_ws_stop(e);
    elevenlabs_reset(d);
    free(e);
    d->state = NULL;
}

static int elevenlabs_start(struct dbl *d)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v1/text-to-speech/{id}", 0, on_tts },
        { "POST", "/v1/text-to-speech/{id}/stream", 0, on_tts },
        { "POST", "/v1/text-to-speech/{id}/with-timestamps", 0, on_tts },
        { "POST", "/v1/text-to-speech/{id}/stream/with-timestamps", 0, on_tts },
        { "GET", "/v1/models", 0, on_models },
        { "GET", "/v1/user/subscription", 0, on_subscription },
        { "GET", "/v1/user", 0, on_user },
        { 0 },
    };
    struct elevenlabs *e = calloc(1, sizeof *e);
    int err;

    if (!e)
        return PAT_ENOMEM;
    e->d = d;
    d->state = e;
    err = pat_httpd_routes(d->server, routes, e);
    if (!err)
        err = eleven_voice_routes(e);
    if (!err)
        err = eleven_ws_routes(e);
    return err ? err : bills_elevenlabs(d);
}

const struct dbl_vendor dbl_vendor_elevenlabs = {
    .name = "elevenlabs",
    .start = elevenlabs_start,
    .control = elevenlabs_control,
    .reset = elevenlabs_reset,
    .stop = elevenlabs_stop,
};
