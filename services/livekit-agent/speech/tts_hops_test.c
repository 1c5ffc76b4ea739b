/* tts_hops_test.c - which voice speaks next after what went wrong. */
#include "tts_hops.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct providers *table(const char *list)
{
    static const struct provider_account a[] = {
        { "elevenlabs", VENDOR_ELEVENLABS, "", "", true, "", "", "m" },
        { "elevenlabs-2", VENDOR_ELEVENLABS, "", "", true, "", "", "m" },
        { "openai", VENDOR_OPENAI, "", "", true, "", "", "m" },
    };
    struct providers *t;
    struct pat_buf err;

    pat_buf_init(&err, 100);
    assert_int_equal(providers_new(&t, NULL, NULL, NULL), PAT_OK);
    assert_int_equal(providers_chain(t, PROVIDER_TTS, list, a, 3, &err), PAT_OK);
    pat_buf_fini(&err);
    return t;
}

static const char *name(const struct tts_hops *h, int i, char out[60])
{
    if (i < 0)
        return "";
    snprintf(out, 60, "%s:%.6s", h->at[i].by->name, h->at[i].voice.id);
    return out;
}

static void test_hops__go_to_the_next_of_use(void **state)
{
    static const struct {
        const char *voice;
        enum provider_fault faults[4];
        int n;
        const char *order;
    } rows[] = {
        { "11labs-Brian",
          { FAULT_SERVER, FAULT_SERVER, FAULT_SERVER },
          3,
          "elevenlabs:nPczCj elevenlabs-2:nPczCj openai:onyx " },
        { "11labs-Brian",
          { FAULT_VOICE, FAULT_SERVER, FAULT_SERVER },
          3,
          "elevenlabs:nPczCj elevenlabs:CwhRBW elevenlabs-2:CwhRBW openai:onyx" },
        { "11labs-Brian",
          { FAULT_AUTH, FAULT_QUOTA, FAULT_AUTH },
          3,
          "elevenlabs:nPczCj elevenlabs-2:nPczCj openai:onyx " },
        { "openai-nova",
          { FAULT_TIMEOUT, FAULT_SERVER },
          2,
          "openai:nova elevenlabs:EXAVIT elevenlabs-2:EXAVIT" },
        { "abcdefghij0123456789",
          { FAULT_VOICE, FAULT_CONNECTION, FAULT_RATE },
          3,
          "elevenlabs:abcdef elevenlabs:EXAVIT elevenlabs-2:EXAVIT openai:shimme" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct providers *t = table("elevenlabs,elevenlabs-2,openai");
        struct voice v = voice_resolve(rows[i].voice), fallback = voice_resolve("openai-shimmer");
        struct tts_hops h;
        char order[300] = "", one[60];

        tts_hops_plan(&h, providers_of(t, PROVIDER_TTS), &v, &fallback);
        for (int k = 0; k <= rows[i].n; k++) {
            int hop = tts_hops_pick(&h, 100);
            size_t at = strlen(order);

            snprintf(order + at, sizeof order - at, "%s%s", k ? " " : "", name(&h, hop, one));
            if (hop < 0 || k == rows[i].n)
                break;
            tts_hops_failed(&h, hop, rows[i].faults[k], 100);
            provider_failed(t, h.at[hop].by, rows[i].faults[k], 0, 100);
        }
        assert_string_equal(order, rows[i].order);
        providers_free(t);
    }
}

static void test_hops__go_back_when_the_better_one_has_rested(void **state)
{
    struct providers *t = table("elevenlabs,openai");
    struct voice v = voice_resolve("11labs-Brian");
    struct tts_hops h;
    int hop;

    (void)state;
    tts_hops_plan(&h, providers_of(t, PROVIDER_TTS), &v, &v);
    hop = tts_hops_pick(&h, 100);
    tts_hops_failed(&h, hop, FAULT_CONNECTION, 100);
    hop = tts_hops_pick(&h, 100);
    assert_string_equal(h.at[hop].by->name, "openai");
    assert_false(tts_hops_may_return(&h, hop, 100 + TTS_HOP_REST_MS - 1));
    assert_true(tts_hops_may_return(&h, hop, 100 + TTS_HOP_REST_MS));
    for (int i = 0; i < 3; i++)
        provider_failed(t, h.at[0].by, FAULT_CONNECTION, 0, 100 + TTS_HOP_REST_MS);
    assert_false(tts_hops_may_return(&h, hop, 100 + TTS_HOP_REST_MS)); /* others know it is down */
    providers_free(t);
}

static void test_hops__what_others_have_learnt_counts_from_the_start(void **state)
{
    struct providers *t = table("elevenlabs,openai");
    struct voice v = voice_resolve("11labs-Sarah");
    struct tts_hops h;

    (void)state;
    provider_failed(t, providers_of(t, PROVIDER_TTS)->at[0], FAULT_AUTH, 0, 100);
    tts_hops_plan(&h, providers_of(t, PROVIDER_TTS), &v, &v);
    assert_string_equal(h.at[tts_hops_pick(&h, 200)].voice.id, "shimmer");
    providers_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hops__go_to_the_next_of_use),
        cmocka_unit_test(test_hops__go_back_when_the_better_one_has_rested),
        cmocka_unit_test(test_hops__what_others_have_learnt_counts_from_the_start),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
