/* tool_transfer.c - transfer_call on Retell: the router is asked to put the caller through.
 *
 * Retell's own transfers do not work for calls that were dialled to it by SIP; the router redirects
 * the carrier's leg, and Retell sees its caller leave. Warm there is a briefing whispered to who
 * takes the phone off, with a key to accept. When nobody takes the caller, the router registers the
 * call anew, and the agent has them back.
 */
#include "tool.h"

#include <string.h>

enum {
    ASK_MS = 2500,
    SECRET_MS = 2000,
    RING_S = 25,
    TRIES_PER_HOUR = 12, /* wrong passcodes, in all calls of a user */
};

static void not_reached(struct tool_run *r, const char *why)
{
    tool_done(r, TOOL_FAILED, why, "not_reached",
              "They could not be reached. Tell the caller, and offer to take a message or to have "
              "them called back.");
}

static void on_asked(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct tool_run *r = arg;

    (void)result;
    if (err)
        not_reached(r, message && *message ? message : pat_err_name(err));
    else
        tool_done(r, TOOL_OK, NULL, "connecting",
                  "The caller is being connected. Say nothing more.");
}

static struct pat_json *request_of(const struct tool_run *r)
{
    const struct pat_json *s = pat_json_at(r->call, "settings");
    bool warm = pat_json_bool_or(s, "stack_config.retell.warm_transfer", false);
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "call_id", r->call_id);
    pat_json_set_str(j, "user_id", r->user_id);
    pat_json_set_int(j, "epoch", 1);
    pat_json_set_str(j, "transfer_id", r->id.s);
    pat_json_set_str(j, "mode", warm ? "warm" : "cold");
    pat_json_set_str(j, "to", r->to->number);
    pat_json_set_str(j, "label", r->to->label);
    pat_json_set_int(j, "timeout_s", RING_S);
    pat_json_set_str(j, "briefing", pat_json_str_or(r->args, "briefing", NULL));
    return j;
}

static void ask(struct tool_run *r)
{
    PAT_AUTO_JSON request = request_of(r);
    pat_bus_id id;
    int err = pat_rpc_call(r->p->d->bus, "router", "transfer", request, ASK_MS, on_asked, r, &id);

    if (err)
        not_reached(r, pat_err_name(err));
}

static void on_secret(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct tool_run *r = arg;
    const char *stored =
        !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    bool last = pat_json_int_or(r->call, "passcodes", 0) + 1 >= PAT_PASSCODE_TRIES;

    if (err)
        tool_done(r, TOOL_FAILED, "unavailable", "failed",
                  "The passcode cannot be checked now. Offer to take a message.");
    else if (stored && tool_passcode_fits(r, stored))
        ask(r);
    else if (last)
        tool_done(
            r, TOOL_REFUSED, "passcode", "refused",
            "That is not the passcode, and there are no more tries. Offer to take a message.");
    else
        tool_ask_passcode(r, "passcode",
                          "That is not the passcode. Ask for it once more, and when the caller has "
                          "said it or pressed its digits, call this tool again; or offer to take a "
                          "message.");
}

static void check_code(struct tool_run *r)
{
    const char *params[] = { r->user_id, r->config_id, *r->to->id ? r->to->id : NULL };

    if (pat_json_int_or(r->call, "passcodes_hour", 0) >= TRIES_PER_HOUR)
        tool_done(r, TOOL_REFUSED, "passcode_limit", "refused",
                  "Nobody is put through by passcode for a while. Offer to take a message.");
    else if (pat_json_int_or(r->call, "passcodes", 0) >= PAT_PASSCODE_TRIES)
        tool_done(r, TOOL_REFUSED, "passcode", "refused",
                  "There were too many wrong passcodes in this call. Offer to take a message.");
    else if (!r->asked || (!*r->said && !*r->keys))
        tool_ask_passcode(r, "needs_passcode",
                          "This needs the passcode. Ask the caller to say it or to press its "
                          "digits, then call this tool again.");
    else if (pat_db_run1(r->p->d->db, NULL, "select patchbay.transfer_secret($1, $2, $3)", params,
                         3, SECRET_MS, on_secret, r, NULL))
        on_secret(PAT_EUNAVAIL, NULL, 0, r);
}

void tool_transfer(struct tool_run *r)
{
    int err = pat_tools_target(r->set, pat_json_str_or(r->args, "to", NULL), &r->to);

    if (err)
        tool_done(r, TOOL_REFUSED, err == PAT_ENOENT ? "unknown" : "not_allowed", "refused",
                  "The caller cannot be put through there. Offer to take a message.");
    else if (!pat_tools_may_transfer(r->set, pat_unix_ms()))
        tool_done(r, TOOL_REFUSED, "quiet_hours", "refused",
                  "Nobody is put through at this hour. Offer to take a message.");
    else if (r->to->has_passcode)
        check_code(r);
    else
        ask(r);
}
