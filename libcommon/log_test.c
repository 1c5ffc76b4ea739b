/* log_test.c - lines as they reach the descriptor. */
#include "test/cmocka.h"

#include "json.h"
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int ends[2];
static char got[3 * PIPE_BUF];

static int open_pipe(void **state)
{
    (void)state;
    return pipe(ends);
}

static int close_pipe(void **state)
{
    (void)state;
    return close(ends[0]) | close(ends[1]);
}

static void setup(enum pat_level level, bool json)
{
    struct pat_log_opts o = { .service = "router", .level = level, .json = json, .fd = ends[1] };

    pat_log_setup(&o);
}

/* What one write put there, behind the time in text form. */
static const char *line(void)
{
    ssize_t n = read(ends[0], got, sizeof got - 1);

    assert_true(n > 0);
    got[n] = '\0';
    assert_int_equal(got[n - 1], '\n');
    return got;
}

static const char *behind_time(void)
{
    const char *l = line();

    assert_int_equal(strcspn(l, " "), 24);
    assert_int_equal(l[23], 'Z');
    return l + 25;
}

static struct pat_json *json_line(void)
{
    struct pat_json *j;
    struct pat_json_err err = { "", "" };
    const char *l = line();

    if (pat_json_parse(&j, l, strlen(l), &err))
        fail_msg("%s: %s", err.what, l);
    return j;
}

static void test_log__text_reads_like_a_sentence(void **state)
{
    (void)state;
    setup(PAT_INFO, false);
    pat_log(PAT_WARN, "route.fallback", PAT_S("call", "c-1"), PAT_I("after_ms", -12),
            PAT_F("share", 0.25), PAT_B("live", true), PAT_ERR(PAT_ETIMEDOUT));
    assert_string_equal(behind_time(), "warn  router route.fallback call=c-1 after_ms=-12 "
                                       "share=0.25 live=true error=timed_out\n");
    pat_log(PAT_ERROR, "bare");
    assert_string_equal(behind_time(), "error router bare\n");
}

static void test_log__json_is_json_with_every_field(void **state)
{
    PAT_AUTO_JSON j = NULL;

    (void)state;
    setup(PAT_INFO, true);
    pat_log(PAT_INFO, "call.offered", PAT_S("call", "c\"1\\"), PAT_I("n", INT64_MAX),
            PAT_F("odd", NAN), PAT_B("no", false));
    j = json_line();
    assert_string_equal(pat_json_str_or(j, "level", ""), "info");
    assert_string_equal(pat_json_str_or(j, "service", ""), "router");
    assert_string_equal(pat_json_str_or(j, "event", ""), "call.offered");
    assert_string_equal(pat_json_str_or(j, "call", ""), "c\"1\\");
    assert_true(pat_json_num_or(j, "n", 0) > 9e18);
    assert_int_equal(pat_json_kind(pat_json_at(j, "odd")), PAT_JSON_NULL);
    assert_non_null(pat_json_at(j, "odd"));
    assert_false(pat_json_bool_or(j, "no", true));
}

static void test_log__writes_the_lowest_and_highest_number(void **state)
{
    (void)state;
    setup(PAT_INFO, false);
    pat_log(PAT_INFO, "n", PAT_I("low", INT64_MIN), PAT_I("high", INT64_MAX), PAT_I("zero", 0));
    assert_string_equal(
        behind_time(), "info  router n low=-9223372036854775808 high=9223372036854775807 zero=0\n");
}

static void test_log__leaves_out_fields_without_a_value(void **state)
{
    (void)state;
    setup(PAT_INFO, false);
    pat_log(PAT_INFO, "x", PAT_S("gone", NULL), PAT_S("empty", ""), PAT_I("n", 1));
    assert_string_equal(behind_time(), "info  router x empty=\"\" n=1\n");
}

