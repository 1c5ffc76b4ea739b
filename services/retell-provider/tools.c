/* tools.c - Retell's tool calls over HTTP: who asks, about which call, is it allowed; see tool.h.
 *
 * Answers are 200 with {"status", "message"} whenever the model can do something with them; other
 * statuses mean that it was not Retell, not a call, or that Retell should try again.
 */
#include "tool.h"

#include "events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DB_TIMEOUT_MS 3000
/* The call object has the whole transcript in it. */
#define BODY_MAX ((size_t)4 << 20)

static const char *const outcomes[] = {
    [TOOL_OK] = "ok", [TOOL_REFUSED] = "refused", [TOOL_FAILED] = "failed"
};

static void run_free(struct tool_run *r)
{
    pat_tools_free(r->set);
    pat_json_free(r->args);
    pat_json_free(r->call);
    free(r->arguments);
    if (r->said)
        explicit_bzero(r->said, strlen(r->said));
    explicit_bzero(r->keys, sizeof r->keys);
    free(r->said);
    free(r);
}

/* ------------------------------------------------------------------ the record */

static void put(struct tool_run *r, const char *area, const char *name, struct pat_json *data_take,
                const char *function, const struct pat_json *row)
{
    PAT_AUTO_STR text = pat_json_print(row);
    const char *params[] = { text };
    char sql[96], what[64];
    struct pat_db_stmt stmt = { NULL, sql, 1, params };
    struct pat_id id;

    snprintf(sql, sizeof sql, "select patchbay.%s($1::jsonb)", function);
    snprintf(what, sizeof what, "%s.%s", area, name);
    id = pat_event_id_once(r->id.s, what);
    pat_json_set_str(data_take, "call_id", r->call_id);
    pat_json_set_str(data_take, "user_id", r->user_id);
    if (pat_journal_add(r->p->journal,
                        &(struct pat_event){ .area = area,
                                             .name = name,
                                             .user_id = r->user_id,
                                             .key = r->call_id,
                                             .source = "/patchbay/retell-provider",
                                             .id = &id },
                        data_take, &stmt, text ? 1 : 0))
        pat_log(PAT_ERROR, "tool.not_recorded", PAT_S("call", r->call_id), PAT_S("what", what));
}

void tool_record(struct tool_run *r, const char *event, struct pat_json *data_take,
                 const char *function, const struct pat_json *row)
{
    put(r, "call", event, data_take, function, row);
}

static void report(struct tool_run *r, enum tool_outcome how, const char *error)
{
    struct pat_json *data = pat_json_obj();
    PAT_AUTO_JSON row = NULL;
    int64_t ms = pat_now_ms() - r->began_ms;

    pat_log(how == TOOL_FAILED ? PAT_WARN : PAT_INFO, "call.tool", PAT_S("call", r->call_id),
            PAT_S("tool", r->name), PAT_S("outcome", outcomes[how]), PAT_S("error", error),
            PAT_I("ms", ms));
    pat_json_set_str(data, "tool_call_id", r->id.s);
    pat_json_set_null(data, "turn");
    pat_json_set_str(data, "tool", r->name);
    pat_json_set_take(data, "arguments", r->args ? pat_tools_redacted(r->args) : pat_json_obj());
    pat_json_set_str(data, "outcome", outcomes[how]);
    pat_json_set_str(data, "error", error);
    pat_json_set_int(data, "duration_ms", ms);
    row = pat_json_dup(data);
    pat_json_set_str(row, "id", r->id.s);
    pat_json_set_str(row, "call_id", r->call_id);
    pat_json_set_str(row, "user_id", r->user_id);
    put(r, "turn", "tool", data, "put_tool_call", row);
}

void tool_answer(struct tool_run *r, enum tool_outcome how, const char *error,
                 struct pat_json *answer_take)
{
    report(r, how, error);
    pat_httpd_reply_json(r->req, 200, answer_take);
    pat_json_free(answer_take);
    run_free(r);
}

