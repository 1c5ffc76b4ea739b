/* serve.c - one attempt to have a call served: see serve.h.
 *
 * LiveKit needs no outside request: the agent is told to prepare and the document leaves at once.
 * Retell has to register the call first; when that fails the other stack is tried within the same
 * answer.
 */
#include "serve.h"

#include "ask_retell.h"
#include "callback.h"
#include "decide.h"
#include "document.h"
#include "guard.h"
#include "health.h"
#include "record.h"
#include "text.h"
#include "transfer.h"
#include "voicemail.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREPARE_TIMEOUT_MS 2000
/* Bytes that most of them fit in. */
enum { USUAL_URL = 600, USUAL_DOCUMENT = 1500 };

static const char leave_message[] =
    "Nobody can take your call right now. Please leave a message after the tone.";

static const char apology[] =
    "We are sorry, nobody can take your call right now. Please try again later.";

/* One attempt under way; owns copies, the route may change meanwhile. */
struct attempt {
    struct router *r;
    struct pat_httpd_req *http;
    struct serve s;
    struct policy_facts facts; /* in.policy, of a new call */
    struct decide_in in;
    struct decision d;
    struct retell_agent retell_agent;
    char *settings; /* JSON */
    bool asked_outside;
};

static void attempt_free(struct attempt *a)
{
    free(a->settings);
    free(a->s.transfer_take);
    free(a);
}

/* ------------------------------------------------------------------ documents */

/* So that the agent knows why the caller is back. */
static int add_returned(struct pat_buf *sip, const struct attempt *a)
{
    if (!a->s.returned || a->s.ref.stack != STACK_LIVEKIT)
        return PAT_OK;
    return pat_buf_addf(sip, "&X-Pat-Returned=%s", a->s.returned);
}

static int write_dial(struct attempt *a, const char *token, struct pat_buf *doc,
                      struct pat_buf *sip)
{
    const struct router *r = a->r;
    struct dial dial = { .conf = r->conf, .ref = &a->s.ref };
    struct pat_buf action, state;
    int err;

    pat_buf_init(&action, 4096);
    pat_buf_init(&state, 4096);
    (void)pat_buf_reserve(&action, USUAL_URL); /* one allocation; a failure sticks */
    err = callback_url_of(&action, r, "/v1/signalwire/dial/", &a->s.ref, token);
    if (!err && a->s.form == CARRIER_SWML)
        err = callback_url_of(&state, r, "/v1/signalwire/leg/", &a->s.ref, token);
    if (!err)
        err = document_sip_uri(sip, r->conf, &a->s.ref);
    if (!err)
        err = add_returned(sip, a);
    dial.action_url = action.data;
    dial.state_url = state.data;
    if (!err)
        err = a->s.form == CARRIER_SWML ? swml_dial(doc, &dial, sip->data)
                                        : cxml_dial(doc, &dial, sip->data);
    pat_buf_fini(&action);
    pat_buf_fini(&state);
    return err;
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

/* To a phone; its Dial's result asks what is next, as a stack's does. */
static int write_forward(struct attempt *a, const char *token, struct pat_buf *doc)
{
    struct router *r = a->r;
    struct dial_phone d = { .conf = r->conf,
                            .number = a->d.forward,
                            .caller_id = a->s.ref.to,
                            .timeout_s = (int)r->conf->dial_timeout_s };
    struct pat_buf action, state;
    int err;

    pat_buf_init(&action, 4096);
    pat_buf_init(&state, 4096);
    err = callback_url_of(&action, r, "/v1/signalwire/dial/", &a->s.ref, token);
    if (!err)
        err = callback_url_of(&state, r, "/v1/signalwire/leg/", &a->s.ref, token);
    d.action_url = action.data;
    d.status_url = state.data;
    if (!err)
        err = a->s.form == CARRIER_SWML ? swml_dial_phone(doc, &d) : cxml_dial_phone(doc, &d);
    pat_buf_fini(&action);
    pat_buf_fini(&state);
    return err;
}

static int write_document(struct attempt *a, const char *token, struct pat_buf *doc,
                          struct pat_buf *sip)
{
    bool swml = a->s.form == CARRIER_SWML;

