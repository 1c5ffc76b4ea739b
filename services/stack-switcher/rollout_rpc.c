/* rollout_rpc.c - rollouts by RPC, for our own tools: who asks has been let in by NATS, and says
 * who he is ("who").
 */
#include "change.h"
#include "switcher.h"

static void on_reply(int err, const struct pat_json *reply, void *arg)
{
    change_reply(arg, err, reply, "rollout");
}

static void begin(struct pat_rpc_req *r, const struct pat_json *params, struct switcher *s,
                  bool plan)
{
    PAT_AUTO_JSON p = NULL;
    const char *field, *what;
    int err = rollout_read(&p, params, s->conf->saga.window_ms, &field, &what);

    if (err) {
        pat_rpc_fail(r, err, field, what);
        return;
    }
    if (!change_sign(p, params, r))
        return;
    pat_json_set_str(p, "id", pat_id_new().s);
    pat_json_set_str(p, "key", pat_json_str_or(params, "idempotency_key", NULL));
    pat_json_set_int(p, "users_max", ROLLOUT_USERS_MAX);
    err = plan ? rollout_plan(s->switches, p, true, on_reply, r)
               : rollout_request(s->d->db, "start", p, true, on_reply, r);
    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}

static void on_start(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    begin(r, params, arg, false);
}

static void on_plan(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    begin(r, params, arg, true);
}

static void wish(struct pat_rpc_req *r, const struct pat_json *params, struct switcher *s,
                 const char *what)
{
    const char *id = change_id("rollout_id", params, r);
    PAT_AUTO_JSON p = pat_json_obj();
    int err;

    if (!id || !change_sign(p, params, r))
        return;
    pat_json_set_str(p, "id", id);
    pat_json_set_str(p, "wish", what);
    err = rollout_request(s->d->db, "wish", p, true, on_reply, r);
    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}

static void on_pause(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    wish(r, params, arg, "pause");
}

static void on_resume(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    wish(r, params, arg, "resume");
}

static void on_promote(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    wish(r, params, arg, "promote");
}

static void on_abort(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    wish(r, params, arg, "abort");
}

static void on_rollback(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    wish(r, params, arg, "rollback");
}

static void on_get(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    struct switcher *s = arg;
    const char *id = change_id("rollout_id", params, r);
    int err;

    if (!id)
        return;
    err = switch_ask(s->d->db,
                     &(struct switch_query){
                         .name = "rollout_get",
                         .sql = "select coalesce((select jsonb_build_object('rollout', "
                                "patchbay.rollout_json(x)) from patchbay.rollouts x where x.id = "
                                "$1::uuid), '{\"error\": \"not_found\", \"message\": "
                                "\"no such rollout\"}')",
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
    { "pause", on_pause }, { "resume", on_resume },     { "promote", on_promote },
    { "abort", on_abort }, { "rollback", on_rollback },
};

int rollout_rpc_serve(struct switcher *s)
{
    int err = PAT_OK;

    _Static_assert(sizeof methods / sizeof methods[0] <=
                       sizeof s->rollout_rpc / sizeof s->rollout_rpc[0],
                   "a place for each");
    for (size_t i = 0; !err && i < sizeof methods / sizeof methods[0]; i++)
        err = pat_rpc_serve(s->d->bus, &s->rollout_rpc[i], "rollout", methods[i].method,
                            methods[i].fn, s);
    return err;
}

void rollout_rpc_stop(struct switcher *s)
{
    for (size_t i = 0; i < sizeof s->rollout_rpc / sizeof s->rollout_rpc[0]; i++) {
        pat_bus_unsubscribe(s->rollout_rpc[i]);
        s->rollout_rpc[i] = NULL;
    }
}
