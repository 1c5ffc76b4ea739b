/* call_dtmf_test.c - the telephone's keys in a call. */
#include "test/rig.h"

#include <string.h>

static void press(const char *keys)
{
    struct rtc_participant p = caller(false, 0);

    for (; *keys; keys++)
        fake.rtc->dtmf(&p, *keys, fake.rtc_arg);
}

static bool has_asked_model(struct rig *r)
{
    (void)r;
    return fake.messages != NULL;
}

static void test_call__keys_with_a_terminator_are_a_turn_at_once(void **state)
{
    struct rig *r = *state;

    r->conf.dtmf_pause_ms = 60000;
    greeted(r);
    press("12*4#");
    turn_until(r, has_asked_model, 1000);
    assert_non_null(strstr(fake.messages, "keypad: 12*4)"));
    assert_int_equal(int_in(fake_event("call.dtmf"), "count"), 4);
    assert_null(strstr(fake_event("call.dtmf"), "12*4"));
}

static void test_call__keys_are_a_turn_when_no_other_follows(void **state)
{
    struct rig *r = *state;

    r->conf.dtmf_pause_ms = 30;
    greeted(r);
    press("#7");
    assert_null(fake.messages);
    turn_until(r, has_asked_model, 1000);
    assert_non_null(strstr(fake.messages, "keypad: #7)"));
}

static bool keys_sent(struct rig *r)
{
    (void)r;
    return strlen(fake.keys) == 3;
}

static void test_call__sends_keys_one_after_the_other(void **state)
{
    struct rig *r = *state;

    greeted(r);
    assert_int_equal(call_send_dtmf(r->call, "12x"), PAT_EINVAL);
    assert_int_equal(call_send_dtmf(r->call, "1"), PAT_OK);
    assert_int_equal(call_send_dtmf(r->call, "w2#"), PAT_OK);
    turn_until(r, keys_sent, 5000);
    assert_string_equal(fake.keys, "12#");
    assert_non_null(strstr(fake_event("call.dtmf"), "\"direction\":\"out\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_call__keys_with_a_terminator_are_a_turn_at_once),
        CALL_TEST(test_call__keys_are_a_turn_when_no_other_follows),
        CALL_TEST(test_call__sends_keys_one_after_the_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
