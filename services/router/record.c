/* record.c - what the router tells about a call: see record.h. */
#include "record.h"

#include "guard.h"

#include "ends.h"
#include "record_int.h"
#include "version.h"

#include <stdio.h>
#include <string.h>

#define PUT_CALL "select patchbay.put_call($1::jsonb)"
void record_about(struct text *data, const struct callref *c)
{
    text_init(data, 0);
    text_str(data, "call_id", c->call.s);
    text_str(data, "user_id", c->user);
}

static void call_facts(struct text *facts, const struct router *r, const struct callref *c,
                       const char *state)
{
    text_init(facts, 0);
    text_str(facts, "carrier", r->conf->carrier);
    text_str(facts, "id", c->call.s);
    text_str(facts, "user_id", c->user);
    text_or_null(facts, "agent_config_id", c->agent_config);
    text_int(facts, "config_version", c->config_version);
    text_or_null(facts, "from_number", c->from);
    text_bool(facts, "caller_withheld", !*c->from);
    text_str(facts, "to_number", c->to);
    text_str(facts, "state", state);
    text_str(facts, "carrier_call_id", c->carrier_call);
    text_or_null(facts, "retell_call_id", c->retell_call);
    if (c->stack != STACK_NONE)
        text_str(facts, "stack", stack_name(c->stack));
    text_time(facts, "offered_at", c->offered_ms);
}

static int add(struct router *r, const struct pat_event *e, struct text *data,
               const struct pat_db_stmt *stmts, size_t n)
{
    if (!text_end(data))
        return data->b.err;
    return pat_journal_add_text(r->journal, e, data->b.data, stmts, n);
}

void record_say(struct router *r, const struct callref *c, const struct record_news *news,
                struct text *data)
{
    struct pat_event e = { .area = "call",
                           .name = news->name,
                           .user_id = c->user,
                           .key = c->call.s,
                           .source = "/patchbay/router",
                           .id = news->id };
    int err = add(r, &e, data, news->stmts, news->n);

    if (err)
        pat_log(PAT_ERROR, "record.lost", PAT_S("call", c->call.s), PAT_S("what", news->name),
                PAT_ERR(err));
    text_fini(data);
}

/* texts: the event's data and, or NULL, what the row gets. Ends and frees both. */
static void say(struct router *r, const struct callref *c, const char *name,
                const struct pat_id *id, struct text *const texts[2])
{
    const char *params[1] = { texts[1] ? text_end(texts[1]) : NULL };
    struct pat_db_stmt stmt = { "put_call", PUT_CALL, 1, params };

    if (texts[1] && !params[0])
        pat_log(PAT_ERROR, "record.lost", PAT_S("call", c->call.s), PAT_S("what", "row"),
                PAT_ERR(texts[1]->b.err));
    record_say(
        r, c,
        &(struct record_news){ .name = name, .id = id, .stmts = &stmt, .n = params[0] ? 1 : 0 },
        texts[0]);
    if (texts[1])
        text_fini(texts[1]);
}

static void say_offered(struct router *r, const struct callref *c)
{
    struct pat_id id = pat_event_id_once(c->call.s, "offered");
    struct text data;

    record_about(&data, c);
    text_or_null(&data, "agent_config_id", c->agent_config);
    text_str(&data, "to", c->to);
    text_or_null(&data, "from", c->from);
    text_bool(&data, "withheld", !*c->from);
    text_str(&data, "carrier", r->conf->carrier);
    text_str(&data, "carrier_call_id", c->carrier_call);
    say(r, c, "offered", &id, (struct text *const[2]){ &data, NULL });
}

void record_found(struct router *r, const struct callref *c)
{
    struct text facts;
    const char *params[1];
    struct pat_db_stmt stmt = { "put_call", PUT_CALL, 1, params };

    say_offered(r, c);
    call_facts(&facts, r, c, "routed");
    text_time(&facts, "routed_at", c->offered_ms);
    params[0] = text_end(&facts);
    if (!params[0] || pat_journal_add(r->journal, NULL, NULL, &stmt, 1))
        pat_log(PAT_ERROR, "record.lost", PAT_S("call", c->call.s), PAT_S("what", "row"));
    text_fini(&facts);
}

/* Constant names: nothing in them needs escaping. */
static void put_reasons(struct text *t, const struct decision *d)
{
    text_key(t, "reasons");
    pat_buf_add(&t->b, "[", 1);
    for (int i = 0; i < d->n_reasons; i++) {
        pat_buf_adds(&t->b, i ? ",\"" : "\"");
        pat_buf_adds(&t->b, d->reasons[i]);
        pat_buf_add(&t->b, "\"", 1);
    }
    pat_buf_add(&t->b, "]", 1);
}

