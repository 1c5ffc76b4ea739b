/* switch_api.c - switching by HTTP: plan, start, watch, promote, abort, roll back.
 *
 * Only admins change anything; whoever else tries is refused, and that is written down. The
 * answers' shapes are in openapi.json.
 */
#include "ask.h"
#include "change.h"
#include "door.h"

#include <stdlib.h>
#include <string.h>

#define BODY_MAX ((size_t)16 << 10)

/* A change somebody asks for, until Postgres has answered. */
struct change {
    struct switcher *s;
    struct pat_httpd_req *http;
    bool spec; /* answered in the words of switch-voice-stack */
    bool plan; /* the plan itself is the answer */
};

/* ------------------------------------------------------------------ answers */

static void reply_refused(struct pat_httpd_req *http, const struct pat_json *reply, int err)
{
    const char *other = pat_json_str_or(reply, "switch.id", NULL);
    bool mismatch = !strcmp(pat_json_str_or(reply, "error", ""), "mismatch");
    PAT_AUTO_JSON more = other ? pat_json_obj() : NULL;

    if (other)
        pat_json_set_str(more, "switch_id", other);
    pat_httpd_reply_problem(http, &(struct pat_httpd_problem){
                                      .status = pat_err_http_status(err),
                                      .code = pat_err_name(err),
                                      .field = other && mismatch ? "Idempotency-Key" : NULL,
                                      .detail = pat_json_str_or(reply, "message", "no such thing"),
                                      .more = more });
}

static void reply_spec(struct pat_httpd_req *http, const struct pat_json *w)
{
    PAT_AUTO_JSON j = pat_json_obj();

    pat_json_set_bool(j, "success", true);
    pat_json_set_str(j, "switchId", pat_json_str_or(w, "id", ""));
    pat_json_set_str(j, "userId", pat_json_str_or(w, "user_id", ""));
    pat_json_set_str(j, "newStack", pat_json_str_or(w, "to_stack", ""));
    pat_json_set_str(j, "state", pat_json_str_or(w, "state", ""));
    pat_httpd_reply_json(http, 202, j);
}

static void on_changed(int err, const struct pat_json *reply, void *arg)
{
    struct change c = *(struct change *)arg;
    int refused = err ? PAT_OK : switch_reply_err(reply);
    const struct pat_json *w = pat_json_at(reply, "switch");

    free(arg);
    if (err == PAT_ENOENT)
        pat_httpd_reply_error(c.http, err, NULL, "no such user, or no agent of his");
    else if (refused)
        reply_refused(c.http, reply, refused);
    else if (err || (!w && !c.plan))
        pat_httpd_reply_error(c.http, PAT_EUNAVAIL, NULL, "the database did not answer, try again");
    else if (c.plan)
        pat_httpd_reply_json(c.http, 200, reply);
    else if (c.spec)
        reply_spec(c.http, w);
    else
        pat_httpd_reply_json(c.http, 202, w);
}

/* A plan that was refused comes with an error and the reply that says why. */
static void on_plan(int err, const struct pat_json *reply, void *arg)
{
    on_changed(err && reply ? PAT_OK : err, reply, arg);
}

