/* call_test.c - whole calls against a room, recogniser, model and voice of the test's own. */
#include "test/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool has_agent_turn(struct rig *r)
{
    (void)r;
    return fake_count("turn.agent") >= 2;
}

static void test_call__greets_once_the_caller_can_hear(void **state)
{
    struct rig *r = *state;
    int64_t from;

    begin(r, context("Hi {name}."));
    fake.rtc->joined(fake.rtc_arg);
    from = pat_now_ms();
    while (pat_now_ms() < from + 100)
        pat_loop_run_once(r->loop, 10);
    assert_true(fake.packets >= 4); /* silence, so that the phone is answered */
    assert_int_equal(fake.voiced, 0);
    come_in(r);
    turn_until(r, is_answered, 1000);
    assert_in_range(int_in(fake_event("call.answered"), "greeting_ms"), 80, 290);
    assert_string_equal(fake.tts_said, "Hi Ada.;");
    turn_until(r, is_listening, 1000);
    assert_non_null(strstr(fake_event("turn.agent"), "\"heard\":\"Hi Ada.\""));
    assert_non_null(strstr(fake.texts, "lk.transcription>Hi Ada.;"));
}

static void test_call__greets_with_what_was_prepared(void **state)
{
    struct rig *r = *state;
    struct context *ctx = context("Hi {name}.");
    struct mouth *mouth;
    struct phrase *p = NULL;

    assert_int_equal(env_mouth(&mouth, &r->env, ctx), PAT_OK);
    assert_int_equal(mouth_prepare(mouth, ctx->greeting), PAT_OK);
    assert_int_equal(mouth_prepare(mouth, "another"), PAT_EAGAIN);
    for (int i = 0; i < 200 && !(p = mouth_known(mouth, "Hi Ada.")); i++)
        pat_loop_run_once(r->loop, 10);
    assert_non_null(p);
    assert_int_equal(phrase_ms(p), 80); /* 7 characters of 10 ms, in whole packets */
    phrase_unref(p);
    begin_with(r, ctx, mouth);
    come_in(r);
    turn_until(r, is_answered, 1000);
    assert_int_equal(fake.tts_texts, 1);
    turn_until(r, is_listening, 1000);
    assert_int_equal(fake.voiced, 4);
}

static void on_prepared(struct phrase *p, void *arg)
{
    *(int *)arg += p ? 1 : 100;
}

static void test_mouth__what_another_voice_spoke_is_not_kept(void **state)
{
    static const struct mouth_events only = { .prepared = on_prepared };
    struct rig *r = *state;
    struct context *ctx = context("Hi {name}.");
    struct mouth *mouth;
    int prepared = 0;

    assert_int_equal(env_mouth(&mouth, &r->env, ctx), PAT_OK);
    mouth_listen(mouth, &only, &prepared);
    assert_int_equal(mouth_prepare(mouth, ctx->greeting), PAT_OK);
    fake.tts->fell_back("ours", "another", "no sound in time", fake.tts_arg); /* nobody minds */
    for (int i = 0; i < 100 && !prepared; i++)
        pat_loop_run_once(r->loop, 10);
    assert_int_equal(prepared, 100);
    assert_null(mouth_known(mouth, ctx->greeting));
    mouth_free(mouth);
    context_free(ctx);
}

static void test_call__a_greeting_still_on_its_way_is_heard_as_it_comes(void **state)
{
    struct rig *r = *state;
    struct context *ctx = context("Hi {name}.");
    struct mouth *mouth;
    int64_t from;

    fake.tts_holds = true;
    assert_int_equal(env_mouth(&mouth, &r->env, ctx), PAT_OK);
    assert_int_equal(mouth_prepare(mouth, ctx->greeting), PAT_OK);
    begin_with(r, ctx, mouth);
    come_in(r);
    from = pat_now_ms();
    while (pat_now_ms() < from + 200)
        pat_loop_run_once(r->loop, 10);
    assert_int_equal(fake.voiced, 0);
    fake_voice();
    turn_until(r, is_answered, 100);
    turn_until(r, is_listening, 1000);
    assert_int_equal(fake.tts_texts, 1);
    assert_non_null(strstr(fake_event("turn.agent"), "\"heard\":\"Hi Ada.\""));
}

