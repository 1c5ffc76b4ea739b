/* switch_next_test.c - the saga's machine: each way through it, from wherever it was left. */
#include "switch_next.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define D(s)        (1u << (s))
#define TO_VERIFIED (D(STEP_VALIDATE) | D(STEP_PROVISION) | D(STEP_VERIFY))
#define TO_DRAINED  (TO_VERIFIED | D(STEP_CUTOVER) | D(STEP_OBSERVE) | D(STEP_DRAIN))

static void test_next__follows_the_table(void **state)
{
    static const struct {
        const char *what;
        struct switch_facts f;
        enum switch_step step;
        bool turn;
        int64_t wait_ms;
    } table[] = {
        { "a new one is validated", { 0 }, STEP_VALIDATE, false, 0 },
        { "then the agent is made", { .done = D(STEP_VALIDATE) }, STEP_PROVISION, false, 0 },
        { "a hold stops before the cut-over",
          { .done = TO_VERIFIED, .hold = true },
          0,
          false,
          3600000 },
        { "without one it goes on", { .done = TO_VERIFIED }, STEP_CUTOVER, false, 0 },
        { "after the cut-over a hold means nothing",
          { .done = TO_VERIFIED | D(STEP_CUTOVER), .hold = true },
          STEP_OBSERVE,
          false,
          0 },
        { "the old agent is kept until the window ends",
          { .done = TO_DRAINED, .window_left_ms = 5 },
          0,
          false,
          5 },
        { "then it is retired", { .done = TO_DRAINED }, STEP_RETIRE, false, 0 },
        { "a wish turns it round", { .done = TO_VERIFIED, .wish = true }, 0, true, 0 },
        { "also while it waits",
          { .done = TO_DRAINED, .window_left_ms = 5, .wish = true },
          0,
          true,
          0 },
        { "also while it is held",
          { .done = TO_VERIFIED, .hold = true, .wish = true },
          0,
          true,
          0 },
        { "before the cut-over there is only cleaning up",
          { .done = TO_VERIFIED, .undo = true, .wish = true },
          STEP_CLEAN_UP,
          false,
          0 },
        { "after it, first of all the user goes back",
          { .done = TO_DRAINED, .undo = true, .wish = true },
          STEP_CUT_BACK,
          false,
          0 },
        { "then the routers",
          { .done = TO_DRAINED | D(STEP_CUT_BACK), .undo = true },
          STEP_OBSERVE_BACK,
          false,
          0 },
        { "calls on an agent that stays are nobody's business",
          { .done = TO_DRAINED | D(STEP_CUT_BACK) | D(STEP_OBSERVE_BACK), .undo = true },
          STEP_CLEAN_UP,
          false,
          0 },
        { "those on one that was made are waited for",
          { .done = TO_DRAINED | D(STEP_CUT_BACK) | D(STEP_OBSERVE_BACK),
            .undo = true,
            .made = true },
          STEP_DRAIN_BACK,
          false,
          0 },
        { "a window does not hold up the way back",
          { .done = TO_DRAINED, .undo = true, .window_left_ms = 5 },
          STEP_CUT_BACK,
          false,
          0 },
        { "what is over is over",
          { .done = TO_DRAINED, .finished = true, .wish = true },
          0,
          false,
          0 },
        { "cleaned up is over",
          { .done = TO_VERIFIED | D(STEP_CLEAN_UP), .undo = true },
          0,
          false,
          0 },
        { "retired is over", { .done = TO_DRAINED | D(STEP_RETIRE) }, 0, false, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct switch_move m = switch_next(&table[i].f);

        if (m.step != table[i].step || m.turn != table[i].turn || m.wait_ms != table[i].wait_ms)
            fail_msg("%s: step %s, turn %d, wait %lld", table[i].what, switch_step_name(m.step),
                     m.turn, (long long)m.wait_ms);
        assert_true(!m.wait_ms == !m.why);
    }
}

/* From any point, each step once and in order, and an end. */
static int walk(struct switch_facts f, enum switch_step *seen)
{
    int n = 0;

    for (;;) {
        struct switch_move m = switch_next(&f);

        if (m.turn) {
            f.undo = true;
            continue;
        }
        if (!m.step)
            return m.wait_ms ? -1 : n;
        assert_false(f.done & 1u << m.step);
        assert_true(n < SWITCH_STEPS);
        f.done |= 1u << m.step;
        f.finished = m.step == STEP_RETIRE || m.step == STEP_CLEAN_UP;
        seen[n++] = m.step;
    }
}

static void test_next__comes_to_an_end_from_everywhere(void **state)
{
    enum switch_step seen[SWITCH_STEPS + 1];

    (void)state;
    for (unsigned done = 0; done <= STEP_DRAIN; done++)
        for (int made = 0; made < 2; made++) {
            struct switch_facts f = { .done = (1u << (done + 1)) - 2, .made = made };
            int n = walk(f, seen);

            assert_int_equal(n, STEP_RETIRE - done);
            assert_int_equal(seen[n - 1], STEP_RETIRE);
            f.wish = true;
            n = walk(f, seen);
            assert_int_equal(seen[n - 1], STEP_CLEAN_UP);
            assert_int_equal(n, done < STEP_CUTOVER ? 1 : made ? 4 : 3);
        }
}

static void test_next__names_lead_back(void **state)
{
    (void)state;
    for (unsigned i = 1; i < SWITCH_STEPS; i++)
        assert_int_equal(switch_step_parse(switch_step_name((enum switch_step)i)), i);
    assert_int_equal(switch_step_parse("dance"), STEP_NONE);
}

/* Past the cut-over nothing is given up, however often it fails. */
static void test_next__gives_up_only_before_the_cut_over(void **state)
{
    (void)state;
    for (unsigned i = 1; i < SWITCH_STEPS; i++)
        assert_int_equal(switch_step_may_fail((enum switch_step)i), i <= STEP_CUTOVER);
}

static void test_facts__are_read_from_the_row(void **state)
{
    static const char text[] =
        "{\"done\":[\"validate\",\"provision\",\"dance\"],\"undo\":true,\"finished_at\":null,"
        "\"wish\":\"abort\",\"made\":true,\"hold\":true,\"promoted\":true,\"window_left_ms\":7}";
    PAT_AUTO_JSON row = NULL;
    struct switch_facts f;

    (void)state;
    assert_int_equal(pat_json_parse(&row, text, sizeof text - 1, NULL), PAT_OK);
    f = switch_facts_of(row);
    assert_int_equal(f.done & ~1u, D(STEP_VALIDATE) | D(STEP_PROVISION));
    assert_true(f.undo && f.wish && f.made && !f.hold && !f.finished);
    assert_int_equal(f.window_left_ms, 7);
    assert_string_equal(switch_end(row), "rolled_back");
    pat_json_set_null(row, "wish");
    assert_string_equal(switch_end(row), "failed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next__follows_the_table),
        cmocka_unit_test(test_next__comes_to_an_end_from_everywhere),
        cmocka_unit_test(test_next__names_lead_back),
        cmocka_unit_test(test_next__gives_up_only_before_the_cut_over),
        cmocka_unit_test(test_facts__are_read_from_the_row),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
