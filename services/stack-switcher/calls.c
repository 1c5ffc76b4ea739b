/* calls.c - calls by HTTP: lists with filters, those under way, one with all that is known of it.
 *
 * A user sees his own, an admin everybody's (?all=true) or anybody's (?user_id=). What a list is
 * filtered by travels as one JSON parameter; only what an index is for is a parameter of its own.
 */
#include "calls.h"

#include "ask.h"
#include "calls_query.h"
#include "door.h"

#include <string.h>

#define CALL_JSON                                                                                  \
    "jsonb_build_object('id', c.id, 'user_id', c.user_id, 'agent_config_id', c.agent_config_id, "  \
    "'direction', c.direction, 'from', c.from_number, 'to', c.to_number, 'stack', c.stack, "       \
    "'fallback', c.fallback, 'state', c.state, 'outcome', c.outcome, 'offered_at', c.offered_at, " \
    "'answered_at', c.answered_at, 'ended_at', c.ended_at, 'ended_reason', c.ended_reason, "       \
    "'ended_owner', c.ended_owner, 'duration_ms', c.duration_ms, 'greeting_ms', c.greeting_ms, "   \
    "'config_version', c.config_version)"

/* $3 limit, $4 before, $5 the filters, $6 the user (or the number's end, for everybody's). */
#define FILTERS                                                                                    \
    " and not c.rehearsal and ($5::jsonb ->> 'stack' is null or c.stack::text = $5::jsonb ->> "    \
    "'stack') and ($5::jsonb ->> 'state' is null or case when $5::jsonb ->> 'state' = 'live' "     \
    "then c.state <> 'ended' else c.state = $5::jsonb ->> 'state' end) and ($5::jsonb ->> "        \
    "'outcome' is null or c.outcome = $5::jsonb ->> 'outcome') and ($5::jsonb ->> 'since' is "     \
    "null or c.offered_at >= ($5::jsonb ->> 'since')::timestamptz) and ($5::jsonb ->> 'until' is " \
    "null or c.offered_at < ($5::jsonb ->> 'until')::timestamptz) "
/* Four digits are looked up, the rest is compared. */
#define NUMBER                                                                                     \
    "((right(c.from_number, 4) = right($5::jsonb ->> 'number', 4) and c.from_number like '%' || "  \
    "($5::jsonb ->> 'number')) or (right(c.to_number, 4) = right($5::jsonb ->> 'number', 4) and "  \
    "c.to_number like '%' || ($5::jsonb ->> 'number')))"
#define LIST(whose, number, before, known)                                                         \
    "with page as (select c.* from patchbay.calls c where " whose " and " number FILTERS           \
    "and ($4::uuid is null or (c.offered_at, c.id) < (select b.offered_at, b.id from "             \
    "patchbay.calls b where b.id = $4::uuid" before ")) "                                          \
    "order by c.offered_at desc, c.id desc limit $3::integer) "                                    \
    "select " ASK_PAGE(                                                                            \
        "before", "$4::uuid", "select from patchbay.calls b where b.id = $4::uuid" known,          \
        "jsonb_build_object('calls', coalesce(jsonb_agg(" CALL_JSON                                \
        " || jsonb_build_object('user_name', (select u.name from public.users u where u.id = "     \
        "c.user_id), 'recorded', exists (select from patchbay.recordings r where r.call_id = "     \
        "c.id and r.name = 'recording' and r.state = 'stored') or exists (select from "            \
        "patchbay.remote_recordings m where m.call_id = c.id)) order by c.offered_at desc, "       \
        "c.id desc), '[]'), 'next', case when count(*) = $3::integer then (array_agg(c.id order "  \
        "by c.offered_at, c.id))[1] end)") " from page c"
#define MINE     "c.user_id = $6::uuid and " ASK_MAY_SEE("c.user_id")
#define MY_START " and b.user_id = $6::uuid"
#define MY_KNOWN MY_START " and " ASK_MAY_SEE("b.user_id")

static const char mine_sql[] = LIST(MINE, "true", MY_START, MY_KNOWN);
static const char mine_number_sql[] = LIST(MINE, NUMBER, MY_START, MY_KNOWN);
static const char all_sql[] =
    LIST(ASK_IS_ADMIN, "$6::uuid is null", "", "") " having " ASK_IS_ADMIN;
static const char all_number_sql[] =
    LIST(ASK_IS_ADMIN " and $6::uuid is null", NUMBER, "", "") " having " ASK_IS_ADMIN;

