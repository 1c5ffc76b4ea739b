/* tool_transfer.c - transfer_call: asks the router, which alone acts on the carrier's leg, to put
 * the caller through; where calls come from elsewhere, see tool_refer.c.
 *
 * Label and hour are checked here, a passcode by tool_passcode.c, everything else by the router.
 * What has been said so far is left in the bucket for whoever gets the caller back. Once the router
 * has begun, the caller leaves the room; when nobody takes the call, they come back with a header
 * that says so (tool_return.c). Steps are heard of as call.transfer.
 */
#include "tool_transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    SAY_FIRST_MS = 1200, /* the caller hears that they are being connected; "begin within 2 s" */
    ASK_MS = 2000,
    GO_MS = 20000, /* from the router's yes until the caller has left */
    KV_MS = 1000,
    KEPT_TURNS = 8 * 1024,
};

static void let_go(struct tool_run *r)
{
    struct transfer *x = r->work;
    struct env *e = r->tools->c->env;

    r->tools->moving = false;
    r->work = NULL;
    r->cancel = NULL;
    if (!x)
        return;
    refer_let_go(x);
    tool_passcode_cancel(r);
    if (x->warm)
        warm_forget_begun(r->tools->c);
    pat_timer_fini(&x->ask);
    if (x->rpc)
        pat_bus_cancel(e->bus, x->rpc);
    pat_bus_unsubscribe(x->sub);
    free(x);
}

void transfer_over(struct tool_run *r, enum tool_outcome how, const char *error, const char *status,
                   const char *text)
{
    let_go(r);
    tool_done(r, how, error, tool_result(status, text));
}

void transfer_not_reached(struct tool_run *r, const char *why)
{
    struct transfer *x = r->work;
    struct pat_buf b;

    pat_buf_init(&b, 400);
    pat_buf_addf(&b,
                 "%s could not be reached (%s). Tell the caller, and offer to take a message or to "
                 "have them called back.",
                 x->to.label, why);
    transfer_over(r, TOOL_FAILED, why, "not_reached", b.data ? b.data : why);
    pat_buf_fini(&b);
}

/* ---- what comes of it ---- */

static bool is_failure(const char *outcome)
{
    static const char *const words[] = { "no_answer", "busy", "refused", "failed" };

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strcmp(outcome, words[i]) == 0)
            return true;
    return false;
}

static void on_step(const struct pat_msg *m, void *arg)
{
    struct tool_run *r = arg;
    struct transfer *x = r->work;
    PAT_AUTO_JSON j = NULL;
    const char *outcome;

    if (!x || pat_json_parse(&j, m->data, m->len, NULL) ||
        strcmp(pat_json_str_or(j, "data.transfer_id", ""), x->id.s) != 0)
        return;
    outcome = pat_json_str_or(j, "data.outcome", "");
    pat_log(PAT_INFO, "call.transfer_step", PAT_S("call", r->tools->c->id),
            PAT_S("outcome", outcome));
    if (is_failure(outcome))
        transfer_not_reached(r, outcome);
    else if (strcmp(outcome, "bridged") == 0)
        transfer_over(r, TOOL_OK, NULL, "connected", "The caller is connected.");
}

static void on_asked(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct tool_run *r = arg;
    struct transfer *x = r->work;
    struct call *c = r->tools->c;

    (void)result;
    x->rpc = 0;
    if (err) {
        transfer_not_reached(r, message && *message ? message : pat_err_name(err));
        return;
    }
    pat_log(PAT_INFO, "call.transferring", PAT_S("call", c->id), PAT_S("transfer", x->id.s));
    r->tools->moving = true;
    pat_timer_start(&r->deadline, GO_MS);
    call_turn_kind(c, TURN_WORKING, GO_MS + 2000);
}

/* ---- asking ---- */

static void on_kept(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    (void)revision, (void)data, (void)len, (void)arg;
    if (err)
        pat_log(PAT_WARN, "call.transfer_not_kept", PAT_ERR(err));
}

/* For whoever gets the caller back: to whom they should have gone, and what was said before. */
static void keep(const struct transfer *x)
{
    struct call *c = x->run->tools->c;
    PAT_AUTO_JSON state = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    char key[64];

    pat_json_set_str(state, "transfer_id", x->id.s);
    pat_json_set_str(state, "label", x->to.label);
    pat_json_set_int(state, "segment", c->segment);
    pat_json_set_take(state, "said", history_transcript(c->history));
    text = pat_json_print(state);
    (void)snprintf(key, sizeof key, "%.36s.transfer", c->id);
    if (text && strlen(text) > KEPT_TURNS * 8) { /* an hour of talk: whom alone */
        free(text);
        pat_json_set_null(state, "said");
        text = pat_json_print(state);
    }
    if (!text || pat_kv_put(c->env->bus, CALL_BUCKET, key, text, strlen(text), PAT_KV_ANY, KV_MS,
                            on_kept, NULL))
        pat_log(PAT_WARN, "call.transfer_not_kept", PAT_S("call", c->id));
}

