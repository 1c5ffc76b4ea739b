/* tools_test.c - what settings become, what is let through, and what others may see of it. */
#include "test/cmocka.h"

#include "test/alloc.h"
#include "tools.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1795444200000 /* Monday, 2026-11-23 15:30 in Berlin */

static const char settings_text[] =
    "{\"transfer_numbers\":["
    "{\"id\":\"11111111-1111-4111-8111-111111111111\",\"label\":\"Sales\","
    "\"phone_number\":\"5550100077\",\"is_default\":true,\"has_passcode\":false},"
    "{\"id\":\"22222222-2222-4222-8222-222222222222\",\"label\":\"Boss\","
    "\"phone_number\":\"+4930123456\",\"is_default\":false,\"has_passcode\":true},"
    "{\"id\":\"33333333-3333-4333-8333-333333333333\",\"label\":\"Himself\","
    "\"phone_number\":\"+15550109999\"},"
    "{\"id\":\"44444444-4444-4444-8444-444444444444\",\"label\":\"Loop\","
    "\"phone_number\":\"+15550100002\"},"
    "{\"label\":\"Far away\",\"phone_number\":\"+8820001234\"},"
    "{\"label\":\"sales\",\"phone_number\":\"+15550100078\"},"
    "{\"label\":\"Bad \\\"quote\",\"phone_number\":\"+15550100078\"},"
    "{\"label\":\"No number\",\"phone_number\":\"call me\"},7,null],"
    "\"transfer_preferences\":{\"transfer_on_request\":true,\"business_hours_only\":true,"
    "\"quiet_hours\":{\"start\":\"22:00\",\"end\":\"08:00\"}},"
    "\"extra\":{\"schedule_timezone\":\"Europe/Berlin\",\"functions\":{\"send_dtmf\":true}},"
    "\"user_tools\":["
    "{\"id\":\"55555555-5555-4555-8555-555555555555\",\"name\":\"order_status\",\"description\":"
    "\"Looks an order up.\",\"timeout_ms\":99,\"filler\":\"Let me look.\",\"parameters\":{"
    "\"type\":\"object\",\"required\":[\"order\"],\"properties\":{\"order\":{\"type\":\"integer\"}}"
    "}},"
    "{\"id\":\"66666666-6666-4666-8666-666666666666\",\"name\":\"end_call\",\"parameters\":{"
    "\"type\":\"object\"}},"
    "{\"id\":\"77777777-7777-4777-8777-777777777777\",\"name\":\"bad schema\",\"parameters\":{"
    "\"type\":\"object\"}},"
    "{\"id\":\"88888888-8888-4888-8888-888888888888\",\"name\":\"regex\",\"parameters\":{"
    "\"type\":\"object\",\"properties\":{\"a\":{\"pattern\":\".*\"}}}}]}";

static struct pat_json *parse(const char *text)
{
    struct pat_json *j = NULL;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    return j;
}

static int make(struct pat_tools **out, const char *text)
{
    struct pat_json *s = NULL;
    struct pat_tools_opts o = { .caller = "+15550109999",
                                .called = "+15550100002",
                                .countries = "+1,+49",
                                .time_zone = "America/New_York" };
    int err = pat_json_parse(&s, text, strlen(text), NULL);

    o.settings = s;
    if (!err)
        err = pat_tools_new(out, &o);
    pat_json_free(s);
    return err;
}

static int set_up(void **state)
{
    struct pat_tools *t = NULL;

    assert_int_equal(make(&t, settings_text), PAT_OK);
    *state = t;
    return 0;
}

static int tear_down(void **state)
{
    pat_tools_free(*state);
    return 0;
}

static bool offers(const struct pat_tools *t, const char *name)
{
    PAT_JSON_EACH(d, pat_tools_openai(t))
    if (strcmp(pat_json_str_or(d, "function.name", ""), name) == 0)
        return true;
    return false;
}

