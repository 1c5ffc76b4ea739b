/* denoise_test.c - a steady noise is taken away, a voice above it stays. */
#include "denoise.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t seed = 1;

static double noise(void)
{
    seed = seed * 1664525 + 1013904223;
    return (double)(seed >> 8) / (1 << 24) * 2 - 1;
}

static double rms(const int16_t *pcm, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += (double)pcm[i] * pcm[i];
    return sqrt(sum / n);
}

/* Four seconds of noise, the last one with a swelling tone in it. */
static void test_denoise__takes_the_noise_and_leaves_the_voice(void **state)
{
    struct opusio_enc *enc;
    struct opusio_dec *dec;
    struct denoise *d;
    double before = 0, after = 0, voice = 0;

    (void)state;
    assert_int_equal(opusio_enc_for(&enc, OPUSIO_WIDE), PAT_OK);
    assert_int_equal(opusio_dec_new(&dec), PAT_OK);
    assert_int_equal(denoise_new(&d, 25), PAT_OK);
    for (int f = 0; f < 200; f++) {
        int16_t in[OPUSIO_FRAME], pcm[OPUSIO_MAX_16K], heard[OPUSIO_MAX_16K];
        uint8_t packet[OPUSIO_MAX_PACKET], out[OPUSIO_MAX_PACKET];
        double loud = f < 150 ? 0 : 6000 * fabs(sin(f * 0.4));
        int len, n, made;

        for (int i = 0; i < OPUSIO_FRAME; i++)
            in[i] = (int16_t)(800 * noise() +
                              loud * sin(2 * M_PI * 300 * (f * OPUSIO_FRAME + i) / 48000.0));
        len = opusio_encode(enc, in, packet);
        made = denoise_packet(d, packet, (size_t)len, pcm, &n, out);
        assert_true(made > 0);
        assert_int_equal(n, 320);
        assert_int_equal(opusio_samples(out, (size_t)made), OPUSIO_FRAME);
        assert_int_equal(opusio_decode(dec, out, (size_t)made, 0, heard), 320);
        if (f >= 100 && f < 150) {
            before += rms(in, OPUSIO_FRAME);
            after += rms(heard, 320);
        }
        voice += f >= 150 ? rms(heard, 320) : 0;
    }
    assert_true(after < before / 4);
    assert_true(voice > 4 * after);
    denoise_free(d);
    opusio_dec_free(dec);
    opusio_enc_free(enc);
}

static void test_denoise__refuses_what_it_cannot_decode(void **state)
{
    struct denoise *d;
    int16_t pcm[OPUSIO_MAX_16K];
    uint8_t out[OPUSIO_MAX_PACKET];
    int n;

    (void)state;
    assert_int_equal(denoise_new(&d, 25), PAT_OK);
    assert_int_equal(denoise_packet(d, (const uint8_t *)"\xff", 1, pcm, &n, out), PAT_EPROTO);
    assert_true(denoise_packet(d, opusio_silence, OPUSIO_SILENCE_LEN, pcm, &n, out) > 0);
    denoise_free(d);
    denoise_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_denoise__takes_the_noise_and_leaves_the_voice),
        cmocka_unit_test(test_denoise__refuses_what_it_cannot_decode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
