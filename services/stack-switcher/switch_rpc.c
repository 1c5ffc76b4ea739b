/* switch_rpc.c - switching by RPC, for our own tools: who asks has been let in by NATS, and says
 * who he is ("who").
 */
#include "change.h"
#include "switcher.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* On failure it has replied. */
static struct pat_json *params_of(struct pat_rpc_req *r, const struct pat_json *params,
                                  const char *id_field)
{
    const char *who, *id;
    struct pat_json_err why;
    struct pat_json *p;
    int err = pat_json_get_str(params, "who", &who, &why);

    if (!err)
        err = pat_json_get_id(params, id_field, &id, &why);
    if (err) {
        pat_rpc_fail(r, err, why.path, why.what);
        return NULL;
    }
    p = pat_json_obj();
    pat_json_set_str(p, "actor", who);
    change_set_why(p, pat_json_str_or(params, "why", NULL));
    return p;
}

static void on_reply(int err, const struct pat_json *reply, void *arg)
{
    struct pat_rpc_req *r = arg;
    int refused = err && !reply ? err : switch_reply_err(reply);
    const struct pat_json *w = pat_json_at(reply, "switch");

    if (refused)
        pat_rpc_fail(r, refused, NULL, pat_json_str_or(reply, "message", pat_err_text(refused)));
    else
        pat_rpc_reply(r, pat_json_dup(w ? w : reply));
}

/* p is taken. */
static void send(struct pat_rpc_req *r, struct switcher *s, const char *op, struct pat_json *p_take)
{
    int err = !strcmp(op, "facts") ? plan_ask(s->switches, p_take, true, on_reply, r)
                                   : switch_request(s->d->db, op, p_take, true, on_reply, r);

    pat_json_free(p_take);
    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}

static void start(struct pat_rpc_req *r, const struct pat_json *params, struct switcher *s,
                  const char *op)
{
    const char *stack = pat_json_str_or(params, "stack", "");
    const char *config = pat_json_str_or(params, "agent_config_id", NULL);
    struct pat_json *p;

    if ((strcmp(stack, "retell") && strcmp(stack, "livekit")) ||
        (config && !pat_id_valid(config))) {
        pat_rpc_fail(r, PAT_EINVAL, config && !pat_id_valid(config) ? "agent_config_id" : "stack",
                     "must be a stack, and an agent of the user");
        return;
    }
    p = params_of(r, params, "user_id");
    if (!p)
        return;
    pat_json_set_str(p, "id", pat_id_new().s);
    pat_json_set_str(p, "key", pat_json_str_or(params, "idempotency_key", NULL));
    pat_json_set_str(p, "user_id", pat_json_str_or(params, "user_id", ""));
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
    struct pat_json *p = params_of(r, params, "switch_id");

    if (!p)
        return;
    pat_json_set_str(p, "id", pat_json_str_or(params, "switch_id", ""));
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
    struct pat_json_err why;
    const char *id;
    int err = pat_json_get_id(params, "switch_id", &id, &why);

    if (err) {
        pat_rpc_fail(r, err, why.path, why.what);
        return;
    }
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
