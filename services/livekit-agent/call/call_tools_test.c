/* call_tools_test.c - what the model calls in a call, what comes of it, and what never does. */
#include "test/rig.h"

#include <stdio.h>
#include <string.h>

/* The caller has said it, and the model is at work on the answer. */
static void ask(struct rig *r, const char *text)
{
    int runs = fake.llm_runs;

    fake_speak(10, true);
    fake_heard(text, true, true);
    fake_speak(10, false);
    for (int64_t end = pat_now_ms() + 3000; fake.llm_runs == runs;) {
        if (pat_now_ms() > end)
            fail_msg("the model was not asked");
        pat_loop_run_once(r->loop, 5);
    }
}

static bool is_committed(struct rig *r)
{
    (void)r;
    return fake_event("turn.user") != NULL;
}

static bool has_tool(struct rig *r)
{
    (void)r;
    return fake_event("turn.tool") != NULL;
}

static bool asked_twice(struct rig *r)
{
    (void)r;
    return fake.llm_runs >= 2;
}

static bool has_voicemail(struct rig *r)
{
    (void)r;
    return fake_event("call.voicemail") != NULL;
}

static bool has_two_replies(struct rig *r)
{
    (void)r;
    return fake_count("turn.agent") >= 2;
}

/* Calls the one tool, in a turn that is certain. */
static void call_tool(struct rig *r, const char *name, const char *arguments)
{
    greeted(r);
    ask(r, "please do something for me");
    turn_until(r, is_committed, 2000);
    assert_true(fake.tools_listed && !fake.tools_off);
    fake_model_calls("call_1", name, arguments);
    fake_model_done(PAT_OK);
    turn_until(r, has_tool, 2000);
}

static void test_tools__a_message_is_stored_and_the_model_told(void **state)
{
    struct rig *r = *state;

    call_tool(r, "take_message", "{\"message\":\"I will be late.\",\"caller_name\":\"Bob\"}");
    assert_non_null(strstr(fake_event("call.voicemail"), "\"transcript\":\"I will be late.\""));
    assert_non_null(strstr(fake_event("turn.tool"), "\"outcome\":\"ok\""));
    turn_until(r, asked_twice, 1000);
    assert_non_null(strstr(fake.messages, "\"tool_calls\":[{\"id\":\"call_1\""));
    assert_non_null(strstr(fake.messages,
                           "\"tool_call_id\":\"call_1\",\"content\":\"{\\\"status\\\":"
                           "\\\"stored\\\""));
    fake_model("I passed it on.");
    fake_model_done(PAT_OK);
    turn_until(r, has_two_replies, 3000);
    assert_non_null(strstr(fake_event("turn.agent"), "I passed it on."));
    assert_int_equal(fake_count("turn.tool"), 1);
}

/* Of a user who lets callers take their time: a turn is over after a second of silence. */
static struct context *patient(void)
{
    static const char text[] = "{\"call_id\":\"" CALL "\",\"user_id\":\"" USER
                               "\",\"agent_config_id\":\"" AGENT "\",\"settings\":{"
                               "\"greeting_template\":\"Hi.\",\"voice\":{\"responsiveness\":0}}}";
    struct pat_json *j;
    struct context *c;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    assert_int_equal(context_parse(&c, j, NULL), PAT_OK);
    pat_json_free(j);
    return c;
}

static void test_tools__nothing_is_done_before_the_turn_is_over(void **state)
{
    struct rig *r = *state;

    begin(r, patient());
    come_in(r);
    turn_until(r, is_answered, 1000);
    turn_until(r, is_listening, 1000);
    fake_speak(10, true);
    fake_speak(5, false);
    fake_heard("take a message", true, true);
    assert_int_equal(fake.llm_runs, 1);
    assert_null(fake_event("turn.user")); /* thought ahead */
    fake_model_calls("call_1", "take_message", "{\"message\":\"x\"}");
    fake_model_done(PAT_OK);
    assert_null(fake_event("turn.tool"));
    fake_heard("no wait", true, true); /* the caller goes on: it was for nothing */
    turn_until(r, is_committed, 3000);
    turn_until(r, asked_twice, 3000);
    assert_null(fake_event("turn.tool"));
    assert_null(fake_event("call.voicemail"));
    assert_null(strstr(fake.messages, "call_1"));
}