void tool_done(struct tool_run *r, enum tool_outcome how, const char *error, const char *status,
               const char *text)
{
    struct pat_json *answer = pat_json_obj();

    pat_json_set_str(answer, "status", status);
    pat_json_set_str(answer, "message", text);
    tool_answer(r, how, error, answer);
}

/* ------------------------------------------------------------------ what is asked */

static void refuse(struct tool_run *r, int err, const char *field, const char *message)
{
    pat_log(PAT_WARN, "tool.refused", PAT_S("tool", r->name), PAT_S("retell_call", r->retell_call),
            PAT_ERR(err), PAT_S("why", message));
    pat_httpd_reply_error(r->req, err, field, message);
    run_free(r);
}

static void dispatch(struct tool_run *r)
{
    struct pat_json_err why;
    int err = pat_tools_take(r->set, r->name, r->arguments, &r->tool, &r->args, &why);

    if (err == PAT_ENOENT)
        tool_done(r, TOOL_REFUSED, "unknown", "refused", "There is no such tool.");
    else if (err)
        tool_done(r, TOOL_REFUSED, "invalid", "refused", why.what);
    else if (r->tool->kind == PAT_TOOL_TRANSFER)
        tool_transfer(r);
    else if (r->tool->kind == PAT_TOOL_MESSAGE)
        tool_message(r);
    else if (r->tool->kind == PAT_TOOL_CALLBACK)
        tool_callback(r);
    else if (r->tool->kind == PAT_TOOL_WEBHOOK)
        tool_webhook(r);
    else
        tool_done(r, TOOL_REFUSED, "unknown", "refused", "There is no such tool.");
}

static void on_call(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct tool_run *r = arg;
    const struct provider_conf *conf = r->p->conf;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    if (!r->p->journal) {
        refuse(r, PAT_EUNAVAIL, NULL, "stopping"); /* Retell tries again, at another replica */
        return;
    }
    if (err) {
        refuse(r, PAT_EUNAVAIL, NULL, "the call cannot be looked up now");
        return;
    }
    if (!text || pat_json_parse(&r->call, text, strlen(text), NULL)) {
        refuse(r, PAT_ENOENT, "call.call_id", "no live call of ours at Retell");
        return;
    }
    pat_strcpy(r->config_id, sizeof r->config_id,
               pat_json_str_or(r->call, "call.agent_config_id", ""));
    err = pat_tools_new(&r->set, &(struct pat_tools_opts){
                                     .settings = pat_json_at(r->call, "settings"),
                                     .caller = pat_json_str_or(r->call, "call.from_number", NULL),
                                     .called = pat_json_str_or(r->call, "call.to_number", NULL),
                                     .countries = conf->transfer_prefixes,
                                     .time_zone = conf->time_zone,
                                     .asks_code = true });
    if (err)
        refuse(r, err, NULL, pat_err_text(err));
    else
        dispatch(r);
}

static void look_up(struct tool_run *r)
{
    static const char sql[] =
        "select jsonb_build_object('call', to_jsonb(c), 'settings', "
        "coalesce(patchbay.settings_of(c.agent_config_id), '{}'), 'passcodes', (select count(*) from "
        "patchbay.tool_calls t where t.call_id = c.id and t.error = 'passcode'), 'passcodes_hour', "
        "(select count(*) from patchbay.tool_calls t where t.user_id = c.user_id and t.error = "
        "'passcode' and t.created_at > now() - interval '1 hour'))::text "
        "from patchbay.calls c where c.id = $1 and c.user_id = $2 and c.retell_call_id = $3 "
        "and c.stack = 'retell' and c.state <> 'ended'";
    const char *params[] = { r->call_id, r->user_id, r->retell_call };
    int err =
        pat_db_run1(r->p->d->db, "tool_call_of", sql, params, 3, DB_TIMEOUT_MS, on_call, r, NULL);

    if (err)
        refuse(r, PAT_EUNAVAIL, NULL, "the call cannot be looked up now");
}

/* Retell's id of the newest use of this tool in the call, the same in each repetition; else the
 * arguments stand for it. */
static struct pat_id id_of(const struct tool_run *r, const struct pat_json *body)
{
    const struct pat_json *turns = pat_json_at(body, "call.transcript_with_tool_calls");
    const char *use = NULL;

