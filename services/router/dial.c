/* dial.c - how a dialled leg ended: the Dial action of cXML, the states of SWML's connect.
 *
 * Each names its call by the signed token in its own URL, so any replica can answer. What the
 * carrier's words mean says dial_words.h, whether an answered leg has ended or died redial.h. To go
 * on elsewhere is a move of the call (leg.h), claimed before it is answered: a request that comes
 * twice, and the router that watches (watch.h), find it.
 */
#include "dial.h"

#include "callback.h"
#include "dial_ask.h"
#include "dial_words.h"
#include "document.h"
#include "ends.h"
#include "health.h"
#include "leg.h"
#include "lifecycle.h"
#include "record.h"
#include "redial.h"
#include "routes.h"
#include "serve.h"
#include "transfer.h"
#include "watch.h"

#include <stdlib.h>
#include <string.h>

#define MOVED_MS     1500
#define MOVED_WAIT_S 5
#define CLAIM_MS     400
/* Another one is answering the same request: its answer is waited for, and then given. */
#define AGAIN_MS    300
#define AGAIN_TRIES 8
#define MOVE_MS     10000 /* a claimed step is done, or its router is dead */
/* An answer that is on its way at a router that is alive; mostly it is dead. */
#define LOST_TRIES 3
#define TOLD_MS    1500
/* SWML tells the leg's end before it asks how to go on; when it does not ask, the caller left. */
#define STATE_MS 3000

static void end_served(struct router *r, const struct carrier_req *c, const struct callref *ref,
                       const struct leg *leg, int64_t talk_ms)
{
    struct record_end e = { .reason = ends_of_dial(c, leg)->word,
                            .outcome = "answered",
                            .talk_ms = talk_ms };

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
    struct leg leg;
    const char *why; /* constant: why the caller goes on elsewhere */
    int sip_code;
    bool redial;
    bool lost;             /* its words did not arrive: the carrier asks the fallback address */
    bool asked;            /* of lost: the carrier has been asked for them */
    struct dial_told told; /* what it said */
    int tries;
    struct pat_timer again;
};

static void result_free(struct result *w)
{
    pat_timer_fini(&w->again);
    carrier_fini(&w->c);
    free(w);
}

/* The leg's own row. why: a constant; one that is no word of the list is not noted. */
static void note_leg(struct result *w, const char *why)
{
    enum legs_kind kind = w->ref.stack ? LEGS_STACK : LEGS_TRANSFER;

    if (w->told.known)
        dial_told_note(w->r, &w->ref, &w->told, kind, why);
    else
        lifecycle_dialled(w->r, &w->c, &w->ref, kind, why);
}

/* ------------------------------------------------------------------ going on */

/* Names the dialled leg among those of its call; SWML's requests do not. */
static const char *leg_id(const struct result *w)
{
    const char *sid = w->told.known ? w->told.leg : carrier_param(&w->c, "DialCallSid");

    return sid && *sid ? sid : "-";
}

static void look(struct result *w);

static void on_claimed(int err, void *arg)
{
    struct result *w = arg;
    struct serve s = { .ref = w->ref,
                       .form = w->c.form,
                       .failed_over = w->why,
                       .sip_code = w->sip_code,
                       .redial = w->redial,
                       .started_us = pat_now_us() };

    if (err) { /* somebody was first: the same request's other copy, or who watched */
        look(w);
        return;
    }
    s.ref.moves = w->leg.ref.moves + 1;
    transfer_caller_left(w->r, &w->leg); /* a colleague who was asked has lost his caller */
    transfer_note_moved(w->r, &w->ref, s.ref.moves);
    serve_call(w->r, w->http, &s, routes_find(w->r->routes, w->ref.to));
    result_free(w);
}

static void go_on(struct result *w, const char *why, bool redial)
{
    struct move m = { .n = w->leg.ref.moves + 1,
                      .kind = MOVE_FALLBACK,
                      .state = MOVE_STARTED,
                      .until_ms = pat_unix_ms() + MOVE_MS };

    w->why = why;
    w->redial = redial;
    pat_strcpy(m.leg, sizeof m.leg, leg_id(w));
    pat_strcpy(w->leg.ref.call.s, sizeof w->leg.ref.call.s, w->ref.call.s);
    if (leg_claim(w->r, &w->leg, &m, CLAIM_MS, on_claimed, w))
        on_claimed(PAT_OK, w); /* better twice than not at all */
}

static void lost(struct result *w, const char *why)
{
    bool again = w->ref.redials < (unsigned)w->r->conf->redials;

    note_leg(w, "unreachable");
    pat_log(PAT_WARN, "call.leg_lost", PAT_S("call", w->ref.call.s),
            PAT_S("stack", stack_name(w->ref.stack)), PAT_S("why", why),
            PAT_I("redials", w->ref.redials), PAT_B("again", again));
    health_outcome(w->r, w->ref.stack, false, why);
    go_on(w, why, again);
}

