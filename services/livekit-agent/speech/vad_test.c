/* vad_test.c - speech is found in levels and in samples, and noise is not. */
#include "vad.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* n frames of 20 ms at a level; the frame at which the event came, or -1. */
static int feed_level(struct vad *v, int level, int n, enum vad_event wanted)
{
    for (int i = 0; i < n; i++) {
        enum vad_event e = vad_level(v, level, 20);

        if (e == wanted)
            return i;
        assert_int_equal(e, VAD_NONE);
    }
    return -1;
}

static void test_vad__finds_speech_in_levels_with_hysteresis(void **state)
{
    struct vad v;

    (void)state;
    assert_int_equal(vad_init(&v, NULL), PAT_OK);
    assert_int_equal(feed_level(&v, 127, 50, VAD_STARTED), -1);
    assert_int_equal(feed_level(&v, 25, 50, VAD_STARTED), 2); /* 60 ms */
    assert_int_equal(feed_level(&v, 25, 500, VAD_STOPPED), -1);
    assert_int_equal(feed_level(&v, 70, 10, VAD_STOPPED), -1); /* a pause */
    assert_int_equal(feed_level(&v, 25, 10, VAD_STOPPED), -1);
    assert_int_equal(feed_level(&v, 70, 50, VAD_STOPPED), 14); /* 300 ms */
    assert_int_equal(vad_unvoiced_ms(&v), 300);
    vad_fini(&v);
}

static void test_vad__does_not_start_on_a_click(void **state)
{
    struct vad v;

    (void)state;
    assert_int_equal(vad_init(&v, NULL), PAT_OK);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(feed_level(&v, 20, 2, VAD_STARTED), -1);
        assert_int_equal(feed_level(&v, 90, 8, VAD_STARTED), -1);
    }
    vad_fini(&v);
}

static void test_vad__adapts_to_a_noisy_line(void **state)
{
    struct vad v;

    (void)state;
    assert_int_equal(vad_init(&v, NULL), PAT_OK);
    (void)feed_level(&v, 48, 1000, VAD_STARTED); /* 20 s of hum */
    (void)feed_level(&v, 48, 1000, VAD_STOPPED);
    assert_false(v.speaking);
    assert_int_equal(feed_level(&v, 48, 1000, VAD_STARTED), -1);
    assert_int_equal(feed_level(&v, 25, 10, VAD_STARTED), 2);
    vad_fini(&v);
}

static void test_vad__counts_missing_packets_as_silence(void **state)
{
    struct vad v;
    int n = 0;

    (void)state;
    assert_int_equal(vad_init(&v, NULL), PAT_OK);
    assert_int_equal(feed_level(&v, 20, 10, VAD_STARTED), 2);
    while (vad_silence(&v, 20) != VAD_STOPPED && n < 100)
        n++;
    assert_int_equal(n, 14);
    vad_fini(&v);
}

static void test_vad__obeys_its_configuration(void **state)
{
    struct vad_conf conf = { .start_ms = 200, .stop_ms = 1000 };
    struct vad v;

    (void)state;
    assert_int_equal(vad_init(&v, &conf), PAT_OK);
    assert_int_equal(feed_level(&v, 20, 30, VAD_STARTED), 9);
    assert_int_equal(feed_level(&v, 100, 100, VAD_STOPPED), 49);
    vad_fini(&v);
}

/* Voiced sound: harmonics of 120 Hz with a slow swell; silence else. */
static void frame(int16_t *pcm, int at, double loud)
{
    for (int i = 0; i < 320; i++) {
        double t = (at * 320 + i) / 16000.0, x = 0;

        for (int h = 1; h <= 20; h++)
            x += sin(2 * M_PI * 120 * h * t + h) / h;
        pcm[i] = (int16_t)lround(loud * x * (1 + 0.5 * sin(2 * M_PI * 4 * t)));
    }
}

static void test_vad__finds_speech_in_samples(void **state)
{
    struct vad v;
    int16_t pcm[320];
    int started = -1, stopped = -1;

    (void)state;
    assert_int_equal(vad_init(&v, NULL), PAT_OK);
    for (int i = 0; i < 200; i++) {
        enum vad_event e;

        frame(pcm, i, i >= 50 && i < 120 ? 6000 : 5);
        e = vad_samples(&v, pcm, 320);
        if (e == VAD_STARTED && started < 0)
            started = i;
        if (e == VAD_STOPPED)
            stopped = i;
    }
    assert_in_range(started, 50, 60);
    assert_in_range(stopped, 130, 160);
    vad_fini(&v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vad__finds_speech_in_levels_with_hysteresis),
        cmocka_unit_test(test_vad__does_not_start_on_a_click),
        cmocka_unit_test(test_vad__adapts_to_a_noisy_line),
        cmocka_unit_test(test_vad__counts_missing_packets_as_silence),
        cmocka_unit_test(test_vad__obeys_its_configuration),
        cmocka_unit_test(test_vad__finds_speech_in_samples),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
