/* call_trouble.c - providers that fail: told for the record, and what the caller hears when a whole
 * chain is gone. Never a dead line.
 *
 * Nobody can think: the caller is asked to leave a message, which needs ears and a voice only.
 * Nobody can hear or speak: the router takes the call to its message service; where that cannot be
 * had, a goodbye.
 */
#include "call_int.h"

#include <string.h>

enum {
    UNWRITTEN_MAX = 2, /* replies in a row that nobody could write */
    VOICEMAIL_MS = 3000,
    MOVE_MS = 10000, /* the carrier takes the caller away */
};

void call_provider_failed(const struct provider_failure *f, void *call)
{
    struct call *c = call;
    struct pat_json *data;

    if (c->ending)
        return;
    data = pat_json_obj();
    pat_json_set_str(data, "part", provider_part_name(f->by->part));
    pat_json_set_str(data, "provider", f->by->name);
    pat_json_set_str(data, "model", f->model);
    pat_json_set_str(data, "fault", provider_fault_name(f->fault));
    pat_json_set_str(data, "detail", f->detail);
    pat_json_set_str(data, "next", f->next ? f->next->name : NULL);
    report_event(c, "call", "provider_failed", data);
}

static bool all_down(const struct provider_chain *chain, int64_t now_ms)
{
    for (size_t i = 0; i < chain->n; i++)
        if (pat_breaker_would_allow(&chain->at[i]->breaker, now_ms))
            return false;
    return true;
}

static bool nobody_thinks(const struct call *c)
{
    const struct provider_chain *chain = providers_of(c->env->providers, PROVIDER_LLM);

    return c->unwritten >= UNWRITTEN_MAX ||
           (c->unwritten && all_down(chain, pat_loop_now_ms(c->env->loop)));
}

void call_sorry(struct call *c)
{
    if (!c->ctx) {
        call_say(c, OWN_OUT_OF_ORDER);
    } else if (c->tools && nobody_thinks(c)) {
        pat_log(PAT_ERROR, "call.nobody_thinks", PAT_S("call", c->id));
        c->failures = 0;
        call_tools_last_message(c->tools);
        call_say(c, OWN_LEAVE_MESSAGE);
    } else {
        call_say(c, OWN_SORRY);
    }
}

/* Moved: the caller leaves the room by himself now, to hear the message service. */
static void on_voicemail(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct call *c = arg;

    (void)result;
    c->voicemail = 0;
    if (!err) {
        pat_timer_start(&c->absent, MOVE_MS);
        return;
    }
    pat_log(PAT_WARN, "call.no_voicemail", PAT_S("call", c->id), PAT_ERR(err),
            PAT_S("why", message ? message : ""));
    call_end(c, c->reason);
}

/* True: the router was asked to take the caller over. */
static bool to_voicemail(struct call *c)
{
    PAT_AUTO_JSON params = pat_json_obj();

    if (!c->gave_up || c->moving || !c->ctx || !c->env->bus || !c->caller_here)
        return false;
    pat_json_set_str(params, "call_id", c->id);
    pat_json_set_str(params, "user_id", c->ctx->user_id);
    pat_json_set_int(params, "epoch", c->epoch);
    c->moving = !pat_rpc_call(c->env->bus, "router", "voicemail", params, VOICEMAIL_MS,
                              on_voicemail, c, &c->voicemail);
    return c->moving;
}

void call_give_up(struct call *c, const char *reason)
{
    if (c->gave_up || c->ending)
        return;
    c->gave_up = true;
    pat_strcpy(c->reason, sizeof c->reason, reason);
    pat_log(PAT_ERROR, "call.gave_up", PAT_S("call", c->id), PAT_S("reason", reason));
    c->bye = c->env->bus && c->ctx ? OWN_AFTER_TONE : OWN_OUT_OF_ORDER;
    call_turn_kind(c, TURN_HANG_UP, 2);
}

void call_leave(struct call *c)
{
    if (!to_voicemail(c))
        call_end(c, c->reason[0] ? c->reason : "agent_hangup");
}

bool call_moved(const struct call *c)
{
    return c->moving;
}

void call_trouble_stop(struct call *c)
{
    if (c->voicemail)
        pat_bus_cancel(c->env->bus, c->voicemail);
    c->voicemail = 0;
}
