/* turn_test.c - conversations as lists of events, and what each must lead to. */
#include "turn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MS = 1000 };

struct row {
    int at_ms;
    enum turn_event_kind kind;
    int n;
    int back_ms; /* the event is about this long ago */
    bool end, open;
    const char *acts; /* "think,commit,play" */
    enum turn_state state;
};

static void step_text(struct turn *t, const struct turn_opts *o, const struct row *r, char *acts,
                      size_t cap)
{
    int64_t now = (1000000LL + r->at_ms) * MS;
    struct turn_event e = { .kind = r->kind,
                            .now_us = now,
                            .at_us = now - (int64_t)r->back_ms * MS,
                            .reply = t->reply,
                            .n = r->n,
                            .end = r->end,
                            .open = r->open };
    struct turn_out out;

    turn_step(t, o, &e, &out);
    acts[0] = 0;
    for (int i = 0; i < out.n; i++)
        (void)snprintf(acts + strlen(acts), cap - strlen(acts), "%s%s", i ? "," : "",
                       turn_action_name(out.act[i]));
}

static void play(struct turn *t, const struct row *rows, size_t n)
{
    struct turn_opts o = turn_opts_for(1, 1); /* 100 ms and 1.3 s; 100 ms of voice interrupts */

    for (size_t i = 0; i < n; i++) {
        char acts[200];

        if (rows[i].kind == TURN_WAKE) {
            int64_t wake = turn_wake_us(t);
            assert_true(wake != 0);
            assert_int_equal(wake / MS - 1000000LL, rows[i].at_ms);
        }
        step_text(t, &o, &rows[i], acts, sizeof acts);
        if (strcmp(acts, rows[i].acts) != 0 || t->state != rows[i].state)
            fail_msg("row %zu (%s at %d ms): did \"%s\" and is %s, should \"%s\" and be %s", i,
                     turn_event_name(rows[i].kind), rows[i].at_ms, acts, turn_state_name(t->state),
                     rows[i].acts, turn_state_name(rows[i].state));
    }
}

#define PLAY(rows)                                                                                 \
    do {                                                                                           \
        struct turn t_;                                                                            \
        turn_init(&t_);                                                                            \
        play(&t_, rows, sizeof(rows) / sizeof((rows)[0]));                                         \
    } while (0)

#define GREETED                                                                                    \
    { 0, TURN_READY, 1, 0, 0, 0, "greet,play", TURN_THINKING },                                    \
        { 100, TURN_SOUNDING, 0, 0, 0, 0, "", TURN_SPEAKING },                                     \
        { 150, TURN_REPLY_DONE, 1, 0, 0, 0, "", TURN_SPEAKING },                                   \
    {                                                                                              \
        2000, TURN_SPOKEN, 0, 0, 0, 0, "", TURN_LISTENING                                          \
    }

/* Asked something, and the answer begins at 4600. */
#define ANSWERING                                                                                  \
    GREETED, { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },                          \
        { 4100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },                               \
        { 4300, TURN_FINAL, 5, 0, 1, 0, "think,commit,play", TURN_THINKING },                      \
    {                                                                                              \
        4600, TURN_SOUNDING, 0, 0, 0, 0, "", TURN_SPEAKING                                         \
    }

static void test_turn__greets_when_the_caller_can_hear(void **state)
{
    static const struct row rows[] = { GREETED };

    (void)state;
    PLAY(rows);
}

static void test_turn__without_a_greeting_it_listens(void **state)
{
    static const struct row rows[] = { { 0, TURN_READY, 0, 0, 0, 0, "", TURN_LISTENING } };

    (void)state;
    PLAY(rows);
}

