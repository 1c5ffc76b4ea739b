/* provider_test.c - lists of providers, and who is asked next after what. */
#include "provider.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const struct provider_account accounts[] = {
    { "deepgram", VENDOR_DEEPGRAM, "wss://a", "k1", true, "nova-3", "", "" },
    { "openai", VENDOR_OPENAI, "https://a", "k2", true, "", "gpt-a", "tts-a" },
    { "openai-2", VENDOR_OPENAI, "https://b", "k3", true, "", "gpt-b", "tts-b" },
    { "elevenlabs", VENDOR_ELEVENLABS, "wss://e", "k4", true, "", "", "flash" },
    { "elevenlabs-2", VENDOR_ELEVENLABS, "", "", false, "", "", "flash" },
};
enum { N = sizeof accounts / sizeof accounts[0] };

struct seen {
    int downs, ups;
};

static void on_change(const struct provider *p, bool up, void *arg)
{
    struct seen *s = arg;

    assert_non_null(p);
    s->ups += up;
    s->downs += !up;
}

static struct providers *table(struct seen *s)
{
    struct providers *t;
    struct pat_buf err;

    memset(s, 0, sizeof *s);
    pat_buf_init(&err, 200);
    assert_int_equal(providers_new(&t, NULL, on_change, s), PAT_OK);
    assert_int_equal(
        providers_chain(t, PROVIDER_LLM, "openai:m1, openai-2,openai:m2:x", accounts, N, &err),
        PAT_OK);
    assert_int_equal(providers_chain(t, PROVIDER_TTS, "elevenlabs,openai", accounts, N, &err),
                     PAT_OK);
    pat_buf_fini(&err);
    return t;
}

static void test_chain__is_read_in_order_with_default_models(void **state)
{
    struct seen seen;
    struct providers *t = table(&seen);
    const struct provider_chain *c = providers_of(t, PROVIDER_LLM);

    (void)state;
    assert_int_equal(c->n, 3);
    assert_string_equal(c->at[0]->name, "openai");
    assert_string_equal(c->at[0]->model, "m1");
    assert_string_equal(c->at[1]->model, "gpt-b");
    assert_string_equal(c->at[1]->url, "https://b");
    assert_string_equal(c->at[1]->key, "k3");
    assert_string_equal(c->at[2]->model, "m2:x");
    assert_int_equal(providers_of(t, PROVIDER_STT)->n, 0);
    providers_free(t);
}

static void test_chain__says_what_is_wrong_with_a_list(void **state)
{
    static const struct {
        enum provider_part part;
        const char *list, *says;
    } rows[] = {
        { PROVIDER_LLM, "", "names nobody" },
        { PROVIDER_LLM, "openai,mistral:x", "mistral:x: no such provider" },
        { PROVIDER_LLM, "elevenlabs", "elevenlabs: cannot do that" },
        { PROVIDER_TTS, "elevenlabs-2", "elevenlabs-2: has neither key" },
        { PROVIDER_STT, "deepgram:", "deepgram:: needs a model" },
        { PROVIDER_STT,
          "deepgram,deepgram,deepgram,deepgram,deepgram,deepgram,deepgram,deepgram,"
          "deepgram",
          "more than 8" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pat_buf err;

        pat_buf_init(&err, 400);
        assert_int_equal(providers_check(rows[i].part, rows[i].list, accounts, N, &err),
                         PAT_EINVAL);
        assert_non_null(err.data);
        assert_non_null(strstr(err.data, rows[i].says));
        pat_buf_fini(&err);
    }
}

static void test_pick__leaves_out_who_failed_three_times_and_probes_later(void **state)
{
    struct seen seen;
    struct providers *t = table(&seen);
    const struct provider_chain *c = providers_of(t, PROVIDER_LLM);

    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(provider_pick(c, 0, 1000), 0);
        provider_failed(t, c->at[0], FAULT_SERVER, 0, 1000);
    }
    assert_int_equal(seen.downs, 1);
    assert_int_equal(provider_pick(c, 0, 1000), 1);
    assert_int_equal(provider_pick(c, 1U << 1, 1000), 2);
    assert_int_equal(provider_pick(c, 0, 16000), 0); /* the probe ... */
    assert_int_equal(provider_pick(c, 0, 16000), 1); /* ... is one call's */
    provider_worked(t, c->at[0]);
    assert_int_equal(seen.ups, 1);
    assert_int_equal(provider_pick(c, 0, 16000), 0);
    providers_free(t);
}

