/* beep_test.c - the tones of machines, and what is none. */
#include "beep.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* Beeps heard in so many ms of two sines with noise (amplitudes of 32767). */
static int beeps(int ms, double hz1, double a1, double hz2, double a2, double noise)
{
    struct beep b;
    uint32_t random = 1;
    int n = 0;

    beep_init(&b);
    for (int block = 0; block < ms / 20; block++) {
        int16_t x[BEEP_BLOCK];

        for (int i = 0; i < BEEP_BLOCK; i++) {
            double t = (block * BEEP_BLOCK + i) / 16000.0, v;

            random = random * 1664525 + 1013904223;
            v = a1 * sin(2 * M_PI * hz1 * t) + a2 * sin(2 * M_PI * hz2 * t) +
                noise * ((double)(random >> 8) / (1 << 23) - 1);
            x[i] = (int16_t)(v * 32767);
        }
        n += beep_feed(&b, x);
    }
    return n;
}

static void test_beep__is_heard_once_at_any_pitch_of_machines(void **state)
{
    (void)state;
    for (double hz = 420; hz < 2000; hz += 37)
        assert_int_equal(beeps(600, hz, 0.3, 0, 0, 0.02), 1);
}

static void test_beep__what_is_none(void **state)
{
    (void)state;
    assert_int_equal(beeps(160, 1000, 0.3, 0, 0, 0), 0);      /* too short */
    assert_int_equal(beeps(600, 1000, 0.005, 0, 0, 0), 0);    /* too faint */
    assert_int_equal(beeps(600, 770, 0.2, 1336, 0.2, 0), 0);  /* the key 5 */
    assert_int_equal(beeps(600, 0, 0, 0, 0, 0.3), 0);         /* noise */
    assert_int_equal(beeps(600, 150, 0.3, 300, 0.2, 0), 0);   /* a hum */
    assert_int_equal(beeps(600, 500, 0.2, 1000, 0.15, 0), 0); /* a voice has overtones */
}

static void test_beep__each_of_several_is_told(void **state)
{
    struct beep b;
    int16_t tone[BEEP_BLOCK], silence[BEEP_BLOCK] = { 0 };
    int n = 0;

    (void)state;
    beep_init(&b);
    for (int i = 0; i < BEEP_BLOCK; i++)
        tone[i] = (int16_t)(8000 * sin(2 * M_PI * 1000 * i / 16000.0));
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < 20; i++)
            n += beep_feed(&b, tone);
        for (int i = 0; i < 5; i++)
            n += beep_feed(&b, silence);
    }
    assert_int_equal(n, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beep__is_heard_once_at_any_pitch_of_machines),
        cmocka_unit_test(test_beep__what_is_none),
        cmocka_unit_test(test_beep__each_of_several_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
