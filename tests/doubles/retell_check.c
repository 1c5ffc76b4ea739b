/* retell_check.c - fields of agents and models that Retell refuses: ranges, closed lists, tools.
 *
 * From the types of retell-sdk (agent_create_params, llm_create_params); what they leave open is
 * taken as it comes.
 */
#include "retell.h"

#include <stdio.h>
#include <string.h>

struct range {
    const char *field;
    double lo, hi;
};

struct choice {
    const char *field;
    const char *const *values;
};

static const struct range agent_ranges[] = {
    { "voice_temperature", 0, 2 },
    { "voice_speed", 0.5, 2 },
    { "volume", 0, 2 },
    { "responsiveness", 0, 1 },
    { "interruption_sensitivity", 0, 1 },
    { "backchannel_frequency", 0, 1 },
    { "ambient_sound_volume", 0, 2 },
    { "end_call_after_silence_ms", 10000, 86400000 },
    { "max_call_duration_ms", 60000, 7200000 },
    { "begin_message_delay_ms", 0, 5000 },
    { "ring_duration_ms", 5000, 300000 },
    { "data_storage_retention_days", 1, 730 },
};

static const struct choice agent_choices[] = {
    { "ambient_sound",
      (const char *const[]){ "coffee-shop", "convention-hall", "summer-outdoor", "mountain-outdoor",
                             "static-noise", "call-center", NULL } },
    { "denoising_mode", (const char *const[]){ "no-denoise", "noise-cancellation",
                                               "noise-and-background-speech-cancellation", NULL } },
    { "data_storage_setting", (const char *const[]){ "everything", "everything_except_pii",
                                                     "basic_attributes_only", NULL } },
    { "stt_mode", (const char *const[]){ "fast", "accurate", "custom", NULL } },
    { "vocab_specialization", (const char *const[]){ "general", "medical", NULL } },
};

static const struct range llm_ranges[] = { { "model_temperature", 0, 1 } };

static const struct choice llm_choices[] = {
    { "model", (const char *const[]){ "gpt-4.1",
                                      "gpt-4.1-mini",
                                      "gpt-5",
                                      "gpt-5-mini",
                                      "gpt-5-nano",
                                      "gpt-5.1",
                                      "gpt-5.2",
                                      "gpt-5.4",
                                      "gpt-5.4-mini",
                                      "gpt-5.4-nano",
                                      "gpt-5.5",
                                      "gpt-5.6-terra",
                                      "gpt-5.6-luna",
                                      "gpt-6-astra",
                                      "gpt-6-sol",
                                      "gpt-6.1-sol",
                                      "gpt-6-luna",
                                      "claude-4.6-sonnet",
                                      "claude-5-opus",
                                      "claude-5.5-opus",
                                      "claude-5-sonnet",
                                      "claude-5.5-sonnet",
                                      "claude-5.5-haiku",
                                      "claude-4.5-haiku",
                                      "gemini-3.0-flash",
                                      "gemini-3.1-flash-lite",
                                      "gemini-3.5-flash",
                                      "gemini-3.5-flash-lite",
                                      "gemini-3.6-flash",
                                      "gemini-3.7-flash",
                                      "gemini-3.8-flash",
                                      "gemini-4-argon",
                                      NULL } },
    { "start_speaker", (const char *const[]){ "user", "agent", NULL } },
};

static bool absent(const struct pat_json *v)
{
    return !v || pat_json_kind(v) == PAT_JSON_NULL;
}

static bool in_range(const struct pat_json *j, const struct range *r, char why[160])
{
    const struct pat_json *v = pat_json_at(j, r->field);

    if (absent(v) || (pat_json_kind(v) == PAT_JSON_NUM && pat_json_value_num(v) >= r->lo &&
                      pat_json_value_num(v) <= r->hi))
        return true;
    snprintf(why, 160, "%s: must be a number from %g to %g", r->field, r->lo, r->hi);
    return false;
}

static bool one_of(const struct pat_json *j, const struct choice *c, char why[160])
{
    const struct pat_json *v = pat_json_at(j, c->field);
    const char *s = v ? pat_json_value_str(v) : NULL;

    if (absent(v))
        return true;
    for (size_t i = 0; s && c->values[i]; i++)
        if (!strcmp(s, c->values[i]))
            return true;
    snprintf(why, 160, "%s: not one of the values offered", c->field);
    return false;
}

bool retell_check_agent(const struct pat_json *agent, char why[160])
{
    for (size_t i = 0; i < sizeof agent_ranges / sizeof agent_ranges[0]; i++)
        if (!in_range(agent, &agent_ranges[i], why))
            return false;
    for (size_t i = 0; i < sizeof agent_choices / sizeof agent_choices[0]; i++)
        if (!one_of(agent, &agent_choices[i], why))
            return false;
    return true;
}

static bool good_tool(const struct pat_json *tool, char why[160])
{
    static const char chars[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    const char *type = pat_json_str_or(tool, "type", ""), *name = pat_json_str_or(tool, "name", "");
    const char *url = pat_json_str_or(tool, "url", "");
    int64_t timeout = pat_json_int_or(tool, "timeout_ms", 120000);

    if (!*name || strlen(name) > 64 || name[strspn(name, chars)])
        snprintf(why, 160, "general_tools: name must be 1 to 64 of a-z, A-Z, 0-9, _ and -");
    else if (!*type)
        snprintf(why, 160, "general_tools: type is required");
    else if (!strcmp(type, "custom") && strncmp(url, "http", 4) != 0)
        snprintf(why, 160, "general_tools: url is required");
    else if (!strcmp(type, "custom") && (timeout < 1000 || timeout > 600000))
        snprintf(why, 160, "general_tools: timeout_ms must be 1000 to 600000");
    else
        return true;
    return false;
}

bool retell_check_llm(const struct pat_json *llm, char why[160])
{
    const struct pat_json *tools = pat_json_at(llm, "general_tools");

    for (size_t i = 0; i < sizeof llm_ranges / sizeof llm_ranges[0]; i++)
        if (!in_range(llm, &llm_ranges[i], why))
            return false;
    for (size_t i = 0; i < sizeof llm_choices / sizeof llm_choices[0]; i++)
        if (!one_of(llm, &llm_choices[i], why))
            return false;
    if (!absent(tools))
        PAT_JSON_EACH(tool, tools)
    if (!good_tool(tool, why))
        return false;
    return true;
}
