/* record.c - what the router tells about a call: see record.h. */
#include "record.h"

#include "version.h"

#include <stdio.h>
#include <string.h>

#define PUT_CALL "select patchbay.put_call($1::jsonb)"

static void set_or_null(struct pat_json *j, const char *key, const char *value)
{
    pat_json_set_str(j, key, *value ? value : NULL);
}

static struct pat_json *about(const struct callref *c)
{
    struct pat_json *data = pat_json_obj();

    pat_json_set_str(data, "call_id", c->call.s);
    pat_json_set_str(data, "user_id", c->user);
    return data;
}

static struct pat_json *call_facts(const struct callref *c, const char *state)
{
    struct pat_json *j = pat_json_obj();
    char at[PAT_TIME_LEN + 1];

    pat_time_format(c->offered_ms, at);
    pat_json_set_str(j, "id", c->call.s);
    pat_json_set_str(j, "user_id", c->user);
    set_or_null(j, "agent_config_id", c->agent_config);
    pat_json_set_int(j, "config_version", c->config_version);
    set_or_null(j, "from_number", c->from);
    pat_json_set_bool(j, "caller_withheld", !*c->from);
    pat_json_set_str(j, "to_number", c->to);
    pat_json_set_str(j, "state", state);
    pat_json_set_str(j, "carrier", "signalwire");
    pat_json_set_str(j, "carrier_call_id", c->carrier_call);
    set_or_null(j, "retell_call_id", c->retell_call);
    if (c->stack != STACK_NONE)
        pat_json_set_str(j, "stack", stack_name(c->stack));
    pat_json_set_str(j, "offered_at", at);
    return j;
}

static void set_now(struct pat_json *j, const char *key)
{
    char at[PAT_TIME_LEN + 1];

    pat_time_format(pat_unix_ms(), at);
    pat_json_set_str(j, key, at);
}

/* facts may be NULL: only the event. */
static void say(struct router *r, const struct callref *c, const char *name,
                const struct pat_id *id, struct pat_json *data_take, struct pat_json *facts_take)
{
    struct pat_event e = { .area = "call",
                           .name = name,
                           .user_id = c->user,
                           .key = c->call.s,
                           .source = "/patchbay/router",
                           .id = id };
    PAT_AUTO_STR facts = facts_take ? pat_json_print(facts_take) : NULL;
    const char *params[] = { facts };
    struct pat_db_stmt stmt = { "put_call", PUT_CALL, 1, params };
    int err = facts_take && !facts ? PAT_ENOMEM : PAT_OK;

    pat_json_free(facts_take);
    if (err)
        pat_json_free(data_take);
    else
        err = pat_journal_add(r->journal, &e, data_take, &stmt, facts ? 1 : 0);
    if (err)
        pat_log(PAT_ERROR, "record.lost", PAT_S("call", c->call.s), PAT_S("event", name),
                PAT_ERR(err));
}

static void say_offered(struct router *r, const struct callref *c)
{
    struct pat_id id = pat_event_id_once(c->call.s, "offered");
    struct pat_json *data = about(c);

    set_or_null(data, "agent_config_id", c->agent_config);
    pat_json_set_str(data, "to", c->to);
    set_or_null(data, "from", c->from);
    pat_json_set_bool(data, "withheld", !*c->from);
    pat_json_set_str(data, "carrier", "signalwire");
    pat_json_set_str(data, "carrier_call_id", c->carrier_call);
    say(r, c, "offered", &id, data, NULL);
}

static struct pat_json *reasons_of(const struct decision *d)
{
    struct pat_json *list = pat_json_arr();

    for (int i = 0; i < d->n_reasons; i++)
        pat_json_add_str(list, d->reasons[i]);
    return list;
}

