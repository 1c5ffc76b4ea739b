/* tool_webhook.c - a tool of the user's own, called as user_tool.h says. */
#include "tool.h"

static void on_answer(const char *error, struct pat_json *result_take, void *arg)
{
    struct tool_run *r = arg;

    tool_answer(r, error ? TOOL_FAILED : TOOL_OK, error, result_take);
}

void tool_webhook(struct tool_run *r)
{
    const struct pat_user_tool_use use = {
        .db = r->p->d->db,
        .http = r->p->d->http,
        .tool_id = r->tool->id,
        .tool = r->tool->name,
        .id = r->id,
        .args = r->args,
        .call_id = r->call_id,
        .user_id = r->user_id,
        .agent_config_id = r->config_id,
        .from = pat_json_str_or(r->call, "call.from_number", NULL),
        .to = pat_json_str_or(r->call, "call.to_number", NULL),
        .timeout_ms = r->tool->timeout_ms,
        .private_nets = r->p->conf->tool_private_nets,
    };
    struct pat_user_tool *u;

    if (pat_user_tool_start(&u, &use, on_answer, r))
        tool_done(r, TOOL_FAILED, "unavailable", "failed", "It cannot be called now.");
}
