/* elevenlabs_ws.c - the sockets of the ElevenLabs double: one context, or up to five.
 *
 * How: each context has a queue of one: text gathers until it may be spoken (a flush, auto_mode, or
 * 120 characters), is made on a pool thread and handed out in chunks, the next text after it.
 * Closes with 1008 as the vendor does: a sixth context, late voice settings, unknown voice,
 * silence. It does not know pronunciation dictionaries or SSML.
 *
 * The vendor does not say how opus_48000_* comes over its sockets, so a test says it (key opus):
 * "clean" one Ogg stream per context, in pages; "each" a stream of its own per message; "long"
 * packets of 60 ms; "bare" packets in no container; "late" clean, then bare from the third message;
 * "refused" the socket is closed. */
#include "elevenlabs.h"

#include "audio.h"
#include "oggenc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_CONTEXTS = 5,
    SCHEDULE = 120,
    IDLE_MS = 20000,
    CHUNK_MS = 400,
    FIRST_CHUNK_MS = 120,
    DRIP_MS = 100
};
#define MAX_TEXT  ((size_t)64 << 10)
#define MAX_FRAME ((size_t)1 << 20)

struct context {
    struct eleven_conn *c;
    char id[64];
    struct pat_buf text;   /* not yet being made */
    struct pat_buf saying; /* being made or waiting for its time */
    bool flush, closing, started;
    struct synth_job *job;
    struct pat_timer due; /* pcm may go out */
    int16_t *pcm;
    size_t n, at;               /* samples, and how many of them were sent */
    struct oggenc *ogg;         /* NULL: not begun, or not Opus */
    int messages;               /* with sound */
    int64_t text_ms, saying_ms; /* unix time: the first text received */
    struct context *next;
};

struct eleven_conn {
    struct elevenlabs *e;
    struct pat_ws *ws;
    struct pat_timer idle;
    int64_t idle_ms;
    struct synth_voice voice;
    bool voice_ok, multi, auto_mode, key_ok;
    int opus_bitrate; /* 0: samples */
    struct audio_format format;
    char voice_id[64], query[400]; /* as asked for, for the log */
    struct context *contexts;
    int sent; /* messages with audio */
    bool closing;
    struct eleven_conn *next;
};

static void context_free(struct context *x)
{
    struct context **at = &x->c->contexts;

    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    synth_cancel(x->job);
    pat_timer_fini(&x->due);
    pat_buf_fini(&x->text);
    pat_buf_fini(&x->saying);
    oggenc_free(x->ogg);
    free(x->pcm);
    free(x);
}

static void conn_free(struct eleven_conn *c)
{
    struct eleven_conn **at = &c->e->conns;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    while (c->contexts)
        context_free(c->contexts);
    pat_timer_fini(&c->idle);
    free(c);
}

static const char *spell(const struct eleven_conn *c, const char *camel, const char *snake)
{
    return c->e->snake ? snake : camel;
}

/* An error message, then the close with it as the reason. */
static void refuse(struct eleven_conn *c, const char *slug, const char *message)
{
    struct pat_json *j = dbl_obj("message", message);

    if (c->closing)
        return;
    c->closing = true;
    pat_json_set_str(j, "error", slug);
    pat_json_set_int(j, "code", 1008);
    dbl_send(c->ws, j);
    dbl_log(c->e->d, "refused", dbl_obj("error", slug));
    pat_ws_close(c->ws, 1008, message);
}

static void send_final(struct context *x)
{
    struct eleven_conn *c = x->c;
    struct pat_json *j = pat_json_obj();
    bool multi = c->multi;

    pat_json_set_null(j, "audio");
    pat_json_set_bool(j, spell(c, "isFinal", "is_final"), true);
    if (multi)
        pat_json_set_str(j, spell(c, "contextId", "context_id"), x->id);
    dbl_send(c->ws, j);
    context_free(x);
    if (!multi) {
        c->closing = true;
        pat_ws_close(c->ws, 1000, "");
    }
}

static void advance(struct context *x);

/* True: a scripted disconnect was due, c's events have ended or will. */
static bool cut(struct eleven_conn *c)
{
    struct dbl_cut k;

    if (!dbl_cut_take(c->e->d, c->sent, &k))
        return false;
    dbl_log(c->e->d, "cut", NULL);
    if (k.code) {
        c->closing = true;
        pat_ws_close(c->ws, k.code, k.reason);
        return true;
    }
    pat_ws_abort(c->ws);
    conn_free(c);
    return true;
}

static bool opus_is(const struct context *x, const char *how)
{
    return strcmp(x->c->e->opus, how) == 0;
}

