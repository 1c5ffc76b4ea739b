/* tool_resume.c - tools of an agent that died: what ran is finished here, and told to the caller.
 *
 * What has a key that others go by is done again under it: rows, transfers, users' webhooks. What
 * has none (keys pressed, a REFER, the end of the call) is not, and the model is told that nobody
 * knows. When all is done and nobody speaks, the model is asked, with the results in its history.
 */
#include "call_tools.h"
#include "tool_transfer.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 300, WAIT_MS = 900 };

/* ---- out ---- */

static struct pat_json *message_save(const struct call_tools *t)
{
    struct pat_json *j = pat_json_obj();
    PAT_AUTO_STR said = call_all_said(t->c);

    pat_json_set_bool(j, "last", t->last);
    pat_json_set_str(j, "key", t->message.s);
    pat_json_set_str(j, "name", t->caller_name);
    pat_json_set_str(j, "number", t->callback_number);
    if (t->said_before && said && *said) {
        struct pat_buf b;

        pat_buf_init(&b, strlen(t->said_before) + strlen(said) + 2);
        pat_buf_addf(&b, "%s %s", t->said_before, said);
        pat_json_set_str(j, "said", b.data);
        pat_buf_fini(&b);
    } else {
        pat_json_set_str(j, "said", t->said_before ? t->said_before : said);
    }
    return j;
}

struct pat_json *call_tools_save(const struct call *c)
{
    const struct call_tools *t = c->tools;
    struct pat_json *notes = t ? ledger_save(&t->ledger) : NULL, *o;

    if (!t || (!notes && !t->recording && !t->passcode_tries && !t->in_call))
        return NULL;
    o = pat_json_obj();
    pat_json_set_int(o, "in_call", t->in_call);
    pat_json_set_int(o, "passcode_tries", t->passcode_tries);
    pat_json_set_bool(o, "running", ledger_running(&t->ledger) || t->owed);
    if (notes)
        pat_json_set_take(o, "calls", notes);
    if (t->recording)
        pat_json_set_take(o, "message", message_save(t));
    return o;
}

/* ---- in ---- */

static void message_load(struct call_tools *t, const struct pat_json *j)
{
    const char *said = pat_json_str_or(j, "said", "");

    t->recording = true;
    t->recording_from_ms = -1;
    t->last = pat_json_bool_or(j, "last", false);
    (void)pat_strcpy(t->message.s, sizeof t->message.s, pat_json_str_or(j, "key", ""));
    (void)pat_strcpy(t->caller_name, sizeof t->caller_name, pat_json_str_or(j, "name", ""));
    (void)pat_strcpy(t->callback_number, sizeof t->callback_number,
                     pat_json_str_or(j, "number", ""));
    t->said_before = *said ? strdup(said) : NULL;
}

void call_tools_load(struct call *c, const struct pat_json *saved)
{
    struct call_tools *t = c->tools;

    if (!t)
        return;
    t->in_call = (int)pat_json_int_or(saved, "in_call", 0);
    t->passcode_tries = (int)pat_json_int_or(saved, "passcode_tries", 0);
    if (pat_json_at(saved, "message"))
        message_load(t, pat_json_at(saved, "message"));
    if (ledger_load(&t->ledger, pat_json_at(saved, "calls")))
        pat_log(PAT_WARN, "call.tools_not_restored", PAT_S("call", c->id));
    t->owed = c->keep.plan.what == RESUME_TOOLS;
    /* The turn they were called for is taken up again. */
    t->keep = t->owed || c->keep.plan.what == RESUME_THINK;
    if (!t->ledger.notes || history_tools(c->history, ledger_as_called(&t->ledger), call_ms(c)))
        return;
    for (const struct tool_note *n = t->ledger.notes; n; n = n->next)
        if (n->result)
            history_tool_result(c->history, n->call_id, n->result);
}

/* ---- on ---- */

/* Done again under its key it is done once. */
static bool has_key(const struct tool_run *r)
{
    switch (r->tool->kind) {
    case PAT_TOOL_MESSAGE:
    case PAT_TOOL_CALLBACK:
    case PAT_TOOL_WEBHOOK:
        return true;
    case PAT_TOOL_TRANSFER:
        return !transfer_by_refer(r->tools->c);
    default:
        return false;
    }
}

/* Their row may have died with the process that had made it, a moment ago. */
static bool makes_a_row(const struct tool_run *r)
{
    return r->tool &&
           (r->tool->kind == PAT_TOOL_CALLBACK ||
            (r->tool->kind == PAT_TOOL_MESSAGE && *pat_json_str_or(r->args, "message", "")));
}

static void go_on(struct call_tools *t, const struct tool_note *n)
{
    struct pat_json_err err;
    const struct reply_call call = { (char *)(uintptr_t)n->call_id, (char *)(uintptr_t)n->name,
                                     n->arguments };
    struct tool_run *r = tool_run_new(t, &call, &err);

    if (!r)
        return;
    r->key = n->key;
    r->checked = n->checked;
    r->resumed = true;
    r->began_us = pat_now_us();
    if (n->result && !makes_a_row(r)) {
        r->done = true; /* told already */
        return;
    }
    pat_log(PAT_INFO, "call.tool_resumed", PAT_S("call", t->c->id), PAT_S("tool", r->name),
            PAT_B("done", n->result != NULL));
    if (r->tool && has_key(r))
        tool_run_start(r);
    else
        tool_done(r, TOOL_FAILED, "interrupted",
                  tool_result("unknown", "Our side was interrupted. Whether it happened is not "
                                         "known: tell the caller, and ask before trying again."));
}

static void say_wait(struct call_tools *t)
{
    const char *text = own_words(OWN_MOMENT, tool_language(t));

    for (const struct tool_run *r = t->runs; r; r = r->next)
        if (!r->done && r->tool && r->tool->filler)
            text = r->tool->filler;
    if (call_announce(t->c, text, 0, NULL, NULL))
        pat_log(PAT_INFO, "call.tool_mute", PAT_S("call", t->c->id));
}

void tool_settle(struct call_tools *t)
{
    bool pending = false;

    for (const struct tool_run *r = t->runs; r; r = r->next)
        pending |= !r->done;
    if (pending && !t->filled && call_is_quiet(t->c)) {
        t->filled = true;
        say_wait(t);
    }
    if (pending || !call_is_quiet(t->c)) {
        pat_timer_start(&t->filler, LOOK_MS);
        return;
    }
    t->owed = false;
    call_turn_kind(t->c, TURN_TYPED, 1);
}

void call_tools_resume(struct call_tools *t)
{
    struct tool_note *notes[LEDGER_NOTES];
    int n = 0;

    if (!t)
        return;
    for (struct tool_note *x = t->ledger.notes; x && n < LEDGER_NOTES; x = x->next)
        notes[n++] = x;
    t->filled = false;
    t->starting = true;
    for (int i = 0; i < n && !t->c->ending; i++)
        go_on(t, notes[i]);
    t->starting = false;
    if (t->c->ending)
        return;
    if (t->recording)
        tool_message_resume(t);
    if (t->owed)
        pat_timer_start(&t->filler, WAIT_MS);
    tool_move_on(t);
}
