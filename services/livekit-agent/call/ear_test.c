/* ear_test.c - packets in all the ways they come, and what recogniser and turn machine hear. */
#include "ear.h"

#include "../speech/opusio.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct stt {
    int packets, silence, together;
};

void stt_together(struct stt *s, int packets)
{
    s->together = packets;
}

void stt_audio(struct stt *s, const uint8_t *opus, size_t len, uint32_t samples)
{
    assert_int_equal(samples, OPUSIO_FRAME);
    if (opus && len > OPUSIO_SILENCE_LEN)
        s->packets++;
    else
        s->silence++;
}

struct rig {
    struct pat_loop *loop;
    struct ear *ear;
    struct stt stt;
    struct opusio_enc *enc;
    uint16_t seq;
    uint32_t ts;
    int started, stopped, calmed, excited;
    int64_t started_us, stopped_us;
};

static void on_started(int64_t at_us, void *arg)
{
    struct rig *r = arg;

    r->started++;
    r->started_us = at_us;
}

static void on_stopped(int64_t at_us, void *arg)
{
    struct rig *r = arg;

    r->stopped++;
    r->stopped_us = at_us;
}

static void on_calm(bool calm, void *arg)
{
    struct rig *r = arg;

    r->calmed += calm;
    r->excited += !calm;
}

static const struct ear_events events = { on_started, on_stopped, on_calm, NULL };

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);

    assert_int_equal(pat_loop_new(&r->loop), PAT_OK);
    assert_int_equal(ear_new(&r->ear, r->loop, &events, r), PAT_OK);
    assert_int_equal(opusio_enc_new(&r->enc, 1), PAT_OK);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;

    ear_free(r->ear);
    opusio_enc_free(r->enc);
    assert_int_equal(pat_loop_free(r->loop), PAT_OK);
    free(r);
    return 0;
}

/* One packet, without waiting: time is what the packet says. */
static void packet(struct rig *r, bool voiced, int64_t at_us, int level)
{
    int16_t pcm[OPUSIO_FRAME];
    uint8_t opus[OPUSIO_MAX_PACKET];
    struct rtc_packet p = { .identity = "a",
                            .track_sid = "t",
                            .opus = opus,
                            .timestamp = r->ts,
                            .seq = r->seq++,
                            .audio_level = level,
                            .received_us = at_us };
    int n;

    for (int i = 0; i < OPUSIO_FRAME; i++) {
        double t = (r->ts + (uint32_t)i) / 48000.0, v = 0;
        for (int h = 1; h < 12; h++)
            v += sin(2 * M_PI * 140 * h * t) / h;
        pcm[i] = (int16_t)(voiced ? v * 5000 * (0.6 + 0.4 * sin(2 * M_PI * 5 * t)) : (i % 7) - 3);
    }
    r->ts += OPUSIO_FRAME;
    n = opusio_encode(r->enc, pcm, opus);
    assert_true(n > OPUSIO_SILENCE_LEN);
    p.len = (size_t)n;
    ear_packet(r->ear, &p);
}

static int64_t packets(struct rig *r, int n, bool voiced, int64_t at_us, int level)
{
    for (int i = 0; i < n; i++, at_us += 20000)
        packet(r, voiced, at_us, level);
    return at_us;
}

static void test_ear__passes_every_packet_on_as_it_came(void **state)
{
    struct rig *r = *state;

    ear_attach(r->ear, &r->stt);
    packets(r, 25, true, 1000000, -1);
    assert_int_equal(r->stt.packets, 25);
    assert_int_equal(r->stt.silence, 0);
}

static void test_ear__is_calm_when_nobody_has_spoken_for_a_while(void **state)
{
    struct rig *r = *state;
    int64_t at_us;

    ear_attach(r->ear, &r->stt);
    at_us = packets(r, 25, true, 1000000, -1);
    at_us = packets(r, 25, false, at_us, -1);
    assert_int_equal(r->calmed, 0);
    assert_int_equal(r->stt.together, 1); /* the recogniser is about to end the turn */
    at_us = packets(r, 20, false, at_us, -1);
    assert_int_equal(r->calmed, 1);
    assert_int_equal(r->stt.together, 2);
    at_us = packets(r, 50, false, at_us, -1);
    assert_int_equal(r->calmed, 1);
    assert_int_equal(r->stt.together, STT_TOGETHER_MAX);
    at_us = packets(r, 2, true, at_us, -1); /* long before it counts as speech */
    assert_int_equal(r->excited, 1);
    assert_int_equal(r->stt.together, 1);
    packets(r, 50, false, at_us, -1);
    ear_restart(r->ear);
    assert_int_equal(r->excited, 2);
}

static void test_ear__keeps_what_comes_before_the_recogniser(void **state)
{
    struct rig *r = *state;

    packets(r, 40, true, 1000000, -1);
    ear_attach(r->ear, &r->stt);
    assert_int_equal(r->stt.packets, 40);
    packets(r, 1, true, 2000000, -1);
    assert_int_equal(r->stt.packets, 41);
}

static void test_ear__tells_when_a_voice_begins_and_ends(void **state)
{
    struct rig *r = *state;
    int64_t at = packets(r, 25, false, 1000000, -1), end;

    assert_int_equal(r->started, 0);
    end = packets(r, 30, true, at, -1);
    assert_int_equal(r->started, 1);
    assert_in_range(r->started_us, at - 40000, at + 100000);
    packets(r, 30, false, end, -1);
    assert_int_equal(r->stopped, 1);
    assert_in_range(r->stopped_us, end - 60000, end + 120000);
    assert_int_equal(ear_voiced_us(r->ear), r->stopped_us);
}

