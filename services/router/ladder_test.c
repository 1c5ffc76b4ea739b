/* ladder_test.c - what catches a call whose stack cannot serve it. */
#include "ladder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define R            STACK_RETELL
#define L            STACK_LIVEKIT
#define TRIED(stack) LADDER_TRIED(stack)

#define HERE                                                                                       \
    {                                                                                              \
        LADDER_AGENT, false                                                                        \
    }
#define DOWN                                                                                       \
    {                                                                                              \
        LADDER_AGENT, true                                                                         \
    }
#define STANDBY                                                                                    \
    {                                                                                              \
        LADDER_STANDBY, false                                                                      \
    }
#define NOWHERE                                                                                    \
    {                                                                                              \
        LADDER_CANNOT, false                                                                       \
    }
#define USUAL                                                                                      \
    {                                                                                              \
        { RUNG_OTHER, RUNG_VOICEMAIL, RUNG_FORWARD }, 3                                            \
    }
#define PHONE_FIRST                                                                                \
    {                                                                                              \
        { RUNG_FORWARD, RUNG_OTHER, RUNG_VOICEMAIL }, 3                                            \
    }
#define NO_STACK                                                                                   \
    {                                                                                              \
        { RUNG_FORWARD }, 1                                                                        \
    }
#define SORRY_FIRST                                                                                \
    {                                                                                              \
        { RUNG_APOLOGY, RUNG_VOICEMAIL }, 2                                                        \
    }

static void join(char *out, size_t cap, const struct ladder_step *s)
{
    *out = 0;
    for (int i = 0; i < s->n_reasons; i++)
        assert_true(snprintf(out + strlen(out), cap - strlen(out), "%s%s", i ? " " : "",
                             s->reasons[i]) > 0);
}

static void test_ladder__follows_the_table(void **state)
{
    static const struct {
        struct ladder_in in;
        enum rung rung;
        enum stack stack;
        bool standby;
        const char *reasons;
    } table[] = {
        /* before dialling */
        { { USUAL, R, HERE, HERE, 0, true }, RUNG_OWN, R, false, "own_stack" },
        { { USUAL, L, NOWHERE, HERE, 0, true }, RUNG_OWN, L, false, "own_stack" },
        { { USUAL, R, DOWN, HERE, 0, true }, RUNG_OTHER, L, false, "retell_down fallback" },
        { { USUAL, L, HERE, DOWN, 0, true }, RUNG_OTHER, R, false, "livekit_down fallback" },
        { { USUAL, L, STANDBY, DOWN, 0, true },
          RUNG_OTHER,
          R,
          true,
          "livekit_down fallback standby_agent" },
        { { USUAL, L, NOWHERE, DOWN, 0, true },
          RUNG_VOICEMAIL,
          STACK_NONE,
          false,
          "livekit_down no_retell_agent voicemail" },
        { { USUAL, R, DOWN, DOWN, 0, true },
          RUNG_VOICEMAIL,
          STACK_NONE,
          false,
          "retell_down livekit_down voicemail" },
        { { USUAL, R, NOWHERE, HERE, 0, true }, RUNG_OTHER, L, false, "no_retell_agent fallback" },
        /* after a stack failed */
        { { USUAL, R, HERE, HERE, TRIED(R), true }, RUNG_OTHER, L, false, "retell_tried fallback" },
        { { USUAL, L, STANDBY, HERE, TRIED(L), true },
          RUNG_OTHER,
          R,
          true,
          "livekit_tried fallback standby_agent" },
        { { USUAL, R, HERE, HERE, TRIED(R) | TRIED(L), true },
          RUNG_VOICEMAIL,
          STACK_NONE,
          false,
          "retell_tried livekit_tried voicemail" },
        /* after the carrier could not record */
        { { USUAL, R, HERE, HERE, TRIED(R) | TRIED(L) | LADDER_TRIED_VOICEMAIL, true },
          RUNG_FORWARD,
          STACK_NONE,
          false,
          "retell_tried livekit_tried voicemail_tried forward" },
        { { USUAL, R, HERE, HERE, TRIED(R) | TRIED(L) | LADDER_TRIED_VOICEMAIL, false },
          RUNG_APOLOGY,
          STACK_NONE,
          false,
          "retell_tried livekit_tried voicemail_tried no_forward_number apology" },
        /* in the order the user chose */
        { { PHONE_FIRST, R, HERE, HERE, TRIED(R), true },
          RUNG_FORWARD,
          STACK_NONE,
          false,
          "retell_tried forward" },
        { { PHONE_FIRST, R, HERE, HERE, TRIED(R) | LADDER_TRIED_FORWARD, true },
          RUNG_OTHER,
          L,
          false,
          "retell_tried forward_tried fallback" },
        { { PHONE_FIRST, R, HERE, HERE, TRIED(R), false },
          RUNG_OTHER,
          L,
          false,
          "retell_tried no_forward_number fallback" },
        { { NO_STACK, L, HERE, DOWN, 0, true },
          RUNG_FORWARD,
          STACK_NONE,
          false,
          "livekit_down forward" },
        { { NO_STACK, L, HERE, DOWN, LADDER_TRIED_FORWARD, true },
          RUNG_APOLOGY,
          STACK_NONE,
          false,
          "livekit_down forward_tried apology" },
        { { SORRY_FIRST, R, DOWN, HERE, 0, true },
          RUNG_APOLOGY,
          STACK_NONE,
          false,
          "retell_down apology" },
        { { { { 0 }, 0 }, R, DOWN, HERE, 0, true },
          RUNG_APOLOGY,
          STACK_NONE,
          false,
          "retell_down apology" },
    };
    char reasons[256];

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct ladder_step s = ladder_next(&table[i].in);

        join(reasons, sizeof reasons, &s);
        assert_string_equal(reasons, table[i].reasons);
        assert_int_equal(s.rung, table[i].rung);
        assert_int_equal(s.stack, table[i].stack);
        assert_int_equal(s.standby, table[i].standby);
    }
}

