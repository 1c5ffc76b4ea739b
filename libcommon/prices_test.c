/* prices_test.c - to the millionth of a dollar; the cases of costs.json are the database's too. */
#include "test/cmocka.h"

#include "prices.h"

#include <stdio.h>
#include <string.h>

static struct pat_json *json(const char *text)
{
    struct pat_json *j;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    return j;
}

static void test_cost__is_exact_in_every_case_of_the_table(void **state)
{
    static char text[16 * 1024];
    FILE *f = fopen(PAT_COST_CASES, "r");
    struct pat_json *cases;
    size_t n = 0;

    (void)state;
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = 0;
    fclose(f);
    cases = json(text);
    PAT_JSON_EACH(j, cases)
    {
        const struct pat_price price = { pat_json_int_or(j, "price_microusd", -1),
                                         pat_json_int_or(j, "per", 0),
                                         pat_json_int_or(j, "minimum", 0),
                                         pat_json_int_or(j, "step", 0) };
        int64_t cost = -1;

        assert_int_equal(pat_price_cost(&price, pat_json_int_or(j, "milli", -1), &cost), PAT_OK);
        if (cost != pat_json_int_or(j, "microusd", -1))
            fail_msg("%s: %lld", pat_json_str_or(j, "why", ""), (long long)cost);
        n++;
    }
    assert_true(n > 10);
    pat_json_free(cases);
}

static void test_cost__refuses_what_no_number_holds(void **state)
{
    static const struct {
        struct pat_price price;
        int64_t milli;
        int err;
    } rows[] = {
        { { 1, 0, 0, 0 }, 1, PAT_EINVAL },        { { -1, 1, 0, 0 }, 1, PAT_EINVAL },
        { { 1, 1, 0, 0 }, -1, PAT_EINVAL },       { { INT64_MAX, 1, 0, 0 }, 2, PAT_E2BIG },
        { { 1, INT64_MAX, 0, 0 }, 1, PAT_E2BIG }, { { 1, 1, INT64_MAX, 0 }, 1, PAT_E2BIG },
        { { 1, 1, 0, INT64_MAX }, 1, PAT_E2BIG }, { { 1, 1, 0, 60 }, INT64_MAX, PAT_E2BIG },
    };
    int64_t cost;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(pat_price_cost(&rows[i].price, rows[i].milli, &cost), rows[i].err);
}

static const char book[] =
    "[{\"provider\":\"elevenlabs\",\"component\":\"tts_chars\",\"model\":\"flash\",\"valid_from_ms\":"
    "1000,\"price_microusd\":50000,\"per\":1000},"
    "{\"provider\":\"elevenlabs\",\"component\":\"tts_chars\",\"model\":\"flash\",\"valid_from_ms\":"
    "2000,\"price_microusd\":40000,\"per\":1000},"
    "{\"provider\":\"livekit\",\"component\":\"agent\",\"model\":\"\",\"valid_from_ms\":0,"
    "\"price_microusd\":10000,\"per\":60,\"minimum\":10}]";

static void test_book__has_the_price_of_the_moment(void **state)
{
    static const struct {
        const char *provider, *component, *model;
        int64_t at_ms;
        int err;
        int64_t microusd;
    } rows[] = {
        { "elevenlabs", "tts_chars", "flash", 999, PAT_ENOENT, 0 },
        { "elevenlabs", "tts_chars", "flash", 1000, PAT_OK, 50000 },
        { "elevenlabs", "tts_chars", "flash", 1999, PAT_OK, 50000 },
        { "elevenlabs", "tts_chars", "flash", 5000, PAT_OK, 40000 },
        { "elevenlabs", "tts_chars", "other", 5000, PAT_ENOENT, 0 },
        { "elevenlabs", "tts_chars", NULL, 5000, PAT_ENOENT, 0 },
        { "openai", "tts_chars", "flash", 5000, PAT_ENOENT, 0 },
        { "livekit", "agent", "", 5000, PAT_OK, 166667 },
        { "livekit", "agent", "some", 5000, PAT_OK, 166667 },
    };
    struct pat_json *j = json(book);
    struct pat_prices *p;

    (void)state;
    assert_int_equal(pat_prices_parse(&p, j, NULL), PAT_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct pat_metered m = { rows[i].provider, rows[i].component, rows[i].model, 1000000,
                                       rows[i].at_ms };
        int64_t cost = 0;

        assert_int_equal(pat_prices_cost(p, &m, &cost), rows[i].err);
        assert_int_equal(cost, rows[i].microusd);
    }
    pat_prices_free(p);
    pat_json_free(j);
}