static void list(struct switcher *s, struct pat_httpd_req *http, const struct calls_query *q,
                 const struct who *who)
{
    bool by_number = pat_json_at(q->filters, "number") != NULL;
    PAT_AUTO_STR filters = pat_json_print(q->filters);
    struct question ask_for = { .params = { q->page.limit, *q->page.before ? q->page.before : NULL,
                                            filters, q->all ? NULL : q->user },
                                .n = 4,
                                .tagged = true,
                                .admins_only = q->all };

    if (!filters) {
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, NULL);
        return;
    }
    ask_for.name = q->all      ? by_number ? "calls_all_number" : "calls_all"
                   : by_number ? "calls_number"
                               : "calls_of";
    ask_for.sql = q->all      ? by_number ? all_number_sql : all_sql
                  : by_number ? mine_number_sql
                              : mine_sql;
    ask(s, http, who, &ask_for);
}

static void on_calls(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    struct calls_query q;
    const char *field, *what;

    if (door_who(&who, arg, http))
        return;
    if (calls_query_read(&q, http, *who.user ? who.user : NULL, &field, &what))
        pat_httpd_reply_error(http, PAT_EINVAL, field, what);
    else
        list(arg, http, &q, &who);
    calls_query_free(&q);
}

/* ------------------------------------------------------------------ one */

static void put_meaning(struct pat_json *j, const char *word)
{
    const struct pat_end_reason *r = pat_end_reason_find(word);

    pat_json_set_str(j, "ended_means", r ? r->means : NULL);
}

static void describe_call(struct pat_json *call)
{
    put_meaning(call, pat_json_str_or(call, "ended_reason", NULL));
}

static void on_call(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        "select " CALL_JSON
        " || jsonb_build_object('carrier_call_id', c.carrier_call_id, 'retell_call_id', "
        "c.retell_call_id, 'livekit_room', c.livekit_room, 'sip_target', split_part(c.sip_target, "
        "'?', 1), 'user_name', (select u.name from public.users u where u.id = c.user_id), "
        "'recording', coalesce((select jsonb_build_object('state', 'remote', 'began_at', "
        "m.began_at, 'duration_ms', m.duration_ms, 'filled_ms', null, 'bytes', null) from "
        "patchbay.remote_recordings m where m.call_id = c.id), (select "
        "jsonb_build_object('state', r.state, 'began_at', r.began_at, 'duration_ms', "
        "r.duration_ms, 'filled_ms', r.filled_ms, 'bytes', r.bytes) from patchbay.recordings r "
        "where r.call_id = c.id and r.name = 'recording' and r.state <> 'deleted')), 'legs', coalesce((select jsonb_agg(jsonb_build_object('kind', l.kind, "
        "'stack', l.stack, 'state', l.state, 'began_at', l.began_at, 'answered_at', "
        "l.answered_at, 'ended_at', l.ended_at, 'end_reason', l.end_reason, 'sip_code', "
        "l.sip_code) order by l.began_at) from patchbay.call_legs l where l.call_id = c.id), "
        "'[]')) from patchbay.calls c where c.id = $3::uuid and " ASK_MAY_SEE("c.user_id");
    struct who who;
    const char *id;

    if (!door_who(&who, arg, http) && (id = door_id(http)))
        ask(arg, http, &who,
            &(struct question){ .name = "call_by_id",
                                .sql = sql,
                                .params = { id },
                                .n = 1,
                                .tagged = true,
                                .shape = describe_call });
}

/* Whatever word says why something ended also says it for people. */
static void describe_events(struct pat_json *answer)
{
    PAT_JSON_EACH(e, pat_json_at(answer, "events"))
    {
        const char *type = pat_json_str_or(e, "type", "");
        const struct pat_end_reason *r =
            !strcmp(type, "pat.call.v1.ended") || !strcmp(type, "pat.call.v1.stack_ended")
                ? pat_end_reason_find(pat_json_str_or(e, "data.reason", NULL))
                : NULL;

        if (r) /* the tree is ours: ask.c has just parsed it */
            pat_json_set_str((struct pat_json *)e, "means", r->means);
    }
}

static void on_events(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        "select jsonb_build_object('call_id', c.id, 'events', coalesce((select "
        "jsonb_agg(jsonb_build_object('id', e.id, 'type', e.type, 'time', e.occurred_at, 'data', "
        "e.data - array['call_id', 'user_id']) order by e.occurred_at, e.id) from (select * from "
        "patchbay.call_events x where x.call_id = c.id order by x.occurred_at, x.id limit 2000) "
        "e), '[]')) from patchbay.calls c where c.id = $3::uuid and " ASK_MAY_SEE("c.user_id");
    struct who who;
    const char *id;

    if (!door_who(&who, arg, http) && (id = door_id(http)))
        ask(arg, http, &who,
            &(struct question){ .name = "call_events",
                                .sql = sql,
                                .params = { id },
                                .n = 1,
                                .tagged = true,
                                .shape = describe_events });
}

int calls_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/calls", 0, on_calls },
        { "GET", "/v1/calls/{id}", 0, on_call },
        { "GET", "/v1/calls/{id}/events", 0, on_events },
        { 0 },
    };
    int err = pat_httpd_routes(s->httpd, routes, s);

    return err ? err : hangup_routes(s);
}
