/* loud_test.c - how loud each side of a recording is: Ogg Opus of two streams and of one, WAV, in
 * pieces of any size, and what is neither. */
#include "loud.h"

#include <opus_multistream.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FRAME = 960, SECOND = 48000, FILE_MAX = 1 << 20 };

/* A square wave is as good as any: half a second, silence before and after. */
static opus_int16 sample(int at, int from, opus_int16 level)
{
    if (at < from || at >= from + SECOND / 2)
        return 0;
    return (opus_int16)(at / 60 % 2 ? level : -level);
}

static void page(struct pat_buf *out, const unsigned char *packet, size_t len, int flags)
{
    unsigned char head[27 + 255] = "OggS";
    size_t n = 0;

    head[5] = (unsigned char)flags;
    for (size_t left = len;; left -= 255) {
        head[27 + n++] = (unsigned char)(left < 255 ? left : 255);
        if (left < 255)
            break;
    }
    head[26] = (unsigned char)n;
    pat_buf_add(out, head, 27 + n);
    pat_buf_add(out, packet, len);
}

/* Three seconds: the caller speaks in the first, the agent in the third. */
static void make_ogg(struct pat_buf *out)
{
    static const unsigned char mapping[] = { 0, 1 };
    unsigned char head[] = { 'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1, 2, 0, 0,
                             0,   0,   0,   0,   0,   0,   1,   2,   0, 0, 1 };
    unsigned char packet[4000];
    opus_int16 pcm[FRAME * 2];
    int err;
    OpusMSEncoder *e =
        opus_multistream_encoder_create(48000, 2, 2, 0, mapping, OPUS_APPLICATION_VOIP, &err);

    assert_non_null(e);
    page(out, head, sizeof head, 2);
    page(out, (const unsigned char *)"OpusTags", 8, 0);
    for (int at = 0; at < 3 * SECOND; at += FRAME) {
        for (int i = 0; i < FRAME; i++) {
            pcm[2 * i] = sample(at + i, SECOND / 4, 16000);
            pcm[2 * i + 1] = sample(at + i, 2 * SECOND + SECOND / 4, 8000);
        }
        err = opus_multistream_encode(e, pcm, FRAME, packet, sizeof packet);
        assert_true(err > 0);
        page(out, packet, (size_t)err, 0);
    }
    opus_multistream_encoder_destroy(e);
    assert_int_equal(out->err, PAT_OK);
}

static void make_wav(struct pat_buf *out, const char *extra, size_t extra_len)
{
    static const unsigned char head[] = { 'R', 'I', 'F', 'F', 0, 0, 0, 0, 'W', 'A', 'V', 'E' };
    static const unsigned char form[] = { 'f',  'm',  't', ' ', 16, 0,    0, 0, 1, 0, 2,  0,
                                          0x80, 0x3e, 0,   0,   0,  0xfa, 0, 0, 4, 0, 16, 0 };
    static const unsigned char data[] = { 'd', 'a', 't', 'a', 0xff, 0xff, 0xff, 0x7f };

    pat_buf_add(out, head, sizeof head);
    pat_buf_add(out, extra, extra_len);
    pat_buf_add(out, form, sizeof form);
    pat_buf_add(out, data, sizeof data);
    for (int at = 0; at < 3 * SECOND; at += 3) { /* 16 kHz */
        opus_int16 both[] = { sample(at, SECOND / 4, 16000),
                              sample(at, 2 * SECOND + SECOND / 4, 8000) };

        pat_buf_add(out, both, sizeof both);
    }
    assert_int_equal(out->err, PAT_OK);
}

static int peak(const struct pat_json *j, int side, size_t i)
{
    const struct pat_json *list = pat_json_item(pat_json_at(j, "peaks"), (size_t)side);

    return (int)pat_json_value_num(pat_json_item(list, i));
}

static struct pat_json *look(const struct pat_buf *file, size_t step)
{
    struct pat_json *j = NULL;
    struct pat_buf text;
    struct loud *l;

