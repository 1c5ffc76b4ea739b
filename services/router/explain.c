/* explain.c - RPC router.explain: what would happen to a call to this number now, and why. Changes
 * nothing. */
#include "decide.h"
#include "health.h"
#include "routes.h"
#include "serve.h"

static struct pat_json *explain(const struct router *r, const char *number,
                                const struct route *route)
{
    struct pat_json *j = pat_json_obj(), *reasons = pat_json_arr();
    struct decide_in in = { 0 };
    struct decision d = { 0 };

    if (route) {
        serve_ladder(&in, route);
        in.ladder.retell.down = !health_would_allow(r, STACK_RETELL);
        in.ladder.livekit.down = !health_would_allow(r, STACK_LIVEKIT);
        d = decide(&in);
    }
    for (int i = 0; i < d.n_reasons; i++)
        pat_json_add_str(reasons, d.reasons[i]);
    pat_json_set_str(j, "number", number);
    pat_json_set_bool(j, "known", route);
    pat_json_set_bool(j, "active", route && route->active);
    if (route) {
        pat_json_set_str(j, "user_id", route->user);
        pat_json_set_str(j, "agent_config_id", *route->agent_config ? route->agent_config : NULL);
        pat_json_set_str(j, "own_stack", stack_name(route->stack));
        pat_json_set_int(j, "config_version", route->version);
    }
    pat_json_set_str(j, "serves",
                     !route || !route->active ? "not_in_service"
                     : d.stack                ? stack_name(d.stack)
                                              : decide_action_name(d.action));
    pat_json_set_take(j, "reasons", reasons);
    return j;
}

static void on_explain(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    const struct router *r = arg;
    const char *text;
    char number[NUMBER_MAX];
    struct pat_json_err why;

    if (pat_json_get_str(params, "number", &text, &why))
        pat_rpc_fail(req, PAT_EINVAL, why.path, why.what);
    else if (number_read(number, text))
        pat_rpc_fail(req, PAT_EINVAL, "number", "must be a phone number in E.164");
    else
        pat_rpc_reply(req, explain(r, number, routes_find(r->routes, number)));
}

int explain_serve(struct router *r)
{
    return pat_rpc_serve(r->d->bus, &r->explain, "router", "explain", on_explain, r);
}