static void test_offers__what_the_settings_allow_and_no_more(void **state)
{
    const struct pat_tools *t = *state;
    struct pat_tools *bare;

    assert_int_equal(pat_json_size(pat_tools_openai(t)), 6);
    assert_true(offers(t, "transfer_call"));
    assert_true(offers(t, "take_message"));
    assert_true(offers(t, "request_callback"));
    assert_true(offers(t, "end_call"));
    assert_true(offers(t, "send_dtmf"));
    assert_true(offers(t, "order_status"));

    assert_int_equal(make(&bare, "{}"), PAT_OK);
    assert_int_equal(pat_json_size(pat_tools_openai(bare)), 3);
    assert_false(offers(bare, "transfer_call"));
    assert_false(offers(bare, "send_dtmf"));
    assert_string_equal(pat_tools_zone(bare), "America/New_York");
    pat_tools_free(bare);

    assert_int_equal(make(&bare, "{\"extra\":{\"functions\":{\"end_call\":{\"enabled\":false},"
                                 "\"take_message\":false}},\"transfer_numbers\":\"x\","
                                 "\"user_tools\":{\"a\":1}}"),
                     PAT_OK);
    assert_int_equal(pat_json_size(pat_tools_openai(bare)), 1);
    pat_tools_free(bare);
}

static void test_offers__show_no_number_and_no_passcode(void **state)
{
    PAT_AUTO_STR text = pat_json_print(pat_tools_openai(*state));
    struct pat_buf b;

    assert_non_null(text);
    assert_null(strstr(text, "0100077"));
    assert_null(strstr(text, "123456"));
    pat_buf_init(&b, 1 << 16);
    assert_int_equal(pat_tools_prompt(*state, NOW, &b), PAT_OK);
    assert_null(strstr(b.data, "0100077"));
    assert_null(strstr(b.data, "123456"));
    assert_non_null(strstr(b.data, "\"Boss\" (only with the passcode"));
    assert_non_null(strstr(b.data, "Europe/Berlin; when the call began it was Monday, 2026-11-23 "
                                   "15:30"));
    pat_buf_fini(&b);
}

static void test_take__lets_only_what_fits_through(void **state)
{
    static const struct {
        const char *name, *arguments;
        int err;
    } rows[] = {
        { "transfer_call", "{}", PAT_OK },
        { "transfer_call", "", PAT_OK },
        { "transfer_call", "{\"to\":\"Sales\",\"briefing\":\"Ada calls\"}", PAT_OK },
        { "transfer_call", "{\"to\":\"Boss\",\"passcode\":\"four two\"}", PAT_OK },
        { "transfer_call", "{\"to\":\"+15550123456\"}", PAT_EINVAL },
        { "transfer_call", "{\"to\":\"Sales\",\"number\":\"+15550123456\"}", PAT_EINVAL },
        { "transfer_call", "{\"to\":[\"Sales\"]}", PAT_EINVAL },
        { "transfer_call", "[]", PAT_EINVAL },
        { "transfer_call", "{\"to\":", PAT_EINVAL },
        { "take_message", "{\"message\":\"hi\"}", PAT_OK },
        { "take_message", "{\"message\":null}", PAT_EINVAL },
        { "request_callback", "{\"when\":\"2026-11-24T09:00\"}", PAT_OK },
        { "request_callback", "{}", PAT_EINVAL },
        { "end_call", "{\"reason\":\"done\"}", PAT_OK },
        { "send_dtmf", "{\"digits\":\"12#\"}", PAT_OK },
        { "send_dtmf", "{\"digits\":12}", PAT_EINVAL },
        { "order_status", "{\"order\":7}", PAT_OK },
        { "order_status", "{\"order\":\"7; drop table\"}", PAT_EINVAL },
        { "webhook", "{}", PAT_ENOENT },
        { "regex", "{}", PAT_ENOENT },
        { "delete_everything", "{}", PAT_ENOENT },
        { "", "{}", PAT_ENOENT },
    };

    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        const struct pat_tool *tool = NULL;
        struct pat_json *args = NULL;
        struct pat_json_err err;
        int rc = pat_tools_take(*state, rows[i].name, rows[i].arguments, &tool, &args, &err);

        if (rc != rows[i].err)
            fail_msg("%s(%s): %d", rows[i].name, rows[i].arguments, rc);
        if (rc)
            assert_true(*err.what && !args);
        else
            assert_string_equal(tool->name, rows[i].name);
        pat_json_free(args);
    }
}

