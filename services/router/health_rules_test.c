/* health_rules_test.c - how evidence turns a stack's health. */
#include "health_rules.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T0 1790000000000

/* One letter an event: a accepted, s served, p proven, f failed, b broken, U D G a probe (up, down,
 * degraded), X a probe that is sure of "down", c somebody claims the trial, a digit: so many ten
 * seconds pass. */
static void play(struct health_record *r, const char *events, int64_t *now_ms)
{
    for (; *events; events++) {
        struct health_event e = { .why = "why", .router = "router-1" };
        static const char letters[] = "aspfbUDGXc";
        static const enum health_kind kinds[] = { HEALTH_ACCEPTED, HEALTH_SERVED, HEALTH_PROVEN,
                                                  HEALTH_FAILED,   HEALTH_BROKEN, HEALTH_PROBED,
                                                  HEALTH_PROBED,   HEALTH_PROBED, HEALTH_PROBED,
                                                  HEALTH_CLAIM };
        const char *at = strchr(letters, *events);

        if (*events >= '0' && *events <= '9') {
            *now_ms += (*events - '0') * 10000;
            continue;
        }
        assert_non_null(at);
        e.kind = kinds[at - letters];
        e.probed = *events == 'U' ? HEALTH_UP : *events == 'G' ? HEALTH_DEGRADED : HEALTH_DOWN;
        e.sure = *events == 'X';
        e.at_ms = ++*now_ms;
        (void)health_step(r, &e);
    }
}

