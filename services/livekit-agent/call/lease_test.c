/* lease_test.c - who may take which call, and when. */
#include "lease.h"

#include "test/cmocka.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ME   "01934d8e-5a00-7000-8000-00000000000a"
#define A    "01934d8e-5a00-7000-8000-00000000000b"
#define B    "01934d8e-5a00-7000-8000-00000000000c"
#define CALL "01934d8e-5a00-7000-8000-0000000000aa"

static void put(struct leases *l, const char *call, const char *agent, int epoch, int64_t now)
{
    struct lease_mark m = { .epoch = epoch };

    pat_strcpy(m.agent, sizeof m.agent, agent);
    pat_strcpy(m.room, sizeof m.room, "call_x");
    assert_int_equal(leases_put_call(l, call, &m, 1, now), PAT_OK);
}

static void beat(struct leases *l, const char *agent, int room, int64_t now)
{
    assert_int_equal(leases_put_agent(l, agent, room, false, now), PAT_OK);
}

static void begin(struct leases *l)
{
    leases_init(l, ME);
    l->sound_ms = 1;
    beat(l, ME, 10, 1000);
}

static void test_lease__of_a_silent_agent_runs_out(void **state)
{
    struct leases l;

    (void)state;
    begin(&l);
    beat(&l, A, 10, 1000);
    put(&l, CALL, A, 1, 1000);
    assert_null(leases_next_due(&l, 2900));
    beat(&l, ME, 10, 2900);
    beat(&l, A, 10, 2500); /* heard again in time */
    assert_null(leases_next_due(&l, 3100));
    beat(&l, ME, 10, 4400);
    assert_non_null(leases_next_due(&l, 4500));
    assert_null(leases_next_due(&l, 4600)); /* tried: not again at once */
    beat(&l, ME, 10, 5400);
    assert_non_null(leases_next_due(&l, 5600));
    leases_fini(&l);
}

static void test_lease__nobody_takes_who_is_not_sound_himself(void **state)
{
    struct leases l;

    (void)state;
    begin(&l);
    put(&l, CALL, A, 1, 1000); /* an agent nobody has heard of */
    beat(&l, ME, 10, 9000);
    l.sound_ms = 0;
    assert_null(leases_next_due(&l, 9100));
    l.sound_ms = 9100; /* back: the others are given time to come back, too */
    assert_null(leases_next_due(&l, 9200));
    beat(&l, ME, 10, 11000);
    assert_non_null(leases_next_due(&l, 9100 + LEASE_MS));
    assert_int_equal(leases_put_agent(&l, ME, 10, true, 12000), PAT_OK); /* told to stop */
    assert_null(leases_next_due(&l, 12100));
    leases_fini(&l);
}

static void test_lease__a_prepared_call_is_claimed_by_its_preparer_first(void **state)
{
    struct leases mine, other;

    (void)state;
    begin(&mine);
    put(&mine, CALL, ME, 0, 1000);
    assert_null(leases_next_due(&mine, 1000 + LEASE_CLAIM_MS - 1));
    assert_non_null(leases_next_due(&mine, 1000 + LEASE_CLAIM_MS));
    begin(&other);
    put(&other, CALL, A, 0, 1000);
    assert_null(leases_next_due(&other, 1000 + LEASE_CLAIM_MS));
    assert_non_null(leases_next_due(&other, 1000 + LEASE_CLAIM_MS + LEASE_STEP_MS));
    put(&other, CALL, B, 1, 2000); /* served */
    beat(&other, B, 10, 2000);
    assert_null(leases_next_due(&other, 2500));
    leases_fini(&mine);
    leases_fini(&other);
}

