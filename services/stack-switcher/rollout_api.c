/* rollout_api.c - rollouts by HTTP: plan, start, watch, pause, resume, promote, abort, roll back,
 * report.
 *
 * For admins only; whoever else tries is refused, and that is written down. The answers' shapes are
 * in openapi.json.
 */
#include "ask.h"
#include "change.h"
#include "door.h"

#include <stdlib.h>
#include <string.h>

/* ROLLOUT_USERS_MAX ids, and the rest. */
#define BODY_MAX ((size_t)512 << 10)

struct asked {
    struct pat_httpd_req *http;
    bool plan; /* the plan itself is the answer */
};

static void on_changed(int err, const struct pat_json *reply, void *arg)
{
    struct asked a = *(struct asked *)arg;
    int refused = err && !reply ? PAT_OK : switch_reply_err(reply);
    const struct pat_json *w = pat_json_at(reply, "rollout");

    free(arg);
    if (refused)
        pat_httpd_reply_error(
            a.http, refused,
            !strcmp(pat_json_str_or(reply, "error", ""), "mismatch") ? "Idempotency-Key" : NULL,
            pat_json_str_or(reply, "message", "no such thing"));
    else if (err || (!w && !a.plan))
        pat_httpd_reply_error(a.http, PAT_EUNAVAIL, NULL, "the database did not answer, try again");
    else
        pat_httpd_reply_json(a.http, a.plan ? 200 : 202, a.plan ? reply : w);
}

