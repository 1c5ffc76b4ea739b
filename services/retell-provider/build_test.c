/* build_test.c - settings become an agent: every field is there, and nothing secret. */
#include "build.h"

#include "test/cmocka.h"

#include <string.h>

static const struct build_conf conf = { .tools_url = "https://edge.example/v1/retell/tools",
                                        .webhook_url = "",
                                        .model = "gpt-4.1-mini",
                                        .countries = "",
                                        .time_zone = "UTC",
                                        .max_call_ms = 3600000,
                                        .silence_ms = 60000 };

static struct pat_json *parse(const char *text)
{
    struct pat_json *j;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    return j;
}

static void build(struct built *out, const char *settings)
{
    PAT_AUTO_JSON s = parse(settings);
    PAT_AUTO_JSON voice = parse("{\"voice_id\":\"11labs-Kate\",\"grade\":\"exact\",\"why\":null}");

    assert_int_equal(build_agent(out, s, voice, &conf), PAT_OK);
}

static const char *grade_of(const struct built *b, const char *field)
{
    PAT_JSON_EACH(n, b->notes)
    if (!strcmp(pat_json_str_or(n, "field", ""), field))
        return pat_json_str_or(n, "grade", "");
    return NULL;
}

static void test_build__every_field_is_there_whatever_is_set(void **state)
{
    struct built none, some;

    (void)state;
    build(&none, "{}");
    build(&some, "{\"agent_volume\":1.5,\"ambient_sound\":\"coffee-shop\",\"language\":\"fr\","
                 "\"voice\":{\"boosted_keywords\":[\"Ada\"],\"voice_speed\":1.1}}");
    assert_int_equal(pat_json_size(none.agent), pat_json_size(some.agent));
    assert_int_equal(pat_json_size(none.llm), pat_json_size(some.llm));
    PAT_JSON_EACH(m, none.agent) assert_non_null(pat_json_at(some.agent, pat_json_key(m)));
    assert_int_equal(pat_json_kind(pat_json_at(none.agent, "ambient_sound")), PAT_JSON_NULL);
    assert_string_equal(pat_json_str_or(some.agent, "language", ""), "fr-FR");
    built_fini(&none);
    built_fini(&some);
}

static void test_build__what_is_out_of_range_comes_into_it(void **state)
{
    struct built b;

    (void)state;
    build(&b, "{\"agent_volume\":9,\"temperature\":1.8,\"voice\":{\"voice_speed\":0.1,"
              "\"responsiveness\":2,\"interruption_sensitivity\":-1}}");
    assert_true(pat_json_num_or(b.agent, "volume", 0) == 2);
    assert_true(pat_json_num_or(b.agent, "voice_speed", 0) == 0.5);
    assert_true(pat_json_num_or(b.agent, "responsiveness", 0) == 1);
    assert_true(pat_json_num_or(b.agent, "interruption_sensitivity", 1) == 0);
    assert_true(pat_json_num_or(b.llm, "model_temperature", 0) == 1);
    assert_string_equal(grade_of(&b, "temperature"), "near");
    built_fini(&b);
}

static void test_build__the_model_sees_labels_and_no_numbers(void **state)
{
    struct built b;
    PAT_AUTO_STR text = NULL;

    (void)state;
    build(&b, "{\"system_prompt\":\"Be kind.\",\"transfer_numbers\":[{\"id\":\"017f22e2-79b0-7cc3-"
              "98c4-dc0c0c07398f\",\"label\":\"Sales\",\"phone_number\":\"+15550177777\","
              "\"is_default\":true,\"has_passcode\":true}]}");
    text = pat_json_print(b.llm);
    assert_non_null(strstr(text, "Sales"));
    assert_non_null(strstr(text, "transfer_call"));
    assert_null(strstr(text, "7777"));
    assert_non_null(strstr(text, "{{caller_number}}"));
    built_fini(&b);
}

static void test_build__a_model_retell_lacks_is_mapped(void **state)
{
    static const struct {
        const char *asked, *model, *grade;
    } rows[] = {
        { "gpt-4o-mini", "gpt-4.1-mini", "near" },
        { "gpt-4o", "gpt-4.1", "near" },
        { "gpt-5.5", "gpt-5.5", "exact" },
        { "llama-9", "gpt-4.1-mini", "lossy" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct built b;
        char settings[120];

        snprintf(settings, sizeof settings, "{\"stack_config\":{\"livekit\":{\"model\":\"%s\"}}}",
                 rows[i].asked);
        build(&b, settings);
        assert_string_equal(pat_json_str_or(b.llm, "model", ""), rows[i].model);
        assert_string_equal(grade_of(&b, "model"), rows[i].grade);
        built_fini(&b);
    }
}

static void test_build__what_has_no_place_is_parked(void **state)
{
    struct built b;

    (void)state;
    build(&b, "{\"ambient_sound\":\"high-school-hallway\",\"max_tokens\":80,"
              "\"voice\":{\"stability\":0.9,\"style\":0}}");
    assert_string_equal(grade_of(&b, "ambient_sound"), "parked");
    assert_string_equal(grade_of(&b, "stability"), "parked");
    assert_null(grade_of(&b, "style"));
    assert_string_equal(grade_of(&b, "max_tokens"), "lossy");
    built_fini(&b);
}

static void test_build__no_settings_are_no_agent(void **state)
{
    struct built b;
    PAT_AUTO_JSON list = parse("[]");

    (void)state;
    assert_int_equal(build_agent(&b, NULL, NULL, &conf), PAT_EINVAL);
    assert_int_equal(build_agent(&b, list, NULL, &conf), PAT_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_build__every_field_is_there_whatever_is_set),
        cmocka_unit_test(test_build__what_is_out_of_range_comes_into_it),
        cmocka_unit_test(test_build__the_model_sees_labels_and_no_numbers),
        cmocka_unit_test(test_build__a_model_retell_lacks_is_mapped),
        cmocka_unit_test(test_build__what_has_no_place_is_parked),
        cmocka_unit_test(test_build__no_settings_are_no_agent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
