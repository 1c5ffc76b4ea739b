/* lifecycle.c - news of legs, and what follows from them: see lifecycle.h. */
#include "lifecycle.h"

#include "callback.h"
#include "ends.h"
#include "record.h"
#include "rest.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define END_MS      4000
#define YEAR_9999_S 253370764800.0
#define PUT_LEG     "select patchbay.put_leg($1::jsonb)"

/* ------------------------------------------------------------------ reading */

int64_t lifecycle_time_ms(const char *text)
{
    static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };
    struct tm t = { 0 };
    char month[4], zone[6];
    int hours, minutes, n = 0;

    if (!text || (sscanf(text, "%*3[A-Za-z], %2d %3s %4d %2d:%2d:%2d %5s%n", &t.tm_mday, month,
                         &t.tm_year, &t.tm_hour, &t.tm_min, &t.tm_sec, zone, &n) != 7))
        return 0;
    while (t.tm_mon < 12 && strcmp(months[t.tm_mon], month))
        t.tm_mon++;
    if (t.tm_mon == 12 || text[n] || t.tm_year < 1970)
        return 0;
    t.tm_year -= 1900;
    if (sscanf(zone + 1, "%2d%2d", &hours, &minutes) != 2 || (*zone != '+' && *zone != '-'))
        hours = minutes = 0; /* "GMT" */
    minutes += hours * 60;
    return ((int64_t)timegm(&t) - (*zone == '-' ? -minutes : minutes) * 60) * 1000;
}

static bool fact_of_event(const struct carrier_req *c, struct legs_fact *out)
{
    static const char *const states[] = { "created", "ringing", "answered", "ended" };
    const char *state = carrier_param(c, "params.call_state");
    double at_s = pat_json_num_or(c->json, "timestamp", 0);
    const struct pat_end_reason *why;

    for (int i = 0; state && i < LEGS_STATES; i++)
        if (!strcmp(state, states[i])) {
            out->state = (enum legs_state)i;
            out->at_ms = at_s > 0 && at_s < YEAR_9999_S ? (int64_t)(at_s * 1000) : 0;
            if (out->state != LEGS_ENDED)
                return true;
            why = ends_of_status(pat_json_str_or(c->json, "params.end_reason", "hangup"));
            out->reason = why ? why->word : "failed";
            return true;
        }
    return false;
}

static bool fact_of_form(const struct carrier_req *c, struct legs_fact *out)
{
    static const struct {
        const char *status;
        enum legs_state state;
    } table[] = {
        { "queued", LEGS_INITIATED }, { "initiated", LEGS_INITIATED },
        { "ringing", LEGS_RINGING },  { "in-progress", LEGS_TALKING },
        { "answered", LEGS_TALKING },
    };
    const char *status = carrier_param(c, "CallStatus"), *code = carrier_param(c, "SipResultCode"),
               *sequence = carrier_param(c, "SequenceNumber");
    const struct pat_end_reason *why = ends_of_status(status);
    int64_t talked_ms = callback_seconds_ms(c, "CallDuration");
    bool known = why != NULL;

    out->state = LEGS_ENDED;
    out->reason = why ? why->word : NULL;
    for (size_t i = 0; status && i < sizeof table / sizeof table[0]; i++)
        if (!strcmp(status, table[i].status)) {
            out->state = table[i].state;
            known = true;
        }
    out->at_ms = lifecycle_time_ms(carrier_param(c, "Timestamp"));
    out->sip_code = code ? (int)strtol(code, NULL, 10) : 0;
    out->sequence = sequence && *sequence ? (int)strtol(sequence, NULL, 10) : -1;
    /* Of a call that was not answered it is how long it rang. */
    if (why && !strcmp(why->word, "completed") && talked_ms >= 0)
        out->seconds = talked_ms / 1000;
    return known;
}

