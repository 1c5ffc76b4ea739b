/* reap_test.c - which room is left behind, and which is only waiting. */
#include "reap.h"

#include "test/cmocka.h"

#define CALL  "01934d8e-5a00-7000-8000-0000000000aa"
#define GRACE 60000

/* What is done with a room that looks the same for ever; 0: nothing within the hour. */
static enum reap_do first_step(const struct reap_look *l, int64_t *after_ms)
{
    struct reap r;
    enum reap_do what = REAP_NOTHING;

    reap_init(&r, GRACE);
    for (int64_t t = 0; what == REAP_NOTHING && t < 3600000; t += 1000) {
        reap_begin(&r);
        what = reap_judge(&r, l, 1000 + t);
        reap_end(&r);
        *after_ms = t;
    }
    reap_fini(&r);
    return what;
}

static void test_reap__touches_only_what_nobody_needs(void **state)
{
    static const struct {
        struct reap_look look;
        enum reap_do what;
        int64_t after_ms;
        const char *why;
    } rows[] = {
        { { .mark = REAP_UNMARKED }, REAP_DELETE, GRACE, "nobody in it, nobody's" },
        { { .mark = REAP_OVER, .agents = 1 }, REAP_DELETE, GRACE, "an agent alone, call over" },
        { { .mark = REAP_UNMARKED, .agents = 1 }, REAP_DELETE, GRACE, "an agent alone, no call" },
        { { .mark = REAP_UNMARKED, .agents = 1, .foreign = true }, 0, 0, "another deployment's" },
        { { .mark = REAP_WAITING }, 0, 0, "being prepared" },
        { { .mark = REAP_SERVED }, 0, 0, "its agent is on its way" },
        { { .mark = REAP_SERVED, .agents = 1 }, 0, 0, "its agent waits for the caller" },
        { { .mark = REAP_SERVED, .agents = 1, .phones = 1 }, 0, 0, "a call" },
        { { .mark = REAP_UNMARKED, .agents = 1, .phones = 1 }, 0, 0, "a call we know nothing of" },
        { { .mark = REAP_SERVED, .phones = 1 }, REAP_OFFER, REAP_SERVED_MS, "its agent is lost" },
        { { .mark = REAP_UNMARKED, .phones = 1 }, REAP_OFFER, REAP_CALLER_MS, "a job was lost" },
        { { .mark = REAP_UNMARKED, .others = 1 }, REAP_OFFER, REAP_CALLER_MS, "by browser" },
        { { .mark = REAP_WAITING, .phones = 1 }, REAP_GIVE_UP, REAP_CALLER_MS, "all full" },
        { { .mark = REAP_UNMARKED, .phones = 1, .ended = true },
          REAP_REMOVE,
          REAP_CALLER_MS,
          "its record has ended" },
        { { .mark = REAP_OVER, .phones = 1, .joined_ms = 1000, .over_ms = 9000 },
          REAP_REMOVE,
          REAP_CALLER_MS,
          "left behind when the call was over" },
        { { .mark = REAP_OVER, .phones = 1, .joined_ms = 9000, .over_ms = 9500 },
          REAP_OFFER,
          REAP_CALLER_MS,
          "came back from a transfer" },
        { { .mark = REAP_OVER, .phones = 1, .joined_ms = 9000, .over_ms = 9500, .ended = true },
          REAP_REMOVE,
          REAP_CALLER_MS,
          "and the carrier's leg is gone" },
        { { .mark = REAP_OVER, .phones = 2, .over_ms = 9000 },
          0,
          0,
          "put through within the room" },
        { { .mark = REAP_UNMARKED, .agents = 1, .asked = 1 }, 0, 0, "a colleague is asked" },
        { { .mark = REAP_UNMARKED, .asked = 1 }, REAP_DELETE, GRACE, "and nobody asks him" },
        { { .mark = REAP_OVER, .others = 1, .over_ms = 9000 }, 0, 0, "somebody looks on" },
        { { .mark = REAP_SERVED, .phones = 1, .ended = true, .agents = 1 }, 0, 0, "still ending" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct reap_look l = rows[i].look;
        int64_t after_ms = 0;
        enum reap_do what;

        l.call_id = CALL;
        what = first_step(&l, &after_ms);
        if (what != rows[i].what || (what && after_ms != rows[i].after_ms))
            fail_msg("%s: %s after %lld ms", rows[i].why, reap_name(what), (long long)after_ms);
    }
}

static void test_reap__begins_to_count_anew_when_it_was_well_meanwhile(void **state)
{
    struct reap_look empty = { .call_id = CALL, .mark = REAP_UNMARKED };
    struct reap_look served = { .call_id = CALL, .mark = REAP_SERVED, .agents = 1, .phones = 1 };
    struct reap r;

    (void)state;
    reap_init(&r, GRACE);
    reap_begin(&r);
    assert_int_equal(reap_judge(&r, &empty, 0), REAP_NOTHING);
    reap_end(&r);
    assert_true(reap_pending(&r));
    reap_begin(&r);
    assert_int_equal(reap_judge(&r, &served, GRACE - 1), REAP_NOTHING);
    reap_end(&r);
    assert_false(reap_pending(&r));
    reap_begin(&r);
    assert_int_equal(reap_judge(&r, &empty, GRACE + 1), REAP_NOTHING);
    reap_end(&r);
    reap_begin(&r);
    assert_int_equal(reap_judge(&r, &empty, 2 * GRACE + 1), REAP_DELETE);
    reap_end(&r);
    reap_begin(&r); /* the room is gone: so is what we knew of it */
    reap_end(&r);
    assert_false(reap_pending(&r));
    reap_fini(&r);
}

static void test_reap__of_a_caller_alone_goes_step_by_step(void **state)
{
    static const enum reap_do steps[] = { REAP_OFFER, REAP_GIVE_UP, REAP_DELETE };
    struct reap_look l = { .call_id = CALL, .mark = REAP_UNMARKED, .phones = 1 };
    struct reap r;
    size_t n = 0;

    (void)state;
    reap_init(&r, GRACE);
    for (int64_t t = 0; t <= 3 * REAP_CALLER_MS; t += 2000) {
        enum reap_do what;

        reap_begin(&r);
        what = reap_judge(&r, &l, t);
        reap_end(&r);
        if (what) {
            assert_true(n < 3);
            assert_int_equal(what, steps[n++]);
            l.mark = REAP_WAITING; /* as the offer makes it */
        }
    }
    assert_int_equal(n, 3);
    reap_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reap__touches_only_what_nobody_needs),
        cmocka_unit_test(test_reap__begins_to_count_anew_when_it_was_well_meanwhile),
        cmocka_unit_test(test_reap__of_a_caller_alone_goes_step_by_step),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
