/* event_test.c - envelopes, subjects and streams. */
#include "test/cmocka.h"

#include "event.h"
#include "loop.h"
#include "test/alloc.h"

#include <stdlib.h>
#include <string.h>

#define USER "3f1d2c4b-0000-4000-8000-000000000001"
#define CALL "017f22e2-79b0-7cc3-98c4-dc0c0c07398f"

static const struct pat_event routed = { .area = "call",
                                         .name = "routed",
                                         .user_id = USER,
                                         .key = CALL,
                                         .source = "/patchbay/router",
                                         .time_ms = 1764000000123 };

static struct pat_json *some_data(void)
{
    struct pat_json *data = pat_json_obj();

    pat_json_set_str(data, "stack", "ret\"ell");
    return data;
}

static void test_event__is_a_cloudevent(void **state)
{
    PAT_AUTO_JSON j = NULL;
    struct pat_event_text t;

    (void)state;
    assert_int_equal(pat_event_make(&t, &routed, some_data()), PAT_OK);
    assert_int_equal(t.len, strlen(t.json));
    assert_int_equal(pat_json_parse(&j, t.json, t.len, NULL), PAT_OK);
    assert_int_equal(pat_json_size(j), 9);
    assert_string_equal(pat_json_str_or(j, "specversion", ""), "1.0");
    assert_string_equal(pat_json_str_or(j, "id", ""), t.id.s);
    assert_string_equal(pat_json_str_or(j, "source", ""), "/patchbay/router");
    assert_string_equal(pat_json_str_or(j, "type", ""), "pat.call.v1.routed");
    assert_string_equal(pat_json_str_or(j, "subject", ""), CALL);
    assert_string_equal(pat_json_str_or(j, "time", ""), "2025-11-24T16:00:00.123Z");
    assert_string_equal(pat_json_str_or(j, "datacontenttype", ""), "application/json");
    assert_string_equal(pat_json_str_or(j, "userid", ""), USER);
    assert_string_equal(pat_json_str_or(j, "data.stack", ""), "ret\"ell");
    assert_string_equal(t.subject, "pat.call.v1.routed." USER "." CALL);
    pat_event_text_fini(&t);
    assert_null(t.json);
    pat_event_text_fini(&t);
}

static void test_event__of_nobody_has_no_user(void **state)
{
    struct pat_event e = routed;
    struct pat_event_text t;
    PAT_AUTO_JSON j = NULL;

    (void)state;
    e.user_id = NULL;
    assert_int_equal(pat_event_make(&t, &e, some_data()), PAT_OK);
    assert_string_equal(t.subject, "pat.call.v1.routed.-." CALL);
    assert_int_equal(pat_event_parse(&j, t.json, t.len, NULL), PAT_OK);
    assert_null(pat_json_at(j, "userid"));
    pat_event_text_fini(&t);
}

static void test_event__is_of_now_unless_told(void **state)
{
    struct pat_event e = routed;
    struct pat_event_text t;
    PAT_AUTO_JSON j = NULL;
    char before[PAT_TIME_LEN + 1];
    char after[PAT_TIME_LEN + 1];

    (void)state;
    e.time_ms = 0;
    pat_time_format(pat_unix_ms(), before);
    assert_int_equal(pat_event_make(&t, &e, some_data()), PAT_OK);
    pat_time_format(pat_unix_ms(), after);
    assert_int_equal(pat_json_parse(&j, t.json, t.len, NULL), PAT_OK);
    assert_true(strcmp(pat_json_str_or(j, "time", ""), before) >= 0);
    assert_true(strcmp(pat_json_str_or(j, "time", ""), after) <= 0);
    pat_event_text_fini(&t);
}

static void test_event__each_has_an_id_of_its_own_in_order(void **state)
{
    struct pat_event_text a;
    struct pat_event_text b;

    (void)state;
    assert_int_equal(pat_event_make(&a, &routed, some_data()), PAT_OK);
    assert_int_equal(pat_event_make(&b, &routed, some_data()), PAT_OK);
    assert_true(strcmp(a.id.s, b.id.s) < 0);
    pat_event_text_fini(&a);
    pat_event_text_fini(&b);
}

static void test_event__said_once_has_the_same_id_again(void **state)
{
    struct pat_id id = pat_event_id_once(CALL, "answered");
    struct pat_id same = pat_event_id_once(CALL, "answered");
    struct pat_id other = pat_event_id_once(CALL, "ended");
    struct pat_event e = routed;
    struct pat_event_text t;
    PAT_AUTO_JSON j = NULL;

    (void)state;
    assert_true(pat_id_valid(id.s));
    assert_string_equal(id.s, same.s);
    assert_string_not_equal(id.s, other.s);
    e.id = &id;
    assert_int_equal(pat_event_make(&t, &e, some_data()), PAT_OK);
    assert_string_equal(t.id.s, id.s);
    assert_int_equal(pat_event_parse(&j, t.json, t.len, NULL), PAT_OK);
    assert_string_equal(pat_json_str_or(j, "id", ""), id.s);
    pat_event_text_fini(&t);
}

