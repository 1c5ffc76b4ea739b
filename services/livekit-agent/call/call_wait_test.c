/* call_wait_test.c - vendors are slow, and the caller hears something all the same. */
#include "test/rig.h"

#include <string.h>

enum { KEPT = 11, MOMENT = 7 }; /* packets of the phrases kept since the start */

static struct phrase *tone(int packets)
{
    const uint8_t packet[] = { 0xf8, 0xff, 0xfe };
    struct phrase *p;

    assert_int_equal(phrase_new(&p), PAT_OK);
    for (int i = 0; i < packets; i++)
        assert_int_equal(phrase_add(p, packet, sizeof packet, 20), PAT_OK);
    return p;
}

/* A word after 0.3 s of silence, an apology 0.4 s behind it. */
static void patient(struct rig *r)
{
    r->conf.wait_ms = 300;
    r->conf.wait_more_ms = 400;
    kept_put(r->env.kept, OWN_MOMENT, "en", tone(MOMENT));
    kept_put(r->env.kept, OWN_SORRY, "en", tone(KEPT));
    kept_put(r->env.kept, OWN_HELLO, "en", tone(KEPT));
    fake.ms_per_char = 2;
}

static int runs_before;

static bool model_asked(struct rig *r)
{
    (void)r;
    return fake.llm_runs > runs_before && fake.llm;
}

static void ask(struct rig *r, const char *text)
{
    runs_before = fake.llm_runs;
    fake.voiced = 0;
    fake_speak(10, true);
    fake_heard(text, true, true);
    fake_speak(10, false);
    turn_until(r, model_asked, 5000);
}

static bool moment_heard(struct rig *r)
{
    (void)r;
    return fake.voiced >= MOMENT;
}

static bool apology_heard(struct rig *r)
{
    (void)r;
    return fake.voiced >= MOMENT + KEPT;
}

static bool kept_heard(struct rig *r)
{
    (void)r;
    return fake.voiced >= KEPT;
}

static bool is_thinking(struct rig *r)
{
    (void)r;
    return strcmp(fake.state, "thinking") == 0;
}

static void test_wait__a_mute_voice_is_one_moment_then_an_apology(void **state)
{
    struct rig *r = *state;

    patient(r);
    greeted(r);
    fake.tts_holds = true;
    ask(r, "what time is it");
    fake_model("It is three o'clock now.");
    fake_model_done(PAT_OK);
    turn_until(r, moment_heard, 8000);
    assert_true(is_thinking(r)); /* the reply is still waited for */
    turn_until(r, apology_heard, 8000);
    turn_until(r, is_listening, 8000);
    assert_int_equal(fake.voiced, MOMENT + KEPT);
    assert_non_null(strstr(fake_event("turn.agent"), "didn't get that"));
}

static void test_wait__a_reply_that_comes_is_said_behind_it(void **state)
{
    struct rig *r = *state;

    patient(r);
    r->conf.wait_more_ms = 20000;
    greeted(r);
    fake.tts_holds = true;
    ask(r, "what time is it");
    fake_model("It is three o'clock now.");
    fake_model_done(PAT_OK);
    turn_until(r, moment_heard, 8000);
    fake_voice();
    turn_until(r, is_speaking, 8000);
    turn_until(r, is_listening, 8000);
    assert_true(fake.voiced > MOMENT);
    assert_non_null(
        strstr(fake_event("turn.agent"), "One moment, please. It is three o'clock now."));
    assert_null(strstr(fake_event("turn.agent"), "didn't get that"));
}

static void test_wait__a_slow_model_is_one_moment_in_the_call_s_own_voice(void **state)
{
    struct rig *r = *state;

    patient(r);
    r->conf.wait_more_ms = 20000;
    kept_put(r->env.kept, OWN_MOMENT, "en", NULL);
    greeted(r);
    fake.ms_per_char = 10;
    ask(r, "what time is it");
    turn_until(r, moment_heard, 8000);
    assert_non_null(strstr(fake.tts_said, "One moment, please."));
    assert_true(is_thinking(r));
    fake_model("It is three o'clock now.");
    fake_model_done(PAT_OK);
    turn_until(r, is_speaking, 8000);
    turn_until(r, is_listening, 8000);
    assert_non_null(
        strstr(fake_event("turn.agent"), "One moment, please. It is three o'clock now."));
}

static void test_wait__a_slow_model_and_a_mute_voice_are_a_kept_phrase(void **state)
{
    struct rig *r = *state;

    patient(r);
    greeted(r);
    fake.tts_holds = true;
    ask(r, "what time is it");
    turn_until(r, moment_heard, 8000);
    turn_until(r, apology_heard, 12000); /* asked of the voice in vain first */
    turn_until(r, is_listening, 8000);
}

static bool monday_said(struct rig *r)
{
    (void)r;
    return strstr(fake_event("turn.agent"), "\"Monday.\"") != NULL;
}

static void test_wait__a_caller_who_goes_on_is_listened_to(void **state)
{
    struct rig *r = *state;

    patient(r);
    r->conf.wait_more_ms = 20000;
    greeted(r);
    fake.tts_holds = true;
    ask(r, "what time is it");
    turn_until(r, moment_heard, 8000);
    fake.tts_holds = false;
    ask(r, "and what day");
    fake_model("Monday.");
    fake_model_done(PAT_OK);
    turn_until(r, monday_said, 8000);
}

static void test_wait__a_greeting_that_does_not_come_is_one_moment_then_a_plain_one(void **state)
{
    struct rig *r = *state;

    patient(r);
    fake.tts_holds = true;
    begin(r, context("Hi {name}."));
    come_in(r);
    turn_until(r, is_answered, 8000);
    turn_until(r, moment_heard, 8000);
    turn_until(r, apology_heard, 12000);
    turn_until(r, is_listening, 8000);
    assert_int_equal(fake.voiced, MOMENT + KEPT);
}

static void test_wait__an_apology_that_does_not_come_is_said_as_kept(void **state)
{
    struct rig *r = *state;

    patient(r);
    greeted(r);
    ask(r, "what time is it");
    fake.tts_holds = true;
    fake_model_done(PAT_EUPSTREAM);
    turn_until(r, kept_heard, 8000);
    turn_until(r, is_listening, 8000);
    assert_int_equal(fake.voiced, KEPT);
}

static void test_wait__what_is_in_time_is_not_waited_for(void **state)
{
    struct rig *r = *state;

    patient(r);
    r->conf.wait_ms = 10000;
    greeted(r);
    ask(r, "what time is it");
    fake_model("It is three o'clock now.");
    fake_model_done(PAT_OK);
    turn_until(r, is_speaking, 8000);
    turn_until(r, is_listening, 8000);
    assert_null(strstr(fake_event("turn.agent"), "One moment"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_wait__a_mute_voice_is_one_moment_then_an_apology),
        CALL_TEST(test_wait__a_reply_that_comes_is_said_behind_it),
        CALL_TEST(test_wait__a_slow_model_is_one_moment_in_the_call_s_own_voice),
        CALL_TEST(test_wait__a_slow_model_and_a_mute_voice_are_a_kept_phrase),
        CALL_TEST(test_wait__a_caller_who_goes_on_is_listened_to),
        CALL_TEST(test_wait__a_greeting_that_does_not_come_is_one_moment_then_a_plain_one),
        CALL_TEST(test_wait__an_apology_that_does_not_come_is_said_as_kept),
        CALL_TEST(test_wait__what_is_in_time_is_not_waited_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
