/* tool_callback.c - request_callback: a time the caller asked for, checked in the user's time zone.
 *
 * Nobody is called here: the row is the promise, and the due list (relay.callbacks_due) says when.
 */
#include "tool_int.h"

static void refuse(struct tool_run *r, const char *field, const char *what)
{
    struct pat_buf b;

    pat_buf_init(&b, 512);
    pat_buf_addf(&b, "%s %s. Ask the caller and try again.", field, what);
    tool_done(r, TOOL_REFUSED, field, tool_result("refused", b.data ? b.data : what));
    pat_buf_fini(&b);
}

static struct pat_json *row_of(const struct tool_run *r, int64_t at_ms, const char *number)
{
    const struct call *c = r->tools->c;
    struct pat_json *row = pat_json_obj();
    char due[PAT_TIME_LEN + 1], local[PAT_LOCAL_LEN + 1];

    pat_time_format(at_ms, due);
    pat_tools_local(r->tools->set, at_ms, local);
    pat_json_set_str(row, "id", r->key.s);
    pat_json_set_str(row, "call_id", c->id);
    pat_json_set_str(row, "user_id", c->ctx->user_id);
    pat_json_set_str(row, "agent_config_id", c->ctx->agent_config_id);
    pat_json_set_str(row, "number", number);
    pat_json_set_str(row, "caller_name", pat_json_str_or(r->args, "caller_name", NULL));
    pat_json_set_str(row, "reason", pat_json_str_or(r->args, "reason", NULL));
    pat_json_set_str(row, "due_at", due);
    pat_json_set_str(row, "time_zone", pat_tools_zone(r->tools->set));
    pat_json_set_str(row, "local_time", local);
    return row;
}

/* The event: the row, by the names other events use. */
static struct pat_json *event_of(const struct pat_json *row)
{
    static const char *const same[] = { "number", "caller_name", "reason",
                                        "due_at", "time_zone",   "local_time" };
    struct pat_json *data = pat_json_obj();

    pat_json_set_str(data, "callback_id", pat_json_str_or(row, "id", NULL));
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        pat_json_set_str(data, same[i], pat_json_str_or(row, same[i], NULL));
    return data;
}

void tool_callback(struct tool_run *r)
{
    const struct pat_tools *set = r->tools->set;
    char what[160], number[PAT_PHONE_LEN + 1];
    PAT_AUTO_JSON row = NULL;
    struct pat_json *result;
    int64_t at_ms;
    int err =
        pat_tools_callback(set, pat_json_str_or(r->args, "when", ""), pat_unix_ms(), &at_ms, what);

    if (err) {
        refuse(r, "when", *what ? what : "cannot be checked now");
        return;
    }
    err = pat_tools_reach(set, pat_json_str_or(r->args, "number", NULL), number);
    if (err) {
        refuse(r, "number",
               err == PAT_ENOENT  ? "is needed: the caller's own is withheld"
               : err == PAT_EPERM ? "cannot be called from here"
                                  : "is no telephone number");
        return;
    }
    row = row_of(r, at_ms, number);
    tool_record(r->tools->c, "callback", event_of(row), "put_callback", row, r->key.s);
    result = tool_result("noted", "The callback is noted. Confirm the day and time to the caller.");
    pat_json_set_str(result, "local_time", pat_json_str_or(row, "local_time", NULL));
    tool_done(r, TOOL_OK, NULL, result);
}
