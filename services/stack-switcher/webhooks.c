/* webhooks.c - /v1/webhooks/...: see webhooks.h. One table of routes, one way through for all. */
#include "webhooks.h"

#include "audit.h"
#include "door.h"

#include <stdlib.h>
#include <string.h>

enum { RELAY_MS = 8000, DB_MS = 3000, BODY_MAX = 64 << 10 };

/* How an answer is shown. */
enum shape { AS_IT_IS, CREATED, FIRST_ENDPOINT };

static const struct route {
    const char *method, *path, *rpc;
    const char *id; /* what the {id} is to the relay; NULL: there is none */
    bool body;      /* a JSON object; else the query's fields */
    enum shape shape;
    const char *action; /* in the audit; NULL: it only looks */
} routes[] = {
    { "GET", "/v1/webhooks/endpoints", "endpoint_list", NULL, false, AS_IT_IS, NULL },
    { "POST", "/v1/webhooks/endpoints", "endpoint_create", NULL, true, CREATED, "webhook.create" },
    { "GET", "/v1/webhooks/endpoints/{id}", "endpoint_list", "endpoint_id", false, FIRST_ENDPOINT,
      NULL },
    { "PATCH", "/v1/webhooks/endpoints/{id}", "endpoint_update", "endpoint_id", true, AS_IT_IS,
      "webhook.change" },
    { "DELETE", "/v1/webhooks/endpoints/{id}", "endpoint_delete", "endpoint_id", false, AS_IT_IS,
      "webhook.delete" },
    { "POST", "/v1/webhooks/endpoints/{id}/rotate", "endpoint_rotate", "endpoint_id", true,
      AS_IT_IS, "webhook.rotate" },
    { "POST", "/v1/webhooks/endpoints/{id}/test", "endpoint_test", "endpoint_id", true, AS_IT_IS,
      "webhook.test" },
    { "POST", "/v1/webhooks/endpoints/{id}/replay", "delivery_replay", "endpoint_id", true,
      AS_IT_IS, "webhook.replay" },
    { "GET", "/v1/webhooks/deliveries", "deliveries", NULL, false, AS_IT_IS, NULL },
    { "GET", "/v1/webhooks/deliveries/{id}", "delivery", "delivery_id", false, AS_IT_IS, NULL },
    { "POST", "/v1/webhooks/deliveries/{id}/replay", "delivery_replay", "delivery_id", true,
      AS_IT_IS, "webhook.replay" },
};
enum { ROUTES = sizeof routes / sizeof routes[0] };

struct served {
    struct switcher *s;
    const struct route *route;
};

struct webhooks {
    struct served served[ROUTES];
};

struct asking {
    const struct served *v;
    struct pat_httpd_req *http;
    struct pat_json *params; /* owned */
    int64_t started_us;
    struct who who;
};

static void asking_free(struct asking *a)
{
    pat_json_free(a->params);
    free(a);
}

static void fail(struct asking *a, int err, const char *field, const char *message)
{
    pat_httpd_reply_error(a->http, err, field, message);
    asking_free(a);
}

/* ---- what is written down ---- */

/* What a field is written down as; NULL: not at all. A key is never shown, only whether there is
 * one. */
static const char *written_as(const struct route *r, const char *field)
{
    if (!strcmp(field, "secret") || !strcmp(field, "user_id") || (r->id && !strcmp(field, r->id)))
        return NULL;
    return strcmp(field, "api_key") ? field : "has_api_key";
}

static void copy(struct pat_json *to, const char *key, const struct pat_json *value)
{
    if (value)
        pat_json_set_take(to, key, pat_json_dup(value));
}

/* What was asked for beside what was there. Of what has gone, what it was. */
static void compare(const struct asking *a, const struct pat_json *result, struct pat_json *before,
                    struct pat_json *after)
{
    static const char *const gone[] = { "url", "description", "kind", "events", "state" };
    const struct pat_json *was = pat_json_at(result, "was");

    PAT_JSON_EACH(m, a->params)
    {
        const char *key = written_as(a->v->route, pat_json_key(m));

        if (!key)
            continue;
        copy(before, key, pat_json_at(was, key));
        copy(after, key,
             strcmp(key, "has_api_key") ? m : pat_json_at(result, "endpoint.has_api_key"));
    }
    for (size_t i = 0; pat_json_at(result, "deleted") && i < sizeof gone / sizeof gone[0]; i++)
        copy(before, gone[i], pat_json_at(was, gone[i]));
}

static void write_down(const struct asking *a, const struct pat_json *result)
{
    PAT_AUTO_JSON before = pat_json_obj();
    PAT_AUTO_JSON after = pat_json_obj();
    const struct route *r = a->v->route;

    if (!r->action)
        return;
    compare(a, result, before, after);
    audit_write(a->v->s, a->http, &a->who,
                &(struct audit_row){ .action = r->action,
                                     .user_id = pat_json_str_or(a->params, "user_id", NULL),
                                     .subject = r->id
                                                    ? pat_json_str_or(a->params, r->id, NULL)
                                                    : pat_json_str_or(result, "endpoint.id", NULL),
                                     .before = pat_json_size(before) ? before : NULL,
                                     .after = pat_json_size(after) ? after : NULL });
}

/* The relay's answer without what was there before, which is for the audit. */
static struct pat_json *without_was(const struct pat_json *result)
{
    struct pat_json *j = pat_json_obj();