/* p is taken. */
static void ask_for(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
                    const char *op, struct pat_json *p_take)
{
    struct asked *a = malloc(sizeof *a);
    bool plan = !strcmp(op, "plan");
    int err = PAT_ENOMEM;

    if (a) {
        *a = (struct asked){ http, plan };
        err = plan ? rollout_plan(s->switches, p_take, who->admin, on_changed, a)
                   : rollout_request(s->d->db, op, p_take, who->admin, on_changed, a);
    }
    pat_json_free(p_take);
    if (!err)
        return;
    free(a);
    pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

/* ------------------------------------------------------------------ start, plan */

static void add(struct pat_json *to, const struct pat_json *from)
{
    PAT_JSON_EACH(m, from)
    pat_json_set_take(to, pat_json_key(m), pat_json_dup(m));
}

static void begin(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
                  const struct pat_json *body)
{
    const char *key, *field, *what;
    bool plan;
    struct pat_json *p = NULL;
    PAT_AUTO_JSON about = NULL;

    if (!change_head(&key, &plan, http))
        return;
    if (rollout_read(&p, body, s->conf->saga.window_ms, &field, &what)) {
        pat_httpd_reply_error(http, PAT_EINVAL, field, what);
        return;
    }
    about = change_about(who, http, pat_json_str_or(body, "why", NULL));
    add(p, about);
    pat_json_set_str(p, "id", pat_id_new().s);
    pat_json_set_str(p, "key", key);
    pat_json_set_int(p, "users_max", ROLLOUT_USERS_MAX);
    ask_for(s, http, who, plan ? "plan" : "start", p);
}

static void on_start(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    PAT_AUTO_JSON body = NULL;

    if (!door_who(&who, arg, http) && (body = door_body(http)))
        begin(arg, http, &who, body);
}

/* ------------------------------------------------------------------ wishes */

static void wish(struct switcher *s, struct pat_httpd_req *http, const char *what)
{
    struct who who;
    const char *id;
    PAT_AUTO_JSON body = NULL;
    struct pat_json *p;

    if (door_who(&who, s, http) || !(id = door_id(http)) || !(body = door_body(http)))
        return;
    p = change_about(&who, http, pat_json_str_or(body, "why", NULL));
    pat_json_set_str(p, "id", id);
    pat_json_set_str(p, "wish", what);
    ask_for(s, http, &who, "wish", p);
}

static void on_pause(struct pat_httpd_req *http, void *arg)
{
    wish(arg, http, "pause");
}

static void on_resume(struct pat_httpd_req *http, void *arg)
{
    wish(arg, http, "resume");
}

static void on_promote(struct pat_httpd_req *http, void *arg)
{
    wish(arg, http, "promote");
}

static void on_abort(struct pat_httpd_req *http, void *arg)
{
    wish(arg, http, "abort");
}

static void on_rollback(struct pat_httpd_req *http, void *arg)
{
    wish(arg, http, "rollback");
}

/* ------------------------------------------------------------------ looking */

/* A rollout is nobody's: only admins may see it. */
#define ONE_SQL(what)                                                                              \
    "select " what " from patchbay.rollouts r where r.id = $3::uuid and " ASK_IS_ADMIN

static const char picture_sql[] = ONE_SQL("patchbay.rollout_json(r)");
static const char report_sql[] = ONE_SQL("patchbay.rollout_report(r)");

/* $3 limit, $4 before. */
static const char list_sql[] =
    "with page as (select r.* from patchbay.rollouts r where $4::uuid is null or (r.created_at, "
    "r.id) < (select b.created_at, b.id from patchbay.rollouts b where b.id = $4::uuid) "
    "order by r.created_at desc, r.id desc limit $3::integer) "
    "select " ASK_PAGE(
        "before", "$4::uuid", "select from patchbay.rollouts b where b.id = $4::uuid",
        "jsonb_build_object('rollouts', coalesce(jsonb_agg(patchbay.rollout_json(page) - "
        "array['log', 'gates', 'rules'] order by page.created_at desc, page.id desc), '[]'), 'next', "
        "case when count(*) = $3::integer then (array_agg(page.id order by page.created_at, "
        "page.id))[1] end)") " from page where " ASK_IS_ADMIN " having " ASK_IS_ADMIN;

/* $3 rollout, $4 limit, $5 after (a user's id), $6 state. */
static const char users_sql[] =
    "with page as (select u.* from patchbay.rollout_users u where u.rollout_id = $3::uuid and "
    "($6::text is null or u.state = $6) and u.seq > coalesce((select b.seq from "
    "patchbay.rollout_users b where b.rollout_id = $3::uuid and b.user_id = $5::uuid), 0) "
    "order by u.seq limit $4::integer) select " ASK_PAGE(
        "after", "$5::uuid",
        "select from patchbay.rollout_users b where b.rollout_id = $3::uuid and b.user_id = $5::uuid",
        "jsonb_build_object('users', "
        "coalesce(jsonb_agg(patchbay.rollout_user_json(page) order by page.seq), '[]'), 'next', case "
        "when count(*) = $4::integer then (array_agg(page.user_id order by page.seq desc))[1] end)") " from page where " ASK_IS_ADMIN
                                                                                                     " having " ASK_IS_ADMIN
                                                                                                     " and exists (select from patchbay.rollouts r where r.id = $3::uuid)";

static const struct feed_kind feed_rollout = { "rollout", "rollout_by_id", picture_sql };

static void on_list(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    struct page page;

    if (!door_who(&who, arg, http) && !door_page(&page, http, "before"))
        ask(arg, http, &who,
            &(struct question){ .name = "rollouts",
                                .sql = list_sql,
                                .params = { page.limit, *page.before ? page.before : NULL },
                                .n = 2,
                                .admins_only = true });
}

static void on_one(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    const char *id;

    if (!door_who(&who, arg, http) && (id = door_id(http)))
        ask(arg, http, &who,
            &(struct question){
                .name = "rollout_by_id", .sql = picture_sql, .params = { id }, .n = 1 });
}

static void on_report(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    const char *id;

    if (!door_who(&who, arg, http) && (id = door_id(http)))
        ask(arg, http, &who,
            &(struct question){
                .name = "rollout_report", .sql = report_sql, .params = { id }, .n = 1 });
}

static bool is_state(const char *s)
{
    static const char *const states[] = { "waiting", "moving",    "ready",    "moved", "failed",
                                          "skipped", "returning", "returned", "left",  "kept" };

    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (!strcmp(s, states[i]))
            return true;
    return false;
}

static void on_users(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    struct page page;
    const char *id, *state = pat_httpd_query_param(http, "state");

    if (door_who(&who, arg, http) || !(id = door_id(http)) || door_page(&page, http, "after"))
        return;
    if (state && !is_state(state))
        pat_httpd_reply_error(http, PAT_EINVAL, "state",
                              "must be a state of a user (openapi.json)");
    else
        ask(arg, http, &who,
            &(struct question){
                .name = "rollout_users",
                .sql = users_sql,
                .params = { id, page.limit, *page.before ? page.before : NULL, state },
                .n = 4 });
}

static void on_events(struct pat_httpd_req *http, void *arg)
{
    struct switcher *s = arg;
    struct who who;
    const char *id;

    if (!door_who(&who, s, http) && (id = door_id(http)))
        feed_open(s->feed, http, &feed_rollout, id, &who);
}

int rollout_api_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/rollouts", 0, on_list },
        { "POST", "/v1/rollouts", BODY_MAX, on_start },
        { "GET", "/v1/rollouts/{id}", 0, on_one },
        { "POST", "/v1/rollouts/{id}/abort", BODY_MAX, on_abort },
        { "GET", "/v1/rollouts/{id}/events", 0, on_events },
        { "POST", "/v1/rollouts/{id}/pause", BODY_MAX, on_pause },
        { "POST", "/v1/rollouts/{id}/promote", BODY_MAX, on_promote },
        { "GET", "/v1/rollouts/{id}/report", 0, on_report },
        { "POST", "/v1/rollouts/{id}/resume", BODY_MAX, on_resume },
        { "POST", "/v1/rollouts/{id}/rollback", BODY_MAX, on_rollback },
        { "GET", "/v1/rollouts/{id}/users", 0, on_users },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
