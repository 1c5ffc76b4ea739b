/* transfer_http.c - what the carrier asks and tells about transfers: see transfer.h.
 *
 *   /transfer      the redirected caller's document: dial the number
 *   /transferred   that leg has ended, or nobody took it: the end, or back to the agent; or that
 *                  word was lost with its router (transfer_lost)
 *   /transfer-status  how the other phone's leg goes
 *   /whisper, /accept  what the other side hears first, and the key it pressed
 *   /consult    somebody took the other phone: into the room of the transfer
 *   /consulted  out of it: on to the caller's room when he wants them, else the end
 *   /joined     and out of that one
 */
#include "dial_ask.h"
#include "lifecycle.h"
#include "record.h"
#include "rest.h"
#include "routes.h"
#include "serve.h"
#include "transfer.h"

#include "document.h"

#include <stdlib.h>
#include <string.h>

#define URL_MAX 4096
#define FIND_MS 1000
#define END_MS  3000
#define TOLD_MS 1500

/* A request under way; owns what it has read. */
struct visit {
    struct router *r;
    struct pat_httpd_req *http;
    struct carrier_req c;
    struct callref ref;
    struct transfer t;
    const char *status; /* as outcomes[] names it */
    bool lost;          /* asked at the fallback address: nothing of what the action says is here */
};

/* On failure it has replied. */
static int visit_read(struct visit *v, struct router *r, struct pat_httpd_req *http)
{
    const char *x = pat_httpd_query_param(http, "x");
    int err;

    *v = (struct visit){ .r = r, .http = http };
    err = callback_read(&v->c, &v->ref, r, http);
    if (err)
        return err;
    err = x ? transfer_parse(&v->t, r->conf->call_secret, v->ref.call.s, x) : PAT_EAUTH;
    if (!err)
        return PAT_OK;
    pat_log(PAT_WARN, "carrier.refused", PAT_S("path", pat_httpd_path(http)), PAT_S("field", "x"),
            PAT_S("why", "token missing or not ours"));
    pat_httpd_reply_error(http, PAT_EPERM, "x", "missing or wrong");
    carrier_fini(&v->c);
    return PAT_EPERM;
}

static struct visit *visit_keep(const struct visit *v)
{
    struct visit *kept = malloc(sizeof *kept);

    if (kept)
        *kept = *v;
    return kept;
}

static void visit_free(struct visit *v)
{
    carrier_fini(&v->c);
    free(v);
}

static void note_state(struct visit *v, enum move_state state)
{
    struct move m = { .n = v->t.attempt,
                      .kind = MOVE_TRANSFER,
                      .state = state,
                      .consult = v->t.how == TRANSFER_CONSULT };

    memcpy(m.id, v->t.id, sizeof m.id);
    number_mask(m.to, v->t.to);
    pat_strcpy(m.label, sizeof m.label, v->t.label);
    if (m.consult)
        pat_strcpy(m.leg, sizeof m.leg, v->c.call_id);
    m.until_ms = pat_unix_ms() + (v->t.timeout_s + 90) * 1000;
    if (state == MOVE_BRIDGED)
        m.until_ms = pat_unix_ms() + v->r->conf->max_call_s * 1000;
    leg_moved(v->r, v->ref.call.s, &m);
}

/* ------------------------------------------------------------------ documents */

static int url(struct pat_buf *out, struct visit *v, const char *path)
{
    pat_buf_init(out, URL_MAX);
    return transfer_url(out, v->r, path, &v->ref, &v->t);
}

static int write_phone(struct visit *v, struct pat_buf *doc)
{
    const struct router_conf *conf = v->r->conf;
    bool pass_on = !strcmp(conf->transfer_caller_id, "caller") && *v->ref.from;
    struct pat_buf action, status, whisper;
    int err = url(&action, v, "/v1/signalwire/transferred/");
    int err2 = url(&status, v, "/v1/signalwire/transfer-status/");
    int err3 = url(&whisper, v, "/v1/signalwire/whisper/");
    struct dial_phone d = { .conf = conf,
                            .number = v->t.to,
                            .caller_id = pass_on ? v->ref.from : v->ref.to,
                            .timeout_s = v->t.timeout_s,
                            .action_url = action.data,
                            .status_url = status.data,
                            .whisper_url = v->t.how == TRANSFER_WHISPER ? whisper.data : NULL };

    err = err ? err : err2 ? err2 : err3;
    if (!err)
        err = v->c.form == CARRIER_SWML ? swml_dial_phone(doc, &d) : cxml_dial_phone(doc, &d);
    pat_buf_fini(&action);
    pat_buf_fini(&status);
    pat_buf_fini(&whisper);
    return err;
}

