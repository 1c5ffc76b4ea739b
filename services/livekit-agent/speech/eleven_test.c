/* eleven_test.c - ElevenLabs' messages in all their spellings, and what becomes of the samples. */
#include "eleven.h"

#include "test/alloc.h"
#include "upsample.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void on_word(const char *word, size_t len, int start_ms, int end_ms, void *arg)
{
    char one[100];

    snprintf(one, sizeof one, "%.*s@%d-%d|", (int)len, word, start_ms, end_ms);
    assert_int_equal(pat_buf_adds(arg, one), PAT_OK);
}

static void test_eleven__reads_every_spelling(void **state)
{
    static const struct {
        const char *text, *context, *words;
        bool final, audio, error, fatal;
    } rows[] = {
        { "{\"audio\":\"AAAA\",\"contextId\":\"a\",\"alignment\":{\"chars\":[\"H\",\"i\",\" \","
          "\"y\"],\"charStartTimesMs\":[0,10,20,30],\"charDurationsMs\":[10,10,10,15]}}",
          "a", "Hi @0-30|y@30-45|", false, true, false, false },
        { "{\"audio\":\"AAAA\",\"context_id\":\"a\",\"alignment\":{\"chars\":[\"H\"],"
          "\"charsStartTimesMs\":[5],\"charsDurationsMs\":[7]},\"isFinal\":null}",
          "a", "H@5-12|", false, true, false, false },
        { "{\"audio\":\"AAAA\",\"alignment\":{\"chars\":[\"H\"],\"char_start_times_ms\":[1],"
          "\"char_durations_ms\":[2]},\"is_final\":false}",
          "", "H@1-3|", false, true, false, false },
        { "{\"isFinal\":true,\"contextId\":\"b\"}", "b", "", true, false, false, false },
        { "{\"is_final\":true,\"context_id\":\"b\",\"audio\":null}", "b", "", true, false, false,
          false },
        { "{\"audio\":\"AA\",\"alignment\":{\"chars\":[\"H\",\"i\"],\"charStartTimesMs\":[0],"
          "\"charDurationsMs\":[1]}}",
          "", "", false, true, false, false },
        { "{\"audio\":\"AA\",\"alignment\":null}", "", "", false, true, false, false },
        { "{\"message\":\"Quota\",\"error\":\"quota_exceeded\",\"code\":1008}", "", "", false,
          false, true, true },
        { "{\"message\":\"A voice with voice_id x does not exist\"}", "", "", false, false, true,
          true },
        { "{\"message\":\"no new text for 20 s\",\"error\":\"input_timeout_exceeded\"}", "", "",
          false, false, true, false },
        { "{\"type\":\"flush_done\",\"contextId\":\"c\"}", "c", "", false, false, false, false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct eleven_msg m;
        struct pat_buf words;

        pat_buf_init(&words, 1000);
        pat_buf_adds(&words, "");
        assert_int_equal(eleven_parse(&m, rows[i].text, strlen(rows[i].text)), PAT_OK);
        eleven_words(&m, on_word, &words);
        assert_string_equal(m.context, rows[i].context);
        assert_string_equal(words.data ? words.data : "", rows[i].words);
        assert_int_equal(m.is_final, rows[i].final);
        assert_int_equal(m.audio != NULL, rows[i].audio);
        assert_int_equal(m.error != NULL, rows[i].error);
        assert_int_equal(m.fatal, rows[i].fatal);
        pat_buf_fini(&words);
        eleven_msg_fini(&m);
    }
}

static void test_eleven__refuses_what_is_no_object(void **state)
{
    static const char *const bad[] = { "", "[]", "1", "{\"audio\":", "null" };
    struct eleven_msg m;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(eleven_parse(&m, bad[i], strlen(bad[i])), PAT_EINVAL);
        eleven_msg_fini(&m);
    }
}

static void test_eleven__settings_go_out_only_when_set(void **state)
{
    struct voice v = voice_resolve("11labs-Brian");
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 4000);
    assert_int_equal(eleven_url(&b, "wss://x/", "eleven_flash_v2_5", "en", &v, "pcm_24000"),
                     PAT_OK);
    assert_non_null(strstr(b.data, "wss://x/v1/text-to-speech/nPczCjzI2devNBz1zQrb/multi-stream"));
    assert_non_null(strstr(b.data, "language_code=en"));
    pat_buf_reset(&b);
    assert_int_equal(eleven_url(&b, "wss://x", "eleven_flash_v2", "en", &v, "opus_48000_32"),
                     PAT_OK);
    assert_null(strstr(b.data, "language_code"));
    pat_buf_reset(&b);
    assert_int_equal(eleven_begin(&b, "c1", &v), PAT_OK);
    assert_string_equal(b.data, "{\"context_id\":\"c1\",\"text\":\" \"}");
    pat_buf_reset(&b);
    v.stability = 0.5;
    v.speaker_boost = 0;
    assert_int_equal(eleven_begin(&b, "c1", &v), PAT_OK);
    assert_non_null(strstr(b.data, "\"voice_settings\":{\"stability\":0.5,"
                                   "\"use_speaker_boost\":false}"));
    pat_buf_reset(&b);
    assert_int_equal(eleven_text(&b, "c1", "Hi \"you\".", 9), PAT_OK);
    assert_string_equal(b.data,
                        "{\"context_id\":\"c1\",\"text\":\"Hi \\\"you\\\". \",\"flush\":true}");
    pat_buf_reset(&b);
    assert_int_equal(eleven_keep(&b, NULL), PAT_OK);
    assert_string_equal(b.data, "{\"text\":\"\"}");
    pat_buf_fini(&b);
}

