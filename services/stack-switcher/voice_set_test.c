/* voice_set_test.c - what may be set of a voice. */
#include "voices.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_voice_set__takes_what_the_vendor_takes(void **state)
{
    static const struct {
        const char *json, *field; /* NULL: fine */
    } rows[] = {
        { "{}", NULL },
        { "{\"stability\": 0, \"similarity_boost\": 1, \"style\": 0.5}", NULL },
        { "{\"speed\": 0.7}", NULL },
        { "{\"speed\": 1.2, \"use_speaker_boost\": false}", NULL },
        { "{\"speed\": 0.69}", "speed" },
        { "{\"speed\": 1.21}", "speed" },
        { "{\"stability\": 1.01}", "stability" },
        { "{\"stability\": -0.1}", "stability" },
        { "{\"stability\": \"0.5\"}", "stability" },
        { "{\"stability\": null}", "stability" },
        { "{\"use_speaker_boost\": 1}", "use_speaker_boost" },
        { "{\"voice_id\": \"x\"}", "voice_id" },
        { "[]", "settings" },
        { "3", "settings" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        PAT_AUTO_JSON j = NULL;
        const char *field, *what;

        assert_int_equal(pat_json_parse(&j, rows[i].json, strlen(rows[i].json), NULL), PAT_OK);
        assert_int_equal(voice_set_check(j, &field, &what), rows[i].field ? PAT_EINVAL : PAT_OK);
        if (rows[i].field)
            assert_string_equal(field, rows[i].field);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(
        test_voice_set__takes_what_the_vendor_takes) };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
