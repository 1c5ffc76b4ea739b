/* rollout_gate_test.c - worse, not worse, or nobody knows. */
#include "rollout_gate.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool near(double a, double b)
{
    return fabs(a - b) < 0.0005;
}

/* Wilson 1927; the figures are those of Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1
 * of 29. */
static void test_gate__a_share_has_wilsons_interval(void **state)
{
    static const struct {
        double n, hits, low, high;
    } table[] = {
        { 263, 81, 0.2553, 0.3662 },
        { 148, 15, 0.0624, 0.1605 },
        { 20, 0, 0.0000, 0.1611 },
        { 29, 1, 0.0061, 0.1718 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct gate_side s = gate_share(table[i].n, table[i].hits);

        assert_true(near(s.low, table[i].low));
        assert_true(near(s.high, table[i].high));
    }
}

/* Newcombe 1998 (difference), table II, method 10: 56/70 - 48/80, and 10/10 - 0/10. */
static void test_gate__a_difference_of_shares_has_newcombes_interval(void **state)
{
    static const struct {
        double hits, n, hits0, n0, low, high;
    } table[] = {
        { 56, 70, 48, 80, 0.0524, 0.3339 },
        { 10, 10, 0, 10, 0.6075, 1.0000 },
    };
    const struct gate_rule rule = { 0.02, 0, 6 };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct gate_side fresh = gate_share(table[i].n, table[i].hits),
                         old = gate_share(table[i].n0, table[i].hits0);
        struct gate_result r = gate_judge(&rule, &fresh, &old);

        assert_true(near(r.low, table[i].low));
        assert_true(near(r.high, table[i].high));
        assert_int_equal(r.verdict, GATE_FAIL);
    }
}

static void test_gate__is_decided_by_where_all_of_the_interval_is(void **state)
{
    static const struct {
        double n, failed, n0, failed0;
        enum gate_verdict verdict;
        const char *why;
    } table[] = {
        { 200, 1, 400, 2, GATE_PASS, "not worse" },
        { 50, 10, 400, 2, GATE_FAIL, "worse than" },
        { 40, 2, 400, 2, GATE_INCONCLUSIVE, "either" },     /* 5 % of 40 may be chance */
        { 29, 29, 400, 2, GATE_INCONCLUSIVE, "new stack" }, /* too few, however bad */
        { 200, 1, 29, 0, GATE_INCONCLUSIVE, "old stack" },
        { 0, 0, 0, 0, GATE_INCONCLUSIVE, "new stack" },
    };
    const struct gate_rule rule = { 0.05, 0, 30 };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct gate_side fresh = gate_share(table[i].n, table[i].failed),
                         old = gate_share(table[i].n0, table[i].failed0);
        struct gate_result r = gate_judge(&rule, &fresh, &old);

        assert_int_equal(r.verdict, table[i].verdict);
        assert_non_null(strstr(r.why, table[i].why));
    }
}

static void test_gate__a_margin_may_be_relative(void **state)
{
    const struct gate_rule rule = { .relative = 0.25, .min_calls = 30 };
    const struct gate_side old = { 100, 800, 780, 820 }, slower = { 100, 950, 930, 970 },
                           much = { 100, 1200, 1150, 1250 }, wide = { 100, 950, 800, 1300 };

    (void)state;
    assert_int_equal(gate_judge(&rule, &slower, &old).verdict, GATE_PASS);
    assert_int_equal(gate_judge(&rule, &much, &old).verdict, GATE_FAIL);
    assert_int_equal(gate_judge(&rule, &wide, &old).verdict, GATE_INCONCLUSIVE);
    assert_true(near(gate_judge(&rule, &slower, &old).margin, 200));
}

/* Ten calls of one minute at 100, and of two at 220: 180 a minute, and how sure. */
static void test_gate__a_ratio_is_of_sums(void **state)
{
    struct gate_sums s = { 0 };
    struct gate_side r;

    (void)state;
    for (int i = 0; i < 20; i++) {
        double x = i % 2 + 1, y = i % 2 ? 440 : 100;

        s.n++;
        s.x += x;
        s.y += y;
        s.xx += x * x;
        s.yy += y * y;
        s.xy += x * y;
    }
    r = gate_ratio(&s);
    assert_true(near(r.value, 180));
    assert_true(r.low > 150 && r.low < 180 && r.high > 180 && r.high < 210);
    assert_true(near(r.high - r.value, r.value - r.low));
    assert_true(gate_ratio(&(struct gate_sums){ 0 }).n < 1);
}

static void test_gates__the_worst_verdict_counts_and_all_are_told(void **state)
{
    static const char rules[] = "{\"failure_rate\": {\"margin\": 0.05, \"min_calls\": 30}, "
                                "\"response_ms\": {\"margin_percent\": 25, \"min_calls\": 30}, "
                                "\"bake_s\": 1}";
    static const char measured[] =
        "{\"failure_rate\": {\"new\": {\"n\": 200, \"failed\": 1}, \"old\": {\"n\": 400, "
        "\"failed\": 2}}, \"response_ms\": {\"new\": {\"n\": 0}, \"old\": {\"n\": 90, \"value\": "
        "800, \"low\": 790, \"high\": 810}}, \"answer_ms\": {\"new\": {\"n\": 9}}}";
    PAT_AUTO_JSON r = NULL, *m = NULL, *out = NULL;

    (void)state;
    assert_int_equal(pat_json_parse(&r, rules, strlen(rules), NULL), PAT_OK);
    assert_int_equal(pat_json_parse(&m, measured, strlen(measured), NULL), PAT_OK);
    assert_true(gates_any(r));
    assert_int_equal(gates_judge(&out, r, m), GATE_INCONCLUSIVE);
    assert_int_equal(pat_json_size(out), 2);
    assert_string_equal(pat_json_str_or(out, "[0].verdict", ""), "pass");
    assert_string_equal(pat_json_str_or(out, "[1].verdict", ""), "inconclusive");
    assert_int_equal(pat_json_int_or(out, "[1].old.n", 0), 90);
    assert_null(pat_json_at(out, "[1].difference"));
}

static void test_gates__what_cannot_be_measured_is_not_passed(void **state)
{
    static const char rules[] = "{\"answer_ms\": {\"margin\": 100, \"min_calls\": 30}}";
    PAT_AUTO_JSON r = NULL, *none = pat_json_obj(), *out = NULL, *empty = NULL;

    (void)state;
    assert_int_equal(pat_json_parse(&r, rules, strlen(rules), NULL), PAT_OK);
    assert_int_equal(gates_judge(&out, r, NULL), GATE_INCONCLUSIVE);
    assert_string_equal(pat_json_str_or(out, "[0].why", ""), "it could not be measured");
    assert_false(gates_any(none));
    assert_int_equal(gates_judge(&empty, none, NULL), GATE_PASS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gate__a_share_has_wilsons_interval),
        cmocka_unit_test(test_gate__a_difference_of_shares_has_newcombes_interval),
        cmocka_unit_test(test_gate__is_decided_by_where_all_of_the_interval_is),
        cmocka_unit_test(test_gate__a_margin_may_be_relative),
        cmocka_unit_test(test_gate__a_ratio_is_of_sums),
        cmocka_unit_test(test_gates__the_worst_verdict_counts_and_all_are_told),
        cmocka_unit_test(test_gates__what_cannot_be_measured_is_not_passed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
