/* usage_test.c - quantities by who bills them. */
#include "usage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_usage__is_told_apart_by_account_and_model(void **state)
{
    struct usage u = { .n = 0 };

    (void)state;
    usage_add(&u, USAGE_LLM_OUT, "openai", "a", 5000);
    usage_add(&u, USAGE_LLM_OUT, "openai-2", "a", 1000);
    usage_add(&u, USAGE_LLM_OUT, "openai", "b", 2000);
    usage_add(&u, USAGE_LLM_OUT, "openai", "a", 3000);
    usage_add(&u, USAGE_LLM_IN, "openai", "a", 9000);
    usage_add(&u, USAGE_STT, "deepgram", NULL, 0);
    assert_int_equal(u.n, 4);
    assert_int_equal(u.line[0].milli, 8000);
    assert_int_equal(usage_sum(&u, USAGE_LLM_OUT), 11000);
    assert_int_equal(usage_sum(&u, USAGE_STT), 0);
}

static void test_usage__goes_on_where_another_agent_stopped(void **state)
{
    struct usage u = { .n = 0 }, next = { .n = 0 };
    struct pat_json *saved;

    (void)state;
    for (int w = 0; w < USAGE_WHATS; w++)
        usage_add(&u, (enum usage_what)w, "openai-2", w % 2 ? "m" : "", 1000 + w);
    saved = usage_save(&u);
    usage_load(&next, saved);
    usage_load(&next, NULL);
    assert_int_equal(next.n, USAGE_WHATS);
    for (size_t i = 0; i < next.n; i++) {
        assert_int_equal(next.line[i].what, u.line[i].what);
        assert_string_equal(next.line[i].model, u.line[i].model);
        assert_int_equal(next.line[i].milli, u.line[i].milli);
    }
    usage_add_all(&next, &u);
    assert_int_equal(next.n, USAGE_WHATS);
    assert_int_equal(usage_sum(&next, USAGE_STT), 2000);
    pat_json_free(saved);
}

static void test_usage__without_room_is_counted_as_lost(void **state)
{
    struct usage u = { .n = 0 };
    char model[20];

    (void)state;
    for (int i = 0; i < USAGE_LINES + 3; i++) {
        (void)snprintf(model, sizeof model, "m%d", i);
        usage_add(&u, USAGE_TTS, "elevenlabs", model, 1);
    }
    assert_int_equal(u.n, USAGE_LINES);
    assert_int_equal(u.lost, 3);
}

static void test_vendor__is_whose_account_it_is(void **state)
{
    static const char *const rows[][2] = { { "openai", "openai" },
                                           { "openai-2", "openai" },
                                           { "deepgram-3", "deepgram" },
                                           { "x-y", "x-y" },
                                           { "livekit-", "livekit-" } };
    char vendor[32];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        usage_vendor(rows[i][0], vendor);
        assert_string_equal(vendor, rows[i][1]);
    }
}

static void test_cost__takes_the_accounts_own_price_first_and_says_what_has_none(void **state)
{
    static const char text[] =
        "[{\"provider\":\"openai\",\"component\":\"llm_out\",\"model\":\"a\",\"valid_from_ms\":0,"
        "\"price_microusd\":10,\"per\":1},"
        "{\"provider\":\"openai-2\",\"component\":\"llm_out\",\"model\":\"\",\"valid_from_ms\":0,"
        "\"price_microusd\":7,\"per\":1}]";
    struct usage u = { .n = 0 };
    struct pat_prices *p;
    struct pat_json *j;
    size_t unpriced;

    (void)state;
    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    assert_int_equal(pat_prices_parse(&p, j, NULL), PAT_OK);
    usage_add(&u, USAGE_LLM_OUT, "openai", "a", 3000);
    usage_add(&u, USAGE_LLM_OUT, "openai-2", "a", 1000);
    usage_add(&u, USAGE_LLM_OUT, "openai-3", "a", 2000);
    usage_add(&u, USAGE_LLM_OUT, "openai", "b", 2000);
    assert_int_equal(usage_cost(&u, p, 5, &unpriced), 30 + 7 + 20);
    assert_int_equal(unpriced, 1);
    assert_int_equal(usage_cost(&u, NULL, 5, &unpriced), 0);
    assert_int_equal(unpriced, 4);
    pat_prices_free(p);
    pat_json_free(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage__is_told_apart_by_account_and_model),
        cmocka_unit_test(test_usage__goes_on_where_another_agent_stopped),
        cmocka_unit_test(test_usage__without_room_is_counted_as_lost),
        cmocka_unit_test(test_vendor__is_whose_account_it_is),
        cmocka_unit_test(test_cost__takes_the_accounts_own_price_first_and_says_what_has_none),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