/* p is taken. */
static void ask_for(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
                    const char *op, struct pat_json *p_take, bool spec)
{
    struct change *c = malloc(sizeof *c);
    bool plan = !strcmp(op, "facts");
    int err = PAT_ENOMEM;

    if (c) {
        *c = (struct change){ s, http, spec, plan };
        err = plan ? plan_ask(s->switches, p_take, who->admin, on_plan, c)
                   : switch_request(s->d->db, op, p_take, who->admin, on_changed, c);
    }
    pat_json_free(p_take);
    if (!err)
        return;
    free(c);
    pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

/* ------------------------------------------------------------------ start, plan */

static bool is_stack(const char *s)
{
    return !strcmp(s, "retell") || !strcmp(s, "livekit");
}

static const char *wrong_field(const struct pat_json *body, const char **what)
{
    static const struct query_kind kinds[] = {
        { "agent_config_id", PAT_JSON_STR },
        { "force", PAT_JSON_BOOL },
        { "hold", PAT_JSON_BOOL },
        { "retire", PAT_JSON_STR },
        { "verify", PAT_JSON_BOOL },
        { "why", PAT_JSON_STR },
        { NULL, PAT_JSON_NULL },
    };
    const char *config = pat_json_str_or(body, "agent_config_id", NULL);
    const char *retire = pat_json_str_or(body, "retire", "keep");
    const char *mistyped = query_mistyped(body, kinds, what);

    if (mistyped)
        return mistyped;
    *what = "must be \"retell\" or \"livekit\"";
    if (!is_stack(pat_json_str_or(body, "stack", "")))
        return "stack";
    *what = "must be a UUID";
    if (config && !pat_json_lower_id(pat_json_at(body, "agent_config_id")))
        return "agent_config_id";
    *what = "must be \"keep\" or \"delete\"";
    if (strcmp(retire, "keep") != 0 && strcmp(retire, "delete") != 0)
        return "retire";
    *what = "must be 0 to 7776000";
    if (pat_json_at(body, "keep_s") && (pat_json_int_or(body, "keep_s", -1) < 0 ||
                                        pat_json_int_or(body, "keep_s", -1) > 90 * 86400))
        return "keep_s";
    return NULL;
}

/* Seconds by the request, else as it is set. */
static int64_t keep_ms(const struct switcher *s, const struct pat_json *body)
{
    if (!strcmp(pat_json_str_or(body, "retire", "keep"), "delete"))
        return 0;
    return pat_json_at(body, "keep_s") ? pat_json_int_or(body, "keep_s", 0) * 1000
                                       : switches_conf(s->switches)->window_ms;
}

static void begin(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
                  const char *user, const struct pat_json *body, bool spec)
{
    const char *key, *what, *wrong = wrong_field(body, &what);
    bool plan;
    struct pat_json *p;

    if (!change_head(&key, &plan, http))
        return;
    if (wrong) {
        pat_httpd_reply_error(http, PAT_EINVAL, wrong, what);
        return;
    }
    p = change_about(who, http, pat_json_str_or(body, "why", NULL));
    pat_json_set_str(p, "id", pat_id_new().s);
    pat_json_set_str(p, "key", key);
    pat_json_set_str(p, "user_id", user);
    pat_json_set_str(p, "agent_config_id", pat_json_str_or(body, "agent_config_id", NULL));
    pat_json_set_str(p, "stack", pat_json_str_or(body, "stack", ""));
    pat_json_set_int(p, "keep_ms", keep_ms(s, body));
    pat_json_set_bool(p, "hold", pat_json_bool_or(body, "hold", false));
    pat_json_set_bool(p, "verify", pat_json_bool_or(body, "verify", true));
    pat_json_set_bool(p, "force", pat_json_bool_or(body, "force", false));
    ask_for(s, http, who, plan ? "facts" : "start", p, spec);
}

static void on_switch(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    const char *user;
    PAT_AUTO_JSON body = NULL;

    if (door_who(&who, arg, http) || !(user = door_id(http)) || !(body = door_body(http)))
        return;
    begin(arg, http, &who, user, body, false);
}

/* {"userId", "newStack"}: the names pages of the product know. */
static void on_spec(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    PAT_AUTO_JSON body = NULL;
    const char *user;

    if (door_who(&who, arg, http) || !(body = door_body(http)))
        return;
    user = pat_json_str_or(body, "userId", "");
    if (!pat_json_lower_id(pat_json_at(body, "userId"))) {
        pat_httpd_reply_error(http, PAT_EINVAL, "userId", "must be a UUID");
    } else if (!is_stack(pat_json_str_or(body, "newStack", ""))) {
        pat_httpd_reply_error(http, PAT_EINVAL, "newStack", "must be \"retell\" or \"livekit\"");
    } else {
        PAT_AUTO_STR owner = strdup(user);

        pat_json_set_str(body, "stack", pat_json_str_or(body, "newStack", ""));
        if (owner)
            begin(arg, http, &who, owner, body, true);
        else
            pat_httpd_reply_error(http, PAT_ENOMEM, NULL, "too much to do, try again");
    }
}

/* ------------------------------------------------------------------ abort, rollback, promote */

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
    ask_for(s, http, &who, "wish", p, false);
}