static void test_take__knows_the_users_own(void **state)
{
    const struct pat_tool *tool;
    struct pat_json *args;

    assert_int_equal(pat_tools_take(*state, "order_status", "{\"order\":7}", &tool, &args, NULL),
                     PAT_OK);
    assert_int_equal(tool->kind, PAT_TOOL_WEBHOOK);
    assert_string_equal(tool->id, "55555555-5555-4555-8555-555555555555");
    assert_string_equal(tool->filler, "Let me look.");
    assert_int_equal(tool->timeout_ms, 500);
    pat_json_free(args);
}

static void test_target__is_found_by_label_and_guarded(void **state)
{
    static const struct {
        const char *label;
        int err;
        const char *number;
    } rows[] = {
        { "Sales", PAT_OK, "+15550100077" },   { "sALES", PAT_OK, "+15550100077" },
        { NULL, PAT_OK, "+15550100077" },      { "", PAT_OK, "+15550100077" },
        { "Boss", PAT_OK, "+4930123456" },     { "Himself", PAT_EPERM, "+15550109999" },
        { "Loop", PAT_EPERM, "+15550100002" }, { "Far away", PAT_EPERM, "+8820001234" },
        { "No number", PAT_ENOENT, NULL },     { "Bad \"quote", PAT_ENOENT, NULL },
        { "+15550100077", PAT_ENOENT, NULL },
    };

    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        const struct pat_target *to = NULL;

        assert_int_equal(pat_tools_target(*state, rows[i].label, &to), rows[i].err);
        if (rows[i].number)
            assert_string_equal(to->number, rows[i].number);
    }
    assert_int_equal(pat_tools_targets(*state), 5);
}

static void test_transfer__without_the_wish_needs_a_passcode(void **state)
{
    struct pat_tools *t;
    const struct pat_target *to;

    (void)state;
    assert_int_equal(make(&t, "{\"transfer_preferences\":{\"transfer_on_request\":false},"
                              "\"transfer_numbers\":[{\"label\":\"a\",\"phone_number\":"
                              "\"+15550100077\"},{\"label\":\"b\",\"phone_number\":"
                              "\"+15550100078\",\"has_passcode\":true}]}"),
                     PAT_OK);
    assert_int_equal(pat_tools_target(t, "a", &to), PAT_ENOENT);
    assert_int_equal(pat_tools_target(t, "b", &to), PAT_OK);
    pat_tools_free(t);
}

