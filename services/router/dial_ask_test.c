#include "dial_ask.h"

#include "test/cmocka.h"

#include <string.h>

struct row {
    const char *what, *calls;
    bool known;
    const char *leg, *status;
    int sip_code;
    int64_t talk_ms;
};

static const struct row table[] = {
    { "no leg", "[]", false, "", "", 0, -1 },
    { "one that was served",
      "[{\"sid\":\"a\",\"status\":\"completed\",\"duration\":\"12\",\"date_created\":"
      "\"Mon, 23 Nov 2026 10:00:00 +0000\"}]",
      true, "a", "completed", 0, 12000 },
    { "numbers as numbers",
      "[{\"sid\":\"a\",\"status\":\"failed\",\"duration\":0,\"sip_result_code\":503}]", true, "a",
      "failed", 503, 0 },
    { "a code as text", "[{\"sid\":\"a\",\"status\":\"busy\",\"sip_result_code\":\"486\"}]", true,
      "a", "busy", 486, -1 },
    { "the newest, wherever it stands",
      "[{\"sid\":\"a\",\"status\":\"failed\",\"date_created\":\"Mon, 23 Nov 2026 10:00:00 +0000\"},"
      "{\"sid\":\"b\",\"status\":\"completed\",\"duration\":\"3\",\"date_created\":"
      "\"Mon, 23 Nov 2026 10:00:09 +0000\"}]",
      true, "b", "completed", 0, 3000 },
    { "within a second the first of the list",
      "[{\"sid\":\"b\",\"status\":\"completed\",\"date_created\":\"Mon, 23 Nov 2026 10:00:00 +0000\"},"
      "{\"sid\":\"a\",\"status\":\"failed\",\"date_created\":\"Mon, 23 Nov 2026 10:00:00 +0000\"}]",
      true, "b", "completed", 0, -1 },
    { "one that goes on", "[{\"sid\":\"a\",\"status\":\"in-progress\"}]", false, "", "", 0, -1 },
    { "no status", "[{\"sid\":\"a\"}]", false, "", "", 0, -1 },
    { "no list", "{\"sid\":\"a\"}", false, "", "", 0, -1 },
};

static void test_dial_ask__reads_what_the_carrier_lists(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        const struct row *row = &table[i];
        PAT_AUTO_JSON j = NULL;
        struct dial_told t;

        assert_int_equal(pat_json_parse(&j, row->calls, strlen(row->calls), NULL), PAT_OK);
        t = dial_told_of(j);
        if (t.known != row->known)
            fail_msg("%s: known %d", row->what, t.known);
        if (!t.known)
            continue;
        assert_string_equal(t.leg, row->leg);
        assert_string_equal(t.status, row->status);
        assert_int_equal(t.sip_code, row->sip_code);
        assert_int_equal(t.talk_ms, row->talk_ms);
    }
}

static void test_dial_ask__knows_a_number_dialled_and_nothing_else(void **state)
{
    static const struct {
        const char *calls, *to;
    } rows[] = {
        { "[{\"sid\":\"a\",\"status\":\"busy\",\"to\":\"+15550142000\"}]", "+15550142000" },
        { "[{\"sid\":\"a\",\"status\":\"busy\",\"to\":\"sip:a@example.com\"}]", "" },
        { "[{\"sid\":\"a\",\"status\":\"busy\",\"to\":\"+1555014200015550142000\"}]", "" },
        { "[{\"sid\":\"a\",\"status\":\"busy\"}]", "" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        PAT_AUTO_JSON j = NULL;

        assert_int_equal(pat_json_parse(&j, rows[i].calls, strlen(rows[i].calls), NULL), PAT_OK);
        assert_string_equal(dial_told_of(j).to, rows[i].to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_dial_ask__reads_what_the_carrier_lists),
        cmocka_unit_test(test_dial_ask__knows_a_number_dialled_and_nothing_else),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
