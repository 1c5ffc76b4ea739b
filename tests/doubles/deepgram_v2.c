/* deepgram_v2.c - the Deepgram double: Flux, conversational recognition (v2/listen).
 *
 * How: the upgrade is checked as the vendor does; messages are numbered; audio goes to
 * deepgram_flux.c, which judges turns. There is no KeepAlive and no Finalize here: a message it
 * does not know is a fatal error, CloseStream ends without a word. It obeys the same control keys
 * as v1, `fail` and `cut` included. */
#include "deepgram.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NO_STATUS = 0 };
#define MAX_FRAME ((size_t)1 << 20)

struct dg_v2 {
    struct deepgram *g;
    struct pat_ws *ws;
    struct dg_flux *flux;
    struct dg_flux_opts opts;
    int sequence;
    bool closed_by_us;
    char request_id[40];
    struct dg_v2 *next;
};

static void conn_free(struct dg_v2 *c)
{
    struct dg_v2 **at = &c->g->v2;

    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    dg_flux_free(c->flux);
    free(c);
}

static void close_with(struct dg_v2 *c, int code, const char *reason)
{
    if (c->closed_by_us)
        return;
    c->closed_by_us = true;
    pat_ws_close(c->ws, code, reason);
}

static bool cut(struct dg_v2 *c)
{
    struct dbl_cut k;

    if (!dbl_cut_take(c->g->d, c->sequence, &k))
        return false;
    dbl_log(c->g->d, "cut", NULL);
    close_with(c, k.code ? k.code : 1011, k.reason);
    return true;
}

void dg_v2_send(struct dg_v2 *c, struct pat_json *j)
{
    if (c->closed_by_us || cut(c)) {
        pat_json_free(j);
        return;
    }
    pat_json_set_str(j, "request_id", c->request_id);
    pat_json_set_int(j, "sequence_id", c->sequence++);
    dbl_send(c->ws, j);
}

static void fatal(struct dg_v2 *c, const char *code, const char *description)
{
    struct pat_json *j = dbl_obj("type", "Error");

    pat_json_set_str(j, "code", code);
    pat_json_set_str(j, "description", description);
    dg_v2_send(c, j);
    close_with(c, 1011, code);
}

/* What is wrong with them, or NULL. */
static const char *check(const struct dg_flux_opts *o)
{
    if (o->eot < 0.5 || o->eot > 1)
        return "eot_threshold: must be 0.5 to 0.9";
    if (o->eager > 0 && (o->eager < 0.3 || o->eager > 0.9))
        return "eager_eot_threshold: must be 0.3 to 0.9";
    if (o->eager > o->eot)
        return "eager_eot_threshold: must not be above eot_threshold";
    if (o->timeout_ms < 500 || o->timeout_ms > 60000)
        return "eot_timeout_ms: must be 500 to 60000";
    return NULL;
}

static struct pat_json *listed(const struct pat_json *from, const char *key)
{
    const struct pat_json *list = pat_json_at(from, key);

    return list ? pat_json_dup(list) : pat_json_arr();
}

static void configure(struct dg_v2 *c, const struct pat_json *j)
{
    struct dg_flux_opts o = c->opts;
    struct pat_json *answer, *t;
    const char *wrong;

    o.eot = pat_json_num_or(j, "thresholds.eot_threshold", o.eot);
    o.eager = pat_json_num_or(j, "thresholds.eager_eot_threshold", o.eager);
    o.timeout_ms = (int)pat_json_int_or(j, "thresholds.eot_timeout_ms", o.timeout_ms);
    wrong = check(&o);
    if (!wrong && pat_json_at(j, "language_hints") && !o.multi)
        wrong = "language_hints: only with flux-general-multi";
    answer = dbl_obj("type", wrong ? "ConfigureFailure" : "ConfigureSuccess");
    if (wrong) {
        pat_json_set_str(answer, "code", "INVALID_CONFIGURATION");
        pat_json_set_str(answer, "description", wrong);
    } else {
        c->opts = o;
        dg_flux_set(c->flux, &o);
        t = pat_json_obj();
        pat_json_set_num(t, "eot_threshold", o.eot);
        if (o.eager > 0)
            pat_json_set_num(t, "eager_eot_threshold", o.eager);
        pat_json_set_int(t, "eot_timeout_ms", o.timeout_ms);
        pat_json_set_take(answer, "thresholds", t);
        pat_json_set_take(answer, "keyterms", listed(j, "keyterms"));
        if (o.multi)
            pat_json_set_take(answer, "language_hints", listed(j, "language_hints"));
    }
    dg_v2_send(c, answer);
}

static void on_text(struct dg_v2 *c, const char *data, size_t len)
{
    PAT_AUTO_JSON j = NULL;
    const char *type = "";

    if (!pat_json_parse(&j, data, len, NULL))
        type = pat_json_str_or(j, "type", "");
    dbl_log(c->g->d, "message", dbl_obj("type", type));
    if (!strcmp(type, "Configure"))
        configure(c, j);
    else if (!strcmp(type, "ForceEndTurn"))
        dg_flux_force(c->flux);
    else if (!strcmp(type, "CloseStream"))
        close_with(c, NO_STATUS, "");
    else
        fatal(c, "UNPARSABLE_CLIENT_MESSAGE", "Could not parse the client's message.");
}

