/* rpc.c - what others ask of the retell-provider by RPC (docs/rpc.md): registering calls, and
 * everything about agents and voices at Retell.
 */
#include "agent.h"
#include "look.h"
#include "register.h"
#include "renew.h"
#include "sync.h"
#include "web_call.h"

#include <stdlib.h>
#include <string.h>

#define DB_TIMEOUT_MS 5000

/* ------------------------------------------------------------------ calls */

static void on_registered(const struct register_result *res, void *arg)
{
    struct pat_rpc_req *r = arg;

    if (res->err)
        pat_rpc_fail(r, res->err, res->field, res->message);
    else
        pat_rpc_reply(r, register_json(res));
}

static void on_register(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    int err = register_call(arg, params, pat_rpc_left_ms(r), on_registered, r);

    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}

static void on_looked(int err, const struct pat_json *call, void *arg)
{
    struct pat_rpc_req *r = arg;

    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
    else
        pat_rpc_reply(r, look_json(call));
}

static void on_look(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    struct pat_json_err why;
    const char *id;
    int err = pat_json_get_str(params, "retell_call_id", &id, &why);

    if (err) {
        pat_rpc_fail(r, err, why.path, why.what);
        return;
    }
    err = look_call(arg, id, pat_rpc_left_ms(r), on_looked, r);
    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}

/* ------------------------------------------------------------------ agents */

static void on_agent(const struct agent_result *a, void *arg)
{
    struct pat_rpc_req *r = arg;
    struct pat_json *result;

    if (a->err) {
        pat_rpc_fail(r, a->err, NULL, a->message);
        return;
    }
    result = pat_json_obj();
    pat_json_set_str(result, "user_id", a->user_id);
    pat_json_set_str(result, "agent_id", a->agent_id);
    pat_json_set_str(result, "llm_id", a->llm_id);
    if (a->version >= 0)
        pat_json_set_int(result, "version", a->version);
    if (a->notes)
        pat_json_set_take(result, "settings", pat_json_dup(a->notes));
    pat_rpc_reply(r, result);
}

static void on_wish(struct pat_rpc_req *r, const struct pat_json *params, struct provider *p,
                    enum agent_wish wish)
{
    struct pat_json_err why;
    const char *config;
    int err = pat_json_get_id(params, "agent_config_id", &config, &why);

    if (err) {
        pat_rpc_fail(r, err, why.path, why.what);
        return;
    }
    err = sync_ask(p->sync, config, wish, on_agent, r);
    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}

static void on_provision(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    on_wish(r, params, arg, AGENT_WANT);
}

static void on_verify(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    on_wish(r, params, arg, AGENT_CHECK);
}

static void on_retire(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    on_wish(r, params, arg, AGENT_RETIRE);
}

/* ------------------------------------------------------------------ from Postgres */

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct pat_rpc_req *r = arg;
    struct pat_json *result = NULL;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    if (!err && !text)
        err = PAT_ENOENT;
    if (!err)
        err = pat_json_parse(&result, text, strlen(text), NULL);
    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
    else
        pat_rpc_reply(r, result);
}

static void on_voices(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    struct provider *p = arg;
    int err = pat_db_run1(
        p->d->db, "retell_voices",
        "select jsonb_build_object('voices', coalesce(jsonb_agg(jsonb_build_object('voice_id', "
        "v.voice_id, 'name', v.name, 'provider', v.provider, 'gender', v.gender, 'accent', "
        "v.accent, 'age', v.age, 'livekit_voice', m.to_voice, 'grade', m.grade) order by "
        "v.provider, v.name), '[]'), 'checked_at', max(v.checked_at))::text "
        "from patchbay.voice_presets v left join patchbay.voice_matches m "
        "on m.from_stack = v.stack and m.from_voice = v.voice_id "
        "where v.stack = 'retell' and v.offered and v.provider in ('elevenlabs', 'openai')",
        NULL, 0, DB_TIMEOUT_MS, on_row, r, NULL);

    (void)params;
    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}

/* ------------------------------------------------------------------ life */

static const struct {
    const char *service, *method;
    pat_rpc_fn *fn;
} methods[] = {
    { "retell", "register_call", on_register }, { "retell", "provision", on_provision },
    { "retell", "verify", on_verify },          { "retell", "retire", on_retire },
    { "retell", "voices", on_voices },          { "retell", "look_call", on_look },
    { "retell", "forget", forget_user },        { "retell", "web_call", web_call },
    { "retell", "stop_call", web_call_stop },   { "retell", "renew_urls", renew_urls },
};

int rpc_serve(struct provider *p)
{
    int err = PAT_OK;

    _Static_assert(sizeof methods / sizeof methods[0] <= sizeof p->subs / sizeof p->subs[0],
                   "a place for each");
    for (size_t i = 0; !err && i < sizeof methods / sizeof methods[0]; i++)
        err = pat_rpc_serve(p->d->bus, &p->subs[i], methods[i].service, methods[i].method,
                            methods[i].fn, p);
    return err;
}

void rpc_stop(struct provider *p)
{
    for (size_t i = 0; i < sizeof p->subs / sizeof p->subs[0]; i++) {
        pat_bus_unsubscribe(p->subs[i]);
        p->subs[i] = NULL;
    }
}
