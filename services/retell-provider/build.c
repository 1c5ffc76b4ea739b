/* build.c - see build.h. One function per part of the agent; each says how well it maps. */
#include "build.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { PROMPT_MAX = 256 * 1024, KEYWORDS_MAX = 50, GREETING_MAX = 4096 };

static void note(struct built *b, const char *field, const char *grade, const char *text)
{
    struct pat_json *n = pat_json_obj();

    pat_json_set_str(n, "field", field);
    pat_json_set_str(n, "grade", grade);
    pat_json_set_str(n, "note", text);
    pat_json_add_take(b->notes, n);
}

/* ------------------------------------------------------------------ model */

/* docs.retellai.com, create-retell-llm: model. */
static const char *const models[] = {
    "gpt-4.1",
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
};

/* Those Retell had, or never had, and the nearest it has. */
static const struct {
    const char *asked, *nearest;
} nearest_models[] = {
    { "gpt-4o", "gpt-4.1" },
    { "gpt-4o-mini", "gpt-4.1-mini" },
    { "gpt-4.1-nano", "gpt-5.6-luna" },
    { "gpt-4-turbo", "gpt-4.1" },
    { "gpt-3.5-turbo", "gpt-4.1-mini" },
};

static const char *wanted_model(const struct pat_json *s)
{
    static const char *const paths[] = { "stack_config.retell.model", "extra.llm_model",
                                         "stack_config.livekit.model" };

    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (*pat_json_str_or(s, paths[i], ""))
            return pat_json_str_or(s, paths[i], "");
    return NULL;
}

static const char *model_of(struct built *b, const struct pat_json *s, const char *fallback)
{
    const char *asked = wanted_model(s);
    char text[160];

    if (!asked)
        return fallback;
    for (size_t i = 0; i < sizeof models / sizeof models[0]; i++)
        if (!strcmp(models[i], asked)) {
            note(b, "model", "exact", NULL);
            return models[i];
        }
    for (size_t i = 0; i < sizeof nearest_models / sizeof nearest_models[0]; i++)
        if (!strcmp(nearest_models[i].asked, asked)) {
            snprintf(text, sizeof text, "Retell has no %s: %s", asked, nearest_models[i].nearest);
            note(b, "model", "near", text);
            return nearest_models[i].nearest;
        }
    snprintf(text, sizeof text, "Retell has no %.60s: %.60s", asked, fallback);
    note(b, "model", "lossy", text);
    return fallback;
}

/* ------------------------------------------------------------------ what it says */

static void add_brevity(struct built *b, struct pat_buf *out, const struct pat_json *s)
{
    int64_t tokens = pat_json_int_or(s, "max_tokens", 0);

    if (tokens <= 0)
        return;
    /* A word of English is about 1.3 tokens. */
    pat_buf_addf(out, " Never say more than about %d words at once.", (int)(tokens * 3 / 4));
    note(b, "max_tokens", "lossy", "Retell has no such limit: the model is asked to be brief");
}

static int write_prompt(struct built *b, const struct pat_json *s, const struct pat_tools *tools)
{
    struct pat_buf vetting, out;
    int err;

    pat_buf_init(&vetting, PROMPT_MAX);
    pat_buf_init(&out, PROMPT_MAX);
    err = pat_instructions_vetting(s, &vetting);
    if (!err)
        err = pat_instructions(
            &(struct pat_instructions){
                .system_prompt = pat_json_str_or(s, "system_prompt", ""),
                .agent_name = pat_json_str_or(s, "agent_name", ""),
                .user_name = pat_json_str_or(s, "user_name", ""),
                .language = pat_json_str_or(s, "language", "en-US"),
                .response_style = pat_json_str_or(s, "response_style", ""),
                .vetting = vetting.data ? vetting.data : "",
                .greeted = *pat_json_str_or(s, "greeting_template", ""),
            },
            &out);
    add_brevity(b, &out, s);
    if (tools)
        pat_tools_prompt(tools, 0, &out);
    /* Filled in for each call (register.c). */
    if (!err)
        err = pat_buf_adds(&out, "\n\nCaller's number: {{caller_number}}. Call began "
                                 "{{call_began}} UTC.{{said_before}}");
    if (!err && tools && pat_tools_targets(tools))
        note(b, "transfer_numbers", "exact", NULL);
    if (!err)
        pat_json_set_str(b->llm, "general_prompt", out.data);
    note(b, "system_prompt", "exact", NULL);
    if (vetting.len)
        note(b, "vetting", "exact", NULL);
    pat_buf_fini(&vetting);
    pat_buf_fini(&out);
    return err;
}

