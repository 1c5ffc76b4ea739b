/* tool_return.c - a caller who comes back from a transfer nobody took.
 *
 * The telephone's leg says so in a header; whom they wanted, and what was said before, the agent
 * that let them go has left in the bucket. It may come before or behind the call's context, or not
 * at all: then the caller is greeted without a name.
 */
#include "tool_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KV_MS = 500 };

/* Of a question to the bucket: the call may be gone when it is answered. */
struct call_return {
    struct call *c; /* NULL: gone */
    struct pat_json *state;
    bool asked, told;
};

/* What was said is known again, once there is somewhere to put it. */
static void remember(struct call *c)
{
    struct call_return *b = c->came_back;
    const struct pat_json *said = b && b->state ? pat_json_at(b->state, "said") : NULL;

    if (!said || b->told || !c->history)
        return;
    b->told = true;
    PAT_JSON_EACH(m, said)
    {
        const char *text = pat_json_str_or(m, "content", "");

        if (strcmp(pat_json_str_or(m, "role", ""), "user") == 0)
            (void)history_user(c->history, text, pat_json_int_or(m, "start_ms", 0));
        else
            (void)history_agent(c->history, text, pat_json_int_or(m, "start_ms", 0));
    }
}

static void return_free(struct call_return *b)
{
    pat_json_free(b->state);
    free(b);
}

static void on_kept(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct call_return *b = arg;

    (void)revision;
    b->asked = false;
    if (!b->c) {
        return_free(b);
        return;
    }
    if (!err && pat_json_parse(&b->state, data, len, NULL) == PAT_OK) {
        b->c->segment = (int)pat_json_int_or(b->state, "segment", 1) + 1;
        remember(b->c);
    }
}

void call_came_back(struct call *c, const char *outcome)
{
    struct call_return *b;
    char key[64];

    if (c->came_back || c->ready)
        return;
    b = calloc(1, sizeof *b);
    if (!b)
        return;
    pat_log(PAT_INFO, "call.came_back", PAT_S("call", c->id), PAT_S("outcome", outcome));
    b->c = c;
    c->came_back = b;
    c->segment = 2; /* at least; what was kept knows better */
    (void)snprintf(key, sizeof key, "%.36s.transfer", c->id);
    b->asked =
        c->env->bus && pat_kv_get(c->env->bus, CALL_BUCKET, key, KV_MS, on_kept, b) == PAT_OK;
}

void call_return_known(struct call *c)
{
    remember(c);
}

void call_return_free(struct call *c)
{
    struct call_return *b = c->came_back;

    c->came_back = NULL;
    if (!b)
        return;
    b->c = NULL;
    if (!b->asked)
        return_free(b);
}

char *call_return_greeting(const struct call *c)
{
    const struct call_return *b = c->came_back;
    const char *form = tool_phrase(SAY_NO_ANSWER, c->ctx->language), *at = strstr(form, "%s");
    const char *label = b->state ? pat_json_str_or(b->state, "label", "") : "";
    struct pat_buf out;

    if (!*label)
        return strdup(tool_phrase(SAY_NOBODY, c->ctx->language));
    pat_buf_init(&out, 600);
    pat_buf_addf(&out, "%.*s%s%s", (int)(at - form), form, label, at + 2);
    return pat_buf_take(&out);
}
