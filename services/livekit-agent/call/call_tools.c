/* call_tools.c - see call_tools.h.
 *
 * How: the calls of one stop are runs in a list; the last one to end moves the reply on. A run that
 * ended goes when the reply does not need it any more. What a tool does stands in tool_*.c.
 */
#include "call_tools.h"

#include "tool_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEPS_MAX = 4,            /* stops of the model in one turn, then it has to answer */
    MESSAGES_MAX = 48 * 1024, /* bytes of history given to the model */
    RESULT_MAX = 8 * 1024,    /* of a tool's answer that the model gets to see */
    OURS_MS = 10000,          /* deadline of our own tools */
    WORKING_SLACK_MS = 2000,  /* the machine's patience goes beyond the deadlines */
    FILLER_MS = 900,          /* of silence until we say that it takes a moment */
    FILLER_AGAIN_MS = 9000,
    INSTRUCTIONS_MAX = 128 * 1024,
};

static tool_fn *const starters[PAT_TOOL_KINDS] = {
    [PAT_TOOL_TRANSFER] = tool_transfer, [PAT_TOOL_MESSAGE] = tool_message,
    [PAT_TOOL_CALLBACK] = tool_callback, [PAT_TOOL_END] = tool_end,
    [PAT_TOOL_DTMF] = tool_dtmf,         [PAT_TOOL_WEBHOOK] = tool_webhook,
};

/* ---- life ---- */

static void on_filler(void *arg);

int call_tools_new(struct call_tools **out, struct call *c)
{
    const struct agent_conf *f = c->env->conf;
    struct call_tools *t = calloc(1, sizeof *t);
    const struct pat_tools_opts o = { .settings = c->ctx->tool_settings,
                                      .caller = c->ctx->from,
                                      .called = c->ctx->to,
                                      .countries = f->transfer_countries,
                                      .time_zone = f->time_zone,
                                      .asks_code = true };
    int err = t ? pat_tools_new(&t->set, &o) : PAT_ENOMEM;

    if (!err)
        err = pat_timer_init(&t->filler, c->env->loop, on_filler, t);
    if (err) {
        if (t)
            pat_tools_free(t->set);
        free(t);
        return err;
    }
    t->c = c;
    *out = t;
    return PAT_OK;
}

static void run_free(struct tool_run *r)
{
    if (r->cancel)
        r->cancel(r);
    pat_timer_fini(&r->deadline);
    pat_json_free(r->args);
    free(r);
}

static void drop_runs(struct call_tools *t, bool all)
{
    struct tool_run **at = &t->runs;

    while (*at) {
        struct tool_run *r = *at;

        if (!all && !r->done) {
            at = &r->next;
            continue;
        }
        *at = r->next;
        run_free(r);
    }
}

/* The caller is gone because they were put through. */
static bool moved(const struct tool_run *r)
{
    return r->tools->moving && r->tool && r->tool->kind == PAT_TOOL_TRANSFER;
}

/* One of the runs may be calling us just now: their memory goes with the call. */
void call_tools_stop(struct call_tools *t)
{
    if (!t || t->stopped)
        return;
    t->stopped = true;
    pat_timer_stop(&t->filler);
    if (t->recording)
        tool_message_left(t);
    for (struct tool_run *r = t->runs; r; r = r->next) {
        bool went_well = moved(r);

        if (r->done)
            continue;
        r->done = true;
        pat_timer_stop(&r->deadline);
        if (r->cancel)
            r->cancel(r);
        r->cancel = NULL;
        tool_report(r, went_well ? TOOL_OK : TOOL_CANCELED, NULL);
    }
}

void call_tools_free(struct call_tools *t)
{
    if (!t)
        return;
    drop_runs(t, true);
    tool_passcode_end(t);
    record_leave(t->clip); /* of a call that was left to another agent */
    pat_timer_fini(&t->filler);
    ledger_free(&t->ledger);
    free(t->said_before);
    pat_tools_free(t->set);
    free(t);
}

const struct pat_json *call_tools_offered(const struct call_tools *t)
{
    return t && pat_json_size(pat_tools_openai(t->set)) ? pat_tools_openai(t->set) : NULL;
}

bool call_tools_may(const struct call_tools *t)
{
    return t && t->steps < STEPS_MAX && t->in_call < t->c->env->conf->max_tool_calls;
}

char *call_tools_instructions(const struct call_tools *t, char *system_take, int64_t unix_ms)
{
    struct pat_buf b;
    char *all;

    if (!t || !system_take)
        return system_take;
    pat_buf_init(&b, INSTRUCTIONS_MAX);
    pat_buf_adds(&b, system_take);
    (void)pat_tools_prompt(t->set, unix_ms, &b);
    all = pat_buf_take(&b);
    free(system_take);
    return all;
}

