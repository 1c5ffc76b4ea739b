/* metrics_test.c - what a scrape reads. */
#include "test/cmocka.h"

#include "metrics.h"
#include "test/alloc.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pat_metrics *new_metrics(void)
{
    struct pat_metrics *m = NULL;

    assert_int_equal(pat_metrics_new(&m), PAT_OK);
    return m;
}

static void assert_prints(const struct pat_metrics *m, const char *want)
{
    struct pat_buf out;

    pat_buf_init(&out, 1 << 20);
    assert_int_equal(pat_metrics_print(m, &out), PAT_OK);
    assert_string_equal(out.data ? out.data : "", want);
    pat_buf_fini(&out);
}

static void test_metrics__prints_families_with_their_series(void **state)
{
    struct pat_metrics *m = new_metrics();
    struct pat_counter *c = pat_counter(m, "calls_total", "Calls.", "stack=\"retell\"");

    (void)state;
    pat_counter_add(c, 1);
    pat_counter_add(c, 2);
    pat_gauge_set(pat_gauge(m, "live", "Now.", NULL), 3);
    pat_gauge_add(pat_gauge(m, "live", "Now.", NULL), -0.5);
    (void)pat_counter(m, "calls_total", "Calls.", "stack=\"livekit\"");
    assert_prints(m, "# HELP calls_total Calls.\n"
                     "# TYPE calls_total counter\n"
                     "calls_total{stack=\"retell\"} 3\n"
                     "calls_total{stack=\"livekit\"} 0\n"
                     "# HELP live Now.\n"
                     "# TYPE live gauge\n"
                     "live 2.5\n");
    pat_metrics_free(m);
}

static void test_metrics__a_histogram_counts_up_to_each_bound(void **state)
{
    static const double bounds[] = { 0.1, 1 };
    static const double values[] = { 0.05, 0.1, 0.5, 2 };
    struct pat_metrics *m = new_metrics();
    struct pat_histogram *h = pat_histogram(m, "t_seconds", "T.", "a=\"b\"", bounds, 2);

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(values); i++)
        pat_histogram_observe(h, values[i]);
    pat_histogram_observe(h, NAN); /* is no observation */
    assert_prints(m, "# HELP t_seconds T.\n"
                     "# TYPE t_seconds histogram\n"
                     "t_seconds_bucket{a=\"b\",le=\"0.1\"} 2\n"
                     "t_seconds_bucket{a=\"b\",le=\"1\"} 3\n"
                     "t_seconds_bucket{a=\"b\",le=\"+Inf\"} 4\n"
                     "t_seconds_sum{a=\"b\"} 2.65\n"
                     "t_seconds_count{a=\"b\"} 4\n");
    pat_metrics_free(m);
}

static void test_metrics__latency_bounds_ascend(void **state)
{
    (void)state;
    for (size_t i = 1; i < PAT_COUNT(pat_buckets_latency_s); i++)
        assert_true(pat_buckets_latency_s[i - 1] < pat_buckets_latency_s[i]);
    assert_true(pat_buckets_latency_s[0] == 0.0005 && pat_buckets_latency_s[13] == 10);
}

static void test_metrics__the_same_labels_give_the_same_handle(void **state)
{
    struct pat_metrics *m = new_metrics();
    struct pat_counter *c = pat_counter(m, "a_total", "A.", NULL);

    (void)state;
    assert_ptr_equal(c, pat_counter(m, "a_total", "another help", NULL));
    assert_ptr_equal(c, pat_counter(m, "a_total", "A.", ""));
    assert_ptr_not_equal(c, pat_counter(m, "a_total", "A.", "x=\"1\""));
    assert_ptr_not_equal(c, pat_counter(m, "b_total", "A.", NULL));
    pat_metrics_free(m);
}

