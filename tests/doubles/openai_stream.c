/* openai_stream.c - the answer of the OpenAI double: whole, or as server-sent events.
 *
 * How: the reply is made at once, then handed out word by word, each step a delayed job of the
 * desk. Logged with the times a harness subtracts: received, first and last token. */
#include "openai.h"
#include "talk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REPLY ((size_t)64 << 10)

struct run {
    struct openai *o;
    struct pat_httpd_req *r;
    char id[40], model[80];
    bool stream, usage, obfuscation, begun;
    char *text;             /* to say; NULL: tools only */
    struct pat_json *calls; /* array of {name, arguments}; NULL: none */
    size_t at;              /* of text */
    size_t call;            /* the next to send */
    bool call_named;
    bool role_sent;
    int64_t prompt_tokens, completion_tokens;
    int chunks;
    int64_t received_ms, first_ms;
};

static void run_free(void *arg)
{
    struct run *run = arg;

    free(run->text);
    pat_json_free(run->calls);
    free(run);
}

/* Program's end: the request still wants its one reply. */
static void run_drop(void *arg)
{
    struct run *run = arg;

    if (run->begun)
        pat_httpd_stream_end(run->r);
    else
        pat_httpd_abort(run->r);
    run_free(run);
}

static struct pat_json *usage_of(const struct run *run)
{
    struct pat_json *u = pat_json_obj(), *p = pat_json_obj(), *c = pat_json_obj();

    pat_json_set_int(u, "prompt_tokens", run->prompt_tokens);
    pat_json_set_int(u, "completion_tokens", run->completion_tokens);
    pat_json_set_int(u, "total_tokens", run->prompt_tokens + run->completion_tokens);
    pat_json_set_int(p, "cached_tokens",
                     run->prompt_tokens >= 1024 ? run->prompt_tokens / 128 * 128 : 0);
    pat_json_set_int(p, "audio_tokens", 0);
    pat_json_set_take(u, "prompt_tokens_details", p);
    pat_json_set_int(c, "reasoning_tokens", 0);
    pat_json_set_int(c, "audio_tokens", 0);
    pat_json_set_int(c, "accepted_prediction_tokens", 0);
    pat_json_set_int(c, "rejected_prediction_tokens", 0);
    pat_json_set_take(u, "completion_tokens_details", c);
    return u;
}

static struct pat_json *call_json(const struct run *run, size_t i, bool named, bool arguments)
{
    const struct pat_json *call = pat_json_item(run->calls, i);
    struct pat_json *out = pat_json_obj(), *f = pat_json_obj();
    PAT_AUTO_STR args = pat_json_print(pat_json_at(call, "arguments"));
    char id[64];

    snprintf(id, sizeof id, "call_%s_%zu", run->id + strlen("chatcmpl-"), i);
    if (run->stream)
        pat_json_set_int(out, "index", (int64_t)i);
    if (named) {
        pat_json_set_str(out, "id", id);
        pat_json_set_str(out, "type", "function");
        pat_json_set_str(f, "name", pat_json_str_or(call, "name", ""));
    }
    pat_json_set_str(f, "arguments", arguments && args ? args : "");
    pat_json_set_take(out, "function", f);
    return out;
}

static struct pat_json *envelope(const struct run *run, const char *object)
{
    struct pat_json *j = dbl_obj("id", run->id);
    char dated[100];

    snprintf(dated, sizeof dated, "%s-2024-07-18", run->model);
    pat_json_set_str(j, "object", object);
    pat_json_set_int(j, "created", run->received_ms / 1000);
    pat_json_set_str(j, "model", dated);
    pat_json_set_str(j, "system_fingerprint", "fp_double");
    pat_json_set_str(j, "service_tier", "default");
    return j;
}

static const char *finish_of(const struct run *run)
{
    return run->calls ? "tool_calls" : "stop";
}

static void log_done(struct run *run, const char *outcome)
{
    struct pat_json *e = dbl_obj("id", run->id);

    pat_json_set_str(e, "model", run->model);
    pat_json_set_str(e, "outcome", outcome);
    pat_json_set_str(e, "text", run->text);
    if (run->calls)
        pat_json_set_take(e, "tool_calls", pat_json_dup(run->calls));
    pat_json_set_int(e, "received_ms", run->received_ms);
    pat_json_set_int(e, "first_token_ms", run->first_ms);
    pat_json_set_int(e, "last_token_ms", pat_unix_ms());
    dbl_log(run->o->d, "answer", e);
}

