/* dial.c - how a dialled leg ended: the Dial action of cXML, the states of SWML's connect.
 *
 * Each names its call by the signed token in its own URL, so any replica can answer.
 */
#include "callback.h"
#include "document.h"
#include "ends.h"
#include "health.h"
#include "leg.h"
#include "lifecycle.h"
#include "record.h"
#include "rest.h"
#include "routes.h"
#include "serve.h"
#include "transfer.h"

#include <stdlib.h>
#include <string.h>

#define MOVED_MS     1500
#define MOVED_WAIT_S 5

/* NULL: the leg was served. Else why it was not. */
static const char *leg_failure(const struct carrier_req *c)
{
    const char *s =
        carrier_param(c, c->form == CARRIER_SWML ? "vars.connect_result" : "DialCallStatus");
    static const char *const table[][2] = {
        { "busy", "busy" },
        { "no-answer", "no_answer" },
        { "failed", "failed" },
        { "no_answer", "no_answer" },
    };

    for (size_t i = 0; s && i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(s, table[i][0]))
            return table[i][1];
    return NULL;
}

/* While it still rang. */
static bool caller_gave_up(const struct carrier_req *c)
{
    const char *dial = carrier_param(c, "DialCallStatus");

    return dial && !strcmp(dial, "canceled");
}

static void end_served(struct router *r, const struct carrier_req *c, const struct callref *ref,
                       const struct leg *leg)
{
    struct record_end e = { .reason = ends_of_dial(c, leg)->word,
                            .outcome = "answered",
                            .talk_ms = callback_seconds_ms(c, "DialCallDuration") };

    /* In the room, with somebody the agent had called in. */
    if (leg && leg->move.consult && leg->move.state == MOVE_BRIDGED)
        e.outcome = "transferred";
    record_ended(r, ref, &e);
    if (leg)
        transfer_caller_left(r, leg);
}

/* A Dial's result under way; owns what it has read. */
struct result {
    struct router *r;
    struct pat_httpd_req *http;
    struct carrier_req c;
    struct callref ref;
};

static void leg_result(struct router *r, struct pat_httpd_req *http, const struct carrier_req *c,
                       const struct callref *ref, const struct leg *leg)
{
    const char *failure = leg_failure(c);

    lifecycle_dialled(r, c, ref, ref->stack ? LEGS_STACK : LEGS_TRANSFER,
                      failure ? failure : ends_of_dial(c, leg)->word);
    if (!failure && caller_gave_up(c)) {
        record_ended(r, ref, &(struct record_end){ .reason = "caller_gave_up" });
        callback_hangup(r, http, c->form);
    } else if (!failure) {
        end_served(r, c, ref, leg);
        callback_hangup(r, http, c->form);
    } else {
        struct serve s = { .ref = *ref, .form = c->form, .failed_over = failure };

        s.started_us = pat_now_us();
        pat_log(PAT_WARN, "call.leg_failed", PAT_S("call", ref->call.s),
                PAT_S("stack", stack_name(ref->stack)), PAT_S("why", failure),
                PAT_S("sip_code", carrier_param(c, "DialSipResponseCode")));
        if (ref->stack) /* a phone that nobody answers is nobody's fault */
            health_leg_failed(r, ref->stack, failure, carrier_param(c, "DialSipResponseCode"));
        serve_call(r, http, &s, routes_find(r->routes, ref->to));
    }
}

/* The leg ended because we moved its caller elsewhere, which is neither a failure of the stack nor
 * the call's end. */
static bool was_moved(const struct leg *leg, const struct callref *ref)
{
    return leg->ref.moves > ref->moves && !(leg->move.n == leg->ref.moves && leg->move.consult);
}

static void reply_moved(struct router *r, struct pat_httpd_req *http, enum carrier_form form)
{
    struct pat_buf doc;

    pat_buf_init(&doc, DOCUMENT_MAX);
    carrier_answer(
        r, http, form,
        form == CARRIER_SWML ? swml_wait(&doc, MOVED_WAIT_S) : cxml_wait(&doc, MOVED_WAIT_S), &doc);
    pat_buf_fini(&doc);
}

static void on_leg_found(const struct leg *leg, void *arg)
{
    struct result *w = arg;

    if (was_moved(leg, &w->ref)) {
        pat_log(PAT_INFO, "call.leg_moved", PAT_S("call", w->ref.call.s),
                PAT_S("stack", stack_name(w->ref.stack)));
        lifecycle_dialled(w->r, &w->c, &w->ref, LEGS_STACK, "transferred");
        reply_moved(w->r, w->http, w->c.form);
    } else {
        leg_result(w->r, w->http, &w->c, &w->ref, leg);
    }
    carrier_fini(&w->c);
    free(w);
}

static void on_dial(struct pat_httpd_req *http, void *arg)
{
    struct result w = { .r = arg, .http = http }, *kept;

    if (callback_read(&w.c, &w.ref, w.r, http))
        return;
    if (rest_configured(w.r)) {
        kept = malloc(sizeof *kept);
        if (kept) {
            *kept = w;
            if (!leg_find(w.r, w.ref.call.s, MOVED_MS, on_leg_found, kept))
                return;
        }
        free(kept);
    }
    leg_result(w.r, http, &w.c, &w.ref, NULL);
    carrier_fini(&w.c);
}

/* SWML tells how the dialled leg ends here. It matters when the caller left: then no next step
 * runs, and nobody asks on_dial. Everything else on_dial hears as well. */
static void on_state_found(const struct leg *leg, void *arg)
{
    struct result *w = arg;
    const char *reason = carrier_param(&w->c, "params.end_reason");
    bool gave_up = reason && !strcmp(reason, "cancel");

    if (!was_moved(leg, &w->ref)) {
        record_ended(w->r, &w->ref,
                     gave_up ? &(struct record_end){ .reason = "caller_gave_up" }
                             : &(struct record_end){ .reason = ends_of_dial(&w->c, leg)->word,
                                                     .outcome = "answered",
                                                     .talk_ms = -1 });
        transfer_caller_left(w->r, leg);
    }
    pat_httpd_reply(w->http, 204, NULL, NULL, 0);
    carrier_fini(&w->c);
    free(w);
}

static void on_leg_state(struct pat_httpd_req *http, void *arg)
{
    struct result w = { .r = arg, .http = http }, *kept;
    const char *state, *reason;

    if (callback_read(&w.c, &w.ref, w.r, http))
        return;
    state = carrier_param(&w.c, "params.call_state");
    reason = carrier_param(&w.c, "params.end_reason");
    if (state && !strcmp(state, "ended") && reason &&
        (!strcmp(reason, "hangup") || !strcmp(reason, "cancel"))) {
        kept = malloc(sizeof *kept);
        if (kept) {
            *kept = w;
            if (!leg_find(w.r, w.ref.call.s, MOVED_MS, on_state_found, kept))
                return;
        }
        free(kept);
        pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "try again");
    } else {
        pat_httpd_reply(http, 204, NULL, NULL, 0);
    }
    carrier_fini(&w.c);
}

int dial_routes(struct router *r)
{
    int err = pat_httpd_route(r->httpd, "POST", "/v1/signalwire/dial/{call}", 0, on_dial, r);

    return err ? err
               : pat_httpd_route(r->httpd, "POST", "/v1/signalwire/leg/{call}", 0, on_leg_state, r);
}
