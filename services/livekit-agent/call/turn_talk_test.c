/* turn_talk_test.c - ends of turns that are not certain, sounds that are no words, texts of our
 * own. */
#include "turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MS = 1000 };

struct row {
    int at_ms;
    const char *acts;
    enum turn_state state;
    struct turn_event e; /* at_us: ms ago */
};

#define R(at, kind_, acts_, state_, ...)                                                           \
    {                                                                                              \
        .at_ms = at, .acts = acts_, .state = state_, .e = {.kind = kind_, __VA_ARGS__ }            \
    }
#define GREETED                                                                                    \
    R(0, TURN_READY, "greet,play", TURN_THINKING, .n = 1),                                         \
        R(100, TURN_SOUNDING, "", TURN_SPEAKING, .n = 0),                                          \
        R(150, TURN_REPLY_DONE, "", TURN_SPEAKING, .n = 1),                                        \
        R(2000, TURN_SPOKEN, "", TURN_LISTENING, .n = 0)
#define ANSWERING                                                                                  \
    GREETED, R(3060, TURN_VOICE_START, "", TURN_LISTENING, .at_us = 60),                           \
        R(4100, TURN_VOICE_STOP, "", TURN_LISTENING, .at_us = 100),                                \
        R(4300, TURN_FINAL, "think,commit,play", TURN_THINKING, .n = 5, .end = true),              \
        R(4600, TURN_SOUNDING, "", TURN_SPEAKING, .n = 0)

static void play_with(struct turn *t, struct turn_opts o, const struct row *rows, size_t n)
{
    turn_init(t);
    for (size_t i = 0; i < n; i++) {
        struct turn_event e = rows[i].e;
        struct turn_out out;
        char acts[200] = "";

        e.now_us = (1000000LL + rows[i].at_ms) * MS;
        e.at_us = e.now_us - e.at_us * MS;
        e.reply = t->reply;
        if (e.kind == TURN_WAKE)
            assert_int_equal(turn_wake_us(t) / MS - 1000000LL, rows[i].at_ms);
        turn_step(t, &o, &e, &out);
        for (int k = 0; k < out.n; k++)
            (void)snprintf(acts + strlen(acts), sizeof acts - strlen(acts), "%s%s", k ? "," : "",
                           turn_action_name(out.act[k]));
        if (strcmp(acts, rows[i].acts) != 0 || t->state != rows[i].state)
            fail_msg("row %zu (%s at %d ms): did \"%s\" and is %s, should \"%s\" and be %s", i,
                     turn_event_name(e.kind), rows[i].at_ms, acts, turn_state_name(t->state),
                     rows[i].acts, turn_state_name(rows[i].state));
    }
}

#define PLAY_WITH(t, o, rows) play_with(t, o, rows, sizeof(rows) / sizeof((rows)[0]))
#define PLAY(rows)                                                                                 \
    do {                                                                                           \
        struct turn t_;                                                                            \
        PLAY_WITH(&t_, turn_opts_for(1, 1), rows);                                                 \
    } while (0)

/* As for a recogniser that judges turns: nobody else decides within 3 s. */
static struct turn_opts judged(void)
{
    struct turn_opts o = turn_opts_for(1, 1);

    o.end_wait_ms = 3000;
    return o;
}

#define ASKING                                                                                     \
    GREETED, R(3060, TURN_VOICE_START, "", TURN_LISTENING, .at_us = 60),                           \
        R(3500, TURN_PARTIAL, "", TURN_LISTENING, .n = 2)

static void test_turn__an_eager_end_starts_the_reply_and_the_end_lets_it_be_heard(void **state)
{
    static const struct row rows[] = {
        ASKING,
        R(4080, TURN_EAGER, "think", TURN_MAYBE_DONE, .n = 4),
        R(4200, TURN_VOICE_STOP, "", TURN_MAYBE_DONE, .at_us = 200),
        R(4250, TURN_FINAL, "commit,play", TURN_THINKING, .n = 4, .end = true),
        R(4400, TURN_SOUNDING, "", TURN_SPEAKING, .n = 0),
    };
    struct turn t;

    (void)state;
    PLAY_WITH(&t, judged(), rows);
}

static void test_turn__a_caller_who_goes_on_never_hears_the_eager_reply(void **state)
{
    static const struct row rows[] = {
        ASKING,
        R(4080, TURN_EAGER, "think", TURN_MAYBE_DONE, .n = 4),
        R(4200, TURN_VOICE_STOP, "", TURN_MAYBE_DONE, .at_us = 200),
        R(4300, TURN_RESUMED, "cut", TURN_LISTENING, .n = 0),
        R(4360, TURN_VOICE_START, "", TURN_LISTENING, .at_us = 60),
        R(4600, TURN_PARTIAL, "", TURN_LISTENING, .n = 6),
        R(5100, TURN_VOICE_STOP, "", TURN_LISTENING, .at_us = 100),
        R(5110, TURN_EAGER, "think", TURN_MAYBE_DONE, .n = 7),
        R(5300, TURN_FINAL, "commit,play", TURN_THINKING, .n = 7, .end = true),
    };
    struct turn t;

    (void)state;
    PLAY_WITH(&t, judged(), rows);
}