static void on_abort(struct pat_httpd_req *http, void *arg)
{
    wish(arg, http, "abort");
}

static void on_rollback(struct pat_httpd_req *http, void *arg)
{
    wish(arg, http, "rollback");
}

static void on_promote(struct pat_httpd_req *http, void *arg)
{
    wish(arg, http, "promote");
}

/* ------------------------------------------------------------------ looking */

/* A list leaves out what is long. */
#define LIST_SQL                                                                                                      \
    "with page as (select w.* from patchbay.switches w where " ASK_MAY_SEE(                                           \
        "w.user_id") " and ($3::uuid is null or w.user_id = $3::uuid) and ($6::boolean is null or "                   \
                     "(w.finished_at is null) = $6::boolean) and ($5::uuid is null or (w.created_at, w.id) < "        \
                     "(select b.created_at, b.id from patchbay.switches b where b.id = $5::uuid)) "                   \
                     "order by w.created_at desc, w.id desc limit $4::integer) "                                      \
                     "select " ASK_PAGE(                                                                              \
                         "before", "$5::uuid",                                                                        \
                         "select from patchbay.switches b where b.id = "                                              \
                         "$5::uuid and " ASK_MAY_SEE("b.user_id"),                                                    \
                         "jsonb_build_object('switches', coalesce(jsonb_agg(patchbay.switch_json(page) "              \
                         "- array['plan', 'steps', 'before', 'after'] order by page.created_at desc, page.id desc), " \
                         "'[]'), 'next', case when count(*) = $4::integer then (array_agg(page.id order by "          \
                         "page.created_at, page.id))[1] end)") " from page"

static void on_list(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    struct page page;
    const char *user, *open;

    if (door_who(&who, arg, http) || door_page(&page, http, "before"))
        return;
    user = pat_httpd_query_param(http, "user_id");
    open = pat_httpd_query_param(http, "open");
    if (user && !pat_id_valid(user)) {
        pat_httpd_reply_error(http, PAT_EINVAL, "user_id", "must be the id of a user");
    } else if (open && strcmp(open, "true") != 0 && strcmp(open, "false") != 0) {
        pat_httpd_reply_error(http, PAT_EINVAL, "open", "must be true or false");
    } else {
        ask(arg, http, &who,
            &(struct question){
                .name = "switches",
                .sql = LIST_SQL,
                .params = { user, page.limit, *page.before ? page.before : NULL, open },
                .n = 4 });
    }
}

static void on_one(struct pat_httpd_req *http, void *arg)
{
    struct who who;
    const char *id;

    if (!door_who(&who, arg, http) && (id = door_id(http)))
        ask(arg, http, &who,
            &(struct question){ .name = "switch_by_id",
                                .sql = "select patchbay.switch_json(w) from patchbay.switches w "
                                       "where w.id = $3::uuid and " ASK_MAY_SEE("w.user_id"),
                                .params = { id },
                                .n = 1 });
}

static void on_events(struct pat_httpd_req *http, void *arg)
{
    struct switcher *s = arg;
    struct who who;
    const char *id;

    if (!door_who(&who, s, http) && (id = door_id(http)))
        feed_open(s->feed, http, &feed_switch, id, &who);
}

int switch_api_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v1/switch-voice-stack", BODY_MAX, on_spec },
        { "GET", "/v1/switches", 0, on_list },
        { "GET", "/v1/switches/{id}", 0, on_one },
        { "POST", "/v1/switches/{id}/abort", BODY_MAX, on_abort },
        { "GET", "/v1/switches/{id}/events", 0, on_events },
        { "POST", "/v1/switches/{id}/promote", BODY_MAX, on_promote },
        { "POST", "/v1/switches/{id}/rollback", BODY_MAX, on_rollback },
        { "POST", "/v1/users/{id}/switch", BODY_MAX, on_switch },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