static int write_whisper(struct visit *v, struct pat_buf *doc)
{
    char text[TRANSFER_BRIEFING_MAX + 64];
    struct pat_buf accept;
    int err = url(&accept, v, "/v1/signalwire/accept/");

    snprintf(text, sizeof text, "%s Press 1 to take the call.",
             *v->t.briefing ? v->t.briefing : "A call is being transferred to you.");
    if (!err)
        err = v->c.form == CARRIER_SWML ? swml_whisper(doc, text, accept.data)
                                        : cxml_whisper(doc, v->r->conf, text, accept.data);
    pat_buf_fini(&accept);
    return err;
}

/* The role is signed apart from the context, which an agent of the call's knows already. */
static int add_role(struct pat_buf *sip, struct visit *v, const char *role)
{
    struct pat_buf sig, text;
    int err;

    pat_buf_init(&sig, 64);
    pat_buf_init(&text, 256);
    pat_buf_addf(&text, "%s|%s|%s", v->ref.call.s, role, v->t.id);
    err = text.err ? text.err : pat_sign_short(&sig, v->r->conf->call_secret, "role", text.data);
    if (!err)
        err = pat_buf_addf(sip, "&X-Pat-Role=%s&X-Pat-Transfer=%s&X-Pat-Role-Sig=%s", role, v->t.id,
                           sig.data);
    pat_buf_fini(&sig);
    pat_buf_fini(&text);
    return err;
}

/* Into a room: the transfer's, or the call's. He is shown there with his own number: LiveKit takes
 * two with the same one for the same. */
static int write_room(struct visit *v, struct pat_buf *doc, bool join)
{
    struct pat_buf action, sip;
    struct dial d = { .conf = v->r->conf, .ref = &v->ref, .caller_id = v->t.to };
    int err = url(&action, v, join ? "/v1/signalwire/joined/" : "/v1/signalwire/consulted/");

    v->ref.stack = STACK_LIVEKIT;
    pat_buf_init(&sip, 2048);
    if (!err)
        err = document_room_uri(&sip, v->r->conf, &v->ref, join ? v->ref.call.s : v->t.id);
    if (!err)
        err = add_role(&sip, v, join ? "joined" : "consult");
    d.action_url = action.data;
    if (!err)
        err =
            v->c.form == CARRIER_SWML ? swml_dial(doc, &d, sip.data) : cxml_dial(doc, &d, sip.data);
    pat_buf_fini(&action);
    pat_buf_fini(&sip);
    return err;
}

static int write_consult(struct visit *v, struct pat_buf *doc)
{
    return write_room(v, doc, false);
}

static int write_join(struct visit *v, struct pat_buf *doc)
{
    return write_room(v, doc, true);
}

static void answer(struct visit *v, int (*write)(struct visit *v, struct pat_buf *doc))
{
    struct pat_buf doc;

    pat_buf_init(&doc, DOCUMENT_MAX);
    carrier_answer(v->r, v->http, v->c.form, write(v, &doc), &doc);
    pat_buf_fini(&doc);
}

static void on_transfer(struct pat_httpd_req *http, void *arg)
{
    struct visit v;

    if (visit_read(&v, arg, http))
        return;
    note_state(&v, MOVE_STARTED);
    answer(&v, write_phone);
    carrier_fini(&v.c);
}

static void on_whisper(struct pat_httpd_req *http, void *arg)
{
    struct visit v;

    if (visit_read(&v, arg, http))
        return;
    note_state(&v, MOVE_ANSWERED);
    transfer_tell(v.r, &v.ref, &v.t, "answered", NULL, v.c.call_id);
    answer(&v, write_whisper);
    carrier_fini(&v.c);
}

static int write_go_on(struct visit *v, struct pat_buf *doc)
{
    return v->c.form == CARRIER_SWML ? swml_go_on(doc) : cxml_go_on(doc);
}

