/* after.c - what comes after the first answer: Dial results, call status and the fallback document.
 *
 * Each names its call by the signed token in its own URL, so any replica can answer; only the
 * number-level status callback, whose URL is the same for all calls, has to look its call up in
 * Postgres.
 */
#include "callback.h"
#include "document.h"
#include "leg.h"
#include "record.h"
#include "rest.h"
#include "routes.h"
#include "serve.h"
#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_TIMEOUT_MS 4000
#define LOOK_AGAIN_MS     200
#define MOVED_MS          1500
#define MOVED_WAIT_S      5

/* ------------------------------------------------------------------ Dial result */

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
    const char *by = carrier_param(c, "HangupBy");
    struct record_end e = { "completed", by && !strcmp(by, "caller") ? "caller" : "us", "answered",
                            callback_seconds_ms(c, "DialCallDuration") };

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

    if (!failure && caller_gave_up(c)) {
        record_ended(r, ref, &(struct record_end){ "caller_gave_up", "caller", "failed", 0 });
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
        pat_breaker_failure(ref->stack == STACK_RETELL ? &r->retell : &r->livekit, pat_now_ms());
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
                     gave_up ? &(struct record_end){ "caller_gave_up", "caller", "failed", 0 }
                             : &(struct record_end){ "completed", "us", "answered", -1 });
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

/* ------------------------------------------------------------------ call status */

struct status {
    struct router *r;
    struct pat_httpd_req *http;
    struct record_end end;
    char carrier_call[CALLREF_ID_MAX + 1];
    int64_t deadline_ms;
    struct pat_timer again;
};

static void status_free(struct status *s)
{
    pat_timer_fini(&s->again);
    free(s);
}

static int status_end(const struct carrier_req *c, struct record_end *e)
{
    static const struct {
        const char *status;
        struct record_end end;
    } table[] = {
        { "completed", { "completed", "caller", "answered", -1 } },
        { "canceled", { "caller_gave_up", "caller", "failed", 0 } },
        { "failed", { "failed", "carrier", "failed", 0 } },
        { "busy", { "busy", "carrier", "failed", 0 } },
        { "no-answer", { "no_answer", "carrier", "failed", 0 } },
        /* SWML: end_reason of the state "ended" */
        { "hangup", { "completed", "caller", "answered", -1 } },
        { "cancel", { "caller_gave_up", "caller", "failed", 0 } },
        { "no_answer", { "no_answer", "carrier", "failed", 0 } },
        { "declined", { "declined", "carrier", "failed", 0 } },
        { "error", { "failed", "carrier", "failed", 0 } },
    };
    const char *status = carrier_param(c, "CallStatus");

    if (c->form == CARRIER_SWML)
        status = strcmp(pat_json_str_or(c->json, "params.call_state", ""), "ended")
                     ? NULL
                     : pat_json_str_or(c->json, "params.end_reason", "hangup");

    for (size_t i = 0; status && i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(status, table[i].status)) {
            *e = table[i].end;
            return PAT_OK;
        }
    return PAT_ENOENT; /* "ringing", "in-progress": nothing we need to be told */
}

static void read_ref(struct callref *c, const struct pat_db_result *row)
{
    const char *retell = pat_db_get(row, 0, "retell_call_id"),
               *config = pat_db_get(row, 0, "agent_config_id");
    const char *from = pat_db_get(row, 0, "from_number"), *to = pat_db_get(row, 0, "to_number");
    const char *stack = pat_db_get(row, 0, "stack");

    pat_strcpy(c->call.s, sizeof c->call.s, pat_db_get(row, 0, "id"));
    pat_strcpy(c->user, sizeof c->user, pat_db_get(row, 0, "user_id"));
    pat_strcpy(c->carrier_call, sizeof c->carrier_call, pat_db_get(row, 0, "carrier_call_id"));
    pat_strcpy(c->agent_config, sizeof c->agent_config, config ? config : "");
    pat_strcpy(c->retell_call, sizeof c->retell_call, retell ? retell : "");
    pat_strcpy(c->from, sizeof c->from, from ? from : "");
    pat_strcpy(c->to, sizeof c->to, to ? to : "");
    c->stack = stack_parse(stack ? stack : "");
    c->tried = 1u << c->stack;
    c->config_version = strtoll(pat_db_get(row, 0, "config_version"), NULL, 10);
    c->offered_ms = strtoll(pat_db_get(row, 0, "offered_ms"), NULL, 10);
}

static void on_found(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct status *s = arg;
    struct callref ref = { 0 };

    (void)n;
    if (!err && !pat_db_rows(results[0]) && pat_journal_pending(s->r->journal) &&
        pat_now_ms() + LOOK_AGAIN_MS < s->deadline_ms) {
        pat_timer_start(&s->again, LOOK_AGAIN_MS); /* its row may be on its way */
        return;
    }
    if (err) {
        /* Not stored: let the carrier ask again. */
        pat_httpd_reply_error(s->http, PAT_EUNAVAIL, NULL, "try again");
    } else {
        if (pat_db_rows(results[0])) {
            read_ref(&ref, results[0]);
            /* "completed" means that something answered, a voicemail's greeting as well. */
            if (!strcmp(s->end.outcome, "answered") &&
                strcmp(pat_db_get(results[0], 0, "state"), "answered"))
                s->end.outcome = NULL;
            record_ended(s->r, &ref, &s->end);
        }
        pat_httpd_reply(s->http, 204, NULL, NULL, 0);
    }
    status_free(s);
}

