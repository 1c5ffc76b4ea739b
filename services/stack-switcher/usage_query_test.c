/* usage_query_test.c - what a question about usage may say. */
#include "usage_query.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define NOW (20780LL * 86400 + 22 * 3600 + 45 * 60) /* 2026-11-23 22:45, of UTC */

static int read_it(struct usage_query *q, const char *from, const char *to, const char *by,
                   const char *format, const char **field)
{
    const char *what;

    return usage_query_read(
        q, &(struct usage_asked){ .from = from, .to = to, .by = by, .format = format }, NOW, field,
        &what);
}

static void test_usage_query__is_of_the_last_thirty_days_by_day(void **state)
{
    struct usage_query q;
    const char *field;

    (void)state;
    assert_int_equal(read_it(&q, NULL, NULL, NULL, NULL, &field), PAT_OK);
    assert_string_equal(q.from, "2026-10-25");
    assert_string_equal(q.to, "2026-11-23");
    assert_string_equal(q.by, "day");
    assert_string_equal(q.tz, "UTC");
    assert_false(q.csv);
    assert_int_equal(read_it(&q, NULL, "2024-03-01", "", "csv", &field), PAT_OK);
    assert_string_equal(q.from, "2024-02-01");
    assert_string_equal(q.by, "");
    assert_true(q.csv);
}

static void test_usage_query__takes_a_page_of_rows(void **state)
{
    static const struct {
        const char *limit, *after, *wrong;
    } rows[] = {
        { NULL, NULL, NULL },        { "1", NULL, NULL },      { "1000", "50", NULL },
        { NULL, "999999999", NULL }, { "0", NULL, "limit" },   { "1001", NULL, "limit" },
        { "", NULL, "limit" },       { "x", NULL, "limit" },   { "50", "", "after" },
        { "50", "-1", "after" },     { "50", "1x", "after" },  { "50", "1000000000", "after" },
        { "-1", NULL, "limit" },     { "1e2", NULL, "limit" }, { "00001", NULL, "limit" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct usage_query q;
        const char *field, *what;
        int err = usage_query_read(
            &q, &(struct usage_asked){ .limit = rows[i].limit, .after = rows[i].after }, NOW,
            &field, &what);

        if (rows[i].wrong) {
            assert_int_equal(err, PAT_EINVAL);
            assert_string_equal(field, rows[i].wrong);
            continue;
        }
        assert_int_equal(err, PAT_OK);
        assert_string_equal(q.limit, rows[i].limit ? rows[i].limit : "50");
        assert_string_equal(q.after, rows[i].after ? rows[i].after : "");
    }
}

static void test_usage_query__leaves_a_file_whole_unless_told(void **state)
{
    struct usage_query q;
    const char *field, *what;

    (void)state;
    assert_int_equal(read_it(&q, NULL, NULL, NULL, "csv", &field), PAT_OK);
    assert_string_equal(q.limit, "");
    assert_int_equal(usage_query_read(&q, &(struct usage_asked){ .format = "csv", .limit = "7" },
                                      NOW, &field, &what),
                     PAT_OK);
    assert_string_equal(q.limit, "7");
}

static void test_usage_query__brings_groups_into_one_order(void **state)
{
    struct usage_query q;
    const char *field;

    (void)state;
    assert_int_equal(read_it(&q, NULL, NULL, "model,user,day", "json", &field), PAT_OK);
    assert_string_equal(q.by, "day,user,model");
    assert_int_equal(
        read_it(&q, NULL, NULL, "model,account,user,component,stack,day", NULL, &field), PAT_OK);
    assert_string_equal(q.by, "day,stack,component,user,account,model");
}

static void test_usage_query__refuses_and_names_the_field(void **state)
{
    static const struct {
        const char *from, *to, *by, *format, *field;
    } rows[] = {
        { "2026-02-29", NULL, NULL, NULL, "from" },
        { "2026-13-01", NULL, NULL, NULL, "from" },
        { "26-11-01", NULL, NULL, NULL, "from" },
        { "2026-11- 1", NULL, NULL, NULL, "from" },
        { "2026-11-01'", NULL, NULL, NULL, "from" },
        { "2026-11-24", NULL, NULL, NULL, "from" },
        { "2025-10-19", NULL, NULL, NULL, "from" },
        { NULL, "yesterday", NULL, NULL, "to" },
        { NULL, "", NULL, NULL, "to" },
        { NULL, "1969-12-31", NULL, NULL, "to" },
        { NULL, NULL, "day,day", NULL, "group_by" },
        { NULL, NULL, "day,", NULL, "group_by" },
        { NULL, NULL, ",day", NULL, "group_by" },
        { NULL, NULL, "hour", NULL, "group_by" },
        { NULL, NULL, NULL, "xml", "format" },
        { NULL, NULL, NULL, "", "format" },
    };
    struct usage_query q;
    const char *field;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(read_it(&q, rows[i].from, rows[i].to, rows[i].by, rows[i].format, &field),
                         PAT_EINVAL);
        assert_string_equal(field, rows[i].field);
    }
    assert_int_equal(read_it(&q, "2025-10-20", NULL, NULL, NULL, &field), PAT_OK); /* 400 days */
}

static void test_usage_query__is_of_the_days_of_a_zone(void **state)
{
    static const struct {
        const char *tz, *today; /* NULL: there is no such zone */
    } rows[] = {
        { "UTC", "2026-11-23" },
        { "Europe/Berlin", "2026-11-23" },
        { "Asia/Kolkata", "2026-11-24" },
        { "America/Los_Angeles", "2026-11-23" },
        { "Asia/Tokyo", "2026-11-24" },
        { "Mars", NULL },
        { "", NULL },
        { "../../etc/passwd", NULL },
        { "+01:00", NULL },
        { "A/very/long/name/that/no/time/zone/would/ever/have", NULL },
    };
    struct usage_query q;
    const char *field, *what;

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int err =
            usage_query_read(&q, &(struct usage_asked){ .tz = rows[i].tz }, NOW, &field, &what);

        assert_int_equal(err, rows[i].today ? PAT_OK : PAT_EINVAL);
        assert_string_equal(err ? field : q.to, err ? "tz" : rows[i].today);
        assert_string_equal(err ? "" : q.tz, err ? "" : rows[i].tz);
    }
}

static void test_usage_query__knows_the_calendar(void **state)
{
    static const char *const days[] = { "1970-01-01", "1999-12-31", "2000-02-29", "2000-03-01",
                                        "2024-02-29", "2026-12-31", "2099-12-31" };
    struct usage_query q;
    const char *field;

    (void)state;
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        assert_int_equal(read_it(&q, days[i], days[i], NULL, NULL, &field), PAT_OK);
        assert_string_equal(q.from, days[i]);
        assert_string_equal(q.to, days[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_usage_query__is_of_the_last_thirty_days_by_day),
        cmocka_unit_test(test_usage_query__takes_a_page_of_rows),
        cmocka_unit_test(test_usage_query__leaves_a_file_whole_unless_told),
        cmocka_unit_test(test_usage_query__brings_groups_into_one_order),
        cmocka_unit_test(test_usage_query__refuses_and_names_the_field),
        cmocka_unit_test(test_usage_query__is_of_the_days_of_a_zone),
        cmocka_unit_test(test_usage_query__knows_the_calendar),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