static void test_transfer__is_warm_when_the_user_or_the_model_wants_it(void **state)
{
    static const struct {
        const char *settings, *args;
        int err;
        bool warm;
    } table[] = {
        { "{}", "{}", PAT_OK, false },
        { "{}", "{\"mode\":\"warm\"}", PAT_EINVAL, false },
        { "{\"mode\":\"cold\"}", "{}", PAT_OK, false },
        { "{\"mode\":\"warm\"}", "{}", PAT_OK, true },
        { "{\"mode\":\"choose\"}", "{}", PAT_OK, false },
        { "{\"mode\":\"choose\"}", "{\"mode\":\"cold\"}", PAT_OK, false },
        { "{\"mode\":\"choose\"}", "{\"mode\":\"warm\"}", PAT_OK, true },
        { "{\"mode\":\"choose\"}", "{\"mode\":\"hot\"}", PAT_EINVAL, false },
        { "{\"mode\":7}", "{}", PAT_OK, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct pat_tool *tool;
        PAT_AUTO_JSON args = NULL;
        struct pat_tools *t;
        char text[300];

        (void)snprintf(text, sizeof text,
                       "{\"transfer_preferences\":%s,\"transfer_numbers\":[{\"label\":\"a\","
                       "\"phone_number\":\"+15550100005\"}]}",
                       table[i].settings);
        assert_int_equal(make(&t, text), PAT_OK);
        assert_int_equal(pat_tools_take(t, "transfer_call", table[i].args, &tool, &args, NULL),
                         table[i].err);
        if (!table[i].err)
            assert_int_equal(pat_tools_warm(t, args), table[i].warm);
        pat_tools_free(t);
    }
}

static void test_transfer__keeps_quiet_hours(void **state)
{
    const int64_t hour = 3600 * 1000;

    assert_true(pat_tools_may_transfer(*state, NOW));                        /* 15:30 */
    assert_true(pat_tools_may_transfer(*state, NOW + 6 * hour));             /* 21:30 */
    assert_false(pat_tools_may_transfer(*state, NOW + 6 * hour + hour / 2)); /* 22:00 */
    assert_false(pat_tools_may_transfer(*state, NOW + 10 * hour));
    assert_false(pat_tools_may_transfer(*state, NOW + 16 * hour)); /* 7:30 */
    assert_true(pat_tools_may_transfer(*state, NOW + 16 * hour + hour / 2));
}

static void test_callback__is_in_the_users_time(void **state)
{
    static const struct {
        const char *when;
        int err;
        int64_t after_min;
    } rows[] = {
        { "2026-11-23T16:30", PAT_OK, 60 },     { "2026-11-24T15:30:00", PAT_OK, 24 * 60 },
        { "2026-11-23T16:30Z", PAT_OK, 120 },   { "2026-11-23T16:30-05:00", PAT_OK, 7 * 60 },
        { "2026-11-23T15:30", PAT_EINVAL, 0 },  { "2025-11-23T15:30", PAT_EINVAL, 0 },
        { "2027-11-23T15:30", PAT_EINVAL, 0 },  { "2026-11-31T15:30", PAT_EINVAL, 0 },
        { "tomorrow at three", PAT_EINVAL, 0 }, { "", PAT_EINVAL, 0 },
    };
    char what[160], local[PAT_LOCAL_LEN + 1];

    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        int64_t at = 0;

        assert_int_equal(pat_tools_callback(*state, rows[i].when, NOW, &at, what), rows[i].err);
        if (!rows[i].err)
            assert_int_equal(at - NOW, rows[i].after_min * 60000);
        else
            assert_true(*what);
    }
    pat_tools_local(*state, NOW, local);
    assert_string_equal(local, "2026-11-23T15:30");
}

static void test_reach__takes_the_callers_number_or_a_good_one(void **state)
{
    struct pat_json *s = parse("{}");
    struct pat_tools_opts withheld = { .settings = s };
    struct pat_tools *t;
    char out[PAT_PHONE_LEN + 1];

    assert_int_equal(pat_tools_reach(*state, NULL, out), PAT_OK);
    assert_string_equal(out, "+15550109999");
    assert_int_equal(pat_tools_reach(*state, "555 010 0055", out), PAT_OK);
    assert_string_equal(out, "+15550100055");
    assert_int_equal(pat_tools_reach(*state, "+8820001234", out), PAT_EPERM);
    assert_int_equal(pat_tools_reach(*state, "+15550100002", out), PAT_EPERM);
    assert_int_equal(pat_tools_reach(*state, "my number", out), PAT_EINVAL);
    assert_int_equal(pat_tools_new(&t, &withheld), PAT_OK);
    assert_int_equal(pat_tools_reach(t, NULL, out), PAT_ENOENT);
    pat_tools_free(t);
    pat_json_free(s);
}

