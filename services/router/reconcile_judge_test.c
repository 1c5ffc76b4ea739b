#include "reconcile_judge.h"

#include "test/cmocka.h"

#include <string.h>

#define MIN 60000LL
#define NOW (200 * MIN)

struct row {
    const char *what;
    struct judge_in in;
    const char *carrier_why, *stack_why, *agent_why;
    enum judge_do want;
    const char *why;
    int64_t at_ms;
};

static const struct row table[] = {
    { "both have it", { .carrier = JUDGE_LIVE, .stack = JUDGE_LIVE }, 0, 0, 0, JUDGE_LEAVE, 0, 0 },
    { "the carrier has ended it, and knows how",
      { .carrier = JUDGE_OVER, .carrier_end_ms = 150 * MIN, .stack = JUDGE_LIVE },
      "busy",
      0,
      "idle",
      JUDGE_CLOSE,
      "busy",
      150 * MIN },
    { "the carrier has ended it, the agent knows why",
      { .carrier = JUDGE_OVER, .carrier_end_ms = 150 * MIN, .stack = JUDGE_UNKNOWN },
      "completed",
      0,
      "idle",
      JUDGE_CLOSE,
      "idle",
      150 * MIN },
    { "the carrier has ended it, the stack knows why",
      { .carrier = JUDGE_OVER,
        .carrier_end_ms = 150 * MIN,
        .stack = JUDGE_OVER,
        .stack_end_ms = 149 * MIN },
      "completed",
      "caller_hangup",
      0,
      JUDGE_CLOSE,
      "caller_hangup",
      150 * MIN },
    { "moved: the stack's end is not the call's",
      { .carrier = JUDGE_OVER, .stack = JUDGE_OVER, .stack_end_ms = 120 * MIN, .moved = true },
      "completed",
      "caller_hangup",
      0,
      JUDGE_CLOSE,
      "completed",
      180 * MIN },
    { "nobody knows it any more: the last sign of life counts",
      { .carrier = JUDGE_UNKNOWN, .stack = JUDGE_UNKNOWN },
      0,
      0,
      0,
      JUDGE_CLOSE,
      "unheard",
      180 * MIN },
    { "the carrier does not list SWML's calls",
      { .carrier = JUDGE_UNKNOWN, .stack = JUDGE_LIVE, .swml = true },
      0,
      0,
      0,
      JUDGE_LEAVE,
      0,
      0 },
    { "the carrier does not answer",
      { .carrier = JUDGE_NO_ANSWER, .stack = JUDGE_OVER },
      0,
      "idle",
      0,
      JUDGE_LEAVE,
      0,
      0 },
    { "the carrier does not answer for hours",
      { .carrier = JUDGE_NO_ANSWER, .stack = JUDGE_NO_ANSWER, .max_ms = 10 * MIN },
      0,
      0,
      0,
      JUDGE_LEAVE,
      0,
      0 },
    { "too long",
      { .carrier = JUDGE_LIVE, .stack = JUDGE_LIVE, .max_ms = 100 * MIN },
      0,
      0,
      0,
      JUDGE_END,
      "max_duration",
      0 },
    { "too long, moved or not",
      { .carrier = JUDGE_LIVE, .stack = JUDGE_NO_ANSWER, .max_ms = 100 * MIN, .moved = true },
      0,
      0,
      0,
      JUDGE_END,
      "max_duration",
      0 },
    { "the stack has lost it: once may be a mistake",
      { .carrier = JUDGE_LIVE, .stack = JUDGE_UNKNOWN },
      0,
      0,
      0,
      JUDGE_LOOK_SOON,
      0,
      0 },
    { "the stack has lost it",
      { .carrier = JUDGE_LIVE, .stack = JUDGE_UNKNOWN, .gone = 1 },
      0,
      0,
      0,
      JUDGE_END,
      "stack_lost",
      0 },
    { "the stack has ended it and the leg is still there",
      { .carrier = JUDGE_LIVE, .stack = JUDGE_OVER, .gone = 1 },
      0,
      "agent_hangup",
      0,
      JUDGE_END,
      "agent_hangup",
      0 },
    { "with another phone, the stack need not have it",
      { .carrier = JUDGE_LIVE, .stack = JUDGE_OVER, .gone = 5, .moved = true },
      0,
      "agent_hangup",
      0,
      JUDGE_LEAVE,
      0,
      0 },
    { "the stack does not answer",
      { .carrier = JUDGE_LIVE, .stack = JUDGE_NO_ANSWER, .gone = 5 },
      0,
      0,
      0,
      JUDGE_LEAVE,
      0,
      0 },
    { "only the stack can be asked",
      { .carrier = JUDGE_NOT_ASKED, .stack = JUDGE_OVER, .stack_end_ms = 140 * MIN },
      0,
      "caller_hangup",
      0,
      JUDGE_CLOSE,
      "caller_hangup",
      140 * MIN },
    { "nobody can be asked",
      { .carrier = JUDGE_NOT_ASKED, .stack = JUDGE_NOT_ASKED },
      0,
      0,
      0,
      JUDGE_LEAVE,
      0,
      0 },
    { "nobody can be asked, and it cannot be alive",
      { .carrier = JUDGE_NOT_ASKED, .stack = JUDGE_NO_ANSWER, .max_ms = 100 * MIN },
      0,
      0,
      0,
      JUDGE_CLOSE,
      "unheard",
      180 * MIN },
};

static void test_judge__closes_what_is_over_and_leaves_what_is_not(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct judge_in in = table[i].in;
        struct judge_out out;

        in.offered_ms = 60 * MIN;
        in.last_ms = 180 * MIN;
        in.now_ms = NOW;
        in.max_ms = in.max_ms ? in.max_ms : 240 * MIN;
        in.carrier_why = pat_end_reason_find(table[i].carrier_why);
        in.stack_why = pat_end_reason_find(table[i].stack_why);
        in.agent_why = pat_end_reason_find(table[i].agent_why);
        out = reconcile_judge(&in);
        if (out.what != table[i].want || out.at_ms != table[i].at_ms)
            fail_msg("%s: %d at %lld", table[i].what, out.what, (long long)out.at_ms);
        assert_string_equal(out.why ? out.why->word : "", table[i].why ? table[i].why : "");
    }
}

/* Whatever is said: an end has a reason, and a close has a time that is not after now. */
static void test_judge__never_invents(void **state)
{
    (void)state;
    for (int carrier = 0; carrier <= JUDGE_UNKNOWN; carrier++)
        for (int stack = 0; stack <= JUDGE_UNKNOWN; stack++)
            for (int bits = 0; bits < 8; bits++) {
                struct judge_in in = { .carrier = (enum judge_says)carrier,
                                       .stack = (enum judge_says)stack,
                                       .moved = bits & 1,
                                       .swml = bits & 2,
                                       .gone = bits & 4,
                                       .offered_ms = 60 * MIN,
                                       .last_ms = 180 * MIN,
                                       .now_ms = NOW,
                                       .max_ms = 100 * MIN };
                struct judge_out out = reconcile_judge(&in);

                assert_int_equal(out.why != NULL, out.what >= JUDGE_CLOSE);
                assert_true(out.what != JUDGE_CLOSE ||
                            (out.at_ms >= in.offered_ms && out.at_ms <= NOW));
                assert_true(out.what != JUDGE_END || carrier == JUDGE_LIVE);
                assert_true(carrier != JUDGE_NO_ANSWER || out.what == JUDGE_LEAVE);
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_judge__closes_what_is_over_and_leaves_what_is_not),
        cmocka_unit_test(test_judge__never_invents),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