static void test_call__a_ringing_phone_is_not_greeted(void **state)
{
    struct rig *r = *state;
    struct rtc_participant p = caller(false, 0);
    int64_t from = pat_now_ms();

    begin(r, context("Hi."));
    fake.rtc->joined(fake.rtc_arg);
    fake.rtc->participant(&p, fake.rtc_arg);
    fake.rtc->subscribed(fake.rtc_arg);
    attribute("sip.callStatus", "ringing");
    while (pat_now_ms() < from + 400)
        pat_loop_run_once(r->loop, 10);
    assert_int_equal(fake.voiced, 0);
    assert_null(fake_event("call.answered"));
}

static void ask(const char *text)
{
    fake_speak(20, true);
    fake_heard(text, false, false);
    fake_speak(8, false);
    fake_heard(text, true, true);
}

static void test_call__answers_sentence_by_sentence(void **state)
{
    struct rig *r = *state;

    greeted(r);
    ask("what time is it");
    assert_int_equal(fake.llm_runs, 1);
    assert_non_null(strstr(fake.messages, "{\"role\":\"assistant\",\"content\":\"Hi Ada.\"}"));
    assert_non_null(strstr(fake.messages, "{\"role\":\"user\",\"content\":\"what time is it\"}"));
    fake_model("It is three o'clock now. And ");
    turn_until(r, is_speaking, 500); /* while the model still writes */
    fake_model("it is a sunny day outside.");
    fake_model_done(PAT_OK);
    turn_until(r, has_agent_turn, 3000);
    assert_non_null(
        strstr(fake.tts_said, ";It is three o'clock now.;And it is a sunny day outside.;"));
    assert_non_null(strstr(fake_event("turn.user"), "\"text\":\"what time is it\""));
    assert_non_null(
        strstr(fake_event("turn.agent"),
               "\"heard\":\"It is three o'clock now. And it is a sunny day outside.\""));
    assert_in_range(int_in(fake_event("turn.agent"), "timings.own_ms"), 0, 60);
    assert_true(fake.stt_packets >= 28);
}

static void test_call__stops_for_the_caller_and_keeps_what_was_heard(void **state)
{
    struct rig *r = *state;
    int64_t stopped_us, began_us;

    greeted(r);
    ask("tell me a story");
    fake.ms_per_char = 60;
    fake_model("Once upon a time there was a very old king who lived alone. The end.");
    fake_model_done(PAT_OK);
    turn_until(r, is_speaking, 500);
    fake_speak(20, false);
    began_us = pat_now_us();
    fake_speak(20, true); /* over it */
    stopped_us = fake.last_voiced_us;
    assert_in_range(stopped_us - began_us, 0, 200 * 1000); /* 100 ms wanted + one packet + VAD */
    fake_heard("no stop", false, false);
    fake_speak(12, false);
    fake_heard("no stop please", true, true);
    assert_non_null(fake_event("turn.interrupted"));
    assert_non_null(strstr(fake_event("turn.agent"), "\"heard\":\"Once"));
    assert_null(strstr(fake_event("turn.agent"), "alone.\",\"interrupted\""));
    assert_int_equal(fake.llm_runs, 2);
    assert_non_null(strstr(fake.messages, "\"content\":\"Once"));
    assert_null(strstr(fake.messages, "The end"));
}

static void test_call__goes_on_after_a_cough(void **state)
{
    struct rig *r = *state;
    int before;

    greeted(r);
    ask("tell me a story");
    fake.ms_per_char = 30;
    fake_model("Once upon a time there was a very old king who lived alone.");
    fake_model_done(PAT_OK);
    turn_until(r, is_speaking, 500);
    fake_speak(10, false);
    fake_speak(12, true);
    before = fake.voiced;
    fake_speak(30, false);
    assert_in_range(fake.voiced - before, 0, 2); /* it waits */
    turn_until(r, has_agent_turn, 4000);
    assert_non_null(strstr(fake_event("turn.agent"), "lived alone.\",\"interrupted\":false"));
}

static void test_call__a_failing_model_is_apologised_for(void **state)
{
    struct rig *r = *state;

    greeted(r);
    ask("what time is it");
    fake_model_done(PAT_EUPSTREAM);
    turn_until(r, has_agent_turn, 4000);
    assert_non_null(strstr(fake_event("turn.agent"), "sorry"));
    turn_until(r, is_listening, 500);
}