static void test_redacted__keeps_secrets_and_numbers_back(void **state)
{
    PAT_AUTO_JSON args = parse(
        "{\"to\":\"Boss\",\"passcode\":\"four two one seven\",\"digits\":\"1234#\","
        "\"text\":\"call +1 (555) 010-0001 in room 12 at 15:30\",\"cardNumber\":4111111111111111,"
        "\"n\":5550100001,\"small\":7,\"deep\":{\"Pin\":[1,2],\"ok\":true,\"list\":[\"5550100001\"]}"
        "}");
    PAT_AUTO_JSON shown = pat_tools_redacted(args);
    PAT_AUTO_STR text = pat_json_print(shown);

    (void)state;
    assert_string_equal(
        text, "{\"to\":\"Boss\",\"passcode\":\"[redacted]\",\"digits\":\"[5 digits]\","
              "\"text\":\"call +* (***) ***-0001 in room 12 at 15:30\",\"cardNumber\":"
              "\"[redacted]\",\"n\":\"[redacted]\",\"small\":7,\"deep\":{\"Pin\":\"[redacted]\","
              "\"ok\":true,\"list\":[\"******0001\"]}}");
}

static void test_redacted__cuts_what_is_long_between_characters(void **state)
{
    struct pat_json *args = pat_json_obj();
    struct pat_buf b;
    const char *cut;

    (void)state;
    pat_buf_init(&b, 4096);
    pat_buf_adds(&b, "x");
    for (int i = 0; i < 400; i++)
        pat_buf_adds(&b, "\xc3\xa4");
    pat_json_set_str(args, "message", b.data);
    PAT_AUTO_JSON shown = pat_tools_redacted(args);
    cut = pat_json_str_or(shown, "message", "");
    assert_true(strlen(cut) <= 303 && pat_utf8_valid(cut, strlen(cut)));
    pat_json_free(args);
    pat_buf_fini(&b);
}

static void test_retell__gets_the_same_tools(void **state)
{
    PAT_AUTO_JSON r = pat_tools_retell(*state, "https://x.example/v1/retell/tools");

    assert_int_equal(pat_json_size(r), 6);
    assert_string_equal(pat_json_str_or(r, "[0].type", ""), "custom");
    assert_string_equal(pat_json_str_or(r, "[0].url", ""),
                        "https://x.example/v1/retell/tools/transfer_call");
    assert_string_equal(pat_json_str_or(r, "[0].parameters.properties.to.enum[0]", ""), "Sales");
    assert_string_equal(pat_json_str_or(r, "[3].type", ""), "end_call");
    assert_string_equal(pat_json_str_or(r, "[5].name", ""), "order_status");
}

static int walk(void *arg)
{
    struct pat_tools *t;
    int err = make(&t, settings_text);

    (void)arg;
    if (!err)
        pat_tools_free(t);
    return err;
}

static void test_new__survives_lack_of_memory(void **state)
{
    (void)state;
    pat_test_alloc_walk(walk, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_offers__what_the_settings_allow_and_no_more),
        cmocka_unit_test(test_offers__show_no_number_and_no_passcode),
        cmocka_unit_test(test_take__lets_only_what_fits_through),
        cmocka_unit_test(test_take__knows_the_users_own),
        cmocka_unit_test(test_target__is_found_by_label_and_guarded),
        cmocka_unit_test(test_transfer__without_the_wish_needs_a_passcode),
        cmocka_unit_test(test_transfer__is_warm_when_the_user_or_the_model_wants_it),
        cmocka_unit_test(test_transfer__keeps_quiet_hours),
        cmocka_unit_test(test_callback__is_in_the_users_time),
        cmocka_unit_test(test_reach__takes_the_callers_number_or_a_good_one),
        cmocka_unit_test(test_redacted__keeps_secrets_and_numbers_back),
        cmocka_unit_test(test_redacted__cuts_what_is_long_between_characters),
        cmocka_unit_test(test_retell__gets_the_same_tools),
        cmocka_unit_test(test_new__survives_lack_of_memory),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
