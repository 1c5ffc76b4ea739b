/* kept_test.c - what is kept for the worst case, in whose language, and that it is what is heard
 * and written down.
 */
#include "kept.h"

#include "test/rig.h"

#include <stdlib.h>
#include <string.h>

enum { SPANISH = 11, ENGLISH = 7 }; /* packets of phrases */

static struct phrase *tone(int packets)
{
    const uint8_t packet[] = { 0xf8, 0xff, 0xfe };
    struct phrase *p;

    assert_int_equal(phrase_new(&p), PAT_OK);
    for (int i = 0; i < packets; i++)
        assert_int_equal(phrase_add(p, packet, sizeof packet, 20), PAT_OK);
    return p;
}

static bool has_all(const struct kept *k, const char *language)
{
    for (int i = 0; i < OWN_KEPT; i++) {
        struct kept_words w = kept_get(k, (enum own_words)i, language);
        bool ours = w.phrase && strcmp(w.text, own_words((enum own_words)i, language)) == 0;

        phrase_unref(w.phrase);
        if (!ours)
            return false;
    }
    return true;
}

static bool english_made(struct rig *r)
{
    return has_all(r->env.kept, "en");
}

static bool spanish_made(struct rig *r)
{
    return has_all(r->env.kept, "es-MX");
}

static void test_kept__a_language_is_made_when_it_is_wanted_and_once(void **state)
{
    struct rig *r = *state;

    fake.ms_per_char = 1;
    kept_want(r->env.kept, "en");
    kept_want(r->env.kept, "es-ES");
    kept_want(r->env.kept, "multi"); /* English, which is being made */
    assert_false(kept_has(r->env.kept, OWN_MOMENT, "es"));
    turn_until(r, english_made, 5000);
    turn_until(r, spanish_made, 5000);
    assert_non_null(strstr(fake.tts_said, own_words(OWN_BACK, "es")));
    assert_null(strstr(fake.tts_said, own_words(OWN_BACK, "de")));
    assert_int_equal(fake.tts_texts, 2 * OWN_KEPT);
    kept_want(r->env.kept, "es-MX");
    for (int i = 0; i < 20; i++)
        pat_loop_run_once(r->loop, 5);
    assert_int_equal(fake.tts_texts, 2 * OWN_KEPT);
}

static void test_kept__is_english_until_the_language_is_there(void **state)
{
    struct rig *r = *state;
    struct kept_words w;

    kept_put(r->env.kept, OWN_SORRY, "en", tone(ENGLISH));
    w = kept_get(r->env.kept, OWN_SORRY, "es");
    assert_int_equal(phrase_packets(w.phrase), ENGLISH);
    assert_string_equal(w.text, own_words(OWN_SORRY, "en"));
    phrase_unref(w.phrase);
    kept_put(r->env.kept, OWN_SORRY, "es", tone(SPANISH));
    w = kept_get(r->env.kept, OWN_SORRY, "es-AR");
    assert_int_equal(phrase_packets(w.phrase), SPANISH);
    assert_string_equal(w.text, own_words(OWN_SORRY, "es"));
    phrase_unref(w.phrase);
    assert_null(kept_get(r->env.kept, OWN_BACK, "es").phrase);
}

static void test_kept__a_voice_that_fails_makes_nothing(void **state)
{
    struct rig *r = *state;

    fake.tts_fails = true;
    kept_want(r->env.kept, "en");
    kept_want(r->env.kept, "es");
    for (int i = 0; i < 400 && fake.tts_texts < 2 * OWN_KEPT; i++)
        pat_loop_run_once(r->loop, 5);
    assert_int_equal(fake.tts_texts, 2 * OWN_KEPT);
    assert_false(kept_has(r->env.kept, OWN_SORRY, "es"));
}

static bool model_asked(struct rig *r)
{
    (void)r;
    return fake.llm != NULL;
}

/* The voice is gone: what is heard is what is kept, and that is what the record says. */
static void fail_in_spanish(struct rig *r, int packets, const char *said)
{
    struct context *ctx = context("Hola.");

    free(ctx->language);
    ctx->language = strdup("es-ES");
    begin(r, ctx);
    come_in(r);
    turn_until(r, is_answered, 1000);
    turn_until(r, is_listening, 1000);
    fake.tts_fails = true;
    fake.voiced = 0;
    fake_speak(20, true);
    fake_heard("buenos días", false, false);
    fake_speak(8, false);
    fake_heard("buenos días", true, true);
    turn_until(r, model_asked, 3000);
    fake_model("Son las tres en punto.");
    fake_model_done(PAT_OK);
    turn_until(r, is_speaking, 3000);
    turn_until(r, is_listening, 3000);
    assert_int_equal(fake.voiced, packets);
    assert_non_null(strstr(fake_event("turn.agent"), said));
}

static void test_kept__is_heard_in_the_calls_language(void **state)
{
    struct rig *r = *state;

    kept_put(r->env.kept, OWN_SORRY, "en", tone(ENGLISH));
    kept_put(r->env.kept, OWN_SORRY, "es", tone(SPANISH));
    fail_in_spanish(r, SPANISH, "Lo siento, no le he entendido");
}

static void test_kept__in_english_is_told_as_english(void **state)
{
    struct rig *r = *state;

    for (int i = 0; i < OWN_KEPT; i++)
        kept_put(r->env.kept, (enum own_words)i, "en", tone(ENGLISH));
    fail_in_spanish(r, ENGLISH, "didn't get that");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_kept__a_language_is_made_when_it_is_wanted_and_once),
        CALL_TEST(test_kept__is_english_until_the_language_is_there),
        CALL_TEST(test_kept__a_voice_that_fails_makes_nothing),
        CALL_TEST(test_kept__is_heard_in_the_calls_language),
        CALL_TEST(test_kept__in_english_is_told_as_english),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
