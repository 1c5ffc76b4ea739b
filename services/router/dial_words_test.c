/* dial_words_test.c - what the carrier's words about a dialled leg mean. */
#include "dial_words.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define R  STACK_RETELL
#define L  STACK_LIVEKIT

#define ON "in-progress"

static void test_dial_words__follow_the_table(void **state)
{
    static const struct {
        struct dial_words in;
        enum dial_end end;
        enum dial_blame blame;
        const char *why;
    } table[] = {
        /* never answered, no code */
        { { "busy", ON, NULL, 0, 0, R }, DIAL_FAILED, BLAME_CALL, "busy" },
        { { "no-answer", ON, NULL, 0, 0, R }, DIAL_FAILED, BLAME_STACK, "no_answer" },
        { { "failed", ON, NULL, 0, 0, R }, DIAL_FAILED, BLAME_STACK, "failed" },
        { { "failed", NULL, NULL, 0, -1, L }, DIAL_FAILED, BLAME_STACK, "failed" },
        /* SWML's words */
        { { "no_answer", NULL, NULL, 0, -1, L }, DIAL_FAILED, BLAME_STACK, "no_answer" },
        { { "declined", NULL, NULL, 0, -1, L }, DIAL_FAILED, BLAME_CALL, "declined" },
        { { "error", NULL, NULL, 0, -1, L }, DIAL_FAILED, BLAME_STACK, "failed" },
        /* the code says more than the word */
        { { "failed", ON, NULL, 503, 0, L }, DIAL_FAILED, BLAME_STACK, "failed" },
        { { "failed", ON, NULL, 500, 0, R }, DIAL_FAILED, BLAME_STACK, "failed" },
        { { "failed", ON, NULL, 403, 0, L }, DIAL_FAILED, BLAME_STACK, "not_authorized" },
        { { "failed", ON, NULL, 404, 0, L }, DIAL_FAILED, BLAME_STACK, "not_found" },
        { { "failed", ON, NULL, 404, 0, R }, DIAL_FAILED, BLAME_CALL, "not_found" },
        { { "failed", ON, NULL, 488, 0, R }, DIAL_FAILED, BLAME_CALL, "not_acceptable" },
        { { "failed", ON, NULL, 603, 0, R }, DIAL_FAILED, BLAME_CALL, "declined" },
        { { "busy", ON, NULL, 486, 0, R }, DIAL_FAILED, BLAME_CALL, "busy" },
        { { "no-answer", ON, NULL, 408, 0, L }, DIAL_FAILED, BLAME_STACK, "no_answer" },
        { { "no-answer", ON, NULL, 487, 0, L }, DIAL_FAILED, BLAME_STACK, "no_answer" },
        /* the caller */
        { { "canceled", ON, NULL, 487, 0, R }, DIAL_GAVE_UP, BLAME_CALL, "leg_ended" },
        { { "no-answer", "completed", NULL, 0, 0, R }, DIAL_GAVE_UP, BLAME_CALL, "leg_ended" },
        { { "completed", "completed", NULL, 200, 9000, L },
          DIAL_CALLER_LEFT,
          BLAME_CALL,
          "leg_ended" },
        { { "completed", ON, "caller", 200, 9000, L }, DIAL_CALLER_LEFT, BLAME_CALL, "leg_ended" },
        /* answered, over, and the caller is there */
        { { "completed", ON, NULL, 200, 9000, L }, DIAL_OVER, BLAME_CALL, "leg_ended" },
        { { "completed", ON, "callee", 200, 9000, R }, DIAL_OVER, BLAME_CALL, "leg_ended" },
        { { "completed", ON, NULL, 0, 9000, R }, DIAL_OVER, BLAME_CALL, "leg_ended" },
        { { "answered", ON, NULL, 0, -1, R }, DIAL_OVER, BLAME_CALL, "leg_ended" },
        { { "connected", NULL, NULL, 0, -1, R }, DIAL_OVER, BLAME_CALL, "leg_ended" },
        { { NULL, NULL, NULL, 0, -1, R }, DIAL_OVER, BLAME_CALL, "leg_ended" },
        { { "failed", ON, NULL, 503, 9000, L }, DIAL_BROKE, BLAME_STACK, "leg_broke" },
        { { "completed", ON, NULL, 503, 9000, L }, DIAL_BROKE, BLAME_STACK, "leg_broke" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct dial_result r = dial_judge(&table[i].in);

        assert_string_equal(r.why, table[i].why);
        assert_int_equal(r.end, table[i].end);
        assert_int_equal(r.blame, table[i].blame);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_dial_words__follow_the_table) };

    return cmocka_run_group_tests_name("dial_words", tests, NULL, NULL);
}
