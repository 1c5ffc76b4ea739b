/* tool_passcode.c - a passcode on Retell: out of the caller's mouth, not out of the model's.
 *
 * The conversation is Retell's, so the model hears what is said; but the tool has no argument for
 * it. Asked for by the tool's answer, it is taken from the transcript that Retell sends with the
 * next use: what the caller said, or which keys were pressed, since. A model that was talked into
 * guessing cannot. What was taken is wiped; in what is stored of the transcript it is [passcode]
 * (patchbay.retell_redacted, which knows it by "ask" in the answer).
 */
#include "tool.h"

#include <stdlib.h>
#include <string.h>

#define SAID_MAX 600

static const char ask_field[] = "\"ask\":\"passcode\"";

/* The use under way is the last of its name: what is behind it does not count. */
static const struct pat_json *this_use(const struct tool_run *r, const struct pat_json *turns)
{
    const struct pat_json *last = NULL;

    PAT_JSON_EACH(t, turns)
    if (!strcmp(pat_json_str_or(t, "role", ""), "tool_call_invocation") &&
        !strcmp(pat_json_str_or(t, "name", ""), r->name))
        last = t;
    return last;
}

static void press(struct tool_run *r, const char *digit)
{
    size_t len = strlen(r->keys);

    if (len + 1 < sizeof r->keys && strlen(digit) == 1 && strchr("0123456789", *digit))
        r->keys[len] = *digit;
}

void tool_listen(struct tool_run *r, const struct pat_json *turns)
{
    const struct pat_json *end;
    struct pat_buf said;

    pat_buf_init(&said, SAID_MAX);
    if (turns && pat_json_kind(turns) == PAT_JSON_ARR) {
        end = this_use(r, turns);
        PAT_JSON_EACH(t, turns)
        {
            const char *role = pat_json_str_or(t, "role", "");

            if (t == end)
                break;
            if (!strcmp(role, "tool_call_result")) {
                r->asked = strstr(pat_json_str_or(t, "content", ""), ask_field) != NULL;
                pat_buf_reset(&said);
                memset(r->keys, 0, sizeof r->keys);
            } else if (r->asked && !strcmp(role, "user")) {
                pat_buf_addf(&said, "%s%s", said.len ? " " : "", pat_json_str_or(t, "content", ""));
            } else if (r->asked && !strcmp(role, "dtmf")) {
                press(r, pat_json_str_or(t, "digit", ""));
            }
        }
    }
    r->said = strdup(said.data && !said.err ? said.data : "");
    if (said.data)
        explicit_bzero(said.data, said.len);
    pat_buf_fini(&said);
    if (!r->said)
        r->asked = false;
}

bool tool_passcode_fits(const struct tool_run *r, const char *stored)
{
    return pat_passcode_equal(stored, r->said) || (*r->keys && pat_passcode_equal(stored, r->keys));
}

void tool_ask_passcode(struct tool_run *r, const char *error, const char *text)
{
    struct pat_json *answer = pat_json_obj();

    pat_json_set_str(answer, "status", "refused");
    pat_json_set_str(answer, "ask", "passcode");
    pat_json_set_str(answer, "message", text);
    tool_answer(r, TOOL_REFUSED, error, answer);
}