bool lifecycle_fact(const struct carrier_req *c, struct legs_fact *out)
{
    bool known;

    *out = (struct legs_fact){ .leg = c->call_id, .seconds = -1, .sequence = -1 };
    known = *c->call_id && (c->form == CARRIER_SWML ? fact_of_event(c, out) : fact_of_form(c, out));
    if (!out->at_ms)
        out->at_ms = pat_unix_ms();
    return known;
}

static void copy(char *out, size_t cap, const struct pat_db_result *rows, size_t row,
                 const char *column)
{
    const char *v = pat_db_get(rows, row, column);

    pat_strcpy(out, cap, v ? v : "");
}

static int64_t number(const struct pat_db_result *rows, size_t row, const char *column)
{
    const char *v = pat_db_get(rows, row, column);

    return v ? strtoll(v, NULL, 10) : 0;
}

static void read_ref(struct callref *c, const struct pat_db_result *rows, size_t row)
{
    const char *stack = pat_db_get(rows, row, "stack");

    copy(c->call.s, sizeof c->call.s, rows, row, "id");
    copy(c->user, sizeof c->user, rows, row, "user_id");
    copy(c->carrier_call, sizeof c->carrier_call, rows, row, "carrier_call_id");
    copy(c->agent_config, sizeof c->agent_config, rows, row, "agent_config_id");
    copy(c->retell_call, sizeof c->retell_call, rows, row, "retell_call_id");
    copy(c->from, sizeof c->from, rows, row, "from_number");
    copy(c->to, sizeof c->to, rows, row, "to_number");
    c->stack = stack_parse(stack ? stack : "");
    c->tried = 1u << c->stack;
    c->config_version = number(rows, row, "config_version");
    c->offered_ms = number(rows, row, "offered_ms");
}

int lifecycle_read(struct lifecycle_call *out, const struct pat_db_result *rows, size_t row)
{
    const char *state = pat_db_get(rows, row, "call_state"), *form = pat_db_get(rows, row, "form");
    const char *text = pat_db_get(rows, row, "legs");
    PAT_AUTO_JSON legs = NULL;

    memset(out, 0, sizeof *out);
    if (!state || !text || pat_json_parse(&legs, text, strlen(text), NULL) ||
        legs_read(&out->legs, legs))
        return PAT_EPROTO;
    read_ref(&out->ref, rows, row);
    out->ended = !strcmp(state, "ended");
    out->answered = !strcmp(state, "answered");
    out->form = form && !strcmp(form, "swml") ? CARRIER_SWML : CARRIER_CXML;
    return PAT_OK;
}

/* ------------------------------------------------------------------ noting */

static void put_fact(struct text *t, const struct callref *ref, const struct legs_fact *f)
{
    text_str(t, "leg", f->leg);
    text_str(t, "call_id", ref->call.s);
    text_str(t, "user_id", ref->user);
    text_str(t, "kind", legs_kind_name(f->kind));
    if (f->kind == LEGS_STACK && ref->stack)
        text_str(t, "stack", stack_name(ref->stack));
    text_str(t, "state", legs_state_name(f->state));
    text_time(t, "at", f->at_ms ? f->at_ms : pat_unix_ms());
    if (f->reason)
        text_str(t, "end_reason", f->reason);
    if (f->sip_code)
        text_int(t, "sip_code", f->sip_code);
    if (f->seconds >= 0)
        text_int(t, "seconds", f->seconds);
    if (f->sequence >= 0)
        text_int(t, "sequence", f->sequence);
}

void lifecycle_note(struct router *r, const struct callref *ref, const struct legs_fact *f)
{
    const char *params[1];
    struct pat_db_stmt stmt = { "put_leg", PUT_LEG, 1, params };
    struct text t;

    if (!f->leg || !*f->leg || strlen(f->leg) > LEGS_ID_MAX)
        return;
    text_init(&t, 0);
    put_fact(&t, ref, f);
    text_str(&t, "carrier", r->conf->carrier);
    params[0] = text_end(&t);
    if (!params[0] || pat_journal_add(r->journal, NULL, NULL, &stmt, 1))
        pat_log(PAT_WARN, "leg.not_noted", PAT_S("call", ref->call.s), PAT_S("what", "row"));
    text_fini(&t);
}