static void test_call__gives_up_after_three_failures_in_a_row(void **state)
{
    struct rig *r = *state;

    greeted(r);
    fake.ms_per_char = 2;
    for (int i = 0; i < 3; i++) {
        ask("what time is it");
        fake_model_done(PAT_OK); /* without a word */
        turn_until(r, i < 2 ? is_listening : is_over, 4000);
    }
    assert_int_equal(fake.room_deleted, 1);
}

static void test_call__ends_with_the_caller(void **state)
{
    struct rig *r = *state;
    struct rtc_participant gone = caller(true, 1);

    greeted(r);
    fake.rtc->participant(&gone, fake.rtc_arg);
    turn_until(r, is_over, 1000);
    assert_int_equal(fake.job_done, 1);
    assert_int_equal(fake.room_deleted, 1);
    assert_int_equal(fake.stt_closed, 1);
    assert_true(fake_count("usage.recorded") >= 2);
}

static void test_call__waits_for_a_caller_whose_line_broke(void **state)
{
    struct rig *r = *state;
    struct rtc_participant broke = caller(true, 14), back = caller(false, 0);
    int64_t from;

    greeted(r);
    fake.rtc->participant(&broke, fake.rtc_arg);
    from = pat_now_ms();
    while (pat_now_ms() < from + 200)
        pat_loop_run_once(r->loop, 10);
    assert_false(r->over);
    fake.rtc->participant(&back, fake.rtc_arg);
    ask("are you there");
    assert_int_equal(fake.llm_runs, 1);
}

static void test_call__a_room_that_is_closed_ends_it(void **state)
{
    struct rig *r = *state;

    greeted(r);
    fake_leave(RTC_LEFT_ROOM_GONE);
    turn_until(r, is_over, 1000);
    assert_int_equal(fake.job_done, 1);
}

static void test_call__replaced_by_another_agent_it_leaves_the_room_alone(void **state)
{
    struct rig *r = *state;

    greeted(r);
    fake_leave(RTC_LEFT_DUPLICATE);
    turn_until(r, is_over, 1000);
    assert_int_equal(fake.room_deleted, 0);
}

static void test_call__hears_what_was_said_before_the_context_came(void **state)
{
    struct rig *r = *state;

    begin(r, NULL);
    come_in(r);
    fake_speak(10, true);
    assert_int_equal(fake.stt_packets, 0);
    call_context(r->call, context("Hi."));
    assert_int_equal(fake.stt_packets, 10);
    turn_until(r, is_answered, 1000);
}

static void test_call__shows_the_headers_of_the_leg_once(void **state)
{
    struct rig *r = *state;

    begin(r, NULL);
    come_in(r);
    attribute("sip.h.x-pat-call", CALL);
    attribute("sip.h.x-pat-user", USER);
    attribute("sip.h.x-pat-agent", AGENT);
    attribute("sip.h.x-pat-version", "3");
    assert_int_equal(r->headers, 0);
    attribute("sip.h.x-pat-sig", "abc");
    attribute("sip.h.x-pat-sig", "abc");
    assert_int_equal(r->headers, 1);
}

static struct phrase *tone(void)
{
    const uint8_t packet[] = { 0xf8, 0xff, 0xfe };
    struct phrase *p;

