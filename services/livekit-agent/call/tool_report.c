/* tool_report.c - what a tool was called with and what came of it, for the record.
 *
 * Arguments are redacted before they leave; what tools answered stays in the call.
 */
#include "tool_int.h"

#include <stdlib.h>

static const char *const outcomes[] = { [TOOL_OK] = "ok",
                                        [TOOL_REFUSED] = "refused",
                                        [TOOL_FAILED] = "failed",
                                        [TOOL_TIMED_OUT] = "timed_out",
                                        [TOOL_CANCELED] = "canceled" };

/* The same row told again, by the agent that goes on for one that died, is the same event. */
static struct pat_id id_of(const char *key, const char *name, const char *row)
{
    struct pat_buf what;
    struct pat_id id = pat_id_new();

    pat_buf_init(&what, 128 * 1024);
    if (row && !pat_buf_addf(&what, "%s|%s", name, row))
        id = pat_event_id_once(key, what.data);
    pat_buf_fini(&what);
    return id;
}

static void put(struct call *c, const char *area, const char *name, struct pat_json *data_take,
                const char *function, const struct pat_json *row, const struct pat_id *id)
{
    struct pat_buf sql;
    PAT_AUTO_STR text = pat_json_print(row);
    const char *params[] = { text };
    struct pat_db_stmt stmt = { NULL, NULL, 1, params };

    pat_buf_init(&sql, 200);
    pat_buf_addf(&sql, "select patchbay.%s($1::jsonb)", function);
    stmt.sql = sql.data;
    report_once(c, area, name, id, data_take, text && sql.data ? &stmt : NULL);
    pat_buf_fini(&sql);
}

void tool_report(const struct tool_run *r, enum tool_outcome how, const char *error)
{
    struct call *c = r->tools->c;
    struct pat_json *data = pat_json_obj();
    PAT_AUTO_JSON row = NULL;
    int64_t ms = (pat_now_us() - r->began_us) / 1000;
    struct pat_id id = pat_event_id_once(r->key.s, "tool");

    pat_log(how == TOOL_FAILED || how == TOOL_TIMED_OUT ? PAT_WARN : PAT_INFO, "call.tool",
            PAT_S("call", c->id), PAT_S("tool", r->tool ? r->tool->name : "unknown"),
            PAT_S("outcome", outcomes[how]), PAT_S("error", error), PAT_I("ms", ms));
    pat_json_set_str(data, "tool_call_id", r->key.s);
    pat_json_set_int(data, "turn", c->turns);
    pat_json_set_str(data, "tool", r->name);
    pat_json_set_take(data, "arguments", pat_tools_redacted(r->args));
    pat_json_set_str(data, "outcome", outcomes[how]);
    pat_json_set_str(data, "error", error);
    pat_json_set_int(data, "duration_ms", ms);
    row = pat_json_dup(data);
    pat_json_set_str(row, "id", r->key.s);
    pat_json_set_str(row, "call_id", c->id);
    pat_json_set_str(row, "user_id", c->ctx->user_id);
    put(c, "turn", "tool", data, "put_tool_call", row, &id);
}

void tool_record(struct call *c, const char *name, struct pat_json *data_take, const char *function,
                 const struct pat_json *row, const char *key)
{
    PAT_AUTO_STR text = pat_json_print(row);
    struct pat_id id = id_of(key, name, text);

    put(c, "call", name, data_take, function, row, &id);
}
