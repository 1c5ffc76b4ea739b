/* copy_choice_test.c - which of a call's recordings is kept, and whether one is waited for. */
#include "copy.h"

#include "test/cmocka.h"

#include <string.h>

#define MONO   "\"recording_url\":\"https://r.example/mono.wav\""
#define STEREO "\"recording_multi_channel_url\":\"https://r.example/stereo.wav\""
#define CLEAN  "\"scrubbed_recording_url\":\"https://r.example/clean.wav\""
#define NO_PII "{\"extra\":{\"pii_storage\":\"redacted\"}}"

static const struct {
    const char *whose;
    bool both_sides, refused, agreed;
    const char *settings, *urls;
    const char *name; /* NULL: none */
    bool later;
} table[] = {
    { "all", true, false, false, "{}", "{" MONO "," STEREO "}", "recording_multi_channel_url", 0 },
    { "all", false, false, false, "{}", "{" MONO "," STEREO "}", "recording_url", 0 },
    { "all", true, false, false, "{}", "{" MONO "}", "recording_url", 0 },
    { "all", true, false, false, "{}", "{}", NULL, true },
    { "all", true, true, false, "{}", "{" MONO "}", NULL, false },
    { "off", true, false, true, "{}", "{" MONO "}", NULL, false },
    { "wanted", true, false, true, "{}", "{" MONO "}", "recording_url", 0 },
    { "wanted", true, false, false, "{}", "{" MONO "}", NULL, false },
    { "wanted", true, false, true, "{\"extra\":{\"recording_enabled\":false}}", "{}", NULL, false },
    { "all", true, false, false, NO_PII, "{" MONO "," STEREO "}", NULL, true },
    { "all", true, false, false, NO_PII, "{" MONO "," CLEAN "}", "scrubbed_recording_url", 0 },
    { "all", true, true, false, NO_PII, "{" MONO "}", NULL, false },
    { "all", true, false, false, "{\"extra\":{\"pii_storage\":\"disabled\"}}", "{" CLEAN "}", NULL,
      false },
};

static void test_copy_choose__waits_only_for_what_is_wanted_and_may_still_come(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct copy_choice c = { .whose = table[i].whose,
                                       .both_sides = table[i].both_sides,
                                       .refused = table[i].refused,
                                       .agreed = table[i].agreed };
        PAT_AUTO_JSON settings = NULL;
        PAT_AUTO_JSON urls = NULL;
        const char *why = NULL, *name;
        bool later = !table[i].later;

        print_message("%zu %s %s\n", i, table[i].settings, table[i].urls);
        assert_int_equal(
            pat_json_parse(&settings, table[i].settings, strlen(table[i].settings), NULL), PAT_OK);
        assert_int_equal(pat_json_parse(&urls, table[i].urls, strlen(table[i].urls), NULL), PAT_OK);
        name = copy_choose(&c, settings, urls, &why, &later);
        assert_string_equal(name ? name : "none", table[i].name ? table[i].name : "none");
        assert_int_equal(later, table[i].later);
        assert_int_equal(!name, !!why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_copy_choose__waits_only_for_what_is_wanted_and_may_still_come),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
