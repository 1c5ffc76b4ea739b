/* rehearse.c - a call of our own to a stack: see rehearse.h.
 *
 * read the agent -> mark the row -> register at Retell, or tell an agent to prepare -> the carrier
 * calls the stack -> answered, both say. Every step but the carrier's word is answered to this
 * router; the carrier's may reach any replica, which says it on over NATS.
 */
#include "rehearse.h"

#include "ask_retell.h"
#include "callback.h"
#include "document.h"
#include "health.h"
#include "rest.h"
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_S_DEFAULT 20
#define TIMEOUT_S_MIN     5
#define TIMEOUT_S_MAX     60
#define DB_MS             5000
#define REST_MS           5000
#define ANSWER_BEFORE_MS  300 /* the asker's patience */
#define URL_MAX           4096
#define SUBJECT           "pat.rpc.v1.router.rehearsal."
/* At once, over all users: each is a call somebody pays for. */
#define AT_ONCE_MAX 16
#define TICK_MS     1000
/* What one is counted for: ten seconds of the dearest model and of the carrier cost less. */
#define CENTS 5

struct rehearsal {
    struct rehearsal *next;
    struct rehearsals *of;
    struct pat_rpc_req *req; /* NULL: the router's own */
    struct callref ref;
    struct retell_agent agent;
    char *settings; /* JSON */
    char leg[CALLREF_ID_MAX + 1];
    int64_t began_ms, dialled_ms, answered_ms; /* 0: not yet */
    bool leg_answered;
    pat_db_id db;
    pat_bus_id rpc;
    struct pat_sub *said, *told;
    struct pat_timer deadline;
};

struct rehearsals {
    struct router *r;
    struct pat_sub *rpc;
    struct rehearsal *all;
    size_t n;
    struct pat_timer tick;
};

/* For what cannot be called back: by the call's id, the rehearsal may be over. */
struct errand {
    struct router *r;
    struct pat_id call;
};

static struct rehearsal *find(const struct router *r, const char *call)
{
    for (struct rehearsal *h = r->rehearsals ? r->rehearsals->all : NULL; h; h = h->next)
        if (!strcmp(h->ref.call.s, call))
            return h;
    return NULL;
}

static struct errand *errand_new(const struct rehearsal *h)
{
    struct errand *e = malloc(sizeof *e);

    if (e)
        *e = (struct errand){ h->of->r, h->ref.call };
    return e;
}

/* NULL: it is over. */
static struct rehearsal *errand_done(void *arg)
{
    struct errand *e = arg;
    struct rehearsal *h = find(e->r, e->call.s);

    free(e);
    return h;
}

/* ------------------------------------------------------------------ the end */

static void rehearsal_free(struct rehearsal *h)
{
    struct router *r = h->of->r;

    for (struct rehearsal **at = &h->of->all; *at; at = &(*at)->next)
        if (*at == h) {
            *at = h->next;
            h->of->n--;
            break;
        }
    if (h->db)
        pat_db_cancel(r->d->db, h->db);
    if (h->rpc)
        pat_bus_cancel(r->d->bus, h->rpc);
    pat_bus_unsubscribe(h->said);
    pat_bus_unsubscribe(h->told);
    pat_timer_fini(&h->deadline);
    free(h->settings);
    free(h);
}

static void put_row(const struct rehearsal *h, struct pat_json *facts_take)
{
    PAT_AUTO_JSON facts = facts_take;
    PAT_AUTO_STR text = NULL;

    pat_json_set_str(facts, "id", h->ref.call.s);
    pat_json_set_str(facts, "user_id", h->ref.user);
    text = pat_json_print(facts);
    if (!text ||
        pat_journal_add(h->of->r->journal, NULL, NULL,
                        &(struct pat_db_stmt){ "put_call", "select patchbay.put_call($1::jsonb)", 1,
                                               (const char *const[]){ text } },
                        1))
        pat_log(PAT_WARN, "rehearsal.not_noted", PAT_S("call", h->ref.call.s));
}