static void test_metrics__past_the_bound_new_series_are_one_other(void **state)
{
    struct pat_metrics *m = new_metrics();
    struct pat_buf out;
    struct pat_counter *other;
    char labels[64];

    (void)state;
    for (int i = 0; i < PAT_METRIC_SERIES; i++) {
        (void)snprintf(labels, sizeof labels, "path=\"/%d\",code=\"200\"", i);
        pat_counter_add(pat_counter(m, "hits_total", "H.", labels), 1);
    }
    other = pat_counter(m, "hits_total", "H.", "path=\"/a\\\"b\",code=\"500\"");
    assert_ptr_equal(other, pat_counter(m, "hits_total", "H.", "path=\"/more\",code=\"404\""));
    assert_ptr_not_equal(other, pat_counter(m, "hits_total", "H.", "path=\"/7\",code=\"200\""));
    pat_counter_add(other, 5);
    pat_buf_init(&out, 1 << 20);
    assert_int_equal(pat_metrics_print(m, &out), PAT_OK);
    assert_non_null(strstr(out.data, "hits_total{path=\"other\",code=\"other\"} 5\n"));
    assert_null(strstr(out.data, "/more"));
    pat_buf_fini(&out);
    pat_metrics_free(m);
}

static void test_metrics__broken_labels_do_not_spoil_the_page(void **state)
{
    static const char *const rows[] = {
        "x",        "x=",     "x=\"",      "x=\"1\",",   "x=\"1\"y=\"2\"",
        ",x=\"1\"", "=\"1\"", "1x=\"1\"",  "x=\"a\nb\"", "x=\"\\q\"",
        "x=\"1\" ", "x=\"\\", "x=\"1\",,", "x-y=\"1\"",
    };
    struct pat_metrics *m = new_metrics();

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        pat_counter_add(pat_counter(m, "a_total", "A.", rows[i]), 1);
    assert_prints(m, "");
    pat_counter_add(pat_counter(m, "a_total", "A.", "x=\"\\\\\\\"\\n{}\",y=\"\""), 1);
    assert_prints(m, "# HELP a_total A.\n# TYPE a_total counter\n"
                     "a_total{x=\"\\\\\\\"\\n{}\",y=\"\"} 1\n");
    pat_metrics_free(m);
}

static void test_metrics__one_name_is_of_one_kind(void **state)
{
    struct pat_metrics *m = new_metrics();

    (void)state;
    pat_counter_add(pat_counter(m, "a", "A.", NULL), 1);
    pat_gauge_set(pat_gauge(m, "a", "A.", NULL), 7); /* goes nowhere */
    pat_histogram_observe(pat_histogram(m, "a", "A.", NULL, pat_buckets_latency_s, 14), 1);
    assert_prints(m, "# HELP a A.\n# TYPE a counter\na 1\n");
    pat_metrics_free(m);
}

static void test_metrics__a_counter_only_goes_up(void **state)
{
    struct pat_metrics *m = new_metrics();
    struct pat_counter *c = pat_counter(m, "a_total", "A\\b\nc", NULL);

    (void)state;
    pat_counter_add(c, 5);
    pat_counter_add(c, -3);
    pat_counter_add(c, NAN);
    assert_prints(m, "# HELP a_total A\\\\b\\nc\n# TYPE a_total counter\na_total 5\n");
    pat_metrics_free(m);
}

