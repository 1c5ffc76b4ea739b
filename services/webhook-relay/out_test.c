/* out_test.c - webhooks to customers, the pure parts: schedule, verdicts, targets, patterns, lanes,
 * fields, messages. */
#include "out_fields.h"
#include "out_lanes.h"
#include "out_message.h"
#include "out_schedule.h"
#include "out_target.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define STANDARD "5s,5m,30m,2h,5h,10h,14h,20h,24h"

/* ---- schedule ---- */

static void test_schedule__is_that_of_standard_webhooks(void **state)
{
    struct out_schedule s;
    int64_t least = 0, most = 0;

    (void)state;
    assert_int_equal(out_schedule_parse(&s, STANDARD), PAT_OK);
    assert_int_equal(s.n, 9); /* ten attempts */
    for (int tries = 1; tries <= 9; tries++) {
        int64_t pause = s.pause_ms[tries - 1];

        assert_in_range(out_schedule_next_ms(&s, tries, 0, 0), pause * 8 / 10 - 1, pause * 8 / 10);
        assert_in_range(out_schedule_next_ms(&s, tries, 0, UINT32_MAX), pause * 12 / 10 - 1,
                        pause * 12 / 10);
        least += pause;
        most = pause > most ? pause : most;
    }
    assert_int_equal(least, 75 * 3600000LL + 35 * 60000 + 5000); /* 75.6 h */
    assert_int_equal(most, 24 * 3600000LL);
    assert_int_equal(out_schedule_next_ms(&s, 10, 0, 0), -1);
    assert_int_equal(out_schedule_next_ms(&s, 1, 1, 0), -1); /* a test is sent once */
}

