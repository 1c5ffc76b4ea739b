/* move_test.c - what is being done to a leg: which word of two counts, and what is remembered. */
#include "move.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CALL "019ab000-0000-7000-8000-000000000001"

static struct move sample(unsigned n, enum move_state state)
{
    return (struct move){ .n = n,
                          .kind = MOVE_TRANSFER,
                          .state = state,
                          .consult = true,
                          .id = "019ab000-0000-7000-8000-0000000000aa",
                          .leg = "leg-1",
                          .to = "+*******0142",
                          .label = "sales \"east\"",
                          .until_ms = 1764000000000 };
}

static void test_move__comes_back_as_it_was_written(void **state)
{
    struct move m = sample(3, MOVE_ANSWERED), got = { 0 };
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 4096);
    assert_int_equal(move_print(&m, &b), PAT_OK);
    assert_int_equal(move_read(&got, b.data, b.len), PAT_OK);
    assert_memory_equal(&got, &m, sizeof m);
    pat_buf_fini(&b);
}

static void test_move__what_is_none_is_refused(void **state)
{
    static const char *const bad[] = { "",
                                       "1",
                                       "{}",
                                       "{\"n\":0,\"kind\":\"transfer\"}",
                                       "{\"n\":1,\"kind\":\"x\",\"state\":\"asked\"}",
                                       "{\"n\":1,\"kind\":\"transfer\",\"state\":\"x\"}" };
    struct move m;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(move_read(&m, bad[i], strlen(bad[i])), PAT_EINVAL);
}

static void test_move__the_later_word_counts_in_any_order(void **state)
{
    static const struct {
        unsigned an;
        enum move_state as;
        unsigned bn;
        enum move_state bs;
        bool b_wins;
    } table[] = {
        { 1, MOVE_ASKED, 1, MOVE_STARTED, true }, { 1, MOVE_BRIDGED, 1, MOVE_ANSWERED, false },
        { 1, MOVE_OVER, 2, MOVE_ASKED, true },    { 2, MOVE_ASKED, 1, MOVE_OVER, false },
        { 0, MOVE_NONE, 1, MOVE_ASKED, true },    { 1, MOVE_OVER, 1, MOVE_BRIDGED, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct move a = sample(table[i].an, table[i].as), b = sample(table[i].bn, table[i].bs);
        struct move m = move_merge(&a, &b), n = move_merge(&b, &a);

        assert_int_equal(m.n, table[i].b_wins ? b.n : a.n);
        assert_int_equal(m.state, table[i].b_wins ? b.state : a.state);
        assert_memory_equal(&m, &n, sizeof m);
    }
}

static void test_move__a_leg_known_to_one_is_known_to_both(void **state)
{
    struct move a = sample(1, MOVE_ANSWERED), b = sample(1, MOVE_STARTED);

    (void)state;
    a.leg[0] = 0;
    assert_string_equal(move_merge(&a, &b).leg, "leg-1");
    b.n = 2;
    b.leg[0] = 0;
    assert_string_equal(move_merge(&a, &b).leg, "");
}

static void test_move__is_busy_until_it_is_over_or_too_old(void **state)
{
    struct move m = sample(1, MOVE_ASKED), none = { 0 };

    (void)state;
    assert_true(move_busy(&m, m.until_ms - 1));
    assert_false(move_busy(&m, m.until_ms));
    m.state = MOVE_OVER;
    assert_false(move_busy(&m, 0));
    assert_false(move_busy(&none, 0));
    m = sample(1, MOVE_STARTED);
    m.kind = MOVE_VOICEMAIL;
    assert_false(move_busy(&m, 0));
}

static void test_moves__remember_calls_and_epochs(void **state)
{
    struct move m = sample(1, MOVE_STARTED), older = sample(1, MOVE_ASKED);
    struct moves *all;

    (void)state;
    assert_int_equal(moves_new(&all), PAT_OK);
    assert_int_equal(moves_find(all, CALL)->n, 0);
    moves_put(all, CALL, &m);
    moves_put(all, CALL, &older);
    assert_int_equal(moves_find(all, CALL)->state, MOVE_STARTED);
    assert_int_equal(moves_epoch(all, CALL), 0);
    moves_see_epoch(all, CALL, 4);
    moves_see_epoch(all, CALL, 2);
    assert_int_equal(moves_epoch(all, CALL), 4);
    assert_int_equal(moves_find(all, CALL)->state, MOVE_STARTED);
    moves_free(all);
}

static void test_moves__forget_the_oldest_and_keep_the_newest(void **state)
{
    struct move m = sample(1, MOVE_STARTED);
    char call[PAT_ID_LEN + 1];
    struct moves *all;

    (void)state;
    assert_int_equal(moves_new(&all), PAT_OK);
    for (int i = 0; i < 20000; i++) {
        snprintf(call, sizeof call, "019ab000-0000-7000-8000-%012d", i);
        moves_put(all, call, &m);
        assert_int_equal(moves_find(all, call)->n, 1);
    }
    moves_free(all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_move__comes_back_as_it_was_written),
        cmocka_unit_test(test_move__what_is_none_is_refused),
        cmocka_unit_test(test_move__the_later_word_counts_in_any_order),
        cmocka_unit_test(test_move__a_leg_known_to_one_is_known_to_both),
        cmocka_unit_test(test_move__is_busy_until_it_is_over_or_too_old),
        cmocka_unit_test(test_moves__remember_calls_and_epochs),
        cmocka_unit_test(test_moves__forget_the_oldest_and_keep_the_newest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