static void test_event__refuses_what_no_envelope_holds(void **state)
{
    struct pat_event_text t = { .json = NULL };
    struct pat_event e = routed;
    static char big[PAT_EVENT_MAX];
    struct pat_json *data = pat_json_obj();

    (void)state;
    assert_int_equal(pat_event_make(&t, &e, NULL), PAT_ENOMEM); /* building the data failed */
    assert_int_equal(pat_event_make(&t, &e, pat_json_arr()), PAT_EINVAL);
    memset(big, 'x', sizeof big - 1);
    pat_json_set_str(data, "text", big);
    assert_int_equal(pat_event_make(&t, &e, data), PAT_E2BIG);
    e.key = big;
    assert_int_equal(pat_event_make(&t, &e, some_data()), PAT_E2BIG);
    e = routed;
    e.source = "";
    assert_int_equal(pat_event_make(&t, &e, some_data()), PAT_EINVAL);
    assert_null(t.json);
}

static void test_subject__nobody_escapes_from_a_token(void **state)
{
    static const struct {
        const char *in;
        const char *out;
    } rows[] = {
        { "abc-123_X", "abc-123_X" },
        { "a.b", "a_b" },
        { "*", "_" },
        { ">", "_" },
        { "a b\tc\r\n", "a_b_c__" },
        { "", "-" },
        { NULL, "-" },
        { "caf\xc3\xa9\x7f", "caf___" },
        { "+15550100001", "+15550100001" },
        { "0123456789abcdef", "0123456789abcde" }, /* cut at the size of out */
    };
    char out[16];

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        pat_subject_token(out, sizeof out, rows[i].in);
        assert_string_equal(out, rows[i].out);
    }
}

static void test_subject__too_long_is_refused_not_cut(void **state)
{
    char key[PAT_SUBJECT_MAX];
    char out[PAT_SUBJECT_MAX];
    struct pat_event e = { .area = "a", .name = "b", .user_id = "c", .key = key };
    size_t fits = PAT_SUBJECT_MAX - 1 - strlen("pat.a.v1.b.c.");

    (void)state;
    memset(key, 'k', sizeof key);
    key[fits] = '\0';
    assert_int_equal(pat_event_subject(&e, out), PAT_OK);
    assert_int_equal(strlen(out), PAT_SUBJECT_MAX - 1);
    key[fits] = 'k';
    key[fits + 1] = '\0';
    assert_int_equal(pat_event_subject(&e, out), PAT_E2BIG);
}

#define ENVELOPE(version, id, source, type, data)                                                  \
    "{\"specversion\":" version ",\"id\":" id ",\"source\":" source ",\"type\":" type              \
    ",\"data\":" data "}"
#define ID "\"017f22e2-79b0-7cc3-98c4-dc0c0c07398f\""