static void note_end(const struct rehearsal *h, bool ok)
{
    struct pat_json *facts = pat_json_obj();
    char now[PAT_TIME_LEN + 1];

    pat_time_format(pat_unix_ms(), now);
    pat_json_set_str(facts, "state", "ended");
    pat_json_set_str(facts, "ended_at", now);
    pat_json_set_str(facts, "ended_owner", "us");
    pat_json_set_str(facts, "ended_reason", ok ? "completed" : "failed");
    pat_json_set_str(facts, "outcome", ok ? "answered" : "failed");
    if (*h->leg)
        pat_json_set_str(facts, "carrier_call_id", h->leg);
    put_row(h, facts);
}

/* why NULL: it was served. stack: it is the stack that failed, not this agent or the carrier. */
static void finish(struct rehearsal *h, const char *why, bool stack)
{
    struct router *r = h->of->r;
    int64_t answer_ms = h->answered_ms - h->dialled_ms;
    struct pat_json *result;

    pat_log(why ? PAT_WARN : PAT_INFO, "call.rehearsed", PAT_S("call", h->ref.call.s),
            PAT_S("user", h->ref.user), PAT_S("stack", stack_name(h->ref.stack)), PAT_B("ok", !why),
            PAT_S("why", why), PAT_I("answer_ms", why ? -1 : answer_ms));
    if (!why || (stack && !h->req))
        health_rehearsed(r, h->ref.stack, !why, why);
    if (*h->leg && rest_end(r, h->leg, CARRIER_CXML, REST_MS, NULL, NULL))
        pat_log(PAT_WARN, "rehearsal.not_hung_up", PAT_S("call", h->ref.call.s));
    if (*h->ref.call.s && *h->ref.user)
        note_end(h, !why);
    if (h->req) {
        result = pat_json_obj();
        pat_json_set_bool(result, "ok", !why);
        pat_json_set_str(result, "call_id", h->ref.call.s);
        if (why)
            pat_json_set_null(result, "answer_ms");
        else
            pat_json_set_int(result, "answer_ms", answer_ms);
        pat_json_set_str(result, "why", why);
        pat_rpc_reply(h->req, result);
    }
    rehearsal_free(h);
}

static void finish_if_served(struct rehearsal *h)
{
    if (h->answered_ms && h->leg_answered && *h->leg)
        finish(h, NULL, false);
}

static void on_deadline(void *arg)
{
    struct rehearsal *h = arg;

    finish(h,
           !h->dialled_ms     ? "not_begun"
           : !h->leg_answered ? "not_answered"
           : !h->answered_ms  ? "no_agent"
                              : "timed_out",
           h->dialled_ms != 0);
}

/* ------------------------------------------------------------------ what is heard of it */

static void on_said(const struct pat_msg *m, void *arg)
{
    struct rehearsal *h = arg;

    (void)m;
    if (h->answered_ms)
        return;
    h->answered_ms = pat_now_ms();
    finish_if_served(h);
}

static const char *why_of_status(const char *status)
{
    static const char *const table[][2] = { { "busy", "busy" },
                                            { "no-answer", "no_answer" },
                                            { "failed", "failed" },
                                            { "canceled", "failed" },
                                            { "completed", "hung_up" } };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(status, table[i][0]))
            return table[i][1];
    return NULL;
}

/* The carrier's word, by whichever replica it was told to: its CallStatus. */
static void on_told(const struct pat_msg *m, void *arg)
{
    struct rehearsal *h = arg;
    const char *why = why_of_status(m->data);

    if (why) {
        finish(h, why, true);
    } else if (!strcmp(m->data, "in-progress") || !strcmp(m->data, "answered")) {
        h->leg_answered = true;
        finish_if_served(h);
    }
}

static int listen_for(struct rehearsal *h)
{
    struct pat_bus *bus = h->of->r->d->bus;
    char subject[PAT_SUBJECT_MAX];
    int err;

    snprintf(subject, sizeof subject, "pat.call.v1.answered.*.%s", h->ref.call.s);
    err = pat_bus_subscribe(bus, &h->said, subject, NULL, on_said, h);
    if (err)
        return err;
    snprintf(subject, sizeof subject, SUBJECT "%s", h->ref.call.s);
    return pat_bus_subscribe(bus, &h->told, subject, NULL, on_told, h);
}