static void test_ear__believes_the_senders_level(void **state)
{
    struct rig *r = *state;
    int64_t at = packets(r, 25, false, 1000000, 80);

    at = packets(r, 20, false, at, 20); /* quiet samples, but the level says loud */
    assert_int_equal(r->started, 1);
    packets(r, 20, false, at, 80);
    assert_int_equal(r->stopped, 1);
}

static void test_ear__fills_what_was_lost_with_silence(void **state)
{
    struct rig *r = *state;

    ear_attach(r->ear, &r->stt);
    packets(r, 5, true, 1000000, -1);
    r->ts += 3 * OPUSIO_FRAME;
    r->seq += 3;
    packets(r, 5, true, 1200000, -1);
    assert_int_equal(r->stt.packets, 5); /* they may still come */
    for (int64_t end = pat_now_ms() + 2000; r->stt.packets < 10 && pat_now_ms() < end;)
        pat_loop_run_once(r->loop, 20);
    assert_int_equal(r->stt.packets, 10);
    assert_int_equal(r->stt.silence, 3);
}

static void test_ear__who_speaks_is_judged_though_a_packet_is_missing(void **state)
{
    struct rig *r = *state;
    int64_t at = packets(r, 25, false, 1000000, -1), began = at;

    ear_attach(r->ear, &r->stt);
    int before = r->stt.packets;
    for (int i = 0; i < 6 && !r->started; i++, at += 40000) { /* every other one is lost */
        packet(r, true, at, -1);
        r->ts += OPUSIO_FRAME;
        r->seq++;
    }
    assert_int_equal(r->started, 1);
    assert_in_range(at - began, 40000, 200000);
    assert_int_equal(r->stt.packets - before, 1); /* the others wait */
}

static void test_ear__what_comes_after_all_is_heard_in_its_place(void **state)
{
    struct rig *r = *state;

    ear_attach(r->ear, &r->stt);
    packets(r, 5, true, 1000000, -1);
    r->ts += OPUSIO_FRAME;
    r->seq += 1;
    packets(r, 2, true, 1120000, -1);
    assert_int_equal(r->stt.packets, 5);
    r->ts -= 3 * OPUSIO_FRAME;
    r->seq = (uint16_t)(r->seq - 3);
    packets(r, 1, true, 1150000, -1);
    assert_int_equal(r->stt.packets, 8);
    assert_int_equal(r->stt.silence, 0);
}

static void test_ear__drops_doubles_and_latecomers(void **state)
{
    struct rig *r = *state;

    ear_attach(r->ear, &r->stt);
    packets(r, 5, true, 1000000, -1);
    r->seq = (uint16_t)(r->seq - 2);
    r->ts -= 2 * OPUSIO_FRAME;
    packets(r, 2, true, 1100000, -1);
    assert_int_equal(r->stt.packets, 5);
    packets(r, 1, true, 1120000, -1);
    assert_int_equal(r->stt.packets, 6);
}

static void test_ear__a_jump_of_the_clock_is_a_new_beginning(void **state)
{
    struct rig *r = *state;

    ear_attach(r->ear, &r->stt);
    packets(r, 5, true, 1000000, -1);
    r->ts += 48000 * 100;
    packets(r, 5, true, 1100000, -1);
    assert_int_equal(r->stt.packets, 10);
    assert_int_equal(r->stt.silence, 0);
}

static void test_ear__a_sender_that_falls_silent_is_heard_as_silence(void **state)
{
    struct rig *r = *state;
    int64_t end;

    ear_attach(r->ear, &r->stt);
    packets(r, 25, true, pat_now_us() - 500000, -1);
    assert_int_equal(r->started, 1);
    end = pat_now_ms() + 2000;
    while (!r->stopped && pat_now_ms() < end)
        pat_loop_run_once(r->loop, 20);
    assert_int_equal(r->stopped, 1);
    assert_in_range(r->stt.silence, 10, 30);
}

static void test_ear__what_is_no_opus_is_ignored(void **state)
{
    struct rig *r = *state;
    struct rtc_packet p = {
        .identity = "a", .track_sid = "t", .opus = (const uint8_t *)"", .len = 0
    };

    ear_attach(r->ear, &r->stt);
    ear_packet(r->ear, &p);
    p.opus = (const uint8_t *)"\xff\xff\xff";
    p.len = 3;
    ear_packet(r->ear, &p);
    assert_int_equal(r->stt.packets + r->stt.silence, 0);
}

#define EAR_TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EAR_TEST(test_ear__passes_every_packet_on_as_it_came),
        EAR_TEST(test_ear__is_calm_when_nobody_has_spoken_for_a_while),
        EAR_TEST(test_ear__keeps_what_comes_before_the_recogniser),
        EAR_TEST(test_ear__tells_when_a_voice_begins_and_ends),
        EAR_TEST(test_ear__believes_the_senders_level),
        EAR_TEST(test_ear__fills_what_was_lost_with_silence),
        EAR_TEST(test_ear__who_speaks_is_judged_though_a_packet_is_missing),
        EAR_TEST(test_ear__what_comes_after_all_is_heard_in_its_place),
        EAR_TEST(test_ear__drops_doubles_and_latecomers),
        EAR_TEST(test_ear__a_jump_of_the_clock_is_a_new_beginning),
        EAR_TEST(test_ear__a_sender_that_falls_silent_is_heard_as_silence),
        EAR_TEST(test_ear__what_is_no_opus_is_ignored),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
