/* chat.c - see chat.h.
 *
 * How: a table of model families for the request; for the answer one small tree per event. It does
 * not look at choices beyond the first, nor at log probabilities or reasoning texts. */
#include "chat.h"

#include <stdio.h>
#include <string.h>

/* First prefix that fits. */
static const struct family {
    const char *prefix;
    bool openai;        /* knows prompt_cache_key, include_obfuscation, max_completion_tokens */
    bool temperature;   /* takes one */
    const char *effort; /* reasoning_effort to send; NULL: none */
} families[] = {
    { "gpt-4", true, true, NULL },
    { "chatgpt-", true, true, NULL },
    { "gpt-5-", true, false, "minimal" },
    { "gpt-5", true, false, "none" }, /* 5.1 and later know "none" */
    { "gpt-", true, false, "none" },  /* gpt-6-luna: tools only work with "none" */
    { "o", true, false, "low" },
    { "", false, true, NULL },
};

static const struct family *family_of(const char *model)
{
    size_t i = 0;

    while (strncmp(model, families[i].prefix, strlen(families[i].prefix)) != 0)
        i++;
    /* "o" is a family of its own only with a digit behind it: o3, o4-mini. */
    if (!strcmp(families[i].prefix, "o") && !(model[1] >= '0' && model[1] <= '9'))
        return &families[sizeof families / sizeof families[0] - 1];
    return &families[i];
}

static void add_parameters(struct pat_json *j, const struct llm_req *req, const struct family *f)
{
    struct pat_json *options = pat_json_obj();

    pat_json_set_bool(j, "stream", true);
    pat_json_set_bool(options, "include_usage", true);
    if (f->openai)
        pat_json_set_bool(options, "include_obfuscation", false);
    pat_json_set_take(j, "stream_options", options);
    if (req->no_tools && req->tools && pat_json_size(req->tools))
        pat_json_set_str(j, "tool_choice", "none");
    if (req->temperature >= 0 && f->temperature)
        pat_json_set_num(j, "temperature", req->temperature);
    if (req->max_tokens > 0)
        pat_json_set_int(j, f->openai ? "max_completion_tokens" : "max_tokens", req->max_tokens);
    if (f->effort)
        pat_json_set_str(j, "reasoning_effort", f->effort);
    if (f->openai && req->cache_key)
        pat_json_set_str(j, "prompt_cache_key", req->cache_key);
}

int chat_request(struct pat_buf *out, const struct llm_req *req, const char *model)
{
    PAT_AUTO_JSON j = pat_json_obj();

    /* Tools and the system prompt come first: providers cache by the exact prefix. */
    pat_json_set_str(j, "model", model);
    if (req->tools && pat_json_size(req->tools))
        pat_json_set_take(j, "tools", pat_json_dup(req->tools));
    pat_json_set_take(j, "messages", pat_json_dup(req->messages));
    add_parameters(j, req, family_of(model));
    return pat_json_print_to(j, out);
}

void chat_init(struct chat *c)
{
    *c = (struct chat){ 0 };
}

void chat_fini(struct chat *c)
{
    for (size_t i = 0; i < c->n_calls; i++)
        pat_buf_fini(&c->calls[i].args);
    c->n_calls = 0;
}

static struct chat_call *call_new(struct chat *c, int index)
{
    struct chat_call *call;

    if (c->n_calls == CHAT_MAX_CALLS)
        return NULL;
    call = &c->calls[c->n_calls++];
    *call = (struct chat_call){ .index = index };
    pat_buf_init(&call->args, CHAT_MAX_ARGS);
    return call;
}

/* By index where there is one; else a new id begins a new call and everything else goes on with
 * the last one. */
static struct chat_call *call_find(struct chat *c, int index, const char *id)
{
    struct chat_call *last = c->n_calls ? &c->calls[c->n_calls - 1] : NULL;

    for (size_t i = 0; index >= 0 && i < c->n_calls; i++)
        if (c->calls[i].index == index)
            return &c->calls[i];
    if (index >= 0 || !last || (*id && *last->id && strcmp(id, last->id) != 0))
        return call_new(c, index);
    return last;
}

static int call_delta(struct chat *c, const struct pat_json *d)
{
    const char *id = pat_json_str_or(d, "id", "");
    const char *name = pat_json_str_or(d, "function.name", "");
    const struct pat_json *args = pat_json_at(d, "function.arguments");
    struct chat_call *call = call_find(c, (int)pat_json_int_or(d, "index", -1), id);

    if (!call)
        return PAT_E2BIG;
    c->delivered = true;
    if (*id && !*call->id)
        pat_strcpy(call->id, sizeof call->id, id);
    if (*name && !*call->name)
        pat_strcpy(call->name, sizeof call->name, name);
    if (!args || pat_json_kind(args) == PAT_JSON_NULL)
        return PAT_OK;
    if (pat_json_value_str(args))
        return pat_buf_adds(&call->args, pat_json_value_str(args));
    return pat_json_print_to(args, &call->args); /* Ollama sends the object itself */
}