static int write_greeting(struct built *b, const struct pat_json *s)
{
    const char *template = pat_json_str_or(s, "greeting_template", "");
    struct pat_buf text;
    int err;

    pat_buf_init(&text, GREETING_MAX);
    err = pat_agentcfg_greeting(template, pat_json_str_or(s, "user_name", ""), &text);
    if (!err)
        pat_json_set_str(b->llm, "begin_message", text.data ? text.data : "");
    pat_json_set_str(b->llm, "start_speaker", *template ? "agent" : "user");
    note(b, "greeting_template", "exact", NULL);
    pat_buf_fini(&text);
    return err;
}

static int make_tools(struct pat_tools **out, const struct pat_json *s,
                      const struct build_conf *conf)
{
    *out = NULL;
    if (!*conf->tools_url)
        return PAT_OK;
    return pat_tools_new(out, &(struct pat_tools_opts){ .settings = s,
                                                        .countries = conf->countries,
                                                        .time_zone = conf->time_zone,
                                                        .asks_code = true });
}

static int write_llm(struct built *b, const struct pat_json *s, const struct build_conf *conf)
{
    struct pat_json *vars = pat_json_obj();
    struct pat_tools *tools;
    double temperature = pat_json_num_or(s, "temperature", -1);
    int err = make_tools(&tools, s, conf);

    if (!err)
        err = write_prompt(b, s, tools);
    if (!err)
        err = write_greeting(b, s);
    pat_json_set_str(b->llm, "model", model_of(b, s, conf->model));
    pat_json_set_num(b->llm, "model_temperature",
                     temperature < 0   ? 0.7
                     : temperature > 1 ? 1
                                       : temperature);
    note(b, "temperature", temperature > 1 ? "near" : "exact",
         temperature > 1 ? "Retell's highest is 1" : NULL);
    pat_json_set_take(b->llm, "general_tools",
                      tools ? pat_tools_retell(tools, conf->tools_url) : pat_json_arr());
    pat_json_set_str(vars, "caller_number", "withheld");
    pat_json_set_str(vars, "call_began", "unknown");
    pat_json_set_str(vars, "said_before", "");
    pat_json_set_str(vars, "patchbay_agent", pat_json_str_or(s, "agent_config_id", ""));
    pat_json_set_take(b->llm, "default_dynamic_variables", vars);
    pat_tools_free(tools);
    return err;
}

/* ------------------------------------------------------------------ how it sounds */

static bool is_language(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !((*a == '_' || *a == '-') && (*b == '_' || *b == '-')) &&
            (*a | 0x20) != (*b | 0x20))
            return false;
    return *a == *b;
}

