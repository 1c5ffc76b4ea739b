/* serve.c - one attempt to have a call served: see serve.h.
 *
 * LiveKit needs no outside request: the agent is told to prepare and the document leaves at once.
 * Retell has to register the call first; when that fails the other stack is tried within the same
 * answer.
 */
#include "serve.h"

#include "ask_retell.h"
#include "budget.h"
#include "confirm.h"
#include "decide.h"
#include "document.h"
#include "guard.h"
#include "health.h"
#include "record.h"
#include "repeat.h"
#include "rung_doc.h"
#include "share.h"
#include "text.h"
#include "transfer.h"
#include "watch.h"

#include <stdlib.h>
#include <string.h>

#define PREPARE_TIMEOUT_MS 2000
/* Bytes that most of them fit in. */
enum { USUAL_URL = 600, USUAL_DOCUMENT = 1500 };

/* One attempt under way; owns copies, the route may change meanwhile. */
struct attempt {
    struct router *r;
    struct pat_httpd_req *http;
    struct serve s;
    struct policy_facts facts; /* in.policy, of a new call */
    struct decide_in in;
    struct decision d;
    enum stack users; /* the user's own; the ladder's is the one this call is on */
    struct retell_agent retell_agent;
    char *settings; /* JSON */
    bool asked_outside;
    bool cut_off; /* the caller spoke with somebody when the leg failed */
};

static void attempt_free(struct attempt *a)
{
    free(a->settings);
    free(a->s.transfer_take);
    free(a);
}

static void tell(struct attempt *a)
{
    const struct callref *ref = &a->s.ref;
    int64_t us = pat_now_us() - a->s.started_us;

    pat_histogram_observe(a->r->stats.answer_s[a->asked_outside], (double)us / 1e6);
    pat_log(PAT_INFO, a->d.action == DECIDE_VOICEMAIL ? "call.to_voicemail" : "call.routed",
            PAT_S("call", ref->call.s), PAT_S("user", ref->user),
            PAT_S("action", decide_action_name(a->d.action)), PAT_S("policy", a->d.policy),
            PAT_S("stack", stack_name(a->d.stack)), PAT_B("fallback", a->d.fallback),
            PAT_S("retell_call", *ref->retell_call ? ref->retell_call : NULL),
            PAT_I("answer_us", us));
}

/* So that the agent knows why the caller is back. */
static const char *why_back(const struct serve *s, bool cut_off)
{
    if (s->returned)
        return s->returned;
    return s->ref.redials ? "redial" : cut_off ? "failed_over" : NULL;
}

/* Reasons (dial.c, watch.c, redial.c) of legs that had been answered. */
static bool was_talking(const char *failed_over)
{
    static const char *const words[] = { "agents_lost", "gave_up", "leg_broke", "leg_lost" };

    for (size_t i = 0; failed_over && i < sizeof words / sizeof words[0]; i++)
        if (!strcmp(failed_over, words[i]))
            return true;
    return false;
}

static void tell_end(struct attempt *a)
{
    if (a->d.action == DECIDE_REFUSE)
        record_ended(a->r, &a->s.ref, &(struct record_end){ .reason = "refused" });
    else if (a->d.action == DECIDE_SAY)
        record_ended(a->r, &a->s.ref, &(struct record_end){ .reason = "not_served" });
}

/* Nothing but the request for the call has been answered. */
static bool is_first(const struct attempt *a)
{
    return !a->s.ref.moves && !a->s.returned && a->d.action != DECIDE_REFUSE;
}

static void reply(struct attempt *a, struct pat_buf *token, struct pat_buf *doc,
                  struct pat_buf *sip)
{
    struct router *r = a->r;
    const struct callref *ref = &a->s.ref;
    struct rung_doc d = { r, ref, a->s.form, why_back(&a->s, a->cut_off), a->d.forward, a->d.busy };
    int err = rung_write(&d, doc, token, sip);

