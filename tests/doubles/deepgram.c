/* deepgram.c - the Deepgram double: live transcription over a WebSocket (v1/listen).
 *
 * How: the upgrade is checked as the vendor does (key, model, parameters), then audio goes to
 * deepgram_ear.c, which really recognises it. latency_ms counts from the end of speech: a final
 * never goes out earlier. Own control keys:
 *   "grammar": ["sentence", ...]  only these (and their clauses) are heard, exactly; null:
 * anything, nearly right. Add distractors: the sound decides among them. "script": ["text", ...]
 * the n-th utterance of a connection "is" the n-th text; an object
 *                                 {"text","at_ms","duration_ms"} is said at that audio time. null:
 *                                 really listen
 *   "told": {"keyterm","words":[{"word","start_ms","end_ms"}]}  what the connection with this
 * keyterm hears from its next voice on, word by word; null: forget all
 *   "telephone": true            what comes has been through one (8 kHz)
 * Flux (v2) is in deepgram_v2.c. It does not know diarisation or containers. */
#include "deepgram.h"

#include "bills.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SILENT_MS = 10000 };
#define MAX_FRAME ((size_t)1 << 20)

struct dg_conn {
    struct deepgram *g;
    struct pat_ws *ws;
    struct dg_ear *ear;
    struct pat_timer idle; /* no audio and no KeepAlive */
    uint32_t opus_kinds;   /* bit n: packets of that configuration came */
    bool had_audio, closing, closed_by_us;
    int sent;
    char request_id[40];
    struct dg_conn *next;
};

static void conn_free(struct dg_conn *c)
{
    struct dg_conn **at = &c->g->conns;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    dg_ear_free(c->ear);
    pat_timer_fini(&c->idle);
    free(c);
}

const char *dg_conn_request_id(const struct dg_conn *c)
{
    return c->request_id;
}

static void close_with(struct dg_conn *c, int code, const char *reason)
{
    if (c->closed_by_us)
        return;
    c->closed_by_us = true;
    pat_timer_stop(&c->idle);
    pat_ws_close(c->ws, code, reason);
}

/* A scripted disconnect drops the socket; its events come no more, the memory goes with the stop.
 */
static bool cut(struct dg_conn *c)
{
    struct dbl_cut k;

    if (!dbl_cut_take(c->g->d, c->sent, &k))
        return false;
    dbl_log(c->g->d, "cut", NULL);
    close_with(c, k.code ? k.code : 1011, k.reason);
    return true;
}

void dg_conn_send(struct dg_conn *c, struct pat_json *j)
{
    if (c->closed_by_us || cut(c)) {
        pat_json_free(j);
        return;
    }
    c->sent++;
    dbl_send(c->ws, j);
}

void dg_conn_flushed(struct dg_conn *c)
{
    struct pat_json *j = dbl_obj("type", "Metadata");
    char created[PAT_TIME_LEN + 1];

    if (!c->closing) {
        pat_json_free(j);
        return;
    }
    pat_time_format(pat_unix_ms(), created);
    pat_json_set_str(j, "transaction_key", "deprecated");
    pat_json_set_str(j, "request_id", c->request_id);
    pat_json_set_str(j, "sha256", "");
    pat_json_set_str(j, "created", created);
    pat_json_set_num(j, "duration", (double)dg_ear_audio_ms(c->ear) / 1000);
    pat_json_set_int(j, "channels", 1);
    dg_conn_send(c, j);
    close_with(c, 1000, "");
}

static void end_stream(struct dg_conn *c)
{
    if (c->closing)
        return;
    c->closing = true;
    dg_ear_finalize(c->ear, true);
}

