/* api.c - the read API: who may ask for what, and the questions themselves.
 *
 * A user sees his own calls and stack, an admin everybody's. The answers' shapes are in
 * openapi.json.
 */
#include "ask.h"
#include "door.h"
#include "stacks.h"

#include <string.h>

/* ------------------------------------------------------------------ stacks */

static void describe_agents(struct pat_json *answer)
{
    /* The tree is ours: ask.c has just parsed it. */
    PAT_JSON_EACH(agent, pat_json_at(answer, "agents"))
    stacks_describe((struct pat_json *)agent);
}

#define STACK_SQL                                                                                  \
    "select jsonb_build_object('user_id', u.id, 'stack', g.agents -> 0 -> 'stack', "               \
    "'agents', coalesce(g.agents, '[]')) from public.users u left join lateral ("                  \
    "select jsonb_agg(jsonb_build_object('agent_config_id', c.agent_config_id, 'name', "           \
    "c.agent_name, 'stack', c.active_voice_stack, 'config_version', c.version, 'is_active', "      \
    "c.is_active, 'on_retell', c.retell_agent_id is not null, 'on_livekit', "                      \
    "c.active_voice_stack = 'livekit' or c.stack_config ? 'livekit', 'numbers', coalesce((select " \
    "jsonb_agg(r.number order by r.number) from patchbay.routes r where r.agent_config_id = "      \
    "c.agent_config_id and r.is_active), '[]')) order by c.agent_config_id) as agents "            \
    "from patchbay.agent_settings c where c.user_id = u.id) g on true "                            \
    "where u.id = $3::uuid and " ASK_MAY_SEE("u.id")

static void reply_stack(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
                        const char *user)
{
    ask(s, http, who,
        &(struct question){ .name = "user_stack",
                            .sql = STACK_SQL,
                            .params = { user },
                            .n = 1,
                            .shape = describe_agents });
}

static void on_my_stack(struct pat_httpd_req *http, void *arg)
{
    struct who who;

    if (door_who(&who, arg, http))
        return;
    if (*who.user)
        reply_stack(arg, http, &who, who.user);
    else
        pat_httpd_reply_error(http, PAT_ENOENT, NULL, "a service has no stack");
}

static void on_user_stack(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    const char *user;

    if (!door_who(&who, arg, http) && (user = door_id(http)))
        reply_stack(arg, http, &who, user);
}

/* ------------------------------------------------------------------ calls */

#define CALL_JSON                                                                                  \
    "jsonb_build_object('id', c.id, 'user_id', c.user_id, 'agent_config_id', c.agent_config_id, "  \
    "'direction', c.direction, 'from', c.from_number, 'to', c.to_number, 'stack', c.stack, "       \
    "'fallback', c.fallback, 'state', c.state, 'outcome', c.outcome, 'offered_at', c.offered_at, " \
    "'answered_at', c.answered_at, 'ended_at', c.ended_at, 'ended_reason', c.ended_reason, "       \
    "'ended_owner', c.ended_owner, 'duration_ms', c.duration_ms, 'greeting_ms', c.greeting_ms, "   \
    "'config_version', c.config_version)"

#define CALLS_SQL                                                                                              \
    "with page as (select c.* from patchbay.calls c where c.user_id = $3::uuid and not "                       \
    "c.rehearsal and " ASK_MAY_SEE(                                                                            \
        "c.user_id") " and ($5::uuid is null or (c.offered_at, c.id) < "                                       \
                     "(select b.offered_at, b.id from patchbay.calls b where b.id = $5::uuid and b.user_id = " \
                     "$3::uuid)) order by c.offered_at desc, c.id desc limit $4::integer) "                    \
                     "select " ASK_PAGE(                                                                       \
                         "before", "$5::uuid",                                                                 \
                         "select from patchbay.calls b where b.id = $5::uuid "                                 \
                         "and b.user_id = $3::uuid and " ASK_MAY_SEE("b.user_id"),                             \
                         "jsonb_build_object('calls', coalesce(jsonb_agg(" CALL_JSON                           \
                         " order by c.offered_at desc, c.id desc), '[]'), 'next', case when count(*) = "       \
                         "$4::integer then (array_agg(c.id order by c.offered_at, c.id))[1] end)") " from page c"

static void on_calls(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    struct page page;
    const char *user;

    if (door_who(&who, arg, http) || door_page(&page, http, "before"))
        return;
    user = pat_httpd_query_param(http, "user_id");
    if (user ? !pat_id_valid(user) : !*who.user) {
        pat_httpd_reply_error(http, PAT_EINVAL, "user_id", "must be the id of a user");
        return;
    }
    ask(arg, http, &who,
        &(struct question){
            .name = "calls_of",
            .sql = CALLS_SQL,
            .params = { user ? user : who.user, page.limit, *page.before ? page.before : NULL },
            .n = 3 });
}

static void ask_about_call(struct switcher *s, struct pat_httpd_req *http, const char *name,
                           const char *sql)
{
    struct who who;
    const char *id;

    if (!door_who(&who, s, http) && (id = door_id(http)))
        ask(s, http, &who,
            &(struct question){ .name = name, .sql = sql, .params = { id }, .n = 1 });
}

static void on_call(struct pat_httpd_req *http, void *arg)
{
    ask_about_call(arg, http, "call_by_id",
                   "select " CALL_JSON
                   " || jsonb_build_object('carrier_call_id', c.carrier_call_id, 'retell_call_id', "
                   "c.retell_call_id, 'livekit_room', c.livekit_room, 'sip_target', "
                   "split_part(c.sip_target, '?', 1)) from patchbay.calls c where c.id = $3::uuid "
                   "and " ASK_MAY_SEE("c.user_id"));
}

static void on_events(struct pat_httpd_req *http, void *arg)
{
    ask_about_call(
        arg, http, "call_events",
        "select jsonb_build_object('call_id', c.id, 'events', coalesce((select "
        "jsonb_agg(jsonb_build_object('id', e.id, 'type', e.type, 'time', e.occurred_at, 'data', "
        "e.data - array['call_id', 'user_id']) order by e.occurred_at, e.id) from (select * from "
        "patchbay.call_events x where x.call_id = c.id order by x.occurred_at, x.id limit 2000) "
        "e), '[]')) from patchbay.calls c where c.id = $3::uuid and " ASK_MAY_SEE("c.user_id"));
}

/* ------------------------------------------------------------------ */

static void on_openapi(struct pat_httpd_req *http, void *arg)
{
    (void)arg;
    (void)pat_httpd_set_header(http, "Cache-Control", "public, max-age=60");
    pat_httpd_reply(http, 200, "application/json", openapi_json, openapi_json_len);
}

int api_routes(struct switcher *s)
{
    static const struct {
        const char *path;
        pat_httpd_fn *fn;
    } table[] = {
        { "/openapi.json", on_openapi }, { "/v1/calls", on_calls },
        { "/v1/calls/{id}", on_call },   { "/v1/calls/{id}/events", on_events },
        { "/v1/me/stack", on_my_stack }, { "/v1/users/{id}/stack", on_user_stack },
    };
    int err = PAT_OK;

    for (size_t i = 0; i < sizeof table / sizeof table[0] && !err; i++)
        err = pat_httpd_route(s->httpd, "GET", table[i].path, 0, table[i].fn, s);
    return err;
}