bool call_tools_moved(const struct call_tools *t)
{
    return t && t->moving;
}

/* ---- results ---- */

const char *tool_language(const struct call_tools *t)
{
    return t->c->ctx->language;
}

struct pat_json *tool_result(const char *status, const char *text)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "status", status);
    pat_json_set_str(j, "message", text);
    return j;
}

/* Is the reply that stopped for these still the one we make? */
static bool waits(const struct call_tools *t)
{
    return t->live && t->c->reply && t->c->reply_no == t->reply_no && !t->c->ending;
}

void tool_say(struct call_tools *t, const char *text)
{
    t->filled = true;
    if (waits(t) && reply_add(t->c->reply, text))
        pat_log(PAT_WARN, "call.tool_mute", PAT_S("call", t->c->id));
}

static bool pending(const struct call_tools *t)
{
    for (const struct tool_run *r = t->runs; r; r = r->next)
        if (!r->done)
            return true;
    return false;
}

static void ask_model(struct call_tools *t)
{
    struct call *c = t->c;
    PAT_AUTO_JSON messages = history_messages(c->history, NULL, MESSAGES_MAX);
    struct llm_req req = call_llm_req(c, messages);
    int err;

    t->steps++;
    c->model_runs = true;
    req.no_tools = !call_tools_may(t);
    err = reply_go_on(c->reply, c->env->llm, &req);
    if (err) {
        pat_log(PAT_WARN, "call.tool_unanswered", PAT_S("call", c->id), PAT_ERR(err));
        reply_end(c->reply);
    }
}

/* All of them are done: on with the reply, if there still is one. */
void tool_move_on(struct call_tools *t)
{
    enum tool_next next = t->next;

    if (t->starting || t->stopped || pending(t) || !t->runs)
        return;
    drop_runs(t, false);
    t->next = NEXT_MODEL;
    if (t->owed)
        return; /* tool_settle finds the moment */
    pat_timer_stop(&t->filler);
    if (!waits(t))
        return;
    call_turn_kind(t->c, TURN_WORKING, 0);
    if (!waits(t))
        return;
    if (next == NEXT_END)
        reply_end(t->c->reply);
    else
        ask_model(t);
}

/* Cut between characters. */
static void cut(char *text, size_t max)
{
    size_t len = strnlen(text, max + 1);

    if (len <= max)
        return;
    for (len = max; len && ((unsigned char)text[len] & 0xC0) == 0x80;)
        len--;
    text[len] = 0;
}

void tool_done(struct tool_run *r, enum tool_outcome how, const char *error,
               struct pat_json *result_take)
{
    struct call_tools *t = r->tools;
    PAT_AUTO_STR text = pat_json_print(result_take);

    pat_json_free(result_take);
    if (r->done)
        return;
    r->done = true;
    pat_timer_stop(&r->deadline);
    if (text)
        cut(text, RESULT_MAX);
    if (t->c->history)
        history_tool_result(t->c->history, r->call_id, text ? text : "{\"status\":\"unknown\"}");
    ledger_done(&t->ledger, r, text ? text : "{}");
    tool_report(r, how, error);
    checkpoint_touch(t->c);
    tool_move_on(t);
}

static void on_deadline(void *arg)
{
    struct tool_run *r = arg;

    if (r->cancel)
        r->cancel(r);
    r->cancel = NULL;
    tool_done(r, TOOL_TIMED_OUT, NULL,
              tool_result("failed", "It took too long. Whether it happened is not known."));
}

/* ---- calls ---- */

static int64_t deadline_ms(const struct tool_run *r)
{
    return r->tool && r->tool->timeout_ms ? r->tool->timeout_ms : OURS_MS;
}

struct tool_run *tool_run_new(struct call_tools *t, const struct reply_call *call,
                              struct pat_json_err *err)
{
    struct tool_run *r = calloc(1, sizeof *r), **last = &t->runs;
    int rc;

    *err = (struct pat_json_err){ "", "" };
    if (!r || pat_timer_init(&r->deadline, t->c->env->loop, on_deadline, r)) {
        free(r);
        return NULL;
    }
    r->tools = t;
    pat_strcpy(r->call_id, sizeof r->call_id, call->id);
    rc = pat_tools_take(t->set, call->name, call->arguments, &r->tool, &r->args, err);
    /* A name the model made up is not worth a row. */
    pat_strcpy(r->name, sizeof r->name, rc == PAT_ENOENT ? "unknown" : call->name);
    while (*last)
        last = &(*last)->next;
    *last = r;
    return r;
}