/* docs.retellai.com, create-agent: language; the first of each language is its usual one. */
static void write_language(struct built *b, const struct pat_json *s)
{
    static const char *const known[] = {
        "en-US", "en-IN",  "en-GB", "en-AU", "en-NZ", "de-DE",  "es-ES", "es-419", "hi-IN", "fr-FR",
        "fr-CA", "ja-JP",  "pt-PT", "pt-BR", "zh-CN", "ru-RU",  "it-IT", "ko-KR",  "nl-NL", "nl-BE",
        "pl-PL", "tr-TR",  "vi-VN", "ro-RO", "bg-BG", "ca-ES",  "th-TH", "da-DK",  "fi-FI", "el-GR",
        "hu-HU", "id-ID",  "no-NO", "sk-SK", "sv-SE", "lt-LT",  "lv-LV", "cs-CZ",  "ms-MY", "af-ZA",
        "ar-SA", "az-AZ",  "bs-BA", "cy-GB", "fa-IR", "fil-PH", "gl-ES", "he-IL",  "hr-HR", "hy-AM",
        "is-IS", "kk-KZ",  "kn-IN", "mk-MK", "mr-IN", "ne-NP",  "sl-SI", "sr-RS",  "sw-KE", "ta-IN",
        "ur-IN", "yue-CN", "uk-UA", "multi",
    };
    const char *asked = pat_json_str_or(s, "language", "en-US");
    const char *near = NULL;
    char code[3], theirs[3];

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (is_language(asked, known[i])) {
            pat_json_set_str(b->agent, "language", known[i]);
            note(b, "language", "exact", NULL);
            return;
        }
        if (!near && pat_language_code(asked, code) && pat_language_code(known[i], theirs) &&
            !strcmp(code, theirs))
            near = known[i];
    }
    pat_json_set_str(b->agent, "language", near ? near : "multi");
    note(b, "language", near ? "near" : "lossy",
         near ? near : "Retell does not have it: any language is listened for");
}

static void write_voice(struct built *b, const struct pat_json *s, const struct pat_json *voice)
{
    static const struct {
        const char *field;
        double usual;
    } own[] = { { "stability", 0.5 }, { "similarity_boost", 0.75 }, { "style", 0 } };
    const char *id = pat_json_str_or(voice, "voice_id", "11labs-Kate");
    struct pat_json *fallback = pat_json_arr();

    pat_json_set_str(b->agent, "voice_id", id);
    note(b, "voice_id", pat_json_str_or(voice, "grade", "lossy"),
         pat_json_str_or(voice, "why", NULL));
    /* Of another vendor: it takes over when the voice's own is down. */
    pat_json_add_str(fallback, !strncmp(id, "openai-", 7) ? "11labs-Kate" : "openai-Nova");
    pat_json_set_take(b->agent, "fallback_voice_ids", fallback);
    pat_json_set_num(b->agent, "voice_speed",
                     pat_agentcfg_num(s, "voice.voice_speed", "voice.voice_speed", 1, 0.5, 2));
    pat_json_set_num(
        b->agent, "voice_temperature",
        pat_agentcfg_num(s, "voice.voice_temperature", "voice.voice_temperature", 1, 0, 2));
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        char path[40];

        snprintf(path, sizeof path, "voice.%s", own[i].field);
        if (fabs(pat_json_num_or(s, path, own[i].usual) - own[i].usual) > 0.001)
            note(b, own[i].field, "parked", "Retell has no such setting");
    }
}

static void write_ambience(struct built *b, const struct pat_json *s)
{
    static const char *const known[] = { "coffee-shop",      "convention-hall", "summer-outdoor",
                                         "mountain-outdoor", "static-noise",    "call-center" };
    struct pat_ambient a = pat_agentcfg_ambient(s);
    bool has = false;

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        has = has || !strcmp(known[i], a.sound);
    pat_json_set_str(b->agent, "ambient_sound", has ? a.sound : NULL);
    pat_json_set_num(b->agent, "ambient_sound_volume", a.volume);
    if (*a.sound)
        note(b, "ambient_sound", has ? "exact" : "parked",
             has ? NULL : "Retell does not have this sound: silence");
}

static void write_sound(struct built *b, const struct pat_json *s)
{
    static const struct {
        const char *level, *mode;
    } modes[] = { { "off", "no-denoise" },
                  { "low", "no-denoise" },
                  { "medium", "noise-cancellation" },
                  { "high", "noise-and-background-speech-cancellation" } };
    const char *noise =
        pat_agentcfg_text(s, "noise_suppression", "voice.noise_suppression", "medium");
    const char *mode = "noise-cancellation";

    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (!strcmp(modes[i].level, noise))
            mode = modes[i].mode;
    pat_json_set_str(b->agent, "denoising_mode", mode);
    note(b, "noise_suppression", strcmp(noise, "low") != 0 ? "exact" : "near",
         strcmp(noise, "low") != 0 ? NULL : "off at Retell");
    pat_json_set_num(b->agent, "volume",
                     pat_agentcfg_num(s, "agent_volume", "voice.agent_volume", 1, 0, 2));
    write_ambience(b, s);
}