static void on_accept(struct pat_httpd_req *http, void *arg)
{
    const char *key;
    struct visit v;

    if (visit_read(&v, arg, http))
        return;
    key = carrier_param(&v.c, v.c.form == CARRIER_SWML ? "vars.prompt_value" : "Digits");
    if (key && !strcmp(key, "1")) {
        note_state(&v, MOVE_BRIDGED);
        transfer_tell(v.r, &v.ref, &v.t, "accepted", NULL, v.c.call_id);
        transfer_tell(v.r, &v.ref, &v.t, "bridged", NULL, v.c.call_id);
        transfer_note_outcome(v.r, &v.ref);
        answer(&v, write_go_on);
    } else {
        callback_hangup(v.r, http, v.c.form);
    }
    carrier_fini(&v.c);
}

static void on_consult(struct pat_httpd_req *http, void *arg)
{
    struct visit v;

    if (visit_read(&v, arg, http))
        return;
    note_state(&v, MOVE_ANSWERED);
    transfer_tell(v.r, &v.ref, &v.t, "answered", NULL, v.c.call_id);
    answer(&v, write_consult);
    carrier_fini(&v.c);
}

static void on_consulted_found(const struct leg *leg, void *arg)
{
    struct visit *v = arg;

    if (leg->move.n == v->t.attempt && leg->move.state == MOVE_ACCEPTED && !leg->ended)
        answer(v, write_join);
    else
        callback_hangup(v->r, v->http, v->c.form);
    visit_free(v);
}

static void on_consulted(struct pat_httpd_req *http, void *arg)
{
    struct visit v, *kept;

    if (visit_read(&v, arg, http))
        return;
    kept = visit_keep(&v);
    if (kept && !leg_find(v.r, v.ref.call.s, FIND_MS, on_consulted_found, kept))
        return;
    free(kept);
    callback_hangup(v.r, http, v.c.form);
    carrier_fini(&v.c);
}

static void on_joined(struct pat_httpd_req *http, void *arg)
{
    struct visit v;

    if (visit_read(&v, arg, http))
        return;
    callback_hangup(v.r, http, v.c.form);
    carrier_fini(&v.c);
}

/* ------------------------------------------------------------------ how a leg goes */

/* The carrier's words, of both forms, as ours. NULL: one we do not know. */
static const char *outcome_of(const char *s)
{
    static const char *const table[][2] = {
        { "ringing", "ringing" },   { "in-progress", "answered" }, { "answered", "answered" },
        { "busy", "busy" },         { "no-answer", "no_answer" },  { "no_answer", "no_answer" },
        { "failed", "failed" },     { "error", "failed" },         { "declined", "refused" },
        { "canceled", "canceled" }, { "cancel", "canceled" },      { "completed", "completed" },
        { "hangup", "completed" },  { "connected", "completed" },
    };

    for (size_t i = 0; s && i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(s, table[i][0]))
            return table[i][1];
    return NULL;
}

static const char *leg_status(const struct carrier_req *c)
{
    const char *state;

    if (c->form != CARRIER_SWML)
        return outcome_of(carrier_param(c, "CallStatus"));
    state = carrier_param(c, "params.call_state");
    if (state && !strcmp(state, "ended"))
        state = carrier_param(c, "params.end_reason");
    return outcome_of(state);
}

/* The one who was consulted has gone. Had he taken the caller, the call is over; else the agent has
 * to hear of it. */
static void on_consult_found(const struct leg *leg, void *arg)
{
    struct visit *v = arg;
    bool his = leg->move.n == v->t.attempt;
    bool took = his && leg->move.state == MOVE_BRIDGED;

    if (took) {
        if (rest_end(v->r, v->ref.carrier_call, leg->form, END_MS, NULL, NULL))
            pat_log(PAT_WARN, "transfer.leg_left", PAT_S("call", v->ref.call.s));
        record_ended(v->r, &v->ref, &(struct record_end){ .reason = "transferred", .talk_ms = -1 });
    } else if (his && leg->move.state == MOVE_ACCEPTED) {
        transfer_tell(v->r, &v->ref, &v->t, "failed", "lost", v->c.call_id);
    } else if (!his || leg->move.state != MOVE_OVER) {
        transfer_tell(v->r, &v->ref, &v->t, strcmp(v->status, "completed") ? v->status : "refused",
                      NULL, v->c.call_id);
    }
    note_state(v, MOVE_OVER);
    pat_httpd_reply(v->http, 204, NULL, NULL, 0);
    visit_free(v);
}

