/* rest.c - requests to the carrier's REST API: see rest.h.
 *
 * An operation is one request, or two when the first found the carrier busy. Nothing of what is
 * sent is logged but the operation's name: bodies hold numbers and signed addresses.
 */
#include "rest.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX 8192
#define AGAIN_MS 200
/* A second try that has less than this left is not begun. */
#define WORTH_IT_MS 300
/* Twilio's and SignalWire's "Call is not in-progress. Cannot redirect." */
#define NOT_LIVE "21220"

struct op {
    struct router *r;
    const char *name; /* literal, in logs and metrics */
    struct pat_buf url, body, auth;
    const char *method;
    bool json, again;
    int64_t deadline_ms;
    struct pat_timer timer;
    pat_http_id http;
    rest_fn *fn;
    rest_look_fn *look; /* instead of fn */
    void *arg;
};

bool rest_configured(const struct router *r)
{
    return *r->conf->carrier_url && *r->conf->carrier_project && *r->conf->carrier_token;
}

static bool is_twilio(const struct router *r)
{
    return !strcmp(r->conf->carrier, "twilio");
}

static void op_free(struct op *o)
{
    pat_timer_fini(&o->timer);
    pat_buf_fini(&o->url);
    pat_buf_fini(&o->body);
    pat_buf_fini(&o->auth);
    free(o);
}

static void count(struct op *o, int err)
{
    struct pat_buf labels;

    pat_buf_init(&labels, 256);
    pat_metric_label(&labels, "op", o->name);
    pat_metric_label(&labels, "outcome", pat_err_name(err));
    pat_counter_add(pat_counter(o->r->d->metrics, "pat_router_carrier_requests_total",
                                "Requests to the carrier's REST API", labels.data),
                    1);
    pat_buf_fini(&labels);
}

static void finish(struct op *o, int err, const char *sid)
{
    rest_fn *fn = o->fn;
    void *arg = o->arg;
    char copy[CALLREF_ID_MAX + 1] = "";

    if (sid && !pat_strcpy(copy, sizeof copy, sid))
        err = PAT_EPROTO;
    count(o, err);
    op_free(o);
    if (fn)
        fn(err, err || !*copy ? NULL : copy, arg);
}

static void finish_look(struct op *o, int err, const struct pat_json *j)
{
    rest_look_fn *fn = o->look;
    void *arg = o->arg;

    count(o, err);
    op_free(o);
    fn(err, err ? NULL : j, arg);
}

static bool says_not_live(const struct pat_json *j)
{
    PAT_AUTO_STR code = pat_json_at(j, "code") ? pat_json_print(pat_json_at(j, "code")) : NULL;

    return code && strstr(code, NOT_LIVE);
}

static int meaning(int status, const struct pat_json *j)
{
    if (status / 100 == 2)
        return PAT_OK;
    if (status == 404 || says_not_live(j))
        return PAT_ENOENT;
    if (status == 401 || status == 403)
        return PAT_EAUTH;
    if (status == 429 || status == 503)
        return PAT_EAGAIN;
    return status / 100 == 4 ? PAT_EINVAL : PAT_EUPSTREAM;
}

static int send_op(struct op *o);

static void on_again(void *arg)
{
    struct op *o = arg;
    int err = send_op(o);

    if (err && o->look)
        finish_look(o, err, NULL);
    else if (err)
        finish(o, err, NULL);
}

static bool try_again(struct op *o, int err)
{
    if (!o->again || (err != PAT_EAGAIN && err != PAT_ECONN) ||
        o->deadline_ms - pat_now_ms() < AGAIN_MS + WORTH_IT_MS)
        return false;
    o->again = false;
    pat_timer_start(&o->timer, AGAIN_MS);
    return true;
}

static void on_answer(int err, const struct pat_http_res *res, void *arg)
{
    struct op *o = arg;
    PAT_AUTO_JSON j = NULL;

    o->http = 0;
    if (!err) {
        /* An error's body may be a proxy's HTML: the status says enough. */
        if (pat_json_parse(&j, res->body, res->len, NULL))
            j = NULL;
        err = meaning(res->status, j);
    }
    if (err && try_again(o, err))
        return;
    if (err)
        pat_log(err == PAT_ENOENT ? PAT_INFO : PAT_WARN, "carrier.rest_failed",
                PAT_S("op", o->name), PAT_ERR(err), PAT_I("status", res->status),
                PAT_S("code", pat_json_str_or(j, "code", NULL)));
    if (o->look)
        finish_look(o, !err && !j ? PAT_EPROTO : err, j);
    else
        finish(o, err, err ? NULL : pat_json_str_or(j, "sid", NULL));
}

