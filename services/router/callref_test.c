/* callref_test.c - the signed reference of a call in a callback's URL. */
#include "callref.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define SECRET "a secret of the router"
#define NOW    1764000000000

static struct callref sample(void)
{
    return (struct callref){ .call = { "019ab000-0000-7000-8000-000000000001" },
                             .carrier_call = "11111111-2222-3333-4444-555555555555",
                             .user = "3f1d2c4b-0000-4000-8000-000000000001",
                             .agent_config = "3f1d2c4b-0000-4000-8000-00000000000a",
                             .retell_call = "call_5d0c",
                             .from = "+15550100001",
                             .to = "+15550100002",
                             .stack = STACK_RETELL,
                             .tried = 1u << STACK_RETELL,
                             .config_version = 7,
                             .offered_ms = NOW };
}

static void write_token(struct pat_buf *out, const struct callref *c)
{
    pat_buf_init(out, CALLREF_TOKEN_MAX);
    assert_int_equal(callref_token(out, SECRET, c), PAT_OK);
}

/* By what is written of both: a struct has padding, too. */
static void same(const struct callref *a, const struct callref *b)
{
    struct pat_buf one, two;

    write_token(&one, a);
    write_token(&two, b);
    assert_string_equal(one.data, two.data);
    pat_buf_fini(&one);
    pat_buf_fini(&two);
}

static void test_callref__comes_back_as_it_was(void **state)
{
    struct callref c = sample(), got;
    struct pat_buf token;

    (void)state;
    write_token(&token, &c);
    assert_int_equal(callref_parse(&got, SECRET, token.data, NOW + 1000), PAT_OK);
    same(&got, &c);
    pat_buf_fini(&token);
}

static void test_callref__withheld_caller_and_no_agent_are_empty(void **state)
{
    struct callref c = sample(), got;
    struct pat_buf token;

    (void)state;
    memset(c.from, 0, sizeof c.from);
    memset(c.agent_config, 0, sizeof c.agent_config);
    write_token(&token, &c);
    assert_int_equal(callref_parse(&got, SECRET, token.data, NOW), PAT_OK);
    same(&got, &c);
    pat_buf_fini(&token);
}

static void test_callref__counts_the_moves(void **state)
{
    struct callref c = sample(), got;
    struct pat_buf token;

    (void)state;
    c.moves = 3;
    write_token(&token, &c);
    assert_int_equal(callref_parse(&got, SECRET, token.data, NOW), PAT_OK);
    assert_int_equal(got.moves, 3);
    pat_buf_fini(&token);
}

static void test_callref__every_altered_character_is_refused(void **state)
{
    struct callref c = sample(), got;
    struct pat_buf token;

    (void)state;
    write_token(&token, &c);
    for (size_t i = 0; i + 1 < token.len; i++) {
        char was = token.data[i];

        token.data[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(callref_parse(&got, SECRET, token.data, NOW), PAT_EAUTH);
        token.data[i] = was;
    }
    assert_int_equal(callref_parse(&got, "another secret", token.data, NOW), PAT_EAUTH);
    pat_buf_fini(&token);
}

static void test_callref__is_good_for_a_day(void **state)
{
    struct callref c = sample(), got;
    struct pat_buf token;

    (void)state;
    write_token(&token, &c);
    assert_int_equal(callref_parse(&got, SECRET, token.data, NOW + 23 * 3600 * 1000LL), PAT_OK);
    assert_int_equal(callref_parse(&got, SECRET, token.data, NOW + 25 * 3600 * 1000LL), PAT_EAUTH);
    pat_buf_fini(&token);
}

static void test_callref__garbage_is_refused(void **state)
{
    static const char *const table[] = { "", ".", "a.b", "....", "MQ.AAAA", "%00", "MQo.MQo" };
    struct callref got;

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        assert_int_equal(callref_parse(&got, SECRET, table[i], NOW), PAT_EAUTH);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_callref__comes_back_as_it_was),
        cmocka_unit_test(test_callref__withheld_caller_and_no_agent_are_empty),
        cmocka_unit_test(test_callref__counts_the_moves),
        cmocka_unit_test(test_callref__every_altered_character_is_refused),
        cmocka_unit_test(test_callref__is_good_for_a_day),
        cmocka_unit_test(test_callref__garbage_is_refused),
    };

    return cmocka_run_group_tests_name("callref", tests, NULL, NULL);
}
