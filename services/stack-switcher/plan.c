/* plan.c - what becomes of each setting on the other stack, and what speaks for or against going
 * there. Pure: everything it needs is in the facts (patchbay.switch_facts).
 *
 * How a setting maps is the table's; it says what the daemons do (docs/agent-settings.md,
 * services/retell-provider/build.c).
 */
#include "switch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct verdict {
    const char *grade; /* exact, near, lossy, parked: kept, without effect there */
    const char *note;  /* NULL: nothing to say */
};

static const struct row {
    const char *field;
    const char *path; /* in the settings */
    struct verdict retell, livekit;
} table[] = {
    { "greeting_template", "greeting_template", { "exact", NULL }, { "exact", NULL } },
    { "system_prompt", "system_prompt", { "exact", NULL }, { "exact", NULL } },
    { "agent_name", "agent_name", { "exact", NULL }, { "exact", NULL } },
    { "language", "language", { "exact", NULL }, { "exact", NULL } },
    { "response_style", "response_style", { "exact", NULL }, { "exact", NULL } },
    { "temperature", "temperature", { "exact", NULL }, { "exact", NULL } },
    { "max_tokens",
      "max_tokens",
      { "lossy", "Retell has no such limit: the model is asked to be brief" },
      { "exact", NULL } },
    { "vetting_strategy", "vetting_strategy", { "exact", NULL }, { "exact", NULL } },
    { "vetting_criteria", "vetting_criteria", { "exact", NULL }, { "exact", NULL } },
    { "transfer_preferences", "transfer_preferences", { "exact", NULL }, { "exact", NULL } },
    { "transfer_unknown_callers",
      "transfer_unknown_callers",
      { "exact", NULL },
      { "exact", NULL } },
    { "agent_volume", "agent_volume", { "exact", NULL }, { "exact", NULL } },
    { "ambient_sound_volume", "ambient_sound_volume", { "exact", NULL }, { "exact", NULL } },
    { "stability",
      "voice.stability",
      { "parked", "Retell has no such setting" },
      { "exact", NULL } },
    { "similarity_boost",
      "voice.similarity_boost",
      { "parked", "Retell has no such setting" },
      { "exact", NULL } },
    { "style", "voice.style", { "parked", "Retell has no such setting" }, { "exact", NULL } },
    { "use_speaker_boost",
      "voice.use_speaker_boost",
      { "parked", "Retell has no such setting" },
      { "exact", NULL } },
    { "voice_speed",
      "voice.voice_speed",
      { "exact", NULL },
      { "near", "the voice's own limits: 0.7 to 1.2" } },
    { "voice_temperature",
      "voice.voice_temperature",
      { "exact", NULL },
      { "parked", "no voice there has it" } },
    { "enable_backchannel",
      "voice.enable_backchannel",
      { "exact", NULL },
      { "parked", "the agent there does not" } },
    { "responsiveness",
      "voice.responsiveness",
      { "near", "each stack has a scale of its own" },
      { "near", "each stack has a scale of its own" } },
    { "interruption_sensitivity",
      "voice.interruption_sensitivity",
      { "near", "each stack has a scale of its own" },
      { "near", "each stack has a scale of its own" } },
    { "boosted_keywords", "voice.boosted_keywords", { "exact", NULL }, { "exact", NULL } },
    { "transfer_numbers", "transfer_numbers", { "exact", NULL }, { "exact", NULL } },
    { "user_tools", "user_tools", { "exact", NULL }, { "exact", NULL } },
    { "record_calls",
      "extra.record_calls",
      { "near", "Retell's own recording" },
      { "near", "our own recording" } },
};

/* Besides those of the table. */
static const struct {
    const char *path;
    bool kept;
} more_paths[] = {
    { "ambient_sound", true },
    { "voice.ambient_sound", true },
    { "voice.ambient_sound_volume", false },
    { "noise_suppression", true },
    { "voice.noise_suppression", true },
    { "stack_config.retell.model", false },
    { "stack_config.livekit.model", false },
    { "extra.llm_model", false },
};

const char *plan_path(size_t n, bool *kept)
{
    size_t in_table = sizeof table / sizeof table[0];

    *kept = false;
    if (n < in_table)
        return table[n].path;
    n -= in_table;
    if (n >= sizeof more_paths / sizeof more_paths[0])
        return NULL;
    *kept = more_paths[n].kept;
    return more_paths[n].path;
}

