/* decide_test.c - policies first, then the ladder. */
#include "decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define R STACK_RETELL
#define L STACK_LIVEKIT

static const struct ladder_stack agent = { LADDER_AGENT, false }, down = { LADDER_AGENT, true };

static struct decide_in in_of(enum stack own, struct ladder_stack retell,
                              struct ladder_stack livekit, unsigned tried)
{
    struct decide_in in = {
        .ladder = { .own = own, .retell = retell, .livekit = livekit, .tried = tried }
    };

    in.ladder.ladder = ladder_default();
    return in;
}

static void test_decide__without_a_policy_that_stops_asks_the_ladder(void **state)
{
    static const struct ladder_stack none = { LADDER_CANNOT, false };
    const struct {
        struct decide_in in;
        enum decide_action action;
        enum stack stack;
        bool fallback;
        const char *first_reason, *last_reason;
    } table[] = {
        { in_of(R, agent, none, 0), DECIDE_STACK, R, false, "own_stack", "own_stack" },
        { in_of(L, none, agent, 0), DECIDE_STACK, L, false, "own_stack", "own_stack" },
        { in_of(R, down, agent, 0), DECIDE_STACK, L, true, "retell_down", "fallback" },
        { in_of(L, agent, agent, LADDER_TRIED(L)), DECIDE_STACK, R, true, "livekit_tried",
          "fallback" },
        { in_of(R, down, down, 0), DECIDE_VOICEMAIL, STACK_NONE, false, "retell_down",
          "voicemail" },
        { in_of(R, none, none, LADDER_TRIED_VOICEMAIL), DECIDE_SAY, STACK_NONE, false,
          "no_retell_agent", "apology" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct decision d = decide(&table[i].in);

        assert_int_equal(d.action, table[i].action);
        assert_int_equal(d.stack, table[i].stack);
        assert_int_equal(d.fallback, table[i].fallback);
        assert_null(d.policy);
        assert_string_equal(d.reasons[0], table[i].first_reason);
        assert_string_equal(d.reasons[d.n_reasons - 1], table[i].last_reason);
    }
}

static void test_decide__the_ladders_forward_goes_to_its_own_number(void **state)
{
    struct decide_in in = in_of(R, down, down, LADDER_TRIED_VOICEMAIL);
    struct decision d;

    (void)state;
    in.ladder.forward = true;
    pat_strcpy(in.fallback_number, sizeof in.fallback_number, "+15550100077");
    d = decide(&in);
    assert_int_equal(d.action, DECIDE_FORWARD);
    assert_string_equal(d.forward, "+15550100077");
}

static void test_decide__a_policy_that_stops_is_the_decision(void **state)
{
    struct policy_facts f = { .from = "+15550100009", .to = "+15550100001", .blocked = true };
    struct decide_in in = in_of(R, agent, agent, 0);
    struct decision d;

    (void)state;
    in.policy = &f;
    f.want.block = POLICY_REJECT;
    d = decide(&in);
    assert_int_equal(d.action, DECIDE_REFUSE);
    assert_false(d.busy);
    assert_string_equal(d.policy, "block_list");
    assert_int_equal(d.n_reasons, 1);
    assert_string_equal(d.reasons[0], "blocked");
    f.want.block = POLICY_BUSY;
    assert_true(decide(&in).busy);
}

static void test_decide__what_spoke_and_let_through_is_a_reason_too(void **state)
{
    struct policy_facts f = { .to = "+15550100001", .caller = CALLER_ANONYMOUS };
    struct decide_in in = in_of(R, agent, agent, 0);
    struct decision d;

    (void)state;
    in.policy = &f;
    d = decide(&in);
    assert_int_equal(d.action, DECIDE_STACK);
    assert_int_equal(d.n_reasons, 2);
    assert_string_equal(d.reasons[0], "caller_anonymous");
    assert_string_equal(d.reasons[1], "own_stack");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decide__without_a_policy_that_stops_asks_the_ladder),
        cmocka_unit_test(test_decide__the_ladders_forward_goes_to_its_own_number),
        cmocka_unit_test(test_decide__a_policy_that_stops_is_the_decision),
        cmocka_unit_test(test_decide__what_spoke_and_let_through_is_a_reason_too),
    };

    return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
