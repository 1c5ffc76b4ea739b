/* ask_retell.c - two ways to the retell-provider, one deadline: see ask_retell.h.
 *
 * RPC first; the inside port when RPC cannot be had, and also when it is silent for a second. When
 * that port does not answer either, who took the request has died with it, most likely: it is asked
 * for once more, by RPC and there, while the first request is left open. The first good answer
 * wins.
 */
#include "ask_retell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A provider that is there answers within Retell's own usual time. When it has not, NATS may be the
 * one that is stuck (a stopped server keeps its connections), so the other way is tried as well. A
 * registration that comes twice costs nothing: the one nobody dials ends by itself. */
#define SECOND_WAY_AFTER_MS 1000
#define AGAIN_MS            150
enum { REQUESTS = 2 };

/* By RPC. */
struct request {
    struct ask *of;
    pat_bus_id id; /* under way, or 0 */
};

struct ask {
    struct router *r;
    struct pat_json *params;
    int64_t deadline_ms;
    struct request rpc[REQUESTS];
    pat_http_id http; /* under way, or 0 */
    bool http_used;   /* since it was asked (again) */
    bool nobody;      /* listens to RPC: NATS has said so, or is away */
    bool nobody_else;
    struct pat_timer second_way;
    struct pat_timer again;
    ask_retell_fn *done;
    void *arg;
};

static void ask_free(struct ask *a)
{
    for (int i = 0; i < REQUESTS; i++)
        if (a->rpc[i].id)
            pat_bus_cancel(a->r->d->bus, a->rpc[i].id);
    if (a->http)
        pat_http_cancel(a->r->d->http, a->http);
    pat_timer_fini(&a->second_way);
    pat_timer_fini(&a->again);
    pat_json_free(a->params);
    free(a);
}

static const char *call_of(const struct ask *a)
{
    return pat_json_str_or(a->params, "call_id", NULL);
}

/* The way failed, not the request: the other one may still bring it. */
static bool is_the_ways(int err)
{
    return err == PAT_EUNAVAIL || err == PAT_ETIMEDOUT || err == PAT_ECONN || err == PAT_ECANCELED;
}

static bool is_silent(const struct ask *a)
{
    for (int i = 0; i < REQUESTS; i++)
        if (a->rpc[i].id)
            return true;
    return false;
}

/* Where another stack could serve, a provider that is started again is not waited for: only one
 * that may be there. */
static bool is_worth_asking(const struct ask *a)
{
    return pat_now_ms() + AGAIN_MS < a->deadline_ms &&
           (a->nobody_else || (is_silent(a) && !a->nobody));
}

static void finish(struct ask *a, int err, const char *retell_call, const char *why)
{
    ask_retell_fn *done = a->done;
    void *arg = a->arg;
    char id[CALLREF_ID_MAX + 1];

    if (!err && (!retell_call || !*retell_call || !pat_strcpy(id, sizeof id, retell_call)))
        err = PAT_EPROTO;
    if (err)
        pat_log(PAT_WARN, "retell.register_failed", PAT_S("call", call_of(a)), PAT_ERR(err),
                PAT_S("why", why));
    ask_free(a);
    done(err, err ? NULL : id, arg);
}

static int ask_by_http(struct ask *a);

/* A way has failed. What is still open may bring an answer, unless NATS says that nobody is there
 * any more and somebody else could be asked. */
static void lost(struct ask *a, int err, const char *why)
{
    if (a->http || !ask_by_http(a))
        return;
    if (is_worth_asking(a))
        pat_timer_start(&a->again, AGAIN_MS);
    else if (!is_silent(a) || (a->nobody && !a->nobody_else))
        finish(a, err, NULL, why);
}

static void on_http(int err, const struct pat_http_res *res, void *arg)
{
    struct ask *a = arg;
    PAT_AUTO_JSON body = NULL;

    a->http = 0;
    if (!err)
        err = pat_json_parse(&body, res->body, res->len, NULL) ? PAT_EPROTO : PAT_OK;
    if (!err && res->status != 200)
        err = pat_err_from_name(pat_json_str_or(body, "error.code", ""));
    if (is_the_ways(err))
        lost(a, err, "inside port");
    else
        finish(a, err, err ? NULL : pat_json_str_or(body, "result.retell_call_id", NULL),
               pat_json_str_or(body, "error.message", NULL));
}

static int ask_by_http(struct ask *a)
{
    const struct router_conf *conf = a->r->conf;
    int64_t left = a->deadline_ms - pat_now_ms();
    PAT_AUTO_STR body = pat_json_print(a->params);
    char url[2048], auth[1024];
    const char *headers[] = { "Content-Type: application/json", *conf->inside_token ? auth : NULL,
                              NULL };

    if (left < 1)
        return PAT_ETIMEDOUT;
    if (a->http || a->http_used || !*conf->provider_url)
        return PAT_EUNAVAIL;
    if (!body)
        return PAT_ENOMEM;
    snprintf(auth, sizeof auth, "Authorization: Bearer %s", conf->inside_token);
    if ((size_t)snprintf(url, sizeof url, "%s/v1/inside/register-call", conf->provider_url) >=
        sizeof url)
        return PAT_E2BIG;
    a->http_used = true;
    return pat_http_start(a->r->d->http,
                          &(struct pat_http_req){ .method = "POST",
                                                  .url = url,
                                                  .headers = headers,
                                                  .body = body,
                                                  .body_len = strlen(body),
                                                  .timeout_ms = left },
                          NULL, on_http, a, &a->http);
}

