/* budget_api.c - what a user may spend: GET and PUT /v1/users/{id}/budget.
 *
 * A user sees his own; admins see and set anybody's. What it does is the routers' (their budget.h)
 * and Postgres' (patchbay.put_budget).
 */
#include "door.h"
#include "rates.h"
#include "rates_check.h"
#include "verdict.h"

#include <stdlib.h>

#define BODY_MAX ((size_t)4 << 10)

static void on_get(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        "select jsonb_build_object('budget', patchbay.budget_json(u.id)) from "
        "public.users u where u.id = $3::uuid and " ASK_MAY_SEE("u.id");
    struct who who;
    const char *id;

    if (!door_who(&who, arg, http) && (id = door_id(http)))
        verdict_ask(arg, http, &who,
                    &(struct verdict){ .name = "budget_json",
                                       .sql = sql,
                                       .params = { id },
                                       .n = 1,
                                       .noun = "budget",
                                       .etag = true });
}

static void on_put(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] = VERDICT_FOR_ADMINS(
        "patchbay.put_budget($3::uuid, $4::bigint, $5::jsonb, $6::jsonb)", "$6", "budget.set");
    struct who who;
    const char *id, *version;
    PAT_AUTO_STR body = NULL;
    char text[DOOR_VERSION_MAX], *by;

    if (door_who(&who, arg, http) || !(id = door_id(http)) ||
        door_match(http, true, text, &version) || !(body = door_text(http, budget_check)))
        return;
    by = verdict_by(&who, http);
    if (by)
        verdict_ask(arg, http, &who,
                    &(struct verdict){ .name = "put_budget",
                                       .sql = sql,
                                       .params = { id, version, body, by },
                                       .n = 4,
                                       .noun = "budget",
                                       .etag = true });
    else
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, NULL);
    free(by);
}

int budget_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/users/{id}/budget", 0, on_get },
        { "PUT", "/v1/users/{id}/budget", BODY_MAX, on_put },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
