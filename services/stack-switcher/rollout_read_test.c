/* rollout_read_test.c - what may be asked for, and what is added to it. */
#include "rollout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define ID  "01890000-0000-7000-8000-000000000001"
#define ALL "\"to_stack\": \"livekit\", \"cohort\": {\"filter\": {}}"

static int reads(struct pat_json **out, const char *text, const char **field)
{
    const char *what;
    PAT_AUTO_JSON body = NULL;

    assert_int_equal(pat_json_parse(&body, text, strlen(text), NULL), PAT_OK);
    return rollout_read(out, body, 86400000, field, &what);
}

static void test_rollout_read__completes_what_is_not_said(void **state)
{
    PAT_AUTO_JSON p = NULL;
    const char *field;

    (void)state;
    assert_int_equal(reads(&p, "{" ALL "}", &field), PAT_OK);
    assert_string_equal(pat_json_str_or(p, "mode", ""), "users");
    assert_int_equal(pat_json_size(pat_json_at(p, "steps")), 3);
    assert_int_equal(pat_json_int_or(p, "steps[2].percent", 0), 100);
    assert_int_equal(pat_json_int_or(p, "gates.failure_rate.min_calls", 0), 30);
    assert_int_equal(pat_json_int_or(p, "gates.bake_s", 0), 300);
    assert_int_equal(pat_json_int_or(p, "keep_ms", 0), 86400000);
    assert_int_equal(pat_json_int_or(p, "at_a_time", 0), 20);
    assert_int_equal(pat_json_int_or(p, "verify_first", 0), 3);
}

static void test_rollout_read__everybody_follows_in_the_end(void **state)
{
    PAT_AUTO_JSON users = NULL, *calls = NULL;
    const char *field;

    (void)state;
    assert_int_equal(
        reads(&users, "{" ALL ", \"steps\": [{\"count\": 3}, {\"percent\": 10}]}", &field), PAT_OK);
    assert_int_equal(pat_json_size(pat_json_at(users, "steps")), 3);
    assert_int_equal(pat_json_int_or(users, "steps[2].percent", 0), 100);
    assert_int_equal(
        reads(&calls, "{" ALL ", \"mode\": \"calls\", \"steps\": [{\"percent\": 10}]}", &field),
        PAT_OK);
    assert_int_equal(pat_json_size(pat_json_at(calls, "steps")), 1);
}

static void test_rollout_read__gates_may_be_none(void **state)
{
    PAT_AUTO_JSON null = NULL, *some = NULL;
    const char *field;

    (void)state;
    assert_int_equal(reads(&null, "{" ALL ", \"gates\": null}", &field), PAT_OK);
    assert_int_equal(pat_json_int_or(null, "gates.bake_s", -1), 0);
    assert_null(pat_json_at(null, "gates.failure_rate"));
    assert_int_equal(reads(&some,
                           "{" ALL ", \"gates\": {\"answer_ms\": {\"margin\": 500}, "
                           "\"failure_rate\": null, \"bake_s\": 9}}",
                           &field),
                     PAT_OK);
    assert_int_equal(pat_json_int_or(some, "gates.answer_ms.min_calls", 0), 30);
    assert_null(pat_json_at(some, "gates.failure_rate"));
    assert_int_equal(pat_json_int_or(some, "gates.bake_s", 0), 9);
}

