/* call_trouble_test.c - whole chains of providers are gone, and the line is never dead. */
#include "test/rig.h"

#include <string.h>

static void say(const char *text)
{
    fake_speak(10, true);
    fake_heard(text, true, true);
    fake_speak(10, false);
}

static int runs_before;

static bool model_asked(struct rig *r)
{
    (void)r;
    return fake.llm_runs > runs_before && fake.llm;
}

/* And the model is at work on the answer. */
static void ask(struct rig *r, const char *text)
{
    runs_before = fake.llm_runs;
    say(text);
    turn_until(r, model_asked, 5000);
}

static bool has_message(struct rig *r)
{
    (void)r;
    return fake_event("call.voicemail") != NULL;
}

static void nobody_thinks(struct rig *r)
{
    greeted(r);
    fake.ms_per_char = 2;
    for (int i = 0; i < 2; i++) {
        ask(r, "what time is it");
        fake_model_done(PAT_EUPSTREAM);
        turn_until(r, is_listening, 4000);
    }
    assert_non_null(strstr(fake.tts_said, "didn't get that"));
    assert_non_null(strstr(fake.tts_said, "leave a message"));
}

static void test_trouble__without_a_model_a_message_is_taken(void **state)
{
    struct rig *r = *state;
    int runs;

    nobody_thinks(r);
    runs = fake.llm_runs;
    say("this is bob please call me");
    turn_until(r, has_message, 8000);
    assert_non_null(strstr(fake_event("call.voicemail"), "this is bob please call me"));
    turn_until(r, is_over, 8000);
    assert_int_equal(fake.llm_runs, runs); /* nobody is asked in vain */
    assert_non_null(strstr(fake.tts_said, "has been saved. Goodbye"));
    assert_int_equal(fake.room_deleted, 1);
}

static void test_trouble__a_model_that_is_back_is_forgiven(void **state)
{
    struct rig *r = *state;

    greeted(r);
    fake.ms_per_char = 2;
    for (int i = 0; i < 3; i++) {
        ask(r, "what time is it");
        fake_model_done(PAT_EUPSTREAM);
        turn_until(r, is_listening, 4000);
        ask(r, "what time is it");
        fake_model("It is noon.");
        fake_model_done(PAT_OK);
        turn_until(r, is_speaking, 4000);
        turn_until(r, is_listening, 4000);
    }
    assert_null(strstr(fake.tts_said, "leave a message"));
}

static void test_trouble__every_failure_is_told(void **state)
{
    struct rig *r = *state;
    const struct provider_chain *c = providers_of(r->env.providers, PROVIDER_LLM);
    const struct provider_failure f = {
        .by = c->at[0], .model = "m", .fault = FAULT_RATE, .detail = "slow down"
    };

    greeted(r);
    ask(r, "what time is it");
    fake.llm->failed(&f, fake.llm_arg);
    assert_non_null(strstr(fake_event("call.provider_failed"), "\"fault\":\"rate\""));
    assert_non_null(strstr(fake_event("call.provider_failed"), "\"next\":null"));
}

static void test_trouble__without_ears_the_caller_hears_why_it_ends(void **state)
{
    struct rig *r = *state;

    greeted(r);
    fake.ms_per_char = 2;
    fake.stt->failed(PAT_EAUTH, false, "HTTP 401", fake.stt_arg);
    turn_until(r, is_over, 8000);
    assert_non_null(strstr(fake.tts_said, "can't take your call"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_trouble__without_a_model_a_message_is_taken),
        CALL_TEST(test_trouble__a_model_that_is_back_is_forgiven),
        CALL_TEST(test_trouble__every_failure_is_told),
        CALL_TEST(test_trouble__without_ears_the_caller_hears_why_it_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