static void test_tools__a_message_may_be_left_and_ends_with_silence(void **state)
{
    struct rig *r = *state;

    call_tool(r, "take_message", "{}");
    assert_non_null(strstr(fake.tts_said, "leave your message now"));
    turn_until(r, is_listening, 5000);
    fake_speak(10, true);
    fake_heard("this is bob", true, true);
    fake_speak(60, false); /* longer than a turn's end */
    fake_speak(10, true);
    fake_heard("please call me", true, true);
    assert_int_equal(fake.llm_runs, 1);
    turn_until(r, has_voicemail, 6000);
    assert_non_null(
        strstr(fake_event("call.voicemail"), "\"transcript\":\"this is bob please call me\""));
    assert_true(int_in(fake_event("call.voicemail"), "duration_ms") >= 0);
    assert_int_equal(fake.llm_runs, 1); /* what was said into it is nobody's to answer */
    turn_until(r, is_listening, 5000);
    assert_non_null(strstr(fake.tts_said, "message has been saved"));
    ask(r, "that is all");
    assert_int_equal(fake.llm_runs, 2);
    assert_non_null(strstr(fake.messages, "this is bob please call me"));
}

static void test_tools__a_message_counts_also_when_the_caller_hangs_up(void **state)
{
    struct rig *r = *state;
    struct rtc_participant gone = caller(true, 1);

    call_tool(r, "take_message", "{\"caller_name\":\"Bob\"}");
    turn_until(r, is_listening, 5000);
    fake_speak(10, true);
    fake_heard("tell him it is", true, false);
    fake_heard("urgent", false, false);
    fake.rtc->participant(&gone, fake.rtc_arg);
    assert_non_null(
        strstr(fake_event("call.voicemail"), "\"transcript\":\"tell him it is urgent\""));
    turn_until(r, is_over, 3000);
    assert_int_equal(fake_count("call.voicemail"), 1);
}

static void test_tools__a_callback_is_checked_and_noted(void **state)
{
    struct rig *r = *state;

    call_tool(r, "request_callback", "{\"when\":\"2020-01-01T10:00\",\"number\":\"+15550100055\"}");
    assert_non_null(strstr(fake_event("turn.tool"), "\"outcome\":\"refused\""));
    assert_null(fake_event("call.callback"));
    turn_until(r, asked_twice, 1000);
    assert_non_null(strstr(fake.messages, "lies in the past"));
    char when[PAT_TIME_LEN + 1], arguments[200];
    pat_time_format(pat_unix_ms() + 86400000, when);
    (void)snprintf(arguments, sizeof arguments,
                   "{\"when\":\"%.16s\",\"number\":\"(555) 010-0055\",\"reason\":\"order\"}", when);
    fake_model_calls("call_2", "request_callback", arguments);
    fake_model_done(PAT_OK);
    assert_non_null(strstr(fake_event("call.callback"), "\"number\":\"+15550100055\""));
    assert_non_null(strstr(fake_event("call.callback"), "\"time_zone\":\"UTC\""));
    assert_null(strstr(fake_event("turn.tool"), "0100055")); /* masked there */
}

static void test_tools__a_withheld_caller_must_name_a_number(void **state)
{
    char when[PAT_TIME_LEN + 1], arguments[200];

    pat_time_format(pat_unix_ms() + 86400000, when);
    (void)snprintf(arguments, sizeof arguments, "{\"when\":\"%.16s\"}", when);
    call_tool(*state, "request_callback", arguments);
    assert_null(fake_event("call.callback"));
    turn_until(*state, asked_twice, 1000);
    assert_non_null(strstr(fake.messages, "withheld"));
}

static void test_tools__the_call_ends_behind_the_goodbye(void **state)
{
    struct rig *r = *state;

    greeted(r);
    ask(r, "that was all thank you");
    turn_until(r, is_committed, 2000);
    fake_model("It was a pleasure, goodbye to you.");
    fake_model_calls("call_1", "end_call", "{\"reason\":\"done\"}");
    fake_model_done(PAT_OK);
    assert_false(r->over);
    turn_until(r, is_over, 5000);
    assert_non_null(strstr(fake_event("turn.agent"), "goodbye to you."));
    assert_int_equal(fake.llm_runs, 1);
    assert_int_equal(fake.room_deleted, 1);
}

