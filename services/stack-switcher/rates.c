/* rates.c - the book of prices over HTTP: see rates.h. */
#include "rates.h"

#include "door.h"
#include "rates_check.h"
#include "verdict.h"

#include <stdlib.h>
#include <string.h>

#define BODY_MAX ((size_t)16 << 10)

static int check_new(const struct pat_json *doc, struct pat_json_err *why)
{
    return rates_check(doc, true, why);
}

static int check_change(const struct pat_json *doc, struct pat_json_err *why)
{
    return rates_check(doc, false, why);
}

static void judge(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
                  struct verdict *v)
{
    char *by = verdict_by(who, http);

    v->params[v->n++] = by;
    v->noun = "rate";
    v->etag = true;
    if (by)
        verdict_ask(s, http, who, v);
    else
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, NULL);
    free(by);
}

static void on_post(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        VERDICT_FOR_ADMINS("patchbay.rate_add($3::jsonb, $4::jsonb)", "$4", "rate.add");
    struct who who;
    PAT_AUTO_STR body = NULL;

    if (!door_who(&who, arg, http) && (body = door_text(http, check_new)))
        judge(arg, http, &who,
              &(struct verdict){
                  .name = "rate_add", .sql = sql, .params = { body }, .n = 1, .status = 201 });
}

static void on_patch(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] = VERDICT_FOR_ADMINS(
        "patchbay.rate_change($3::uuid, $4::bigint, $5::jsonb, $6::jsonb)", "$6", "rate.change");
    struct who who;
    const char *id, *version;
    PAT_AUTO_STR body = NULL;
    char text[DOOR_VERSION_MAX];

    if (!door_who(&who, arg, http) && (id = door_id(http)) &&
        !door_match(http, true, text, &version) && (body = door_text(http, check_change)))
        judge(arg, http, &who,
              &(struct verdict){
                  .name = "rate_change", .sql = sql, .params = { id, version, body }, .n = 3 });
}

static void on_delete(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] = VERDICT_FOR_ADMINS(
        "patchbay.rate_drop($3::uuid, $4::bigint, $5::jsonb)", "$5", "rate.drop");
    struct who who;
    const char *id, *version;
    char text[DOOR_VERSION_MAX];

    if (!door_who(&who, arg, http) && (id = door_id(http)) &&
        !door_match(http, true, text, &version))
        judge(arg, http, &who,
              &(struct verdict){
                  .name = "rate_drop", .sql = sql, .params = { id, version }, .n = 2 });
}

static void on_one(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        "select case when " ASK_IS_ADMIN " then (select jsonb_build_object('rate', x) from "
        "patchbay.rate_json($3::uuid) x where x is not null) else "
        "patchbay.rate_refused(403, 'forbidden', null, 'for admins only') end";
    struct who who;
    const char *id;

    if (!door_who(&who, arg, http) && (id = door_id(http)))
        verdict_ask(arg, http, &who,
                    &(struct verdict){ .name = "rate_json",
                                       .sql = sql,
                                       .params = { id },
                                       .n = 1,
                                       .noun = "rate",
                                       .etag = true });
}

/* ------------------------------------------------------------------ the list */

static bool one_of(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (!strcmp(s, *words))
            return true;
    return false;
}

/* As JSON text; NULL: it has replied. Yours. */
static char *read_filter(struct pat_httpd_req *http)
{
    static const char *const states[] = { "in_force", "future", "past", NULL };
    static const char *const origins[] = { "house", "shipped", NULL };
    static const char *const names[] = { "provider", "component", "state", "origin" };
    PAT_AUTO_JSON f = pat_json_obj();

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *v = pat_httpd_query_param(http, names[i]);
        const char *const *words = i == 2 ? states : i == 3 ? origins : NULL;

        if (!v || !*v)
            continue;
        if (words && !one_of(v, words)) {
            pat_httpd_reply_error(http, PAT_EINVAL, names[i],
                                  i == 2 ? "in_force, future or past" : "house or shipped");
            return NULL;
        }
        pat_json_set_str(f, names[i], v);
    }
    return pat_json_print(f);
}

static void on_list(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] = "select " ASK_PAGE(
        "after", "$5::uuid", "select where patchbay.rate_json($5::uuid) is not null",
        "patchbay.rate_list($3::jsonb, $4::integer, $5::uuid)") " where " ASK_IS_ADMIN;
    struct who who;
    struct page page;
    char *filter;

    if (door_who(&who, arg, http) || door_page(&page, http, "after"))
        return;
    filter = read_filter(http);
    if (filter)
        ask(arg, http, &who,
            &(struct question){ .name = "rate_list",
                                .sql = sql,
                                .params = { filter, page.limit, *page.before ? page.before : NULL },
                                .n = 3,
                                .admins_only = true });
    free(filter);
}

int rates_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/rates", 0, on_list },
        { "POST", "/v1/rates", BODY_MAX, on_post },
        { "GET", "/v1/rates/{id}", 0, on_one },
        { "PATCH", "/v1/rates/{id}", BODY_MAX, on_patch },
        { "DELETE", "/v1/rates/{id}", 0, on_delete },
        { 0 },
    };
    int err = pat_httpd_routes(s->httpd, routes, s);

    return err ? err : rerate_routes(s);
}