static void test_turn__three_eager_ends_in_a_turn_are_paid_for_and_no_more(void **state)
{
    static const struct row rows[] = {
        ASKING,
        R(4080, TURN_EAGER, "think", TURN_MAYBE_DONE, .n = 4),
        R(4100, TURN_RESUMED, "cut", TURN_LISTENING, .n = 0),
        R(4280, TURN_EAGER, "think", TURN_MAYBE_DONE, .n = 5),
        R(4300, TURN_RESUMED, "cut", TURN_LISTENING, .n = 0),
        R(4480, TURN_EAGER, "think", TURN_MAYBE_DONE, .n = 6),
        R(4500, TURN_RESUMED, "cut", TURN_LISTENING, .n = 0),
        R(4680, TURN_EAGER, "", TURN_MAYBE_DONE, .n = 7),
        R(4700, TURN_VOICE_STOP, "", TURN_MAYBE_DONE, .at_us = 100),
        R(4900, TURN_FINAL, "think,commit,play", TURN_THINKING, .n = 7, .end = true),
    };
    struct turn t;

    (void)state;
    PLAY_WITH(&t, judged(), rows);
}

static void test_turn__other_words_of_the_same_number_are_thought_about_again(void **state)
{
    static const struct row rows[] = {
        ASKING,
        R(4080, TURN_EAGER, "think", TURN_MAYBE_DONE, .n = 4),
        R(4200, TURN_VOICE_STOP, "", TURN_MAYBE_DONE, .at_us = 200),
        R(4250, TURN_FINAL, "cut,think,commit,play", TURN_THINKING, .n = 4, .end = true,
          .changed = true),
    };
    struct turn t;

    (void)state;
    PLAY_WITH(&t, judged(), rows);
}

static void test_turn__an_end_that_is_never_told_is_asked_for(void **state)
{
    static const struct row rows[] = {
        ASKING,
        R(4200, TURN_VOICE_STOP, "", TURN_LISTENING, .at_us = 200),
        R(7000, TURN_WAKE, "flush", TURN_LISTENING, .n = 0),
        R(8000, TURN_WAKE, "think,commit,play", TURN_THINKING, .n = 0),
    };
    struct turn t;

    (void)state;
    PLAY_WITH(&t, judged(), rows);
}

