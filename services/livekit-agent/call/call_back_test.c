/* call_back_test.c - a caller who was without an agent for a moment: apologised to, and told the
 * rest. */
#include "test/rig.h"

#include <string.h>

#define SORRY "Sorry for the interruption."

/* The agent that said these two sentences, and was heard saying the first, wrote so ms ago. */
static void taken_over(struct rig *r, int64_t ms_ago)
{
    struct pat_json *saved;
    struct pat_buf b;

    pat_buf_init(&b, 4096);
    (void)pat_buf_addf(&b,
                       "{\"epoch\":1,\"answered\":true,\"turns\":1,\"state\":\"speaking\","
                       "\"at_ms\":%lld,\"reply\":{\"text\":\"We open at nine. We close at five.\","
                       "\"heard\":20,\"whole\":true,\"answers\":true}}",
                       (long long)(pat_unix_ms() - ms_ago));
    assert_int_equal(pat_json_parse(&saved, b.data, b.len, NULL), PAT_OK);
    pat_buf_fini(&b);
    take_over(r, context("Hi."), saved);
    pat_json_free(saved);
    come_in(r);
}

static bool has_agent_turn(struct rig *r)
{
    (void)r;
    return fake_event("turn.agent") != NULL;
}

static void test_back__taken_over_in_mid_reply_it_apologises_and_goes_on(void **state)
{
    struct rig *r = *state;

    fake.ms_per_char = 2;
    taken_over(r, 3000);
    turn_until(r, has_agent_turn, 8000);
    assert_string_equal(fake.tts_said, SORRY " We close at five.;");
    assert_non_null(strstr(fake_event("turn.agent"),
                           "\"heard\":\"We open at nine. " SORRY " We close at five.\""));
}

static void test_back__handed_over_at_once_it_goes_on_without(void **state)
{
    struct rig *r = *state;

    fake.ms_per_char = 2;
    taken_over(r, 0);
    turn_until(r, has_agent_turn, 8000);
    assert_string_equal(fake.tts_said, "We close at five.;");
}

static void pass(struct rig *r, int64_t ms)
{
    int64_t until = pat_now_ms() + ms;

    while (pat_now_ms() < until)
        pat_loop_run_once(r->loop, 10);
}

static void go(void)
{
    struct rtc_participant broke = caller(true, 14);

    fake.rtc->participant(&broke, fake.rtc_arg);
}

static void come_back(const char *status)
{
    struct rtc_participant back = caller(false, 0);

    fake.rtc->participant(&back, fake.rtc_arg);
    attribute("sip.callStatus", status);
}

static bool model_asked(struct rig *r)
{
    (void)r;
    return fake.llm != NULL;
}

static void tell_a_story(struct rig *r)
{
    greeted(r);
    fake_speak(10, true);
    fake_heard("tell me a story", true, true);
    fake_speak(10, false);
    turn_until(r, model_asked, 8000);
    fake_model("Once upon a time there was a very old king. He lived alone.");
    fake_model_done(PAT_OK);
    turn_until(r, is_speaking, 5000);
}

static bool story_told(struct rig *r)
{
    (void)r;
    return has_agent_turn(r) &&
           strstr(fake_event("turn.agent"), "lived alone.\",\"interrupted\":false");
}

static bool cut_off_said(struct rig *r)
{
    (void)r;
    return strstr(fake.tts_said, "we were cut off") != NULL;
}

static void test_back__what_the_caller_missed_is_said_again_with_an_apology(void **state)
{
    struct rig *r = *state;
    int voiced;

    tell_a_story(r);
    go();
    voiced = fake.voiced;
    pass(r, 1700);
    assert_int_equal(fake.voiced, voiced); /* nobody would hear it */
    come_back("ringing");
    pass(r, 500);
    assert_int_equal(fake.voiced, voiced); /* nor yet */
    attribute("sip.callStatus", "active");
    turn_until(r, story_told, 8000);
    assert_non_null(strstr(fake_event("turn.agent"), "\"heard\":\"" SORRY " Once upon a time"));
}

static void test_back__a_moment_nobody_notices_needs_no_apology(void **state)
{
    struct rig *r = *state;

    tell_a_story(r);
    go();
    come_back("active");
    turn_until(r, story_told, 8000);
    assert_null(strstr(fake.tts_said, SORRY));
}

static void test_back__who_waited_for_nothing_hears_that_we_were_cut_off(void **state)
{
    struct rig *r = *state;

    greeted(r);
    fake.ms_per_char = 2;
    go();
    pass(r, 1700);
    come_back("active");
    turn_until(r, cut_off_said, 8000);
}

static void test_back__a_leg_dialled_again_is_apologised_to_however_soon(void **state)
{
    struct rig *r = *state;

    greeted(r);
    fake.ms_per_char = 2;
    go();
    come_back("ringing");
    attribute("sip.h.x-pat-returned", "redial");
    attribute("sip.callStatus", "active");
    turn_until(r, cut_off_said, 8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_back__taken_over_in_mid_reply_it_apologises_and_goes_on),
        CALL_TEST(test_back__handed_over_at_once_it_goes_on_without),
        CALL_TEST(test_back__what_the_caller_missed_is_said_again_with_an_apology),
        CALL_TEST(test_back__a_moment_nobody_notices_needs_no_apology),
        CALL_TEST(test_back__who_waited_for_nothing_hears_that_we_were_cut_off),
        CALL_TEST(test_back__a_leg_dialled_again_is_apologised_to_however_soon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