static void failed(struct result *w, const struct dial_result *res)
{
    note_leg(w, res->why);
    pat_log(PAT_WARN, "call.leg_failed", PAT_S("call", w->ref.call.s),
            PAT_S("stack", stack_name(w->ref.stack)), PAT_S("why", res->why),
            PAT_I("sip_code", w->sip_code), PAT_B("stacks", res->blame == BLAME_STACK));
    if (w->ref.stack && res->blame == BLAME_STACK)
        health_leg_failed(w->r, w->ref.stack, res->why,
                          carrier_param(&w->c, "DialSipResponseCode"));
    go_on(w, res->why, false);
}

/* ------------------------------------------------------------------ the end */

static void end(struct result *w)
{
    note_leg(w, ends_of_dial(&w->c, &w->leg)->word);
    end_served(w->r, &w->c, &w->ref, &w->leg,
               w->told.known ? w->told.talk_ms : callback_seconds_ms(&w->c, "DialCallDuration"));
    callback_hangup(w->r, w->http, w->c.form);
    result_free(w);
}

static void on_judged(const char *why, const struct leg *leg, void *arg)
{
    struct result *w = arg;

    w->leg = *leg;
    if (!why) {
        end(w);
    } else if (strcmp(why, REDIAL_GAVE_UP)) {
        lost(w, why);
    } else {
        note_leg(w, leg->end->word);
        go_on(w, why, false);
    }
}

static void over(struct result *w)
{
    /* A telephone's end is the call's. */
    if (!w->ref.stack || redial_judge(w->r, &w->ref, &w->leg, on_judged, w))
        end(w);
}

static void judge(struct result *w, const struct dial_words *words)
{
    struct dial_result res = dial_judge(words);

    w->sip_code = words->sip_code;
    switch (res.end) {
    case DIAL_GAVE_UP:
        note_leg(w, "caller_gave_up");
        record_ended(w->r, &w->ref, &(struct record_end){ .reason = "caller_gave_up" });
        callback_hangup(w->r, w->http, w->c.form);
        result_free(w);
        break;
    case DIAL_CALLER_LEFT:
        end(w);
        break;
    case DIAL_OVER:
        over(w);
        break;
    case DIAL_BROKE:
        lost(w, res.why);
        break;
    case DIAL_FAILED:
        failed(w, &res);
        break;
    }
}

/* ------------------------------------------------------------------ lost words */

static bool was_served(const struct leg *leg)
{
    return leg->answered || leg->end; /* its mark says only that an agent waits for it */
}

static void leg_result(struct result *w);

static void on_told(const struct dial_told *told, void *arg)
{
    struct result *w = arg;

    w->told = *told;
    leg_result(w);
}

/* False: they are with the request after all, or nobody can be asked. */
static bool ask_words(struct result *w)
{
    if (w->asked || carrier_param(&w->c, "DialCallStatus"))
        return false;
    w->asked = true;
    return !dial_ask(w->r, w->ref.carrier_call, TOLD_MS, on_told, w);
}

/* The carrier does not know either: who served does, if anybody did. */
static void judge_without_words(struct result *w, const struct dial_words *words)
{
    if (words->hung_up_by || (words->call_status && !strcmp(words->call_status, "completed")))
        end(w);
    else if (w->ref.stack && was_served(&w->leg))
        over(w);
    else
        go_on(w, "router_failed", false);
}

static void leg_result(struct result *w)
{
    struct dial_words words = dial_words_of(&w->c, w->ref.stack);

    if (w->lost && ask_words(w))
        return;
    if (w->told.known) {
        words.status = w->told.status;
        words.sip_code = w->told.sip_code;
        words.talk_ms = w->told.talk_ms;
    }
    if (w->lost)
        pat_log(PAT_INFO, "call.dial_lost", PAT_S("call", w->ref.call.s),
                PAT_S("status", words.status), PAT_B("served", was_served(&w->leg)));
    if (w->lost && !words.status)
        judge_without_words(w, &words);
    else
        judge(w, &words);
}

/* ------------------------------------------------------------------ whose move it was */

/* What we asked of the carrier for this leg did not happen, or its router died before it could. */
static bool came_to_nothing(const struct move *m)
{
    if (m->kind == MOVE_FALLBACK && m->state == MOVE_ASKED)
        return pat_unix_ms() > m->until_ms;
    return m->kind != MOVE_TRANSFER && m->state == MOVE_OVER;
}

/* The leg ended because we moved its caller elsewhere, which is neither a failure of the stack nor
 * the call's end. */
static bool was_moved(const struct leg *leg, const struct callref *ref)
{
    const struct move *m = &leg->move;

    if (leg->ref.moves <= ref->moves)
        return false;
    if (m->n != leg->ref.moves)
        return true;
    return !m->consult && !(m->n == ref->moves + 1 && came_to_nothing(m));
}

