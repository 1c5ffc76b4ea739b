/* record.c - what the router tells about a call: see record.h. */
#include "record.h"

#include "version.h"

#include <stdio.h>
#include <string.h>

#define PUT_CALL "select patchbay.put_call($1::jsonb)"
/* Far above what a record holds. */
#define TEXT_MAX 16384

/* An object being written as text: building a tree of it first costs twice as much, and every call
 * needs four of these. */
struct text {
    struct pat_buf b;
};

static void put_key(struct text *t, const char *key)
{
    pat_buf_adds(&t->b, t->b.len ? ",\"" : "{\"");
    pat_buf_adds(&t->b, key);
    pat_buf_add(&t->b, "\":", 2);
}

/* NULL: null. */
static void put_str(struct text *t, const char *key, const char *value)
{
    put_key(t, key);
    if (value)
        pat_json_quote(&t->b, value, strlen(value));
    else
        pat_buf_add(&t->b, "null", 4);
}

static void put_or_null(struct text *t, const char *key, const char *value)
{
    put_str(t, key, *value ? value : NULL);
}

static void put_int(struct text *t, const char *key, int64_t n)
{
    put_key(t, key);
    pat_buf_addf(&t->b, "%lld", (long long)n);
}

static void put_bool(struct text *t, const char *key, bool b)
{
    put_key(t, key);
    pat_buf_adds(&t->b, b ? "true" : "false");
}

static void put_ms(struct text *t, const char *key, int64_t ms)
{
    if (ms >= 0)
        put_int(t, key, ms);
    else
        put_str(t, key, NULL);
}

static void put_time(struct text *t, const char *key, int64_t unix_ms)
{
    char at[PAT_TIME_LEN + 1];

    pat_time_format(unix_ms, at);
    put_str(t, key, at);
}

static void text_init(struct text *t)
{
    pat_buf_init(&t->b, TEXT_MAX);
    (void)pat_buf_reserve(&t->b, 1000); /* most fit: one allocation. A failure sticks. */
}

static void text_fini(struct text *t)
{
    pat_buf_fini(&t->b);
}

static void about(struct text *data, const struct callref *c)
{
    text_init(data);
    put_str(data, "call_id", c->call.s);
    put_str(data, "user_id", c->user);
}

static void call_facts(struct text *facts, const struct router *r, const struct callref *c,
                       const char *state)
{
    text_init(facts);
    put_str(facts, "carrier", r->conf->carrier);
    put_str(facts, "id", c->call.s);
    put_str(facts, "user_id", c->user);
    put_or_null(facts, "agent_config_id", c->agent_config);
    put_int(facts, "config_version", c->config_version);
    put_or_null(facts, "from_number", c->from);
    put_bool(facts, "caller_withheld", !*c->from);
    put_str(facts, "to_number", c->to);
    put_str(facts, "state", state);
    put_str(facts, "carrier_call_id", c->carrier_call);
    put_or_null(facts, "retell_call_id", c->retell_call);
    if (c->stack != STACK_NONE)
        put_str(facts, "stack", stack_name(c->stack));
    put_time(facts, "offered_at", c->offered_ms);
}

static int add(struct router *r, const struct pat_event *e, struct text *data, struct text *facts)
{
    const char *params[1];
    struct pat_db_stmt stmt = { "put_call", PUT_CALL, 1, params };

    if (pat_buf_add(&data->b, "}", 1))
        return data->b.err;
    if (facts && pat_buf_add(&facts->b, "}", 1))
        return facts->b.err;
    params[0] = facts ? facts->b.data : NULL;
    return pat_journal_add(r->journal, e, pat_json_text(data->b.data), &stmt, facts ? 1 : 0);
}

/* texts: the event's data and, or NULL, what the row gets. Ends and frees both. */
static void say(struct router *r, const struct callref *c, const char *name,
                const struct pat_id *id, struct text *const texts[2])
{
    struct pat_event e = { .area = "call",
                           .name = name,
                           .user_id = c->user,
                           .key = c->call.s,
                           .source = "/patchbay/router",
                           .id = id };
    int err = add(r, &e, texts[0], texts[1]);

    if (err)
        pat_log(PAT_ERROR, "record.lost", PAT_S("call", c->call.s), PAT_S("event", name),
                PAT_ERR(err));
    text_fini(texts[0]);
    if (texts[1])
        text_fini(texts[1]);
}

static void say_offered(struct router *r, const struct callref *c)
{
    struct pat_id id = pat_event_id_once(c->call.s, "offered");
    struct text data;

    about(&data, c);
    put_or_null(&data, "agent_config_id", c->agent_config);
    put_str(&data, "to", c->to);
    put_or_null(&data, "from", c->from);
    put_bool(&data, "withheld", !*c->from);
    put_str(&data, "carrier", r->conf->carrier);
    put_str(&data, "carrier_call_id", c->carrier_call);
    say(r, c, "offered", &id, (struct text *const[2]){ &data, NULL });
}

