/* rates_test.c - what may be sent about prices, reratings and budgets. */
#include "rates_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define RATE                                                                                       \
    "\"provider\":\"openai\",\"component\":\"llm_in\",\"unit\":\"token\",\"price_microusd\":5,"    \
    "\"per\":1000,\"source\":\"contract\""

enum what { RATE_WHOLE, RATE_PART, RERATE, BUDGET, RETAIL, TIER };

static int check(enum what what, const char *text, struct pat_json_err *err)
{
    PAT_AUTO_JSON j = NULL;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    switch (what) {
    case RERATE:
        return rerate_check(j, err);
    case BUDGET:
        return budget_check(j, err);
    case RETAIL:
        return retail_check(j, err);
    case TIER:
        return tier_check(j, err);
    default:
        return rates_check(j, what == RATE_WHOLE, err);
    }
}

static void test_rates__good_ones_are_taken(void **state)
{
    static const struct {
        enum what what;
        const char *text;
    } table[] = {
        { RATE_WHOLE, "{" RATE "}" },
        { RATE_WHOLE, "{" RATE ",\"account\":\"openai-2\",\"model\":\"gpt-4o-mini\",\"minimum\":10,"
                      "\"step\":60,\"note\":null,\"end_previous\":true}" },
        { RATE_WHOLE, "{" RATE ",\"valid_from\":\"2026-12-01T00:00:00Z\",\"valid_to\":"
                      "\"2027-02-28T23:59:59.999+05:30\",\"read_on\":\"2028-02-29\"}" },
        { RATE_WHOLE, "{" RATE ",\"source_url\":\"https://example.com/prices?x=1\"}" },
        { RATE_PART, "{}" },
        { RATE_PART, "{\"valid_to\":null,\"note\":\"\"}" },
        { RERATE, "{\"from\":\"2026-11-01T00:00:00Z\",\"to\":\"2026-12-01T00:00:00Z\"}" },
        { BUDGET, "{}" },
        { RETAIL, "{\"tier\":\"standard\",\"microusd_per_minute\":120000}" },
        { RETAIL, "{\"tier\":\"gold-1\",\"microusd_per_minute\":0,\"note\":null,\"valid_from\":"
                  "\"2026-12-01T00:00:00Z\"}" },
        { TIER, "{\"tier\":\"gold-1\"}" },
        { BUDGET, "{\"monthly_microusd\":0,\"daily_microusd\":null,\"alert_percents\":[50,100]}" },
    };
    struct pat_json_err err;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (check(table[i].what, table[i].text, &err))
            fail_msg("%s: %s %s", table[i].text, err.path, err.what);
}

static void test_rates__what_is_wrong_is_named(void **state)
{
    static const struct {
        enum what what;
        const char *text, *path;
    } table[] = {
        { RATE_WHOLE, "[]", "body" },
        { RATE_WHOLE, "{}", "component" },
        { RATE_WHOLE, "{" RATE ",\"colour\":1}", "colour" },
        { RATE_PART, "{\"provider\":\"Open AI\"}", "provider" },
        { RATE_PART, "{\"provider\":null}", "provider" },
        { RATE_PART, "{\"component\":\"\"}", "component" },
        { RATE_PART, "{\"price_microusd\":-1}", "price_microusd" },
        { RATE_PART, "{\"price_microusd\":1.5}", "price_microusd" },
        { RATE_PART, "{\"price_microusd\":1e18}", "price_microusd" },
        { RATE_PART, "{\"per\":0}", "per" },
        { RATE_PART, "{\"step\":-60}", "step" },
        { RATE_PART, "{\"valid_from\":\"2026-12-01\"}", "valid_from" },
        { RATE_PART, "{\"valid_from\":\"2026-12-01T00:00:00\"}", "valid_from" },
        { RATE_PART, "{\"valid_from\":\"2026-02-29T00:00:00Z\"}", "valid_from" },
        { RATE_PART, "{\"valid_to\":\"2026-12-01T24:00:00Z\"}", "valid_to" },
        { RATE_PART, "{\"valid_to\":\"2026-12-01T00:00:00.Z\"}", "valid_to" },
        { RATE_PART, "{\"valid_to\":\"2026-12-01T00:00:00+25:00\"}", "valid_to" },
        { RATE_PART, "{\"read_on\":\"2026-13-01\"}", "read_on" },
        { RATE_PART, "{\"source\":\"\"}", "source" },
        { RATE_PART, "{\"source_url\":\"javascript:alert(1)\"}", "source_url" },
        { RATE_PART, "{\"end_previous\":\"yes\"}", "end_previous" },
        { RERATE, "{\"from\":\"2026-11-01T00:00:00Z\"}", "to" },
        { RERATE, "{\"from\":\"soon\",\"to\":\"2026-11-01T00:00:00Z\"}", "from" },
        { RERATE,
          "{\"from\":\"2026-11-01T00:00:00Z\",\"to\":\"2026-12-01T00:00:00Z\",\"user_id\":"
          "\"leo\"}",
          "user_id" },
        { BUDGET, "{\"monthly_microusd\":\"5\"}", "monthly_microusd" },
        { BUDGET, "{\"daily_microusd\":-5}", "daily_microusd" },
        { BUDGET, "{\"alert_percents\":[80,50]}", "alert_percents" },
        { BUDGET, "{\"alert_percents\":[101]}", "alert_percents" },
        { BUDGET, "{\"reserve_minutes\":0}", "reserve_minutes" },
        { RETAIL, "{\"tier\":\"gold\"}", "microusd_per_minute" },
        { RETAIL, "{\"tier\":\"Gold\",\"microusd_per_minute\":1}", "tier" },
        { RETAIL, "{\"tier\":\"gold\",\"microusd_per_minute\":-1}", "microusd_per_minute" },
        { RETAIL, "{\"tier\":\"gold\",\"microusd_per_minute\":1,\"valid_from\":\"now\"}",
          "valid_from" },
        { RETAIL, "{\"tier\":\"gold\",\"microusd_per_minute\":1,\"per\":1}", "per" },
        { TIER, "{}", "tier" },
        { TIER, "{\"tier\":\"\"}", "tier" },
        { TIER, "{\"tier\":null}", "tier" },
    };
    struct pat_json_err err;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        err = (struct pat_json_err){ { 0 }, { 0 } };
        if (check(table[i].what, table[i].text, &err) != PAT_EINVAL)
            fail_msg("%s was taken", table[i].text);
        assert_string_equal(err.path, table[i].path);
        assert_true(*err.what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates__good_ones_are_taken),
        cmocka_unit_test(test_rates__what_is_wrong_is_named),
    };

    return cmocka_run_group_tests_name("rates", tests, NULL, NULL);
}