static void test_tools__nor_without_one(void **state)
{
    struct rig *r = *state;

    call_tool(r, "end_call", "{}");
    turn_until(r, is_over, 5000);
    assert_non_null(strstr(fake_event("turn.agent"), "Goodbye."));
}

static void test_tools__what_is_not_offered_is_refused(void **state)
{
    static const struct {
        const char *name, *arguments;
    } rows[] = {
        { "transfer_call", "{\"to\":\"+15550666666\"}" }, /* no numbers, no such tool */
        { "send_dtmf", "{\"digits\":\"1\"}" },
        { "run_shell", "{\"cmd\":\"rm -rf /\"}" },
        { "take_message", "{\"message\":7}" },
        { "end_call", "{\"force\":true}" },
        { "request_callback", "{\"when\":\"2030-01-01T10:00\",\"transfer_to\":\"+15550666666\"}" },
    };
    struct rig *r = *state;

    call_tool(r, rows[0].name, rows[0].arguments);
    for (size_t i = 1; i < sizeof rows / sizeof rows[0]; i++) {
        if (fake.tools_off) { /* enough of it in one turn */
            fake_model("Sorry.");
            fake_model_done(PAT_OK);
            turn_until(r, is_listening, 5000);
            ask(r, "again please");
        }
        fake_model_calls("call_x", rows[i].name, rows[i].arguments);
        fake_model_done(PAT_OK);
        for (int64_t end = pat_now_ms() + 3000; fake_count("turn.tool") < (int)i + 1;) {
            assert_true(pat_now_ms() < end);
            pat_loop_run_once(r->loop, 5);
        }
        assert_non_null(strstr(fake_event("turn.tool"), "\"outcome\":\"refused\""));
    }
    assert_null(fake_event("call.voicemail"));
    assert_null(fake_event("call.callback"));
    assert_int_equal(strlen(fake.keys), 0);
    assert_false(r->over);
}

static void test_tools__the_model_has_to_answer_in_the_end(void **state)
{
    struct rig *r = *state;
    int i = 0;

    greeted(r);
    ask(r, "go round in circles");
    turn_until(r, is_committed, 2000);
    for (; !fake.tools_off && i < 20; i++) {
        fake_model_calls("c", "take_message", "{\"message\":\"again\"}");
        fake_model_done(PAT_OK);
    }
    assert_int_equal(i, 4);
    fake_model("Enough.");
    fake_model_done(PAT_OK);
    turn_until(r, has_two_replies, 3000);
}

static void test_tools__a_call_has_only_so_many(void **state)
{
    struct rig *r = *state;

    r->conf.max_tool_calls = 1;
    call_tool(r, "take_message", "{\"message\":\"one\"}");
    turn_until(r, asked_twice, 1000);
    assert_true(fake.tools_off);
}

static struct context *guarded(void)
{
    static const char text[] =
        "{\"call_id\":\"" CALL "\",\"user_id\":\"" USER "\",\"agent_config_id\":\"" AGENT
        "\",\"from\":\"+15550100001\",\"settings\":{\"greeting_template\":\"Hi.\",\"voice\":{"
        "\"responsiveness\":1,\"interruption_sensitivity\":1},\"transfer_preferences\":{"
        "\"transfer_on_request\":true},\"transfer_numbers\":[{\"id\":\"" AGENT
        "\",\"label\":\"boss\",\"phone_number\":\"+15550100078\",\"is_default\":true,"
        "\"has_passcode\":true}]}}";
    struct pat_json *j;
    struct context *c;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    assert_int_equal(context_parse(&c, j, NULL), PAT_OK);
    pat_json_free(j);
    return c;
}

static bool asked_for_it(struct rig *r)
{
    return strstr(fake.tts_said, "say the passcode") && is_listening(r);
}

static bool has_two_turns(struct rig *r)
{
    (void)r;
    return fake_count("turn.user") >= 2;
}

static bool has_two_tools(struct rig *r)
{
    (void)r;
    return fake_count("turn.tool") >= 2;
}

