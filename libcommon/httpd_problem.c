/* httpd_problem.c - answers that say what is wrong, of all servers.
 *
 * {"error":{"code","message","field"}} as ever; where the server speaks problems (RFC 9457), these
 * are an extension member of a problem.
 */
#include "httpd_private.h"

#include <string.h>
#include <strings.h>

enum { ANSWER_MAX = 64 * 1024 };

static void member(struct pat_buf *out, const char *name, const char *value)
{
    bool first = out->len && out->data[out->len - 1] == '{';

    pat_buf_addf(out, "%s\"%s\":", first ? "" : ",", name);
    pat_json_quote(out, value, strlen(value));
}

/* Those that a problem and its member "error" have in common, but for one's name. */
static void members(struct pat_buf *out, const struct pat_httpd_problem *p, const char *detail)
{
    member(out, "code", p->code);
    member(out, detail, p->detail);
    if (p->field)
        member(out, "field", p->field);
    PAT_JSON_EACH(m, p->more)
    {
        pat_buf_adds(out, ",");
        pat_json_quote(out, pat_json_key(m), strlen(pat_json_key(m)));
        pat_buf_adds(out, ":");
        (void)!pat_json_print_to(m, out); /* out knows, too */
    }
}

static void add_problem(struct pat_buf *out, const struct pat_httpd_problem *p)
{
    member(out, "type", p->type ? p->type : "about:blank");
    member(out, "title", p->title ? p->title : http_reason(p->status));
    pat_buf_addf(out, ",\"status\":%d", p->status);
    members(out, p, "detail");
    pat_buf_adds(out, ",");
}

/* Nobody keeps an error for later. */
static void forbid_storing(struct pat_httpd_req *r)
{
    if (!r->extra.len || !strcasestr(r->extra.data, "Cache-Control:"))
        (void)pat_httpd_set_header(r, "Cache-Control", "no-store");
}

void pat_httpd_reply_problem(struct pat_httpd_req *r, const struct pat_httpd_problem *p)
{
    bool full = r->server && r->server->problems;
    struct pat_buf text;

    pat_buf_init(&text, ANSWER_MAX);
    pat_buf_adds(&text, "{");
    if (full) {
        forbid_storing(r);
        add_problem(&text, p);
    }
    pat_buf_adds(&text, "\"error\":{");
    members(&text, p, "message");
    pat_buf_adds(&text, "}}");
    if (text.err)
        pat_httpd_reply(r, p->status, NULL, NULL, 0);
    else
        pat_httpd_reply(r, p->status, full ? "application/problem+json" : "application/json",
                        text.data, text.len);
    pat_buf_fini(&text);
}

void pat_httpd_reply_error(struct pat_httpd_req *r, int err, const char *field, const char *message)
{
    pat_httpd_reply_problem(
        r, &(struct pat_httpd_problem){ .status = pat_err_http_status(err),
                                        .code = pat_err_name(err),
                                        .field = field,
                                        .detail = message ? message : pat_err_text(err) });
}

/* Of our own accord, before any handler. */
void req_reply_status(struct pat_httpd_req *r, int status, const char *message)
{
    static const struct {
        int status;
        const char *code;
    } rows[] = {
        { 404, "not_found" },       { 405, "method_not_allowed" }, { 408, "timed_out" },
        { 413, "too_large" },       { 426, "not_a_websocket" },    { 431, "too_large" },
        { 501, "not_implemented" }, { 503, "unavailable" },
    };
    const char *code = "invalid";

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status)
            code = rows[i].code;
    pat_httpd_reply_problem(
        r, &(struct pat_httpd_problem){
               .status = status, .code = code, .detail = message ? message : http_reason(status) });
}