static int opus_bytes(struct context *x, struct pat_buf *out, const int16_t *pcm, size_t n)
{
    bool bare = opus_is(x, "bare") || (opus_is(x, "late") && x->messages >= 2);
    int err = PAT_OK;

    if (x->ogg && opus_is(x, "each")) {
        oggenc_free(x->ogg);
        x->ogg = NULL;
    }
    if (!x->ogg)
        err = oggenc_new(&x->ogg, x->c->opus_bitrate, opus_is(x, "long") ? 60 : 20);
    x->messages++;
    return err ? err : oggenc_add(x->ogg, out, pcm, n, bare);
}

static int sound_bytes(struct context *x, struct pat_buf *out, size_t from, size_t to)
{
    if (x->c->opus_bitrate)
        return opus_bytes(x, out, x->pcm + from, to - from);
    return audio_bytes(out, &x->c->format, x->pcm + from, to - from);
}

static void send_chunk(struct context *x, size_t from, size_t to)
{
    struct eleven_conn *c = x->c;
    struct pat_json *j = pat_json_obj();
    struct pat_buf bytes, base64;
    size_t len = x->saying.len, a = len * from / x->n, b = len * to / x->n;
    int64_t ms = (int64_t)(to - from) * 1000 / c->format.rate;

    while (a < len && ((uint8_t)x->saying.data[a] & 0xC0) == 0x80)
        a++;
    while (b < len && ((uint8_t)x->saying.data[b] & 0xC0) == 0x80)
        b++;
    pat_buf_init(&bytes, MAX_FRAME);
    pat_buf_init(&base64, MAX_FRAME * 2);
    if (!sound_bytes(x, &bytes, from, to))
        (void)audio_base64(&base64, bytes.data, bytes.len);
    pat_json_set_strn(j, "audio", base64.data ? base64.data : "", base64.len);
    pat_json_set_null(j, spell(c, "isFinal", "is_final"));
    if (c->multi)
        pat_json_set_str(j, spell(c, "contextId", "context_id"), x->id);
    if (b > a)
        pat_json_set_take(j, "alignment", audio_alignment(x->saying.data, a, b, ms, c->e->snake));
    else
        pat_json_set_null(j, "alignment");
    pat_json_set_null(j, spell(c, "normalizedAlignment", "normalized_alignment"));
    dbl_send(c->ws, j);
    c->sent++;
    pat_buf_fini(&bytes);
    pat_buf_fini(&base64);
}

static void log_said(const struct context *x)
{
    struct pat_json *entry = dbl_obj("context", x->id);

    pat_json_set_strn(entry, "text", x->saying.data, x->saying.len);
    pat_json_set_str(entry, "voice", x->c->voice.flite);
    pat_json_set_num(entry, "pitch", x->c->voice.pitch);
    pat_json_set_int(entry, "received_ms", x->saying_ms);
    pat_json_set_int(entry, "first_audio_ms", pat_unix_ms());
    pat_json_set_int(entry, "audio_ms", (int64_t)x->n * 1000 / x->c->format.rate);
    dbl_log(x->c->e->d, "speech", entry);
}

static void on_due(void *arg)
{
    struct context *x = arg;
    struct eleven_conn *c = x->c;
    size_t first = (size_t)c->format.rate * FIRST_CHUNK_MS / 1000;
    int64_t drip_ms = c->e->drip_ms;
    size_t chunk = (size_t)c->format.rate * (drip_ms ? DRIP_MS : CHUNK_MS) / 1000;

    if (!x->at)
        log_said(x);
    while (x->at < x->n) {
        size_t to = x->at + (x->at ? chunk : first);

        if (to > x->n)
            to = x->n;
        if (cut(c))
            return;
        send_chunk(x, x->at, to);
        x->at = to;
        if (drip_ms && to < x->n) {
            pat_timer_start(&x->due, drip_ms);
            return;
        }
    }
    free(x->pcm);
    x->pcm = NULL;
    pat_buf_reset(&x->saying);
    advance(x);
}

static void on_made(int err, const int16_t *pcm, size_t n, void *arg)
{
    struct context *x = arg;
    int64_t waited = pat_unix_ms() - x->saying_ms, latency = x->c->e->d->latency_ms;

    x->job = NULL;
    x->pcm = err ? NULL : malloc(n * sizeof *pcm + 1);
    if (!x->pcm) {
        refuse(x->c, "internal", "something went wrong, you were not charged");
        return;
    }
    memcpy(x->pcm, pcm, n * sizeof *pcm);
    x->n = n;
    x->at = 0;
    pat_timer_start(&x->due, waited < latency ? latency - waited : 0);
}

static bool has_words(const struct pat_buf *b)
{
    for (size_t i = 0; i < b->len; i++)
        if (b->data[i] != ' ')
            return true;
    return false;
}