/* Whoever marks what was tried and asks again arrives at the end, whatever the list. */
static void test_ladder__ends_with_an_apology_for_every_order(void **state)
{
    int walked = 0;

    (void)state;
    for (unsigned code = 0; code < RUNGS * RUNGS * RUNGS * RUNGS; code++) {
        struct ladder_in in = { .own = L, .retell = STANDBY, .livekit = HERE, .forward = true };
        struct ladder_step s = { .rung = RUNG_OWN };
        unsigned rest = code;
        int steps = 0;

        for (int i = 0; i < LADDER_MAX; i++, rest /= RUNGS)
            (void)!ladder_add(&in.ladder, rung_name((enum rung)(rest % RUNGS)));
        while ((s = ladder_next(&in)).rung != RUNG_APOLOGY) {
            assert_true(++steps <= 4);
            assert_true(s.n_reasons >= 1 && s.n_reasons <= LADDER_REASONS);
            in.tried |= s.stack                    ? TRIED(s.stack)
                        : s.rung == RUNG_VOICEMAIL ? LADDER_TRIED_VOICEMAIL
                                                   : LADDER_TRIED_FORWARD;
        }
        assert_true(s.n_reasons >= 1 && s.n_reasons <= LADDER_REASONS);
        walked++;
    }
    assert_int_equal(walked, RUNGS * RUNGS * RUNGS * RUNGS);
}

static void test_ladder__takes_each_rung_once_and_only_those_there_are(void **state)
{
    struct ladder l = { 0 };

    (void)state;
    assert_int_equal(ladder_add(&l, "forward"), PAT_OK);
    assert_int_equal(ladder_add(&l, "forward"), PAT_EINVAL);
    assert_int_equal(ladder_add(&l, "own_stack"), PAT_EINVAL);
    assert_int_equal(ladder_add(&l, ""), PAT_EINVAL);
    assert_int_equal(ladder_add(&l, "other_stack"), PAT_OK);
    assert_int_equal(ladder_add(&l, "voicemail"), PAT_OK);
    assert_int_equal(ladder_add(&l, "apology"), PAT_OK);
    assert_int_equal(l.n, LADDER_MAX);
    assert_int_equal(l.rungs[1], RUNG_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ladder__follows_the_table),
        cmocka_unit_test(test_ladder__ends_with_an_apology_for_every_order),
        cmocka_unit_test(test_ladder__takes_each_rung_once_and_only_those_there_are),
    };

    return cmocka_run_group_tests_name("ladder", tests, NULL, NULL);
}