void record_routed(struct router *r, const struct callref *c, const struct decision *d,
                   const char *sip_target, int64_t answer_us)
{
    struct pat_json *data = about(c), *facts = call_facts(c, "routed");
    char room[sizeof "call_" + PAT_ID_LEN];

    say_offered(r, c);
    set_or_null(data, "agent_config_id", c->agent_config);
    pat_json_set_str(data, "stack", stack_name(d->stack));
    pat_json_set_take(data, "reasons", reasons_of(d));
    pat_json_set_bool(data, "is_fallback", d->fallback);
    pat_json_set_str(data, "sip_target", sip_target);
    pat_json_set_int(data, "config_version", c->config_version);
    pat_json_set_int(data, "answer_us", answer_us);
    pat_json_set_bool(facts, "fallback", d->fallback);
    pat_json_set_str(facts, "router_build", PAT_VERSION " " PAT_BUILD_ID);
    if (sip_target)
        pat_json_set_str(facts, "sip_target", sip_target);
    if (d->stack == STACK_LIVEKIT) {
        snprintf(room, sizeof room, "call_%s", c->call.s);
        pat_json_set_str(facts, "livekit_room", room);
    }
    set_now(facts, "routed_at");
    say(r, c, "routed", NULL, data, facts);
}

void record_failed_over(struct router *r, const struct callref *c, enum stack to,
                        const char *reason)
{
    struct pat_json *data = about(c);

    pat_json_set_str(data, "from", stack_name(c->stack));
    pat_json_set_str(data, "to", stack_name(to));
    pat_json_set_str(data, "reason", reason);
    say(r, c, "failed_over", NULL, data, NULL);
}

void record_voicemail(struct router *r, const struct callref *c, const char *recording_url,
                      int64_t duration_ms)
{
    struct pat_id id = pat_event_id_once(c->call.s, "voicemail");
    struct pat_json *data = about(c);

    pat_json_set_str(data, "recording_url", recording_url);
    if (duration_ms >= 0)
        pat_json_set_int(data, "duration_ms", duration_ms);
    else
        pat_json_set_null(data, "duration_ms");
    say(r, c, "voicemail", &id, data, NULL);
}

static struct pat_json *ids_of(const struct callref *c)
{
    struct pat_json *ids = pat_json_obj();
    char room[sizeof "call_" + PAT_ID_LEN];

    snprintf(room, sizeof room, "call_%s", c->call.s);
    pat_json_set_str(ids, "carrier_call_id", c->carrier_call);
    set_or_null(ids, "retell_call_id", c->retell_call);
    pat_json_set_str(ids, "livekit_room", c->tried & 1u << STACK_LIVEKIT ? room : NULL);
    return ids;
}

void record_ended(struct router *r, const struct callref *c, const struct record_end *e)
{
    struct pat_id id = pat_event_id_once(c->call.s, "ended");
    struct pat_json *data = about(c), *facts = call_facts(c, "ended");
    int64_t whole_ms = pat_unix_ms() - c->offered_ms;
    bool again = pat_journal_told(r->journal, &id); /* by the Dial's result, then by the status */

    pat_json_set_str(data, "stack", c->stack == STACK_NONE ? NULL : stack_name(c->stack));
    pat_json_set_str(data, "reason", e->reason);
    pat_json_set_str(data, "owner", e->owner);
    pat_json_set_int(data, "duration_ms", whole_ms < 0 ? 0 : whole_ms);
    if (e->talk_ms >= 0)
        pat_json_set_int(data, "talk_ms", e->talk_ms);
    else
        pat_json_set_null(data, "talk_ms");
    pat_json_set_take(data, "ids", ids_of(c));
    pat_json_set_str(facts, "ended_reason", e->reason);
    pat_json_set_str(facts, "ended_owner", e->owner);
    if (e->outcome)
        pat_json_set_str(facts, "outcome", e->outcome);
    if (e->talk_ms >= 0)
        pat_json_set_int(facts, "duration_ms", e->talk_ms);
    set_now(facts, "ended_at");
    say(r, c, "ended", &id, data, facts);
    if (again)
        return;
    pat_log(PAT_INFO, "call.ended", PAT_S("call", c->call.s), PAT_S("user", c->user),
            PAT_S("stack", stack_name(c->stack)), PAT_S("reason", e->reason),
            PAT_S("owner", e->owner), PAT_I("talk_ms", e->talk_ms));
}
