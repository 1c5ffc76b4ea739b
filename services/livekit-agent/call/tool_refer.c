/* tool_refer.c - puts the caller through by SIP REFER: LiveKit's SIP service tells the telephone's
 * own network where to go.
 *
 * For trunks that are not the carrier whose API the router uses. The caller stays with us while the
 * other phone rings, and when nobody answers. No router sees such a transfer, so its events are
 * told here and its limits are kept here.
 */
#include "tool_transfer.h"

#include <string.h>

enum {
    REFERS_MAX = 5,   /* of a call: a phone that passes everything back would go on for ever */
    SETTLE_MS = 6000, /* who has been moved leaves within a second or two */
    WAIT_MS = 5000,   /* beyond the ringing: for LiveKit's answer */
    PATIENCE_SLACK_MS = 2000,
};

/* RFC 3261, 21: what the other phone's network answered. */
static const char *outcome_of(int sip_status)
{
    switch (sip_status) {
    case 486:
    case 600:
        return "busy";
    case 408:
    case 480:
    case 487:
        return "no_answer";
    case 403:
    case 603:
        return "refused";
    default:
        return "failed";
    }
}

static void tell(struct transfer *x, const char *outcome, const char *reason)
{
    struct call *c = x->run->tools->c;
    struct pat_json *j = pat_json_obj();
    char masked[PAT_PHONE_LEN + 1];

    x->outcome = outcome;
    pat_phone_mask(masked, x->to.number);
    pat_json_set_str(j, "transfer_id", x->id.s);
    pat_json_set_int(j, "attempt", x->run->tools->refers);
    pat_json_set_str(j, "mode", "cold");
    pat_json_set_str(j, "label", x->to.label);
    pat_json_set_str(j, "to", masked);
    pat_json_set_str(j, "outcome", outcome);
    pat_json_set_str(j, "reason", reason);
    pat_json_set_null(j, "carrier_leg_id");
    report_event(c, "call", "transfer", j);
    pat_log(PAT_INFO, "call.refer", PAT_S("call", c->id), PAT_S("transfer", x->id.s),
            PAT_S("outcome", outcome), PAT_S("reason", reason));
}

/* Gone, or about to go: as far as anybody knows. */
static void leaving(struct tool_run *r)
{
    r->tools->moving = true;
    pat_timer_start(&r->deadline, SETTLE_MS);
    call_turn_kind(r->tools->c, TURN_WORKING, SETTLE_MS + PATIENCE_SLACK_MS);
}

static void on_referred(int err, int sip_status, void *arg)
{
    struct tool_run *r = arg;
    struct transfer *x = r->work;
    const char *outcome = outcome_of(sip_status);

    x->refer = 0;
    if (err == PAT_ETIMEDOUT) {
        pat_log(PAT_WARN, "call.refer_unknown", PAT_S("call", r->tools->c->id));
        x->refer_unknown = true;
        leaving(r);
    } else if (err) {
        tell(x, outcome, strcmp(outcome, "failed") == 0 ? pat_err_name(err) : NULL);
        transfer_not_reached(r, outcome);
    } else {
        tell(x, "bridged", NULL);
        leaving(r);
    }
}

/* PAT_AGENT_REFER_URI with the number in it. */
static int address(const char *form, const char *number, struct pat_buf *out)
{
    static const char mark[] = "{number}";
    const char *at = strstr(form, mark);

    return at ? pat_buf_addf(out, "%.*s%s%s", (int)(at - form), form, number, at + sizeof mark - 1)
              : PAT_EINVAL;
}

static int start(struct tool_run *r)
{
    struct transfer *x = r->work;
    struct call *c = r->tools->c;
    struct roomapi_refer q = { .room = c->room_name,
                               .identity = c->caller,
                               .ringing_s = TRANSFER_RING_S };
    struct pat_buf to;
    int err;

    pat_buf_init(&to, 512);
    err = address(c->env->conf->refer_uri, x->to.number, &to);
    q.to = to.data;
    if (!err)
        err = roomapi_refer(c->env->rooms, &q, on_referred, r, &x->refer);
    pat_buf_fini(&to);
    return err;
}

void refer_ask(struct tool_run *r)
{
    struct transfer *x = r->work;
    struct call *c = r->tools->c;
    int64_t patience_ms = TRANSFER_RING_S * 1000 + WAIT_MS;
    int err;

    if (c->caller_kind != RTC_SIP || !c->caller_here || r->tools->refers == REFERS_MAX) {
        transfer_not_reached(r, "not_allowed");
        return;
    }
    r->tools->refers++;
    tell(x, "started", NULL);
    err = start(r);
    if (err) {
        tell(x, "failed", pat_err_name(err));
        transfer_not_reached(r, "failed");
        return;
    }
    pat_timer_start(&r->deadline, patience_ms);
    call_turn_kind(c, TURN_WORKING, (int32_t)patience_ms + PATIENCE_SLACK_MS);
}

void refer_let_go(struct transfer *x)
{
    struct call *c = x->run->tools->c;

    if (x->refer) {
        roomapi_cancel(c->env->rooms, x->refer);
        tell(x, "failed", c->ending ? "caller_gave_up" : "timed_out");
    } else if (x->refer_unknown) {
        tell(x, c->ending ? "bridged" : "failed", "unknown");
    }
    x->refer = 0;
}
