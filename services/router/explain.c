/* explain.c - RPC router.explain: what would happen to a call to this number, from that caller, at
 * that time, and why: each rule with what it said. From what this router knows; changes nothing and
 * counts nothing. */
#include "explain.h"

#include "decide.h"
#include "guard.h"
#include "health.h"
#include "serve.h"
#include "share.h"

#include <string.h>

struct question {
    char number[NUMBER_MAX], from[NUMBER_MAX];
    enum caller_kind caller;
    int64_t at_ms;
    const struct route *route; /* NULL: nobody's */
};

static struct pat_json *reasons_of(const struct decision *d)
{
    struct pat_json *list = pat_json_arr();

    for (int i = 0; i < d->n_reasons; i++)
        pat_json_add_str(list, d->reasons[i]);
    return list;
}

static struct pat_json *rules_of(const struct policy_facts *f)
{
    static const char *const words[] = {
        [POLICY_SILENT] = "silent", [POLICY_SPOKE] = "spoke", [POLICY_STOPS] = "decides"
    };
    struct policy_step steps[POLICY_RULES];
    struct pat_json *list = pat_json_arr();
    int first = policy_walk(f, steps);

    for (int i = 0; i < POLICY_RULES; i++) {
        struct pat_json *j = pat_json_obj(), *reasons = pat_json_arr();
        bool reached = first < 0 || i <= first;

        for (int k = 0; k < 2; k++)
            if (steps[i].reasons[k])
                pat_json_add_str(reasons, steps[i].reasons[k]);
        pat_json_set_str(j, "rule", steps[i].rule);
        pat_json_set_bool(j, "asked", reached); /* false: one before it had decided */
        pat_json_set_str(j, "verdict", words[steps[i].verdict]);
        pat_json_set_take(j, "reasons", reasons);
        pat_json_set_str(j, "because", steps[i].because);
        pat_json_add_take(list, j);
    }
    return list;
}

static struct pat_json *facts_of(const struct policy_facts *f)
{
    static const char *const hours[] = { [HOURS_ALWAYS] = "always",
                                         [HOURS_OPEN] = "open",
                                         [HOURS_CLOSED] = "closed",
                                         [HOURS_HOLIDAY] = "holiday" };
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "caller", caller_kind_name(f->caller));
    pat_json_set_bool(j, "blocked", f->blocked);
    pat_json_set_bool(j, "contact", f->known);
    pat_json_set_str(j, "hours", hours[f->hours]);
    pat_json_set_bool(j, "quiet", f->quiet);
    pat_json_set_bool(j, "over_budget", f->over_budget || f->want.budget_spent);
    pat_json_set_int(j, "calls_now", f->live);
    pat_json_set_int(j, "calls_last_minute", f->last_minute);
    pat_json_set_str(j, "forward_to", *f->want.forward ? f->want.forward : NULL);
    pat_json_set_str(j, "forward_refused", f->forward_no);
    return j;
}

/* A rollout by calls is under way: the side of this caller. */
static struct pat_json *share_json(const struct question *q)
{
    struct share s = share_of(q->route, q->from, NULL);
    struct pat_json *j = pat_json_obj();

    pat_json_set_int(j, "percent", q->route->share);
    pat_json_set_str(j, "to_stack", q->route->stack == STACK_RETELL ? "livekit" : "retell");
    /* Withheld: each call has a side of its own. */
    pat_json_set_str(j, "side", !*q->from ? "by_call" : s.stack == q->route->stack ? "old" : "new");
    return j;
}

static void add_decision(struct pat_json *j, struct router *r, const struct question *q)
{
    struct guard_call c = { .from = q->from, .caller = q->caller, .passed_on_from = "" };
    struct decide_in in = { 0 };
    struct policy_facts facts;
    struct decision d;
    char local[40];

    guard_facts(&facts, r, q->route, &c, q->at_ms);
    serve_ladder(&in, r, q->route, q->from, NULL);
    in.policy = &facts;
    in.ladder.retell.down = !health_would_allow(r, STACK_RETELL);
    in.ladder.livekit.down = !health_would_allow(r, STACK_LIVEKIT);
    d = decide(&in);
    policy_local_text(q->route->policies, q->at_ms, local);
    pat_json_set_str(j, "local_time", local);
    pat_json_set_str(j, "serves", d.stack ? stack_name(d.stack) : decide_action_name(d.action));
    pat_json_set_str(j, "action", decide_action_name(d.action));
    pat_json_set_str(j, "stack", stack_name(d.stack));
    pat_json_set_bool(j, "is_fallback", d.fallback);
    pat_json_set_str(j, "policy", d.policy);
    pat_json_set_str(j, "forward", *d.forward ? d.forward : NULL);
    pat_json_set_str(j, "refusal", d.action != DECIDE_REFUSE ? NULL : d.busy ? "busy" : "rejected");
    pat_json_set_take(j, "reasons", reasons_of(&d));
    if (q->route->share)
        pat_json_set_take(j, "share", share_json(q));
    pat_json_set_take(j, "facts", facts_of(&facts));
    pat_json_set_take(j, "rules", rules_of(&facts));
}

static struct pat_json *explain(struct router *r, const struct question *q)
{
    struct pat_json *j = pat_json_obj();
    const struct route *route = q->route;
    char at[PAT_TIME_LEN + 1];

    pat_time_format(q->at_ms, at);
    pat_json_set_str(j, "number", q->number);
    pat_json_set_str(j, "from", *q->from ? q->from : NULL);
    pat_json_set_str(j, "at", at);
    pat_json_set_bool(j, "known", route);
    pat_json_set_bool(j, "active", route && route->active);
    if (route) {
        pat_json_set_str(j, "user_id", route->user);
        pat_json_set_str(j, "agent_config_id", *route->agent_config ? route->agent_config : NULL);
        pat_json_set_str(j, "own_stack", stack_name(route->stack));
        pat_json_set_int(j, "config_version", route->version);
    }
    if (route && route->active) {
        add_decision(j, r, q);
    } else {
        pat_json_set_str(j, "serves", "not_in_service");
        pat_json_set_take(j, "reasons", pat_json_arr());
    }
    return j;
}

/* NULL: good. Else the field that is not. from not said: some caller nobody knows. */
static const char *read_question(struct question *q, struct router *r,
                                 const struct pat_json *params)
{
    static const char some[] = "+12025550199";
    const char *at = pat_json_str_or(params, "at", NULL);

    if (number_read(q->number, pat_json_str_or(params, "number", "")))
        return "number";
    q->caller = caller_read(q->from, pat_json_str_or(params, "from", some));
    q->at_ms = pat_unix_ms();
    q->route = routes_find(r->routes, q->number);
    if (at && q->route && policy_moment(q->route->policies, at, &q->at_ms))
        return "at";
    return NULL;
}

static void on_explain(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    struct question q = { 0 };
    const char *field = read_question(&q, arg, params);

    if (!field)
        pat_rpc_reply(req, explain(arg, &q));
    else
        pat_rpc_fail(req, PAT_EINVAL, field,
                     *field == 'n' ? "must be a phone number in E.164"
                                   : "must be a time, 2026-11-23T15:30, with or without an offset");
}

int explain_serve(struct router *r)
{
    return pat_rpc_serve(r->d->bus, &r->explain, "router", "explain", on_explain, r);
}
