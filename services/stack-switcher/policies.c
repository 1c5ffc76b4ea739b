/* policies.c - a user's policies over HTTP: see policies.h.
 *
 * Postgres compares versions and writes (patchbay.put_policies); its trigger tells the routers.
 */
#include "policies.h"

#include "ask.h"
#include "door.h"
#include "policies_check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 5000
#define BODY_MAX   ((size_t)256 << 10)

struct visit {
    struct switcher *s;
    struct pat_httpd_req *http;
    int64_t started_us;
};

static void reply_policies(struct pat_httpd_req *http, const struct pat_json *policies)
{
    char etag[32];

    snprintf(etag, sizeof etag, "\"%lld\"", (long long)pat_json_int_or(policies, "version", 0));
    (void)pat_httpd_set_header(http, "ETag", etag);
    pat_httpd_reply_json(http, 200, policies);
}

/* {"policies": ...}, or {"version": n}: it is another one by now. */
static int reply_row(struct pat_httpd_req *http, const char *text)
{
    PAT_AUTO_JSON j = NULL;
    const struct pat_json *policies;

    if (pat_json_parse(&j, text, strlen(text), NULL))
        return PAT_EINTERNAL;
    policies = pat_json_at(j, "policies");
    if (policies)
        reply_policies(http, policies);
    else
        door_stale(http);
    return PAT_OK;
}

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct visit *v = arg;
    const char *text = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    pat_histogram_observe(v->s->reply_s, (double)(pat_now_us() - v->started_us) / 1e6);
    if (!err && !text)
        pat_httpd_reply_error(v->http, PAT_ENOENT, NULL, "no such user");
    else if (!err)
        err = reply_row(v->http, text);
    if (err) {
        pat_log(PAT_ERROR, "api.not_answered", PAT_S("question", "policies"), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        pat_httpd_reply_error(v->http,
                              err == PAT_EINTERNAL || err == PAT_EINVAL ? err : PAT_EUNAVAIL, NULL,
                              "the database did not take it, try again");
    }
    free(v);
}

static void ask_postgres(struct switcher *s, struct pat_httpd_req *http, const char *name,
                         const char *sql, const char *const *params, int n)
{
    struct visit *v = calloc(1, sizeof *v);
    int err = PAT_ENOMEM;

    if (v) {
        *v = (struct visit){ s, http, pat_now_us() };
        err = pat_db_run1(s->d->db, name, sql, params, n, TIMEOUT_MS, on_row, v, NULL);
    }
    if (!err)
        return;
    free(v);
    pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

static void on_get(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        "select jsonb_build_object('policies', patchbay.policies_of(u.id)) from public.users u "
        "where u.id = $3::uuid and " ASK_MAY_SEE("u.id");
    struct who who;
    const char *id;

    if (door_who(&who, arg, http) || !(id = door_id(http)))
        return;
    ask_postgres(arg, http, "policies_of", sql,
                 (const char *[]){ *who.user ? who.user : NULL, who.admin ? "true" : "false", id },
                 3);
}

/* ------------------------------------------------------------------ writing */

static void write_policies(struct switcher *s, struct pat_httpd_req *http, bool replace)
{
    static const char sql[] =
        "select patchbay.put_policies(u.id, $4::jsonb, $5::boolean, $6::bigint, $1::uuid) "
        "from public.users u where u.id = $3::uuid and " ASK_MAY_SEE("u.id");
    struct who who;
    char text[DOOR_VERSION_MAX];
    const char *id, *version;
    PAT_AUTO_STR body = NULL;

    if (door_who(&who, s, http) || !(id = door_id(http)) ||
        door_match(http, replace, text, &version) || !(body = door_text(http, policies_check)))
        return;
    ask_postgres(s, http, "put_policies", sql,
                 (const char *[]){ *who.user ? who.user : NULL, who.admin ? "true" : "false", id,
                                   body, replace ? "true" : "false", version },
                 6);
}

static void on_put(struct pat_httpd_req *http, void *arg)
{
    write_policies(arg, http, true);
}

static void on_patch(struct pat_httpd_req *http, void *arg)
{
    write_policies(arg, http, false);
}

int policies_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/users/{id}/policies", 0, on_get },
        { "PUT", "/v1/users/{id}/policies", BODY_MAX, on_put },
        { "PATCH", "/v1/users/{id}/policies", BODY_MAX, on_patch },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
