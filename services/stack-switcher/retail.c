/* retail.c - what customers are charged: prices a minute by tier, and who is on which tier.
 *
 * GET, POST /v1/retail; DELETE /v1/retail/{id}; GET, PUT /v1/users/{id}/tier. A user sees his own
 * tier; the rest is for admins. Nothing is charged here: sums of usage say what is to be. What may
 * be is Postgres' to say (patchbay.retail_add and its kin).
 */
#include "door.h"
#include "rates.h"
#include "rates_check.h"
#include "verdict.h"

#include <stdlib.h>

#define BODY_MAX ((size_t)4 << 10)

/* With who asks as the last parameter. */
static void judge(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
                  struct verdict *v)
{
    char *by = verdict_by(who, http);

    v->params[v->n++] = by;
    if (by)
        verdict_ask(s, http, who, v);
    else
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, NULL);
    free(by);
}

static void on_list(struct pat_httpd_req *http, void *arg)
{
    struct who who;

    if (!door_who(&who, arg, http))
        ask(arg, http, &who,
            &(struct question){ .name = "retail_list",
                                .sql = "select patchbay.retail_list() where " ASK_IS_ADMIN,
                                .admins_only = true });
}

static void on_post(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        VERDICT_FOR_ADMINS("patchbay.retail_add($3::jsonb, $4::jsonb)", "$4", "retail.add");
    struct who who;
    PAT_AUTO_STR body = NULL;

    if (!door_who(&who, arg, http) && (body = door_text(http, retail_check)))
        judge(arg, http, &who,
              &(struct verdict){ .name = "retail_add",
                                 .sql = sql,
                                 .params = { body },
                                 .n = 1,
                                 .noun = "price",
                                 .status = 201 });
}

static void on_delete(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        VERDICT_FOR_ADMINS("patchbay.retail_drop($3::uuid, $4::jsonb)", "$4", "retail.drop");
    struct who who;
    const char *id;

    if (!door_who(&who, arg, http) && (id = door_id(http)))
        judge(arg, http, &who,
              &(struct verdict){
                  .name = "retail_drop", .sql = sql, .params = { id }, .n = 1, .noun = "price" });
}

static void on_tier(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    const char *id;

    if (!door_who(&who, arg, http) && (id = door_id(http)))
        ask(arg, http, &who,
            &(struct question){ .name = "tier_json",
                                .sql = "select patchbay.tier_json(u.id) from public.users u where "
                                       "u.id = $3::uuid and " ASK_MAY_SEE("u.id"),
                                .params = { id },
                                .n = 1 });
}

static void on_put_tier(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] = VERDICT_FOR_ADMINS(
        "patchbay.put_tier($3::uuid, $4::jsonb ->> 'tier', $5::jsonb)", "$5", "retail.tier");
    struct who who;
    const char *id;
    PAT_AUTO_STR body = NULL;

    if (!door_who(&who, arg, http) && (id = door_id(http)) && (body = door_text(http, tier_check)))
        judge(arg, http, &who,
              &(struct verdict){
                  .name = "put_tier", .sql = sql, .params = { id, body }, .n = 2, .noun = "tier" });
}

int retail_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/retail", 0, on_list },
        { "POST", "/v1/retail", BODY_MAX, on_post },
        { "DELETE", "/v1/retail/{id}", 0, on_delete },
        { "GET", "/v1/users/{id}/tier", 0, on_tier },
        { "PUT", "/v1/users/{id}/tier", BODY_MAX, on_put_tier },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