static void on_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    struct dg_v2 *c = arg;

    (void)ws;
    if (c->closed_by_us)
        return;
    if (text)
        on_text(c, data, len);
    else if (len && dg_flux_audio(c->flux, (const uint8_t *)data, len))
        fatal(c, "UNPARSABLE_CLIENT_MESSAGE", "Could not decode the audio.");
}

static void on_open(struct pat_ws *ws, void *arg)
{
    struct dg_v2 *c = arg;

    (void)ws;
    dbl_log(c->g->d, "connected", dbl_obj("request_id", c->request_id));
    dg_v2_send(c, dbl_obj("type", "Connected"));
}

static void on_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                      void *arg)
{
    struct dg_v2 *c = arg;
    struct pat_json *entry = dbl_obj("request_id", c->request_id);

    (void)ws, (void)err, (void)status, (void)reason;
    pat_json_set_int(entry, "code", code);
    pat_json_set_int(entry, "audio_ms", dg_flux_audio_ms(c->flux));
    dbl_log(c->g->d, "closed", entry);
    conn_free(c);
}

static double real(struct pat_httpd_req *r, const char *name, double fallback)
{
    const char *v = pat_httpd_query_param(r, name);

    return v ? strtod(v, NULL) : fallback;
}

static const char *read_options(struct pat_httpd_req *r, struct dg_options *o,
                                struct dg_flux_opts *f)
{
    const char *model = pat_httpd_query_param(r, "model");
    const char *wrong = dg_read_encoding(r, o);

    if (wrong)
        return wrong;
    f->multi = model && !strcmp(model, "flux-general-multi");
    if (!model || (!f->multi && strcmp(model, "flux-general-en") != 0))
        return "model: no such model";
    if (pat_httpd_query_param(r, "language_hint") && !f->multi)
        return "language_hint: only with flux-general-multi";
    if (pat_httpd_query_param(r, "language") || pat_httpd_query_param(r, "endpointing") ||
        pat_httpd_query_param(r, "interim_results"))
        return "unexpected query parameter";
    pat_strcpy(o->model, sizeof o->model, model);
    dg_read_keyterm(r, o);
    f->eot = real(r, "eot_threshold", 0.7);
    f->eager = real(r, "eager_eot_threshold", 0);
    f->timeout_ms = dg_number(r, "eot_timeout_ms", 5000);
    return check(f);
}

static int conn_new(struct deepgram *g, struct pat_ws *ws, const struct dg_options *o,
                    const struct dg_flux_opts *f)
{
    static const struct pat_ws_events events = { .open = on_open,
                                                 .message = on_message,
                                                 .closed = on_closed };
    struct dg_v2 *c = calloc(1, sizeof *c);
    int err;

    if (!c)
        return PAT_ENOMEM;
    c->g = g;
    c->ws = ws;
    c->opts = *f;
    c->next = g->v2;
    g->v2 = c;
    snprintf(c->request_id, sizeof c->request_id, "00000000-0000-4000-8000-%012lld",
             (long long)g->next_request++);
    err = dg_flux_new(&c->flux, c, g, o, f);
    if (err) {
        conn_free(c);
        return err;
    }
    pat_ws_set(ws, &events, c);
    if (!g->script && !dg_told_known(g, o->keyterm))
        asr_warm(g->asr);
    return PAT_OK;
}

static int on_upgrade(struct pat_httpd_req *r, struct pat_ws *ws, void *arg)
{
    struct deepgram *g = arg;
    struct dg_options o = { 0 };
    struct dg_flux_opts f = { 0 };
    struct dbl_fail fail;
    const char *wrong;

    dbl_log(g->d, "upgrade", dbl_obj("query", pat_httpd_query(r)));
    if (!dg_key_ok(g, r)) {
        dg_refuse(r, 401, "INVALID_AUTH", "Invalid credentials.");
        return 1;
    }
    if (dbl_fail_take(g->d, pat_httpd_path(r), &fail)) {
        dg_refuse(r, fail.status, *fail.code ? fail.code : "SCRIPTED", fail.message);
        return 1;
    }
    wrong = read_options(r, &o, &f);
    if (wrong) {
        dg_refuse(r, 400, "Bad Request", wrong);
        return 1;
    }
    return conn_new(g, ws, &o, &f);
}

int dg_v2_route(struct deepgram *g)
{
    return pat_httpd_route_ws(g->d->server, "/v2/listen", MAX_FRAME, on_upgrade, g);
}

void dg_v2_stop(struct deepgram *g)
{
    while (g->v2) {
        pat_ws_abort(g->v2->ws);
        conn_free(g->v2);
    }
}
