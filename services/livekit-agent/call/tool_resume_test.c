/* tool_resume_test.c - tools of an agent that died: once, not twice, and never forgotten. */
#include "checkpoint.h"
#include "test/rig.h"

#include <stdlib.h>
#include <string.h>

#define KEY   "018f0000-0000-8000-8000-00000000aaaa"
#define SALES "33333333-3333-4333-8333-333333333333"

static struct context *with_tools(void)
{
    static const char text[] =
        "{\"call_id\":\"" CALL "\",\"user_id\":\"" USER "\",\"agent_config_id\":\"" AGENT "\","
        "\"settings\":{\"greeting_template\":\"Hi.\",\"voice\":{\"responsiveness\":1},"
        "\"functions\":{\"send_dtmf\":true},\"transfer_numbers\":[{\"id\":\"" SALES "\","
        "\"label\":\"sales\",\"phone_number\":\"+15550142000\",\"has_passcode\":true}]}}";
    struct pat_json *j;
    struct context *c;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    assert_int_equal(context_parse(&c, j, NULL), PAT_OK);
    pat_json_free(j);
    return c;
}

/* What an agent leaves whose caller had asked something. tools: of the checkpoint, or NULL. */
static struct pat_json *left(const char *state, const char *tools)
{
    struct pat_json *j;
    struct pat_buf b;

    pat_buf_init(&b, 4096);
    (void)pat_buf_addf(&b,
                       "{\"epoch\":1,\"answered\":true,\"turns\":1,\"state\":\"%s\","
                       "\"history\":[{\"role\":\"user\",\"content\":\"please do it\"}],"
                       "\"tools\":%s}",
                       state, tools);
    assert_int_equal(pat_json_parse(&j, b.data, b.len, NULL), PAT_OK);
    pat_buf_fini(&b);
    return j;
}

static void on_ended(struct call *c, void *arg)
{
    struct rig *r = arg;

    (void)c;
    r->over = true;
}

static void on_headers(struct call *c, const struct context_headers *h, void *arg)
{
    (void)c, (void)h, (void)arg;
}

static void resume(struct rig *r, const char *state, const char *tools)
{
    static const struct call_events events = { .headers = on_headers, .ended = on_ended };
    struct pat_json *saved = left(state, tools);
    const struct call_start s = { .call_id = CALL,
                                  .room = "call_" CALL,
                                  .url = "ws://x",
                                  .token = "t",
                                  .epoch = 2,
                                  .saved = saved };

    assert_int_equal(call_new(&r->call, &r->env, &s, with_tools(), NULL, &events, r), PAT_OK);
    pat_json_free(saved);
    come_in(r);
}

static bool was_asked(struct rig *r)
{
    (void)r;
    return fake.llm_runs > 0;
}

static bool has_tool(struct rig *r)
{
    (void)r;
    return fake_event("turn.tool") != NULL;
}

static bool has_voicemail(struct rig *r)
{
    (void)r;
    return fake_event("call.voicemail") != NULL;
}

static void test_resume__a_message_that_was_being_stored_is_stored_and_told(void **state)
{
    struct rig *r = *state;

    resume(r, "thinking",
           "{\"running\":true,\"calls\":[{\"key\":\"" KEY "\",\"id\":\"call_1\","
           "\"name\":\"take_message\",\"arguments\":\"{\\\"message\\\":\\\"Late.\\\"}\"}]}");
    turn_until(r, was_asked, 5000);
    assert_non_null(strstr(fake_event("call.voicemail"), "\"message_id\":\"" KEY "\""));
    assert_non_null(strstr(fake_event("turn.tool"), "\"tool_call_id\":\"" KEY "\""));
    assert_int_equal(fake_count("call.voicemail"), 1);
    assert_non_null(strstr(fake.messages, "\"tool_call_id\":\"call_1\""));
    assert_non_null(strstr(fake.messages, "stored"));
    assert_int_equal(fake.llm_runs, 1);
}

/* Told under the same ids, so that whoever has it already has it once. */
static void test_resume__a_message_just_stored_is_made_sure_of(void **state)
{
    struct rig *r = *state;

    resume(r, "listening",
           "{\"calls\":[{\"key\":\"" KEY "\",\"id\":\"call_1\",\"name\":\"take_message\","
           "\"arguments\":\"{\\\"message\\\":\\\"Late.\\\"}\",\"result\":\"{}\"}]}");
    turn_until(r, has_voicemail, 5000);
    assert_non_null(strstr(fake_event("call.voicemail"), "\"message_id\":\"" KEY "\""));
    turn_until(r, is_listening, 5000);
    assert_int_equal(fake.llm_runs, 0); /* the caller was told */
}