static void on_control_text(struct dg_conn *c, const char *data, size_t len)
{
    PAT_AUTO_JSON j = NULL;
    const char *type;

    if (pat_json_parse(&j, data, len, NULL))
        return;
    type = pat_json_str_or(j, "type", "");
    dbl_log(c->g->d, "message", dbl_obj("type", type));
    if (!strcmp(type, "KeepAlive") && c->had_audio)
        pat_timer_start(&c->idle, SILENT_MS);
    else if (!strcmp(type, "Finalize"))
        dg_ear_finalize(c->ear, false);
    else if (!strcmp(type, "CloseStream"))
        end_stream(c);
}

static void on_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    struct dg_conn *c = arg;

    (void)ws;
    if (c->closed_by_us)
        return;
    if (text) {
        on_control_text(c, data, len);
        return;
    }
    if (!len) { /* the trap: it ends the stream */
        dbl_log(c->g->d, "empty_audio", NULL);
        end_stream(c);
        return;
    }
    if (c->closing)
        return;
    c->had_audio = true;
    if (len > 3) /* not a packet of silence */
        c->opus_kinds |= 1U << ((uint8_t)data[0] >> 3);
    pat_timer_start(&c->idle, SILENT_MS);
    if (dg_ear_audio(c->ear, (const uint8_t *)data, len))
        close_with(c, 1008, "DATA-0000");
}

static void on_idle(void *arg)
{
    close_with(arg, 1011, "NET-0001");
}

static void on_open(struct pat_ws *ws, void *arg)
{
    struct dg_conn *c = arg;

    (void)ws;
    dbl_log(c->g->d, "connected", dbl_obj("request_id", c->request_id));
    pat_timer_start(&c->idle, SILENT_MS);
}

/* Which of Opus' 32 configurations (RFC 6716, 3.1) came: tells who encoded it. */
static void log_opus_kinds(struct pat_json *entry, uint32_t kinds)
{
    struct pat_json *list = pat_json_arr();
    char text[8];

    for (int i = 0; i < 32; i++)
        if (kinds & 1U << i) {
            snprintf(text, sizeof text, "%d", i);
            pat_json_add_str(list, text);
        }
    pat_json_set_take(entry, "opus_kinds", list);
}

static void on_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                      void *arg)
{
    struct dg_conn *c = arg;
    struct pat_json *entry = dbl_obj("request_id", c->request_id);

    (void)ws;
    (void)err;
    (void)status;
    (void)reason;
    pat_json_set_int(entry, "code", code);
    pat_json_set_int(entry, "audio_ms", dg_ear_audio_ms(c->ear));
    log_opus_kinds(entry, c->opus_kinds);
    dbl_log(c->g->d, "closed", entry);
    conn_free(c);
}

/* ---- the upgrade ---- */

void dg_refuse(struct pat_httpd_req *r, int status, const char *code, const char *message)
{
    struct pat_json *body = dbl_obj("err_code", code);

    pat_json_set_str(body, "err_msg", message);
    pat_json_set_str(body, "request_id", "req_double");
    pat_httpd_set_header(r, "dg-request-id", "req_double");
    pat_httpd_set_header(r, "dg-error", message);
    dbl_reply(r, status, body);
}

/* "Token k", "Bearer k", or the subprotocols "token, k". */
bool dg_key_ok(const struct deepgram *g, struct pat_httpd_req *r)
{
    const char *auth = pat_httpd_header(r, "authorization");
    const char *protocol = pat_httpd_header(r, "sec-websocket-protocol");
    char key[200] = "";

    if (auth && (!strncasecmp(auth, "Token ", 6) || !strncasecmp(auth, "Bearer ", 7)))
        pat_strcpy(key, sizeof key, strchr(auth, ' ') + 1);
    else if (protocol && strchr(protocol, ','))
        pat_strcpy(key, sizeof key, strchr(protocol, ',') + 1 + (strchr(protocol, ',')[1] == ' '));
    return dbl_key_ok(g->d, key);
}

static bool is_true(struct pat_httpd_req *r, const char *name)
{
    const char *v = pat_httpd_query_param(r, name);

    return v && !strcmp(v, "true");
}