static void on_rpc(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct request *q = arg;
    struct ask *a = q->of;

    q->id = 0;
    a->nobody = err == PAT_EUNAVAIL && !result;
    if (is_the_ways(err))
        lost(a, err, message);
    else
        finish(a, err, err ? NULL : pat_json_str_or(result, "retell_call_id", NULL), message);
}

static int ask_by_rpc(struct ask *a)
{
    int64_t left = a->deadline_ms - pat_now_ms();

    for (int i = 0; i < REQUESTS && pat_bus_up(a->r->d->bus); i++)
        if (!a->rpc[i].id)
            return pat_rpc_call(a->r->d->bus, "retell", "register_call", a->params,
                                left > 1 ? left : 1, on_rpc, &a->rpc[i], &a->rpc[i].id);
    return PAT_EUNAVAIL;
}

static void on_second_way(void *arg)
{
    struct ask *a = arg;

    if (a->http || a->http_used)
        return;
    pat_log(PAT_INFO, "retell.second_way", PAT_S("call", call_of(a)),
            PAT_I("after_ms", SECOND_WAY_AFTER_MS));
    lost(a, PAT_ETIMEDOUT, "no answer");
}

static struct pat_json *params_of(const struct callref *c, unsigned how)
{
    struct pat_json *p = pat_json_obj();

    pat_json_set_str(p, "call_id", c->call.s);
    pat_json_set_str(p, "user_id", c->user);
    pat_json_set_str(p, "from", *c->from ? c->from : NULL);
    pat_json_set_str(p, "to", c->to);
    if (c->moves) /* something may have been said before */
        pat_json_set_bool(p, "goes_on", true);
    if (c->moves && *c->retell_call)
        pat_json_set_str(p, "before", c->retell_call);
    if (how & ASK_RETELL_CUT_OFF)
        pat_json_set_bool(p, "cut_off", true);
    return p;
}

static int start(struct ask *a)
{
    int err;

    a->http_used = false;
    a->nobody = !pat_bus_up(a->r->d->bus);
    err = ask_by_rpc(a);
    if (err)
        return ask_by_http(a);
    pat_timer_start(&a->second_way, SECOND_WAY_AFTER_MS);
    return PAT_OK;
}

static void on_again(void *arg)
{
    struct ask *a = arg;
    bool silent = is_silent(a);
    int err;

    pat_timer_stop(&a->second_way);
    err = start(a);
    if (err)
        lost(a, err, "nobody there");
    else if (silent) /* there has been silence enough */
        (void)ask_by_http(a);
}

static int ask(struct router *r, struct pat_json *params_take, unsigned how, ask_retell_fn *done,
               void *arg)
{
    struct ask *a = calloc(1, sizeof *a);
    int err;

    if (!a) {
        pat_json_free(params_take);
        return PAT_ENOMEM;
    }
    a->r = r;
    a->params = params_take;
    a->deadline_ms = pat_now_ms() + ASK_RETELL_MS;
    a->nobody_else = how & ASK_RETELL_NOBODY_ELSE;
    a->done = done;
    a->arg = arg;
    for (int i = 0; i < REQUESTS; i++)
        a->rpc[i].of = a;
    err = pat_timer_init(&a->second_way, r->d->loop, on_second_way, a);
    if (!err)
        err = pat_timer_init(&a->again, r->d->loop, on_again, a);
    if (!err)
        err = start(a);
    if (err && is_worth_asking(a)) {
        pat_timer_start(&a->again, AGAIN_MS);
        err = PAT_OK;
    }
    if (err)
        ask_free(a);
    return err;
}

int ask_retell(struct router *r, const struct callref *c, const struct retell_agent *agent,
               unsigned how, ask_retell_fn *done, void *arg)
{
    struct pat_json *p = params_of(c, how);

    pat_json_set_str(p, "agent_id", agent->id);
    if (agent->version >= 0)
        pat_json_set_int(p, "agent_version", agent->version);
    else
        pat_json_set_null(p, "agent_version");
    return ask(r, p, how, done, arg);
}

int ask_retell_standby(struct router *r, const struct callref *c, const char *settings,
                       unsigned how, ask_retell_fn *done, void *arg)
{
    struct pat_json *p = params_of(c, how);

    pat_json_set_bool(p, "standby", true);
    pat_json_set_text(p, "settings", settings ? settings : "{}");
    return ask(r, p, how, done, arg);
}