static void test_resume__what_has_no_key_is_not_done_again_but_told(void **state)
{
    struct rig *r = *state;

    resume(r, "thinking",
           "{\"running\":true,\"calls\":[{\"key\":\"" KEY "\",\"id\":\"call_1\","
           "\"name\":\"send_dtmf\",\"arguments\":\"{\\\"digits\\\":\\\"12\\\"}\"}]}");
    turn_until(r, was_asked, 5000);
    assert_string_equal(fake.keys, "");
    assert_non_null(strstr(fake_event("turn.tool"), "\"error\":\"interrupted\""));
    assert_non_null(strstr(fake.messages, "not known"));
}

/* No bus here, so nobody can be reached: what matters is that it was tried again without the code,
 * and that the caller hears of it. */
static void test_resume__a_transfer_is_asked_for_again_and_its_passcode_is_not(void **state)
{
    struct rig *r = *state;

    resume(r, "thinking",
           "{\"running\":true,\"calls\":[{\"key\":\"" KEY "\",\"id\":\"call_1\","
           "\"name\":\"transfer_call\",\"checked\":true,"
           "\"arguments\":\"{\\\"to\\\":\\\"sales\\\"}\"}]}");
    turn_until(r, was_asked, 5000);
    assert_non_null(strstr(fake_event("turn.tool"), "\"error\":\"unavailable\""));
    assert_non_null(strstr(fake.messages, "could not be reached"));
}

static void test_resume__results_already_there_are_thought_about(void **state)
{
    struct rig *r = *state;

    resume(r, "thinking",
           "{\"calls\":[{\"key\":\"" KEY "\",\"id\":\"call_1\",\"name\":\"order_status\","
           "\"arguments\":\"{}\",\"result\":\"it has left\"}]}");
    turn_until(r, was_asked, 5000);
    assert_non_null(strstr(fake.messages, "it has left"));
    assert_null(fake_event("turn.tool"));
}

static void test_resume__a_message_being_left_is_one_message(void **state)
{
    struct rig *r = *state;

    resume(r, "listening",
           "{\"message\":{\"key\":\"" KEY "\",\"name\":\"Bob\",\"said\":\"this is bob\"}}");
    turn_until(r, is_listening, 5000);
    fake_speak(10, true);
    fake_heard("please call me", true, true);
    fake_speak(10, false);
    turn_until(r, has_voicemail, 8000);
    assert_non_null(
        strstr(fake_event("call.voicemail"), "\"transcript\":\"this is bob please call me\""));
    assert_non_null(strstr(fake_event("call.voicemail"), "\"message_id\":\"" KEY "\""));
    assert_int_equal(fake.llm_runs, 0);
}

static bool asked_once(struct rig *r)
{
    (void)r;
    return fake.llm_runs >= 1;
}

/* The first agent's side: what it notes is what it does things under, and no secret is in it. */
static void test_ledger__notes_what_runs_under_the_key_it_runs_under(void **state)
{
    struct rig *r = *state;
    struct pat_json *saved;
    char *text;
    const char *key[3];
    int n = 0;

    begin(r, with_tools());
    come_in(r);
    turn_until(r, is_answered, 1000);
    turn_until(r, is_listening, 1000);
    fake_speak(10, true);
    fake_heard("please do something for me", true, true);
    fake_speak(10, false);
    turn_until(r, asked_once, 3000);
    fake_model_calls("call_1", "take_message", "{\"message\":\"x\"}");
    fake_model_calls("call_2", "take_message", "{\"message\":\"x\"}");
    fake_model_calls("call_3", "transfer_call", "{\"to\":\"sales\",\"passcode\":\"4217\"}");
    fake_model_done(PAT_OK);
    turn_until(r, has_tool, 3000);
    saved = checkpoint_make(r->call);
    text = pat_json_print(saved);
    PAT_JSON_EACH(j, pat_json_at(saved, "tools.calls"))
    {
        assert_true(n < 3);
        key[n++] = pat_json_str_or(j, "key", "");
    }
    assert_int_equal(n, 3);
    assert_true(pat_id_valid(key[0]) && pat_id_valid(key[1]));
    assert_string_not_equal(key[0], key[1]);                       /* the same again is another */
    assert_non_null(strstr(fake_event("call.voicemail"), key[1])); /* the latest */
    assert_non_null(strstr(text, "transfer_call"));
    assert_null(strstr(text, "4217"));
    free(text);
    pat_json_free(saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_resume__a_message_that_was_being_stored_is_stored_and_told),
        CALL_TEST(test_resume__a_message_just_stored_is_made_sure_of),
        CALL_TEST(test_resume__what_has_no_key_is_not_done_again_but_told),
        CALL_TEST(test_resume__a_transfer_is_asked_for_again_and_its_passcode_is_not),
        CALL_TEST(test_resume__results_already_there_are_thought_about),
        CALL_TEST(test_resume__a_message_being_left_is_one_message),
        CALL_TEST(test_ledger__notes_what_runs_under_the_key_it_runs_under),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