static struct pat_json *request_of(const struct transfer *x)
{
    const struct call *c = x->run->tools->c;
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "call_id", c->id);
    pat_json_set_str(j, "user_id", c->ctx->user_id);
    pat_json_set_int(j, "epoch", c->epoch);
    pat_json_set_str(j, "transfer_id", x->id.s);
    pat_json_set_str(j, "mode", "cold");
    pat_json_set_str(j, "to", x->to.number);
    pat_json_set_str(j, "label", x->to.label);
    pat_json_set_int(j, "timeout_s", TRANSFER_RING_S);
    pat_json_set_str(j, "briefing", pat_json_str_or(x->run->args, "briefing", NULL));
    return j;
}

bool transfer_by_refer(const struct call *c)
{
    const char *by = c->env->conf->transfer_by;

    return by && strcmp(by, "refer") == 0;
}

static void ask_router(struct tool_run *r)
{
    struct transfer *x = r->work;
    struct call *c = r->tools->c;
    PAT_AUTO_JSON request = request_of(x);
    char subject[PAT_SUBJECT_MAX];
    int err;

    keep(x);
    (void)snprintf(subject, sizeof subject, "pat.call.v1.transfer.%s.%s", c->ctx->user_id, c->id);
    err = pat_bus_subscribe(c->env->bus, &x->sub, subject, NULL, on_step, r);
    if (!err)
        err =
            pat_rpc_call(c->env->bus, "router", "transfer", request, ASK_MS, on_asked, r, &x->rpc);
    if (err)
        transfer_not_reached(r, pat_err_name(err));
    else
        r->tools->moving = true; /* the caller may be gone before the answer is here */
}

static void on_warm_begun(const char *refusal, void *arg)
{
    struct tool_run *r = arg;

    if (refusal) {
        transfer_not_reached(r, refusal);
        return;
    }
    r->tools->next = NEXT_END; /* all there is to say has been said */
    transfer_over(r, TOOL_OK, NULL, "calling",
                  "They are being called, and asked whether they take the call. The caller waits.");
}

static void ask_warm(struct tool_run *r)
{
    struct transfer *x = r->work;
    int err =
        warm_start(r->tools->c, &x->to, pat_json_str_or(r->args, "briefing", ""), on_warm_begun, r);

    if (err)
        transfer_not_reached(r, pat_err_name(err));
}

static void ask(void *arg)
{
    struct tool_run *r = arg;
    struct transfer *x = r->work;

    if (transfer_by_refer(r->tools->c))
        refer_ask(r);
    else if (x->warm)
        ask_warm(r);
    else
        ask_router(r);
}

static void begin(struct tool_run *r)
{
    struct transfer *x = r->work;
    struct call_tools *t = r->tools;
    struct pat_buf b;

    if (!t->c->env->bus && !transfer_by_refer(t->c)) {
        transfer_not_reached(r, "unavailable");
        return;
    }
    if (!t->filled) {
        const char *form = own_words(OWN_CONNECTING, tool_language(t)), *at = strstr(form, "%s");

        pat_buf_init(&b, 400);
        pat_buf_addf(&b, "%.*s%s%s", (int)(at - form), form, x->to.label, at + 2);
        if (b.data)
            tool_say(t, b.data);
        pat_buf_fini(&b);
    }
    pat_timer_start(&x->ask, x->warm ? 0 : SAY_FIRST_MS); /* who waits here hears it all the same */
}

/* ---- begin ---- */

/* The agent that goes on for us need not ask for it. */
static void passed(struct tool_run *r)
{
    ledger_checked(&r->tools->ledger, r);
    checkpoint_flush(r->tools->c);
    begin(r);
}

static void refuse(struct tool_run *r, const char *error, const char *text)
{
    tool_done(r, TOOL_REFUSED, error, tool_result("refused", text));
}

static bool under_way(const struct tool_run *r)
{
    for (const struct tool_run *o = r->tools->runs; o; o = o->next)
        if (o != r && !o->done && o->tool && o->tool->kind == PAT_TOOL_TRANSFER)
            return true;
    return r->tools->c->warm != NULL;
}

void tool_transfer(struct tool_run *r)
{
    struct call_tools *t = r->tools;
    const struct pat_target *to;
    struct transfer *x;
    int err = pat_tools_target(t->set, pat_json_str_or(r->args, "to", NULL), &to);

    if (err) {
        refuse(r, err == PAT_ENOENT ? "unknown" : "not_allowed",
               "The caller cannot be put through there. Offer to take a message.");
        return;
    }
    if (!pat_tools_may_transfer(t->set, pat_unix_ms())) {
        refuse(r, "quiet_hours", "Nobody is put through at this hour. Offer to take a message.");
        return;
    }
    if (under_way(r)) {
        refuse(r, "in_progress", "A transfer is under way already.");
        return;
    }
    x = calloc(1, sizeof *x);
    if (!x || pat_timer_init(&x->ask, t->c->env->loop, ask, r)) {
        free(x);
        tool_done(r, TOOL_FAILED, "no_memory", tool_result("failed", "This is not possible now."));
        return;
    }
    x->run = r;
    x->to = *to;
    x->id = r->key;
    x->warm = pat_tools_warm(t->set, r->args) && !transfer_by_refer(t->c);
    r->work = x;
    r->cancel = let_go;
    if (to->has_passcode && !r->checked)
        tool_passcode(r, &x->to, passed);
    else
        begin(r);
}
