/* retell_tools.c - the double's agent uses a custom function of its model, when a test says so.
 *
 * POST /play/{call}/tool {"name","args"}: as docs.retellai.com, "Custom function" has it, the
 * function's url gets {"name","call","args"}, signed, and again up to twice when it fails; what it
 * answered is our answer: {"status","answer","tries"}. "again": true repeats the last one, as after
 * an answer that was lost.
 */
#include "retell.h"

#include <stdlib.h>
#include <string.h>

enum { REPEATS = 2 };

struct use {
    struct retell *rt;
    struct pat_httpd_req *r;
    char *url, *body;
    char call[RETELL_ID_MAX], id[RETELL_ID_MAX]; /* id "": nothing is noted of it */
    int64_t timeout_ms;
    int tries;
};

static void use_free(struct use *u)
{
    free(u->url);
    free(u->body);
    free(u);
}

static int post(struct use *u);

static void on_answer(int err, const struct pat_http_res *res, void *arg)
{
    struct use *u = arg;
    struct retell_call *c;
    struct pat_json *answer;

    if ((err || res->status / 100 != 2) && u->tries <= REPEATS && !post(u))
        return;
    c = retell_call(u->rt, u->call);
    if (c && *u->id)
        retell_tool_result(c, u->id, err ? "" : res->body, !err && res->status / 100 == 2);
    answer = pat_json_obj();
    pat_json_set_int(answer, "status", err ? 0 : res->status);
    pat_json_set_strn(answer, "answer", err ? "" : res->body, err ? 0 : res->len);
    pat_json_set_int(answer, "tries", u->tries);
    dbl_reply(u->r, 200, answer);
    use_free(u);
}

static int post(struct use *u)
{
    struct pat_buf header;
    const char *headers[] = { "Content-Type: application/json", NULL, NULL };
    pat_http_id id;
    int err;

    u->tries++;
    pat_buf_init(&header, 512);
    pat_buf_adds(&header, "X-Retell-Signature: ");
    err = pat_sign_retell(&header, u->rt->webhook_key, u->body, strlen(u->body), pat_unix_ms());
    headers[1] = header.data;
    if (!err)
        err = pat_http_start(u->rt->d->http,
                             &(struct pat_http_req){ .method = "POST",
                                                     .url = u->url,
                                                     .headers = headers,
                                                     .body = u->body,
                                                     .body_len = strlen(u->body),
                                                     .timeout_ms = u->timeout_ms },
                             NULL, on_answer, u, &id);
    pat_buf_fini(&header);
    return err;
}

static const struct pat_json *function_of(const struct retell_call *c, const char *name)
{
    const struct pat_json *model = retell_model(c->rt, pat_json_str_or(c->body, "agent_id", ""),
                                                pat_json_int_or(c->body, "agent_version", -1));
    const struct pat_json *tools = pat_json_at(model, "general_tools");

    if (tools && pat_json_kind(tools) == PAT_JSON_ARR)
        PAT_JSON_EACH(t, tools)
    if (!strcmp(pat_json_str_or(t, "name", ""), name) &&
        !strcmp(pat_json_str_or(t, "type", ""), "custom"))
        return t;
    return NULL;
}

static void note_use(struct retell_call *c, const char *name, const struct pat_json *args,
                     char id[RETELL_ID_MAX])
{
    const struct pat_json *have = pat_json_at(c->body, "transcript_with_tool_calls");
    struct pat_json *turns = have ? pat_json_dup(have) : pat_json_arr();
    struct pat_json *use = dbl_obj("role", "tool_call_invocation");
    PAT_AUTO_STR text = pat_json_print(args);

    retell_new_id(id, "tool_call_");
    pat_json_set_str(use, "tool_call_id", id);
    pat_json_set_str(use, "name", name);
    pat_json_set_str(use, "arguments", text);
    pat_json_add_take(turns, use);
    pat_json_set_take(c->body, "transcript_with_tool_calls", turns);
}

static void start(struct retell_call *c, struct pat_httpd_req *r, const struct pat_json *f,
                  const struct pat_json *args, const char *id)
{
    PAT_AUTO_JSON body = dbl_obj("name", pat_json_str_or(f, "name", ""));
    struct use *u = calloc(1, sizeof *u);

    pat_json_set_take(body, "call", pat_json_dup(c->body));
    pat_json_set_take(body, "args", pat_json_dup(args));
    if (u) {
        *u = (struct use){ .rt = c->rt, .r = r };
        pat_strcpy(u->call, sizeof u->call, c->id);
        pat_strcpy(u->id, sizeof u->id, id);
        u->timeout_ms = pat_json_int_or(f, "timeout_ms", 120000);
        u->url = strdup(pat_json_str_or(f, "url", ""));
        u->body = pat_json_print(body);
    }
    if (u && u->url && u->body && !post(u))
        return;
    if (u)
        use_free(u);
    retell_error(r, 500, "it could not be called");
}

static void on_use(struct pat_httpd_req *r, void *arg)
{
    struct retell *rt = arg;
    PAT_AUTO_JSON body = retell_body(r);
    struct retell_call *c = retell_call(rt, pat_httpd_param(r, "call"));
    const char *name = pat_json_str_or(body, "name", "");
    const struct pat_json *f = c ? function_of(c, name) : NULL;
    const struct pat_json *args = pat_json_at(body, "args");
    char id[RETELL_ID_MAX] = "";

    if (!body)
        return;
    if (!c || !f || !args) {
        retell_error(r, 404, !c ? "no such call" : !f ? "the agent has no such function" : "args?");
        return;
    }
    if (!pat_json_bool_or(body, "again", false))
        note_use(c, name, args, id);
    start(c, r, f, args, id);
}

int retell_tools_routes(struct retell *rt)
{
    return pat_httpd_route(rt->d->server, "POST", "/play/{call}/tool", 0, on_use, rt);
}