/* By the very request we have before us: it came before. */
static bool by_this_result(const struct result *w)
{
    const struct move *m = &w->leg.move;

    return m->kind == MOVE_FALLBACK && m->n == w->ref.moves + 1 && *m->leg &&
           (w->lost || !strcmp(m->leg, leg_id(w)));
}

static bool has_its_answer(const struct result *w)
{
    const struct callref *now = &w->leg.ref, *ref = &w->ref;

    return *now->call.s && (now->redials > ref->redials || (now->tried & ~ref->tried));
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

static void once_more(struct result *w)
{
    if (has_its_answer(w)) {
        serve_again(w->r, w->http, &w->leg.ref, w->c.form, routes_find(w->r->routes, w->ref.to));
        result_free(w);
    } else if (w->tries++ < (w->lost ? LOST_TRIES : AGAIN_TRIES)) {
        pat_timer_start(&w->again, AGAIN_MS);
    } else {
        leg_result(w); /* who claimed it is gone */
    }
}

static void on_leg_found(const struct leg *leg, void *arg)
{
    struct result *w = arg;

    w->leg = *leg;
    if (!was_moved(leg, &w->ref)) {
        leg_result(w);
    } else if (by_this_result(w)) {
        once_more(w);
    } else {
        pat_log(PAT_INFO, "call.leg_moved", PAT_S("call", w->ref.call.s),
                PAT_S("stack", stack_name(w->ref.stack)));
        note_leg(w, "transferred");
        reply_moved(w->r, w->http, w->c.form);
        result_free(w);
    }
}

static void look(struct result *w)
{
    int err = w->lost ? leg_find_whole(w->r, w->ref.call.s, MOVED_MS, on_leg_found, w)
                      : leg_find(w->r, w->ref.call.s, MOVED_MS, on_leg_found, w);

    if (err)
        leg_result(w);
}

static void on_again(void *arg)
{
    look(arg);
}

/* NULL: it has replied. */
static struct result *result_new(struct router *r, struct pat_httpd_req *http,
                                 void (*later)(void *arg))
{
    struct result *w = calloc(1, sizeof *w);

    if (!w || pat_timer_init(&w->again, r->d->loop, later, w)) {
        free(w);
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, "out of memory");
        return NULL;
    }
    w->r = r;
    w->http = http;
    w->told.talk_ms = -1;
    return w;
}

/* NULL: it has replied. */
static struct result *result_read(struct router *r, struct pat_httpd_req *http,
                                  void (*later)(void *arg))
{
    struct result *w = result_new(r, http, later);

    if (!w)
        return NULL;
    if (!callback_read(&w->c, &w->ref, r, http))
        return w;
    pat_timer_fini(&w->again);
    free(w);
    return NULL;
}

static void on_dial(struct pat_httpd_req *http, void *arg)
{
    struct result *w = result_read(arg, http, on_again);

    if (w)
        look(w);
}

void dial_lost(struct router *r, struct carrier_req *c_take, const struct callref *ref)
{
    struct result *w = result_new(r, c_take->http, on_again);

    if (!w) {
        carrier_fini(c_take);
        return;
    }
    w->c = *c_take;
    w->ref = *ref;
    w->lost = true;
    look(w);
}

/* ------------------------------------------------------------------ how the leg goes */

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
    result_free(w);
}

static void on_state_due(void *arg)
{
    struct result *w = arg;

    if (leg_find(w->r, w->ref.call.s, MOVED_MS, on_state_found, w))
        result_free(w); /* the call's own status says it as well */
}

static bool is(const char *s, const char *word)
{
    return s && !strcmp(s, word);
}

static void on_leg_state(struct pat_httpd_req *http, void *arg)
{
    struct result *w = result_read(arg, http, on_state_due);
    const char *state, *reason;
    bool swml, ended;

    if (!w)
        return;
    swml = w->c.form == CARRIER_SWML;
    state = carrier_param(&w->c, swml ? "params.call_state" : "CallStatus");
    reason = carrier_param(&w->c, "params.end_reason");
    if (is(state, swml ? "answered" : "in-progress") && w->ref.stack == STACK_LIVEKIT)
        watch_answered(w->r, &w->ref);
    ended = swml && is(state, "ended") && (is(reason, "hangup") || is(reason, "cancel"));
    pat_httpd_reply(http, 204, NULL, NULL, 0); /* a form's fields are gone with it */
    if (ended)
        pat_timer_start(&w->again, STATE_MS);
    else
        result_free(w);
}

int dial_routes(struct router *r)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v1/signalwire/dial/{call}", 0, on_dial },
        { "POST", "/v1/signalwire/leg/{call}", 0, on_leg_state },
        { 0 },
    };

    return pat_httpd_routes(r->httpd, routes, r);
}