/* ------------------------------------------------------------------ the leg */

static void on_created(int err, const char *sid, void *arg)
{
    struct router *r = ((struct errand *)arg)->r;
    struct rehearsal *h = errand_done(arg);

    if (!h) { /* over meanwhile: nobody else would end it */
        if (!err && sid && rest_end(r, sid, CARRIER_CXML, REST_MS, NULL, NULL))
            pat_log(PAT_WARN, "rehearsal.not_hung_up", PAT_S("leg", sid));
        return;
    }
    if (err || !sid) {
        finish(h, "carrier", false);
        return;
    }
    (void)pat_strcpy(h->leg, sizeof h->leg, sid);
    finish_if_served(h);
}

static int create(struct rehearsal *h, struct errand *e)
{
    struct router *r = h->of->r;
    bool livekit = h->ref.stack == STACK_LIVEKIT;
    struct rest_call c = { .from = h->ref.to,
                           .ring_s = r->conf->dial_timeout_s,
                           .sip_username = livekit ? r->conf->livekit_sip_username : "",
                           .sip_password = livekit ? r->conf->livekit_sip_password : "" };
    struct pat_buf uri, url, status;
    int err;

    pat_buf_init(&uri, URL_MAX);
    pat_buf_init(&url, URL_MAX);
    pat_buf_init(&status, URL_MAX);
    err = document_sip_uri(&uri, r->conf, &h->ref);
    if (!err)
        err = callback_url(&url, r, "/v1/signalwire/rehearsal/", &h->ref);
    if (!err)
        err = callback_url(&status, r, "/v1/signalwire/rehearsal-status/", &h->ref);
    c.to = uri.data;
    c.url = url.data;
    c.status_url = status.data;
    if (!err)
        err = rest_create(r, &c, REST_MS, on_created, e);
    pat_buf_fini(&uri);
    pat_buf_fini(&url);
    pat_buf_fini(&status);
    return err;
}

static void dial(struct rehearsal *h)
{
    struct errand *e = errand_new(h);

    h->dialled_ms = pat_now_ms();
    if (e && !create(h, e))
        return;
    free(e);
    finish(h, "carrier", false);
}

/* ------------------------------------------------------------------ the stack */

static void on_prepared(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct rehearsal *h = arg;

    (void)result, (void)message;
    h->rpc = 0;
    if (err == PAT_EUNAVAIL)
        finish(h, "no_agent", true);
    else if (err)
        pat_log(PAT_WARN, "livekit.not_prepared", PAT_S("call", h->ref.call.s), PAT_ERR(err));
}

/* As for a caller: the leg does not wait for it. */
static void prepare(struct rehearsal *h)
{
    PAT_AUTO_JSON p = pat_json_obj();

    pat_json_set_str(p, "call_id", h->ref.call.s);
    pat_json_set_str(p, "user_id", h->ref.user);
    pat_json_set_str(p, "agent_config_id", h->ref.agent_config);
    pat_json_set_int(p, "config_version", h->ref.config_version);
    pat_json_set_null(p, "from");
    pat_json_set_str(p, "to", h->ref.to);
    pat_json_set_text(p, "settings", h->settings);
    if (pat_rpc_call(h->of->r->d->bus, "agent", "prepare", p, REST_MS, on_prepared, h, &h->rpc))
        finish(h, "no_agent", true);
    else
        dial(h);
}

static void on_registered(int err, const char *retell_call, void *arg)
{
    struct rehearsal *h = errand_done(arg);
    struct pat_json *facts;

    if (!h)
        return;
    if (err) {
        finish(h, pat_err_name(err), err != PAT_ENOENT && err != PAT_EINVAL);
        return;
    }
    (void)pat_strcpy(h->ref.retell_call, sizeof h->ref.retell_call, retell_call);
    facts = pat_json_obj();
    pat_json_set_str(facts, "retell_call_id", retell_call);
    put_row(h, facts);
    dial(h);
}