static void test_pick__when_all_are_down_somebody_is_asked_all_the_same(void **state)
{
    struct seen seen;
    struct providers *t = table(&seen);
    const struct provider_chain *c = providers_of(t, PROVIDER_LLM);

    (void)state;
    for (size_t i = 0; i < c->n; i++)
        for (int n = 0; n < 3; n++)
            provider_failed(t, c->at[i], FAULT_TIMEOUT, 0, 0);
    assert_int_equal(provider_pick(c, 0, 1), 0);
    assert_int_equal(provider_pick(c, 1, 1), 1);
    assert_int_equal(provider_pick(c, 7, 1), -1);
    providers_free(t);
}

static void test_fault__a_wrong_key_closes_the_whole_account_and_is_not_tried_again(void **state)
{
    struct seen seen;
    struct providers *t = table(&seen);
    const struct provider_chain *c = providers_of(t, PROVIDER_LLM);

    (void)state;
    provider_failed(t, c->at[0], FAULT_AUTH, 0, 0);
    assert_int_equal(seen.downs, 3); /* two models and a voice */
    provider_failed(t, c->at[0], FAULT_AUTH, 0, 10);
    assert_int_equal(seen.downs, 3); /* told once */
    assert_int_equal(provider_pick(c, 0, 100), 1);
    assert_int_equal(provider_pick(c, 1U << 1, 100), -1);
    assert_int_equal(provider_pick(providers_of(t, PROVIDER_TTS), 1, 100), -1);
    assert_int_equal(provider_pick(c, 0, 60010), 0); /* somebody may have mended it */
    assert_int_equal(provider_same_account(c, 0), 5);
    providers_free(t);
}

static void test_fault__too_many_requests_waits_as_long_as_the_vendor_says(void **state)
{
    struct seen seen;
    struct providers *t = table(&seen);
    const struct provider_chain *c = providers_of(t, PROVIDER_LLM);

    (void)state;
    provider_failed(t, c->at[0], FAULT_RATE, 7000, 0);
    assert_int_equal(provider_pick(c, 0, 6999), 1);
    assert_int_equal(provider_pick(c, 0, 7000), 0);
    provider_worked(t, c->at[0]);
    provider_failed(t, c->at[0], FAULT_RATE, 3600000, 10000);
    assert_int_equal(provider_pick(c, 0, 70000), 0); /* no vendor is gone for an hour by a word */
    providers_free(t);
}

static void test_fault__of_our_own_request_says_nothing_about_the_provider(void **state)
{
    struct seen seen;
    struct providers *t = table(&seen);
    const struct provider_chain *c = providers_of(t, PROVIDER_LLM);

    (void)state;
    for (int i = 0; i < 10; i++) {
        provider_failed(t, c->at[0], FAULT_CONTENT, 0, 0);
        provider_failed(t, c->at[0], FAULT_REQUEST, 0, 0);
    }
    assert_int_equal(seen.downs, 0);
    assert_int_equal(provider_pick(c, 0, 0), 0);
    providers_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chain__is_read_in_order_with_default_models),
        cmocka_unit_test(test_chain__says_what_is_wrong_with_a_list),
        cmocka_unit_test(test_pick__leaves_out_who_failed_three_times_and_probes_later),
        cmocka_unit_test(test_pick__when_all_are_down_somebody_is_asked_all_the_same),
        cmocka_unit_test(test_fault__a_wrong_key_closes_the_whole_account_and_is_not_tried_again),
        cmocka_unit_test(test_fault__too_many_requests_waits_as_long_as_the_vendor_says),
        cmocka_unit_test(test_fault__of_our_own_request_says_nothing_about_the_provider),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
