#include "legs.h"

#include "test/cmocka.h"

#include <stdlib.h>
#include <string.h>

#define NO_MORE -1, -1

static struct legs_fact fact(const char *leg, enum legs_kind kind, enum legs_state state,
                             int64_t at_ms, const char *reason)
{
    return (struct legs_fact){ leg, kind, state, at_ms, reason, 0, NO_MORE };
}

/* ------------------------------------------------------------------ merging */

static void test_legs__a_leg_only_goes_forward(void **state)
{
    static const struct {
        enum legs_state was, told, is;
        enum legs_news news;
        const char *what;
    } table[] = {
        { LEGS_INITIATED, LEGS_RINGING, LEGS_RINGING, LEGS_NEWS, "it rings" },
        { LEGS_INITIATED, LEGS_TALKING, LEGS_TALKING, LEGS_NEWS, "answered at once" },
        { LEGS_INITIATED, LEGS_ENDED, LEGS_ENDED, LEGS_NEWS, "never rang" },
        { LEGS_RINGING, LEGS_TALKING, LEGS_TALKING, LEGS_NEWS, "answered" },
        { LEGS_TALKING, LEGS_RINGING, LEGS_TALKING, LEGS_NEWS, "the ringing comes late" },
        { LEGS_ENDED, LEGS_TALKING, LEGS_ENDED, LEGS_NEWS, "the answer comes late" },
        { LEGS_ENDED, LEGS_INITIATED, LEGS_ENDED, LEGS_KNOWN, "long known" },
        { LEGS_TALKING, LEGS_TALKING, LEGS_TALKING, LEGS_KNOWN, "repeated" },
        { LEGS_ENDED, LEGS_ENDED, LEGS_ENDED, LEGS_KNOWN, "repeated" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct legs l = { 0 };
        struct legs_fact was = fact("a", LEGS_CALLER, table[i].was, 1000, NULL),
                         told = fact("a", LEGS_CALLER, table[i].told, 1000, NULL);

        assert_int_equal(legs_take(&l, &was), LEGS_NEWS);
        assert_int_equal(legs_take(&l, &told), table[i].news);
        assert_int_equal(l.leg[0].state, table[i].is);
        assert_int_equal(l.n, 1);
    }
}

static void test_legs__a_reason_that_says_more_stays(void **state)
{
    static const char *const orders[][3] = { { "completed", "caller_hangup", "unheard" },
                                             { "unheard", "completed", "caller_hangup" },
                                             { "caller_hangup", "unheard", "completed" } };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct legs l = { 0 };

        for (size_t k = 0; k < 3; k++) {
            struct legs_fact f = fact("a", LEGS_CALLER, LEGS_ENDED, 9000, orders[i][k]);

            assert_int_not_equal(legs_take(&l, &f), LEGS_REFUSED);
        }
        assert_string_equal(l.leg[0].reason->word, "caller_hangup");
    }
}

static void test_legs__talked_and_busy_is_impossible_whichever_came_first(void **state)
{
    struct legs_fact talks = fact("a", LEGS_TRANSFER, LEGS_TALKING, 2000, NULL),
                     busy = fact("a", LEGS_TRANSFER, LEGS_ENDED, 3000, "busy");
    struct legs one = { 0 }, two = { 0 };

    (void)state;
    assert_int_equal(legs_take(&one, &talks), LEGS_NEWS);
    assert_int_equal(legs_take(&one, &busy), LEGS_IMPOSSIBLE);
    assert_int_equal(legs_take(&two, &busy), LEGS_NEWS);
    assert_int_equal(legs_take(&two, &talks), LEGS_IMPOSSIBLE);
    assert_memory_equal(&one, &two, sizeof one);
}

static void test_legs__what_is_no_leg_is_refused(void **state)
{
    char long_id[LEGS_ID_MAX + 2];
    struct legs l = { 0 };
    struct legs_fact f = fact(NULL, LEGS_CALLER, LEGS_RINGING, 1, NULL);

    (void)state;
    assert_int_equal(legs_take(&l, &f), LEGS_REFUSED);
    f.leg = "";
    assert_int_equal(legs_take(&l, &f), LEGS_REFUSED);
    memset(long_id, 'a', sizeof long_id);
    long_id[sizeof long_id - 1] = 0;
    f.leg = long_id;
    assert_int_equal(legs_take(&l, &f), LEGS_REFUSED);
    for (int i = 0; i < LEGS_MAX; i++) {
        char id[3] = { 'a', (char)('a' + i), 0 };

        f.leg = id;
        assert_int_equal(legs_take(&l, &f), LEGS_NEWS);
    }
    f.leg = "one more";
    assert_int_equal(legs_take(&l, &f), LEGS_REFUSED);
    assert_int_equal(l.n, LEGS_MAX);
}