/* Says what may be said, one text after the other; a closed context ends when nothing is left. */
static void advance(struct context *x)
{
    struct eleven_conn *c = x->c;
    bool now = x->flush || x->closing || c->auto_mode || x->text.len >= SCHEDULE;

    if (x->job || pat_timer_running(&x->due) || c->closing)
        return;
    if (!has_words(&x->text)) {
        pat_buf_reset(&x->text);
        x->flush = false;
        if (x->closing)
            send_final(x);
        return;
    }
    if (!now)
        return;
    x->flush = false;
    pat_buf_reset(&x->saying);
    pat_buf_add(&x->saying, x->text.data, x->text.len);
    pat_buf_reset(&x->text);
    x->saying_ms = x->text_ms;
    if (synth_start(&x->job, c->e->d->loop, x->saying.data, x->saying.len, &c->voice,
                    c->format.rate, on_made, x))
        refuse(c, "internal", "something went wrong, you were not charged");
}

static struct context *context_find(struct eleven_conn *c, const char *id)
{
    for (struct context *x = c->contexts; x; x = x->next)
        if (!strcmp(x->id, id))
            return x;
    return NULL;
}

static struct context *context_new(struct eleven_conn *c, const char *id)
{
    struct context *x, **at = &c->contexts;
    int n = 0;

    for (; *at; at = &(*at)->next)
        n++;
    if (n >= MAX_CONTEXTS) {
        refuse(c, "max_active_conversations",
               "Maximum simultaneous contexts per connection exceeded: max_active_conversations");
        return NULL;
    }
    x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->c = c;
    if (pat_timer_init(&x->due, c->e->d->loop, on_due, x)) {
        free(x);
        return NULL;
    }
    pat_strcpy(x->id, sizeof x->id, id);
    pat_buf_init(&x->text, MAX_TEXT);
    pat_buf_init(&x->saying, MAX_TEXT);
    *at = x;
    return x;
}

static void take_settings(struct eleven_conn *c, const struct pat_json *j)
{
    double speed = pat_json_num_or(j, "voice_settings.speed", 1);

    c->voice.speed = speed < 0.7 ? 0.7 : speed > 1.2 ? 1.2 : speed;
}

static void on_text(struct eleven_conn *c, struct context *x, const struct pat_json *j)
{
    const char *text = pat_json_str_or(j, "text", NULL);
    bool settings = pat_json_at(j, "voice_settings") || pat_json_at(j, "generation_config");

    if (settings && x->started) {
        refuse(c, "invalid_request",
               "voice_settings may only be provided in the first message of a context");
        return;
    }
    if (settings)
        take_settings(c, j);
    x->started = true;
    if (text && *text && !x->closing) {
        if (!has_words(&x->text) && strspn(text, " ") != strlen(text))
            x->text_ms = pat_unix_ms();
        if (pat_buf_adds(&x->text, text)) {
            refuse(c, "text_too_long", "text is too long");
            return;
        }
    }
    x->flush = x->flush || pat_json_bool_or(j, "flush", false) ||
               pat_json_bool_or(j, "try_trigger_generation", false);
    if (pat_json_bool_or(j, "close_context", false) || (!c->multi && text && !*text))
        x->closing = true;
    advance(x);
}

static void on_multi(struct eleven_conn *c, const struct pat_json *j)
{
    const char *id = pat_json_str_or(j, "context_id", NULL);
    const char *text = pat_json_str_or(j, "text", NULL);
    struct context *x = context_find(c, id ? id : "");

    if (pat_json_bool_or(j, "close_socket", false)) {
        c->closing = true;
        pat_ws_close(c->ws, 1000, "");
        return;
    }
    if (!id && text && !*text)
        return; /* keeps the socket */
    if (!x && pat_json_bool_or(j, "close_context", false))
        return; /* gone already */
    if (!x)
        x = context_new(c, id ? id : "default");
    if (x)
        on_text(c, x, j);
}

static void on_single(struct eleven_conn *c, const struct pat_json *j)
{
    const char *key = pat_json_str_or(j, "xi_api_key", pat_json_str_or(j, "xi-api-key", NULL));
    struct context *x = c->contexts ? c->contexts : context_new(c, "");

    if (!c->key_ok && !dbl_key_ok(c->e->d, key)) {
        refuse(c, "invalid_api_key", "Invalid API key");
        return;
    }
    c->key_ok = true;
    if (x)
        on_text(c, x, j);
}

static void on_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    struct eleven_conn *c = arg;
    PAT_AUTO_JSON j = NULL;

    (void)ws;
    if (c->closing)
        return;
    if (!text || pat_json_parse(&j, data, len, NULL) || pat_json_kind(j) != PAT_JSON_OBJ) {
        refuse(c, "invalid_message", "messages must be JSON objects");
        return;
    }
    dbl_log(c->e->d, "message", pat_json_dup(j));
    pat_timer_start(&c->idle, c->idle_ms);
    if (c->multi)
        on_multi(c, j);
    else
        on_single(c, j);
}