    if (turns && pat_json_kind(turns) == PAT_JSON_ARR)
        PAT_JSON_EACH(t, turns)
    if (!strcmp(pat_json_str_or(t, "role", ""), "tool_call_invocation") &&
        !strcmp(pat_json_str_or(t, "name", ""), r->name))
        use = pat_json_str_or(t, "tool_call_id", NULL);
    return news_tool_id(r->retell_call, r->name, use ? use : r->arguments);
}

static int read_body(struct tool_run *r, const struct pat_json *body, struct pat_json_err *why)
{
    const char *name, *retell, *call, *user;
    const struct pat_json *args;
    int err = pat_json_get_str(body, "name", &name, why);

    if (!err)
        err = pat_json_get_str(body, "call.call_id", &retell, why);
    if (!err)
        err = pat_json_get_id(body, "call.metadata.call_id", &call, why);
    if (!err)
        err = pat_json_get_id(body, "call.metadata.user_id", &user, why);
    if (!err)
        err = pat_json_get_obj(body, "args", &args, why);
    if (err)
        return err;
    pat_strcpy(r->call_id, sizeof r->call_id, call);
    pat_strcpy(r->user_id, sizeof r->user_id, user);
    if (strcmp(name, r->name) != 0 || !pat_strcpy(r->retell_call, sizeof r->retell_call, retell)) {
        *why = (struct pat_json_err){ .path = "name", .what = "is not the one in the address" };
        return PAT_EINVAL;
    }
    r->arguments = pat_json_print(args);
    if (!r->arguments)
        return PAT_ENOMEM;
    r->id = id_of(r, body);
    tool_listen(r, pat_json_at(body, "call.transcript_with_tool_calls"));
    return PAT_OK;
}

static void on_tool(struct pat_httpd_req *req, void *arg)
{
    struct provider *p = arg;
    const char *key = *p->conf->webhook_key ? p->conf->webhook_key : p->conf->api_key;
    const char *signature = pat_httpd_header(req, "x-retell-signature");
    struct tool_run *r;
    PAT_AUTO_JSON body = NULL;
    PAT_AUTO_STR mended = NULL;
    struct pat_json_err why = { .path = "", .what = "" };
    size_t len;
    const char *text = pat_httpd_body(req, &len);

    if (!signature || pat_sign_retell_verify(signature, key, text, len, pat_unix_ms())) {
        pat_log(PAT_WARN, "tool.bad_signature", PAT_S("peer", pat_httpd_peer(req)));
        pat_httpd_reply_error(req, PAT_EAUTH, "X-Retell-Signature", "missing, wrong or too old");
        return;
    }
    mended = pat_json_mended(text, &len); /* the transcript is in it: cut anywhere */
    if (mended)
        text = mended;
    r = calloc(1, sizeof *r);
    if (!r) {
        pat_httpd_reply_error(req, PAT_ENOMEM, NULL, pat_err_text(PAT_ENOMEM));
        return;
    }
    r->p = p;
    r->req = req;
    r->began_ms = pat_now_ms();
    if (!pat_strcpy(r->name, sizeof r->name, pat_httpd_param(req, "tool")))
        refuse(r, PAT_EINVAL, "tool", "is longer than a tool's name");
    else if (pat_json_parse(&body, text, len, &why))
        refuse(r, PAT_EINVAL, "body", why.what);
    else if (read_body(r, body, &why))
        refuse(r, PAT_EINVAL, why.path, why.what);
    else
        look_up(r);
}

int tools_serve(struct provider *p)
{
    int err = pat_httpd_new(
        &p->edge, p->d->net,
        &(struct pat_httpd_opts){ .listen = p->conf->tools_listen, .max_body = BODY_MAX });

    if (!err)
        err = pat_httpd_route(p->edge, "POST", "/v1/retell/tools/{tool}", 0, on_tool, p);
    if (!err)
        err = pat_httpd_listen(p->edge);
    if (!err)
        pat_daemon_set_port(p->d, "tools", pat_httpd_port(p->edge));
    return err;
}
