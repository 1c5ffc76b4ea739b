/* opusio_test.c - sound goes through and silence is silent. */
#include "opusio.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static int64_t energy(const int16_t *pcm, int n)
{
    int64_t sum = 0;

    for (int i = 0; i < n; i++)
        sum += pcm[i] * pcm[i];
    return n ? sum / n : 0;
}

static void test_opusio__silence_packet_is_20_ms_of_nothing(void **state)
{
    struct opusio_dec *d;
    int16_t pcm[OPUSIO_MAX_16K];

    (void)state;
    assert_int_equal(opusio_samples(opusio_silence, OPUSIO_SILENCE_LEN), OPUSIO_FRAME);
    assert_int_equal(opusio_dec_new(&d), PAT_OK);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(opusio_decode(d, opusio_silence, OPUSIO_SILENCE_LEN, 0, pcm), 320);
        assert_true(energy(pcm, 320) < 4);
    }
    opusio_dec_free(d);
}

/* Noise as of a quiet line, then a voice: a tone whose loudness moves as syllables do. */
static int16_t line_sample(int f, int i, bool voice)
{
    double t = (f * OPUSIO_FRAME + i) / 48000.0;
    double noise = (rand() % 9) - 4;

    return (int16_t)lround(
        noise + (voice ? 8000 * fabs(sin(2 * M_PI * 3 * t)) * sin(2 * M_PI * 200 * t) : 0));
}

static void test_opusio__a_sender_that_hears_nobody_is_believed(void **state)
{
    static const uint8_t celt[] = { 0xF8, 1, 2, 3, 4 }, two_frames[] = { 0x49, 0, 0, 0, 0 };
    struct opusio_enc *e;
    uint8_t packet[OPUSIO_MAX_PACKET];
    int16_t pcm[OPUSIO_FRAME];
    int inactive[2] = { 0, 0 };

    (void)state;
    assert_true(opusio_inactive(opusio_silence, OPUSIO_SILENCE_LEN));
    assert_false(opusio_inactive(celt, sizeof celt));
    assert_false(opusio_inactive(two_frames, sizeof two_frames));
    assert_false(opusio_inactive(NULL, 0));
    assert_int_equal(opusio_enc_new(&e, 5), PAT_OK);
    for (int f = 0; f < 100; f++) {
        for (int i = 0; i < OPUSIO_FRAME; i++)
            pcm[i] = line_sample(f, i, f >= 50);
        int len = opusio_encode(e, pcm, packet);
        assert_true(len > OPUSIO_SILENCE_LEN);
        if (f % 50 >= 20) /* it has got used to what there is */
            inactive[f >= 50] += opusio_inactive(packet, (size_t)len);
    }
    opusio_enc_free(e);
    assert_in_range(inactive[0], 25, 30);
    assert_int_equal(inactive[1], 0);
}

static void test_opusio__a_tone_survives(void **state)
{
    struct opusio_enc *e;
    struct opusio_dec *d;
    int16_t in[OPUSIO_FRAME], out[OPUSIO_MAX_16K];
    uint8_t packet[OPUSIO_MAX_PACKET];
    int len = 0;

    (void)state;
    assert_int_equal(opusio_enc_new(&e, 5), PAT_OK);
    assert_int_equal(opusio_dec_new(&d), PAT_OK);
    for (int f = 0; f < 20; f++) {
        for (int i = 0; i < OPUSIO_FRAME; i++)
            in[i] = (int16_t)lround(8000 * sin(2 * M_PI * 440 * (f * OPUSIO_FRAME + i) / 48000.0));
        len = opusio_encode(e, in, packet);
        assert_in_range(len, 10, 400);
        assert_int_equal(opusio_samples(packet, (size_t)len), OPUSIO_FRAME);
        assert_int_equal(opusio_decode(d, packet, (size_t)len, 0, out), 320);
    }
    assert_in_range(energy(out, 320), 16000000, 64000000);
    /* A lost packet is concealed with as many samples. */
    assert_int_equal(opusio_decode(d, NULL, 0, OPUSIO_FRAME, out), 320);
    opusio_enc_reset(e);
    opusio_enc_free(e);
    opusio_dec_free(d);
}

static void test_opusio__refuses_rubbish(void **state)
{
    static const uint8_t bad[] = { 0x03, 0xFF }; /* code 3 with no frames */
    struct opusio_dec *d;
    int16_t pcm[OPUSIO_MAX_16K];

    (void)state;
    assert_int_equal(opusio_samples(NULL, 0), 0);
    assert_int_equal(opusio_dec_new(&d), PAT_OK);
    assert_int_equal(opusio_decode(d, bad, sizeof bad, 0, pcm), PAT_EPROTO);
    assert_int_equal(opusio_decode(d, bad, 0, 0, pcm), PAT_EPROTO);
    opusio_dec_free(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_opusio__silence_packet_is_20_ms_of_nothing),
        cmocka_unit_test(test_opusio__a_sender_that_hears_nobody_is_believed),
        cmocka_unit_test(test_opusio__a_tone_survives),
        cmocka_unit_test(test_opusio__refuses_rubbish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
