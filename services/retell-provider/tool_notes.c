/* tool_notes.c - take_message and request_callback on Retell: what is noted for the user.
 *
 * The words of a message come from the model: Retell has no way to let the caller speak onto a tape
 * and come back. Its own recording has the sound.
 */
#include "tool.h"

#include <string.h>

static struct pat_json *row_of(const struct tool_run *r)
{
    struct pat_json *row = pat_json_obj();
    struct pat_id id = pat_event_id_once(r->id.s, "row");

    pat_json_set_str(row, "id", id.s);
    pat_json_set_str(row, "call_id", r->call_id);
    pat_json_set_str(row, "user_id", r->user_id);
    pat_json_set_str(row, "agent_config_id", *r->config_id ? r->config_id : NULL);
    return row;
}

static const char *or_null(const char *s)
{
    return s && *s ? s : NULL;
}

void tool_message(struct tool_run *r)
{
    const char *text = pat_json_str_or(r->args, "message", "");
    const char *said = pat_json_str_or(r->args, "callback_number", "");
    const char *name = or_null(pat_json_str_or(r->args, "caller_name", NULL));
    const char *from = pat_json_str_or(r->call, "call.from_number", NULL);
    char number[PAT_PHONE_LEN + 1] = "";
    PAT_AUTO_JSON row = row_of(r);
    struct pat_json *data;

    if (!text[strspn(text, " \t\r\n")]) {
        tool_done(r, TOOL_REFUSED, "message", "refused",
                  "Ask the caller for the message, and call this again with the caller's words.");
        return;
    }
    if (*said && pat_tools_reach(r->set, said, number))
        number[0] = 0;
    pat_json_set_str(row, "from_number", from);
    pat_json_set_str(row, "callback_number", or_null(number));
    pat_json_set_str(row, "caller_name", name);
    pat_json_set_str(row, "transcript", text);
    data = pat_json_obj();
    pat_json_set_str(data, "message_id", pat_json_str_or(row, "id", NULL));
    pat_json_set_null(data, "recording_url");
    pat_json_set_null(data, "duration_ms");
    pat_json_set_str(data, "transcript", text);
    pat_json_set_str(data, "from", from);
    pat_json_set_str(data, "caller_name", name);
    pat_json_set_str(data, "callback_number", or_null(number));
    tool_record(r, "voicemail", data, "put_voicemail", row);
    tool_done(r, TOOL_OK, NULL, "stored", "The message is saved. Tell the caller.");
}

static void store_callback(struct tool_run *r, int64_t at_ms, const char *number)
{
    static const char *const same[] = { "number", "caller_name", "reason",
                                        "due_at", "time_zone",   "local_time" };
    PAT_AUTO_JSON row = row_of(r);
    struct pat_json *data = pat_json_obj();
    char due[PAT_TIME_LEN + 1], local[PAT_LOCAL_LEN + 1];

    pat_time_format(at_ms, due);
    pat_tools_local(r->set, at_ms, local);
    pat_json_set_str(row, "number", number);
    pat_json_set_str(row, "caller_name", pat_json_str_or(r->args, "caller_name", NULL));
    pat_json_set_str(row, "reason", pat_json_str_or(r->args, "reason", NULL));
    pat_json_set_str(row, "due_at", due);
    pat_json_set_str(row, "time_zone", pat_tools_zone(r->set));
    pat_json_set_str(row, "local_time", local);
    pat_json_set_str(data, "callback_id", pat_json_str_or(row, "id", NULL));
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++)
        pat_json_set_str(data, same[i], pat_json_str_or(row, same[i], NULL));
    tool_record(r, "callback", data, "put_callback", row);
}

static void ask_again(struct tool_run *r, const char *field, const char *what)
{
    struct pat_buf b;

    pat_buf_init(&b, 512);
    pat_buf_addf(&b, "%s %s. Ask the caller and try again.", field, what);
    tool_done(r, TOOL_REFUSED, field, "refused", b.data ? b.data : what);
    pat_buf_fini(&b);
}

void tool_callback(struct tool_run *r)
{
    char what[160], number[PAT_PHONE_LEN + 1];
    int64_t at_ms;
    int err = pat_tools_callback(r->set, pat_json_str_or(r->args, "when", ""), pat_unix_ms(),
                                 &at_ms, what);

    if (err) {
        ask_again(r, "when", *what ? what : "cannot be checked now");
        return;
    }
    err = pat_tools_reach(r->set, pat_json_str_or(r->args, "number", NULL), number);
    if (err) {
        ask_again(r, "number",
                  err == PAT_ENOENT  ? "is needed: the caller's own is withheld"
                  : err == PAT_EPERM ? "cannot be called from here"
                                     : "is no telephone number");
        return;
    }
    store_callback(r, at_ms, number);
    tool_done(r, TOOL_OK, NULL, "noted",
              "The callback is noted. Confirm the day and time to the caller.");
}
