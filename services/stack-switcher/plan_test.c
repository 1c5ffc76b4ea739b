/* plan_test.c - what a plan says of each setting, of health, and of cost. */
#include "switch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define FACTS(to, settings, more)                                                                   \
    "{\"from\":\"" to "\",\"to\":\"" to "\",\"settings\":{" settings                                \
    "},\"numbers\":[\"+1\"]," more                                                                  \
    "\"voice\":{\"voice_id\":\"a\",\"becomes\":\"b\",\"grade\":\"lossy\",\"why\":\"x\",\"spoken\":" \
    "\"b\",\"restored\":false}}"

static struct pat_json *plan_with(const char *facts_text, const struct plan_probe *probe)
{
    PAT_AUTO_JSON facts = NULL;
    struct pat_json *plan = NULL;
    struct pat_json_err why = { { 0 }, { 0 } };

    if (pat_json_parse(&facts, facts_text, strlen(facts_text), &why))
        fail_msg("%s: %s %s", facts_text, why.path, why.what);
    assert_int_equal(plan_make(&plan, facts, probe), PAT_OK);
    return plan;
}

static const struct pat_json *field(const struct pat_json *plan, const char *name)
{
    PAT_JSON_EACH(f, pat_json_at(plan, "fields"))
    if (!strcmp(pat_json_str_or(f, "field", ""), name))
        return f;
    return NULL;
}

