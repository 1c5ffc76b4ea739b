/* decide_test.c - which stack serves a call. */
#include "decide.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define R        STACK_RETELL
#define L        STACK_LIVEKIT
#define TRIED(s) (1u << (s))

static void test_decide__follows_the_table(void **state)
{
    static const struct {
        struct decide_in in;
        enum stack stack;
        bool fallback;
        const char *first_reason;
    } table[] = {
        { { .own = R, .on_retell = true }, R, false, "own_stack" },
        { { .own = L, .on_livekit = true }, L, false, "own_stack" },
        { { .own = R, .on_retell = true, .on_livekit = true, .retell_open = true },
          L,
          true,
          "retell_down" },
        { { .own = L, .on_retell = true, .on_livekit = true, .livekit_open = true },
          R,
          true,
          "livekit_down" },
        { { .own = R, .on_retell = true, .on_livekit = true, .tried = TRIED(R) },
          L,
          true,
          "retell_tried" },
        { { .own = R, .on_retell = true, .tried = TRIED(R) }, STACK_NONE, false, "retell_tried" },
        { { .own = R, .on_livekit = true }, L, true, "no_retell_agent" },
        { { .own = R }, STACK_NONE, false, "no_retell_agent" },
        { { .own = L, .on_livekit = true, .on_retell = true, .tried = TRIED(R) | TRIED(L) },
          STACK_NONE,
          false,
          "livekit_tried" },
        { { .own = R,
            .on_retell = true,
            .on_livekit = true,
            .retell_open = true,
            .livekit_open = true },
          STACK_NONE,
          false,
          "retell_down" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct decision d = decide(&table[i].in);

        assert_int_equal(d.stack, table[i].stack);
        assert_int_equal(d.fallback, table[i].fallback);
        assert_true(d.n_reasons >= 1 && d.n_reasons <= DECIDE_REASONS);
        assert_string_equal(d.reasons[0], table[i].first_reason);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_decide__follows_the_table) };

    return cmocka_run_group_tests_name("decide", tests, NULL, NULL);
}