static void test_log__nobody_breaks_out_of_a_value(void **state)
{
    static const struct {
        const char *value;
        const char *text;
        const char *read_back; /* from JSON */
    } rows[] = {
        { "a b", "v=\"a b\"", "a b" },
        { "a=b", "v=\"a=b\"", "a=b" },
        { "x\ninfo router fake", "v=\"x\\ninfo router fake\"", "x\ninfo router fake" },
        { "\"},{\"", "v=\"\\\"},{\\\"\"", "\"},{\"" },
        { "\x1b[2J", "v=\"\\u001b[2J\"", "\x1b[2J" },
        { "\xc2\x9b!", "v=\"\\ufffd\\ufffd!\"", "\xef\xbf\xbd\xef\xbf\xbd!" }, /* C1 control */
        { "\xff\xfe", "v=\"\\ufffd\\ufffd\"", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\x7f", "v=\"\\u007f\"", "\x7f" },
        { "caf\xc3\xa9", "v=\"caf\xc3\xa9\"", "caf\xc3\xa9" },
        { "\xe2\x82", "v=\"\\ufffd\\ufffd\"", "\xef\xbf\xbd\xef\xbf\xbd" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        PAT_AUTO_JSON j = NULL;
        char want[100] = "info  router x ";

        setup(PAT_INFO, false);
        pat_log(PAT_INFO, "x", PAT_S("v", rows[i].value));
        memcpy(want + strlen(want), rows[i].text, strlen(rows[i].text) + 1);
        memcpy(want + strlen(want), "\n", 2);
        assert_string_equal(behind_time(), want);

        setup(PAT_INFO, true);
        pat_log(PAT_INFO, "x", PAT_S("v", rows[i].value));
        j = json_line();
        assert_string_equal(pat_json_str_or(j, "v", ""), rows[i].read_back);
    }
}

static void test_log__cuts_a_long_value_between_characters(void **state)
{
    char value[3000];
    const char *s;

    (void)state;
    for (int shift = 0; shift < 4; shift++) {
        PAT_AUTO_JSON j = NULL;

        memset(value, 'a', sizeof value);
        for (size_t i = (size_t)shift; i + 4 < sizeof value; i += 4)
            memcpy(value + i, "\xf0\x9f\x98\x80", 4);
        value[sizeof value - 4] = '\0';
        setup(PAT_INFO, true);
        pat_log(PAT_INFO, "x", PAT_S("v", value), PAT_I("after", 1));
        j = json_line();
        s = pat_json_str_or(j, "v", "");
        assert_in_range(strlen(s), 1000, 1027 + 3);
        assert_string_equal(s + strlen(s) - 3, "\xe2\x80\xa6");
        assert_null(strstr(s, "\xef\xbf\xbd"));
        assert_int_equal(pat_json_int_or(j, "after", 0), 1);
    }
}

static void test_log__a_line_never_exceeds_what_a_pipe_takes_at_once(void **state)
{
    char value[1001];
    char bad[1001];

    (void)state;
    memset(value, 'v', 1000);
    memset(bad, '\x01', 1000); /* six bytes each once escaped */
    value[1000] = bad[1000] = '\0';
    for (int json = 0; json < 2; json++) {
        const char *l;

        setup(PAT_INFO, json);
        pat_log(PAT_INFO, "x", PAT_S("a", value), PAT_S("b", bad), PAT_S("c", value),
                PAT_S("d", value), PAT_S("e", value));
        l = line();
        assert_true(strlen(l) <= PIPE_BUF);
        assert_non_null(strstr(l, json ? "\"cut\":true}" : " cut=true\n"));
        if (json) {
            PAT_AUTO_JSON j = NULL;

            assert_int_equal(pat_json_parse(&j, l, strlen(l), NULL), PAT_OK);
            assert_string_equal(pat_json_str_or(j, "a", ""), value);
            assert_null(pat_json_at(j, "b"));
        }
    }
}

static void test_log__is_silent_below_its_level(void **state)
{
    (void)state;
    setup(PAT_WARN, false);
    assert_false(pat_log_enabled(PAT_INFO));
    assert_true(pat_log_enabled(PAT_WARN));
    pat_log(PAT_DEBUG, "no");
    pat_log(PAT_INFO, "no");
    pat_log(PAT_ERROR, "yes");
    assert_string_equal(behind_time(), "error router yes\n");
}

static void test_log__keeps_errno(void **state)
{
    struct pat_log_opts o = { .service = "router", .level = PAT_INFO, .fd = -1 };

    (void)state;
    pat_log_setup(&o);
    errno = ERANGE;
    pat_log(PAT_INFO, "into nowhere");
    assert_int_equal(errno, ERANGE);
}

static void test_log__levels_have_names(void **state)
{
    enum pat_level level;

    (void)state;
    assert_int_equal(pat_level_parse("debug", &level), PAT_OK);
    assert_int_equal(level, PAT_DEBUG);
    assert_int_equal(pat_level_parse("error", &level), PAT_OK);
    assert_int_equal(level, PAT_ERROR);
    assert_int_equal(pat_level_parse("loud", &level), PAT_EINVAL);
    assert_int_equal(pat_level_parse("", &level), PAT_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_log__text_reads_like_a_sentence),
        cmocka_unit_test(test_log__json_is_json_with_every_field),
        cmocka_unit_test(test_log__writes_the_lowest_and_highest_number),
        cmocka_unit_test(test_log__leaves_out_fields_without_a_value),
        cmocka_unit_test(test_log__nobody_breaks_out_of_a_value),
        cmocka_unit_test(test_log__cuts_a_long_value_between_characters),
        cmocka_unit_test(test_log__a_line_never_exceeds_what_a_pipe_takes_at_once),
        cmocka_unit_test(test_log__is_silent_below_its_level),
        cmocka_unit_test(test_log__keeps_errno),
        cmocka_unit_test(test_log__levels_have_names),
    };

    return cmocka_run_group_tests(tests, open_pipe, close_pipe);
}
