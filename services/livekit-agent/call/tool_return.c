/* tool_return.c - a caller who comes back: from a transfer nobody took, or because the leg had
 * died.
 *
 * The telephone's leg says so in a header. Of a transfer, whom they wanted and what was said before
 * the agent that let them go has left in the bucket. Of a leg that died nobody may be left who knew
 * the call: Postgres has what was said. Either may come before or behind the call's context, or not
 * at all: then the caller is greeted without it.
 */
#include "tool_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KV_MS = 500, DB_MS = 3000 };

/* Of a question: the call may be gone when it is answered. */
struct call_return {
    struct call *c; /* NULL: gone */
    struct pat_json *state;
    bool cut_off; /* its leg had died */
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
    if (b->cut_off && history_size(c->history))
        return; /* the caller was faster */
    PAT_JSON_EACH(m, said)
    {
        const char *text = pat_json_str_or(m, "content", "");

        if (strcmp(pat_json_str_or(m, "role", ""), "user") == 0)
            (void)history_user(c->history, text, pat_json_int_or(m, "start_ms", 0));
        else
            (void)history_agent(c->history, text, pat_json_int_or(m, "start_ms", 0));
    }
}

static void know(struct call_return *b)
{
    b->c->segment = (int)pat_json_int_or(b->state, "segment", 1) + 1;
    if (b->c->segment < 2)
        b->c->segment = 2;
    remember(b->c);
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
    if (!err && pat_json_parse(&b->state, data, len, NULL) == PAT_OK)
        know(b);
}

static void on_said(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct call_return *b = arg;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    b->asked = false;
    if (!b->c) {
        return_free(b);
        return;
    }
    if (!text || pat_json_parse(&b->state, text, strlen(text), NULL)) {
        pat_log(PAT_WARN, "call.said_unknown", PAT_S("call", b->c->id), PAT_ERR(err));
        return;
    }
    pat_log(PAT_INFO, "call.said", PAT_S("call", b->c->id),
            PAT_I("turns", (int64_t)pat_json_size(pat_json_at(b->state, "said"))));
    know(b);
}

/* Whose call it is has to be known first. */
static void ask_said(struct call *c)
{
    struct call_return *b = c->came_back;
    const char *params[] = { c->id, c->ctx ? c->ctx->user_id : NULL };

    if (b->asked || b->state || !c->ctx || !c->env->db)
        return;
    b->asked =
        !pat_db_run1(c->env->db, "call_said", "select patchbay.call_said($1::uuid, $2::uuid)",
                     params, 2, DB_MS, on_said, b, NULL);
}

/* From a checkpoint, which knows more. */
static bool goes_on(const struct call *c)
{
    return c->keep.saved || c->keep.plan.what != RESUME_NO;
}

static bool is_cut_off(const char *outcome)
{
    return !strcmp(outcome, "redial") || !strcmp(outcome, "failed_over");
}

void call_came_back(struct call *c, const char *outcome)
{
    struct call_return *b;
    char key[64];

    if (c->ready && is_cut_off(outcome))
        call_back_redialled(c); /* to us, who were there all the time */
    if (c->came_back || c->ready || (is_cut_off(outcome) && goes_on(c)))
        return;
    b = calloc(1, sizeof *b);
    if (!b)
        return;
    pat_log(PAT_INFO, "call.came_back", PAT_S("call", c->id), PAT_S("outcome", outcome));
    b->c = c;
    c->came_back = b;
    b->cut_off = is_cut_off(outcome);
    c->segment = 2; /* at least; what was kept knows better */
    if (b->cut_off) {
        ask_said(c);
        return;
    }
    (void)snprintf(key, sizeof key, "%.36s.transfer", c->id);
    b->asked =
        c->env->bus && pat_kv_get(c->env->bus, CALL_BUCKET, key, KV_MS, on_kept, b) == PAT_OK;
}

void call_return_known(struct call *c)
{
    if (c->came_back && c->came_back->cut_off)
        ask_said(c);
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
    const char *form = own_words(OWN_NO_ANSWER, c->ctx->language), *at = strstr(form, "%s");
    const char *label = b->state ? pat_json_str_or(b->state, "label", "") : "";
    struct pat_buf out;

    if (b->cut_off && *c->ctx->greeting && b->state &&
        !pat_json_size(pat_json_at(b->state, "said")))
        return strdup(c->ctx->greeting); /* it had not been heard */
    if (b->cut_off)
        return strdup(pat_cut_off_phrase(c->ctx->language));
    if (!*label)
        return strdup(own_words(OWN_NOBODY, c->ctx->language));
    pat_buf_init(&out, 600);
    pat_buf_addf(&out, "%.*s%s%s", (int)(at - form), form, label, at + 2);
    return pat_buf_take(&out);
}
