/* openai_check.c - what OpenAI would refuse in a Chat Completions request, and how it says so.
 *
 * How: a table of models, then the rules one by one. Only rules a client of ours could break. */
#include "openai.h"
#include "talk.h"

#include <stdio.h>
#include <string.h>

static const struct openai_model models[] = {
    { "gpt-4o-mini", "2027-01-14", false, false },
    { "gpt-4o", "2027-01-14", false, false },
    { "gpt-4.1", "2027-01-14", false, false },
    { "gpt-4.1-mini", "2027-01-14", false, false },
    { "gpt-5-mini", "2026-12-11", true, false },
    { "gpt-5-nano", "2026-12-11", true, false },
    { "gpt-6-luna", NULL, true, false },
    { "gpt-4o-mini-tts", NULL, false, true },
    { "tts-1", NULL, false, true },
};

const struct openai_model *openai_model_at(size_t i)
{
    return i < sizeof models / sizeof models[0] ? &models[i] : NULL;
}

static bool is_listed(const struct pat_json *ids, const char *id)
{
    for (size_t i = 0; i < pat_json_size(ids); i++) {
        const char *s = pat_json_value_str(pat_json_item(ids, i));

        if (s && !strcmp(s, id))
            return true;
    }
    return false;
}

const struct openai_model *openai_model_find(const struct openai *o, const char *id)
{
    static const struct openai_model other = { "", NULL, false, false };

    if (o->models && !is_listed(o->models, id))
        return NULL;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (!strcmp(models[i].id, id))
            return &models[i];
    return o->models ? &other : NULL;
}

static bool refuse(struct openai_refusal *why, int status, const char *code, const char *param,
                   const char *message)
{
    *why = (struct openai_refusal){ status, "invalid_request_error", code, param, "" };
    pat_strcpy(why->message, sizeof why->message, message);
    return true;
}

static bool check_parameters(const struct openai_model *m, const struct pat_json *body,
                             struct openai_refusal *why)
{
    bool tools = pat_json_at(body, "tools") != NULL;
    const char *effort =
        pat_json_str_or(body, "reasoning_effort", m->reasoning ? "medium" : "none");
    double temperature = pat_json_num_or(body, "temperature", 1);

    if (m->reasoning && pat_json_at(body, "max_tokens"))
        return refuse(why, 400, "unsupported_parameter", "max_tokens",
                      "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                      "'max_completion_tokens' instead.");
    if (!m->reasoning && pat_json_at(body, "reasoning_effort"))
        return refuse(
            why, 400, "unsupported_parameter", "reasoning_effort",
            "Unsupported parameter: 'reasoning_effort' is not supported with this model.");
    if (m->reasoning && strcmp(effort, "none") != 0 && temperature != 1)
        return refuse(why, 400, "unsupported_value", "temperature",
                      "Unsupported value: 'temperature' does not support this value with this "
                      "model. Only the default (1) value is supported.");
    if (!strcmp(m->id, "gpt-6-luna") && tools && strcmp(effort, "none") != 0)
        return refuse(why, 400, "unsupported_value", "reasoning_effort",
                      "Function tools with reasoning_effort are not supported for gpt-6-luna in "
                      "/v1/chat/completions. Set reasoning_effort to 'none'.");
    if (temperature < 0 || temperature > 2)
        return refuse(why, 400, "invalid_value", "temperature",
                      "Invalid 'temperature': expected a value between 0 and 2.");
    return false;
}

static bool check_messages(const struct pat_json *messages, struct openai_refusal *why)
{
    static const char *const roles[] = { "developer", "system", "user", "assistant", "tool" };
    const char *open;

    if (!messages || pat_json_kind(messages) != PAT_JSON_ARR || !pat_json_size(messages))
        return refuse(why, 400, NULL, "messages", "Missing required parameter: 'messages'.");
    for (size_t i = 0; i < pat_json_size(messages); i++) {
        const char *role = pat_json_str_or(pat_json_item(messages, i), "role", "");
        size_t known = 0;

        while (known < 5 && strcmp(role, roles[known]) != 0)
            known++;
        if (known == 5)
            return refuse(why, 400, "invalid_value", "messages", "Invalid value of 'role'.");
    }
    open = talk_unanswered(messages);
    if (!open)
        return false;
    (void)refuse(why, 400, NULL, "messages", "");
    snprintf(why->message, sizeof why->message,
             "An assistant message with 'tool_calls' must be followed by tool messages responding "
             "to each 'tool_call_id'. Missing: %.60s",
             open);
    return true;
}

bool openai_check_chat(const struct openai *o, const struct pat_json *body,
                       struct openai_refusal *why)
{
    const char *id = pat_json_str_or(body, "model", "");
    const struct openai_model *m = openai_model_find(o, id);

    if (!*id)
        return refuse(why, 400, NULL, "model", "you must provide a model parameter");
    if (!m || m->speech) {
        (void)refuse(why, 404, "model_not_found", NULL, "");
        snprintf(why->message, sizeof why->message,
                 "The model `%.80s` does not exist or you do not have access to it.", id);
        return true;
    }
    return check_messages(pat_json_at(body, "messages"), why) || check_parameters(m, body, why);
}

void openai_refuse(struct pat_httpd_req *r, const struct openai_refusal *why)
{
    struct pat_json *body = pat_json_obj(), *e = pat_json_obj();

    pat_json_set_str(e, "message", why->message);
    pat_json_set_str(e, "type", why->type);
    pat_json_set_str(e, "param", why->param);
    pat_json_set_str(e, "code", why->code);
    pat_json_set_take(body, "error", e);
    dbl_reply(r, why->status, body);
}