static void register_call(struct rehearsal *h)
{
    struct errand *e = errand_new(h);
    int err = !e             ? PAT_ENOMEM
              : *h->agent.id ? ask_retell(h->of->r, &h->ref, &h->agent, ASK_RETELL_NOBODY_ELSE,
                                          on_registered, e)
                             : ask_retell_standby(h->of->r, &h->ref, h->settings,
                                                  ASK_RETELL_NOBODY_ELSE, on_registered, e);

    if (!err)
        return;
    free(e);
    finish(h, pat_err_name(err), false);
}

/* ------------------------------------------------------------------ what Postgres says */

static void on_marked(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct rehearsal *h = arg;

    (void)results, (void)n;
    h->db = 0;
    if (err)
        finish(h, "not_marked", false);
    else if (h->ref.stack == STACK_RETELL)
        register_call(h);
    else
        prepare(h);
}

static void mark(struct rehearsal *h)
{
    PAT_AUTO_JSON facts = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    char room[sizeof "call_" + PAT_ID_LEN];
    const char *params[1];

    snprintf(room, sizeof room, "call_%s", h->ref.call.s);
    pat_json_set_str(facts, "id", h->ref.call.s);
    pat_json_set_str(facts, "user_id", h->ref.user);
    pat_json_set_str(facts, "agent_config_id", h->ref.agent_config);
    pat_json_set_int(facts, "config_version", h->ref.config_version);
    pat_json_set_str(facts, "to_number", h->ref.to);
    pat_json_set_str(facts, "stack", stack_name(h->ref.stack));
    pat_json_set_str(facts, "carrier", h->of->r->conf->carrier);
    pat_json_set_str(facts, "livekit_room", h->ref.stack == STACK_LIVEKIT ? room : NULL);
    pat_json_set_str(facts, "router_build", PAT_VERSION " " PAT_BUILD_ID);
    params[0] = text = pat_json_print(facts);
    if (!text || pat_db_run1(h->of->r->d->db, "begin_rehearsal",
                             "select patchbay.begin_rehearsal($1::jsonb)", params, 1, DB_MS,
                             on_marked, h, &h->db))
        finish(h, "not_marked", false);
}

/* NULL: it can be rehearsed. */
static const char *read_agent(struct rehearsal *h, const struct pat_json *row)
{
    const char *number = pat_json_str_or(row, "number", "");
    const struct pat_json *settings = pat_json_at(row, "settings");

    if (!row)
        return "no_such_agent";
    if (!pat_strcpy(h->ref.user, sizeof h->ref.user, pat_json_str_or(row, "user_id", "")) ||
        !pat_strcpy(h->agent.id, sizeof h->agent.id, pat_json_str_or(row, "retell_agent_id", "")) ||
        !*number || !pat_strcpy(h->ref.to, sizeof h->ref.to, number))
        return "no_number";
    h->ref.config_version = pat_json_int_or(row, "config_version", 0);
    h->agent.version = pat_json_int_or(row, "retell_agent_version", -1);
    h->settings = settings ? pat_json_print(settings) : NULL;
    return h->settings ? NULL : "no_such_agent";
}

static void on_agent(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct rehearsal *h = arg;
    PAT_AUTO_JSON row = NULL;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    const char *why = err ? "postgres" : NULL;

    h->db = 0;
    if (!why && text && pat_json_parse(&row, text, strlen(text), NULL))
        row = NULL;
    if (!why)
        why = read_agent(h, row);
    if (!why && h->ref.stack == STACK_RETELL && !*h->agent.id && h->req)
        why = "no_retell_agent"; /* who switches wants to hear of his own; we take the standby */
    if (why)
        finish(h, why, false);
    else
        mark(h);
}

/* ------------------------------------------------------------------ the beginning */

