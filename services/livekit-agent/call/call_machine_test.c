/* call_machine_test.c - what a call does with an answering machine. */
#include "test/rig.h"

#include <string.h>

static char hang_up[] = "hang_up", message[] = "message",
            text[] = "This is Ada's assistant. Please call back.";

static void greeting_of_a_machine(void)
{
    fake_speak(220, true); /* more than four seconds */
    fake_heard("You have reached Bob. Please leave a message after the tone.", true, true);
}

static bool is_known(struct rig *r)
{
    (void)r;
    return fake_event("call.machine") != NULL;
}

static bool is_left(struct rig *r)
{
    (void)r;
    return strstr(fake.tts_said, "Please call back") != NULL;
}

static void test_machine__is_told_and_nothing_else_by_default(void **state)
{
    struct rig *r = *state;

    greeted(r);
    greeting_of_a_machine();
    turn_until(r, is_known, 1000);
    assert_non_null(strstr(fake_event("call.machine"), "\"action\":\"none\""));
    assert_false(r->over);
}

static void test_machine__is_hung_up_on_when_wished(void **state)
{
    struct rig *r = *state;

    r->conf.machine = hang_up;
    greeted(r);
    greeting_of_a_machine();
    turn_until(r, is_over, 3000);
    assert_int_equal(fake_count("call.machine"), 1);
}

static void test_machine__is_left_the_message_when_its_greeting_is_over(void **state)
{
    struct rig *r = *state;

    r->conf.machine = message;
    r->conf.machine_message = text;
    greeted(r);
    fake.ms_per_char = 2;
    greeting_of_a_machine();
    assert_non_null(strstr(fake_event("call.machine"), "\"action\":\"message\""));
    turn_until(r, is_left, 5000);
    turn_until(r, is_over, 8000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_machine__is_told_and_nothing_else_by_default),
        CALL_TEST(test_machine__is_hung_up_on_when_wished),
        CALL_TEST(test_machine__is_left_the_message_when_its_greeting_is_over),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