/* ------------------------------------------------------------------ the fields */

static struct pat_json *add(struct pat_json *fields, const char *field, struct verdict v)
{
    struct pat_json *f = pat_json_obj();

    pat_json_set_str(f, "field", field);
    pat_json_set_str(f, "grade", v.grade);
    pat_json_set_str(f, "note", v.note);
    pat_json_add_take(fields, f);
    return f;
}

static void set_values(struct pat_json *f, const struct pat_json *value, bool kept)
{
    pat_json_set_take(f, "value", value ? pat_json_dup(value) : NULL);
    if (kept && value)
        pat_json_set_take(f, "becomes", pat_json_dup(value));
    else
        pat_json_set_null(f, "becomes");
}

/* Nobody has set it: nothing to tell. */
static bool is_unset(const struct pat_json *v)
{
    enum pat_json_kind kind = v ? pat_json_kind(v) : PAT_JSON_NULL;

    return kind == PAT_JSON_NULL ||
           ((kind == PAT_JSON_ARR || kind == PAT_JSON_OBJ) && !pat_json_size(v)) ||
           (kind == PAT_JSON_STR && !*pat_json_value_str(v));
}

static void add_plain(struct pat_json *fields, const struct pat_json *settings, bool to_retell)
{
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct pat_json *v = pat_json_at(settings, table[i].path);
        struct verdict verdict = to_retell ? table[i].retell : table[i].livekit;

        if (!is_unset(v))
            set_values(add(fields, table[i].field, verdict), v,
                       strcmp(verdict.grade, "parked") != 0);
    }
}

static void add_ambient(struct pat_json *fields, const struct pat_json *settings, bool to_retell)
{
    static const char *const retells[] = { "coffee-shop",      "convention-hall", "summer-outdoor",
                                           "mountain-outdoor", "static-noise",    "call-center" };
    static const char *const ours[] = { "coffee-shop", "convention-hall", "summer-outdoor",
                                        "mountain-outdoor", "high-school-hallway" };
    const char *const *known = to_retell ? retells : ours;
    size_t n = to_retell ? sizeof retells / sizeof retells[0] : sizeof ours / sizeof ours[0];
    struct pat_ambient a = pat_agentcfg_ambient(settings);
    const struct pat_json *v = pat_json_at(settings, "ambient_sound");
    bool has = false;

    if (!*a.sound)
        return;
    for (size_t i = 0; i < n; i++)
        has = has || !strcmp(known[i], a.sound);
    if (is_unset(v))
        v = pat_json_at(settings, "voice.ambient_sound");
    set_values(add(fields, "ambient_sound",
                   has         ? (struct verdict){ "exact", NULL }
                   : to_retell ? (struct verdict){ "parked", "Retell does not have this sound: "
                                                             "silence" }
                               : (struct verdict){ "near", "played where a recording of it is "
                                                           "installed" }),
               v, has || !to_retell);
}

static void add_noise(struct pat_json *fields, const struct pat_json *settings, bool to_retell)
{
    const char *level =
        pat_agentcfg_text(settings, "noise_suppression", "voice.noise_suppression", "medium");
    bool near = to_retell && !strcmp(level, "low");
    struct pat_json *f =
        add(fields, "noise_suppression",
            near ? (struct verdict){ "near", "off at Retell" } : (struct verdict){ "exact", NULL });

    pat_json_set_str(f, "value", level);
    pat_json_set_str(f, "becomes", near ? "off" : level);
}

static void add_voice(struct pat_json *fields, const struct pat_json *voice,
                      const struct plan_probe *probe)
{
    bool replaced = probe->asked && !probe->err && probe->voice_substituted;
    const char *grade = pat_json_str_or(voice, "grade", "lossy");
    struct pat_json *f;

    /* Its own table knows more: a voice the agents do not find is spoken by another. */
    if (replaced && !strcmp(grade, "exact"))
        grade = "near";
    f = add(fields, "voice_id", (struct verdict){ grade, pat_json_str_or(voice, "why", NULL) });
    pat_json_set_str(f, "value", pat_json_str_or(voice, "voice_id", NULL));
    pat_json_set_str(f, "becomes", pat_json_str_or(voice, "becomes", NULL));
    pat_json_set_str(f, "spoken_by",
                     pat_json_str_or(voice, "spoken", pat_json_str_or(voice, "becomes", NULL)));
    pat_json_set_bool(f, "restored", pat_json_bool_or(voice, "restored", false));
}