/* As the database counts: tests/integration/test_rates.py. */
static void test_book__the_houses_own_goes_before_a_shipped_one_while_it_holds(void **state)
{
    static const char both[] =
        "[{\"provider\":\"v\",\"component\":\"c\",\"model\":\"m\",\"valid_from_ms\":0,"
        "\"price_microusd\":1,\"per\":1},"
        "{\"provider\":\"v\",\"component\":\"c\",\"model\":\"m\",\"valid_from_ms\":1000,"
        "\"price_microusd\":2,\"per\":1,\"house\":true,\"valid_to_ms\":2000},"
        "{\"provider\":\"v\",\"component\":\"c\",\"model\":\"m\",\"valid_from_ms\":1500,"
        "\"price_microusd\":3,\"per\":1},"
        "{\"provider\":\"v\",\"component\":\"c\",\"model\":\"\",\"valid_from_ms\":0,"
        "\"price_microusd\":4,\"per\":1,\"house\":true}]";
    static const struct {
        const char *model;
        int64_t at_ms, microusd;
    } rows[] = {
        { "m", 999, 1 }, { "m", 1000, 2 }, { "m", 1999, 2 }, { "m", 2000, 3 }, { "x", 0, 4 }
    };
    struct pat_json *j = json(both);
    struct pat_prices *p;

    (void)state;
    assert_int_equal(pat_prices_parse(&p, j, NULL), PAT_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct pat_metered m = { "v", "c", rows[i].model, 1000, rows[i].at_ms };
        int64_t cost = 0;

        assert_int_equal(pat_prices_cost(p, &m, &cost), PAT_OK);
        assert_int_equal(cost, rows[i].microusd);
    }
    pat_prices_free(p);
    pat_json_free(j);
}

static void test_book__that_makes_no_sense_is_refused(void **state)
{
    static const char *const rows[] = {
        "{}",
        "[1]",
        "[{\"provider\":\"x\",\"component\":\"y\",\"model\":\"\",\"valid_from_ms\":0,\"price_"
        "microusd\":1,\"per\":0}]",
        "[{\"provider\":\"x\",\"component\":\"y\",\"model\":\"\",\"valid_from_ms\":0,\"price_"
        "microusd\":-1,\"per\":1}]",
        "[{\"provider\":\"a provider of thirty-two letters and more\",\"component\":\"y\",\"model\":"
        "\"\",\"valid_from_ms\":0,\"price_microusd\":1,\"per\":1}]",
    };
    struct pat_prices *p;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pat_json *j = json(rows[i]);

        assert_int_equal(pat_prices_parse(&p, j, NULL), PAT_EINVAL);
        pat_json_free(j);
    }
    assert_int_equal(
        pat_prices_cost(NULL, &(struct pat_metered){ "a", "b", "c", 1, 1 }, &(int64_t){ 0 }),
        PAT_ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost__is_exact_in_every_case_of_the_table),
        cmocka_unit_test(test_cost__refuses_what_no_number_holds),
        cmocka_unit_test(test_book__has_the_price_of_the_moment),
        cmocka_unit_test(test_book__the_houses_own_goes_before_a_shipped_one_while_it_holds),
        cmocka_unit_test(test_book__that_makes_no_sense_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