/* Constant names: nothing in them needs escaping. */
static void put_reasons(struct text *t, const struct decision *d)
{
    put_key(t, "reasons");
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
    char room[sizeof "call_" + PAT_ID_LEN];
    struct text data, facts;

    say_offered(r, c);
    about(&data, c);
    put_or_null(&data, "agent_config_id", c->agent_config);
    put_str(&data, "stack", stack_name(d->stack));
    put_reasons(&data, d);
    put_bool(&data, "is_fallback", d->fallback);
    put_str(&data, "sip_target", sip_target);
    put_int(&data, "config_version", c->config_version);
    put_int(&data, "answer_us", answer_us);
    call_facts(&facts, r, c, "routed");
    put_bool(&facts, "fallback", d->fallback);
    put_str(&facts, "router_build", PAT_VERSION " " PAT_BUILD_ID);
    if (sip_target)
        put_str(&facts, "sip_target", sip_target);
    if (d->stack == STACK_LIVEKIT) {
        snprintf(room, sizeof room, "call_%s", c->call.s);
        put_str(&facts, "livekit_room", room);
    }
    put_time(&facts, "routed_at", pat_unix_ms());
    say(r, c, "routed", NULL, (struct text *const[2]){ &data, &facts });
}

void record_failed_over(struct router *r, const struct callref *c, enum stack to,
                        const char *reason)
{
    struct text data;

    about(&data, c);
    put_str(&data, "from", stack_name(c->stack));
    put_str(&data, "to", stack_name(to));
    put_str(&data, "reason", reason);
    say(r, c, "failed_over", NULL, (struct text *const[2]){ &data, NULL });
}

void record_voicemail(struct router *r, const struct callref *c, const char *recording_url,
                      int64_t duration_ms)
{
    struct pat_id id = pat_event_id_once(c->call.s, "voicemail");
    struct text data;

    about(&data, c);
    put_str(&data, "recording_url", recording_url);
    put_ms(&data, "duration_ms", duration_ms);
    say(r, c, "voicemail", &id, (struct text *const[2]){ &data, NULL });
}

void record_voicemail_text(struct router *r, const struct callref *c, const char *recording_url,
                           const char *words)
{
    struct pat_id id = pat_event_id_once(c->call.s, "voicemail_text");
    struct text data;

    about(&data, c);
    put_str(&data, "recording_url", recording_url);
    put_ms(&data, "duration_ms", -1);
    put_str(&data, "transcript", words);
    say(r, c, "voicemail", &id, (struct text *const[2]){ &data, NULL });
}

static void put_ids(struct text *t, const struct callref *c)
{
    char room[sizeof "call_" + PAT_ID_LEN];
    struct text ids;

    snprintf(room, sizeof room, "call_%s", c->call.s);
    text_init(&ids);
    put_str(&ids, "carrier_call_id", c->carrier_call);
    put_or_null(&ids, "retell_call_id", c->retell_call);
    put_str(&ids, "livekit_room", c->tried & 1u << STACK_LIVEKIT ? room : NULL);
    put_key(t, "ids");
    pat_buf_add(&t->b, ids.b.data, ids.b.len);
    pat_buf_add(&t->b, "}", 1);
    text_fini(&ids);
}

void record_ended(struct router *r, const struct callref *c, const struct record_end *e)
{
    struct pat_id id = pat_event_id_once(c->call.s, "ended");
    int64_t whole_ms = pat_unix_ms() - c->offered_ms;
    bool again = pat_journal_told(r->journal, &id); /* by the Dial's result, then by the status */
    struct text data, facts;

    about(&data, c);
    put_str(&data, "stack", c->stack == STACK_NONE ? NULL : stack_name(c->stack));
    put_str(&data, "reason", e->reason);
    put_str(&data, "owner", e->owner);
    put_int(&data, "duration_ms", whole_ms < 0 ? 0 : whole_ms);
    put_ms(&data, "talk_ms", e->talk_ms);
    put_ids(&data, c);
    call_facts(&facts, r, c, "ended");
    put_str(&facts, "ended_reason", e->reason);
    put_str(&facts, "ended_owner", e->owner);
    if (e->outcome)
        put_str(&facts, "outcome", e->outcome);
    if (e->talk_ms >= 0)
        put_int(&facts, "duration_ms", e->talk_ms);
    put_time(&facts, "ended_at", pat_unix_ms());
    say(r, c, "ended", &id, (struct text *const[2]){ &data, &facts });
    if (again)
        return;
    pat_log(PAT_INFO, "call.ended", PAT_S("call", c->call.s), PAT_S("user", c->user),
            PAT_S("stack", stack_name(c->stack)), PAT_S("reason", e->reason),
            PAT_S("owner", e->owner), PAT_I("talk_ms", e->talk_ms));
}