static int find_open_call(struct status *s)
{
    static const char sql[] =
        "select id, user_id, agent_config_id, carrier_call_id, retell_call_id, from_number, to_number, stack, state, "
        "coalesce(config_version, 0) as config_version, "
        "floor(extract(epoch from offered_at) * 1000)::bigint as offered_ms "
        "from patchbay.calls where carrier_call_id = $1 and state <> 'ended' order by offered_at desc limit 1";
    const char *params[] = { s->carrier_call };

    return pat_db_run1(s->r->d->db, "call_by_carrier_id", sql, params, 1,
                       s->deadline_ms - pat_now_ms(), on_found, s, NULL);
}

static void look_again(void *arg)
{
    struct status *s = arg;
    int err = find_open_call(s);

    if (!err)
        return;
    pat_httpd_reply_error(s->http, PAT_EUNAVAIL, NULL, "try again");
    status_free(s);
}

static int status_start(struct router *r, const struct carrier_req *c, const struct record_end *end)
{
    struct status *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return PAT_ENOMEM;
    s->r = r;
    s->http = c->http;
    s->end = *end;
    s->deadline_ms = pat_now_ms() + STATUS_TIMEOUT_MS;
    (void)pat_strcpy(s->carrier_call, sizeof s->carrier_call, c->call_id);
    err = pat_timer_init(&s->again, r->d->loop, look_again, s);
    if (!err)
        err = find_open_call(s);
    if (err) {
        status_free(s);
        return err;
    }
    return PAT_OK;
}

static void on_status(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    struct record_end end;
    struct carrier_req c;
    int err;

    if (carrier_read(&c, r, http, false))
        return;
    err = *c.call_id ? status_end(&c, &end) : PAT_ENOENT;
    if (err) {
        pat_httpd_reply(http, 204, NULL, NULL, 0);
        goto out;
    }
    if (end.talk_ms < 0)
        end.talk_ms = callback_seconds_ms(&c, "CallDuration");
    err = status_start(r, &c, &end);
    if (err)
        pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "try again");
out:
    carrier_fini(&c);
}

/* ------------------------------------------------------------------ fallback */

/* The end of the line, when the main URL failed: a message is taken whatever else is broken.
 * Nothing is looked up; the call's reference is rebuilt from the request, and when the number is
 * known the message finds its user. */
static void on_fallback(struct pat_httpd_req *http, void *arg)
{
    struct router *r = arg;
    struct serve s = { .started_us = pat_now_us() };
    char from[NUMBER_MAX], to[NUMBER_MAX];
    const struct route *route;
    struct carrier_req c;
    const char *field;

    if (carrier_read(&c, r, http, false))
        return;
    s.form = c.form;
    if (carrier_check(&c, from, to, &field) || !(route = routes_find(r->routes, to)) ||
        !route->active) {
        callback_hangup(r, http, c.form);
        goto out;
    }
    s.ref.call = pat_id_new();
    s.ref.offered_ms = pat_unix_ms();
    s.ref.config_version = route->version;
    s.ref.tried = 1u << STACK_RETELL | 1u << STACK_LIVEKIT;
    pat_strcpy(s.ref.carrier_call, sizeof s.ref.carrier_call, c.call_id);
    pat_strcpy(s.ref.user, sizeof s.ref.user, route->user);
    pat_strcpy(s.ref.agent_config, sizeof s.ref.agent_config, route->agent_config);
    pat_strcpy(s.ref.from, sizeof s.ref.from, from);
    pat_strcpy(s.ref.to, sizeof s.ref.to, to);
    pat_log(PAT_WARN, "call.fallback_asked", PAT_S("call", s.ref.call.s),
            PAT_S("carrier_call", c.call_id), PAT_S("error_code", carrier_param(&c, "ErrorCode")));
    serve_call(r, http, &s, route);
out:
    carrier_fini(&c);
}

int after_routes(struct router *r)
{
    static const struct {
        const char *method, *path;
        pat_httpd_fn *fn;
    } table[] = {
        { "POST", "/v1/signalwire/dial/{call}", on_dial },
        { "POST", "/v1/signalwire/leg/{call}", on_leg_state },
        { "POST", "/v1/signalwire/status", on_status },
        { "POST", "/v1/signalwire/fallback", on_fallback },
        { "GET", "/v1/signalwire/fallback", on_fallback },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        int err = pat_httpd_route(r->httpd, table[i].method, table[i].path, 0, table[i].fn, r);

        if (err)
            return err;
    }
    return PAT_OK;
}