    PAT_JSON_EACH(m, result)
    if (strcmp(pat_json_key(m), "was") != 0)
        copy(j, pat_json_key(m), m);
    return j;
}

/* ---- the relay's answer ---- */

static void on_answer(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct asking *a = arg;
    const struct pat_json *shown = result;
    PAT_AUTO_JSON plain = NULL;

    pat_histogram_observe(a->v->s->reply_s, (double)(pat_now_us() - a->started_us) / 1e6);
    if (err == PAT_ENOENT && pat_json_at(a->params, "before")) {
        fail(a, PAT_EINVAL, "before", "names nothing: begin again without it");
        return;
    }
    if (err) {
        const char *field = result ? pat_json_str_or(result, "field", NULL) : NULL;

        fail(a, err == PAT_ETIMEDOUT ? PAT_EUNAVAIL : err,
             field && !strcmp(field, a->v->route->id ? a->v->route->id : "") ? "id" : field,
             message);
        return;
    }
    write_down(a, result);
    if (pat_json_at(result, "was"))
        shown = plain = without_was(result);
    if (a->v->route->shape == FIRST_ENDPOINT)
        shown = pat_json_at(result, "endpoints[0]");
    if (shown)
        pat_httpd_reply_json(a->http, a->v->route->shape == CREATED ? 201 : 200, shown);
    else
        pat_httpd_reply_error(a->http, PAT_ENOENT, NULL, "no such thing");
    asking_free(a);
}

static void ask_relay(struct asking *a)
{
    struct pat_bus *bus = a->v->s->d->bus;
    int err = pat_bus_up(bus) ? pat_rpc_call(bus, "relay", a->v->route->rpc, a->params, RELAY_MS,
                                             on_answer, a, NULL)
                              : PAT_EUNAVAIL;

    if (err)
        fail(a, err, NULL, "the relay cannot be reached, try again");
}

/* ---- for whom ---- */

static void on_admin(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct asking *a = arg;

    (void)n;
    if (err)
        fail(a, PAT_EUNAVAIL, NULL, "the database did not answer, try again");
    else if (!pat_db_rows(results[0])) /* as if he were not there */
        fail(a, PAT_ENOENT, NULL, "no such thing");
    else
        ask_relay(a);
}

static void ask_whether_admin(struct asking *a, const char *user)
{
    static const char sql[] = "select from patchbay.admins where user_id = $1::uuid";
    const char *params[] = { user };

    if (pat_db_run1(a->v->s->d->db, "webhooks_admin", sql, params, 1, DB_MS, on_admin, a, NULL))
        fail(a, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

/* ---- what is asked ---- */

static int read_body(struct pat_json **out, struct pat_httpd_req *http)
{
    *out = door_body(http);
    return *out ? PAT_OK : PAT_EINVAL;
}

static int read_query(struct pat_json **out, struct pat_httpd_req *http)
{
    static const char *const texts[] = { "endpoint_id", "state", "type", "before" };
    const char *limit = pat_httpd_query_param(http, "limit");
    struct pat_json *j = pat_json_obj();
    char *end;

    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (pat_httpd_query_param(http, texts[i]))
            pat_json_set_str(j, texts[i], pat_httpd_query_param(http, texts[i]));
    if (limit) {
        long n = strtol(limit, &end, 10);

        if (!*limit || *end) {
            pat_json_free(j);
            pat_httpd_reply_error(http, PAT_EINVAL, "limit", "must be 1 to 200");
            return PAT_EINVAL;
        }
        pat_json_set_int(j, "limit", n);
    }
    *out = j;
    return PAT_OK;
}

static void on_request(struct pat_httpd_req *http, void *arg)
{
    const struct served *v = arg;
    const char *id = NULL, *user;
    struct pat_json *params;
    struct asking *a;
    struct who who;

    if (door_who(&who, v->s, http) || (v->route->id && !(id = door_id(http))))
        return;
    user = pat_httpd_query_param(http, "user_id");
    if (user ? !pat_id_valid(user) : !*who.user) {
        pat_httpd_reply_error(http, PAT_EINVAL, "user_id", "must be the id of a user");
        return;
    }
    if (v->route->body ? read_body(&params, http) : read_query(&params, http))
        return;
    pat_json_set_str(params, "user_id", user ? user : who.user);
    if (id)
        pat_json_set_str(params, v->route->id, id);
    a = malloc(sizeof *a);
    if (!a) {
        pat_json_free(params);
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, NULL);
        return;
    }
    *a = (struct asking){ v, http, params, pat_now_us(), who };
    if (user && strcmp(user, who.user) != 0 && !who.admin)
        ask_whether_admin(a, who.user);
    else
        ask_relay(a);
}

/* ---- life ---- */

int webhooks_routes(struct switcher *s)
{
    struct webhooks *w = calloc(1, sizeof *w);
    int err = w ? PAT_OK : PAT_ENOMEM;

    for (size_t i = 0; i < ROUTES && !err; i++) {
        w->served[i] = (struct served){ s, &routes[i] };
        err = pat_httpd_route(s->httpd, routes[i].method, routes[i].path, BODY_MAX, on_request,
                              &w->served[i]);
    }
    if (err)
        webhooks_free(w);
    else
        s->webhooks = w;
    return err;
}

void webhooks_free(struct webhooks *w)
{
    free(w);
}