    record_routed(r, ref, &a->d, a->d.stack && !err ? sip->data : NULL,
                  pat_now_us() - a->s.started_us);
    if (a->s.is_new && a->d.action != DECIDE_STACK)
        budget_release(r->budget, ref->call.s);
    if (a->d.action == DECIDE_FORWARD)
        guard_forwarded(r, ref, a->d.forward, "forward");
    tell_end(a);
    carrier_answer(r, a->http, a->s.form, err, doc);
    tell(a);
    if (!token->err && a->d.action != DECIDE_REFUSE)
        leg_note(r, ref, a->s.form, token->data);
    if (!err && a->d.stack == STACK_LIVEKIT)
        watch_dialled(r, ref);
    if (!err && is_first(a))
        repeat_note(r, ref);
    if (a->s.transfer_take && a->d.stack)
        transfer_tell(r, ref, a->s.transfer_take, "returned", a->s.returned, NULL);
}

static void answer(struct attempt *a)
{
    struct pat_buf token, doc, sip;

    pat_buf_init(&token, CALLREF_TOKEN_MAX);
    pat_buf_init(&doc, DOCUMENT_MAX);
    pat_buf_init(&sip, 2048);
    (void)pat_buf_reserve(&token, USUAL_URL);
    (void)pat_buf_reserve(&doc, USUAL_DOCUMENT);
    (void)pat_buf_reserve(&sip, USUAL_URL);
    reply(a, &token, &doc, &sip);
    pat_buf_fini(&token);
    pat_buf_fini(&doc);
    pat_buf_fini(&sip);
    attempt_free(a);
}

/* ------------------------------------------------------------------ LiveKit */

/* A request to prepare under way. The call's answer does not wait for it. */
struct preparing {
    struct router *r;
    struct pat_id call;
};

static void on_prepared(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct preparing *p = arg;
    struct router *r = p->r;

    (void)result;
    if (!err)
        health_outcome(r, STACK_LIVEKIT, true, NULL);
    else
        pat_log(PAT_WARN, "livekit.not_prepared", PAT_S("call", p->call.s), PAT_ERR(err),
                PAT_S("why", message));
    /* Only an answer from a living bus says something about the agents. With NATS away, or stuck (a
     * stopped server keeps its connections, and requests run out of time), the dispatch rule still
     * finds them. */
    if (err && err != PAT_ECANCELED && err != PAT_ETIMEDOUT && pat_bus_up(r->d->bus))
        health_outcome(r, STACK_LIVEKIT, false, pat_err_name(err));
    free(p);
}

static int ask_to_prepare(struct router *r, const struct pat_id *call, const char *params)
{
    struct preparing *p;
    pat_bus_id id;
    int err;

    if (!pat_bus_up(r->d->bus))
        return PAT_EUNAVAIL;
    p = malloc(sizeof *p);
    if (!p)
        return PAT_ENOMEM;
    *p = (struct preparing){ r, *call };
    err = pat_rpc_call_text(r->d->bus, "agent", "prepare", params, PREPARE_TIMEOUT_MS, on_prepared,
                            p, &id);
    if (err)
        free(p);
    return err;
}

/* Sent without waiting: the phone rings meanwhile, and what is lost the SIP headers make good. */
static void prepare_agent(struct attempt *a)
{
    const struct callref *ref = &a->s.ref;
    struct text t;
    int err;

    text_init(&t, a->settings ? strlen(a->settings) : 0);
    text_str(&t, "call_id", ref->call.s);
    text_str(&t, "user_id", ref->user);
    text_str(&t, "agent_config_id", ref->agent_config);
    text_int(&t, "config_version", ref->config_version);
    text_or_null(&t, "from", ref->from);
    text_str(&t, "to", ref->to);
    text_raw(&t, "settings", a->settings);
    err = text_end(&t) ? ask_to_prepare(a->r, &ref->call, t.b.data) : t.b.err;
    if (err)
        pat_log(PAT_WARN, "livekit.not_prepared", PAT_S("call", ref->call.s), PAT_ERR(err));
    text_fini(&t);
}

/* ------------------------------------------------------------------ the attempt */

static void attempt_next(struct attempt *a);

/* Retell refused this call, and is well: a deleted agent, say. Health is shared by all users.
 */
static bool is_this_calls(int err)
{
    return err == PAT_ENOENT || err == PAT_EINVAL || err == PAT_EPERM || err == PAT_E2BIG;
}