/* ------------------------------------------------------------------ any order */

#define FACTS 9

static unsigned next_random(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void shuffle(int order[FACTS], unsigned *seed)
{
    for (int i = FACTS - 1; i > 0; i--) {
        int k = (int)(next_random(seed) % (unsigned)(i + 1)), t = order[i];

        order[i] = order[k];
        order[k] = t;
    }
}

static const struct legs_leg *leg(const struct legs *l, const char *id)
{
    for (int i = 0; i < l->n; i++)
        if (!strcmp(l->leg[i].id, id))
            return &l->leg[i];
    return NULL;
}

/* Everything the carrier says about a call with a transfer, in thousands of orders, with repeats:
 * always the same legs. */
static void test_legs__any_order_ends_in_the_same_state(void **state)
{
    const struct legs_fact facts[FACTS] = {
        { "in", LEGS_CALLER, LEGS_RINGING, 1000, NULL, 0, -1, 0 },
        { "in", LEGS_CALLER, LEGS_TALKING, 3000, NULL, 0, -1, 1 },
        { "in", LEGS_CALLER, LEGS_ENDED, 90000, "completed", 200, 87, 2 },
        { "in", LEGS_CALLER, LEGS_ENDED, 89990, "caller_hangup", 0, -1, -1 },
        { "st", LEGS_STACK, LEGS_ENDED, 40000, "transferred", 200, 37, -1 },
        { "ph", LEGS_TRANSFER, LEGS_INITIATED, 40100, NULL, 0, -1, 0 },
        { "ph", LEGS_TRANSFER, LEGS_RINGING, 40300, NULL, 0, -1, 1 },
        { "ph", LEGS_TRANSFER, LEGS_TALKING, 44000, NULL, 0, -1, 2 },
        { "ph", LEGS_TRANSFER, LEGS_ENDED, 89995, "completed", 200, 46, 3 },
    };
    struct legs want = { 0 };
    unsigned seed = 20261123;

    (void)state;
    for (int i = 0; i < FACTS; i++)
        assert_int_equal(legs_take(&want, &facts[i]), LEGS_NEWS);
    for (int round = 0; round < 5000; round++) {
        int order[FACTS];
        struct legs l = { 0 };

        for (int i = 0; i < FACTS; i++)
            order[i] = i;
        shuffle(order, &seed);
        for (int i = 0; i < FACTS; i++) {
            (void)legs_take(&l, &facts[order[i]]);
            (void)legs_take(&l, &facts[order[next_random(&seed) % (unsigned)(i + 1)]]);
        }
        assert_int_equal(l.n, want.n);
        for (int i = 0; i < want.n; i++)
            assert_memory_equal(leg(&l, want.leg[i].id), &want.leg[i], sizeof want.leg[i]);
    }
}

/* Facts that contradict each other as well. */
static void test_legs__nonsense_in_any_order_ends_in_the_same_state(void **state)
{
    static const char *const words[] = { NULL,      "busy", "completed", "caller_hangup",
                                         "unheard", "idle" };
    unsigned seed = 7;

    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct legs_fact facts[FACTS];
        struct legs a = { 0 }, b = { 0 };
        int order[FACTS];

        for (int i = 0; i < FACTS; i++) {
            order[i] = i;
            facts[i] = (struct legs_fact){ "x",
                                           LEGS_CALLER,
                                           (enum legs_state)(next_random(&seed) % LEGS_STATES),
                                           1000 + next_random(&seed) % 50,
                                           words[next_random(&seed) % 6],
                                           (int)(next_random(&seed) % 3 * 100),
                                           (int)(next_random(&seed) % 5) - 1,
                                           (int)(next_random(&seed) % 5) - 1 };
        }
        for (int i = 0; i < FACTS; i++)
            (void)legs_take(&a, &facts[i]);
        shuffle(order, &seed);
        for (int i = 0; i < FACTS; i++)
            (void)legs_take(&b, &facts[order[i]]);
        assert_memory_equal(&a, &b, sizeof a);
    }
}

/* ------------------------------------------------------------------ what follows */