static void on_idle(void *arg)
{
    refuse(arg, "input_timeout_exceeded",
           "Have not received a new text input within the timeout of 20 seconds.");
}

static void log_connected(const struct eleven_conn *c)
{
    struct pat_json *entry = dbl_obj("voice_id", c->voice_id);

    pat_json_set_str(entry, "query", c->query);
    dbl_log(c->e->d, "connected", entry);
}

static void on_open(struct pat_ws *ws, void *arg)
{
    struct eleven_conn *c = arg;

    (void)ws;
    log_connected(c);
    pat_timer_start(&c->idle, c->idle_ms);
    if (!c->voice_ok)
        refuse(c, "voice_not_found", "A voice with the requested voice_id does not exist.");
    else if (!c->format.rate)
        refuse(c, "invalid_parameters",
               "output_format: this double speaks pcm_*, ulaw_8000 and opus_48000_*");
}

static void on_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                      void *arg)
{
    struct eleven_conn *c = arg;

    (void)ws;
    (void)err;
    (void)status;
    (void)code;
    (void)reason;
    dbl_log(c->e->d, "closed", NULL);
    conn_free(c);
}

static int64_t idle_of(struct pat_httpd_req *r)
{
    const char *s = pat_httpd_query_param(r, "inactivity_timeout");
    int64_t ms = s ? 1000 * strtoll(s, NULL, 10) : IDLE_MS;

    return ms >= 1000 && ms <= 180000 ? ms : IDLE_MS;
}

static void take_format(struct eleven_conn *c, const char *format)
{
    static const char opus[] = "opus_48000_";

    if (strncmp(format, opus, strlen(opus)) != 0) {
        (void)audio_format_parse(&c->format, format);
        if (c->format.mp3_kbps) /* not packed for sockets here */
            c->format = (struct audio_format){ 0 };
    } else if (strcmp(c->e->opus, "refused") != 0) {
        c->opus_bitrate = 1000 * (int)strtol(format + strlen(opus), NULL, 10);
        c->format.rate = 48000;
    }
}

static int accept_conn(struct elevenlabs *e, struct pat_httpd_req *r, struct pat_ws *ws, bool multi)
{
    static const struct pat_ws_events events = { .open = on_open,
                                                 .message = on_message,
                                                 .closed = on_closed };
    const char *format = pat_httpd_query_param(r, "output_format");
    const char *mode = pat_httpd_query_param(r, "auto_mode");
    struct eleven_conn *c = calloc(1, sizeof *c);

    if (!c)
        return PAT_ENOMEM;
    *c = (struct eleven_conn){ .e = e, .ws = ws, .multi = multi, .idle_ms = idle_of(r) };
    if (pat_timer_init(&c->idle, e->d->loop, on_idle, c)) {
        free(c);
        return PAT_ENOMEM;
    }
    c->key_ok = dbl_key_ok(e->d, eleven_key(r));
    pat_strcpy(c->voice_id, sizeof c->voice_id, pat_httpd_param(r, "id"));
    pat_strcpy(c->query, sizeof c->query, pat_httpd_query(r));
    c->voice_ok = eleven_voice(e, pat_httpd_param(r, "id"), &c->voice);
    c->auto_mode = mode && !strcmp(mode, "true");
    take_format(c, format ? format : "mp3_44100_128");
    c->next = e->conns;
    e->conns = c;
    pat_ws_set(ws, &events, c);
    return PAT_OK;
}

/* The single-context socket may bring its key in the first message. */
static int on_upgrade(struct pat_httpd_req *r, struct pat_ws *ws, void *arg)
{
    struct elevenlabs *e = arg;
    bool multi = strstr(pat_httpd_path(r), "multi-stream-input") != NULL;

    if ((multi || eleven_key(r)) && eleven_refuse(e, r))
        return 1;
    return accept_conn(e, r, ws, multi);
}

int eleven_ws_routes(struct elevenlabs *e)
{
    int err = pat_httpd_route_ws(e->d->server, "/v1/text-to-speech/{id}/stream-input", MAX_FRAME,
                                 on_upgrade, e);

    if (!err)
        err = pat_httpd_route_ws(e->d->server, "/v1/text-to-speech/{id}/multi-stream-input",
                                 MAX_FRAME, on_upgrade, e);
    return err;
}

void eleven_ws_stop(struct elevenlabs *e)
{
    while (e->conns) {
        pat_ws_abort(e->conns->ws);
        conn_free(e->conns);
    }
}
