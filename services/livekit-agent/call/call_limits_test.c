/* call_limits_test.c - silence and time end a call, each with a word. */
#include "call_int.h"
#include "test/rig.h"

#include <string.h>

static void test_limits__a_silent_caller_is_asked_and_let_go(void **state)
{
    struct rig *r = *state;

    r->conf.idle_ms = 300;
    r->conf.idle_prompts = 1;
    greeted(r);
    fake.ms_per_char = 2;
    turn_until(r, is_over, 10000);
    assert_non_null(strstr(fake.tts_said, "Are you still there?"));
    assert_non_null(strstr(fake.tts_said, "hang up now"));
    assert_int_equal(fake.room_deleted, 1);
}

static void test_limits__in_the_agents_language(void **state)
{
    struct rig *r = *state;
    struct context *ctx = context("Hallo.");

    r->conf.idle_ms = 200;
    r->conf.idle_prompts = 0;
    memcpy(ctx->language, "de-DE", sizeof "de-DE"); /* as long as "en-US" */
    begin(r, ctx);
    come_in(r);
    fake.ms_per_char = 2;
    turn_until(r, is_over, 10000);
    assert_non_null(strstr(fake.tts_said, "lege jetzt auf"));
    assert_null(strstr(fake.tts_said, "noch da"));
}

static bool was_warned(struct rig *r)
{
    (void)r;
    return strstr(fake.tts_said, "time is almost up") != NULL;
}

static void test_limits__the_end_is_announced(void **state)
{
    struct rig *r = *state;

    r->conf.max_call_ms = 180000;
    greeted(r);
    call_on_limit(r->call); /* two minutes later */
    turn_until(r, was_warned, 5000);
    turn_until(r, is_listening, 5000);
    assert_false(r->over);
    call_on_limit(r->call);
    turn_until(r, is_over, 5000);
    assert_non_null(strstr(fake.tts_said, "Goodbye"));
}

static void test_limits__a_goodbye_that_never_ends_is_cut(void **state)
{
    struct rig *r = *state;

    greeted(r);
    fake.tts_holds = true;
    call_on_limit(r->call);
    call_on_limit(r->call);
    turn_until(r, is_over, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_limits__a_silent_caller_is_asked_and_let_go),
        CALL_TEST(test_limits__in_the_agents_language),
        CALL_TEST(test_limits__the_end_is_announced),
        CALL_TEST(test_limits__a_goodbye_that_never_ends_is_cut),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