static void answer_whole(struct run *run)
{
    struct pat_json *j = envelope(run, "chat.completion"), *choices = pat_json_arr();
    struct pat_json *choice = pat_json_obj(), *message = dbl_obj("role", "assistant");

    pat_json_set_str(message, "content", run->text);
    pat_json_set_null(message, "refusal");
    if (run->calls) {
        struct pat_json *calls = pat_json_arr();

        for (size_t i = 0; i < pat_json_size(run->calls); i++)
            pat_json_add_take(calls, call_json(run, i, true, true));
        pat_json_set_take(message, "tool_calls", calls);
    }
    pat_json_set_int(choice, "index", 0);
    pat_json_set_take(choice, "message", message);
    pat_json_set_null(choice, "logprobs");
    pat_json_set_str(choice, "finish_reason", finish_of(run));
    pat_json_add_take(choices, choice);
    pat_json_set_take(j, "choices", choices);
    pat_json_set_take(j, "usage", usage_of(run));
    run->first_ms = pat_unix_ms();
    log_done(run, "ok");
    dbl_reply(run->r, 200, j);
    run_free(run);
}

static int send_bytes(struct run *run, const char *data, size_t len)
{
    size_t piece;

    if (!run->o->split)
        return pat_httpd_stream_send(run->r, data, len);
    for (; len; data += piece, len -= piece) {
        int err;

        piece = 1 + pat_random32() % 7;
        if (piece > len)
            piece = len;
        err = pat_httpd_stream_send(run->r, data, piece);
        if (err)
            return err;
    }
    return PAT_OK;
}

/* Takes chunk. */
static int send_chunk(struct run *run, struct pat_json *chunk)
{
    struct pat_buf b;
    int err;

    if (run->obfuscation)
        pat_json_set_strn(chunk, "obfuscation", "k3Xq9ZbT", 1 + pat_random32() % 8);
    pat_buf_init(&b, MAX_REPLY * 2);
    pat_buf_adds(&b, "data: ");
    err = pat_json_print_to(chunk, &b);
    pat_buf_adds(&b, "\n\n");
    pat_json_free(chunk);
    if (!err)
        err = b.err ? b.err : send_bytes(run, b.data, b.len);
    pat_buf_fini(&b);
    run->chunks++;
    return err;
}

/* Takes delta. */
static int send_delta(struct run *run, struct pat_json *delta, const char *finish)
{
    struct pat_json *j = envelope(run, "chat.completion.chunk"), *choices = pat_json_arr();
    struct pat_json *choice = pat_json_obj();

    pat_json_set_int(choice, "index", 0);
    pat_json_set_take(choice, "delta", delta);
    pat_json_set_null(choice, "logprobs");
    pat_json_set_str(choice, "finish_reason", finish);
    pat_json_add_take(choices, choice);
    pat_json_set_take(j, "choices", choices);
    if (run->usage)
        pat_json_set_null(j, "usage");
    return send_chunk(run, j);
}

static int send_role(struct run *run)
{
    struct pat_json *delta = dbl_obj("role", "assistant");

    run->role_sent = true;
    run->first_ms = pat_unix_ms();
    if (run->text)
        pat_json_set_str(delta, "content", "");
    else
        pat_json_set_null(delta, "content");
    pat_json_set_null(delta, "refusal");
    return send_delta(run, delta, NULL);
}

/* A word with the blank before it, as tokens are. */
static int send_word(struct run *run)
{
    const char *p = run->text + run->at;
    size_t len = strspn(p, " ");
    struct pat_json *delta = pat_json_obj();

    len += strcspn(p + len, " ");
    run->at += len;
    pat_json_set_strn(delta, "content", p, len);
    return send_delta(run, delta, NULL);
}

/* Name first, arguments after, as the vendor does it. */
static int send_call(struct run *run)
{
    struct pat_json *delta = pat_json_obj(), *calls = pat_json_arr();

    pat_json_add_take(calls, call_json(run, run->call, !run->call_named, run->call_named));
    if (run->call_named)
        run->call++;
    run->call_named = !run->call_named;
    pat_json_set_take(delta, "tool_calls", calls);
    return send_delta(run, delta, NULL);
}

