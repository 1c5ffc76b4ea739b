/* api.c - the read API: who may ask for what, and the questions themselves.
 *
 * A user sees his own stack, an admin everybody's; calls are calls.h's. The answers' shapes are in
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
    "jsonb_agg(r.number order by r.number) from patchbay.routes r where r.user_id = c.user_id "    \
    "and r.agent_config_id = c.agent_config_id and r.is_active), '[]')) "                          \
    "order by c.agent_config_id) as agents "                                                       \
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

/* ------------------------------------------------------------------ */

static void on_openapi(struct pat_httpd_req *http, void *arg)
{
    (void)arg;
    (void)pat_httpd_set_header(http, "Cache-Control", "public, max-age=60");
    pat_httpd_allow_gzip(http);
    pat_httpd_reply(http, 200, "application/json", openapi_json, openapi_json_len);
}

int api_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/openapi.json", 0, on_openapi },
        { "GET", "/v1/me/stack", 0, on_my_stack },
        { "GET", "/v1/users/{id}/stack", 0, on_user_stack },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
