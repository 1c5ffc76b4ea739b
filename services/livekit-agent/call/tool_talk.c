/* tool_talk.c - end_call and send_dtmf: what a tool does in the room itself. */
#include "tool_int.h"

void tool_end(struct tool_run *r)
{
    struct call_tools *t = r->tools;
    struct call *c = t->c;
    bool said = reply_has_text(c->reply);

    t->next = NEXT_END;
    tool_done(r, TOOL_OK, NULL, tool_result("ending", "The call ends now."));
    if (!c->reason[0])
        pat_strcpy(c->reason, sizeof c->reason, "agent_hangup");
    /* With the goodbye the model has said, else with ours. */
    call_turn_kind(c, TURN_HANG_UP, said ? 1 : 2);
}

void tool_dtmf(struct tool_run *r)
{
    int err = call_send_dtmf(r->tools->c, pat_json_str_or(r->args, "digits", ""));

    if (err == PAT_EINVAL)
        tool_done(r, TOOL_REFUSED, "digits",
                  tool_result("refused", "digits may hold 0-9, *, # and w only."));
    else if (err)
        tool_done(r, TOOL_FAILED, pat_err_name(err), tool_result("failed", "They were not sent."));
    else
        tool_done(r, TOOL_OK, NULL, tool_result("sent", "The keys are being pressed."));
}
