/* explain_api.c - POST /v1/explain: what a router would do with a call, and why; GET /v1/version.
 *
 * The router decides and explains (RPC router.explain); here it is only asked who may ask.
 */
#include "ask.h"
#include "door.h"
#include "version.h"

#include <stdlib.h>
#include <string.h>

enum { ROUTER_MS = 5000, DB_MS = 3000, BODY_MAX = 4 << 10 };

/* From the request to its answer. */
struct explaining {
    struct switcher *s;
    struct pat_httpd_req *http;
    struct pat_json *params; /* owned */
};

static void end(struct explaining *e)
{
    pat_json_free(e->params);
    free(e);
}

static void fail(struct explaining *e, int err, const char *field, const char *why)
{
    pat_httpd_reply_error(e->http, err, field, why);
    end(e);
}

static void on_answer(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct explaining *e = arg;
    const char *field = result ? pat_json_str_or(result, "field", NULL) : NULL;

    if (err == PAT_EINVAL) {
        fail(e, err, field && !strcmp(field, "number") ? "to" : field, message);
    } else if (err) {
        fail(e, PAT_EUNAVAIL, NULL, "no router has answered, try again");
    } else {
        pat_httpd_reply_json(e->http, 200, result);
        end(e);
    }
}

static void on_admin(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct explaining *e = arg;
    struct pat_bus *bus = e->s->d->bus;

    (void)n;
    if (err)
        fail(e, PAT_EUNAVAIL, NULL, "the database did not answer, try again");
    else if (!pat_db_rows(results[0]))
        fail(e, PAT_EPERM, NULL, "for admins only");
    else if (!pat_bus_up(bus) ||
             pat_rpc_call(bus, "router", "explain", e->params, ROUTER_MS, on_answer, e, NULL))
        fail(e, PAT_EUNAVAIL, NULL, "no router can be reached, try again");
}

/* NULL: it has replied. Yours. */
static struct pat_json *read_question(struct pat_httpd_req *http)
{
    static const char *const names[][2] = { { "to", "number" },
                                            { "from", "from" },
                                            { "at", "at" } };
    PAT_AUTO_JSON body = door_body(http);
    struct pat_json *params;

    if (!body)
        return NULL;
    params = pat_json_obj();
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct pat_json *given = pat_json_at(body, names[i][0]);
        const char *text = pat_json_value_str(given);

        if ((given && !text) || (i == 0 && !text)) {
            pat_json_free(params);
            pat_httpd_reply_error(http, PAT_EINVAL, names[i][0], "must be a string");
            return NULL;
        }
        if (text)
            pat_json_set_str(params, names[i][1], text);
    }
    return params;
}

static void on_explain(struct pat_httpd_req *http, void *arg)
{
    struct switcher *s = arg;
    struct pat_json *question;
    struct explaining *e;
    struct who who;
    const char *params[] = { NULL, NULL };

    if (door_who(&who, s, http) || !(question = read_question(http)))
        return;
    e = malloc(sizeof *e);
    if (!e) {
        pat_json_free(question);
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, NULL);
        return;
    }
    *e = (struct explaining){ s, http, question };
    params[0] = *who.user ? who.user : NULL;
    params[1] = who.admin ? "true" : "false";
    if (pat_db_run1(s->d->db, "explain_admin", "select where " ASK_IS_ADMIN, params, 2, DB_MS,
                    on_admin, e, NULL))
        fail(e, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

static void on_version(struct pat_httpd_req *http, void *arg)
{
    PAT_AUTO_JSON j = pat_json_obj();

    (void)arg;
    (void)pat_httpd_set_header(http, "Cache-Control", "no-cache");
    pat_json_set_str(j, "version", PAT_VERSION);
    pat_json_set_str(j, "build_id", PAT_BUILD_ID);
    pat_httpd_reply_json(http, 200, j);
}

int explain_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "POST", "/v1/explain", BODY_MAX, on_explain },
        { "GET", "/v1/version", 0, on_version },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}