static void on_registered(int err, const char *retell_call, void *arg)
{
    struct attempt *a = arg;

    if (err) {
        pat_log(PAT_WARN, "route.retell_failed", PAT_S("call", a->s.ref.call.s),
                PAT_S("user", a->s.ref.user), PAT_ERR(err));
        health_outcome(a->r, STACK_RETELL, is_this_calls(err), pat_err_name(err));
        a->s.failed_over = pat_err_name(err);
        attempt_next(a);
        return;
    }
    health_outcome(a->r, STACK_RETELL, true, NULL);
    pat_strcpy(a->s.ref.retell_call, sizeof a->s.ref.retell_call, retell_call);
    answer(a);
}

/* A stack's one trial is only reserved for the stack that is really chosen. */
static bool closed_to_us(struct attempt *a)
{
    return a->d.stack != STACK_NONE && !health_allows(a->r, a->d.stack);
}

/* What is chosen now is not chosen again; where the call was is told first. */
static void note_step(struct attempt *a)
{
    struct callref *ref = &a->s.ref;

    if (a->s.failed_over)
        record_failed_over(a->r, ref,
                           &(struct record_step){ a->d.stack, decide_action_name(a->d.action),
                                                  a->s.failed_over, a->s.sip_code, a->s.redial });
    a->s.failed_over = NULL;
    a->s.redial = false;
    a->s.sip_code = 0;
    ref->stack = a->d.stack;
    ref->action = a->d.action;
    if (a->d.action == DECIDE_STACK)
        ref->tried |= LADDER_TRIED(a->d.stack);
    else if (a->d.action == DECIDE_FORWARD)
        ref->tried |= LADDER_TRIED_FORWARD;
    else if (a->d.action == DECIDE_VOICEMAIL)
        ref->tried |= LADDER_TRIED_VOICEMAIL;
}

/* Behind Retell there is only a message to leave. */
static bool is_last_stack(const struct attempt *a)
{
    struct ladder_in in = a->in.ladder;

    in.tried = a->s.ref.tried;
    return ladder_next(&in).stack == STACK_NONE;
}

static void begin_retell(struct attempt *a)
{
    unsigned how =
        (is_last_stack(a) ? ASK_RETELL_NOBODY_ELSE : 0u) | (a->cut_off ? ASK_RETELL_CUT_OFF : 0u);
    int err = a->d.standby ? ask_retell_standby(a->r, &a->s.ref, a->settings, how, on_registered, a)
                           : ask_retell(a->r, &a->s.ref, &a->retell_agent, how, on_registered, a);

    if (err)
        on_registered(err, NULL, a);
}

/* Another router has answered it meanwhile: a second registration would be one too many. */
static void on_looked(const struct callref *ref, void *arg)
{
    struct attempt *a = arg;

    if (!ref) {
        begin_retell(a);
        return;
    }
    serve_again(a->r, a->http, ref, a->s.form, NULL);
    attempt_free(a);
}

static void attempt_next(struct attempt *a)
{
    bool first = is_first(a) && !a->s.ref.tried && !a->s.failed_over;

    a->in.ladder.tried = a->s.ref.tried;
    a->d = decide(&a->in);
    while (closed_to_us(a)) {
        (a->d.stack == STACK_RETELL ? &a->in.ladder.retell : &a->in.ladder.livekit)->down = true;
        a->d = decide(&a->in);
    }
    a->d.fallback = a->d.stack && a->d.stack != a->users;
    note_step(a);
    if (a->d.stack == STACK_RETELL) {
        a->asked_outside = true;
        if (!first || repeat_look(a->r, a->s.ref.call.s, on_looked, a))
            begin_retell(a);
        return;
    }
    if (a->d.stack == STACK_LIVEKIT)
        prepare_agent(a);
    answer(a);
}