static void add_model(struct pat_json *fields, const struct pat_json *settings, bool to_retell)
{
    const char *own = to_retell ? "stack_config.retell.model" : "stack_config.livekit.model";
    const char *asked = pat_json_str_or(settings, own, "");
    const char *other = pat_json_str_or(
        settings, to_retell ? "stack_config.livekit.model" : "stack_config.retell.model",
        pat_json_str_or(settings, "extra.llm_model", ""));
    struct pat_json *f;

    if (!*asked && !*other)
        return;
    f = add(fields, "model",
            *asked ? (struct verdict){ "exact", NULL }
                   : (struct verdict){ "near", to_retell ? "the nearest Retell has"
                                                         : "the agents' own unless set" });
    pat_json_set_str(f, "value", *asked ? asked : other);
    pat_json_set_str(f, "becomes", *asked ? asked : to_retell ? other : NULL);
}

/* What no column holds and a user would miss. */
static void add_around(struct pat_json *fields, const struct pat_json *facts, bool to_retell)
{
    struct pat_json *f =
        add(fields, "phone_numbers", (struct verdict){ "exact", "they stay where they are" });

    set_values(f, pat_json_at(facts, "numbers"), true);
    add(fields, "text_messages", (struct verdict){ "exact", "not touched by a switch" });
    add(fields, "call_analysis",
        to_retell ? (struct verdict){ "exact", "summary and sentiment after the call" }
                  : (struct verdict){ "lossy", "no summary and sentiment after the call" });
    add(fields, "live_transcript",
        to_retell ? (struct verdict){ "lossy", "only after the call" }
                  : (struct verdict){ "exact", NULL });
    if (!is_unset(pat_json_at(facts, "avatar")))
        set_values(add(fields, "avatar_url", (struct verdict){ "exact", NULL }),
                   pat_json_at(facts, "avatar"), true);
}

/* ------------------------------------------------------------------ for and against */

/* Of the last hour; few calls say nothing. */
static const char *health_word(const struct pat_json *h)
{
    double routed = pat_json_num_or(h, "routed", 0), lost = pat_json_num_or(h, "failed_over", 0);

    if (routed + lost < 5)
        return "unknown";
    if (lost / (routed + lost) > 0.5)
        return "down";
    return lost / (routed + lost) > 0.1 ? "degraded" : "up";
}

static struct pat_json *health_of(const struct pat_json *facts, const char *stack)
{
    char path[32];
    const struct pat_json *h;
    struct pat_json *out;

    snprintf(path, sizeof path, "health.%s", stack);
    h = pat_json_at(facts, path);
    out = h ? pat_json_dup(h) : pat_json_obj();
    pat_json_set_str(out, "state", health_word(h));
    return out;
}

static void judge_probe(struct pat_json *blockers, struct pat_json *health,
                        const struct plan_probe *probe)
{
    if (!probe->asked)
        return;
    pat_json_set_bool(health, "ready", !probe->err && probe->ready);
    if (probe->err)
        pat_json_add_str(blockers, "no livekit-agent answers");
    else if (!probe->ready)
        pat_json_add_str(blockers, "no livekit-agent is registered at LiveKit");
}

static void warn_of(struct pat_json *warnings, const struct pat_json *facts)
{
    char text[120];
    long long live = pat_json_int_or(facts, "live_calls", 0);

    if (!pat_json_size(pat_json_at(facts, "numbers")))
        pat_json_add_str(warnings, "this agent has no active number");
    if (live) {
        snprintf(text, sizeof text, "%lld %s under way: %s where %s", live,
                 live == 1 ? "call is" : "calls are", live == 1 ? "it stays" : "they stay",
                 live == 1 ? "it is" : "they are");
        pat_json_add_str(warnings, text);
    }
    if (!strcmp(pat_json_str_or(facts, "voice.grade", ""), "lossy"))
        pat_json_add_str(warnings, "the voice will sound different");
}