static void test_lease__what_is_given_up_goes_to_its_heir_first(void **state)
{
    struct leases l;
    struct lease_mark m = { .epoch = 2, .room = "call_x" };

    (void)state;
    begin(&l);
    beat(&l, A, 1000, 1000);
    pat_strcpy(m.to, sizeof m.to, ME);
    assert_int_equal(leases_put_call(&l, CALL, &m, 5, 1000), PAT_OK);
    assert_non_null(leases_next_due(&l, 1000)); /* at once, however much room A has */
    pat_strcpy(m.to, sizeof m.to, A);
    assert_int_equal(leases_put_call(&l, CALL, &m, 6, 1000), PAT_OK);
    assert_null(leases_next_due(&l, 1100));
    assert_non_null(leases_next_due(&l, 1000 + LEASE_STEP_MS));
    m.over = true;
    assert_int_equal(leases_put_call(&l, CALL, &m, 7, 1000), PAT_OK);
    assert_null(leases_next_due(&l, 2500));
    leases_fini(&l);
}

static void test_lease__calls_of_a_dead_agent_are_spread_by_room(void **state)
{
    enum { CALLS = 400 };
    struct leases l;
    int first = 0;

    (void)state;
    begin(&l);
    beat(&l, ME, 10, 3000);
    beat(&l, A, 30, 3000);
    beat(&l, B, 0, 3000); /* full: never before the others */
    for (int i = 0; i < CALLS; i++) {
        char id[PAT_ID_LEN + 1];

        (void)snprintf(id, sizeof id, "01934d8e-5a00-7000-8000-%012x", i * 7919);
        put(&l, id, "01934d8e-5a00-7000-8000-00000000dead", 1, 1000);
    }
    while (leases_next_due(&l, 3001))
        first++;
    if (first < CALLS / 8 || first > CALLS * 3 / 8)
        fail_msg("%d of %d", first, CALLS);
    beat(&l, ME, 10,
         3001 + 2 * LEASE_STEP_MS); /* the rest a step or two later, if nobody else has */
    beat(&l, A, 30, 3001 + 2 * LEASE_STEP_MS);
    while (leases_next_due(&l, 3001 + 2 * LEASE_STEP_MS))
        first++;
    assert_int_equal(first, CALLS);
    leases_fini(&l);
}

static void test_lease__an_older_mark_changes_nothing(void **state)
{
    struct leases l;
    struct lease_mark m = { .epoch = 3, .room = "call_x", .agent = ME };

    (void)state;
    begin(&l);
    assert_int_equal(leases_put_call(&l, CALL, &m, 9, 1000), PAT_OK);
    m.epoch = 2;
    assert_int_equal(leases_put_call(&l, CALL, &m, 8, 1000), PAT_OK);
    assert_int_equal(leases_find(&l, CALL)->mark.epoch, 3);
    leases_fini(&l);
}

static void test_mark__travels_as_text(void **state)
{
    struct lease_mark m = { .agent = A, .to = B, .room = "call_x", .epoch = 7, .deaths = 2 };
    struct lease_mark back;
    char *text = lease_mark_print(&m);
    char id[PAT_ID_LEN + 1];
    static const char *const bad[] = { "",
                                       "1",
                                       "{}",
                                       "[]",
                                       "{\"epoch\":-1}",
                                       "{\"epoch\":1e12}",
                                       ("{\"epoch\":1,\"agent\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
                                        "xxxxxxxxxxxxxxxxxxx\"}") };

    (void)state;
    assert_int_equal(lease_mark_parse(&back, text, strlen(text)), PAT_OK);
    assert_memory_equal(&back, &m, sizeof m);
    free(text);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(lease_mark_parse(&back, bad[i], strlen(bad[i])), PAT_EPROTO);
    assert_true(lease_call_of_key(CALL ".served", id));
    assert_string_equal(id, CALL);
    assert_false(lease_call_of_key(CALL, id));
    assert_false(lease_call_of_key(CALL ".state.1", id));
    assert_false(lease_call_of_key("x.served", id));
}