    assert_int_equal(loud_new(&l), PAT_OK);
    for (size_t at = 0; at < file->len; at += step)
        assert_int_equal(
            loud_feed(l, file->data + at, file->len - at < step ? file->len - at : step), PAT_OK);
    pat_buf_init(&text, FILE_MAX);
    assert_int_equal(loud_print(l, &text), PAT_OK);
    assert_int_equal(pat_json_parse(&j, text.data, text.len, NULL), PAT_OK);
    pat_buf_fini(&text);
    loud_free(l);
    return j;
}

/* 150 units of 20 ms. */
static void expect_both_sides(const struct pat_buf *file)
{
    static const size_t steps[] = { 1, 7, 1000, FILE_MAX };

    for (size_t s = 0; s < sizeof steps / sizeof steps[0]; s++) {
        PAT_AUTO_JSON j = look(file, steps[s]);

        assert_in_range(pat_json_int_or(j, "duration_ms", 0), 2990, 3010);
        assert_in_range(pat_json_size(pat_json_item(pat_json_at(j, "peaks"), 0)), 149, 151);
        assert_in_range(peak(j, 0, 25), 90, 220);
        assert_in_range(peak(j, 1, 125), 40, 130);
        assert_in_range(peak(j, 0, 125), 0, 8);
        assert_in_range(peak(j, 1, 25), 0, 8);
        assert_in_range(peak(j, 0, 75), 0, 8);
    }
}

static void test_loud__two_streams_of_opus_are_two_sides(void **state)
{
    struct pat_buf file;

    (void)state;
    pat_buf_init(&file, FILE_MAX);
    make_ogg(&file);
    expect_both_sides(&file);
    pat_buf_fini(&file);
}

static void test_loud__a_wav_with_other_chunks_before_its_form(void **state)
{
    static const char list[] = { 'L', 'I', 'S', 'T', 3, 0, 0, 0, 'a', 'b', 'c', 0 };
    struct pat_buf file;

    (void)state;
    pat_buf_init(&file, FILE_MAX);
    make_wav(&file, "", 0);
    expect_both_sides(&file);
    pat_buf_reset(&file);
    make_wav(&file, list, sizeof list);
    expect_both_sides(&file);
    pat_buf_fini(&file);
}

static void test_loud__a_long_one_has_few_points(void **state)
{
    struct pat_buf file;
    PAT_AUTO_JSON j = NULL;

    (void)state;
    pat_buf_init(&file, (size_t)16 << 20);
    make_wav(&file, "", 0);
    for (int i = 0; i < 60 * 16000; i++)
        pat_buf_add(&file, "\0\x40\0\0", 4);
    j = look(&file, 65536);
    assert_int_equal(pat_json_size(pat_json_item(pat_json_at(j, "peaks"), 0)), LOUD_POINTS_MAX);
    assert_int_equal(pat_json_int_or(j, "duration_ms", 0), 63000);
    assert_int_equal(peak(j, 0, LOUD_POINTS_MAX - 1), 128);
    pat_buf_fini(&file);
}

static void test_loud__what_is_neither_is_refused(void **state)
{
    static const struct {
        const char *data;
        size_t len;
    } table[] = {
        { "ID3\4\0\0\0\0\0\0\0\0\0", 13 },
        { "RIFF\0\0\0\0WAVEfmt \20\0\0\0\1\0\0\0\0\0\0\0\0\0\0\0\0\0\20\0data\0\0\0\0xx", 46 },
        { "RIFF\0\0\0\0WAVEfmt \377\377\377\377", 20 },
        { "OggS\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\10OpusHead", 36 },
        { "OggS\1\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\10OpusHead", 36 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct loud *l;
        struct pat_buf text;

        assert_int_equal(loud_new(&l), PAT_OK);
        assert_int_equal(loud_feed(l, table[i].data, table[i].len), PAT_EPROTO);
        assert_int_equal(loud_feed(l, "more", 4), PAT_EPROTO);
        pat_buf_init(&text, 100);
        assert_int_equal(loud_print(l, &text), PAT_ENOENT);
        pat_buf_fini(&text);
        loud_free(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loud__two_streams_of_opus_are_two_sides),
        cmocka_unit_test(test_loud__a_wav_with_other_chunks_before_its_form),
        cmocka_unit_test(test_loud__a_long_one_has_few_points),
        cmocka_unit_test(test_loud__what_is_neither_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
