/* mouth_test.c - what is known is not spoken again, comes in its turn, and stays its owner's. */
#include "mouth.h"

#include "test/rig.h"

#include <stdlib.h>
#include <string.h>

struct story {
    char told[200]; /* "a1 d1 p2 d2 ": sound, packets, done; once per change */
    int n_done;
};

static void tell(struct story *s, char what, uint32_t id)
{
    char one[16];
    size_t at = strlen(s->told);

    (void)snprintf(one, sizeof one, "%c%u ", what, (unsigned)id);
    if (at >= strlen(one) && strcmp(s->told + at - strlen(one), one) == 0)
        return;
    assert_true(at + strlen(one) < sizeof s->told);
    memcpy(s->told + at, one, strlen(one) + 1);
}

static void on_audio(uint32_t id, const int16_t *samples, size_t n, void *arg)
{
    (void)samples, (void)n;
    tell(arg, 'a', id);
}

static void on_packet(uint32_t id, const uint8_t *opus, size_t len, int level, void *arg)
{
    (void)opus, (void)len, (void)level;
    tell(arg, 'p', id);
}

static void on_done(uint32_t id, int err, void *arg)
{
    assert_int_equal(err, PAT_OK);
    tell(arg, 'd', id);
    ((struct story *)arg)->n_done++;
}

static const struct mouth_events events = { .audio = on_audio,
                                            .packet = on_packet,
                                            .done = on_done };

static void wait_done(struct rig *r, const struct story *s, int n)
{
    for (int i = 0; i < 2000 && s->n_done < n; i++)
        pat_loop_run_once(r->loop, 10);
    assert_int_equal(s->n_done, n);
}

static uint32_t say(struct mouth *m, const char *text, bool keep)
{
    uint32_t id;

    assert_int_equal(mouth_say(m, text, strlen(text), keep, &id), PAT_OK);
    return id;
}

static bool known(struct mouth *m, const char *text)
{
    struct phrase *p = mouth_known(m, text);

    phrase_unref(p);
    return p != NULL;
}

static struct mouth *open(struct rig *r, struct context *ctx, struct story *s)
{
    struct mouth *m;

    assert_int_equal(env_mouth(&m, &r->env, ctx), PAT_OK);
    mouth_listen(m, &events, s);
    return m;
}

/* Says it, and waits until it is kept. */
static void learn(struct rig *r, struct mouth *m, struct story *s, const char *text)
{
    int before = s->n_done;

    say(m, text, true);
    wait_done(r, s, before + 1);
    for (int i = 0; i < 2000 && !known(m, text); i++)
        pat_loop_run_once(r->loop, 10);
    assert_true(known(m, text));
    memset(s->told, 0, sizeof s->told);
    s->n_done = 0;
    fake.tts_said[0] = 0;
}

static void test_mouth__what_is_known_comes_in_its_turn_and_costs_nothing(void **state)
{
    struct rig *r = *state;
    struct context *ctx = context("Hi.");
    struct story s = { .n_done = 0 };
    struct mouth *m = open(r, ctx, &s);

    learn(r, m, &s, "Known words.");
    say(m, "First is new.", false); /* 2 */
    say(m, "Known words.", false);  /* 3 */
    say(m, "Third is new.", false); /* 4 */
    say(m, "Known words.", false);  /* 5 */
    wait_done(r, &s, 4);
    assert_string_equal(s.told, "a2 d2 p3 d3 a4 d4 p5 d5 ");
    assert_string_equal(fake.tts_said, "First is new.;Third is new.;");
    assert_int_equal(mouth_hits(m), 2);
    assert_int_equal(mouth_saved(m), 2 * (int64_t)strlen("Known words."));
    mouth_free(m);
    context_free(ctx);
}

static void test_mouth__what_is_canceled_in_the_queue_is_not_heard(void **state)
{
    struct rig *r = *state;
    struct context *ctx = context("Hi.");
    struct story s = { .n_done = 0 };
    struct mouth *m = open(r, ctx, &s);
    uint32_t second;

    learn(r, m, &s, "Known words.");
    say(m, "First is new.", false);
    second = say(m, "Known words.", false);
    say(m, "Third is new.", false);
    mouth_cancel(m, second);
    wait_done(r, &s, 2);
    assert_string_equal(s.told, "a2 d2 a4 d4 ");
    assert_int_equal(mouth_saved(m), 0);
    mouth_free(m);
    context_free(ctx);
}

static void test_mouth__keeps_what_is_said_a_second_time(void **state)
{
    struct rig *r = *state;
    struct context *ctx = context("Hi.");
    struct story s = { .n_done = 0 };
    struct mouth *m = open(r, ctx, &s);

    say(m, "Said again.", false);
    wait_done(r, &s, 1);
    assert_false(known(m, "Said again."));
    say(m, "Said again.", false);
    wait_done(r, &s, 2);
    for (int i = 0; i < 2000 && !known(m, "Said again."); i++)
        pat_loop_run_once(r->loop, 10);
    say(m, "Said again.", false);
    wait_done(r, &s, 3);
    assert_string_equal(fake.tts_said, "Said again.;Said again.;");
    mouth_free(m);
    context_free(ctx);
}

static void test_mouth__a_users_words_are_his_and_ours_are_everybodys(void **state)
{
    struct rig *r = *state;
    const char *ours = own_words(OWN_GOODBYE, "en");
    struct context *ada = context("Hi."), *bob = context("Hi.");
    struct story s = { .n_done = 0 };
    struct mouth *m = open(r, ada, &s);

    learn(r, m, &s, "A secret of Ada.");
    learn(r, m, &s, ours);
    mouth_free(m);
    bob->user_id[0] = bob->user_id[0] == '2' ? '3' : '2';
    m = open(r, bob, &s);
    assert_false(known(m, "A secret of Ada."));
    assert_true(known(m, ours));
    mouth_free(m);
    context_free(ada);
    context_free(bob);
}

static void test_mouth__may_go_with_a_full_queue(void **state)
{
    struct rig *r = *state;
    struct context *ctx = context("Hi.");
    struct story s = { .n_done = 0 };
    struct mouth *m = open(r, ctx, &s);

    learn(r, m, &s, "Known words.");
    say(m, "New words.", true);
    say(m, "Known words.", false);
    say(m, "Known words.", false);
    mouth_free(m);
    for (int i = 0; i < 5; i++)
        pat_loop_run_once(r->loop, 5);
    assert_string_equal(s.told, "");
    context_free(ctx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CALL_TEST(test_mouth__what_is_known_comes_in_its_turn_and_costs_nothing),
        CALL_TEST(test_mouth__what_is_canceled_in_the_queue_is_not_heard),
        CALL_TEST(test_mouth__keeps_what_is_said_a_second_time),
        CALL_TEST(test_mouth__a_users_words_are_his_and_ours_are_everybodys),
        CALL_TEST(test_mouth__may_go_with_a_full_queue),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