static void consult_ended(struct visit *v)
{
    struct visit *kept = visit_keep(v);

    if (!strcmp(v->status, "canceled"))
        v->status = "failed";
    if (kept)
        kept->status = v->status;
    if (kept && !leg_find(v->r, v->ref.call.s, FIND_MS, on_consult_found, kept))
        return;
    free(kept);
    pat_httpd_reply_error(v->http, PAT_EUNAVAIL, NULL, "try again");
    carrier_fini(&v->c);
}

static void on_status(struct pat_httpd_req *http, void *arg)
{
    struct visit v;

    if (visit_read(&v, arg, http))
        return;
    v.status = leg_status(&v.c);
    lifecycle_phone(v.r, &v.c, &v.ref, v.t.how == TRANSFER_CONSULT ? LEGS_CONSULT : LEGS_TRANSFER);
    if (v.status && !strcmp(v.status, "ringing")) {
        transfer_tell(v.r, &v.ref, &v.t, "ringing", NULL, v.c.call_id);
    } else if (v.status && !strcmp(v.status, "answered")) {
        note_state(&v, v.t.how == TRANSFER_COLD ? MOVE_BRIDGED : MOVE_ANSWERED);
        transfer_tell(v.r, &v.ref, &v.t, "answered", NULL, v.c.call_id);
        if (v.t.how == TRANSFER_COLD) {
            transfer_tell(v.r, &v.ref, &v.t, "bridged", NULL, v.c.call_id);
            transfer_note_outcome(v.r, &v.ref);
        }
    } else if (v.status && v.t.how == TRANSFER_CONSULT) {
        consult_ended(&v);
        return;
    }
    pat_httpd_reply(http, 204, NULL, NULL, 0);
    carrier_fini(&v.c);
}

/* ------------------------------------------------------------------ the other leg has ended */

/* Nobody took the caller: he goes back to where he was, with the same call id. */
static void go_back(struct visit *v, const char *outcome)
{
    struct serve s = { .ref = v->ref,
                       .form = v->c.form,
                       .returned = outcome,
                       .transfer_take = malloc(sizeof v->t),
                       .started_us = pat_now_us() };

    if (s.transfer_take)
        *s.transfer_take = v->t;
    s.ref.tried = 0;
    s.ref.moves = v->t.attempt;
    note_state(v, MOVE_OVER);
    transfer_tell(v->r, &v->ref, &v->t, outcome, NULL, carrier_param(&v->c, "DialCallSid"));
    serve_call(v->r, v->http, &s, routes_find(v->r->routes, v->ref.to));
}

static void end_transferred(struct visit *v, bool by_caller)
{
    if (v->t.how == TRANSFER_COLD) { /* the word that somebody answered may have been lost */
        transfer_tell(v->r, &v->ref, &v->t, "answered", NULL, NULL);
        transfer_tell(v->r, &v->ref, &v->t, "bridged", NULL, NULL);
    }
    note_state(v, MOVE_OVER);
    record_ended(v->r, &v->ref,
                 &(struct record_end){ .reason = by_caller ? "caller_hangup" : "transferred",
                                       .outcome = "transferred",
                                       .talk_ms = -1 });
    callback_hangup(v->r, v->http, v->c.form);
}

static void end_given_up(struct visit *v)
{
    note_state(v, MOVE_OVER);
    transfer_tell(v->r, &v->ref, &v->t, "failed", "caller_gave_up", NULL);
    record_ended(v->r, &v->ref, &(struct record_end){ .reason = "caller_hangup", .talk_ms = -1 });
    callback_hangup(v->r, v->http, v->c.form);
}

static bool caller_hung_up(const struct visit *v)
{
    const char *by = carrier_param(&v->c, "HangupBy");
    const char *call = v->lost ? carrier_param(&v->c, "CallStatus") : NULL;

    return (by && !strcmp(by, "caller")) || (call && !strcmp(call, "completed"));
}

/* By our own mark: that a whispered call was answered says nothing about whether it was taken. Not
 * taken, v->status says what became of it. */