static void test_legs__nothing_follows_while_the_caller_is_there(void **state)
{
    struct legs l = { 0 };
    struct legs_todo out[LEGS_MAX + 1];
    struct legs_fact in = fact("in", LEGS_CALLER, LEGS_TALKING, 1000, NULL),
                     ph = fact("ph", LEGS_CONSULT, LEGS_RINGING, 2000, NULL);

    (void)state;
    assert_int_equal(legs_follow(&l, 5000, 60000, out), 0);
    (void)legs_take(&l, &in);
    (void)legs_take(&l, &ph);
    assert_int_equal(legs_follow(&l, 60999, 60000, out), 0);
}

static void test_legs__the_callers_end_is_everybodys(void **state)
{
    struct legs l = { 0 };
    struct legs_todo out[LEGS_MAX + 1];
    const struct legs_fact facts[] = {
        { "in", LEGS_CALLER, LEGS_TALKING, 1000, NULL, 0, -1, 1 },
        { "ph", LEGS_CONSULT, LEGS_RINGING, 2000, NULL, 0, -1, 1 },
        { "st", LEGS_STACK, LEGS_ENDED, 2500, "transferred", 200, 1, -1 },
        { "in", LEGS_CALLER, LEGS_ENDED, 9000, "caller_hangup", 0, 8, 2 },
    };

    (void)state;
    for (size_t i = 0; i < 4; i++)
        (void)legs_take(&l, &facts[i]);
    assert_int_equal(legs_follow(&l, 9100, 60000, out), 2);
    assert_int_equal(out[0].what, LEGS_HANG_UP);
    assert_string_equal(l.leg[out[0].leg].id, "ph");
    assert_int_equal(out[1].what, LEGS_END_CALL);
    assert_string_equal(out[1].why->word, "caller_hangup");
    assert_int_equal(out[1].at_ms, 9000);
    assert_int_equal(out[1].talk_ms, 8000);
}

static void test_legs__a_call_is_ended_at_its_longest(void **state)
{
    struct legs l = { 0 };
    struct legs_todo out[LEGS_MAX + 1];
    struct legs_fact in = fact("in", LEGS_CALLER, LEGS_RINGING, 1000, NULL);

    (void)state;
    (void)legs_take(&l, &in);
    assert_int_equal(legs_follow(&l, 61000, 60000, out), 2);
    assert_int_equal(out[0].what, LEGS_HANG_UP);
    assert_string_equal(out[1].why->word, "max_duration");
    assert_int_equal(out[1].talk_ms, -1);
}

static void test_legs__rows_are_read(void **state)
{
    static const char text[] = "[{\"leg\":\"in\",\"kind\":\"caller\",\"state\":\"ended\","
                               "\"reason\":\"idle\",\"began_ms\":5,\"ended_ms\":9,\"seconds\":3},"
                               "{\"leg\":\"x\",\"kind\":\"consult\",\"state\":\"talking\"}]";
    static const char *const bad[] = { "{}", "[{}]", "[{\"leg\":\"a\",\"kind\":\"dog\"}]",
                                       "[{\"kind\":\"caller\",\"state\":\"ended\"}]", "[7]" };
    PAT_AUTO_JSON j = NULL;
    struct legs l;

    (void)state;
    assert_int_equal(pat_json_parse(&j, text, strlen(text), NULL), PAT_OK);
    assert_int_equal(legs_read(&l, j), PAT_OK);
    assert_int_equal(l.n, 2);
    assert_string_equal(legs_caller(&l)->reason->word, "idle");
    assert_int_equal(l.leg[0].seconds, 3);
    assert_int_equal(l.leg[1].seconds, -1);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        PAT_AUTO_JSON b = NULL;

        assert_int_equal(pat_json_parse(&b, bad[i], strlen(bad[i]), NULL), PAT_OK);
        assert_int_equal(legs_read(&l, b), PAT_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_legs__a_leg_only_goes_forward),
        cmocka_unit_test(test_legs__a_reason_that_says_more_stays),
        cmocka_unit_test(test_legs__talked_and_busy_is_impossible_whichever_came_first),
        cmocka_unit_test(test_legs__what_is_no_leg_is_refused),
        cmocka_unit_test(test_legs__any_order_ends_in_the_same_state),
        cmocka_unit_test(test_legs__nonsense_in_any_order_ends_in_the_same_state),
        cmocka_unit_test(test_legs__nothing_follows_while_the_caller_is_there),
        cmocka_unit_test(test_legs__the_callers_end_is_everybodys),
        cmocka_unit_test(test_legs__a_call_is_ended_at_its_longest),
        cmocka_unit_test(test_legs__rows_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
