/* agent_fields_test.c - each setting takes what it should, and names itself when it does not. */
#include "test/cmocka.h"

#include "agent_fields.h"

#include <stdio.h>
#include <string.h>

/* field: copied, "" for none. */
static int check(const char *text, char field[64])
{
    PAT_AUTO_JSON j = NULL;
    const char *name, *what;
    int err;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    err = agent_fields_check(j, &name, &what);
    snprintf(field, 64, "%s", name ? name : "");
    return err;
}

static void test_check__takes_what_the_columns_take(void **state)
{
    static const char *const good[] = {
        "{\"temperature\": 0}",
        "{\"temperature\": 1, \"max_tokens\": 500}",
        "{\"greeting_template\": \"\"}",
        "{\"language\": \"en-US\"}",
        "{\"language\": \"de\"}",
        "{\"language\": \"multi\"}",
        "{\"ambient_sound\": \"off\"}",
        "{\"transfer_unknown_callers\": false}",
        "{\"voice_id\": \"11labs-Kate\"}",
    };
    char field[64];

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_int_equal(check(good[i], field), PAT_OK);
}

static void test_check__names_the_field_it_refuses(void **state)
{
    static const struct {
        const char *text, *field;
    } rows[] = {
        { "{}", "" },
        { "[]", "" },
        { "3", "" },
        { "{\"temperature\": 1.01}", "temperature" },
        { "{\"temperature\": \"0.5\"}", "temperature" },
        { "{\"temperature\": null}", "temperature" },
        { "{\"max_tokens\": 150.5}", "max_tokens" },
        { "{\"max_tokens\": 49}", "max_tokens" },
        { "{\"language\": \"english\"}", "language" },
        { "{\"language\": \"en-us\"}", "language" },
        { "{\"language\": \"\"}", "language" },
        { "{\"ambient_sound\": \"\"}", "ambient_sound" },
        { "{\"ambient_sound\": \"shop\"}", "ambient_sound" },
        { "{\"ambient_sound\": \"off coffee-shop\"}", "ambient_sound" },
        { "{\"voice_id\": \"\"}", "voice_id" },
        { "{\"transfer_unknown_callers\": 1}", "transfer_unknown_callers" },
        { "{\"temperature\": 0.5, \"active_voice_stack\": \"livekit\"}", "active_voice_stack" },
        { "{\"retell_agent_id\": \"x\"}", "retell_agent_id" },
        { "{\"user_id\": \"x\"}", "user_id" },
    };
    char field[64];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(check(rows[i].text, field), PAT_EINVAL);
        assert_string_equal(field, rows[i].field);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check__takes_what_the_columns_take),
        cmocka_unit_test(test_check__names_the_field_it_refuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
