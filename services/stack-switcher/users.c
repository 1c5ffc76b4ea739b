/* users.c - who there is: GET /v1/me, and for admins GET /v1/users with search, filter and paging.
 */
#include "ask.h"
#include "door.h"

#include <string.h>

static void on_me(struct pat_httpd_req *http, void *arg)
{
    /* One row whoever asks: a token may be of somebody Pat has no row of. */
    static const char sql[] =
        "select jsonb_build_object('user_id', $1::uuid, 'admin', " ASK_IS_ADMIN
        ", 'name', u.name, 'email', u.email, 'has_agent', exists (select from "
        "public.agent_configs c where c.user_id = $1::uuid)) from (select) x left join "
        "public.users u on u.id = $1::uuid";
    struct who who;

    if (!door_who(&who, arg, http))
        ask(arg, http, &who, &(struct question){ .name = "me", .sql = sql });
}

/* $3 limit, $4 after (a user's id), $5 search, $6 stack. Ordered by name, so that a person finds
 * his way; the id decides between two of one name. */
static const char users_sql[] =
    "with typed as materialized (select patchbay.like_of($5::text) as pattern), "
    "found as (select u.id, u.name, u.email, c.id as config, c.active_voice_stack as stack, "
    "u.created_at from typed t cross join public.users u left join public.agent_configs c on "
    "c.user_id = u.id where ($5::text is null or u.name ilike t.pattern or u.email ilike t.pattern "
    "or u.id::text = $5 or exists (select from public.service_numbers n where n.user_id = u.id "
    "and n.phone_number like t.pattern)) "
    "and ($6::text is null or c.active_voice_stack::text = $6)), "
    "page as (select f.* from found f where $4::uuid is null or (lower(f.name), f.id) > (select "
    "lower(b.name), b.id from public.users b where b.id = $4::uuid) order by lower(f.name), f.id "
    "limit $3::integer) "
    "select " ASK_PAGE(
        "after", "$4::uuid", "select from public.users b where b.id = $4::uuid",
        "jsonb_build_object('total', (select count(*) from found), 'users', "
        "coalesce(jsonb_agg(jsonb_build_object('id', p.id, 'name', p.name, 'email', p.email, "
        "'stack', p.stack, 'agent_config_id', p.config, 'number', (select min(n.phone_number) "
        "from public.service_numbers n where n.user_id = p.id and n.is_active), 'created_at', "
        "p.created_at, 'last_call_at', k.offered_at, 'calls_30d', coalesce(k.n, 0)) "
        "order by lower(p.name), p.id), '[]'), 'next', case when count(*) = $3::integer then "
        "(array_agg(p.id order by lower(p.name) desc, p.id desc))[1] end)") " from page p left join "
                                                                            "lateral (select max(x.offered_at) as offered_at, count(*) as n from patchbay.calls x where "
                                                                            "x.user_id = p.id and x.offered_at > now() - interval '30 days') k on true "
                                                                            "where " ASK_IS_ADMIN
                                                                            " having " ASK_IS_ADMIN;

static const char *stack_filter(struct pat_httpd_req *http, bool *bad)
{
    const char *s = pat_httpd_query_param(http, "stack");

    *bad = s && strcmp(s, "retell") != 0 && strcmp(s, "livekit") != 0;
    return s;
}

static void on_users(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    struct page page;
    const char *stack, *search;
    bool bad;

    if (door_who(&who, arg, http) || door_page(&page, http, "after"))
        return;
    stack = stack_filter(http, &bad);
    if (bad) {
        pat_httpd_reply_error(http, PAT_EINVAL, "stack", "retell or livekit");
        return;
    }
    search = pat_httpd_query_param(http, "search");
    ask(arg, http, &who,
        &(struct question){ .name = "users",
                            .sql = users_sql,
                            .params = { page.limit, *page.before ? page.before : NULL,
                                        search && *search ? search : NULL, stack },
                            .n = 4,
                            .admins_only = true });
}

int users_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/me", 0, on_me },
        { "GET", "/v1/users", 0, on_users },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