static void test_rules__follow_the_table(void **state)
{
    static const struct {
        const char *events;
        enum health_word word;
        const char *why;
    } table[] = {
        { "", HEALTH_UP, "nothing is known" },
        { "aasas", HEALTH_UP, "all is well" },
        { "f", HEALTH_UP, "one failure is nothing" },
        { "ff", HEALTH_DEGRADED, "two in a row are something" },
        { "ffss", HEALTH_UP, "served calls make them good" },
        { "fffs", HEALTH_DEGRADED, "not yet: no flapping around a threshold" },
        { "ffff", HEALTH_DEGRADED, "four" },
        { "fffff", HEALTH_DOWN, "five in a row" },
        { "bb", HEALTH_DOWN, "two that say whose fault it is" },
        { "afafafafaf", HEALTH_DEGRADED, "accepted and then failed, five times" },
        { "ababab", HEALTH_DOWN, "accepted and then no answer, three times" },
        { "fsfsfsfsfsfsfsfsfsfs", HEALTH_UP, "every other call served" },
        { "ffsffsffsffsffs", HEALTH_DOWN, "two of three failing, over and over" },
        { "D", HEALTH_DOWN, "one probe, without traffic" },
        { "sD", HEALTH_DEGRADED, "a served call knows better" },
        { "s4D", HEALTH_DOWN, "but not an old one" },
        { "sX", HEALTH_DOWN, "nor than a probe that is sure" },
        { "G", HEALTH_DEGRADED, "a probe sees trouble" },
        { "GU", HEALTH_UP, "and its end" },
        { "GssG", HEALTH_DEGRADED, "calls do not argue with it" },
        { "DU", HEALTH_DEGRADED, "one good probe opens it again" },
        { "DUU", HEALTH_DEGRADED, "two" },
        { "DUUU", HEALTH_UP, "three make it up" },
        { "DUss", HEALTH_UP, "or calls" },
        { "DUf", HEALTH_DOWN, "a failure while it recovers closes it at once" },
        { "fffffs", HEALTH_DOWN, "a call from before says nothing" },
        { "fffffp", HEALTH_DEGRADED, "a call of our own does" },
        { "fffff2cs", HEALTH_DEGRADED, "the trial was served" },
        { "fffff2ca", HEALTH_DEGRADED, "accepted will do" },
        { "fffff2csss", HEALTH_UP, "three good signs" },
        { "fffff2cf", HEALTH_DOWN, "the trial failed" },
        { "fffff2cf1cs", HEALTH_DOWN, "then calls stay away for longer" },
        { "fffff2cf2cs", HEALTH_DEGRADED, "twice as long" },
        { "fffffUU", HEALTH_DOWN, "probes that do not see what calls see" },
        { "fffffUUU", HEALTH_DEGRADED, "but without calls they count in the end" },
        { "D2cs", HEALTH_DEGRADED, "a call is served although the probe says no" },
        { "D2cs1D", HEALTH_DEGRADED, "which is then believed less" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct health_record r = { 0 };
        int64_t now_ms = T0;

        play(&r, table[i].events, &now_ms);
        if (r.word != table[i].word)
            fail_msg("\"%s\" (%s): %s, not %s", table[i].events, table[i].why,
                     health_word_name(r.word), health_word_name(table[i].word));
        assert_string_equal(r.why, r.word == HEALTH_UP ? "" : "why");
    }
}

static void test_rules__one_router_at_a_time_has_the_trial(void **state)
{
    struct health_record r = { 0 };
    struct health_event other = { .kind = HEALTH_CLAIM, .router = "router-2" };
    int64_t now_ms = T0;

    (void)state;
    play(&r, "bb", &now_ms);
    assert_false(health_is_open(&r));
    assert_false(health_wants_trial(&r, now_ms + HEALTH_OPEN_MS - 10));
    play(&r, "1c", &now_ms);
    assert_true(health_has_trial(&r, "router-1", now_ms));
    other.at_ms = now_ms;
    assert_false(health_step(&r, &other));
    assert_false(health_has_trial(&r, "router-2", now_ms));
    /* Nobody called: it is anybody's again. */
    other.at_ms = now_ms + HEALTH_TRIAL_MS;
    assert_true(health_step(&r, &other));
    assert_true(health_has_trial(&r, "router-2", other.at_ms));
    assert_false(health_has_trial(&r, "router-1", other.at_ms));
}

static void test_rules__stays_away_longer_each_time_but_not_for_ever(void **state)
{
    struct health_record r = { 0 };
    int64_t now_ms = T0;

    (void)state;
    play(&r, "bb", &now_ms);
    for (int i = 0; i < 10; i++)
        play(&r, "99cf", &now_ms);
    assert_int_equal(r.open_ms, HEALTH_OPEN_MAX_MS);
    play(&r, "99csss", &now_ms);
    assert_int_equal(r.word, HEALTH_UP);
    play(&r, "bb", &now_ms);
    assert_int_equal(r.open_ms, HEALTH_OPEN_MS);
}

static void test_rules__the_same_probe_counts_once(void **state)
{
    struct health_record r = { 0 };
    struct health_event e = { .kind = HEALTH_PROBED, .probed = HEALTH_UP, .at_ms = T0 };

    (void)state;
    assert_true(health_step(&r, &e));
    assert_false(health_step(&r, &e));
    e.at_ms--;
    assert_false(health_step(&r, &e));
}

static void test_rules__served_calls_are_shared_now_and_then(void **state)
{
    struct health_record r = { 0 };
    struct health_event e = { .kind = HEALTH_SERVED, .at_ms = T0 };

    (void)state;
    assert_true(health_step(&r, &e));
    e.at_ms += HEALTH_NOTE_MS - 1;
    assert_false(health_step(&r, &e));
    e.at_ms++;
    assert_true(health_step(&r, &e));
    e = (struct health_event){ .kind = HEALTH_ACCEPTED, .at_ms = T0 * 2 };
    assert_false(health_step(&r, &e));
}

static void test_rules__synthetic_calls_have_a_budget(void **state)
{
    struct health_record r = { 0 };
    struct health_event e = {
        .kind = HEALTH_REHEARSE, .at_ms = T0, .cents = 5, .day_cents_max = 12, .every_ms = 900000
    };

    (void)state;
    assert_true(health_step(&r, &e));
    assert_false(health_step(&r, &e)); /* too soon */
    e.at_ms += e.every_ms;
    assert_true(health_step(&r, &e));
    e.at_ms += e.every_ms;
    assert_false(health_step(&r, &e)); /* spent */
    e.at_ms += 86400000;
    r.served_ms = e.at_ms - 1000;
    assert_false(health_step(&r, &e)); /* there are calls enough */
    e.at_ms += e.every_ms;
    assert_true(health_step(&r, &e));
    assert_int_equal(r.cents, 5);
}

static void test_record__reads_what_it_prints(void **state)
{
    struct health_record r = { 0 }, back;
    int64_t now_ms = T0;
    char *text;

    (void)state;
    play(&r, "sGbb1cfD2c", &now_ms);
    text = health_record_print(&r);
    assert_non_null(text);
    assert_int_equal(health_record_parse(&back, text, strlen(text)), PAT_OK);
    free(text);
    text = health_record_print(&back);
    assert_int_equal(back.word, r.word);
    assert_string_equal(back.why, r.why);
    assert_string_equal(back.trial, r.trial);
    assert_int_equal(back.trial_until_ms, r.trial_until_ms);
    assert_int_equal(back.open_until_ms, r.open_until_ms);
    assert_int_equal(back.probed_ms, r.probed_ms);
    assert_int_equal(back.served_ms, r.served_ms);
    free(text);
}

static void test_record__refuses_what_is_not_ours(void **state)
{
    static const char *const bad[] = {
        "", "{", "[]", "{}", "{\"state\":\"fine\"}", "{\"state\":\"up\",\"probed\":\"maybe\"}"
    };
    struct health_record r;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(health_record_parse(&r, bad[i], strlen(bad[i])), PAT_EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rules__follow_the_table),
        cmocka_unit_test(test_rules__one_router_at_a_time_has_the_trial),
        cmocka_unit_test(test_rules__stays_away_longer_each_time_but_not_for_ever),
        cmocka_unit_test(test_rules__the_same_probe_counts_once),
        cmocka_unit_test(test_rules__served_calls_are_shared_now_and_then),
        cmocka_unit_test(test_rules__synthetic_calls_have_a_budget),
        cmocka_unit_test(test_record__reads_what_it_prints),
        cmocka_unit_test(test_record__refuses_what_is_not_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