static void test_rollout_read__names_what_is_wrong(void **state)
{
    static const struct {
        const char *body, *field;
    } table[] = {
        { "{}", "to_stack" },
        { "{\"to_stack\": \"vapi\"}", "to_stack" },
        { "{\"to_stack\": \"livekit\"}", "cohort" },
        { "{\"to_stack\": \"livekit\", \"cohort\": {\"user_ids\": [], \"filter\": {}}}", "cohort" },
        { "{\"to_stack\": \"livekit\", \"cohort\": {\"user_ids\": []}}", "cohort.user_ids" },
        { "{\"to_stack\": \"livekit\", \"cohort\": {\"user_ids\": [\"x\"]}}", "cohort.user_ids" },
        { "{\"to_stack\": \"livekit\", \"cohort\": {\"filter\": {\"plan\": 1}}}", "cohort.filter" },
        { "{\"to_stack\": \"livekit\", \"cohort\": {\"filter\": {\"stack\": \"x\"}}}",
          "cohort.filter.stack" },
        { "{\"to_stack\": \"livekit\", \"cohort\": {\"filter\": {\"limit\": 0}}}",
          "cohort.filter.limit" },
        { "{" ALL ", \"mode\": \"x\"}", "mode" },
        { "{" ALL ", \"mode\": 1}", "mode" },
        { "{" ALL ", \"hold\": \"true\"}", "hold" },
        { "{" ALL ", \"retire\": true}", "retire" },
        { "{" ALL ", \"dry_run\": true}", "dry_run" },
        { "{" ALL ", \"steps\": []}", "steps" },
        { "{" ALL ", \"steps\": [5]}", "steps" },
        { "{" ALL ", \"steps\": [{\"percent\": 5}, {\"percent\": 5}]}", "steps" },
        { "{" ALL ", \"steps\": [{\"percent\": 5, \"count\": 5}]}", "steps" },
        { "{" ALL ", \"steps\": [{\"percent\": 101}]}", "steps" },
        { "{" ALL ", \"mode\": \"calls\", \"steps\": [{\"count\": 5}]}", "steps" },
        { "{" ALL ", \"gates\": []}", "gates" },
        { "{" ALL ", \"gates\": {\"mood\": {}}}", "gates" },
        { "{" ALL ", \"gates\": {\"failure_rate\": {\"margin\": 5}}}", "gates" },
        { "{" ALL ", \"gates\": {\"failure_rate\": {\"max\": 0.1}}}", "gates" },
        { "{" ALL ", \"gates\": {\"failure_rate\": {\"min_calls\": 1}}}", "gates" },
        { "{" ALL ", \"gates\": {\"bake_s\": -1}}", "gates.bake_s" },
        { "{" ALL ", \"at_a_time\": 0}", "at_a_time" },
        { "{" ALL ", \"at_a_time\": \"many\"}", "at_a_time" },
        { "{" ALL ", \"verify\": {\"first\": -1}}", "verify.first" },
        { "{" ALL ", \"retire\": \"burn\"}", "retire" },
        { "{" ALL ", \"keep_s\": 99999999}", "keep_s" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pat_json *p = NULL;
        const char *field = "";

        if (reads(&p, table[i].body, &field) != PAT_EINVAL || strcmp(field, table[i].field) != 0)
            fail_msg("%s: %s", table[i].body, field);
        assert_null(p);
    }
}

static void test_rollout_read__takes_a_list(void **state)
{
    PAT_AUTO_JSON p = NULL;
    const char *field;

    (void)state;
    assert_int_equal(reads(&p,
                           "{\"to_stack\": \"retell\", \"cohort\": {\"user_ids\": [\"" ID
                           "\", \"0189AAAA-0000-7000-8000-00000000000F\"]}, "
                           "\"retire\": \"delete\", \"hold\": true}",
                           &field),
                     PAT_OK);
    assert_int_equal(pat_json_size(pat_json_at(p, "cohort.user_ids")), 2);
    assert_string_equal(pat_json_str_or(p, "cohort.user_ids[1]", ""),
                        "0189aaaa-0000-7000-8000-00000000000f");
    assert_int_equal(pat_json_int_or(p, "keep_ms", 1), 0);
    assert_true(pat_json_bool_or(p, "hold", false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rollout_read__completes_what_is_not_said),
        cmocka_unit_test(test_rollout_read__everybody_follows_in_the_end),
        cmocka_unit_test(test_rollout_read__gates_may_be_none),
        cmocka_unit_test(test_rollout_read__names_what_is_wrong),
        cmocka_unit_test(test_rollout_read__takes_a_list),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