/* ------------------------------------------------------------------ how it behaves */

static void write_keywords(struct built *b, const struct pat_json *s)
{
    const struct pat_json *list = pat_json_at(s, "voice.boosted_keywords");
    struct pat_json *out = pat_json_arr();
    size_t n = 0;

    if (list && pat_json_kind(list) == PAT_JSON_ARR)
        PAT_JSON_EACH(word, list)
    if (pat_json_value_str(word) && *pat_json_value_str(word) && n++ < KEYWORDS_MAX)
        pat_json_add_str(out, pat_json_value_str(word));
    pat_json_set_take(b->agent, "boosted_keywords", out);
    if (n)
        note(b, "boosted_keywords", "exact", NULL);
}

static void write_manners(struct built *b, const struct pat_json *s, const struct build_conf *conf)
{
    pat_json_set_num(b->agent, "responsiveness",
                     pat_agentcfg_num(s, "voice.responsiveness", "voice.responsiveness", 1, 0, 1));
    pat_json_set_num(b->agent, "interruption_sensitivity",
                     pat_agentcfg_num(s, "voice.interruption_sensitivity",
                                      "voice.interruption_sensitivity", 1, 0, 1));
    note(b, "responsiveness", "near", "each stack has a scale of its own");
    note(b, "interruption_sensitivity", "near", "each stack has a scale of its own");
    pat_json_set_bool(b->agent, "enable_backchannel",
                      pat_json_bool_or(s, "voice.enable_backchannel", false));
    pat_json_set_int(b->agent, "max_call_duration_ms", conf->max_call_ms);
    pat_json_set_int(b->agent, "end_call_after_silence_ms", conf->silence_ms);
    pat_json_set_bool(b->agent, "allow_user_dtmf", true);
    write_keywords(b, s);
}

/* What Retell keeps of a call, by what the user allows us to keep. */
static void write_storage(struct built *b, const struct pat_json *s)
{
    const char *pii = pat_json_str_or(s, "extra.pii_storage", "enabled");

    pat_json_set_str(b->agent, "data_storage_setting",
                     !strcmp(pii, "disabled")   ? "basic_attributes_only"
                     : !strcmp(pii, "redacted") ? "everything_except_pii"
                                                : "everything");
    pat_json_set_bool(b->agent, "opt_in_signed_url", true);
}

static void write_agent(struct built *b, const struct pat_json *s, const struct pat_json *voice,
                        const struct build_conf *conf)
{
    struct pat_json *events = pat_json_arr();
    char name[160];

    snprintf(name, sizeof name, BUILD_MARK "%s %.80s", pat_json_str_or(s, "agent_config_id", ""),
             pat_json_str_or(s, "user_name", ""));
    pat_json_set_str(b->agent, "agent_name", name);
    write_voice(b, s, voice);
    write_language(b, s);
    write_sound(b, s);
    write_manners(b, s, conf);
    write_storage(b, s);
    pat_json_set_str(b->agent, "webhook_url", *conf->webhook_url ? conf->webhook_url : NULL);
    pat_json_add_str(events, "call_started");
    pat_json_add_str(events, "call_ended");
    pat_json_add_str(events, "call_analyzed");
    if (conf->live_text)
        pat_json_add_str(events, "transcript_updated");
    pat_json_set_take(b->agent, "webhook_events", events);
}

int build_agent(struct built *out, const struct pat_json *settings, const struct pat_json *voice,
                const struct build_conf *conf)
{
    int err;

    *out = (struct built){ 0 };
    if (!settings || pat_json_kind(settings) != PAT_JSON_OBJ)
        return PAT_EINVAL;
    out->agent = pat_json_obj();
    out->llm = pat_json_obj();
    out->notes = pat_json_arr();
    write_agent(out, settings, voice, conf);
    err = write_llm(out, settings, conf);
    if (err)
        built_fini(out);
    return err;
}

void built_fini(struct built *b)
{
    pat_json_free(b->agent);
    pat_json_free(b->llm);
    pat_json_free(b->notes);
    *b = (struct built){ 0 };
}
