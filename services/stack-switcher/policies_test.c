/* policies_test.c - what a user's policies may be. */
#include "policies_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static int check(const char *text, struct pat_json_err *err)
{
    PAT_AUTO_JSON j = NULL;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    return policies_check(j, err);
}

static void test_policies__good_ones_are_taken(void **state)
{
    static const char *const table[] = {
        "{}",
        "{\"user_id\":\"x\",\"version\":3,\"updated_at\":null}",
        "{\"time_zone\":\"America/New_York\",\"block_list\":[\"+12025550100\",\"+1900*\"]}",
        "{\"business_hours\":{\"mon\":[[\"09:00\",\"12:00\"],[\"13:00\",\"24:00\"]],\"sun\":[]}}",
        "{\"business_hours\":{\"fri\":[[\"22:00\",\"02:00\"]]}}",
        "{\"holidays\":[{\"date\":\"2026-12-25\"},{\"date\":\"02-29\",\"hours\":[[\"10:00\",\"12:00\"]]}]}",
        "{\"quiet_hours\":{\"start\":\"22:00\",\"end\":\"08:00\"},\"forward_number\":null}",
        "{\"fallback\":[],\"allowed_countries\":[\"US\",\"DE\"],\"max_concurrent\":1}",
        "{\"fallback\":[\"forward\",\"other_stack\"],\"daily_forward_cents\":0}",
    };
    struct pat_json_err err;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (check(table[i], &err))
            fail_msg("%s: %s %s", table[i], err.path, err.what);
}

static void test_policies__what_is_wrong_is_named(void **state)
{
    static const struct {
        const char *text, *path;
    } table[] = {
        { "[]", "" },
        { "{\"colour\":1}", "colour" },
        { "{\"time_zone\":\"Mars\"}", "time_zone" },
        { "{\"time_zone\":7}", "time_zone" },
        { "{\"block_list\":7}", "block_list" },
        { "{\"block_list\":[\"+12025550100\",\"555\"]}", "block_list[1]" },
        { "{\"block_list\":[\"*\"]}", "block_list[0]" },
        { "{\"block_action\":\"serve\"}", "block_action" },
        { "{\"withheld\":\"preferences\"}", "withheld" },
        { "{\"withheld\":\"serve,forward\"}", "withheld" },
        { "{\"unknown\":true}", "unknown" },
        { "{\"forward_number\":\"2025550100\"}", "forward_number" },
        { "{\"business_hours\":[]}", "business_hours" },
        { "{\"business_hours\":{\"on,\":[]}}", "business_hours.on," },
        { "{\"business_hours\":{\"monday\":[]}}", "business_hours.monday" },
        { "{\"business_hours\":{\"mon\":{}}}", "business_hours.mon" },
        { "{\"business_hours\":{\"mon\":[[\"9:00\",\"17:00\"]]}}", "business_hours.mon[0]" },
        { "{\"business_hours\":{\"mon\":[[\"09:00\",\"12:00\"],[\"12:00\"]]}}",
          "business_hours.mon[1]" },
        { "{\"business_hours\":{\"mon\":[[\"24:00\",\"12:00\"]]}}", "business_hours.mon[0]" },
        { "{\"business_hours\":{\"mon\":[[\"09:60\",\"12:00\"]]}}", "business_hours.mon[0]" },
        { "{\"holidays\":[{\"date\":\"2026-13-01\"}]}", "holidays[0]" },
        { "{\"holidays\":[{\"date\":\"2026-04-31\"}]}", "holidays[0]" },
        { "{\"holidays\":[{\"date\":\"12-25\",\"hours\":[[\"20:00\",\"04:00\"]]}]}",
          "holidays[0].hours[0]" },
        { "{\"quiet_hours\":{\"start\":\"22:00\"}}", "quiet_hours" },
        { "{\"max_concurrent\":0}", "max_concurrent" },
        { "{\"max_concurrent\":1.5}", "max_concurrent" },
        { "{\"max_per_minute\":\"7\"}", "max_per_minute" },
        { "{\"daily_forward_cents\":-1}", "daily_forward_cents" },
        { "{\"allowed_countries\":[\"US\",\"usa\"]}", "allowed_countries[1]" },
        { "{\"fallback\":[\"prayer\"]}", "fallback[0]" },
        { "{\"fallback\":[\"forward\",\"voicemail\",\"forward\"]}", "fallback[2]" },
    };
    struct pat_json_err err;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        assert_int_equal(check(table[i].text, &err), PAT_EINVAL);
        assert_string_equal(err.path, table[i].path);
        assert_true(*err.what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_policies__good_ones_are_taken),
        cmocka_unit_test(test_policies__what_is_wrong_is_named),
    };

    return cmocka_run_group_tests_name("policies", tests, NULL, NULL);
}
