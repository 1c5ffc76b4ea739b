/* stacks_test.c - which words a stack earns. */
#include "stacks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool has(const struct stacks *s, const char *word)
{
    const char *words[16];
    size_t n = stacks_words(s, words, 16);

    for (size_t i = 0; i < n; i++)
        if (!strcmp(words[i], word))
            return true;
    return false;
}

static void test_stacks__only_livekit_tells_live(void **state)
{
    (void)state;
    assert_true(has(&(struct stacks){ "livekit", false, true }, "live_transcript"));
    assert_false(has(&(struct stacks){ "retell", true, false }, "live_transcript"));
    assert_true(has(&(struct stacks){ "retell", true, false }, "post_call_analysis"));
    assert_false(has(&(struct stacks){ "livekit", false, true }, "post_call_analysis"));
}

static void test_stacks__failover_needs_an_agent_on_both(void **state)
{
    (void)state;
    assert_true(has(&(struct stacks){ "retell", true, true }, "failover"));
    assert_true(has(&(struct stacks){ "livekit", true, true }, "failover"));
    assert_false(has(&(struct stacks){ "retell", true, false }, "failover"));
    assert_false(has(&(struct stacks){ "livekit", false, true }, "failover"));
}

static void test_stacks__without_an_agent_only_a_message_is_taken(void **state)
{
    const char *words[16];

    (void)state;
    assert_int_equal(stacks_words(&(struct stacks){ "retell", false, false }, words, 16), 1);
    assert_string_equal(words[0], "voicemail");
}

static void test_stacks__fewer_places_than_words(void **state)
{
    const char *words[2];

    (void)state;
    assert_int_equal(stacks_words(&(struct stacks){ "livekit", true, true }, words, 2), 2);
}

static void test_stacks__describes_an_agents_row(void **state)
{
    static const char text[] = "{\"stack\":\"livekit\",\"on_retell\":true,\"on_livekit\":true}";
    PAT_AUTO_JSON j = NULL;

    (void)state;
    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    stacks_describe(j);
    assert_string_equal(pat_json_value_str(pat_json_item(pat_json_at(j, "capabilities"), 0)),
                        "inbound_calls");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stacks__only_livekit_tells_live),
        cmocka_unit_test(test_stacks__failover_needs_an_agent_on_both),
        cmocka_unit_test(test_stacks__without_an_agent_only_a_message_is_taken),
        cmocka_unit_test(test_stacks__fewer_places_than_words),
        cmocka_unit_test(test_stacks__describes_an_agents_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