    assert_int_equal(phrase_new(&p), PAT_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(phrase_add(p, packet, sizeof packet, 20), PAT_OK);
    return p;
}

static void test_call__without_a_context_it_apologises_and_hangs_up(void **state)
{
    struct rig *r = *state;

    kept_put(r->env.kept, OWN_OUT_OF_ORDER, "en", tone());
    begin(r, NULL);
    come_in(r);
    call_context(r->call, NULL);
    turn_until(r, is_over, 3000);
    assert_int_equal(fake.voiced, 10);
    assert_int_equal(fake.room_deleted, 1);
    assert_int_equal(fake.tts_texts, 0);
}

static void test_call__what_was_not_said_at_start_up_is_said_in_the_voice_for_all(void **state)
{
    struct rig *r = *state;

    begin(r, NULL);
    come_in(r);
    call_context(r->call, NULL);
    turn_until(r, is_speaking, 1000);
    assert_int_equal(fake.tts_texts, 1);
    assert_ptr_equal(strstr(fake.tts_said, own_words(OWN_OUT_OF_ORDER, "en")), fake.tts_said);
}

static void test_call__a_voice_that_fails_is_replaced_by_the_kept_phrase(void **state)
{
    struct rig *r = *state;

    kept_put(r->env.kept, OWN_SORRY, "en", tone());
    greeted(r);
    fake.tts_fails = true;
    fake.voiced = 0;
    ask("what time is it");
    fake_model("It is three o'clock now.");
    fake_model_done(PAT_OK);
    turn_until(r, is_speaking, 1000);
    turn_until(r, is_listening, 1000);
    assert_int_equal(fake.voiced, 10);
}

static void test_call__a_deaf_recogniser_ends_the_call(void **state)
{
    struct rig *r = *state;

    greeted(r);
    fake.ms_per_char = 2;
    fake.stt->failed(PAT_EAUTH, false, "bad key", fake.stt_arg);
    turn_until(r, is_over, 4000);
    assert_non_null(strstr(fake_event("turn.agent"), "sorry"));
}

static void test_call__the_longest_call_ends_with_a_goodbye(void **state)
{
    struct rig *r = *state;

    r->conf.max_call_ms = 700;
    fake.ms_per_char = 2;
    greeted(r);
    turn_until(r, is_over, 4000);
    assert_non_null(strstr(fake_event("turn.agent"), "Goodbye"));
}

static void test_call__media_that_comes_back_goes_on_where_it_stopped(void **state)
{
    struct rig *r = *state;

    greeted(r);
    ask("tell me a story");
    fake_model("Once upon a time there was a very old king who lived alone.");
    fake_model_done(PAT_OK);
    turn_until(r, is_speaking, 500);
    fake.media_down = true;
    fake_speak(10, false);
    fake.media_down = false;
    turn_until(r, has_agent_turn, 3000);
    assert_non_null(strstr(fake_event("turn.agent"), "lived alone.\",\"interrupted\":false"));
}

static void test_call__can_be_freed_at_any_time(void **state)
{
    struct rig *r = *state;

    greeted(r);
    ask("tell me a story");
    fake_model("Once upon a time there was a very old king who lived alone. He ");
    turn_until(r, is_speaking, 500);
    call_free(r->call);
    r->call = NULL;
    assert_int_equal(fake.llm_canceled, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_call__greets_once_the_caller_can_hear),
        CALL_TEST(test_call__greets_with_what_was_prepared),
        CALL_TEST(test_mouth__what_another_voice_spoke_is_not_kept),
        CALL_TEST(test_call__a_greeting_still_on_its_way_is_heard_as_it_comes),
        CALL_TEST(test_call__a_ringing_phone_is_not_greeted),
        CALL_TEST(test_call__answers_sentence_by_sentence),
        CALL_TEST(test_call__stops_for_the_caller_and_keeps_what_was_heard),
        CALL_TEST(test_call__goes_on_after_a_cough),
        CALL_TEST(test_call__a_failing_model_is_apologised_for),
        CALL_TEST(test_call__gives_up_after_three_failures_in_a_row),
        CALL_TEST(test_call__ends_with_the_caller),
        CALL_TEST(test_call__waits_for_a_caller_whose_line_broke),
        CALL_TEST(test_call__a_room_that_is_closed_ends_it),
        CALL_TEST(test_call__replaced_by_another_agent_it_leaves_the_room_alone),
        CALL_TEST(test_call__hears_what_was_said_before_the_context_came),
        CALL_TEST(test_call__shows_the_headers_of_the_leg_once),
        CALL_TEST(test_call__without_a_context_it_apologises_and_hangs_up),
        CALL_TEST(test_call__what_was_not_said_at_start_up_is_said_in_the_voice_for_all),
        CALL_TEST(test_call__a_voice_that_fails_is_replaced_by_the_kept_phrase),
        CALL_TEST(test_call__a_deaf_recogniser_ends_the_call),
        CALL_TEST(test_call__the_longest_call_ends_with_a_goodbye),
        CALL_TEST(test_call__media_that_comes_back_goes_on_where_it_stopped),
        CALL_TEST(test_call__can_be_freed_at_any_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