static void test_eleven__decodes_samples_across_odd_cuts(void **state)
{
    int16_t out[16];
    int carry = -1;

    (void)state;
    /* 01 02 03 | 04 05 06: the middle sample straddles. */
    assert_int_equal(eleven_samples("AQID", 4, &carry, out), 1);
    assert_int_equal(out[0], 0x0201);
    assert_int_equal(carry, 3);
    assert_int_equal(eleven_samples("BAUG", 4, &carry, out), 2);
    assert_int_equal(out[0], 0x0403);
    assert_int_equal(out[1], 0x0605);
    assert_int_equal(carry, -1);
    assert_int_equal(eleven_samples("/38=", 4, &carry, out), 1);
    assert_int_equal(out[0], 0x7fff);
    assert_int_equal(eleven_samples("A!", 2, &carry, out), PAT_EPROTO);
    carry = -1;
    assert_int_equal(eleven_samples("", 0, &carry, out), 0);
}

static void tone(int16_t *pcm, int n, double hz, double rate)
{
    for (int i = 0; i < n; i++)
        pcm[i] = (int16_t)lround(10000 * sin(2 * M_PI * hz * i / rate));
}

static void test_upsample__keeps_a_tone_and_its_pieces_do_not_matter(void **state)
{
    static int16_t in[2400], whole[4800 + UPSAMPLE_TAPS], cut[4800 + UPSAMPLE_TAPS], want[4800];
    struct upsample a = { 0 }, b = { 0 };
    size_t at = 0;

    (void)state;
    tone(in, 2400, 1000, 24000);
    tone(want, 4800, 1000, 48000);
    upsample_x2(&a, in, 2400, whole);
    for (size_t step = 1; at < 2400; step = step % 37 + 1) {
        size_t n = step < 2400 - at ? step : 2400 - at;

        upsample_x2(&b, in + at, n, cut + 2 * at);
        at += n;
    }
    assert_memory_equal(whole, cut, 4800 * sizeof *whole);
    assert_int_equal(upsample_flush(&a, whole + 4800), UPSAMPLE_TAPS);
    for (size_t i = 100; i < 4700; i++) /* 8 samples at 24 kHz late */
        assert_in_range(whole[i + 16] - want[i] + 100, 0, 200);
}

static void test_upsample__does_not_wrap_at_full_scale(void **state)
{
    int16_t in[64], out[128];
    struct upsample u = { 0 };

    (void)state;
    for (int i = 0; i < 64; i++)
        in[i] = i % 16 < 8 ? INT16_MAX : INT16_MIN;
    upsample_x2(&u, in, 64, out);
    for (int i = 40; i + 2 < 128; i += 2) /* an overshoot that wrapped would change its sign */
        if ((out[i] > 0) == (out[i + 2] > 0))
            assert_int_equal(out[i + 1] > 0, out[i] > 0);
    for (int i = 32; i < 60; i++) /* the originals go through */
        assert_int_equal(out[2 * i], in[i - 8]);
}

static void on_any_word(const char *word, size_t len, int start_ms, int end_ms, void *arg)
{
    *(int *)arg += word && len && start_ms <= end_ms;
}

static int message_once(void *arg)
{
    struct voice v = voice_resolve("11labs-Brian");
    struct eleven_msg m;
    struct pat_buf b;
    int err, words = 0;

    v.stability = 0.5;
    pat_buf_init(&b, 4000);
    err = eleven_begin(&b, "c1", &v);
    if (!err)
        err = eleven_text(&b, "c1", "Hi.", 3);
    if (!err)
        err = eleven_parse(&m, arg, strlen(arg));
    if (!err) {
        eleven_words(&m, on_any_word, &words);
        eleven_msg_fini(&m);
    }
    pat_buf_fini(&b);
    return err;
}

static void test_eleven__survives_every_failed_allocation(void **state)
{
    char text[] = "{\"audio\":\"AAAA\",\"contextId\":\"a\",\"alignment\":{\"chars\":[\"H\",\" \"],"
                  "\"charStartTimesMs\":[0,10],\"charDurationsMs\":[10,10]}}";

    (void)state;
    pat_test_alloc_walk(message_once, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_eleven__reads_every_spelling),
        cmocka_unit_test(test_eleven__refuses_what_is_no_object),
        cmocka_unit_test(test_eleven__settings_go_out_only_when_set),
        cmocka_unit_test(test_eleven__decodes_samples_across_odd_cuts),
        cmocka_unit_test(test_upsample__keeps_a_tone_and_its_pieces_do_not_matter),
        cmocka_unit_test(test_upsample__does_not_wrap_at_full_scale),
        cmocka_unit_test(test_eleven__survives_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