static int send_op(struct op *o)
{
    const char *type = o->json ? "Content-Type: application/json"
                               : "Content-Type: application/x-www-form-urlencoded";
    const char *headers[] = { type, o->auth.data, "Accept: application/json", NULL };
    int64_t left = o->deadline_ms - pat_now_ms();

    return pat_http_start(o->r->d->http,
                          &(struct pat_http_req){ .method = o->method,
                                                  .url = o->url.data,
                                                  .headers = headers,
                                                  .body = o->body.data,
                                                  .body_len = o->body.len,
                                                  .timeout_ms = left > 0 ? left : 1 },
                          NULL, on_answer, o, &o->http);
}

/* RFC 7617. */
static int add_auth(struct op *o)
{
    const struct router_conf *conf = o->r->conf;
    struct pat_buf pair;

    pat_buf_init(&pair, 1024);
    pat_buf_addf(&pair, "%s:%s", conf->carrier_project, conf->carrier_token);
    pat_buf_adds(&o->auth, "Authorization: Basic ");
    if (pair.err || pat_base64(&o->auth, pair.data, pair.len))
        o->auth.err = o->auth.err ? o->auth.err : pair.err;
    pat_buf_fini(&pair);
    return o->auth.err;
}

static struct op *op_new(struct router *r, const char *name, int64_t timeout_ms, rest_fn *fn,
                         void *arg)
{
    struct op *o = calloc(1, sizeof *o);

    if (!o)
        return NULL;
    *o = (struct op){ .r = r, .name = name, .method = "POST", .fn = fn, .arg = arg };
    o->deadline_ms = pat_now_ms() + timeout_ms;
    pat_buf_init(&o->url, BODY_MAX);
    pat_buf_init(&o->body, BODY_MAX);
    pat_buf_init(&o->auth, 2048);
    if (pat_timer_init(&o->timer, r->d->loop, on_again, o) || add_auth(o)) {
        op_free(o);
        return NULL;
    }
    return o;
}

/* Takes o. */
static int launch(struct op *o)
{
    int err = o->url.err ? o->url.err : o->body.err;

    if (!err)
        err = send_op(o);
    if (err)
        op_free(o);
    return err;
}

/* ------------------------------------------------------------------ forms */

/* sid NULL: the list, where new ones are made. ".json": without it Twilio answers in XML,
 * SignalWire takes both. */
static void account_url(struct op *o, const char *what, const char *sid)
{
    const struct router_conf *conf = o->r->conf;

    pat_buf_adds(&o->url, conf->carrier_url);
    pat_buf_addf(&o->url, "%s/2010-04-01/Accounts/", is_twilio(o->r) ? "" : "/api/laml");
    pat_url_encode(&o->url, conf->carrier_project);
    pat_buf_adds(&o->url, "/");
    pat_buf_adds(&o->url, what);
    if (sid) {
        pat_buf_adds(&o->url, "/");
        pat_url_encode(&o->url, sid);
    }
    pat_buf_adds(&o->url, ".json");
}

static void calls_url(struct op *o, const char *sid)
{
    account_url(o, "Calls", sid);
}

static void field(struct op *o, const char *name, const char *value)
{
    if (o->body.len)
        pat_buf_adds(&o->body, "&");
    pat_buf_adds(&o->body, name);
    pat_buf_adds(&o->body, "=");
    pat_url_encode(&o->body, value);
}

/* ------------------------------------------------------------------ JSON commands */

static void command(struct op *o, const char *name, const char *sid, struct pat_json *params_take)
{
    struct pat_json *j = pat_json_obj();

    o->json = true;
    pat_buf_adds(&o->url, o->r->conf->carrier_url);
    pat_buf_adds(&o->url, "/api/calling/calls");
    pat_json_set_str(j, "command", name);
    if (sid)
        pat_json_set_str(j, "id", sid);
    pat_json_set_take(j, "params", params_take);
    if (pat_json_print_to(j, &o->body) && !o->body.err)
        o->body.err = PAT_ENOMEM;
    pat_json_free(j);
}

