/* tool_refer_test.c - a caller who is put through by REFER: gone, not taken, or nobody knows. */
#include "test/rig.h"

#include <stdio.h>
#include <string.h>

static struct context *with_sales(void)
{
    static const char text[] =
        "{\"call_id\":\"" CALL "\",\"user_id\":\"" USER "\",\"agent_config_id\":\"" AGENT
        "\",\"from\":\"+15550109999\",\"to\":\"+15550100002\",\"settings\":{"
        "\"greeting_template\":\"Hi.\",\"transfer_numbers\":[{\"label\":\"sales\",\"phone_number\":"
        "\"+15550142000\",\"is_default\":true}],"
        "\"voice\":{\"responsiveness\":1,\"interruption_sensitivity\":1}}}";
    struct pat_json *j;
    struct context *c;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    assert_int_equal(context_parse(&c, j, NULL), PAT_OK);
    pat_json_free(j);
    return c;
}

static bool is_asked(struct rig *r)
{
    (void)r;
    return fake.llm_runs == 1;
}

static bool is_committed(struct rig *r)
{
    (void)r;
    return fake_event("turn.user") != NULL;
}

static bool is_referred(struct rig *r)
{
    (void)r;
    return fake.referred != NULL;
}

static bool has_tool(struct rig *r)
{
    (void)r;
    return fake_event("turn.tool") != NULL;
}

/* LiveKit has been asked to move the caller. */
static void refer(struct rig *r)
{
    static char by[] = "refer", uri[] = "tel:{number}";

    r->conf.transfer_by = by;
    r->conf.refer_uri = uri;
    begin(r, with_sales());
    come_in(r);
    turn_until(r, is_answered, 1000);
    turn_until(r, is_listening, 2000);
    fake_speak(10, true);
    fake_heard("please put me through to sales", true, true);
    fake_speak(10, false);
    turn_until(r, is_asked, 3000);
    turn_until(r, is_committed, 2000);
    fake_model_calls("call_1", "transfer_call", "{\"to\":\"sales\"}");
    fake_model_done(PAT_OK);
    turn_until(r, is_referred, 5000);
    assert_string_equal(fake.refer_to, "tel:+15550142000");
    assert_string_equal(fake.refer_whom, "sip_caller");
    assert_non_null(strstr(fake_event("call.transfer"), "\"outcome\":\"started\""));
    assert_null(strstr(fake_event("call.transfer"), "0142000"));
}

static void answer(int err, int sip_status)
{
    roomapi_refer_fn *fn = fake.referred;

    fake.referred = NULL;
    fn(err, sip_status, fake.referred_arg);
}

static void leave(void)
{
    struct rtc_participant p = caller(true, 1);

    fake.rtc->participant(&p, fake.rtc_arg);
}

static void test_refer__the_caller_leaves_and_the_call_was_transferred(void **state)
{
    struct rig *r = *state;

    refer(r);
    answer(PAT_OK, 0);
    assert_non_null(strstr(fake_event("call.transfer"), "\"outcome\":\"bridged\""));
    leave();
    assert_string_equal(call_reason(r->call), "transferred");
    assert_non_null(strstr(fake_event("turn.tool"), "\"outcome\":\"ok\""));
    assert_int_equal(fake_count("call.transfer"), 2);
    fake_leave(RTC_LEFT_BY_US);
    turn_until(r, is_over, 1000);
}

static void test_refer__whom_nobody_takes_goes_on_with_us(void **state)
{
    static const struct {
        int err, sip_status;
        const char *outcome;
    } table[] = {
        { PAT_EUPSTREAM, 486, "busy" },
        { PAT_EUPSTREAM, 603, "refused" },
        { PAT_ENOENT, 0, "failed" },
    };

    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct rig *r = *state;
        char want[40];

        refer(r);
        answer(table[i].err, table[i].sip_status);
        (void)snprintf(want, sizeof want, "\"outcome\":\"%s\"", table[i].outcome);
        assert_non_null(strstr(fake_event("call.transfer"), want));
        assert_non_null(strstr(fake_event("turn.tool"), "\"outcome\":\"failed\""));
        leave();
        assert_string_equal(call_reason(r->call), "caller_hangup");
        assert_int_equal(fake_count("call.transfer"), 2);
        rig_tear_down(state);
        rig_set_up(state);
    }
}

static void test_refer__an_unknown_outcome_is_seen_by_who_leaves(void **state)
{
    struct rig *r = *state;

    refer(r);
    answer(PAT_ETIMEDOUT, 0);
    assert_int_equal(fake_count("call.transfer"), 1);
    leave();
    assert_string_equal(call_reason(r->call), "transferred");
    assert_non_null(strstr(fake_event("call.transfer"), "\"outcome\":\"bridged\""));
    assert_non_null(strstr(fake_event("call.transfer"), "\"reason\":\"unknown\""));
}

static void test_refer__and_by_who_stays(void **state)
{
    struct rig *r = *state;

    refer(r);
    answer(PAT_ETIMEDOUT, 0);
    turn_until(r, has_tool, 9000);
    assert_non_null(strstr(fake_event("turn.tool"), "\"outcome\":\"timed_out\""));
    assert_non_null(strstr(fake_event("call.transfer"), "\"outcome\":\"failed\""));
    leave();
    assert_string_equal(call_reason(r->call), "caller_hangup");
}

static void test_refer__who_hangs_up_meanwhile_has_given_up(void **state)
{
    struct rig *r = *state;

    refer(r);
    leave();
    assert_null(fake.referred);
    assert_non_null(strstr(fake_event("call.transfer"), "\"reason\":\"caller_gave_up\""));
    assert_string_equal(call_reason(r->call), "caller_hangup");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_refer__the_caller_leaves_and_the_call_was_transferred),
        CALL_TEST(test_refer__whom_nobody_takes_goes_on_with_us),
        CALL_TEST(test_refer__an_unknown_outcome_is_seen_by_who_leaves),
        CALL_TEST(test_refer__and_by_who_stays),
        CALL_TEST(test_refer__who_hangs_up_meanwhile_has_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