static void read_usage(struct chat *c, const struct pat_json *j)
{
    if (!pat_json_at(j, "usage.prompt_tokens"))
        return;
    c->usage.prompt_tokens = pat_json_int_or(j, "usage.prompt_tokens", 0);
    c->usage.completion_tokens = pat_json_int_or(j, "usage.completion_tokens", 0);
    c->usage.cached_tokens = pat_json_int_or(j, "usage.prompt_tokens_details.cached_tokens", 0);
}

/* {"error":{"message"}}, {"error":"text"}, {"detail":"text"} or {"message":"text"}. */
static const char *error_text(const struct pat_json *j)
{
    static const char *const paths[] = { "error.message", "error", "detail", "detail.message",
                                         "message" };

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        const char *s = pat_json_str_or(j, paths[i], NULL);

        if (s)
            return s;
    }
    return NULL;
}

static int read_choice(struct chat *c, const struct pat_json *choice, chat_text_fn *fn, void *arg)
{
    const struct pat_json *calls = pat_json_at(choice, "delta.tool_calls");
    const char *text = pat_json_str_or(choice, "delta.content", "");
    const char *finish = pat_json_str_or(choice, "finish_reason", "");
    int err = PAT_OK;

    for (size_t i = 0; calls && i < pat_json_size(calls) && !err; i++)
        err = call_delta(c, pat_json_item(calls, i));
    if (*finish)
        pat_strcpy(c->finish, sizeof c->finish, finish);
    if (!err && *text) {
        c->delivered = true;
        fn(text, strlen(text), arg);
    }
    return err;
}

int chat_event(struct chat *c, const char *data, size_t len, chat_text_fn *fn, void *arg)
{
    PAT_AUTO_JSON j = NULL;
    const struct pat_json *choice;
    int err;

    if (len == 6 && !memcmp(data, "[DONE]", 6)) {
        c->done = true;
        return PAT_OK;
    }
    err = pat_json_parse(&j, data, len, NULL);
    if (err == PAT_ENOMEM)
        return err; /* it may have been the answer's best word */
    if (err || pat_json_kind(j) != PAT_JSON_OBJ) {
        c->ignored++;
        return PAT_OK;
    }
    choice = pat_json_at(j, "choices[0]");
    if (!choice && !pat_json_at(j, "choices") && error_text(j)) {
        pat_strcpy(c->error, sizeof c->error, error_text(j));
        return PAT_EUPSTREAM;
    }
    if (!*c->model)
        pat_strcpy(c->model, sizeof c->model, pat_json_str_or(j, "model", ""));
    read_usage(c, j);
    return choice ? read_choice(c, choice, fn, arg) : PAT_OK;
}

/* A call without arguments is sent as "" by some: an empty object. */
static int check_arguments(struct chat_call *call)
{
    PAT_AUTO_JSON j = NULL;
    int err;

    if (!call->args.len && pat_buf_adds(&call->args, "{}"))
        return call->args.err;
    err = pat_json_parse(&j, call->args.data, call->args.len, NULL);
    if (err == PAT_ENOMEM)
        return err;
    return err || pat_json_kind(j) != PAT_JSON_OBJ ? PAT_EPROTO : PAT_OK;
}

int chat_end(struct chat *c)
{
    if (!*c->finish && !c->done)
        return PAT_ECONN;
    if (c->n_calls)
        pat_strcpy(c->finish, sizeof c->finish, "tool_calls");
    else if (!*c->finish)
        pat_strcpy(c->finish, sizeof c->finish, "stop");
    for (size_t i = 0; i < c->n_calls; i++) {
        struct chat_call *call = &c->calls[i];
        int err = *call->name ? check_arguments(call) : PAT_EPROTO;

        if (err)
            return err;
        if (!*call->id) /* the tool's answer must name one */
            snprintf(call->id, sizeof call->id, "call_%zu", i);
    }
    return PAT_OK;
}

static enum provider_fault judge(int status, const char *type, const char *code)
{
    static const char *const spent[] = { "insufficient_quota", "credit_balance_exhausted",
                                         "organization_spend_limit_exceeded",
                                         "project_spend_limit_exceeded",
                                         "organization_usage_limit_exceeded" };

    for (size_t i = 0; i < sizeof spent / sizeof spent[0]; i++)
        if (!strcmp(type, spent[i]) || !strcmp(code, spent[i]))
            return FAULT_QUOTA;
    if (!strcmp(code, "content_filter") || !strcmp(code, "content_policy_violation"))
        return FAULT_CONTENT;
    return provider_fault_of_http(status);
}

enum provider_fault chat_refusal(int status, const char *body, size_t len, bool *too_long,
                                 char *message, size_t cap)
{
    PAT_AUTO_JSON j = NULL;
    const char *text;

    *too_long = false;
    if (pat_json_parse(&j, body, len, NULL) || pat_json_kind(j) != PAT_JSON_OBJ) {
        pat_strcpy(message, cap, "no JSON body");
        return judge(status, "", "");
    }
    text = error_text(j);
    pat_strcpy(message, cap, text ? text : "no message");
    *too_long = !strcmp(pat_json_str_or(j, "error.code", ""), "context_length_exceeded");
    return judge(status, pat_json_str_or(j, "error.type", ""),
                 pat_json_str_or(j, "error.code", ""));
}