int rest_redirect(struct router *r, const char *sid, enum carrier_form form, const char *url,
                  int64_t timeout_ms, rest_fn *fn, void *arg)
{
    struct op *o = op_new(r, "redirect", timeout_ms, fn, arg);

    if (!o)
        return PAT_ENOMEM;
    o->again = true;
    if (form == CARRIER_SWML) {
        struct pat_json *p = pat_json_obj();

        pat_json_set_str(p, "id", sid);
        pat_json_set_str(p, "url", url);
        command(o, "update", NULL, p);
    } else {
        calls_url(o, sid);
        field(o, "Url", url);
        field(o, "Method", "POST");
    }
    return launch(o);
}

int rest_end(struct router *r, const char *sid, enum carrier_form form, int64_t timeout_ms,
             rest_fn *fn, void *arg)
{
    struct op *o = op_new(r, "end", timeout_ms, fn, arg);

    if (!o)
        return PAT_ENOMEM;
    o->again = true;
    if (form == CARRIER_SWML) {
        struct pat_json *p = pat_json_obj();

        pat_json_set_str(p, "reason", "hangup");
        command(o, "calling.end", sid, p);
    } else {
        calls_url(o, sid);
        field(o, "Status", "completed");
    }
    return launch(o);
}

int rest_create(struct router *r, const struct rest_call *c, int64_t timeout_ms, rest_fn *fn,
                void *arg)
{
    static const char *const events[] = { "initiated", "ringing", "answered", "completed" };
    struct op *o = op_new(r, "create", timeout_ms, fn, arg);
    char ring_s[24];

    if (!o)
        return PAT_ENOMEM;
    snprintf(ring_s, sizeof ring_s, "%lld", (long long)c->ring_s);
    calls_url(o, NULL);
    field(o, "To", c->to);
    field(o, "From", c->from);
    field(o, "Url", c->url);
    field(o, "Method", "POST");
    field(o, "Timeout", ring_s);
    field(o, "StatusCallback", c->status_url);
    field(o, "StatusCallbackMethod", "POST");
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++)
        field(o, "StatusCallbackEvent", events[i]);
    if (c->sip_username && *c->sip_username) {
        field(o, "SipAuthUsername", c->sip_username);
        field(o, "SipAuthPassword", c->sip_password);
    }
    return launch(o);
}

/* ------------------------------------------------------------------ looking */

static struct op *look_new(struct router *r, const char *name, int64_t timeout_ms, rest_look_fn *fn,
                           void *arg)
{
    struct op *o = op_new(r, name, timeout_ms, NULL, arg);

    if (!o)
        return NULL;
    o->look = fn;
    o->method = "GET";
    o->again = true;
    return o;
}

int rest_look(struct router *r, const char *sid, int64_t timeout_ms, rest_look_fn *fn, void *arg)
{
    struct op *o = look_new(r, "look", timeout_ms, fn, arg);

    if (!o)
        return PAT_ENOMEM;
    calls_url(o, sid);
    return launch(o);
}

int rest_list(struct router *r, const char *what, const char *query, int64_t timeout_ms,
              rest_look_fn *fn, void *arg)
{
    struct op *o = look_new(r, "list", timeout_ms, fn, arg);

    if (!o)
        return PAT_ENOMEM;
    account_url(o, what, NULL);
    pat_buf_adds(&o->url, "?");
    pat_buf_adds(&o->url, query);
    return launch(o);
}

int rest_list_next(struct router *r, const char *uri, int64_t timeout_ms, rest_look_fn *fn,
                   void *arg)
{
    struct op *o;

    if (*uri != '/' || uri[1] == '/')
        return PAT_EPROTO; /* our token goes to the carrier alone */
    o = look_new(r, "list", timeout_ms, fn, arg);
    if (!o)
        return PAT_ENOMEM;
    pat_buf_adds(&o->url, r->conf->carrier_url);
    pat_buf_adds(&o->url, uri);
    return launch(o);
}