static void test_schedule__refuses_what_is_no_list_of_times(void **state)
{
    static const char *const wrong[] = {
        "",
        "5",
        "5x",
        "s",
        "0s",
        "-1s",
        "5s,",
        "5s,,5m",
        "9999999999h",
        "5s 5m",
        ("1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,"
         "1s,1s,1s"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (out_schedule_valid(wrong[i]))
            fail_msg("\"%s\" is taken", wrong[i]);
    assert_true(out_schedule_valid(" 200ms , 1s"));
}

static void test_retry_after__is_seconds_or_a_date(void **state)
{
    static const struct {
        const char *value;
        int64_t ms;
    } rows[] = {
        { NULL, 0 },
        { "", 0 },
        { "7", 7000 },
        { " 120", 120000 },
        { "-3", 0 },
        { "soon", 0 },
        { "7 s", 0 },
        { "99999999", OUT_RETRY_AFTER_MAX_MS },
        { "99999999999999999999999", OUT_RETRY_AFTER_MAX_MS },
        { "Sun, 06 Nov 1994 08:49:37 GMT", 60000 },
        { "Sun, 06 Nov 1994 08:48:36 GMT", 0 },
        { "Sunday, 06-Nov-94 08:49:37 GMT", 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(out_retry_after_ms(rows[i].value, 784111717), rows[i].ms);
}

static void test_verdict__keeps_whose_fault_it_was_apart(void **state)
{
    static const struct {
        int err, status;
        const char *fault, *whose, *error;
        bool gone, busy;
    } rows[] = {
        { PAT_OK, 200, NULL, NULL, NULL, false, false },
        { PAT_OK, 299, NULL, NULL, NULL, false, false },
        { PAT_ETIMEDOUT, 200, NULL, NULL, NULL, false, false }, /* said so, then dripped */
        { PAT_E2BIG, 202, NULL, NULL, NULL, false, false },
        { PAT_OK, 301, NULL, "receiver", "redirect", false, false },
        { PAT_OK, 404, NULL, "receiver", "client_error", false, false },
        { PAT_OK, 410, NULL, "receiver", "gone", true, false },
        { PAT_OK, 429, NULL, "receiver", "too_many", false, true },
        { PAT_OK, 500, NULL, "receiver", "server_error", false, false },
        { PAT_OK, 502, NULL, "receiver", "server_error", false, true },
        { PAT_OK, 503, NULL, "receiver", "server_error", false, true },
        { PAT_OK, 504, NULL, "receiver", "server_error", false, true },
        { PAT_E2BIG, 500, NULL, "receiver", "server_error", false, false },
        { PAT_ETIMEDOUT, 0, NULL, "receiver", "timed_out", false, true },
        { PAT_EPROTO, 0, NULL, "receiver", "no_http", false, false },
        { PAT_ECONN, 0, "dns", "network", "name_not_found", false, false },
        { PAT_ECONN, 0, "connect", "network", "not_reached", false, false },
        { PAT_ECONN, 0, "broken", "network", "connection_broken", false, false },
        { PAT_ECONN, 0, NULL, "network", "not_reached", false, false },
        { PAT_ECONN, 0, "not_public", "receiver", "not_public", false, false },
        { PAT_ECONN, 0, "tls", "receiver", "certificate", false, false },
        { PAT_ENOMEM, 0, NULL, "ours", "out_of_memory", false, false },
        { PAT_EIO, 0, NULL, "ours", "io", false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct out_verdict v = out_verdict_of(rows[i].err, rows[i].status, rows[i].fault);

        if (v.taken != !rows[i].whose || v.gone != rows[i].gone || v.busy != rows[i].busy ||
            (v.fault && strcmp(v.fault, rows[i].whose) != 0) ||
            (v.error && strcmp(v.error, rows[i].error) != 0))
            fail_msg("row %zu: %s %s", i, v.fault ? v.fault : "-", v.error ? v.error : "-");
    }
}

/* ---- targets and patterns ---- */

static void test_target__is_a_public_https_address(void **state)
{
    static const struct {
        const char *url;
        const char *wrong; /* a part of what is said; NULL: fine */
        bool edge, nets;
    } rows[] = {
        { "https://example.com/hooks?a=1", NULL, false, false },
        { "https://example.com", NULL, false, false },
        { "https://example.com:8443/x", NULL, false, false },
        { "https://93.184.216.34/x", NULL, false, false },
        { "https://[2606:2800:220:1::1]/x", NULL, false, false },
        { "http://example.com/", "must be https", false, false },
        { "ftp://example.com/", "absolute", false, false },
        { "example.com/hooks", "absolute", false, false },
        { "https://", "absolute", false, false },
        { "https:///x", "absolute", false, false },
        { "https://example.com:22/", "port", false, false },
        { "https://example.com:/", "absolute", false, false },
        { "https://example.com:99999/", "absolute", false, false },
        { "https://me:secret@example.com/", "no user", false, false },
        { "https://example.com/#x", "fragment", false, false },
        { "https://exa mple.com/", "percent-encoded", false, false },
        { "https://example.com/\r\nX-A: b", "percent-encoded", false, false },
        { "https://localhost/", "public", false, false },
        { "https://api.localhost/", "public", false, false },
        { "https://127.0.0.1/", "public", false, false },
        { "https://2130706433/", "public", false, false },
        { "https://0x7f.1/", "public", false, false },
        { "https://0177.0.0.1/", "public", false, false },
        { "https://10.1.2.3/", "public", false, false },
        { "https://169.254.169.254/latest/meta-data", "public", false, false },
        { "https://[::1]/", "public", false, false },
        { "https://[::ffff:127.0.0.1]/", "public", false, false },
        { "https://[fe80::1%25eth0]/", "public", false, false },
        { "http://127.0.0.1:8080/x", NULL, false, true },
        { "http://user@127.0.0.1:8080/x", "no user", false, true },
        { "https://abc.supabase.co/functions/v1/calls", NULL, true, false },
        { "https://abc.supabase.co/functions/v1/calls/sub?x=1", NULL, true, false },
        { "https://abc.supabase.co/functions/v1/", "Edge Function", true, false },
        { "https://abc.supabase.co/rest/v1/calls", "Edge Function", true, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *wrong = out_target_wrong(rows[i].url, rows[i].edge, rows[i].nets);

        if (!wrong != !rows[i].wrong || (wrong && !strstr(wrong, rows[i].wrong)))
            fail_msg("%s: %s", rows[i].url, wrong ? wrong : "taken");
    }
}

static void test_pattern__is_of_an_area_we_tell_of(void **state)
{
    static const char *const good[] = { "*", "call.*", "call.ended", "*.failed_over", "turn.user" };
    static const char *const bad[] = { "",         "call",    "calls.ended",
                                       "call.",    ".ended",  "call.Ended",
                                       "**",       "call.e*", "call.ended.x",
                                       "health.*", "call.%",  "c*.ended" };

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(out_pattern_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (out_pattern_valid(bad[i]))
            fail_msg("%s", bad[i]);
}

static void test_pattern__matches(void **state)
{
    static const struct {
        const char *pattern, *type;
        bool yes;
    } rows[] = {
        { "*", "call.ended", true },
        { "call.*", "call.ended", true },
        { "call.ended", "call.ended", true },
        { "call.ended", "call.ended_not", false },
        { "call.*", "config.changed", false },
        { "*.failed_over", "call.failed_over", true },
        { "*.failed_over", "call.ended", false },
        { "turn.user", "turn.agent", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (out_pattern_matches(rows[i].pattern, rows[i].type) != rows[i].yes)
            fail_msg("%s %s", rows[i].pattern, rows[i].type);
}

static void test_type__is_short_and_only_what_customers_are_told(void **state)
{
    static const struct {
        const char *event, *type; /* NULL: not told */
    } rows[] = {
        { "pat.call.v1.ended", "call.ended" },
        { "pat.usage.v1.recorded", "usage.recorded" },
        { "pat.webhook.v1.endpoint_disabled", "webhook.endpoint_disabled" },
        { "pat.webhook.v1.delivered", NULL }, /* or it would never end */
        { "pat.webhook.v1.failed", NULL },
        { "pat.turn.v1.partial", NULL },
        { "pat.turn.v1.user", "turn.user" },
        { "pat.health.v1.stack", NULL },
        { "pat.call.v2.ended", NULL },
        { "pat.call.v1.", NULL },
        { "pat.call.v1.ended.more", NULL },
        { "call.ended", NULL },
    };
    char type[96];

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        bool told = out_type_of(type, sizeof type, rows[i].event);

        if (told != (rows[i].type != NULL) || (told && strcmp(type, rows[i].type) != 0))
            fail_msg("%s", rows[i].event);
    }
}

/* ---- messages ---- */

#define ID   "019e9a2c-7d1b-7c3e-9a54-5b2f0c8d1e10"
#define USER "3f1d2c4b-0000-4000-8000-000000000001"

static int add(struct pat_buf *b, const char *type, const char *user, const char *time,
               const char *data)
{
    char event[1000];

    (void)snprintf(event, sizeof event,
                   "{\"specversion\":\"1.0\",\"id\":\"" ID "\",\"source\":\"/x\",\"type\":\"%s\","
                   "\"subject\":\"k\",\"userid\":\"%s\",\"time\":\"%s\",\"data\":%s}",
                   type, user, time, data);
    pat_buf_init(b, 10000);
    pat_buf_adds(b, "[");
    return out_message_add(b, event, strlen(event));
}

static void test_message__is_type_timestamp_and_data(void **state)
{
    struct pat_buf b;
    PAT_AUTO_JSON j = NULL;

    (void)state;
    assert_int_equal(add(&b, "pat.call.v1.routed", USER, "2026-11-22T10:00:00.123Z",
                         "{\"call_id\":\"c1\",\"id\":\"i\",\"stack\":\"livekit\",\"n_id\":7,"
                         "\"sip_target\":\"sip:a@b;x=1?X-Pat-Sig=s\"}"),
                     PAT_OK);
    pat_buf_adds(&b, "]");
    assert_int_equal(pat_json_parse(&j, b.data, b.len, NULL), PAT_OK);
    assert_string_equal(pat_json_str_or(j, "[0].type", ""), "call.routed");
    assert_string_equal(pat_json_str_or(j, "[0].key", ""), "k");
    assert_string_equal(
        pat_json_str_or(j, "[0].body", ""),
        "{\"type\":\"call.routed\",\"timestamp\":\"2026-11-22T10:00:00.123Z\","
        "\"data\":{\"call_id\":\"c1\",\"id\":\"i\",\"stack\":\"livekit\",\"n_id\":7,"
        "\"sip_target\":\"sip:a@b;x=1\"}}"); /* no signature of ours */
    assert_string_equal(pat_json_str_or(j, "[0].thin", ""),
                        "{\"type\":\"call.routed\",\"timestamp\":\"2026-11-22T10:00:00.123Z\","
                        "\"data\":{\"event_id\":\"" ID "\",\"call_id\":\"c1\",\"id\":\"i\","
                        "\"thin\":true}}");
    pat_buf_fini(&b);
}

static void test_message__refuses_what_postgres_would(void **state)
{
    static const struct {
        const char *type, *user, *time, *data;
        int err;
    } rows[] = {
        { "pat.call.v1.ended", "-", "2026-11-22T10:00:00.123Z", "{}", PAT_ENOENT },
        { "pat.health.v1.stack", USER, "2026-11-22T10:00:00.123Z", "{}", PAT_ENOENT },
        { "pat.call.v1.ended", USER, "2026-11-22 10:00:00", "{}", PAT_EINVAL },
        { "pat.call.v1.ended", USER, "2026-11-22T10:00:00.99999999999999999999Z", "{}",
          PAT_EINVAL },
        { "pat.call.v1.ended", USER, "2026-02-30T10:00:00.123Z", "{}", PAT_EINVAL },
        { "pat.call.v1.ended", USER, "2026-11-22T24:61:00.123Z", "{}", PAT_EINVAL },
        { "pat.call.v1.ended", USER, "2026-11-22T10:00:00.123Z", "[]", PAT_EINVAL },
        { "pat.call.v1.ended", USER, "2028-02-29T23:59:59.999Z", "{}", PAT_OK },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct pat_buf b;

        assert_int_equal(add(&b, rows[i].type, rows[i].user, rows[i].time, rows[i].data),
                         rows[i].err);
        pat_buf_fini(&b);
    }
}

/* ---- lanes ---- */

static void test_lane__grows_by_one_and_halves(void **state)
{
    struct out_lanes l = { 0 };
    struct out_lane *lane = out_lanes_get(&l, "a");

    (void)state;
    lane->limit = 10;
    assert_int_equal(out_lane_free(lane), OUT_LANE_FIRST);
    for (int i = 0; i < 20; i++) {
        lane->in_flight++;
        out_lane_ended(lane, true);
    }
    assert_int_equal(out_lane_free(lane), 10);
    for (int i = 0; i < 5; i++) {
        lane->in_flight++;
        out_lane_ended(lane, false);
    }
    assert_int_equal(out_lane_free(lane), 1); /* one place is always left, to see if it is back */
    assert_int_equal(lane->failed, 5);
    lane->in_flight++;
    assert_int_equal(out_lane_free(lane), 0);
    out_lane_ended(lane, true);
    assert_int_equal(lane->failed, 0);
    assert_int_equal(out_lane_free(lane), 2);
    out_lanes_fini(&l);
}

static void test_lanes__hold_only_what_is_to_do(void **state)
{
    struct out_lanes l = { 0 };
    struct out_lane *picked[8], *lane;
    char id[16];

    (void)state;
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(id, sizeof id, "lane %d", i);
        assert_non_null(out_lanes_get(&l, id));
    }
    assert_int_equal(l.n, 1000);
    assert_int_equal(out_lanes_pick(&l, picked, 8), 8);
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(id, sizeof id, "lane %d", i);
        lane = out_lanes_find(&l, id);
        out_lanes_leave(&l, lane); /* hungry: it stays */
        assert_ptr_equal(out_lanes_find(&l, id), lane);
        lane->hungry = false;
        out_lanes_leave(&l, lane);
        assert_null(out_lanes_find(&l, id));
    }
    assert_int_equal(l.n, 0);
    assert_int_equal(out_lanes_pick(&l, picked, 8), 0);
    for (int i = 0; i < OUT_LANES_MAX; i++) {
        (void)snprintf(id, sizeof id, "lane %d", i);
        assert_non_null(out_lanes_get(&l, id));
    }
    assert_null(out_lanes_get(&l, "one more"));
    assert_non_null(out_lanes_get(&l, "lane 7"));
    out_lanes_fini(&l);
}

static void test_lanes__all_have_their_turn(void **state)
{
    struct out_lanes l = { 0 };
    struct out_lane *picked[16];
    int seen = 0;
    char id[16];

    (void)state;
    for (int i = 0; i < 300; i++) {
        (void)snprintf(id, sizeof id, "lane %d", i);
        out_lanes_get(&l, id)->failed = 0;
    }
    for (int round = 0; round < 200; round++) {
        size_t n = out_lanes_pick(&l, picked, 16);

        for (size_t i = 0; i < n; i++)
            seen += !picked[i]->failed++;
    }
    assert_int_equal(seen, 300);
    out_lanes_fini(&l);
}

/* ---- fields ---- */

static void test_fields__each_fault_names_its_field(void **state)
{
    static const struct {
        const char *params, *path; /* NULL: fine */
        bool create;
    } rows[] = {
        { "{\"url\":\"https://a.example/x\"}", NULL, true },
        { "{\"url\":\"https://a.example/x\",\"events\":[\"call.*\"],\"signing\":[\"v1\",\"v1a\"],"
          "\"payload\":\"thin\",\"ordering\":\"key\",\"timeout_ms\":5000,\"max_concurrency\":3,"
          "\"description\":\"d\",\"state\":\"disabled\",\"user_id\":\"u\"}",
          NULL, true },
        { "{}", "url", true },
        { "{\"url\":7}", "url", true },
        { "{\"url\":\"https://a.example/x\",\"kind\":\"edge_function\"}", "url", true },
        { "{\"url\":\"https://a.example/x\",\"events\":[]}", "events", true },
        { "{\"url\":\"https://a.example/x\",\"events\":[\"calls\"]}", "events", true },
        { "{\"url\":\"https://a.example/x\",\"events\":\"call.*\"}", "events", true },
        { "{\"url\":\"https://a.example/x\",\"signing\":[\"v2\"]}", "signing", true },
        { "{\"url\":\"https://a.example/x\",\"payload\":\"big\"}", "payload", true },
        { "{\"url\":\"https://a.example/x\",\"ordering\":true}", "ordering", true },
        { "{\"url\":\"https://a.example/x\",\"timeout_ms\":500}", "timeout_ms", true },
        { "{\"url\":\"https://a.example/x\",\"timeout_ms\":1500.5}", "timeout_ms", true },
        { "{\"url\":\"https://a.example/x\",\"max_concurrency\":0}", "max_concurrency", true },
        { "{\"url\":\"https://a.example/x\",\"max_concurrency\":1e99}", "max_concurrency", true },
        { "{\"url\":\"https://a.example/x\",\"secret\":\"short\"}", "secret", true },
        { "{\"url\":\"https://a.example/x\",\"api_key\":\"a b\"}", "api_key", true },
        { "{\"url\":\"https://a.example/x\",\"region\":\"a\\r\\nb: c\"}", "region", true },
        { "{\"url\":\"https://a.example/x\",\"colour\":\"red\"}", "colour", true },
        { "{}", NULL, false },
        { "{\"description\":null}", NULL, false },
        { "{\"url\":null}", "url", false },
        { "{\"kind\":\"standard\"}", "kind", false },
        { "{\"secret\":\"whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX\"}", "secret", false },
        { "{\"state\":\"deleted\"}", "state", false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        PAT_AUTO_JSON params = NULL;
        PAT_AUTO_JSON clean = NULL;
        struct pat_json_err wrong = { "", "" };
        int err;

        assert_int_equal(pat_json_parse(&params, rows[i].params, strlen(rows[i].params), NULL),
                         PAT_OK);
        err = out_fields_read(&clean, params, rows[i].create, false, &wrong);
        if (err != (rows[i].path ? PAT_EINVAL : PAT_OK) ||
            (rows[i].path && strcmp(wrong.path, rows[i].path) != 0))
            fail_msg("%s: %d %s %s", rows[i].params, err, wrong.path, wrong.what);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schedule__is_that_of_standard_webhooks),
        cmocka_unit_test(test_schedule__refuses_what_is_no_list_of_times),
        cmocka_unit_test(test_retry_after__is_seconds_or_a_date),
        cmocka_unit_test(test_verdict__keeps_whose_fault_it_was_apart),
        cmocka_unit_test(test_target__is_a_public_https_address),
        cmocka_unit_test(test_pattern__is_of_an_area_we_tell_of),
        cmocka_unit_test(test_pattern__matches),
        cmocka_unit_test(test_type__is_short_and_only_what_customers_are_told),
        cmocka_unit_test(test_message__is_type_timestamp_and_data),
        cmocka_unit_test(test_message__refuses_what_postgres_would),
        cmocka_unit_test(test_lane__grows_by_one_and_halves),
        cmocka_unit_test(test_lanes__hold_only_what_is_to_do),
        cmocka_unit_test(test_lanes__all_have_their_turn),
        cmocka_unit_test(test_fields__each_fault_names_its_field),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