static void test_passcode__is_seen_by_nobody(void **state)
{
    struct rig *r = *state;

    begin(r, guarded());
    come_in(r);
    turn_until(r, is_answered, 1000);
    turn_until(r, is_listening, 1000);
    ask(r, "the boss please");
    turn_until(r, is_committed, 2000);
    assert_null(strstr(fake.messages, "what the caller said as the passcode"));
    fake_model_calls("call_1", "transfer_call", "{\"to\":\"boss\"}");
    fake_model_done(PAT_OK);
    turn_until(r, asked_for_it, 3000);
    assert_non_null(strstr(fake_event("turn.tool"), "\"error\":\"passcode\""));
    fake_speak(10, true);
    fake_heard("four two", false, false);
    fake_heard("four two one seven", true, true);
    fake_speak(10, false);
    turn_until(r, has_two_turns, 5000);
    assert_non_null(strstr(fake_event("turn.user"), "\"text\":\"[passcode]\""));
    turn_until(r, has_two_tools, 3000); /* without a database it cannot be compared */
    assert_non_null(strstr(fake_event("turn.tool"), "\"error\":\"unavailable\""));
    turn_until(r, asked_twice, 2000);
    assert_non_null(strstr(fake.messages, "[passcode]"));
    assert_null(strstr(fake.messages, "four two"));
    assert_null(strstr(fake.texts, "four two"));
    for (int i = 0; i < fake.events; i++)
        assert_null(strstr(fake.event[i].data, "four two"));
    fake_model("Shall I take a message?");
    fake_model_done(PAT_OK);
    turn_until(r, is_listening, 3000);
    ask(r, "yes please do that"); /* and from here on the caller's words are theirs again */
    assert_non_null(strstr(fake.messages, "yes please do that"));
}

static void test_call__ends_when_its_tokens_are_spent(void **state)
{
    struct rig *r = *state;

    r->conf.max_call_tokens = 100; /* the model of the test counts 110 for an answer */
    greeted(r);
    ask(r, "hello there friend");
    fake_model("Hello.");
    fake_model_done(PAT_OK);
    turn_until(r, has_two_replies, 3000);
    turn_until(r, is_listening, 3000);
    fake_speak(10, true);
    fake_heard("and another question", true, true);
    fake_speak(10, false);
    turn_until(r, is_over, 5000);
    assert_int_equal(fake.llm_runs, 1);
    assert_non_null(strstr(fake_event("turn.agent"), "Goodbye."));
}

static void test_tools__several_at_once_are_all_answered(void **state)
{
    struct rig *r = *state;

    greeted(r);
    ask(r, "two things please");
    turn_until(r, is_committed, 2000);
    fake_model_calls("a", "take_message", "{\"message\":\"one\"}");
    fake_model_calls("b", "take_message", "{\"message\":\"two\"}");
    fake_model_done(PAT_OK);
    turn_until(r, asked_twice, 1000);
    assert_int_equal(fake_count("call.voicemail"), 2);
    assert_int_equal(fake.llm_runs, 2);
    assert_non_null(strstr(fake.messages, "\"tool_call_id\":\"a\""));
    assert_non_null(strstr(fake.messages, "\"tool_call_id\":\"b\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_tools__a_message_is_stored_and_the_model_told),
        CALL_TEST(test_tools__nothing_is_done_before_the_turn_is_over),
        CALL_TEST(test_tools__a_message_may_be_left_and_ends_with_silence),
        CALL_TEST(test_tools__a_message_counts_also_when_the_caller_hangs_up),
        CALL_TEST(test_tools__a_callback_is_checked_and_noted),
        CALL_TEST(test_tools__a_withheld_caller_must_name_a_number),
        CALL_TEST(test_tools__the_call_ends_behind_the_goodbye),
        CALL_TEST(test_tools__nor_without_one),
        CALL_TEST(test_tools__what_is_not_offered_is_refused),
        CALL_TEST(test_tools__the_model_has_to_answer_in_the_end),
        CALL_TEST(test_tools__a_call_has_only_so_many),
        CALL_TEST(test_tools__several_at_once_are_all_answered),
        CALL_TEST(test_passcode__is_seen_by_nobody),
        CALL_TEST(test_call__ends_when_its_tokens_are_spent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