void lifecycle_dialled(struct router *r, const struct carrier_req *c, const struct callref *ref,
                       enum legs_kind kind, const char *reason)
{
    const char *code = carrier_param(c, "DialSipResponseCode");
    int64_t talked_ms = callback_seconds_ms(c, "DialCallDuration"), now = pat_unix_ms();
    struct legs_fact f = { .leg = carrier_param(c, c->form == CARRIER_SWML ? "vars.connect_call_id"
                                                                           : "DialCallSid"),
                           .kind = kind,
                           .at_ms = now,
                           .sequence = -1,
                           .seconds = -1 };

    if (talked_ms > 0) {
        f.state = LEGS_TALKING;
        f.at_ms = now - talked_ms;
        f.seconds = talked_ms / 1000;
        lifecycle_note(r, ref, &f);
    }
    f.state = LEGS_ENDED;
    f.at_ms = now;
    f.reason = pat_end_reason_find(reason) ? reason : NULL;
    f.sip_code = code ? (int)strtol(code, NULL, 10) : 0;
    lifecycle_note(r, ref, &f);
}

void lifecycle_phone(struct router *r, const struct carrier_req *c, const struct callref *ref,
                     enum legs_kind kind)
{
    struct legs_fact f;

    if (!lifecycle_fact(c, &f))
        return;
    f.kind = kind;
    if (f.reason && !strcmp(f.reason, "caller_gave_up"))
        f.reason = NULL; /* of a phone of ours it says nothing about the caller */
    lifecycle_note(r, ref, &f);
}

/* ------------------------------------------------------------------ following */

static void hang_up(struct router *r, const struct lifecycle_call *c, const struct legs_todo *t)
{
    const struct legs_leg *g = &c->legs.leg[t->leg];
    enum carrier_form form = g->kind == LEGS_CALLER ? c->form : CARRIER_CXML;

    /* What was dialled ends with who dialled it. */
    if (g->kind == LEGS_STACK || g->kind == LEGS_TRANSFER || !rest_configured(r))
        return;
    pat_log(PAT_INFO, "leg.hung_up", PAT_S("call", c->ref.call.s), PAT_S("leg", g->id),
            PAT_S("kind", legs_kind_name(g->kind)), PAT_S("why", t->why->word));
    if (rest_end(r, g->id, form, END_MS, NULL, NULL))
        pat_log(PAT_WARN, "leg.left", PAT_S("call", c->ref.call.s), PAT_S("leg", g->id));
    lifecycle_note(r, &c->ref,
                   &(struct legs_fact){ .leg = g->id,
                                        .kind = g->kind,
                                        .state = LEGS_ENDED,
                                        .reason = t->why->word,
                                        .seconds = -1,
                                        .sequence = -1 });
}

static void end_call(struct router *r, const struct lifecycle_call *c, const struct legs_todo *t)
{
    struct record_end e = { .reason = t->why->word, .talk_ms = t->talk_ms, .at_ms = t->at_ms };

    if (c->ended)
        return;
    /* "completed" means that something answered, a voicemail's greeting as well. */
    if (!t->why->outcome && c->answered)
        e.outcome = "answered";
    record_ended(r, &c->ref, &e);
}

void lifecycle_follow(struct router *r, const struct lifecycle_call *c)
{
    struct legs_todo todo[LEGS_MAX + 1];
    int n = legs_follow(&c->legs, pat_unix_ms(), r->conf->max_call_s * 1000, todo);

    for (int i = 0; i < n; i++)
        if (todo[i].what == LEGS_HANG_UP)
            hang_up(r, c, &todo[i]);
        else
            end_call(r, c, &todo[i]);
}
