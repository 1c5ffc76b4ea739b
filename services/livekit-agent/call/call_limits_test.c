/* call_limits_test.c - silence and time end a call, each with a word. */
#include "call_int.h"
#include "test/rig.h"

#include <stdlib.h>
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

static void test_limits__a_call_may_be_given_less(void **state)
{
    struct rig *r = *state;

    greeted(r);
    r->call->ctx->max_call_ms = (int64_t)1 << 40;
    assert_int_equal(call_longest_ms(r->call), r->conf.max_call_ms);
    r->call->ctx->max_call_ms = 50; /* of a call from a browser */
    assert_int_equal(call_longest_ms(r->call), 50);
    call_limits_start(r->call);
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

static bool has_usage(struct rig *r)
{
    return r->over && fake_event("usage.recorded");
}

static void test_limits__a_call_may_cost_only_so_much(void **state)
{
    static const char book[] =
        "[{\"provider\":\"elevenlabs\",\"component\":\"tts_chars\",\"model\":\"\","
        "\"valid_from_ms\":0,\"price_microusd\":5000,\"per\":1}]";
    struct rig *r = *state;
    struct pat_json *rows;

    assert_int_equal(pat_json_parse(&rows, book, strlen(book), NULL), PAT_OK);
    assert_int_equal(pat_price_book_new(&r->env.prices, r->loop, NULL), PAT_OK);
    assert_int_equal(pat_price_book_put(r->env.prices, rows), PAT_OK);
    pat_json_free(rows);
    r->conf.max_call_cents = 1; /* two characters */
    greeted(r);
    turn_until(r, has_usage, 10000);
    assert_non_null(strstr(fake.tts_said, "reached its limit"));
    assert_int_equal(int_in(fake_event("call.limit"), "max"), 10000);
    assert_true(int_in(fake_event("call.limit"), "used") >= 10000);
    pat_price_book_free(r->env.prices);
    r->env.prices = NULL;
}

static void test_limits__without_prices_there_is_none_in_money(void **state)
{
    struct rig *r = *state;

    r->conf.max_call_cents = 1;
    greeted(r);
    call_hang_up(r->call, "idle", false);
    turn_until(r, has_usage, 5000);
    assert_null(fake_event("call.limit"));
}

static void test_usage__is_told_once_of_each_kind(void **state)
{
    static const char *const told[] = { "\"stt\"", "\"stt_audio\"", "\"tts_chars\"", "\"agent\"",
                                        "\"sip\"" };
    struct rig *r = *state;

    greeted(r);
    fake_speak(10, false);
    call_hang_up(r->call, "idle", false);
    turn_until(r, has_usage, 5000);
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        int n = 0;

        for (int k = 0; k < fake.events; k++)
            n += strcmp(fake.event[k].name, "usage.recorded") == 0 &&
                 strstr(fake.event[k].data, told[i]) != NULL;
        assert_int_equal(n, 1);
    }
}

/* What the events of this component say, and how many there are. */
static int told(const char *component, double *quantity)
{
    int n = 0;

    for (int k = 0; k < fake.events; k++) {
        PAT_AUTO_JSON j = NULL;

        if (strcmp(fake.event[k].name, "usage.recorded") != 0)
            continue;
        assert_int_equal(pat_json_parse(&j, fake.event[k].data, strlen(fake.event[k].data), NULL),
                         PAT_OK);
        if (strcmp(pat_json_str_or(j, "component", ""), component) != 0)
            continue;
        *quantity = pat_json_num_or(j, "quantity", -1);
        n++;
    }
    return n;
}

/* began, heard, written: seconds ago. */
static struct pat_json *left_behind(int began, int heard, int written)
{
    struct pat_json *j = pat_json_obj();
    int64_t now_ms = pat_unix_ms();

    pat_json_set_int(j, "began_ms", now_ms - began * 1000);
    pat_json_set_int(j, "hears_ms", now_ms - heard * 1000);
    pat_json_set_int(j, "at_ms", now_ms - written * 1000);
    pat_json_set_bool(j, "answered", true);
    pat_json_set_str(j, "state", "listening");
    pat_json_set_bool(j, "sip", true);
    pat_json_set_text(j, "used",
                      "{\"segment\":2,\"lines\":[{\"component\":\"llm_out\",\"account\":\"openai\","
                      "\"model\":\"m\",\"milli\":7000}]}");
    return j;
}

/* saved as it comes out of NATS. */
static void go_on_with(struct rig *r, const struct pat_json *left)
{
    PAT_AUTO_STR text = pat_json_print(left);
    PAT_AUTO_JSON saved = NULL;

    assert_int_equal(pat_json_parse(&saved, text, strlen(text), NULL), PAT_OK);
    take_over(r, context("Hello."), saved);
}

/* All agents died, the caller has hung up, and much later there is an agent again. */
static void test_usage__of_a_call_whose_caller_is_gone_ends_with_the_last_mark(void **state)
{
    struct rig *r = *state;
    PAT_AUTO_JSON left = left_behind(300, 290, 200);
    double n = 0;

    go_on_with(r, left);
    fake.rtc->joined(fake.rtc_arg);
    call_hang_up(r->call, "caller_lost", false);
    turn_until(r, has_usage, 5000);
    assert_int_equal(told("llm_out", &n), 1);
    assert_true(n == 7);
    assert_int_equal(told("participant", &n), 0);
    assert_int_equal(told("sip", &n), 1);
    assert_true(n >= 90 && n < 91);
}

/* Handed on twice, the leg still began when it began. */
static void test_checkpoint__says_since_when_the_caller_has_been_heard(void **state)
{
    struct rig *r = *state;
    PAT_AUTO_JSON left = left_behind(300, 290, 1);
    int64_t hears_ms = pat_json_int_or(left, "hears_ms", 0);
    struct pat_json *next;

    go_on_with(r, left);
    fake.rtc->joined(fake.rtc_arg);
    next = checkpoint_make(r->call);
    assert_true(llabs(pat_json_int_or(next, "hears_ms", 0) - hears_ms) < 50);
    pat_json_free(next);
    call_hang_up(r->call, "idle", false);
    turn_until(r, has_usage, 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_limits__a_silent_caller_is_asked_and_let_go),
        CALL_TEST(test_limits__in_the_agents_language),
        CALL_TEST(test_limits__the_end_is_announced),
        CALL_TEST(test_limits__a_call_may_be_given_less),
        CALL_TEST(test_limits__a_goodbye_that_never_ends_is_cut),
        CALL_TEST(test_limits__a_call_may_cost_only_so_much),
        CALL_TEST(test_limits__without_prices_there_is_none_in_money),
        CALL_TEST(test_usage__is_told_once_of_each_kind),
        CALL_TEST(test_usage__of_a_call_whose_caller_is_gone_ends_with_the_last_mark),
        CALL_TEST(test_checkpoint__says_since_when_the_caller_has_been_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
