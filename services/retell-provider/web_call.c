/* web_call.c - calls from a browser: see web_call.h. */
#include "web_call.h"

#include "api.h"
#include "quota.h"

#include <stdio.h>
#include <string.h>

/* What max_call_duration_ms may be (docs.retellai.com, "Create Web Call", agent_override). */
enum { SHORTEST_MS = 60000, LONGEST_MS = 7200000 };

static void fail(struct pat_rpc_req *r, const struct api_answer *a)
{
    pat_log(PAT_WARN, "retell.web_call_failed", PAT_ERR(a->err), PAT_S("why", a->message));
    pat_rpc_fail(r, a->err, NULL, a->message);
}

static void on_made(const struct api_answer *a, void *arg)
{
    struct pat_rpc_req *r = arg;
    struct pat_json_err why;
    const char *call, *token;
    struct pat_json *result;

    if (a->err) {
        fail(r, a);
        return;
    }
    if (pat_json_get_str(a->body, "call_id", &call, &why) ||
        pat_json_get_str(a->body, "access_token", &token, &why)) {
        pat_rpc_fail(r, PAT_EPROTO, NULL, "Retell's answer has no call, or no token");
        return;
    }
    pat_log(PAT_INFO, "retell.web_call", PAT_S("retell_call", call));
    result = pat_json_obj();
    pat_json_set_str(result, "retell_call_id", call);
    pat_json_set_str(result, "access_token", token);
    pat_rpc_reply(r, result);
}

static struct pat_json * override(int64_t max_ms)
{
    struct pat_json *o = pat_json_obj(), *agent = pat_json_obj();

    pat_json_set_int(agent, "max_call_duration_ms",
                     max_ms < SHORTEST_MS  ? SHORTEST_MS
                     : max_ms > LONGEST_MS ? LONGEST_MS
                                           : max_ms);
    pat_json_set_take(o, "agent", agent);
    return o;
}

/* What our agents' instructions leave open (build.c). */
static struct pat_json *variables(void)
{
    struct pat_json *v = pat_json_obj();
    char now[PAT_TIME_LEN + 1];

    pat_time_format(pat_unix_ms(), now);
    now[16] = 0; /* "2026-11-22T10:00" */
    pat_json_set_str(v, "caller_number", "withheld");
    pat_json_set_str(v, "call_began", now);
    return v;
}

static int body_of(const struct pat_json *params, struct pat_json *body, struct pat_json_err *why)
{
    const struct pat_json *version = pat_json_at(params, "agent_version");
    const char *call, *user, *agent;
    struct pat_json *meta;
    int err = pat_json_get_id(params, "call_id", &call, why);

    if (!err)
        err = pat_json_get_id(params, "user_id", &user, why);
    if (!err)
        err = pat_json_get_str(params, "agent_id", &agent, why);
    if (err)
        return err;
    meta = pat_json_obj();
    pat_json_set_str(meta, "call_id", call);
    pat_json_set_str(meta, "user_id", user);
    pat_json_set_str(body, "agent_id", agent);
    if (version && pat_json_kind(version) != PAT_JSON_NULL)
        pat_json_set_take(body, "agent_version", pat_json_dup(version));
    pat_json_set_take(body, "metadata", meta);
    pat_json_set_take(body, "retell_llm_dynamic_variables", variables());
    if (pat_json_int_or(params, "max_call_ms", 0) > 0)
        pat_json_set_take(body, "agent_override",
                          override(pat_json_int_or(params, "max_call_ms", 0)));
    return PAT_OK;
}

void web_call(struct pat_rpc_req *r, const struct pat_json *params, void *provider)
{
    struct provider *p = provider;
    struct pat_json *body = pat_json_obj();
    struct pat_json_err why = { { 0 }, { 0 } };
    api_id id;
    int err = body_of(params, body, &why);

    if (err) {
        pat_json_free(body);
        pat_rpc_fail(r, err, why.path, why.what);
        return;
    }
    if (p->quota && !quota_take(p->quota)) {
        pat_json_free(body);
        pat_rpc_fail(r, PAT_EAGAIN, NULL, "Retell takes no more calls now");
        return;
    }
    err = api_call(p->api, "POST", "/v2/create-web-call", body, on_made, r, &id);
    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}

static void on_stopped(const struct api_answer *a, void *arg)
{
    struct pat_rpc_req *r = arg;

    if (a->err)
        pat_rpc_fail(r, a->err, NULL, a->message);
    else
        pat_rpc_reply(r, pat_json_obj());
}

void web_call_stop(struct pat_rpc_req *r, const struct pat_json *params, void *provider)
{
    struct provider *p = provider;
    struct pat_json_err why = { { 0 }, { 0 } };
    struct pat_buf path;
    const char *call;
    api_id id;
    int err = pat_json_get_str(params, "retell_call_id", &call, &why);

    pat_buf_init(&path, 512);
    if (!err)
        err = pat_buf_adds(&path, "/v2/stop-call/");
    if (!err)
        err = pat_url_encode(&path, call);
    if (!err)
        err = api_call(p->api, "POST", path.data, NULL, on_stopped, r, &id);
    if (err)
        pat_rpc_fail(r, err, *why.path ? why.path : NULL, *why.what ? why.what : pat_err_text(err));
    pat_buf_fini(&path);
}