void record_routed(struct router *r, const struct callref *c, const struct decision *d,
                   const char *sip_target, int64_t answer_us)
{
    char room[sizeof "call_" + PAT_ID_LEN], masked[NUMBER_MAX];
    struct text data, facts;

    say_offered(r, c);
    record_about(&data, c);
    text_or_null(&data, "agent_config_id", c->agent_config);
    text_str(&data, "stack", stack_name(d->stack));
    text_str(&data, "action", decide_action_name(d->action));
    text_str(&data, "policy", d->policy);
    number_mask(masked, d->forward);
    text_or_null(&data, "forwarded_to", masked);
    put_reasons(&data, d);
    text_bool(&data, "is_fallback", d->fallback);
    text_str(&data, "sip_target", sip_target);
    text_int(&data, "config_version", c->config_version);
    text_int(&data, "answer_us", answer_us);
    call_facts(&facts, r, c, "routed");
    text_bool(&facts, "fallback", d->fallback);
    text_str(&facts, "router_build", PAT_VERSION " " PAT_BUILD_ID);
    if (sip_target)
        text_str(&facts, "sip_target", sip_target);
    if (d->stack == STACK_LIVEKIT) {
        snprintf(room, sizeof room, "call_%s", c->call.s);
        text_str(&facts, "livekit_room", room);
    }
    text_time(&facts, "routed_at", pat_unix_ms());
    say(r, c, "routed", NULL, (struct text *const[2]){ &data, &facts });
    pat_journal_sync(r->journal);
}

void record_failed_over(struct router *r, const struct callref *c, const struct record_step *s)
{
    struct text data;

    record_about(&data, c);
    text_str(&data, "from", stack_name(c->stack));
    text_str(&data, "to", stack_name(s->to));
    text_str(&data, "action", s->action);
    text_str(&data, "reason", s->reason);
    if (s->sip_code)
        text_int(&data, "sip_code", s->sip_code);
    text_bool(&data, "redial", s->redial);
    say(r, c, "failed_over", NULL, (struct text *const[2]){ &data, NULL });
    pat_journal_sync(r->journal);
}

static void put_ids(struct text *t, const struct callref *c)
{
    char room[sizeof "call_" + PAT_ID_LEN];
    struct text ids;

    snprintf(room, sizeof room, "call_%s", c->call.s);
    text_init(&ids, 0);
    text_str(&ids, "carrier_call_id", c->carrier_call);
    text_or_null(&ids, "retell_call_id", c->retell_call);
    text_str(&ids, "livekit_room", c->tried & 1u << STACK_LIVEKIT ? room : NULL);
    text_raw(t, "ids", text_end(&ids));
    text_fini(&ids);
}

void record_ended(struct router *r, const struct callref *c, const struct record_end *e)
{
    const struct pat_end_reason *why = ends_of_ours(e->reason);
    const char *owner = pat_owner_name(why->owner),
               *outcome = e->outcome ? e->outcome : why->outcome;
    struct pat_id id = pat_event_id_once(c->call.s, "ended");
    int64_t at_ms = e->at_ms ? e->at_ms : pat_unix_ms(), whole_ms = at_ms - c->offered_ms;
    bool again = pat_journal_told(r->journal, &id); /* by the Dial's result, then by the status */
    struct text data, facts;

    guard_ended(r, c->call.s);
    record_about(&data, c);
    text_str(&data, "stack", c->stack == STACK_NONE ? NULL : stack_name(c->stack));
    text_str(&data, "reason", why->word);
    text_str(&data, "owner", owner);
    text_int(&data, "duration_ms", whole_ms < 0 ? 0 : whole_ms);
    text_ms(&data, "talk_ms", e->talk_ms);
    put_ids(&data, c);
    call_facts(&facts, r, c, "ended");
    text_str(&facts, "ended_reason", why->word);
    text_str(&facts, "ended_owner", owner);
    if (outcome)
        text_str(&facts, "outcome", outcome);
    if (e->talk_ms >= 0)
        text_int(&facts, "duration_ms", e->talk_ms);
    text_time(&facts, "ended_at", at_ms);
    say(r, c, "ended", &id, (struct text *const[2]){ &data, &facts });
    pat_journal_sync(r->journal);
    if (again)
        return;
    pat_log(PAT_INFO, "call.ended", PAT_S("call", c->call.s), PAT_S("user", c->user),
            PAT_S("stack", stack_name(c->stack)), PAT_S("reason", why->word), PAT_S("owner", owner),
            PAT_I("talk_ms", e->talk_ms));
}