int dg_number(struct pat_httpd_req *r, const char *name, int fallback)
{
    const char *v = pat_httpd_query_param(r, name);

    return v ? (int)strtol(v, NULL, 10) : fallback;
}

const char *dg_read_encoding(struct pat_httpd_req *r, struct dg_options *o)
{
    static const char *const names[] = { "opus", "linear16", "mulaw" };
    const char *encoding = pat_httpd_query_param(r, "encoding");
    size_t i = 0;

    if (!encoding)
        return "this double needs raw audio: encoding and sample_rate";
    while (i < 3 && strcmp(encoding, names[i]) != 0)
        i++;
    o->encoding = (enum dg_encoding)i;
    o->rate = dg_number(r, "sample_rate", 0);
    if (i == 3)
        return "encoding: not supported";
    if (o->rate < 8000 || o->rate > 48000)
        return "sample_rate: must be 8000 to 48000 with raw audio";
    return NULL;
}

void dg_read_keyterm(struct pat_httpd_req *r, struct dg_options *o)
{
    const char *keyterm = pat_httpd_query_param(r, "keyterm");

    pat_strcpy(o->keyterm, sizeof o->keyterm, keyterm ? keyterm : "");
}

/* "multi" is for nova-2 and nova-3 alone. */
static bool knows_language(const char *model, const char *language)
{
    static const char known[] =
        " bg ca cs da de el en es et fi fr hi hu id it ja ko lt lv ms nl no "
        "pl pt ro ru sk sv th tr uk vi zh ";
    char word[8];

    if (!language || !strcmp(language, "multi"))
        return !language || !strncmp(model, "nova-2", 6) || !strncmp(model, "nova-3", 6);
    if (strcspn(language, "-") != 2)
        return false;
    snprintf(word, sizeof word, " %.2s ", language);
    return strstr(known, word) != NULL;
}

/* NULL: fine; else what is wrong. */
static const char *read_options(struct pat_httpd_req *r, struct dg_options *o)
{
    static const char *const families[] = { "nova", "enhanced", "base" };
    const char *model = pat_httpd_query_param(r, "model");
    const char *endpointing = pat_httpd_query_param(r, "endpointing");
    bool known = !model;

    for (size_t i = 0; model && i < 3; i++)
        known = known || !strncmp(model, families[i], strlen(families[i]));
    if (!known || !knows_language(model ? model : "base", pat_httpd_query_param(r, "language")))
        return "Bad Request: no such model/language/tier combination found.";
    pat_strcpy(o->model, sizeof o->model, model ? model : "base");
    dg_read_keyterm(r, o);
    o->interim = is_true(r, "interim_results");
    o->vad_events = is_true(r, "vad_events");
    o->smart_format = is_true(r, "smart_format");
    o->punctuate = is_true(r, "punctuate") || o->smart_format;
    o->endpointing_ms =
        endpointing && !strcmp(endpointing, "false") ? 0 : dg_number(r, "endpointing", 10);
    o->utterance_end_ms = dg_number(r, "utterance_end_ms", 0);
    if (o->utterance_end_ms && (!o->interim || o->utterance_end_ms < 1000))
        return "utterance_end_ms: needs interim_results=true and at least 1000";
    return dg_read_encoding(r, o);
}

static int conn_new(struct deepgram *g, struct pat_ws *ws, const struct dg_options *o)
{
    static const struct pat_ws_events events = { .open = on_open,
                                                 .message = on_message,
                                                 .closed = on_closed };
    struct dg_conn *c = calloc(1, sizeof *c);
    int err;

    if (!c)
        return PAT_ENOMEM;
    c->g = g;
    c->ws = ws;
    c->next = g->conns;
    g->conns = c;
    snprintf(c->request_id, sizeof c->request_id, "00000000-0000-4000-8000-%012lld",
             (long long)g->next_request++);
    err = pat_timer_init(&c->idle, g->d->loop, on_idle, c);
    if (!err)
        err = dg_ear_new(&c->ear, c, g, o);
    if (err) {
        conn_free(c);
        return err;
    }
    pat_ws_set(ws, &events, c);
    if (!g->script && !dg_told_known(g, o->keyterm))
        asr_warm(g->asr); /* the first words come soon */
    return PAT_OK;
}

