/* tool_passcode.c - the passcode of somebody a caller wants to be put through to: asked for, heard
 * and compared here, and seen by nobody else.
 *
 * The model calls transfer_call without it, is told that the caller is asked, and has no say in
 * the caller's next turn: what they say or press then is compared with what Postgres has at that
 * moment. Meanwhile the recording is paused, nothing of it is shown live, and history, transcript
 * and events have PASSCODE_SHOWN in its place. What was no passcode at all ("I don't have one")
 * reaches the model, with every number and every word of the passcode left out. When it was right
 * or may not be tried again, the tool is called anew in the model's place.
 */
#include "tool_transfer.h"

#include <stdlib.h>
#include <string.h>

enum {
    SECRET_MS = 2000,
    PAUSE_MS = 1800, /* people breathe between digits */
    OTHER_WORDS = 4, /* so many that are no code: it was something else */
    MASKED_MAX = 600,
};

static void wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void tool_passcode_end(struct call_tools *t)
{
    struct tool_code *k = &t->code;

    if (k->query)
        pat_db_cancel(t->c->env->db, k->query);
    k->query = 0;
    k->run = NULL;
    wipe(&k->said);
    if (!k->asked)
        return;
    k->asked = false;
    call_forget(t->c); /* said twice, it is not heard twice */
    call_record_unpause(t->c, RECORD_PAUSE_CODE);
    call_turn_kind(t->c, TURN_PATIENCE, 0);
}

bool call_tools_secret(const struct call_tools *t)
{
    return t && t->code.asked;
}

void tool_passcode_cancel(struct tool_run *r)
{
    struct tool_code *k = &r->tools->code;

    if (k->run == r)
        tool_passcode_end(r->tools);
}

/* From now on what the caller says is the code. */
static void listen_for(struct call_tools *t, const char *label)
{
    wipe(&t->code.said);
    t->code.asked = true;
    pat_strcpy(t->code.to, sizeof t->code.to, label);
    call_record_pause(t->c, RECORD_PAUSE_CODE);
    call_turn_kind(t->c, TURN_PATIENCE, PAUSE_MS);
    checkpoint_touch(t->c);
}

static void ask_for(struct tool_run *r, const char *label, enum own_words words)
{
    struct call_tools *t = r->tools;

    listen_for(t, label);
    t->next = NEXT_END;
    tool_say(t, own_words(words, tool_language(t)));
    transfer_over(r, TOOL_REFUSED, "passcode", "asked",
                  "The caller was asked for the passcode just now. It is compared without you.");
}

static void no_more(struct tool_run *r)
{
    tool_passcode_end(r->tools);
    transfer_over(r, TOOL_REFUSED, "passcode", "refused",
                  "There were too many wrong passcodes in this call. Offer to take a message.");
}

static void something_else(struct tool_run *r, const char *masked)
{
    struct pat_buf b;

    tool_passcode_end(r->tools);
    pat_buf_init(&b, MASKED_MAX + 200);
    pat_buf_addf(&b, "The caller did not say the passcode. They said: \"%s\". Answer that.",
                 masked);
    transfer_over(r, TOOL_REFUSED, "passcode", "refused", b.data ? b.data : "");
    pat_buf_fini(&b);
}

static void wrong(struct tool_run *r, const char *stored)
{
    struct call_tools *t = r->tools;
    struct pat_buf masked;
    int words;

    t->passcode_tries++;
    pat_buf_init(&masked, MASKED_MAX);
    words = pat_passcode_masked(&masked, stored, t->code.said);
    if (words >= OTHER_WORDS)
        something_else(r, masked.data);
    else if (t->passcode_tries >= PAT_PASSCODE_TRIES)
        no_more(r);
    else
        ask_for(r, t->code.to, OWN_PASSCODE_AGAIN);
    pat_buf_fini(&masked);
}

static void on_secret(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct call_tools *t = arg;
    struct tool_run *r = t->code.run;
    const char *stored =
        !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    t->code.query = 0;
    t->code.run = NULL;
    if (!r)
        return;
    if (err) {
        tool_passcode_end(t);
        transfer_over(r, TOOL_FAILED, "unavailable", "failed",
                      "The passcode cannot be checked now. Offer to take a message.");
    } else if (stored && t->code.said && pat_passcode_equal(stored, t->code.said)) {
        tool_passcode_end(t);
        t->code.right(r);
    } else {
        wrong(r, stored ? stored : "");
    }
}

static void compare(struct tool_run *r, const struct pat_target *to, tool_fn *right)
{
    static const char sql[] = "select patchbay.transfer_secret($1, $2, $3)";
    struct call_tools *t = r->tools;
    const struct context *ctx = t->c->ctx;
    const char *params[] = { ctx->user_id, ctx->agent_config_id, *to->id ? to->id : NULL };

    t->code.run = r;
    t->code.right = right;
    if (!t->c->env->db ||
        pat_db_run1(t->c->env->db, NULL, sql, params, 3, SECRET_MS, on_secret, t, &t->code.query))
        on_secret(PAT_EUNAVAIL, NULL, 0, t);
}

void tool_passcode(struct tool_run *r, const struct pat_target *to, tool_fn *right)
{
    struct call_tools *t = r->tools;

    if (t->passcode_tries >= PAT_PASSCODE_TRIES)
        no_more(r);
    else if (t->code.said && strcmp(t->code.to, to->label) == 0)
        compare(r, to, right);
    else
        ask_for(r, to->label, OWN_PASSCODE);
}

/* The caller's turn: the tool is called again, and finds what they said. */
bool tool_passcode_turn(struct call_tools *t, const char *said)
{
    PAT_AUTO_JSON args = pat_json_obj();
    PAT_AUTO_STR text = NULL;

    wipe(&t->code.said);
    t->code.said = strdup(said ? said : "");
    pat_json_set_str(args, "to", t->code.to);
    text = pat_json_print(args);
    call_say_tool(t->c, pat_tool_name(PAT_TOOL_TRANSFER), text ? text : "{}", t->code.said);
    return true;
}

struct pat_json *call_passcode_save(const struct call *c)
{
    const struct call_tools *t = c->tools;
    struct pat_json *o;

    if (!t || (!t->code.asked && !t->passcode_tries))
        return NULL;
    o = pat_json_obj();
    pat_json_set_int(o, "tries", t->passcode_tries);
    pat_json_set_str(o, "to", t->code.asked ? t->code.to : NULL);
    return o;
}

void call_passcode_load(struct call *c, const struct pat_json *saved)
{
    const char *to = pat_json_str_or(saved, "to", NULL);

    if (!c->tools)
        return;
    c->tools->passcode_tries = (int)pat_json_int_or(saved, "tries", 0);
    if (to)
        listen_for(c->tools, to);
}