static void refuse(struct tool_run *r, const struct pat_json_err *err)
{
    struct pat_buf b;

    pat_buf_init(&b, 1024);
    pat_buf_addf(&b, "%s%s%s", *err->path ? err->path : "", *err->path ? " " : "", err->what);
    tool_done(r, TOOL_REFUSED, *err->path ? "arguments" : "unknown",
              tool_result("refused", b.data ? b.data : "refused"));
    pat_buf_fini(&b);
}

/* The first half: checked, and noted for whoever has to go on with it. */
static void prepare(struct call_tools *t, const struct reply_call *call)
{
    struct pat_json_err err;
    struct tool_run *r = tool_run_new(t, call, &err);

    if (!r)
        return;
    r->began_us = pat_now_us();
    t->in_call++;
    ledger_add(&t->ledger, r);
    if (!r->tool)
        refuse(r, &err);
}

void tool_run_start(struct tool_run *r)
{
    tool_fn *how = starters[r->tool->kind];

    r->begun = true;
    pat_timer_start(&r->deadline, deadline_ms(r));
    if (how)
        how(r);
    else
        tool_done(r, TOOL_FAILED, "not_available",
                  tool_result("failed", "This is not possible now."));
}

/* Chat Completions' form, as it goes back to the model. */
static struct pat_json *as_called(const struct reply_call *calls, size_t n)
{
    struct pat_json *all = pat_json_arr();

    for (size_t i = 0; i < n; i++) {
        struct pat_json *j = pat_json_obj(), *f = pat_json_obj();

        pat_json_set_str(f, "name", calls[i].name);
        pat_json_set_str(f, "arguments", calls[i].arguments);
        pat_json_set_str(j, "id", calls[i].id);
        pat_json_set_str(j, "type", "function");
        pat_json_set_take(j, "function", f);
        pat_json_add_take(all, j);
    }
    return all;
}

static int32_t longest_ms(const struct call_tools *t)
{
    int64_t ms = 0;

    for (const struct tool_run *r = t->runs; r; r = r->next)
        if (!r->done && deadline_ms(r) > ms)
            ms = deadline_ms(r);
    return (int32_t)(ms + WORKING_SLACK_MS);
}

/* The reply has stopped for them, and what it does counts. */
static void start_all(struct call_tools *t)
{
    struct call *c = t->c;
    size_t n;
    const struct reply_call *calls = reply_calls(c->reply, &n);

    t->called = false;
    t->live = true;
    t->reply_no = c->reply_no;
    t->filled = reply_has_text(c->reply) || c->wait.piece;
    if (history_tools(c->history, as_called(calls, n), call_ms(c))) {
        reply_end(c->reply);
        return;
    }
    t->starting = true;
    for (size_t i = 0; i < n; i++)
        prepare(t, &calls[i]);
    checkpoint_flush(c); /* before anything has consequences */
    for (struct tool_run *r = t->runs; r && !c->ending; r = r->next)
        if (!r->done && !r->begun)
            tool_run_start(r);
    t->starting = false;
    if (c->ending)
        return;
    if (pending(t)) {
        call_turn_kind(c, TURN_WORKING, longest_ms(t));
        pat_timer_start(&t->filler, t->filled ? FILLER_AGAIN_MS : FILLER_MS);
    }
    tool_move_on(t);
}

static void on_filler(void *arg)
{
    struct call_tools *t = arg;
    const char *text = own_words(OWN_MOMENT, tool_language(t));

    if (t->owed) {
        tool_settle(t);
        return;
    }
    if (!waits(t) || !pending(t))
        return;
    for (const struct tool_run *r = t->runs; r; r = r->next)
        if (!r->done && r->tool && r->tool->filler && !t->filled)
            text = r->tool->filler;
    tool_say(t, text);
    pat_timer_start(&t->filler, FILLER_AGAIN_MS);
}

void call_tools_waited(struct call_tools *t)
{
    if (!t)
        return;
    t->filled = true;
    if (pat_timer_running(&t->filler) && !t->owed)
        pat_timer_start(&t->filler, FILLER_AGAIN_MS);
}

void call_tools_called(struct call_tools *t)
{
    t->called = true;
    if (t->committed)
        start_all(t);
}

void call_tools_committed(struct call_tools *t)
{
    if (!t)
        return;
    t->committed = true;
    t->steps = 0;
    if (!t->keep)
        ledger_turn(&t->ledger);
    t->keep = false;
    if (t->called && t->c->reply)
        start_all(t);
}

void call_tools_reply_over(struct call_tools *t)
{
    if (!t)
        return;
    t->called = t->committed = t->live = false;
    if (!t->owed)
        pat_timer_stop(&t->filler);
}

bool call_tools_take_turn(struct call_tools *t, const char *said)
{
    if (!t)
        return false;
    t->committed = false;
    if (t->code.asked)
        return tool_passcode_turn(t, said);
    return warm_takes_turn(t->c, said) || (t->recording && tool_message_turn(t, said));
}