static void test_turn__a_backchannel_resumes_us_soon(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        R(5060, TURN_VOICE_START, "", TURN_SPEAKING, .at_us = 60),
        R(5100, TURN_WAKE, "pause", TURN_INTERRUPTED, .n = 0),
        R(5200, TURN_PARTIAL, "", TURN_INTERRUPTED, .soft = 1),
        R(5500, TURN_VOICE_STOP, "", TURN_INTERRUPTED, .at_us = 100),
        R(5700, TURN_FINAL, "", TURN_INTERRUPTED, .soft = 2, .end = true),
        R(6000, TURN_WAKE, "play", TURN_SPEAKING, .n = 0),
        R(6500, TURN_REPLY_DONE, "", TURN_SPEAKING, .n = 1),
        R(9000, TURN_SPOKEN, "forget", TURN_LISTENING, .n = 0),
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__yes_at_the_end_of_our_question_is_the_answer(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        R(6500, TURN_REPLY_DONE, "", TURN_SPEAKING, .n = 1),
        R(8450, TURN_VOICE_START, "", TURN_SPEAKING, .at_us = 60),
        R(8480, TURN_VOICE_STOP, "", TURN_SPEAKING, .at_us = 10),
        R(8500, TURN_FINAL, "", TURN_SPEAKING, .soft = 1, .end = true),
        R(8600, TURN_SPOKEN, "think,commit,play", TURN_THINKING, .n = 0),
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_backchannel_with_words_behind_it_takes_the_turn(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        R(5060, TURN_VOICE_START, "", TURN_SPEAKING, .at_us = 60),
        R(5100, TURN_WAKE, "pause", TURN_INTERRUPTED, .n = 0),
        R(5200, TURN_PARTIAL, "", TURN_INTERRUPTED, .soft = 1),
        R(5600, TURN_PARTIAL, "cut", TURN_LISTENING, .n = 1, .soft = 1),
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__little_sensitivity_wants_more_words(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        R(5060, TURN_VOICE_START, "", TURN_SPEAKING, .at_us = 60),
        R(5600, TURN_WAKE, "pause", TURN_INTERRUPTED, .n = 0),
        R(5700, TURN_PARTIAL, "", TURN_INTERRUPTED, .n = 2),
        R(5900, TURN_PARTIAL, "cut", TURN_LISTENING, .n = 3),
    };
    struct turn_opts o = turn_opts_for(1, 1);
    struct turn t;

    (void)state;
    o.barge_in_ms = turn_opts_for(1, 0.1).barge_in_ms - 40;
    o.barge_in_words = turn_opts_for(1, 0.1).barge_in_words;
    PLAY_WITH(&t, o, rows);
}

static void test_turn__no_sensitivity_lets_us_finish_and_answers_then(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        R(5060, TURN_VOICE_START, "", TURN_SPEAKING, .at_us = 60),
        R(5700, TURN_FINAL, "", TURN_SPEAKING, .n = 4, .end = true),
        R(5800, TURN_VOICE_STOP, "", TURN_SPEAKING, .at_us = 100),
        R(6500, TURN_REPLY_DONE, "", TURN_SPEAKING, .n = 1),
        R(9000, TURN_SPOKEN, "think,commit,play", TURN_THINKING, .n = 0),
    };
    struct turn_opts o = turn_opts_for(1, 1);
    struct turn t;

    (void)state;
    o.barge_in_words = turn_opts_for(1, 0).barge_in_words;
    assert_int_equal(o.barge_in_words, 0);
    PLAY_WITH(&t, o, rows);
}

static void test_turn__a_firm_text_is_heard_whole_and_the_words_over_it_answered(void **state)
{
    static const struct row rows[] = {
        GREETED,
        R(3000, TURN_SAY, "announce,play", TURN_THINKING, .firm = true),
        R(3100, TURN_SOUNDING, "", TURN_SPEAKING, .n = 0),
        R(3200, TURN_REPLY_DONE, "", TURN_SPEAKING, .n = 1),
        R(3500, TURN_VOICE_START, "", TURN_SPEAKING, .at_us = 60),
        R(4100, TURN_VOICE_STOP, "", TURN_SPEAKING, .at_us = 100),
        R(4300, TURN_FINAL, "", TURN_SPEAKING, .n = 2, .end = true),
        R(6000, TURN_SPOKEN, "think,commit,play", TURN_THINKING, .n = 0),
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__texts_wait_for_each_other_and_for_the_greeting(void **state)
{
    static const struct row rows[] = {
        R(0, TURN_SAY, "", TURN_STARTING, .n = 1, .firm = true),
        R(10, TURN_READY, "greet,play", TURN_THINKING, .n = 1),
        R(100, TURN_SOUNDING, "", TURN_SPEAKING, .n = 0),
        R(150, TURN_REPLY_DONE, "", TURN_SPEAKING, .n = 1),
        R(200, TURN_SAY, "", TURN_SPEAKING, .n = 1),
        R(2000, TURN_SPOKEN, "announce,play", TURN_THINKING, .n = 0),
        R(2100, TURN_SOUNDING, "", TURN_SPEAKING, .n = 0),
        R(2150, TURN_REPLY_DONE, "", TURN_SPEAKING, .n = 1),
        R(3500, TURN_SPOKEN, "announce,play", TURN_THINKING, .n = 0),
        R(3600, TURN_REPLY_FAILED, "cut", TURN_LISTENING, .n = 0),
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__an_urgent_text_takes_the_place_of_a_reply(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        R(5000, TURN_SAY, "cut,announce,play", TURN_THINKING, .firm = true),
        R(5100, TURN_HANG_UP, "", TURN_THINKING, .n = 1),
        R(5200, TURN_SOUNDING, "", TURN_SPEAKING, .n = 0),
        R(5300, TURN_REPLY_DONE, "", TURN_SPEAKING, .n = 1),
        R(7000, TURN_SPOKEN, "", TURN_CLOSING, .n = 0),
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_greeting_that_fails_is_replaced_not_apologised_for(void **state)
{
    static const struct row rows[] = {
        R(0, TURN_READY, "greet,play", TURN_THINKING, .n = 1),
        R(900, TURN_REPLY_FAILED, "cut,hello,play", TURN_THINKING, .n = 0),
        R(1000, TURN_REPLY_FAILED, "cut", TURN_LISTENING, .n = 0),
    };

    (void)state;
    PLAY(rows);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn__an_eager_end_starts_the_reply_and_the_end_lets_it_be_heard),
        cmocka_unit_test(test_turn__a_caller_who_goes_on_never_hears_the_eager_reply),
        cmocka_unit_test(test_turn__three_eager_ends_in_a_turn_are_paid_for_and_no_more),
        cmocka_unit_test(test_turn__other_words_of_the_same_number_are_thought_about_again),
        cmocka_unit_test(test_turn__an_end_that_is_never_told_is_asked_for),
        cmocka_unit_test(test_turn__a_backchannel_resumes_us_soon),
        cmocka_unit_test(test_turn__yes_at_the_end_of_our_question_is_the_answer),
        cmocka_unit_test(test_turn__a_backchannel_with_words_behind_it_takes_the_turn),
        cmocka_unit_test(test_turn__little_sensitivity_wants_more_words),
        cmocka_unit_test(test_turn__no_sensitivity_lets_us_finish_and_answers_then),
        cmocka_unit_test(test_turn__a_firm_text_is_heard_whole_and_the_words_over_it_answered),
        cmocka_unit_test(test_turn__texts_wait_for_each_other_and_for_the_greeting),
        cmocka_unit_test(test_turn__an_urgent_text_takes_the_place_of_a_reply),
        cmocka_unit_test(test_turn__a_greeting_that_fails_is_replaced_not_apologised_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