static void test_turn__without_context_it_apologises_and_leaves(void **state)
{
    static const struct row rows[] = {
        { 0, TURN_READY, -1, 0, 0, 0, "sorry,play", TURN_THINKING },
        { 100, TURN_SOUNDING, 0, 0, 0, 0, "", TURN_SPEAKING },
        { 150, TURN_REPLY_DONE, 1, 0, 0, 0, "", TURN_SPEAKING },
        { 2000, TURN_SPOKEN, 0, 0, 0, 0, "", TURN_CLOSING },
        { 2500, TURN_WAKE, 0, 0, 0, 0, "leave", TURN_CLOSING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__answers_at_once_when_the_delay_has_passed_already(void **state)
{
    static const struct row rows[] = { ANSWERING,
                                       { 5000, TURN_REPLY_DONE, 1, 0, 0, 0, "", TURN_SPEAKING },
                                       { 7000, TURN_SPOKEN, 0, 0, 0, 0, "", TURN_LISTENING } };

    (void)state;
    PLAY(rows);
}

static void test_turn__thinks_ahead_while_the_delay_runs(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4100, TURN_VOICE_STOP, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4110, TURN_FINAL, 3, 0, 1, 0, "think", TURN_MAYBE_DONE },
        { 4140, TURN_WAKE, 0, 0, 0, 0, "commit,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_reply_made_ahead_is_used_when_it_is_whole_already(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4100, TURN_VOICE_STOP, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4110, TURN_FINAL, 3, 0, 1, 0, "think", TURN_MAYBE_DONE },
        { 4120, TURN_REPLY_DONE, 1, 0, 0, 0, "", TURN_MAYBE_DONE },
        { 4140, TURN_WAKE, 0, 0, 0, 0, "commit,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__an_open_sentence_is_given_more_time(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 4300, TURN_FINAL, 3, 0, 1, 1, "think", TURN_MAYBE_DONE },
        { 4400, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4700, TURN_PARTIAL, 2, 0, 0, 0, "cut", TURN_LISTENING },
        { 5000, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 5200, TURN_FINAL, 4, 0, 1, 0, "think,commit,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_caller_who_goes_on_silently_keeps_the_thought(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4100, TURN_VOICE_STOP, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4110, TURN_FINAL, 3, 0, 1, 0, "think", TURN_MAYBE_DONE },
        { 4120, TURN_VOICE_START, 0, 0, 0, 0, "", TURN_LISTENING },
        { 4300, TURN_VOICE_STOP, 0, 100, 0, 0, "commit,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__words_after_the_decision_take_it_back(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 4300, TURN_FINAL, 3, 0, 1, 0, "think,commit,play", TURN_THINKING },
        { 4350, TURN_VOICE_START, 0, 60, 0, 0, "pause", TURN_THINKING },
        { 4700, TURN_PARTIAL, 1, 0, 0, 0, "cut", TURN_LISTENING },
        { 5100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 5300, TURN_FINAL, 2, 0, 1, 0, "think,commit,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_cough_before_the_reply_holds_it_only_while_it_lasts(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 4300, TURN_FINAL, 3, 0, 1, 0, "think,commit,play", TURN_THINKING },
        { 4350, TURN_VOICE_START, 0, 50, 0, 0, "pause", TURN_THINKING },
        { 4480, TURN_VOICE_STOP, 0, 100, 0, 0, "play", TURN_THINKING },
        { 4600, TURN_SOUNDING, 0, 0, 0, 0, "", TURN_SPEAKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__voice_pauses_us_and_words_take_the_turn(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        { 5060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_SPEAKING },
        { 5100, TURN_WAKE, 0, 0, 0, 0, "pause", TURN_INTERRUPTED },
        { 5400, TURN_PARTIAL, 2, 0, 0, 0, "cut", TURN_LISTENING },
        { 6000, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 6200, TURN_FINAL, 4, 0, 1, 0, "think,commit,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_pause_without_words_goes_on_where_it_stopped(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        { 5060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_SPEAKING },
        { 5100, TURN_WAKE, 0, 0, 0, 0, "pause", TURN_INTERRUPTED },
        { 5300, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_INTERRUPTED },
        { 5500, TURN_FINAL, 0, 0, 1, 0, "", TURN_INTERRUPTED },
        { 6800, TURN_WAKE, 0, 0, 0, 0, "play", TURN_SPEAKING },
        { 7000, TURN_REPLY_DONE, 1, 0, 0, 0, "", TURN_SPEAKING },
        { 9000, TURN_SPOKEN, 0, 0, 0, 0, "", TURN_LISTENING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__endless_noise_does_not_silence_us(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        { 5060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_SPEAKING },
        { 5100, TURN_WAKE, 0, 0, 0, 0, "pause", TURN_INTERRUPTED },
        { 9100, TURN_WAKE, 0, 0, 0, 0, "play", TURN_SPEAKING },
        { 9200, TURN_REPLY_DONE, 1, 0, 0, 0, "", TURN_SPEAKING },
        { 9900, TURN_SPOKEN, 0, 0, 0, 0, "", TURN_LISTENING },
        /* and the next turn ends although the noise goes on */
        { 11000, TURN_FINAL, 3, 0, 1, 0, "think,commit,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_short_sound_does_not_pause_us(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        { 5060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_SPEAKING },
        { 5090, TURN_VOICE_STOP, 0, 10, 0, 0, "", TURN_SPEAKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__hello_does_not_cut_the_greeting(void **state)
{
    static const struct row rows[] = {
        { 0, TURN_READY, 1, 0, 0, 0, "greet,play", TURN_THINKING },
        { 100, TURN_SOUNDING, 0, 0, 0, 0, "", TURN_SPEAKING },
        { 300, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_SPEAKING },
        { 600, TURN_VOICE_STOP, 0, 60, 0, 0, "", TURN_SPEAKING },
        { 800, TURN_FINAL, 1, 0, 1, 0, "", TURN_SPEAKING },
        { 1500, TURN_REPLY_DONE, 1, 0, 0, 0, "", TURN_SPEAKING },
        { 2000, TURN_SPOKEN, 0, 0, 0, 0, "forget", TURN_LISTENING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_real_question_does(void **state)
{
    static const struct row rows[] = {
        { 0, TURN_READY, 1, 0, 0, 0, "greet,play", TURN_THINKING },
        { 100, TURN_SOUNDING, 0, 0, 0, 0, "", TURN_SPEAKING },
        { 300, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_SPEAKING },
        { 800, TURN_PARTIAL, 3, 0, 0, 0, "cut", TURN_LISTENING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__an_end_without_speech_final_is_found_by_silence(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 3900, TURN_PARTIAL, 3, 0, 0, 0, "", TURN_LISTENING },
        { 4100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 5000, TURN_WAKE, 0, 0, 0, 0, "flush", TURN_LISTENING },
        { 5100, TURN_FINAL, 4, 0, 0, 0, "", TURN_LISTENING },
        { 6100, TURN_WAKE, 0, 0, 0, 0, "think,commit,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__utterance_end_ends_a_turn(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 4300, TURN_FINAL, 4, 0, 0, 0, "", TURN_LISTENING },
        { 4900, TURN_UTTERANCE_END, 0, 0, 0, 0, "think,commit,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_failed_reply_is_apologised_for_once(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 4300, TURN_FINAL, 4, 0, 1, 0, "think,commit,play", TURN_THINKING },
        { 4400, TURN_REPLY_FAILED, 0, 0, 0, 0, "cut,sorry,play", TURN_THINKING },
        { 4500, TURN_REPLY_FAILED, 0, 0, 0, 0, "cut", TURN_LISTENING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_reply_that_never_sounds_is_apologised_for(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 4100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 4300, TURN_FINAL, 4, 0, 1, 0, "think,commit,play", TURN_THINKING },
        { 10300, TURN_WAKE, 0, 0, 0, 0, "cut,sorry,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_reply_that_stalls_is_over(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        { 5600, TURN_SPOKEN, 0, 0, 0, 0, "", TURN_SPEAKING },
        { 9600, TURN_WAKE, 0, 0, 0, 0, "cut", TURN_LISTENING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_reply_that_pauses_between_sentences_goes_on(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        { 5600, TURN_SPOKEN, 0, 0, 0, 0, "", TURN_SPEAKING },
        { 5900, TURN_SOUNDING, 0, 0, 0, 0, "", TURN_SPEAKING },
        { 6000, TURN_REPLY_DONE, 1, 0, 0, 0, "", TURN_SPEAKING },
        { 7000, TURN_SPOKEN, 0, 0, 0, 0, "", TURN_LISTENING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__voice_without_any_word_is_asked_again(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 5100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 6060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING }, /* "hello?" */
        { 6600, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 8500, TURN_WAKE, 0, 0, 0, 0, "sorry,play", TURN_THINKING },
        { 8600, TURN_SOUNDING, 0, 0, 0, 0, "", TURN_SPEAKING },
        { 8700, TURN_REPLY_DONE, 1, 0, 0, 0, "", TURN_SPEAKING },
        { 9600, TURN_SPOKEN, 0, 0, 0, 0, "", TURN_LISTENING },
        { 10060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 12100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 12900, TURN_FINAL, 3, 0, 1, 0, "think,commit,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__noise_is_asked_twice_and_no_more(void **state)
{
    static const struct row rows[] = {
        GREETED,
        { 3060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 5100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 8500, TURN_WAKE, 0, 0, 0, 0, "sorry,play", TURN_THINKING },
        { 8600, TURN_REPLY_FAILED, 0, 0, 0, 0, "cut", TURN_LISTENING },
        { 10060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 12100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
        { 15500, TURN_WAKE, 0, 0, 0, 0, "sorry,play", TURN_THINKING },
        { 15600, TURN_REPLY_FAILED, 0, 0, 0, 0, "cut", TURN_LISTENING },
        { 20060, TURN_VOICE_START, 0, 60, 0, 0, "", TURN_LISTENING },
        { 22100, TURN_VOICE_STOP, 0, 100, 0, 0, "", TURN_LISTENING },
    };
    struct turn t;

    (void)state;
    turn_init(&t);
    play(&t, rows, sizeof rows / sizeof rows[0]);
    assert_int_equal(turn_wake_us(&t), 0);
}

static void test_turn__leaves_when_the_caller_does(void **state)
{
    static const struct row rows[] = { ANSWERING,
                                       { 5000, TURN_GONE, 0, 0, 0, 0, "cut,leave", TURN_CLOSING },
                                       { 5001, TURN_FINAL, 3, 0, 1, 0, "", TURN_CLOSING } };

    (void)state;
    PLAY(rows);
}

static void test_turn__says_goodbye_before_hanging_up(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        { 5000, TURN_HANG_UP, 2, 0, 0, 0, "cut,bye,play", TURN_THINKING },
        { 5100, TURN_SOUNDING, 0, 0, 0, 0, "", TURN_SPEAKING },
        { 5100, TURN_REPLY_DONE, 1, 0, 0, 0, "", TURN_SPEAKING },
        { 5500, TURN_FINAL, 3, 0, 1, 0, "", TURN_SPEAKING }, /* too late to change our mind */
        { 7000, TURN_SPOKEN, 0, 0, 0, 0, "", TURN_CLOSING },
        { 7500, TURN_WAKE, 0, 0, 0, 0, "leave", TURN_CLOSING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_goodbye_nobody_can_speak_still_ends_the_call(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        { 5000, TURN_HANG_UP, 2, 0, 0, 0, "cut,bye,play", TURN_THINKING },
        { 5100, TURN_REPLY_FAILED, 0, 0, 0, 0, "cut", TURN_CLOSING },
        { 5600, TURN_WAKE, 0, 0, 0, 0, "leave", TURN_CLOSING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__a_typed_turn_interrupts(void **state)
{
    static const struct row rows[] = {
        ANSWERING,
        { 5000, TURN_TYPED, 3, 0, 0, 0, "cut,think,commit,play", TURN_THINKING },
    };

    (void)state;
    PLAY(rows);
}

static void test_turn__news_of_an_older_reply_is_ignored(void **state)
{
    struct turn_opts o = turn_opts_for(1, 1);
    struct turn t;
    struct turn_out out;
    struct turn_event ready = { .kind = TURN_READY, .now_us = 1000, .n = 1 };
    struct turn_event late = { .kind = TURN_REPLY_FAILED, .now_us = 2000, .reply = 7 };

    (void)state;
    turn_init(&t);
    turn_step(&t, &o, &ready, &out);
    turn_step(&t, &o, &late, &out);
    assert_int_equal(out.n, 0);
    assert_int_equal(t.state, TURN_THINKING);
}

/* How long a pause ends a turn depends on what was said before it. */
static void test_turn__waits_by_the_shape_of_what_was_said(void **state)
{
    static const struct {
        bool open, asked;
        int pause_ms;
    } rows[] = { { false, false, 550 }, { true, false, 1750 }, { false, true, 275 } };
    struct turn_opts o = turn_opts_for(0.5, 1);

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct turn_event ready = { .kind = TURN_READY, .now_us = 1000 },
                          voice = { .kind = TURN_VOICE_START, .now_us = 2000 * MS },
                          quiet = { .kind = TURN_VOICE_STOP, .now_us = 4000 * MS },
                          words = { .kind = TURN_FINAL,
                                    .now_us = 4100 * MS,
                                    .n = 4,
                                    .end = true,
                                    .open = rows[i].open,
                                    .asked = rows[i].asked };
        struct turn t;
        struct turn_out out;

        turn_init(&t);
        turn_step(&t, &o, &ready, &out);
        turn_step(&t, &o, &voice, &out);
        turn_step(&t, &o, &quiet, &out);
        turn_step(&t, &o, &words, &out);
        assert_int_equal(t.state, TURN_MAYBE_DONE);
        assert_int_equal(turn_wake_us(&t) / MS, 4000 + rows[i].pause_ms);
    }
}

static void test_turn__sliders_become_delays(void **state)
{
    struct turn_opts slow = turn_opts_for(0, 0), fast = turn_opts_for(1, 1),
                     wild = turn_opts_for(9, -1);

    (void)state;
    assert_int_equal(slow.min_delay_ms, 1000);
    assert_int_equal(slow.max_delay_ms, 2200);
    assert_int_equal(slow.barge_in_ms, 700);
    assert_int_equal(fast.min_delay_ms, 100);
    assert_int_equal(fast.max_delay_ms, 1300);
    assert_int_equal(fast.barge_in_ms, 100);
    assert_int_equal(wild.min_delay_ms, 100);
    assert_int_equal(wild.barge_in_ms, 700);
}

/* Whatever comes in whatever order: no assertion fails, no impossible state, the same twice. */
static void test_turn__any_order_of_events_is_survived_and_repeatable(void **state)
{
    (void)state;
    for (uint32_t seed = 1; seed <= 300; seed++) {
        struct turn a, b;
        struct turn_opts o = turn_opts_for((seed % 5) / 4.0, (seed % 7) / 6.0);
        uint32_t x = seed * 2654435761U;
        int64_t now = 1000000;

        turn_init(&a);
        turn_init(&b);
        for (int i = 0; i < 400; i++) {
            struct turn_out oa, ob;
            struct turn_event e = { 0 };

            x = x * 1664525U + 1013904223U;
            now += (int64_t)(x >> 12) % 700000;
            e.kind = (enum turn_event_kind)((x >> 8) % (i < 380 ? TURN_HANG_UP : TURN_EVENTS));
            e.now_us = now;
            e.at_us = now - (x >> 20) % 60000;
            e.reply = a.reply - ((x >> 5) % 8 == 0);
            e.n = (int32_t)((x >> 16) % 4);
            e.end = (x >> 3) & 1;
            e.open = (x >> 4) & 1;
            turn_step(&a, &o, &e, &oa);
            turn_step(&b, &o, &e, &ob);
            assert_true(oa.n <= TURN_MAX_ACTIONS);
            assert_int_equal(oa.n, ob.n);
            assert_memory_equal(oa.act, ob.act, (size_t)oa.n * sizeof oa.act[0]);
            assert_memory_equal(&a, &b, sizeof a);
            if (a.state == TURN_THINKING || a.state == TURN_INTERRUPTED)
                assert_true(turn_wake_us(&a) != 0); /* never stuck */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_turn__greets_when_the_caller_can_hear),
        cmocka_unit_test(test_turn__without_a_greeting_it_listens),
        cmocka_unit_test(test_turn__without_context_it_apologises_and_leaves),
        cmocka_unit_test(test_turn__answers_at_once_when_the_delay_has_passed_already),
        cmocka_unit_test(test_turn__thinks_ahead_while_the_delay_runs),
        cmocka_unit_test(test_turn__a_reply_made_ahead_is_used_when_it_is_whole_already),
        cmocka_unit_test(test_turn__an_open_sentence_is_given_more_time),
        cmocka_unit_test(test_turn__a_caller_who_goes_on_silently_keeps_the_thought),
        cmocka_unit_test(test_turn__words_after_the_decision_take_it_back),
        cmocka_unit_test(test_turn__a_cough_before_the_reply_holds_it_only_while_it_lasts),
        cmocka_unit_test(test_turn__voice_pauses_us_and_words_take_the_turn),
        cmocka_unit_test(test_turn__a_pause_without_words_goes_on_where_it_stopped),
        cmocka_unit_test(test_turn__endless_noise_does_not_silence_us),
        cmocka_unit_test(test_turn__a_short_sound_does_not_pause_us),
        cmocka_unit_test(test_turn__hello_does_not_cut_the_greeting),
        cmocka_unit_test(test_turn__a_real_question_does),
        cmocka_unit_test(test_turn__an_end_without_speech_final_is_found_by_silence),
        cmocka_unit_test(test_turn__utterance_end_ends_a_turn),
        cmocka_unit_test(test_turn__a_failed_reply_is_apologised_for_once),
        cmocka_unit_test(test_turn__a_reply_that_never_sounds_is_apologised_for),
        cmocka_unit_test(test_turn__a_reply_that_stalls_is_over),
        cmocka_unit_test(test_turn__a_reply_that_pauses_between_sentences_goes_on),
        cmocka_unit_test(test_turn__voice_without_any_word_is_asked_again),
        cmocka_unit_test(test_turn__noise_is_asked_twice_and_no_more),
        cmocka_unit_test(test_turn__leaves_when_the_caller_does),
        cmocka_unit_test(test_turn__says_goodbye_before_hanging_up),
        cmocka_unit_test(test_turn__a_goodbye_nobody_can_speak_still_ends_the_call),
        cmocka_unit_test(test_turn__a_typed_turn_interrupts),
        cmocka_unit_test(test_turn__news_of_an_older_reply_is_ignored),
        cmocka_unit_test(test_turn__waits_by_the_shape_of_what_was_said),
        cmocka_unit_test(test_turn__sliders_become_delays),
        cmocka_unit_test(test_turn__any_order_of_events_is_survived_and_repeatable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
