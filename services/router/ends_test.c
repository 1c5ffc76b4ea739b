#include "ends.h"

#include "test/cmocka.h"

#include <string.h>

static void test_ends__each_status_of_the_carrier_is_a_word_of_ours(void **state)
{
    static const struct {
        const char *status, *word;
    } table[] = {
        { "completed", "completed" },   { "canceled", "caller_gave_up" },
        { "failed", "failed" },         { "busy", "busy" },
        { "no-answer", "no_answer" },   { "hangup", "completed" },
        { "cancel", "caller_gave_up" }, { "no_answer", "no_answer" },
        { "declined", "declined" },     { "error", "failed" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_string_equal(ends_of_status(table[i].status)->word, table[i].word);
}

static void test_ends__a_call_that_goes_on_has_none(void **state)
{
    static const char *const open[] = { "queued",   "initiated", "ringing", "in-progress",
                                        "answered", "nonsense",  "" };

    (void)state;
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        assert_null(ends_of_status(open[i]));
    assert_null(ends_of_status(NULL));
}

static const char *dial(const char *by, const char *said)
{
    struct leg leg = { .end = pat_end_reason_find(said) };
    PAT_AUTO_JSON j = pat_json_obj();
    struct carrier_req c = { .json = j };

    if (by)
        pat_json_set_str(j, "HangupBy", by);
    return ends_of_dial(&c, &leg)->word;
}

static void test_ends__the_carrier_knows_when_the_caller_hung_up(void **state)
{
    (void)state;
    assert_string_equal(dial("caller", "idle"), "caller_hangup");
    assert_string_equal(dial("caller", NULL), "caller_hangup");
}

static void test_ends__who_served_knows_why_it_hung_up(void **state)
{
    (void)state;
    assert_string_equal(dial("callee", "idle"), "idle");
    assert_string_equal(dial(NULL, "providers_failed"), "providers_failed");
    assert_string_equal(dial("callee", NULL), "agent_hangup");
}

static void test_ends__nobody_said_anything(void **state)
{
    struct carrier_req c = { 0 };
    PAT_AUTO_JSON j = pat_json_obj();

    (void)state;
    c.json = j;
    assert_string_equal(dial(NULL, NULL), "completed");
    assert_string_equal(ends_of_dial(&c, NULL)->word, "completed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends__each_status_of_the_carrier_is_a_word_of_ours),
        cmocka_unit_test(test_ends__a_call_that_goes_on_has_none),
        cmocka_unit_test(test_ends__the_carrier_knows_when_the_caller_hung_up),
        cmocka_unit_test(test_ends__who_served_knows_why_it_hung_up),
        cmocka_unit_test(test_ends__nobody_said_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