static void test_event__parse_checks_the_envelope(void **state)
{
    static const struct {
        const char *text;
        const char *path; /* of the fault; NULL: none */
    } rows[] = {
        { ENVELOPE("\"1.0\"", ID, "\"/x\"", "\"pat.call.v1.failed_over\"", "{}"), NULL },
        { ENVELOPE("\"0.3\"", ID, "\"/x\"", "\"pat.call.v1.ended\"", "{}"), "specversion" },
        { ENVELOPE("1.0", ID, "\"/x\"", "\"pat.call.v1.ended\"", "{}"), "specversion" },
        { ENVELOPE("\"1.0\"", "\"1\"", "\"/x\"", "\"pat.call.v1.ended\"", "{}"), "id" },
        { ENVELOPE("\"1.0\"", "null", "\"/x\"", "\"pat.call.v1.ended\"", "{}"), "id" },
        { ENVELOPE("\"1.0\"", ID, "\"\"", "\"pat.call.v1.ended\"", "{}"), "source" },
        { ENVELOPE("\"1.0\"", ID, "\"/x\"", "\"pat.call.v2.ended\"", "{}"), "type" },
        { ENVELOPE("\"1.0\"", ID, "\"/x\"", "\"pat.call.v1.\"", "{}"), "type" },
        { ENVELOPE("\"1.0\"", ID, "\"/x\"", "\"pat..v1.ended\"", "{}"), "type" },
        { ENVELOPE("\"1.0\"", ID, "\"/x\"", "\"pat.call.v1.ended.x\"", "{}"), "type" },
        { ENVELOPE("\"1.0\"", ID, "\"/x\"", "\"com.example.x\"", "{}"), "type" },
        { ENVELOPE("\"1.0\"", ID, "\"/x\"", "\"pat.call.v1.ended\"", "[]"), "data" },
        { ENVELOPE("\"1.0\"", ID, "\"/x\"", "\"pat.call.v1.ended\"", "\"\""), "data" },
        { "[]", "specversion" },
        { "{", "" },
        { "", "" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        PAT_AUTO_JSON j = NULL;
        struct pat_json_err err = { "?", "" };
        int e = pat_event_parse(&j, rows[i].text, strlen(rows[i].text), &err);

        assert_int_equal(e, rows[i].path ? PAT_EINVAL : PAT_OK);
        assert_true(!j == !!rows[i].path);
        if (rows[i].path)
            assert_string_equal(err.path, rows[i].path);
    }
}

static void test_event__parse_refuses_what_is_too_large_unread(void **state)
{
    static char big[PAT_EVENT_MAX + 1];
    struct pat_json *j = NULL;

    (void)state;
    memset(big, ' ', sizeof big);
    assert_int_equal(pat_event_parse(&j, big, sizeof big, NULL), PAT_EINVAL);
}

/* --- Streams --- */

/* NATS' rule, for the subjects streams may have: ">" at the end, no "*". */
static bool matches(const char *filter, const char *subject)
{
    size_t n = strlen(filter) - 1;

    assert_int_equal(filter[n], '>');
    return !strncmp(filter, subject, n) && subject[n] != '\0';
}

/* The stream that keeps subject; at most one may. */
static const char *keeper(const char *subject)
{
    const char *found = NULL;

    for (size_t i = 0; i < pat_event_streams_n; i++) {
        PAT_AUTO_JSON config = NULL;
        const char *text = pat_event_streams[i].config_json;

        assert_int_equal(pat_json_parse(&config, text, strlen(text), NULL), PAT_OK);
        PAT_JSON_EACH(filter, pat_json_at(config, "subjects"))
        if (matches(pat_json_value_str(filter), subject)) {
            assert_null(found);
            found = pat_event_streams[i].name;
        }
    }
    return found;
}

static void test_streams__each_event_is_kept_by_one_but_partial_by_none(void **state)
{
    static const struct {
        const char *subject;
        const char *stream;
    } rows[] = {
        { "pat.call.v1.offered.u.c", "CALL" },
        { "pat.turn.v1.user.u.c", "TURN" },
        { "pat.turn.v1.agent.u.c", "TURN" },
        { "pat.turn.v1.tool.u.c", "TURN" },
        { "pat.turn.v1.interrupted.u.c", "TURN" },
        { "pat.turn.v1.partial.u.c", NULL },
        { "pat.usage.v1.recorded.u.c", "USAGE" },
        { "pat.config.v1.changed.u.c", "CONFIG" },
        { "pat.switch.v1.requested.u.s", "SWITCH" },
        { "pat.rollout.v1.started.-.r", "ROLLOUT" },
        { "pat.voice.v1.cloned.u.v", "VOICE" },
        { "pat.health.v1.stack.retell.p", "HEALTH" },
        { "pat.webhook.v1.received.retell.i", "WEBHOOK" },
        { "pat.rpc.v1.router.hangup", NULL },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        const char *found = keeper(rows[i].subject);

        assert_true(!found == !rows[i].stream);
        if (found)
            assert_string_equal(found, rows[i].stream);
    }
}

static void test_streams__are_all_bounded(void **state)
{
    (void)state;
    for (size_t i = 0; i < pat_event_streams_n; i++) {
        PAT_AUTO_JSON j = NULL;
        const char *text = pat_event_streams[i].config_json;
        bool health = !strcmp(pat_event_streams[i].name, "HEALTH");

        assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
        assert_string_equal(pat_json_str_or(j, "name", ""), pat_event_streams[i].name);
        assert_true(pat_json_int_or(j, "max_bytes", 0) > 0);
        assert_true(pat_json_int_or(j, "duplicate_window", 0) >= 120000000000);
        assert_string_equal(pat_json_str_or(j, "discard", ""), "old");
        assert_string_equal(pat_json_str_or(j, "storage", ""), health ? "memory" : "file");
        if (health)
            assert_int_equal(pat_json_int_or(j, "max_msgs_per_subject", 0), 1);
        else
            assert_true(pat_json_int_or(j, "max_age", 0) >= 604800000000000);
    }
}

static int make_and_parse(void *arg)
{
    PAT_AUTO_JSON j = NULL;
    struct pat_event_text t;
    int err = pat_event_make(&t, &routed, some_data());

    (void)arg;
    if (err)
        return err;
    err = pat_event_parse(&j, t.json, t.len, NULL);
    pat_event_text_fini(&t);
    return err;
}

static void test_event__survives_each_allocation_failing(void **state)
{
    (void)state;
    pat_test_alloc_walk(make_and_parse, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_event__is_a_cloudevent),
        cmocka_unit_test(test_event__of_nobody_has_no_user),
        cmocka_unit_test(test_event__is_of_now_unless_told),
        cmocka_unit_test(test_event__each_has_an_id_of_its_own_in_order),
        cmocka_unit_test(test_event__said_once_has_the_same_id_again),
        cmocka_unit_test(test_event__refuses_what_no_envelope_holds),
        cmocka_unit_test(test_subject__nobody_escapes_from_a_token),
        cmocka_unit_test(test_subject__too_long_is_refused_not_cut),
        cmocka_unit_test(test_event__parse_checks_the_envelope),
        cmocka_unit_test(test_event__parse_refuses_what_is_too_large_unread),
        cmocka_unit_test(test_streams__each_event_is_kept_by_one_but_partial_by_none),
        cmocka_unit_test(test_streams__are_all_bounded),
        cmocka_unit_test(test_event__survives_each_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
