/* voice_test.c - every stored shape of a voice id speaks with some voice. */
#include "voice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SARAH "EXAVITQu4vr4xnSDxMaL"

static void test_voice__resolves_every_stored_shape(void **state)
{
    static const struct {
        const char *stored;
        enum voice_provider provider;
        const char *id;
        bool substitute;
        const char *why;
    } rows[] = {
        { "11labs-Kate", VOICE_ELEVENLABS, SARAH, true, "a preset without a public id" },
        { "11labs-Brian", VOICE_ELEVENLABS, "nPczCjzI2devNBz1zQrb", false, "a public preset" },
        { "11labs-victoria", VOICE_ELEVENLABS, "Xb7hH8MSUJpSbSDYk0k2", true, "lower case" },
        { "11labs-Noah", VOICE_ELEVENLABS, "IKne3meq5aSn9XLyUdCD", true, "keeps the accent" },
        { "11labs-9BWtsMINqrJLrRacOk9x", VOICE_ELEVENLABS, "9BWtsMINqrJLrRacOk9x", false, "clone" },
        { "9BWtsMINqrJLrRacOk9x", VOICE_ELEVENLABS, "9BWtsMINqrJLrRacOk9x", false, "bare id" },
        { "abcdefghij12345", VOICE_ELEVENLABS, "abcdefghij12345", false, "15: shortest id" },
        { "abcdefghij1234", VOICE_ELEVENLABS, SARAH, true, "14: too short" },
        { "abcdefghij12345abcdefghij", VOICE_ELEVENLABS, "abcdefghij12345abcdefghij", false,
          "25: longest id" },
        { "abcdefghij12345abcdefghijk", VOICE_ELEVENLABS, SARAH, true, "26: too long" },
        { "openai-nova", VOICE_OPENAI, "nova", false, "an OpenAI preset" },
        { "openai-Kate", VOICE_ELEVENLABS, SARAH, true, "not an OpenAI voice" },
        { "kate", VOICE_ELEVENLABS, SARAH, true, "bare legacy name" },
        { "alloy", VOICE_OPENAI, "alloy", false, "bare legacy OpenAI name" },
        { "'alloy'", VOICE_OPENAI, "alloy", false, "with the quotes of SQL" },
        { " shimmer\n", VOICE_OPENAI, "shimmer", false, "blanks around" },
        { "21m00Tcm4TlvDq8ikWAM", VOICE_ELEVENLABS, SARAH, true, "Rachel is gone" },
        { "11labs-21m00Tcm4TlvDq8ikWAM", VOICE_ELEVENLABS, SARAH, true, "Rachel with prefix" },
        { "11labs-nobody", VOICE_ELEVENLABS, SARAH, true, "unknown name" },
        { "11labs-", VOICE_ELEVENLABS, SARAH, true, "prefix alone" },
        { "../../v1/user?x=", VOICE_ELEVENLABS, SARAH, true, "not an id: would bend the URL" },
        { "", VOICE_ELEVENLABS, SARAH, true, "empty" },
        { NULL, VOICE_ELEVENLABS, SARAH, true, "not set" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct voice v = voice_resolve(rows[i].stored);

        print_message("%s\n", rows[i].why);
        assert_int_equal(v.provider, rows[i].provider);
        assert_string_equal(v.id, rows[i].id);
        assert_int_equal(v.substitute, rows[i].substitute);
        assert_true(v.stability < 0 && v.speaker_boost == -1);
    }
}

static void test_voice__knows_all_presets_by_name(void **state)
{
    static const char *const presets[] = {
        "Adrian",  "Amy",     "Anna",      "Anthony",  "Billy",   "Bing",  "Brian",  "Chloe",
        "Dorothy", "Ethan",   "Gilfoy",    "Grace",    "Jason",   "Jenny", "Joe",    "John",
        "Julia",   "Kate",    "Lily",      "Lucas",    "Marissa", "Max",   "Noah",   "Paul",
        "Samad",   "Steve",   "Susan",     "victoria", "Zuri",    "Alice", "Aria",   "Bill",
        "Callum",  "Charlie", "Charlotte", "Chris",    "Daniel",  "Eric",  "George", "Jessica",
        "Laura",   "Liam",    "Matilda",   "River",    "Roger",   "Sarah", "Will",
    };
    static const char *const not_sarah[] = { "Amy", "Noah", "Joe", "Gilfoy", "Zuri", "Bing" };
    char stored[64];

    (void)state;
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        struct voice v;

        snprintf(stored, sizeof stored, "11labs-%s", presets[i]);
        v = voice_resolve(stored);
        assert_int_equal(v.provider, VOICE_ELEVENLABS);
        assert_int_equal(strlen(v.id), 20);
    }
    for (size_t i = 0; i < sizeof not_sarah / sizeof not_sarah[0]; i++) {
        snprintf(stored, sizeof stored, "11labs-%s", not_sarah[i]);
        assert_string_not_equal(voice_resolve(stored).id, SARAH);
    }
}

static void test_voice__knows_the_openai_presets(void **state)
{
    static const char *const presets[] = { "alloy", "echo", "fable", "nova", "onyx", "shimmer" };
    char stored[64];

    (void)state;
    for (size_t i = 0; i < sizeof presets / sizeof presets[0]; i++) {
        snprintf(stored, sizeof stored, "openai-%s", presets[i]);
        assert_int_equal(voice_resolve(stored).provider, VOICE_OPENAI);
        assert_string_equal(voice_resolve(stored).id, presets[i]);
        assert_false(voice_resolve(stored).substitute);
    }
}

static void test_voice__has_a_neighbour_at_each_provider(void **state)
{
    static const struct {
        const char *stored;
        enum voice_provider at;
        const char *id;
    } rows[] = {
        { "11labs-Brian", VOICE_OPENAI, "onyx" },
        { "11labs-Brian", VOICE_ELEVENLABS, "CwhRBWXzGAHq8TQ4Fs17" },
        { "11labs-Roger", VOICE_ELEVENLABS, "nPczCjzI2devNBz1zQrb" },
        { "11labs-Sarah", VOICE_OPENAI, "shimmer" },
        { "11labs-Sarah", VOICE_ELEVENLABS, "XrExE9yKIg1WjnnlVkGX" },
        { "openai-nova", VOICE_ELEVENLABS, SARAH },
        { "openai-shimmer", VOICE_OPENAI, "nova" },
    };
    struct voice clone = voice_resolve("abcdefghij0123456789"), out;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct voice v = voice_resolve(rows[i].stored);

        v.stability = 0.25;
        assert_true(voice_near(&v, rows[i].at, &out));
        assert_int_equal(out.provider, rows[i].at);
        assert_string_equal(out.id, rows[i].id);
        assert_true(out.substitute && out.stability < 0.3);
    }
    assert_false(voice_near(&clone, VOICE_OPENAI, &out)); /* nobody knows how it sounds */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_voice__resolves_every_stored_shape),
        cmocka_unit_test(test_voice__knows_all_presets_by_name),
        cmocka_unit_test(test_voice__knows_the_openai_presets),
        cmocka_unit_test(test_voice__has_a_neighbour_at_each_provider),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
