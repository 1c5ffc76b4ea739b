/* tool_webhook.c - a tool of the user's own, called as user_tool.h says.
 *
 * When the agent that sent it dies meanwhile, the next one sends it again under the same
 * webhook-id.
 */
#include "tool_int.h"

static void let_go(struct tool_run *r)
{
    struct pat_user_tool *u = r->work;

    r->work = NULL;
    r->cancel = NULL;
    pat_user_tool_cancel(u);
}

static void on_answer(const char *error, struct pat_json *result_take, void *arg)
{
    struct tool_run *r = arg;

    r->work = NULL;
    r->cancel = NULL;
    tool_done(r, error ? TOOL_FAILED : TOOL_OK, error, result_take);
}

void tool_webhook(struct tool_run *r)
{
    const struct call *c = r->tools->c;
    const struct env *e = c->env;
    const struct pat_user_tool_use use = {
        .db = e->db,
        .http = e->http,
        .tool_id = r->tool->id,
        .tool = r->tool->name,
        .id = r->key,
        .args = r->args,
        .call_id = c->id,
        .user_id = c->ctx->user_id,
        .agent_config_id = c->ctx->agent_config_id,
        .from = c->ctx->from,
        .to = c->ctx->to,
        .timeout_ms = (r->deadline.due_us - pat_now_us()) / 1000,
        .private_nets = e->conf->tool_private_nets,
    };
    struct pat_user_tool *u;

    if (pat_user_tool_start(&u, &use, on_answer, r)) {
        tool_done(r, TOOL_FAILED, "unavailable", tool_result("failed", "It cannot be called now."));
        return;
    }
    r->work = u;
    r->cancel = let_go;
}
