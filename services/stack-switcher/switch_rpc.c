/* switch_rpc.c - switching by RPC, for our own tools: who asks has been let in by NATS, and says
 * who he is ("who").
 */
#include "change.h"
#include "switcher.h"

#include <string.h>

static void on_reply(int err, const struct pat_json *reply, void *arg)
{
    change_reply(arg, err, reply, "switch");
}

static void send(struct pat_rpc_req *r, struct switcher *s, const char *op,
                 const struct pat_json *p)
{
    int err = !strcmp(op, "facts") ? plan_ask(s->switches, p, true, on_reply, r)
                                   : switch_request(s->d->db, op, p, true, on_reply, r);

    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}

static void start(struct pat_rpc_req *r, const struct pat_json *params, struct switcher *s,
                  const char *op)
{
    const char *stack = pat_json_str_or(params, "stack", "");
    const char *config = pat_json_str_or(params, "agent_config_id", NULL);
    const char *user = change_id("user_id", params, r);
    PAT_AUTO_JSON p = pat_json_obj();

    if (!user || !change_sign(p, params, r))
        return;
    if (strcmp(stack, "retell") != 0 && strcmp(stack, "livekit") != 0) {
        pat_rpc_fail(r, PAT_EINVAL, "stack", "must be \"retell\" or \"livekit\"");
        return;
    }
    if (config && !pat_id_valid(config)) {
        pat_rpc_fail(r, PAT_EINVAL, "agent_config_id", "must be a UUID");
        return;
    }
    pat_json_set_str(p, "id", pat_id_new().s);
    pat_json_set_str(p, "key", pat_json_str_or(params, "idempotency_key", NULL));
    pat_json_set_str(p, "user_id", user);
    pat_json_set_str(p, "agent_config_id", config);
    pat_json_set_str(p, "stack", stack);
    pat_json_set_int(p, "keep_ms",
                     pat_json_int_or(params, "keep_ms", switches_conf(s->switches)->window_ms));
    pat_json_set_bool(p, "hold", pat_json_bool_or(params, "hold", false));
    pat_json_set_bool(p, "verify", pat_json_bool_or(params, "verify", true));
    pat_json_set_bool(p, "force", pat_json_bool_or(params, "force", false));
    send(r, s, op, p);
}

static void on_start(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    start(r, params, arg, "start");
}

static void on_plan(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    start(r, params, arg, "facts");
}

static void wish(struct pat_rpc_req *r, const struct pat_json *params, struct switcher *s,
                 const char *what)
{
    const char *id = change_id("switch_id", params, r);
    PAT_AUTO_JSON p = pat_json_obj();

    if (!id || !change_sign(p, params, r))
        return;
    pat_json_set_str(p, "id", id);
    pat_json_set_str(p, "wish", what);
    send(r, s, "wish", p);
}

static void on_abort(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    wish(r, params, arg, "abort");
}

static void on_rollback(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    wish(r, params, arg, "rollback");
}

static void on_promote(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    wish(r, params, arg, "promote");
}

static void on_get(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    struct switcher *s = arg;
    const char *id = change_id("switch_id", params, r);
    int err;

    if (!id)
        return;
    err = switch_ask(s->d->db,
                     &(struct switch_query){
                         .name = "switch_get",
                         .sql = "select coalesce((select jsonb_build_object('switch', "
                                "patchbay.switch_json(w)) from patchbay.switches w where w.id = "
                                "$1::uuid), '{\"error\": \"not_found\"}')",
                         .params = { id },
                         .n = 1 },
                     on_reply, r);
    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}

static const struct {
    const char *method;
    pat_rpc_fn *fn;
} methods[] = {
    { "start", on_start }, { "plan", on_plan },         { "get", on_get },
    { "abort", on_abort }, { "rollback", on_rollback }, { "promote", on_promote },
};

int switch_rpc_serve(struct switcher *s)
{
    int err = PAT_OK;

    _Static_assert(sizeof methods / sizeof methods[0] <= sizeof s->rpc / sizeof s->rpc[0],
                   "a place for each");
    for (size_t i = 0; !err && i < sizeof methods / sizeof methods[0]; i++)
        err = pat_rpc_serve(s->d->bus, &s->rpc[i], "switch", methods[i].method, methods[i].fn, s);
    return err;
}

void switch_rpc_stop(struct switcher *s)
{
    for (size_t i = 0; i < sizeof s->rpc / sizeof s->rpc[0]; i++) {
        pat_bus_unsubscribe(s->rpc[i]);
        s->rpc[i] = NULL;
    }
}