static void test_metrics__writes_numbers_as_prometheus_reads_them(void **state)
{
    static const struct {
        double v;
        const char *want;
    } rows[] = {
        { 0, "0" },           { 1764000000000, "1764000000000" },
        { 0.1, "0.1" },       { -1.5, "-1.5" },
        { INFINITY, "+Inf" }, { -INFINITY, "-Inf" },
        { NAN, "NaN" },       { 1e300, "1e+300" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct pat_metrics *m = new_metrics();
        char want[100];

        pat_gauge_set(pat_gauge(m, "g", "G.", NULL), rows[i].v);
        (void)snprintf(want, sizeof want, "# HELP g G.\n# TYPE g gauge\ng %s\n", rows[i].want);
        assert_prints(m, want);
        pat_metrics_free(m);
    }
}

static void test_metrics__without_a_registry_bumps_go_nowhere(void **state)
{
    (void)state;
    pat_counter_add(pat_counter(NULL, "a", "A.", NULL), 1);
    pat_gauge_set(pat_gauge(NULL, "a", "A.", NULL), 1);
    pat_gauge_add(pat_gauge(NULL, "a", "A.", NULL), 1);
    pat_histogram_observe(pat_histogram(NULL, "a", "A.", NULL, NULL, 0), 1);
    pat_metrics_free(NULL);
}

static void test_metrics__label_escapes_its_value(void **state)
{
    struct pat_metrics *m = new_metrics();
    struct pat_buf labels;

    (void)state;
    pat_buf_init(&labels, 100);
    pat_metric_label(&labels, "path", "/a\"b\\c\nd");
    pat_metric_label(&labels, "code", "200");
    assert_string_equal(labels.data, "path=\"/a\\\"b\\\\c\\nd\",code=\"200\"");
    pat_counter_add(pat_counter(m, "a_total", "A.", labels.data), 1);
    assert_prints(m, "# HELP a_total A.\n# TYPE a_total counter\n"
                     "a_total{path=\"/a\\\"b\\\\c\\nd\",code=\"200\"} 1\n");
    pat_buf_fini(&labels);
    pat_metrics_free(m);
}

static void test_metrics__print_tells_when_the_page_is_too_large(void **state)
{
    struct pat_metrics *m = new_metrics();
    struct pat_buf out;

    (void)state;
    (void)pat_counter(m, "a_total", "A.", NULL);
    pat_buf_init(&out, 20);
    assert_int_equal(pat_metrics_print(m, &out), PAT_E2BIG);
    pat_buf_fini(&out);
    pat_metrics_free(m);
}

/* Finding a series never fails; what there is no memory for is not shown. */
static int use(void *arg)
{
    struct pat_metrics *m = NULL;
    struct pat_buf out;
    bool all;
    int err = pat_metrics_new(&m);

    (void)arg;
    if (err)
        return err;
    pat_counter_add(pat_counter(m, "a_total", "A.", "x=\"1\""), 1);
    pat_gauge_set(pat_gauge(m, "b", "B.", NULL), 1);
    pat_histogram_observe(pat_histogram(m, "c", "C.", NULL, pat_buckets_latency_s, 14), 1);
    pat_buf_init(&out, 10000);
    err = pat_metrics_print(m, &out);
    all = out.data && strstr(out.data, "a_total{x=\"1\"} 1") && strstr(out.data, "\nb 1") &&
          strstr(out.data, "c_count 1");
    pat_buf_fini(&out);
    pat_metrics_free(m);
    return err || all ? err : PAT_ENOMEM;
}

static void test_metrics__survives_each_allocation_failing(void **state)
{
    (void)state;
    pat_test_alloc_walk(use, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_metrics__prints_families_with_their_series),
        cmocka_unit_test(test_metrics__a_histogram_counts_up_to_each_bound),
        cmocka_unit_test(test_metrics__latency_bounds_ascend),
        cmocka_unit_test(test_metrics__the_same_labels_give_the_same_handle),
        cmocka_unit_test(test_metrics__past_the_bound_new_series_are_one_other),
        cmocka_unit_test(test_metrics__broken_labels_do_not_spoil_the_page),
        cmocka_unit_test(test_metrics__one_name_is_of_one_kind),
        cmocka_unit_test(test_metrics__a_counter_only_goes_up),
        cmocka_unit_test(test_metrics__writes_numbers_as_prometheus_reads_them),
        cmocka_unit_test(test_metrics__without_a_registry_bumps_go_nowhere),
        cmocka_unit_test(test_metrics__label_escapes_its_value),
        cmocka_unit_test(test_metrics__print_tells_when_the_page_is_too_large),
        cmocka_unit_test(test_metrics__survives_each_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
