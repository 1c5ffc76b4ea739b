/* inside.c - retell.register_call over HTTP, for when NATS is away.
 *
 * The port trusts its network as far as PAT_INSIDE_TOKEN says.
 */
#include "register.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE_MS 3000

static bool admitted(const struct provider *p, const struct pat_httpd_req *r)
{
    const char *auth = pat_httpd_header(r, "authorization");
    const char *token = p->conf->inside_token;
    size_t len = strlen(token);

    if (!len)
        return true;
    return auth && !strncasecmp(auth, "Bearer ", 7) && strlen(auth + 7) == len &&
           pat_equal_ct(auth + 7, token, len);
}

static void on_http_done(const struct register_result *res, void *arg)
{
    struct pat_httpd_req *r = arg;
    struct pat_json *body;

    if (res->err) {
        pat_httpd_reply_error(r, res->err, res->field, res->message);
        return;
    }
    body = pat_json_obj();
    pat_json_set_take(body, "result", register_json(res));
    pat_httpd_reply_json(r, 200, body);
    pat_json_free(body);
}

static void on_http(struct pat_httpd_req *r, void *arg)
{
    struct provider *p = arg;
    PAT_AUTO_JSON params = NULL;
    struct pat_json_err why;
    size_t len;
    const char *body = pat_httpd_body(r, &len);
    int err;

    if (!admitted(p, r)) {
        pat_log(PAT_WARN, "inside.refused", PAT_S("peer", pat_httpd_peer(r)));
        pat_httpd_reply_error(r, PAT_EAUTH, "Authorization", "missing or wrong");
        return;
    }
    err = pat_json_parse(&params, body, len, &why);
    if (err) {
        pat_httpd_reply_error(r, err, "body", why.what);
        return;
    }
    err = register_call(p, params, PATIENCE_MS, on_http_done, r);
    if (err)
        pat_httpd_reply_error(r, err, NULL, pat_err_text(err));
}

static int routes(struct pat_httpd *s, void *arg)
{
    return pat_httpd_route(s, "POST", "/v1/inside/register-call", 0, on_http, arg);
}

int inside_serve(struct provider *p)
{
    return pat_daemon_open(p->d, &p->httpd, "http",
                           &(struct pat_httpd_opts){ .listen = p->conf->listen }, routes, p);
}