static void on_mark_found(const struct leg *leg, void *arg)
{
    struct visit *v = arg;

    if (leg->move.n == v->t.attempt && leg->move.state == MOVE_BRIDGED)
        end_transferred(v, caller_hung_up(v));
    else if (caller_hung_up(v))
        end_given_up(v);
    else
        go_back(v, v->status);
    visit_free(v);
}

/* otherwise: the outcome when nobody has taken the caller. Ends what v has, or hands it on. */
static void judge_by_mark(struct visit *v, const char *otherwise)
{
    struct visit *kept;

    v->status = otherwise;
    kept = visit_keep(v);
    if (kept && !leg_find(v->r, v->ref.call.s, FIND_MS, on_mark_found, kept))
        return;
    free(kept);
    go_back(v, "failed");
    carrier_fini(&v->c);
}

/* Ends what v has, or hands it on. */
static void judge(struct visit *v, const char *status)
{
    if (!strcmp(status, "canceled")) {
        end_given_up(v);
    } else if (strcmp(status, "completed") && strcmp(status, "answered")) {
        go_back(v, status);
    } else if (v->t.how == TRANSFER_COLD) {
        end_transferred(v, caller_hung_up(v));
    } else {
        judge_by_mark(v, "refused");
        return;
    }
    carrier_fini(&v->c);
}

static void on_transferred(struct pat_httpd_req *http, void *arg)
{
    bool swml;
    const char *status;
    struct visit v;

    if (visit_read(&v, arg, http))
        return;
    swml = v.c.form == CARRIER_SWML;
    status = carrier_param(&v.c, swml ? "vars.connect_result" : "DialCallStatus");
    if (swml && status && !strcmp(status, "failed") &&
        carrier_param(&v.c, "vars.connect_failed_reason"))
        status = carrier_param(&v.c, "vars.connect_failed_reason");
    status = outcome_of(status);
    if (!status)
        status = "failed";
    lifecycle_dialled(v.r, &v.c, &v.ref, LEGS_TRANSFER, status);
    judge(&v, status);
}

/* ------------------------------------------------------------------ that word was lost */

static void on_told(const struct dial_told *told, void *arg)
{
    struct visit *v = arg;
    /* The newest leg is the stack's where the transfer's Dial came to none. */
    bool his = told->known && !strcmp(told->to, v->t.to);
    const char *status = his ? outcome_of(told->status) : NULL;

    pat_log(PAT_INFO, "transfer.result_lost", PAT_S("call", v->ref.call.s),
            PAT_S("status", status));
    if (status) {
        dial_told_note(v->r, &v->ref, told, LEGS_TRANSFER, status);
        judge(v, status);
    } else {
        judge_by_mark(v, "failed");
    }
    free(v);
}

/* Of the address the carrier names. */
static bool read_lost(struct transfer *t, const struct router *r, const struct callref *ref,
                      const char *url)
{
    char token[TRANSFER_TOKEN_MAX + 1];

    return callback_url_part(token, sizeof token, url, "&x=") &&
           !transfer_parse(t, r->conf->call_secret, ref->call.s, token);
}

bool transfer_lost(struct router *r, struct carrier_req *c, const struct callref *ref)
{
    struct visit v = { .r = r, .http = c->http, .c = *c, .ref = *ref, .lost = true };
    struct visit *kept;

    if (!read_lost(&v.t, r, ref, carrier_param(c, "ErrorUrl")))
        return false;
    kept = visit_keep(&v);
    if (kept && !dial_ask(r, ref->carrier_call, TOLD_MS, on_told, kept))
        return true;
    free(kept);
    judge_by_mark(&v, "failed");
    return true;
}

int transfer_routes(struct router *r)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v1/signalwire/transfer/{call}", 0, on_transfer },
        { "POST", "/v1/signalwire/transferred/{call}", 0, on_transferred },
        { "POST", "/v1/signalwire/transfer-status/{call}", 0, on_status },
        { "POST", "/v1/signalwire/whisper/{call}", 0, on_whisper },
        { "POST", "/v1/signalwire/accept/{call}", 0, on_accept },
        { "POST", "/v1/signalwire/consult/{call}", 0, on_consult },
        { "POST", "/v1/signalwire/consulted/{call}", 0, on_consulted },
        { "POST", "/v1/signalwire/joined/{call}", 0, on_joined },
        { 0 },
    };

    return pat_httpd_routes(r->httpd, routes, r);
}