static struct pat_json *cost_of(const struct pat_json *facts, const char *from, const char *to)
{
    const struct pat_json *cost = pat_json_at(facts, "cost");
    struct pat_json *out = cost ? pat_json_dup(cost) : pat_json_obj();
    char path[48];
    double was, will;

    snprintf(path, sizeof path, "%s.microusd_per_minute", from);
    was = pat_json_num_or(cost, path, 0);
    snprintf(path, sizeof path, "%s.microusd_per_minute", to);
    will = pat_json_num_or(cost, path, 0);
    if (was > 0 && will > 0)
        pat_json_set_num(out, "saving_percent", round((1 - will / was) * 1000) / 10);
    else
        pat_json_set_null(out, "saving_percent");
    return out;
}

/* ------------------------------------------------------------------ the plan */

static struct pat_json *fields_of(const struct pat_json *facts, bool to_retell,
                                  const struct plan_probe *probe)
{
    const struct pat_json *settings = pat_json_at(facts, "settings");
    struct pat_json *fields = pat_json_arr();

    add_voice(fields, pat_json_at(facts, "voice"), probe);
    add_plain(fields, settings, to_retell);
    add_ambient(fields, settings, to_retell);
    add_noise(fields, settings, to_retell);
    add_model(fields, settings, to_retell);
    add_around(fields, facts, to_retell);
    return fields;
}

static struct pat_json *count_grades(const struct pat_json *fields)
{
    static const char *const grades[] = { "exact", "near", "lossy", "parked" };
    struct pat_json *out = pat_json_obj();

    for (size_t i = 0; i < sizeof grades / sizeof grades[0]; i++) {
        int64_t n = 0;

        PAT_JSON_EACH(f, fields)
        n += !strcmp(pat_json_str_or(f, "grade", ""), grades[i]);
        pat_json_set_int(out, grades[i], n);
    }
    return out;
}

static void set_verdicts(struct pat_json *plan, const struct pat_json *facts,
                         const struct plan_probe *probe)
{
    const char *from = pat_json_str_or(facts, "from", ""), *to = pat_json_str_or(facts, "to", "");
    struct pat_json *health = pat_json_obj(), *target = health_of(facts, to);
    struct pat_json *blockers = pat_json_arr(), *warnings = pat_json_arr();

    judge_probe(blockers, target, probe);
    if (!strcmp(pat_json_str_or(target, "state", ""), "down"))
        pat_json_add_str(blockers, "most calls of the last hour failed there");
    else if (!strcmp(pat_json_str_or(target, "state", ""), "degraded"))
        pat_json_add_str(warnings, "calls have failed there in the last hour");
    warn_of(warnings, facts);
    pat_json_set_take(health, to, target);
    if (strcmp(from, to) != 0)
        pat_json_set_take(health, from, health_of(facts, from));
    pat_json_set_take(plan, "health", health);
    pat_json_set_take(plan, "cost", cost_of(facts, from, to));
    pat_json_set_take(plan, "blockers", blockers);
    pat_json_set_take(plan, "warnings", warnings);
}

int plan_make(struct pat_json **out, const struct pat_json *facts, const struct plan_probe *probe)
{
    static const char *const copied[] = { "user_id", "agent_config_id", "from",       "to",
                                          "voice",   "capabilities",    "open_switch" };
    bool to_retell = !strcmp(pat_json_str_or(facts, "to", ""), "retell");
    struct pat_json *plan, *fields;

    if (!facts || !pat_json_at(facts, "settings"))
        return PAT_ENOENT;
    plan = pat_json_obj();
    fields = fields_of(facts, to_retell, probe);
    for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++) {
        const struct pat_json *v = pat_json_at(facts, copied[i]);

        if (v)
            pat_json_set_take(plan, copied[i], pat_json_dup(v));
    }
    pat_json_set_bool(plan, "creates_agent",
                      to_retell && !pat_json_bool_or(facts, "retell_agent", false));
    pat_json_set_take(plan, "grades", count_grades(fields));
    pat_json_set_take(plan, "fields", fields);
    set_verdicts(plan, facts, probe);
    *out = plan;
    return PAT_OK;
}