/* The write was stored, and its answer lost: the mark names us, so nobody else will take it. */
static void test_lease__of_a_try_without_an_answer_is_tried_again(void **state)
{
    struct leases l;

    (void)state;
    begin(&l);
    put(&l, CALL, A, 1, 1000); /* of an agent never heard of */
    beat(&l, ME, 10, 4000);
    assert_non_null(leases_next_due(&l, 4000));
    put(&l, CALL, ME, 2, 4500);
    beat(&l, ME, 10, 5000);
    assert_null(leases_next_due(&l, 5000)); /* an answer may still come */
    leases_forget_calls(&l);                /* a new listing */
    put(&l, CALL, ME, 2, 5100);
    beat(&l, ME, 10, 6200);
    assert_non_null(leases_next_due(&l, 6200));
    put(&l, CALL, ME, 3, 6300);
    leases_begun(&l, CALL);
    beat(&l, ME, 10, 9000);
    assert_null(leases_next_due(&l, 9000)); /* it is served */
    leases_fini(&l);
}

static void test_lease__of_a_try_that_another_won_is_his(void **state)
{
    struct leases l;

    (void)state;
    begin(&l);
    put(&l, CALL, A, 1, 1000);
    beat(&l, ME, 10, 4000);
    assert_non_null(leases_next_due(&l, 4000));
    beat(&l, B, 10, 4200);
    put(&l, CALL, B, 2, 4200);
    assert_int_equal(l.n_tries, 0);
    /* Calls of our own are never due, whatever we have tried before. */
    put(&l, CALL, ME, 4, 4300);
    beat(&l, ME, 10, 9000);
    assert_null(leases_next_due(&l, 9000));
    leases_fini(&l);
}

static void test_lease__forgets_the_oldest_of_too_many_tries(void **state)
{
    struct leases l;
    char id[PAT_ID_LEN + 1];

    (void)state;
    begin(&l);
    for (int i = 0; i < LEASE_TRIES + 10; i++) {
        (void)snprintf(id, sizeof id, "01934d8e-5a00-7000-8000-%012x", (unsigned)i);
        put(&l, id, A, 1, 1000);
        beat(&l, ME, 10, 4000);
        assert_non_null(leases_next_due(&l, 4000));
    }
    assert_int_equal(l.n_tries, LEASE_TRIES);
    assert_string_equal(l.tries[LEASE_TRIES - 1].call_id, id);
    leases_fini(&l);
}

static void test_leases__one_of_the_team_is_the_first(void **state)
{
    struct leases l;

    (void)state;
    begin(&l);
    assert_true(leases_first(&l, 1500));
    beat(&l, A, 10, 1500); /* ids after ours */
    beat(&l, B, 10, 1500);
    assert_true(leases_first(&l, 1600));
    beat(&l, "01934d8e-5a00-7000-8000-000000000001", 0, 1500);
    assert_false(leases_first(&l, 1600));
    beat(&l, ME, 10, 4000);
    assert_true(leases_first(&l, 4000)); /* that one is silent */
    l.sound_ms = 0;
    assert_false(leases_first(&l, 4000));
    leases_fini(&l);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lease__of_a_silent_agent_runs_out),
        cmocka_unit_test(test_lease__nobody_takes_who_is_not_sound_himself),
        cmocka_unit_test(test_lease__a_prepared_call_is_claimed_by_its_preparer_first),
        cmocka_unit_test(test_lease__what_is_given_up_goes_to_its_heir_first),
        cmocka_unit_test(test_lease__calls_of_a_dead_agent_are_spread_by_room),
        cmocka_unit_test(test_lease__an_older_mark_changes_nothing),
        cmocka_unit_test(test_mark__travels_as_text),
        cmocka_unit_test(test_lease__of_a_try_without_an_answer_is_tried_again),
        cmocka_unit_test(test_lease__of_a_try_that_another_won_is_his),
        cmocka_unit_test(test_lease__forgets_the_oldest_of_too_many_tries),
        cmocka_unit_test(test_leases__one_of_the_team_is_the_first),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
