/* calls_hangup.c - an admin ends a call that is under way: POST /v1/calls/{id}/hangup.
 *
 * Postgres says whether he may and whose call it is, and writes it down; a router does it. The
 * call's end is told as any other's.
 */
#include "calls.h"

#include "change.h"
#include "door.h"

#include <stdlib.h>
#include <string.h>

/* A whole reason, each of its characters escaped as two of UTF-16, fits in. */
enum { BODY_MAX = 8 << 10, DB_MS = 5000, ROUTER_MS = 5000 };

struct hangup {
    struct switcher *s;
    struct pat_httpd_req *http;
    char call[PAT_ID_LEN + 1];
};

static void on_router(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct hangup *h = arg;

    (void)result;
    if (!err)
        pat_httpd_reply(h->http, 202, "application/json", "{\"state\":\"ending\"}", 18);
    else if (err == PAT_ENOENT)
        pat_httpd_reply_error(h->http, PAT_EEXIST, NULL, "the call is over already");
    else
        pat_httpd_reply_error(h->http, PAT_EUNAVAIL, NULL,
                              message && !strcmp(message, "not_configured")
                                  ? "no way to the carrier is set up at the router"
                                  : "no router could end it, try again");
    if (err)
        pat_log(PAT_WARN, "call.not_ended", PAT_S("call", h->call), PAT_ERR(err),
                PAT_S("why", message));
    free(h);
}

static int ask_router(struct hangup *h, const char *user)
{
    PAT_AUTO_JSON p = pat_json_obj();

    if (!pat_bus_up(h->s->d->bus))
        return PAT_EUNAVAIL;
    pat_json_set_str(p, "call_id", h->call);
    pat_json_set_str(p, "user_id", user);
    pat_json_set_int(p, "epoch", 0);
    pat_json_set_bool(p, "operator", true);
    pat_json_set_str(p, "reason", "operator_hangup");
    return pat_rpc_call(h->s->d->bus, "router", "hangup", p, ROUTER_MS, on_router, h, NULL);
}

static const struct {
    const char *word;
    int err;
    const char *text;
} refusals[] = {
    { "forbidden", PAT_EPERM, "only an admin ends somebody's call" },
    { "not_found", PAT_ENOENT, "no such call" },
    { "over", PAT_EEXIST, "the call is over already" },
};

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct hangup *h = arg;
    const char *text = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    PAT_AUTO_JSON row = NULL;
    const char *why;

    (void)n;
    if (!text || pat_json_parse(&row, text, strlen(text), NULL)) {
        pat_httpd_reply_error(h->http, PAT_EUNAVAIL, NULL,
                              "the database did not answer, try again");
        free(h);
        return;
    }
    why = pat_json_str_or(row, "error", "");
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++)
        if (!strcmp(refusals[i].word, why)) {
            pat_httpd_reply_error(h->http, refusals[i].err, NULL, refusals[i].text);
            free(h);
            return;
        }
    err = ask_router(h, pat_json_str_or(row, "user_id", ""));
    if (err)
        on_router(err, NULL, NULL, h);
}

static struct pat_json *about(struct pat_httpd_req *http, const struct who *who, const char *call)
{
    PAT_AUTO_JSON body = NULL;
    struct pat_json *p;
    size_t len;
    const char *text = pat_httpd_body(http, &len);

    if (pat_json_parse(&body, text, len, NULL))
        body = NULL; /* nothing is said */
    p = change_about(who, http, pat_json_str_or(body, "why", NULL));
    pat_json_set_str(p, "call_id", call);
    return p;
}

static void on_hangup(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] = "select patchbay.hangup_ask($1::jsonb, $2::boolean)";
    struct switcher *s = arg;
    struct who who;
    const char *id;
    struct hangup *h;
    PAT_AUTO_JSON p = NULL;
    PAT_AUTO_STR text = NULL;

    if (door_who(&who, s, http) || !(id = door_id(http)))
        return;
    p = about(http, &who, id);
    text = pat_json_print(p);
    h = calloc(1, sizeof *h);
    if (h) {
        h->s = s;
        h->http = http;
        (void)pat_strcpy(h->call, sizeof h->call, id);
    }
    if (h && text &&
        !pat_db_run1(s->d->db, "hangup_ask", sql,
                     (const char *[]){ text, who.admin ? "true" : "false" }, 2, DB_MS, on_row, h,
                     NULL))
        return;
    free(h);
    pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

int hangup_routes(struct switcher *s)
{
    return pat_httpd_route(s->httpd, "POST", "/v1/calls/{id}/hangup", BODY_MAX, on_hangup, s);
}