    switch (a->d.action) {
    case DECIDE_STACK:
        return write_dial(a, token, doc, sip);
    case DECIDE_FORWARD:
        return write_forward(a, token, doc);
    case DECIDE_VOICEMAIL:
        return voicemail_write(a->r, &a->s.ref, a->s.form, leave_message, doc);
    case DECIDE_REFUSE:
        return swml ? swml_reject(doc, a->d.busy) : cxml_reject(doc, a->d.busy);
    default:
        return swml ? swml_say_hangup(doc, apology)
                    : cxml_say_hangup(doc, a->r->conf->say_voice, apology);
    }
}

/* So that whoever goes on with the call knows. */
static void note_tried(struct attempt *a)
{
    struct callref *ref = &a->s.ref;

    ref->stack = a->d.stack;
    if (a->d.action == DECIDE_STACK)
        ref->tried |= LADDER_TRIED(a->d.stack);
    else if (a->d.action == DECIDE_FORWARD)
        ref->tried |= LADDER_TRIED_FORWARD;
    else if (a->d.action == DECIDE_VOICEMAIL)
        ref->tried |= LADDER_TRIED_VOICEMAIL;
}

static void answer(struct attempt *a)
{
    struct router *r = a->r;
    struct pat_buf token, doc, sip;
    int err;

    pat_buf_init(&token, CALLREF_TOKEN_MAX);
    pat_buf_init(&doc, DOCUMENT_MAX);
    pat_buf_init(&sip, 2048);
    (void)pat_buf_reserve(&token, USUAL_URL);
    (void)pat_buf_reserve(&doc, USUAL_DOCUMENT);
    (void)pat_buf_reserve(&sip, USUAL_URL);
    note_tried(a);
    err = callref_token(&token, r->conf->call_secret, &a->s.ref);
    if (!err)
        err = write_document(a, token.data, &doc, &sip);
    record_routed(r, &a->s.ref, &a->d, a->d.stack && !err ? sip.data : NULL,
                  pat_now_us() - a->s.started_us);
    if (a->d.action == DECIDE_FORWARD)
        guard_forwarded(r, &a->s.ref, a->d.forward, "forward");
    if (a->d.action == DECIDE_REFUSE)
        record_ended(r, &a->s.ref, &(struct record_end){ .reason = "refused" });
    carrier_answer(r, a->http, a->s.form, err, &doc);
    tell(a);
    if (!token.err && a->d.action != DECIDE_REFUSE)
        leg_note(r, &a->s.ref, a->s.form, token.data);
    if (a->s.transfer_take && a->d.stack)
        transfer_tell(r, &a->s.ref, a->s.transfer_take, "returned", a->s.returned, NULL);
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
        a->s.ref.tried |= 1u << STACK_RETELL;
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

static void attempt_next(struct attempt *a)
{
    int err;

    a->in.ladder.tried = a->s.ref.tried;
    a->d = decide(&a->in);
    while (closed_to_us(a)) {
        (a->d.stack == STACK_RETELL ? &a->in.ladder.retell : &a->in.ladder.livekit)->down = true;
        a->d = decide(&a->in);
    }
    if (a->s.failed_over)
        record_failed_over(a->r, &a->s.ref, a->d.stack, a->s.failed_over);
    a->s.failed_over = NULL;
    a->s.ref.stack = a->d.stack;
    if (a->d.stack == STACK_RETELL) {
        a->asked_outside = true;
        err = a->d.standby ? ask_retell_standby(a->r, &a->s.ref, a->settings, on_registered, a)
                           : ask_retell(a->r, &a->s.ref, &a->retell_agent, on_registered, a);
        if (err)
            on_registered(err, NULL, a);
        return;
    }
    if (a->d.stack == STACK_LIVEKIT)
        prepare_agent(a);
    answer(a);
}

void serve_ladder(struct decide_in *out, struct router *r, const struct route *route,
                  const char *from)
{
    const struct policy_wishes *w = policy_wishes(route->policies);
    struct ladder_in *in = &out->ladder;

    in->own = route->stack;
    in->retell.can = *route->retell_agent.id ? LADDER_AGENT : LADDER_CANNOT;
    if (in->retell.can == LADDER_CANNOT && in->own == STACK_LIVEKIT && r->conf->standby)
        in->retell.can = LADDER_STANDBY;
    in->livekit.can = route->on_livekit ? LADDER_AGENT : LADDER_CANNOT;
    in->ladder = w->ladder;
    in->forward = *w->fallback_number && !guard_forward_no(r, route, w->fallback_number, from, "");
    memcpy(out->fallback_number, w->fallback_number, sizeof out->fallback_number);
}

static void know_user(struct attempt *a, const struct route *route)
{
    serve_ladder(&a->in, a->r, route, a->s.ref.from);
    a->retell_agent = route->retell_agent;
    a->settings = route->settings ? strdup(route->settings) : NULL;
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
    a->in.ladder.own = STACK_RETELL;
    a->in.ladder.ladder = ladder_default();
    if (s->policy) {
        a->facts = *s->policy;
        a->in.policy = a->s.policy = &a->facts;
    }
    if (route)
        know_user(a, route);
    if (a->s.returned && a->s.ref.stack)
        a->in.ladder.own = a->s.ref.stack; /* there the conversation is */
    attempt_next(a);
}
