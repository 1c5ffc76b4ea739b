/* tool_webhook.c - a tool of the user's own: an endpoint of theirs, called like a webhook.
 *
 * Address and secret are read from Postgres for each call and kept nowhere. One POST, signed after
 * Standard Webhooks (standard-webhooks.com, spec 1.0.0), not repeated by the agent that sent it:
 * whether it had consequences is the user's to know. When that agent dies meanwhile, the next one
 * sends it again under the same webhook-id. Only public addresses are connected to
 * (PAT_AGENT_TOOL_PRIVATE_NETS). What it answers is information for the model, cut, and never
 * anything else.
 */
#include "tool_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_MS = 2000, ANSWER_MAX = 256 * 1024, SHOWN_MAX = 6 * 1024, BODY_MAX = 128 * 1024 };

struct post {
    struct tool_run *run;
    pat_db_id row;
    pat_http_id http;
};

static void let_go(struct tool_run *r)
{
    struct post *p = r->work;
    struct env *e = r->tools->c->env;

    r->work = NULL;
    r->cancel = NULL;
    if (!p)
        return;
    if (p->row)
        pat_db_cancel(e->db, p->row);
    pat_http_cancel(e->http, p->http);
    free(p);
}

static void over(struct tool_run *r, enum tool_outcome how, const char *error,
                 struct pat_json *result_take)
{
    let_go(r);
    tool_done(r, how, error, result_take);
}

static void failed(struct tool_run *r, const char *error, const char *text)
{
    over(r, TOOL_FAILED, error, tool_result("failed", text));
}

/* Text of the answer that the model gets: cut between characters, without what is no text. */
static struct pat_json *shown(const struct pat_http_res *res)
{
    struct pat_json *j = pat_json_obj();
    size_t len = res->len < SHOWN_MAX ? res->len : SHOWN_MAX;

    while (len && len < res->len && ((unsigned char)res->body[len] & 0xC0) == 0x80)
        len--;
    pat_json_set_str(j, "status", res->status / 100 == 2 ? "ok" : "failed");
    pat_json_set_int(j, "http_status", res->status);
    pat_json_set_strn(j, "result", res->body, len);
    if (len < res->len)
        pat_json_set_bool(j, "cut", true);
    return j;
}

static void on_answer(int err, const struct pat_http_res *res, void *arg)
{
    struct tool_run *r = arg;
    struct post *p = r->work;
    char status[24];

    p->http = 0;
    if (err) {
        failed(r, pat_err_name(err), "The other side could not be reached.");
    } else if (res->status / 100 != 2) {
        (void)snprintf(status, sizeof status, "http_%d", res->status);
        over(r, TOOL_FAILED, status, shown(res));
    } else {
        over(r, TOOL_OK, NULL, shown(res));
    }
}

static char *body_of(const struct tool_run *r, const char *id)
{
    const struct call *c = r->tools->c;
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *data = pat_json_obj();
    char now[PAT_TIME_LEN + 1];

    pat_time_format(pat_unix_ms(), now);
    pat_json_set_str(j, "type", "tool.call");
    pat_json_set_str(j, "timestamp", now);
    pat_json_set_str(data, "tool_call_id", id);
    pat_json_set_str(data, "tool", r->tool->name);
    pat_json_set_take(data, "arguments", pat_json_dup(r->args));
    pat_json_set_str(data, "call_id", c->id);
    pat_json_set_str(data, "user_id", c->ctx->user_id);
    pat_json_set_str(data, "agent_config_id", c->ctx->agent_config_id);
    pat_json_set_str(data, "from", c->ctx->from);
    pat_json_set_str(data, "to", c->ctx->to);
    pat_json_set_take(j, "data", data);
    return pat_json_print(j);
}

static void post(struct tool_run *r, const char *url, const char *secret)
{
    const struct env *e = r->tools->c->env;
    struct post *p = r->work;
    const struct pat_id id = r->key;
    PAT_AUTO_STR body = body_of(r, id.s);
    int64_t now_s = pat_unix_ms() / 1000, left_ms = (r->deadline.due_us - pat_now_us()) / 1000;
    struct pat_buf sign, head[3];
    int err = body ? PAT_OK : PAT_ENOMEM;

    pat_buf_init(&sign, 512);
    for (int i = 0; i < 3; i++)
        pat_buf_init(&head[i], 700);
    if (!err)
        err = pat_sign_webhook(&sign, secret, id.s, now_s, body, strlen(body));
    if (!err && (pat_buf_addf(&head[0], "webhook-id: %s", id.s) ||
                 pat_buf_addf(&head[1], "webhook-timestamp: %lld", (long long)now_s) ||
                 pat_buf_addf(&head[2], "webhook-signature: %s", sign.data)))
        err = PAT_ENOMEM;
    if (!err) {
        const char *headers[] = { "Content-Type: application/json", head[0].data, head[1].data,
                                  head[2].data, NULL };
        const struct pat_http_req req = { .method = "POST",
                                          .url = url,
                                          .headers = headers,
                                          .body = body,
                                          .body_len = strlen(body),
                                          .timeout_ms = left_ms > 100 ? left_ms : 100,
                                          .max_body = ANSWER_MAX,
                                          .public_only = !e->conf->tool_private_nets };

        err = pat_http_start(e->http, &req, NULL, on_answer, r, &p->http);
    }
    for (int i = 0; i < 3; i++)
        pat_buf_fini(&head[i]);
    pat_buf_fini(&sign);
    if (err)
        failed(r, pat_err_name(err), "It could not be called.");
}

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct tool_run *r = arg;
    struct post *p = r->work;
    const struct pat_db_result *row = !err && n && pat_db_rows(results[0]) ? results[0] : NULL;
    const char *url = row ? pat_db_value(row, 0, 0) : NULL;
    const char *secret = row ? pat_db_value(row, 0, 1) : NULL;

    p->row = 0;
    if (err)
        failed(r, "unavailable", "It cannot be called now.");
    else if (!url || !secret)
        failed(r, "gone", "There is no such tool any more.");
    else if (strncmp(url, "https://", 8) != 0 && !r->tools->c->env->conf->tool_private_nets)
        failed(r, "not_https", "It cannot be called.");
    else
        post(r, url, secret);
}

void tool_webhook(struct tool_run *r)
{
    static const char sql[] = "select url, secret from patchbay.user_tools "
                              "where id = $1 and user_id = $2 and enabled";
    const struct context *ctx = r->tools->c->ctx;
    const char *params[] = { r->tool->id, ctx->user_id };
    struct env *e = r->tools->c->env;
    struct post *p = calloc(1, sizeof *p);

    if (!p || !e->db) {
        free(p);
        tool_done(r, TOOL_FAILED, "unavailable", tool_result("failed", "It cannot be called now."));
        return;
    }
    p->run = r;
    r->work = p;
    r->cancel = let_go;
    if (pat_db_run1(e->db, NULL, sql, params, 2, READ_MS, on_row, r, &p->row))
        on_row(PAT_EUNAVAIL, NULL, 0, r);
}
