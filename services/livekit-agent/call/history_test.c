/* history_test.c - whatever was said in whatever order, the model gets a valid list. */
#include "history.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct history *make(void)
{
    struct history *h;

    assert_int_equal(history_new(&h, "be brief"), PAT_OK);
    return h;
}

static void check(const struct history *h, const char *pending, size_t max, const char *want)
{
    struct pat_json *m = history_messages(h, pending, max);
    char *text = pat_json_print(m);

    assert_string_equal(text, want);
    free(text);
    pat_json_free(m);
}

#define SYSTEM "{\"role\":\"system\",\"content\":\"be brief\"}"

static void test_history__begins_with_the_system_message(void **state)
{
    struct history *h = make();

    (void)state;
    check(h, NULL, 10000, "[" SYSTEM "]");
    history_free(h);
}

static void test_history__merges_what_one_side_says_in_pieces(void **state)
{
    struct history *h = make();

    (void)state;
    assert_int_equal(history_agent(h, "Hello.", 0), PAT_OK);
    assert_int_equal(history_user(h, " I would like ", 1000), PAT_OK);
    assert_int_equal(history_user(h, "a table", 2000), PAT_OK);
    check(h, NULL, 10000,
          "[" SYSTEM ",{\"role\":\"assistant\",\"content\":\"Hello.\"},"
          "{\"role\":\"user\",\"content\":\"I would like a table\"}]");
    check(h, "for two", 10000,
          "[" SYSTEM ",{\"role\":\"assistant\",\"content\":\"Hello.\"},"
          "{\"role\":\"user\",\"content\":\"I would like a table for two\"}]");
    assert_int_equal(history_size(h), 2);
    history_free(h);
}

static void test_history__pending_words_are_shown_but_not_kept(void **state)
{
    struct history *h = make();

    (void)state;
    assert_int_equal(history_agent(h, "Hello.", 0), PAT_OK);
    check(h, "who is there", 10000,
          "[" SYSTEM ",{\"role\":\"assistant\",\"content\":\"Hello.\"},"
          "{\"role\":\"user\",\"content\":\"who is there\"}]");
    assert_int_equal(history_size(h), 1);
    assert_false(history_user_spoke(h));
    history_free(h);
}

static void test_history__keeps_nothing_empty(void **state)
{
    struct history *h = make();

    (void)state;
    assert_int_equal(history_user(h, " \n", 0), PAT_OK);
    assert_int_equal(history_agent(h, "", 0), PAT_OK);
    check(h, "  ", 10000, "[" SYSTEM "]");
    history_free(h);
}

static void test_history__drops_the_oldest_when_there_is_no_room(void **state)
{
    struct history *h = make();

    (void)state;
    assert_int_equal(history_user(h, "a long story about the weather of last summer", 0), PAT_OK);
    assert_int_equal(history_agent(h, "I see.", 0), PAT_OK);
    assert_int_equal(history_user(h, "Bye.", 0), PAT_OK);
    check(h, NULL, 100,
          "[" SYSTEM ",{\"role\":\"assistant\",\"content\":\"I see.\"},"
          "{\"role\":\"user\",\"content\":\"Bye.\"}]");
    assert_int_equal(history_size(h), 3);
    history_free(h);
}

static void test_history__the_transcript_has_both_sides_and_times(void **state)
{
    struct history *h = make();
    struct pat_json *t;
    char *text;

    (void)state;
    assert_int_equal(history_agent(h, "Hello.", 10), PAT_OK);
    assert_int_equal(history_user(h, "Hi.", 2500), PAT_OK);
    t = history_transcript(h);
    text = pat_json_print(t);
    assert_string_equal(text, "[{\"role\":\"agent\",\"content\":\"Hello.\",\"start_ms\":10},"
                              "{\"role\":\"user\",\"content\":\"Hi.\",\"start_ms\":2500}]");
    free(text);
    pat_json_free(t);
    history_free(h);
}

static struct pat_json *calls(const char *text)
{
    struct pat_json *j;

    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    return j;
}

#define CALLS                                                                                      \
    "[{\"id\":\"a.1\",\"type\":\"function\",\"function\":{\"name\":\"x\",\"arguments\":\"{}\"}},"  \
    "{\"id\":\"b\",\"type\":\"function\",\"function\":{\"name\":\"y\",\"arguments\":\"{}\"}}]"

static void test_history__answers_every_tool_call(void **state)
{
    struct history *h = make();

    (void)state;
    assert_int_equal(history_user(h, "Do it.", 0), PAT_OK);
    assert_int_equal(history_tools(h, calls(CALLS), 10), PAT_OK);
    assert_int_equal(history_agent(h, "Wait.", 20), PAT_OK);
    assert_int_equal(history_user(h, "Well?", 30), PAT_OK);
    history_tool_result(h, "a.1", "done");
    history_tool_result(h, "never asked", "x");
    check(h, NULL, 10000,
          "[" SYSTEM ",{\"role\":\"user\",\"content\":\"Do it.\"},"
          "{\"role\":\"assistant\",\"content\":null,\"tool_calls\":" CALLS "},"
          "{\"role\":\"tool\",\"tool_call_id\":\"a.1\",\"content\":\"done\"},"
          "{\"role\":\"tool\",\"tool_call_id\":\"b\",\"content\":\"{\\\"status\\\":\\\"still "
          "running\\\"}\"},{\"role\":\"assistant\",\"content\":\"Wait.\"},"
          "{\"role\":\"user\",\"content\":\"Well?\"}]");
    /* Calls and results stay together, or go together. */
    check(h, NULL, 120,
          "[" SYSTEM ",{\"role\":\"assistant\",\"content\":\"Wait.\"},"
          "{\"role\":\"user\",\"content\":\"Well?\"}]");
    history_free(h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_history__begins_with_the_system_message),
        cmocka_unit_test(test_history__merges_what_one_side_says_in_pieces),
        cmocka_unit_test(test_history__pending_words_are_shown_but_not_kept),
        cmocka_unit_test(test_history__keeps_nothing_empty),
        cmocka_unit_test(test_history__drops_the_oldest_when_there_is_no_room),
        cmocka_unit_test(test_history__answers_every_tool_call),
        cmocka_unit_test(test_history__the_transcript_has_both_sides_and_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