static int send_end(struct run *run)
{
    int err = send_delta(run, pat_json_obj(), finish_of(run));

    if (!err && run->usage) {
        struct pat_json *j = envelope(run, "chat.completion.chunk");

        pat_json_set_take(j, "choices", pat_json_arr());
        pat_json_set_take(j, "usage", usage_of(run));
        err = send_chunk(run, j);
    }
    if (!err && !run->o->no_done)
        err = send_bytes(run, "data: [DONE]\n\n", strlen("data: [DONE]\n\n"));
    return err;
}

/* One event; *end when it was the last. */
static int step(struct run *run, bool *end)
{
    if (!run->role_sent)
        return send_role(run);
    if (run->text && run->text[run->at])
        return send_word(run);
    if (run->calls && run->call < pat_json_size(run->calls))
        return send_call(run);
    *end = true;
    return send_end(run);
}

static void on_step(void *arg)
{
    struct run *run = arg;
    struct dbl_cut cut;
    bool end = false;
    int err = PAT_OK;

    while (!err && !end) {
        if (dbl_cut_take(run->o->d, run->chunks, &cut)) {
            log_done(run, "cut");
            pat_httpd_abort(run->r);
            run_free(run);
            return;
        }
        err = pat_httpd_gone(run->r) ? PAT_ECONN : step(run, &end);
        if (run->o->token_ms > 0 && !err && !end &&
            !dbl_after(run->o->d, run->o->token_ms, on_step, run_drop, run))
            return;
    }
    log_done(run, err ? "client gone" : "ok");
    pat_httpd_stream_end(run->r);
    run_free(run);
}

static void on_begin(void *arg)
{
    struct run *run = arg;

    if (!run->stream) {
        answer_whole(run);
        return;
    }
    pat_httpd_set_header(run->r, "x-request-id", run->id);
    if (pat_httpd_stream_begin(run->r, 200, "text/event-stream; charset=utf-8")) {
        run_drop(run);
        return;
    }
    run->begun = true;
    on_step(run);
}

static int fill_reply(struct run *run, const struct pat_json *body)
{
    struct openai *o = run->o;
    const struct pat_json *messages = pat_json_at(body, "messages");
    const struct pat_json *tools = pat_json_at(body, "tools");
    bool may = tools && strcmp(pat_json_str_or(body, "tool_choice", "auto"), "none") != 0;
    struct pat_json *call;
    struct pat_buf b;

    if (may && o->tool_calls) {
        run->calls = o->tool_calls;
        o->tool_calls = NULL;
        return PAT_OK;
    }
    call = may ? talk_tool(messages, tools) : NULL;
    if (call) {
        run->calls = pat_json_arr();
        pat_json_add_take(run->calls, call);
        return PAT_OK;
    }
    pat_buf_init(&b, MAX_REPLY);
    if (o->reply ? pat_buf_adds(&b, o->reply) : talk_reply(messages, &b)) {
        pat_buf_fini(&b);
        return PAT_ENOMEM;
    }
    run->text = pat_buf_take(&b);
    return run->text ? PAT_OK : PAT_ENOMEM;
}

void openai_answer(struct openai *o, struct pat_httpd_req *r, const struct pat_json *body)
{
    struct run *run = calloc(1, sizeof *run);
    size_t prompt;

    (void)pat_httpd_body(r, &prompt);
    if (!run) {
        pat_httpd_abort(r);
        return;
    }
    run->o = o;
    run->r = r;
    run->received_ms = pat_unix_ms();
    run->stream = pat_json_bool_or(body, "stream", false);
    run->usage = pat_json_bool_or(body, "stream_options.include_usage", false);
    run->obfuscation = pat_json_bool_or(body, "stream_options.include_obfuscation", true);
    snprintf(run->id, sizeof run->id, "chatcmpl-D%lld", (long long)o->next_id++);
    pat_strcpy(run->model, sizeof run->model, pat_json_str_or(body, "model", ""));
    if (fill_reply(run, body)) {
        run_drop(run);
        return;
    }
    run->prompt_tokens = (int64_t)prompt / 4 + 1;
    run->completion_tokens = run->text ? (int64_t)strlen(run->text) / 4 + 1 : 20;
    if (dbl_after(o->d, o->d->latency_ms, on_begin, run_drop, run))
        run_drop(run);
}