static int begin(struct rehearsals *x, struct pat_rpc_req *req, const char *config, enum stack s,
                 int64_t timeout_ms)
{
    struct rehearsal *h = calloc(1, sizeof *h);
    const char *params[] = { config };
    int err;

    if (!h)
        return PAT_ENOMEM;
    h->of = x;
    h->ref.call = pat_id_new();
    h->ref.stack = s;
    h->ref.tried = 1u << s;
    h->ref.offered_ms = pat_unix_ms();
    h->began_ms = pat_now_ms();
    (void)pat_strcpy(h->ref.agent_config, sizeof h->ref.agent_config, config);
    err = pat_timer_init(&h->deadline, x->r->d->loop, on_deadline, h);
    if (!err)
        err = listen_for(h);
    if (!err)
        err = pat_db_run1(x->r->d->db, "rehearsal_of", "select patchbay.rehearsal_of($1)::text",
                          params, 1, DB_MS, on_agent, h, &h->db);
    h->next = x->all;
    x->all = h;
    x->n++;
    if (err) {
        rehearsal_free(h);
        return err;
    }
    h->req = req;
    pat_timer_start(&h->deadline, timeout_ms);
    return PAT_OK;
}

static void on_rehearse(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    struct rehearsals *x = arg;
    struct pat_json_err why;
    int64_t timeout_s = pat_json_int_or(params, "timeout_s", TIMEOUT_S_DEFAULT);
    int64_t left_ms = pat_rpc_left_ms(req) - ANSWER_BEFORE_MS;
    enum stack s = stack_parse(pat_json_str_or(params, "stack", ""));
    const char *config;
    int err = pat_json_get_id(params, "agent_config_id", &config, &why);

    if (err)
        pat_rpc_fail(req, err, why.path, why.what);
    else if (s == STACK_NONE)
        pat_rpc_fail(req, PAT_EINVAL, "stack", "must be retell or livekit");
    else if (timeout_s < TIMEOUT_S_MIN || timeout_s > TIMEOUT_S_MAX)
        pat_rpc_fail(req, PAT_EINVAL, "timeout_s", "must be 5 to 60");
    else if (!rest_configured(x->r))
        pat_rpc_fail(req, PAT_EUNAVAIL, NULL, "not_configured");
    else if (x->n >= AT_ONCE_MAX)
        pat_rpc_fail(req, PAT_EAGAIN, NULL, "too_many");
    else if ((err = begin(x, req, config, s,
                          left_ms < timeout_s * 1000 ? left_ms : timeout_s * 1000)))
        pat_rpc_fail(req, err, NULL, pat_err_text(err));
}

/* Without calls of others. */
static void on_tick(void *arg)
{
    struct rehearsals *x = arg;
    const struct router_conf *conf = x->r->conf;

    for (enum stack s = STACK_RETELL; s <= STACK_LIVEKIT; s++)
        if (health_rehearse(x->r, s, CENTS) &&
            begin(x, NULL, conf->rehearse_agent, s, TIMEOUT_S_DEFAULT * 1000))
            pat_log(PAT_WARN, "rehearsal.not_begun", PAT_S("stack", stack_name(s)));
    pat_timer_start(&x->tick, TICK_MS);
}

/* What we listen for was lost with the connection: nobody has failed, and whoever asked tries
 * again.
 */
static void on_bus(bool up, void *arg)
{
    struct rehearsals *x = ((struct router *)arg)->rehearsals;

    while (!up && x && x->all)
        finish(x->all, "nats_lost", false);
}

int rehearsals_new(struct rehearsals **out, struct router *r)
{
    struct rehearsals *x = calloc(1, sizeof *x);
    int err;

    if (!x)
        return PAT_ENOMEM;
    x->r = r;
    err = pat_timer_init(&x->tick, r->d->loop, on_tick, x);
    if (!err)
        err = pat_rpc_serve(r->d->bus, &x->rpc, "router", "rehearse", on_rehearse, x);
    if (!err)
        err = pat_daemon_on_bus(r->d, on_bus, r);
    if (err) {
        rehearsals_free(x);
        return err;
    }
    if (*r->conf->rehearse_agent && rest_configured(r))
        pat_timer_start(&x->tick, TICK_MS);
    *out = x;
    return PAT_OK;
}

void rehearsals_free(struct rehearsals *x)
{
    if (!x)
        return;
    x->r->rehearsals = NULL;
    while (x->all)
        rehearsal_free(x->all);
    pat_timer_fini(&x->tick);
    pat_bus_unsubscribe(x->rpc);
    free(x);
}
