/* ask_retell.c - two ways to the retell-provider, one deadline: see ask_retell.h. */
#include "ask_retell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct ask {
    struct router *r;
    struct pat_json *params;
    int64_t deadline_ms;
    ask_retell_fn *done;
    void *arg;
};

static void finish(struct ask *a, int err, const char *retell_call)
{
    ask_retell_fn *done = a->done;
    void *arg = a->arg;
    char id[CALLREF_ID_MAX + 1];

    if (!err && (!retell_call || !*retell_call || !pat_strcpy(id, sizeof id, retell_call)))
        err = PAT_EPROTO;
    a->r->in_flight--;
    pat_json_free(a->params);
    free(a);
    done(err, err ? NULL : id, arg);
}

static void on_http(int err, const struct pat_http_res *res, void *arg)
{
    struct ask *a = arg;
    PAT_AUTO_JSON body = NULL;

    if (!err)
        err = pat_json_parse(&body, res->body, res->len, NULL) ? PAT_EPROTO : PAT_OK;
    if (!err && res->status != 200)
        err = pat_err_from_name(pat_json_str_or(body, "error.code", ""));
    finish(a, err, err ? NULL : pat_json_str_or(body, "result.retell_call_id", NULL));
}

static int ask_by_http(struct ask *a)
{
    const struct router_conf *conf = a->r->conf;
    int64_t left = a->deadline_ms - pat_now_ms();
    PAT_AUTO_STR body = pat_json_print(a->params);
    char url[2048], auth[1024];
    const char *headers[] = { "Content-Type: application/json", *conf->inside_token ? auth : NULL,
                              NULL };
    pat_http_id id;

    if (left < 1)
        return PAT_ETIMEDOUT;
    if (!*conf->provider_url)
        return PAT_EUNAVAIL;
    if (!body)
        return PAT_ENOMEM;
    snprintf(auth, sizeof auth, "Authorization: Bearer %s", conf->inside_token);
    if ((size_t)snprintf(url, sizeof url, "%s/v1/inside/register-call", conf->provider_url) >=
        sizeof url)
        return PAT_E2BIG;
    return pat_http_start(a->r->d->http,
                          &(struct pat_http_req){ .method = "POST",
                                                  .url = url,
                                                  .headers = headers,
                                                  .body = body,
                                                  .body_len = strlen(body),
                                                  .timeout_ms = left },
                          NULL, on_http, a, &id);
}

static void on_rpc(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct ask *a = arg;

    if (err == PAT_EUNAVAIL) {
        err = ask_by_http(a);
        if (!err)
            return;
    } else if (err) {
        pat_log(PAT_WARN, "retell.register_failed",
                PAT_S("call", pat_json_str_or(a->params, "call_id", NULL)), PAT_ERR(err),
                PAT_S("why", message));
    }
    finish(a, err, err ? NULL : pat_json_str_or(result, "retell_call_id", NULL));
}

static struct pat_json *params_of(const struct callref *c, const char *agent)
{
    struct pat_json *p = pat_json_obj();

    pat_json_set_str(p, "call_id", c->call.s);
    pat_json_set_str(p, "user_id", c->user);
    pat_json_set_str(p, "agent_id", agent);
    pat_json_set_null(p, "agent_version");
    pat_json_set_str(p, "from", *c->from ? c->from : NULL);
    pat_json_set_str(p, "to", c->to);
    return p;
}

int ask_retell(struct router *r, const struct callref *c, const char *agent, ask_retell_fn *done,
               void *arg)
{
    struct ask *a = calloc(1, sizeof *a);
    pat_bus_id id;
    int err = PAT_EUNAVAIL;

    if (!a)
        return PAT_ENOMEM;
    a->r = r;
    a->params = params_of(c, agent);
    a->deadline_ms = pat_now_ms() + ASK_RETELL_MS;
    a->done = done;
    a->arg = arg;
    if (pat_bus_up(r->d->bus))
        err = pat_rpc_call(r->d->bus, "retell", "register_call", a->params, ASK_RETELL_MS, on_rpc,
                           a, &id);
    if (err)
        err = ask_by_http(a);
    if (err) {
        pat_json_free(a->params);
        free(a);
        return err;
    }
    r->in_flight++;
    return PAT_OK;
}
