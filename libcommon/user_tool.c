/* user_tool.c - see user_tool.h: reads the row, posts, shows the answer. */
#include "user_tool.h"

#include "sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { READ_MS = 2000, LEAST_MS = 100, ANSWER_MAX = 256 * 1024, SHOWN_MAX = 6 * 1024 };

struct pat_user_tool {
    struct pat_db *db;
    struct pat_http *http;
    struct pat_id id;
    char *body;
    int64_t deadline_ms;
    bool private_nets;
    pat_db_id row;
    pat_http_id post;
    pat_user_tool_fn *fn;
    void *arg;
};

static void let_go(struct pat_user_tool *u)
{
    if (u->row)
        pat_db_cancel(u->db, u->row);
    pat_http_cancel(u->http, u->post);
    free(u->body);
    free(u);
}

static void over(struct pat_user_tool *u, const char *error, struct pat_json *result_take)
{
    pat_user_tool_fn *fn = u->fn;
    void *arg = u->arg;

    let_go(u);
    fn(error, result_take, arg);
}

static void failed(struct pat_user_tool *u, const char *error, const char *text)
{
    struct pat_json *result = pat_json_obj();

    pat_json_set_str(result, "status", "failed");
    pat_json_set_str(result, "message", text);
    over(u, error, result);
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
    struct pat_user_tool *u = arg;
    char status[24];

    u->post = 0;
    if (err) {
        failed(u, pat_err_name(err), "The other side could not be reached.");
    } else if (res->status / 100 != 2) {
        (void)snprintf(status, sizeof status, "http_%d", res->status);
        over(u, status, shown(res));
    } else {
        over(u, NULL, shown(res));
    }
}

static int send(struct pat_user_tool *u, const char *url, const char *secret)
{
    int64_t now_s = pat_unix_ms() / 1000, left_ms = u->deadline_ms - pat_now_ms();
    struct pat_buf sign, head[3];
    int err;

    pat_buf_init(&sign, 512);
    for (int i = 0; i < 3; i++)
        pat_buf_init(&head[i], 700);
    err = pat_sign_webhook(&sign, secret, u->id.s, now_s, u->body, strlen(u->body));
    if (!err && (pat_buf_addf(&head[0], "webhook-id: %s", u->id.s) ||
                 pat_buf_addf(&head[1], "webhook-timestamp: %lld", (long long)now_s) ||
                 pat_buf_addf(&head[2], "webhook-signature: %s", sign.data)))
        err = PAT_ENOMEM;
    if (!err) {
        const char *headers[] = { "Content-Type: application/json", head[0].data, head[1].data,
                                  head[2].data, NULL };
        const struct pat_http_req req = { .method = "POST",
                                          .url = url,
                                          .headers = headers,
                                          .body = u->body,
                                          .body_len = strlen(u->body),
                                          .timeout_ms = left_ms > LEAST_MS ? left_ms : LEAST_MS,
                                          .max_body = ANSWER_MAX,
                                          .public_only = !u->private_nets };

        err = pat_http_start(u->http, &req, NULL, on_answer, u, &u->post);
    }
    for (int i = 0; i < 3; i++)
        pat_buf_fini(&head[i]);
    pat_buf_fini(&sign);
    return err;
}

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct pat_user_tool *u = arg;
    const struct pat_db_result *row = !err && n && pat_db_rows(results[0]) ? results[0] : NULL;
    const char *url = row ? pat_db_value(row, 0, 0) : NULL;
    const char *secret = row ? pat_db_value(row, 0, 1) : NULL;

    u->row = 0;
    if (err)
        failed(u, "unavailable", "It cannot be called now.");
    else if (!url || !secret)
        failed(u, "gone", "There is no such tool any more.");
    else if (strncmp(url, "https://", 8) != 0 && !u->private_nets)
        failed(u, "not_https", "It cannot be called.");
    else if ((err = send(u, url, secret)))
        failed(u, pat_err_name(err), "It could not be called.");
}

static char *body_of(const struct pat_user_tool_use *use)
{
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *data = pat_json_obj();
    char now[PAT_TIME_LEN + 1];

    pat_time_format(pat_unix_ms(), now);
    pat_json_set_str(j, "type", "tool.call");
    pat_json_set_str(j, "timestamp", now);
    pat_json_set_str(data, "tool_call_id", use->id.s);
    pat_json_set_str(data, "tool", use->tool);
    pat_json_set_take(data, "arguments", pat_json_dup(use->args));
    pat_json_set_str(data, "call_id", use->call_id);
    pat_json_set_str(data, "user_id", use->user_id);
    pat_json_set_str(data, "agent_config_id", use->agent_config_id);
    pat_json_set_str(data, "from", use->from);
    pat_json_set_str(data, "to", use->to);
    pat_json_set_take(j, "data", data);
    return pat_json_print(j);
}

int pat_user_tool_start(struct pat_user_tool **out, const struct pat_user_tool_use *use,
                        pat_user_tool_fn *fn, void *arg)
{
    static const char sql[] = "select url, secret from patchbay.user_tools "
                              "where id = $1 and user_id = $2 and enabled";
    const char *params[] = { use->tool_id, use->user_id };
    struct pat_user_tool *u;

    if (!use->db)
        return PAT_EUNAVAIL;
    u = calloc(1, sizeof *u);
    if (!u || !(u->body = body_of(use))) {
        free(u);
        return PAT_ENOMEM;
    }
    u->db = use->db;
    u->http = use->http;
    u->id = use->id;
    u->deadline_ms = pat_now_ms() + use->timeout_ms;
    u->private_nets = use->private_nets;
    u->fn = fn;
    u->arg = arg;
    if (pat_db_run1(use->db, NULL, sql, params, 2, READ_MS, on_row, u, &u->row)) {
        let_go(u);
        return PAT_EUNAVAIL;
    }
    *out = u;
    return PAT_OK;
}

void pat_user_tool_cancel(struct pat_user_tool *u)
{
    if (u)
        let_go(u);
}