static void test_plan__grades_each_setting(void **state)
{
    static const struct {
        const char *settings, *field, *to_retell, *to_livekit;
    } table[] = {
        { "\"system_prompt\":\"x\"", "system_prompt", "exact", "exact" },
        { "\"max_tokens\":9", "max_tokens", "lossy", "exact" },
        { "\"voice\":{\"stability\":0.3}", "stability", "parked", "exact" },
        { "\"voice\":{\"use_speaker_boost\":false}", "use_speaker_boost", "parked", "exact" },
        { "\"voice\":{\"voice_temperature\":1.2}", "voice_temperature", "exact", "parked" },
        { "\"voice\":{\"enable_backchannel\":true}", "enable_backchannel", "exact", "parked" },
        { "\"voice\":{\"responsiveness\":0.4}", "responsiveness", "near", "near" },
        { "\"voice\":{\"boosted_keywords\":[\"a\"]}", "boosted_keywords", "exact", "exact" },
        { "\"ambient_sound\":\"coffee-shop\"", "ambient_sound", "exact", "exact" },
        { "\"ambient_sound\":\"high-school-hallway\"", "ambient_sound", "parked", "exact" },
        { "\"ambient_sound\":\"call-center\"", "ambient_sound", "exact", "near" },
        { "\"noise_suppression\":\"low\"", "noise_suppression", "near", "exact" },
        { "\"noise_suppression\":\"high\"", "noise_suppression", "exact", "exact" },
        { "\"stack_config\":{\"livekit\":{\"model\":\"m\"}}", "model", "near", "exact" },
        { "\"stack_config\":{\"retell\":{\"model\":\"m\"}}", "model", "exact", "near" },
        { "\"x\":1", "call_analysis", "exact", "lossy" },
        { "\"x\":1", "live_transcript", "lossy", "exact" },
        { "\"x\":1", "text_messages", "exact", "exact" },
        { "\"x\":1", "voice_id", "lossy", "lossy" },
        /* What nobody has set is not told. */
        { "\"system_prompt\":\"\"", "system_prompt", NULL, NULL },
        { "\"voice\":{\"boosted_keywords\":[]}", "boosted_keywords", NULL, NULL },
        { "\"user_tools\":[]", "user_tools", NULL, NULL },
        { "\"voice\":null", "stability", NULL, NULL },
        { "\"ambient_sound\":null", "ambient_sound", NULL, NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        for (int livekit = 0; livekit < 2; livekit++) {
            const char *want = livekit ? table[i].to_livekit : table[i].to_retell;
            char facts[1024];
            PAT_AUTO_JSON plan = NULL;
            const struct pat_json *f;

            snprintf(facts, sizeof facts,
                     "{\"from\":\"x\",\"to\":\"%s\",\"settings\":{%s},\"numbers\":[],"
                     "\"voice\":{\"grade\":\"lossy\"}}",
                     livekit ? "livekit" : "retell", table[i].settings);
            plan = plan_with(facts, &(struct plan_probe){ 0 });
            f = field(plan, table[i].field);
            if (!want && !f)
                continue;
            if (!want || !f || strcmp(pat_json_str_or(f, "grade", ""), want) != 0)
                fail_msg("%s to %s: %s, wanted %s", table[i].field, livekit ? "livekit" : "retell",
                         f ? pat_json_str_or(f, "grade", "") : "none", want ? want : "none");
        }
}

static void test_plan__says_what_a_value_becomes(void **state)
{
    PAT_AUTO_JSON plan = plan_with(FACTS("retell",
                                         "\"temperature\":0.4,\"voice\":{\"style\":0.2},"
                                         "\"noise_suppression\":\"low\"",
                                         ""),
                                   &(struct plan_probe){ 0 });

    (void)state;
    assert_true(pat_json_num_or(field(plan, "temperature"), "becomes", 0) == 0.4);
    assert_true(pat_json_num_or(field(plan, "style"), "value", 0) == 0.2);
    assert_int_equal(pat_json_kind(pat_json_at(field(plan, "style"), "becomes")), PAT_JSON_NULL);
    assert_string_equal(pat_json_str_or(field(plan, "noise_suppression"), "becomes", ""), "off");
    assert_string_equal(pat_json_str_or(field(plan, "voice_id"), "becomes", ""), "b");
    assert_int_equal(pat_json_int_or(plan, "grades.parked", 0), 1);
    assert_true(pat_json_bool_or(plan, "creates_agent", false));
}

static void test_plan__knows_what_speaks_against_it(void **state)
{
    static const struct {
        struct plan_probe probe;
        const char *health; /* of the target */
        const char *blocker, *state;
    } table[] = {
        { { 0 }, "\"routed\":0,\"failed_over\":0", NULL, "unknown" },
        { { 0 }, "\"routed\":2,\"failed_over\":2", NULL, "unknown" },
        { { 0 }, "\"routed\":100,\"failed_over\":1", NULL, "up" },
        { { 0 }, "\"routed\":80,\"failed_over\":20", NULL, "degraded" },
        { { 0 },
          "\"routed\":4,\"failed_over\":6",
          "most calls of the last hour failed there",
          "down" },
        { { .asked = true, .ready = true }, "\"routed\":0", NULL, "unknown" },
        { { .asked = true },
          "\"routed\":0",
          "no livekit-agent is registered at LiveKit",
          "unknown" },
        { { .asked = true, .err = PAT_EUNAVAIL },
          "\"routed\":0",
          "no livekit-agent answers",
          "unknown" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        char facts[512];
        PAT_AUTO_JSON plan = NULL;
        const char *blocker;

        snprintf(facts, sizeof facts,
                 "{\"from\":\"retell\",\"to\":\"livekit\",\"settings\":{},\"voice\":{},"
                 "\"health\":{\"livekit\":{%s}}}",
                 table[i].health);
        plan = plan_with(facts, &table[i].probe);
        blocker = pat_json_str_or(plan, "blockers[0]", NULL);
        if (table[i].blocker ? !blocker || strcmp(blocker, table[i].blocker) != 0 : !!blocker)
            fail_msg("row %zu: %s", i, blocker ? blocker : "no blocker");
        assert_string_equal(pat_json_str_or(plan, "health.livekit.state", ""), table[i].state);
    }
}

static void test_plan__reckons_the_saving(void **state)
{
    static const char cost[] = "\"cost\":{\"retell\":{\"microusd_per_minute\":117400},\"livekit\":{"
                               "\"microusd_per_minute\":51900}},";
    char facts[1024];
    PAT_AUTO_JSON there = NULL;
    PAT_AUTO_JSON back = NULL;
    PAT_AUTO_JSON unknown = NULL;

    (void)state;
    snprintf(facts, sizeof facts,
             "{\"from\":\"retell\",\"to\":\"livekit\",%s\"settings\":{},\"voice\":{}}", cost);
    there = plan_with(facts, &(struct plan_probe){ 0 });
    assert_true(pat_json_num_or(there, "cost.saving_percent", 0) == 55.8);
    snprintf(facts, sizeof facts,
             "{\"from\":\"livekit\",\"to\":\"retell\",%s\"settings\":{},\"voice\":{}}", cost);
    back = plan_with(facts, &(struct plan_probe){ 0 });
    assert_true(pat_json_num_or(back, "cost.saving_percent", 0) == -126.2);
    unknown = plan_with("{\"from\":\"livekit\",\"to\":\"retell\",\"settings\":{},\"voice\":{}}",
                        &(struct plan_probe){ 0 });
    assert_int_equal(pat_json_kind(pat_json_at(unknown, "cost.saving_percent")), PAT_JSON_NULL);
}

static void test_plan__warns(void **state)
{
    PAT_AUTO_JSON plan =
        plan_with("{\"from\":\"retell\",\"to\":\"livekit\",\"settings\":{},\"numbers\":[],"
                  "\"live_calls\":2,\"voice\":{\"grade\":\"lossy\"}}",
                  &(struct plan_probe){ 0 });

    (void)state;
    assert_int_equal(pat_json_size(pat_json_at(plan, "warnings")), 3);
    assert_string_equal(pat_json_str_or(plan, "warnings[1]", ""),
                        "2 calls are under way: they stay where they are");
}

static void test_plan__of_nobody_is_none(void **state)
{
    struct pat_json *plan = NULL;

    (void)state;
    assert_int_equal(plan_make(&plan, NULL, &(struct plan_probe){ 0 }), PAT_ENOENT);
    assert_null(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan__grades_each_setting),
        cmocka_unit_test(test_plan__says_what_a_value_becomes),
        cmocka_unit_test(test_plan__knows_what_speaks_against_it),
        cmocka_unit_test(test_plan__reckons_the_saving),
        cmocka_unit_test(test_plan__warns),
        cmocka_unit_test(test_plan__of_nobody_is_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