static int on_upgrade(struct pat_httpd_req *r, struct pat_ws *ws, void *arg)
{
    struct deepgram *g = arg;
    struct dg_options o = { 0 };
    struct dbl_fail f;
    const char *wrong;

    dbl_log(g->d, "upgrade", dbl_obj("query", pat_httpd_query(r)));
    if (!dg_key_ok(g, r)) {
        dg_refuse(r, 401, "INVALID_AUTH", "Invalid credentials.");
        return 1;
    }
    if (dbl_fail_take(g->d, pat_httpd_path(r), &f)) {
        dg_refuse(r, f.status, *f.code ? f.code : "SCRIPTED", f.message);
        return 1;
    }
    wrong = read_options(r, &o);
    if (wrong) {
        dg_refuse(r, 400, "Bad Request", wrong);
        return 1;
    }
    return conn_new(g, ws, &o);
}

/* ---- the desk ---- */

static int set_grammar(struct deepgram *g, const struct pat_json *v)
{
    size_t n = pat_json_kind(v) == PAT_JSON_ARR ? pat_json_size(v) : 0;
    const char **sentences = calloc(n + 1, sizeof *sentences);
    int err;

    if (!sentences)
        return PAT_ENOMEM;
    for (size_t i = 0; i < n; i++) {
        const char *s = pat_json_value_str(pat_json_item(v, i));

        sentences[i] = s ? s : "";
    }
    err = asr_grammar(g->asr, sentences, n);
    free(sentences);
    return err;
}

static bool deepgram_control(struct dbl *d, const char *key, const struct pat_json *v)
{
    struct deepgram *g = d->state;

    if (!strcmp(key, "grammar"))
        return !set_grammar(g, v);
    if (!strcmp(key, "told")) {
        if (pat_json_kind(v) == PAT_JSON_OBJ)
            return dg_told_set(g, v);
        dg_told_clear(g);
        return true;
    }
    if (!strcmp(key, "telephone")) {
        asr_telephone(g->asr, pat_json_bool_or(v, "", false));
        return true;
    }
    if (strcmp(key, "script") != 0)
        return false;
    pat_json_free(g->script);
    g->script = pat_json_kind(v) == PAT_JSON_ARR ? pat_json_dup(v) : NULL;
    return true;
}

static void deepgram_reset(struct dbl *d)
{
    struct deepgram *g = d->state;

    pat_json_free(g->script);
    g->script = NULL;
    dg_told_clear(g);
    asr_telephone(g->asr, false);
    if (asr_grammar(g->asr, NULL, 0))
        pat_log(PAT_WARN, "doubles.grammar");
}

static void deepgram_stop(struct dbl *d)
{
    struct deepgram *g = d->state;

    while (g->conns) {
        pat_ws_abort(g->conns->ws);
        conn_free(g->conns);
    }
    dg_v2_stop(g);
    dg_told_clear(g);
    pat_json_free(g->script);
    asr_close(g->asr);
    free(g);
    d->state = NULL;
}

static int deepgram_start(struct dbl *d)
{
    struct deepgram *g = calloc(1, sizeof *g);
    int err;

    if (!g)
        return PAT_ENOMEM;
    g->d = d;
    d->state = g;
    err = asr_new(&g->asr, d->loop);
    if (!err)
        err = pat_httpd_route_ws(d->server, "/v1/listen", MAX_FRAME, on_upgrade, g);
    if (!err)
        err = dg_v2_route(g);
    return err ? err : bills_deepgram(d);
}

const struct dbl_vendor dbl_vendor_deepgram = {
    .name = "deepgram",
    .start = deepgram_start,
    .control = deepgram_control,
    .reset = deepgram_reset,
    .stop = deepgram_stop,
};