void serve_ladder(struct decide_in *out, struct router *r, const struct route *route,
                  const char *from, const char *call)
{
    const struct policy_wishes *w = policy_wishes(route->policies);
    struct share share = share_of(route, from, call);
    struct ladder_in *in = &out->ladder;

    in->own = share.stack;
    out->share = share.reason;
    in->retell.can = *route->retell_agent.id ? LADDER_AGENT : LADDER_CANNOT;
    if (in->retell.can == LADDER_CANNOT && in->own == STACK_LIVEKIT && r->conf->standby)
        in->retell.can = LADDER_STANDBY;
    /* A fenced router's cache may name an agent that is gone: LiveKit serves from the row itself.
     */
    in->livekit.can =
        route->on_livekit || confirm_fenced(r->confirm) ? LADDER_AGENT : LADDER_CANNOT;
    in->ladder = w->ladder;
    in->forward = *w->fallback_number && !guard_forward_no(r, route, w->fallback_number, from, "");
    memcpy(out->fallback_number, w->fallback_number, sizeof out->fallback_number);
}

static void know_user(struct attempt *a, const struct route *route)
{
    serve_ladder(&a->in, a->r, route, a->s.ref.from, a->s.ref.call.s);
    a->users = a->in.ladder.own; /* neither side of a rollout is a fallback */
    a->retell_agent = route->retell_agent;
    a->settings = route->settings ? strdup(route->settings) : NULL;
}

/* The conversation is on ref.stack: there it goes on, if it can. */
static void go_on_there(struct attempt *a)
{
    struct callref *ref = &a->s.ref;

    a->in.ladder.own = ref->stack;
    if (!a->s.redial)
        return;
    ref->tried &= ~LADDER_TRIED(ref->stack);
    ref->redials++;
}

/* This router, or (the request before came just before a border, repeat.h) any. */
static void on_before_looked(const struct callref *ref, void *arg)
{
    struct attempt *a = arg;

    if (!ref) {
        attempt_next(a);
        return;
    }
    serve_again(a->r, a->http, ref, a->s.form, NULL);
    attempt_free(a);
}

static const struct callref *answered_before(const struct attempt *a)
{
    const struct callref *ref = repeat_find(a->r, a->s.ref.call.s);

    return ref || !*a->s.before.s ? ref : repeat_find(a->r, a->s.before.s);
}

static void attempt_begin(struct attempt *a)
{
    const struct callref *ref = answered_before(a);

    if (ref)
        on_before_looked(ref, a);
    else if (!*a->s.before.s || repeat_look(a->r, a->s.before.s, on_before_looked, a))
        attempt_next(a);
}

void serve_call(struct router *r, struct pat_httpd_req *http, const struct serve *s,
                const struct route *route)
{
    struct attempt *a = calloc(1, sizeof *a);
    struct pat_buf doc;

    if (!a) {
        pat_buf_init(&doc, DOCUMENT_MAX);
        carrier_answer(r, http, s->form, PAT_ENOMEM, &doc);
        pat_buf_fini(&doc);
        free(s->transfer_take);
        return;
    }
    a->r = r;
    a->http = http;
    a->s = *s;
    a->cut_off = was_talking(s->failed_over) || s->ref.redials;
    a->users = a->in.ladder.own = STACK_RETELL;
    a->in.ladder.ladder = ladder_default();
    if (s->policy) {
        a->facts = *s->policy;
        a->in.policy = a->s.policy = &a->facts;
    }
    if (route)
        know_user(a, route);
    if (a->s.ref.stack && (a->s.returned || a->s.redial))
        go_on_there(a);
    if (a->s.is_new)
        attempt_begin(a);
    else
        attempt_next(a);
}

void serve_again(struct router *r, struct pat_httpd_req *http, const struct callref *ref,
                 enum carrier_form form, const struct route *route)
{
    const char *number = route ? policy_wishes(route->policies)->fallback_number : "";
    struct serve s = { .ref = *ref };
    struct rung_doc d = { r, ref, form, why_back(&s, false), number, false };
    struct pat_buf token, doc, sip;
    int err;

    pat_buf_init(&token, CALLREF_TOKEN_MAX);
    pat_buf_init(&doc, DOCUMENT_MAX);
    pat_buf_init(&sip, 2048);
    pat_log(PAT_INFO, "call.answered_again", PAT_S("call", ref->call.s),
            PAT_S("action", decide_action_name(ref->action)));
    err = rung_write(&d, &doc, &token, &sip);
    carrier_answer(r, http, form, err, &doc);
    pat_buf_fini(&token);
    pat_buf_fini(&doc);
    pat_buf_fini(&sip);
}
