/* mix_test.c - two voices in one stream: packets put together, pages, pieces, one file. */
#include "mix.h"
#include "piece.h"

#include <math.h>
#include <opus/opus.h>
#include <opus/opus_multistream.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { RATE = 48000, MS = 48, SIDES = 2, MAX_SLOT = 5760 };

/* A voice: a tone through a real encoder, so many ms a packet. */
struct voice {
    OpusEncoder *enc;
    double hz;
    int64_t at;
};

static void voice_begin(struct voice *v, double hz)
{
    int err;

    v->enc = opus_encoder_create(RATE, 1, OPUS_APPLICATION_VOIP, &err);
    assert_int_equal(err, OPUS_OK);
    opus_encoder_ctl(v->enc, OPUS_SET_BITRATE(24000));
    v->hz = hz;
    v->at = 0;
}

static size_t voice_next(struct voice *v, int ms, uint8_t *out, size_t cap)
{
    int16_t pcm[MAX_SLOT];
    int len;

    for (int i = 0; i < ms * MS; i++)
        pcm[i] = (int16_t)(8000 * sin(2 * M_PI * v->hz * (double)(v->at + i) / RATE));
    v->at += ms * MS;
    len = opus_encode(v->enc, pcm, ms * MS, out, (opus_int32)cap);
    assert_true(len > 0);
    return (size_t)len;
}

/* What a player does with the packets. */
struct ears {
    OpusMSDecoder *dec;
    int16_t *pcm; /* left, right, ... */
    size_t n;
};

static void ears_begin(struct ears *e)
{
    static const unsigned char mapping[] = { 0, 1 };
    int err;

    e->dec = opus_multistream_decoder_create(RATE, 2, 2, 0, mapping, &err);
    assert_int_equal(err, OPUS_OK);
    e->pcm = calloc((size_t)RATE * 20 * SIDES, sizeof *e->pcm);
    e->n = 0;
}

static void ears_packet(struct ears *e, const uint8_t *packet, size_t len, uint32_t samples)
{
    int n = opus_multistream_decode(e->dec, packet, (opus_int32)len, e->pcm + e->n * SIDES,
                                    MAX_SLOT, 0);

    assert_int_equal(n, samples);
    e->n += (size_t)n;
}

static void ears_end(struct ears *e)
{
    opus_multistream_decoder_destroy(e->dec);
    free(e->pcm);
}

/* The share of a tone in a side's sound between two times: 1 is nothing else. */
static double share(const struct ears *e, int side, int from_ms, int to_ms, double hz)
{
    double re = 0, im = 0, all = 0;
    int n = (to_ms - from_ms) * MS;

    for (int i = 0; i < n; i++) {
        double s = e->pcm[((size_t)from_ms * MS + (size_t)i) * SIDES + (size_t)side];
        re += s * cos(2 * M_PI * hz * i / RATE);
        im += s * sin(2 * M_PI * hz * i / RATE);
        all += s * s;
    }
    return all > 0 ? 2 * (re * re + im * im) / (n * all) : 0;
}

static double loudness(const struct ears *e, int side, int from_ms, int to_ms)
{
    double all = 0;

    for (int i = from_ms * MS; i < to_ms * MS; i++)
        all += fabs((double)e->pcm[(size_t)i * SIDES + (size_t)side]);
    return all / ((to_ms - from_ms) * MS);
}

static void play_all(struct record_mix *m, int64_t until_ms, struct ears *e)
{
    uint8_t packet[RECORD_PACKET_MAX];
    uint32_t samples;
    size_t len;

    while ((len = record_mix_next(m, until_ms * MS, packet, &samples)) > 0)
        ears_packet(e, packet, len, samples);
}

static void test_mix__each_side_has_its_own_channel(void **state)
{
    static const int caller_ms[] = { 20, 10, 40, 60, 5 };

    (void)state;
    for (size_t c = 0; c < sizeof caller_ms / sizeof caller_ms[0]; c++) {
        struct voice caller, agent;
        struct record_mix m;
        struct ears e;
        uint8_t packet[1500];

        voice_begin(&caller, 400);
        voice_begin(&agent, 1000);
        ears_begin(&e);
        record_mix_init(&m, 0);
        for (int t = 0; t < 2400; t += caller_ms[c])
            assert_int_equal(record_mix_add(&m, RECORD_CALLER, t * MS, packet,
                                            voice_next(&caller, caller_ms[c], packet, 1500)),
                             PAT_OK);
        for (int t = 0; t < 2400; t += 20)
            assert_int_equal(record_mix_add(&m, RECORD_AGENT, t * MS, packet,
                                            voice_next(&agent, 20, packet, 1500)),
                             PAT_OK);
        play_all(&m, 2400, &e);
        assert_int_equal(e.n, 2400 * MS);
        assert_int_equal(m.lost, 0);
        assert_true(share(&e, RECORD_CALLER, 500, 2300, 400) > 0.9);
        assert_true(share(&e, RECORD_AGENT, 500, 2300, 1000) > 0.9);
        record_mix_fini(&m);
        ears_end(&e);
        opus_encoder_destroy(caller.enc);
        opus_encoder_destroy(agent.enc);
    }
}

static void test_mix__sound_is_where_its_time_says(void **state)
{
    struct voice caller;
    struct record_mix m;
    struct ears e;
    uint8_t packet[1500];

    (void)state;
    voice_begin(&caller, 400);
    ears_begin(&e);
    record_mix_init(&m, 0);
    for (int t = 1000; t < 2000; t += 20)
        assert_int_equal(record_mix_add(&m, RECORD_CALLER, t * MS, packet,
                                        voice_next(&caller, 20, packet, 1500)),
                         PAT_OK);
    play_all(&m, 3000, &e);
    assert_int_equal(e.n, 3000 * MS);
    assert_true(loudness(&e, RECORD_CALLER, 0, 990) < 1);
    assert_true(loudness(&e, RECORD_CALLER, 1040, 1990) > 1000);
    assert_true(loudness(&e, RECORD_CALLER, 2100, 3000) <
                1); /* concealed for 60 ms, then nothing */
    assert_true(loudness(&e, RECORD_AGENT, 0, 3000) < 1);
    record_mix_fini(&m);
    ears_end(&e);
    opus_encoder_destroy(caller.enc);
}

static void test_mix__a_lost_packet_is_concealed(void **state)
{
    struct voice caller;
    struct record_mix m;
    struct ears e;
    uint8_t packet[1500];

    (void)state;
    voice_begin(&caller, 400);
    ears_begin(&e);
    record_mix_init(&m, 0);
    for (int t = 0; t < 1000; t += 20) {
        size_t len = voice_next(&caller, 20, packet, 1500);
        if (t != 500)
            assert_int_equal(record_mix_add(&m, RECORD_CALLER, t * MS, packet, len), PAT_OK);
    }
    play_all(&m, 1000, &e);
    assert_true(loudness(&e, RECORD_CALLER, 505, 525) > 500);
    record_mix_fini(&m);
    ears_end(&e);
    opus_encoder_destroy(caller.enc);
}

static void test_mix__order_of_arrival_does_not_matter(void **state)
{
    struct voice caller;
    struct record_mix m;
    struct ears e;
    uint8_t packets[50][200];
    size_t len[50];

    (void)state;
    voice_begin(&caller, 400);
    ears_begin(&e);
    record_mix_init(&m, 0);
    for (int i = 0; i < 50; i++)
        len[i] = voice_next(&caller, 20, packets[i], sizeof packets[i]);
    for (int i = 0; i < 50; i++) {
        int k = i ^ 1; /* pairs swapped */
        assert_int_equal(record_mix_add(&m, RECORD_CALLER, k * RECORD_SLOT, packets[k], len[k]),
                         PAT_OK);
        assert_int_equal(/* and each twice */
                         record_mix_add(&m, RECORD_CALLER, k * RECORD_SLOT, packets[k], len[k]),
                         PAT_OK);
    }
    play_all(&m, 1000, &e);
    assert_int_equal(e.n, 1000 * MS);
    assert_true(share(&e, RECORD_CALLER, 200, 980, 400) > 0.95);
    record_mix_fini(&m);
    ears_end(&e);
    opus_encoder_destroy(caller.enc);
}

/* A caller whose frames last 60 ms, and an agent between speech and the silence packet of another
 * configuration: one packet cannot hold both kinds. */
static void test_mix__frames_that_cannot_share_a_packet_catch_up(void **state)
{
    static const uint8_t silence[] = { 0xF8, 0xFF, 0xFE };
    struct voice caller, agent;
    struct record_mix m;
    struct ears e;
    uint8_t packet[1500];

    (void)state;
    voice_begin(&caller, 400);
    opus_encoder_ctl(caller.enc, OPUS_SET_MAX_BANDWIDTH(OPUS_BANDWIDTH_WIDEBAND));
    voice_begin(&agent, 1000);
    opus_encoder_ctl(agent.enc, OPUS_SET_MAX_BANDWIDTH(OPUS_BANDWIDTH_WIDEBAND));
    ears_begin(&e);
    record_mix_init(&m, 0);
    for (int t = 0; t < 3000; t += 60)
        assert_int_equal(record_mix_add(&m, RECORD_CALLER, t * MS, packet,
                                        voice_next(&caller, 60, packet, 1500)),
                         PAT_OK);
    for (int t = 0; t < 3000; t += 20) {
        bool speaks = t >= 1040 && t < 2020;
        size_t len = speaks ? voice_next(&agent, 20, packet, 1500) : sizeof silence;
        assert_int_equal(record_mix_add(&m, RECORD_AGENT, t * MS, speaks ? packet : silence, len),
                         PAT_OK);
    }
    play_all(&m, 3000, &e);
    assert_int_equal(e.n, 3000 * MS);
    assert_int_equal(m.lost, 0);
    assert_true(loudness(&e, RECORD_AGENT, 0, 1030) < 2);
    assert_true(loudness(&e, RECORD_AGENT, 1120, 2010) > 1000);
    assert_true(loudness(&e, RECORD_AGENT, 2200, 3000) < 2);
    assert_true(share(&e, RECORD_CALLER, 500, 2900, 400) > 0.9);
    record_mix_fini(&m);
    ears_end(&e);
    opus_encoder_destroy(caller.enc);
    opus_encoder_destroy(agent.enc);
}

static void test_mix__what_is_no_packet_is_refused(void **state)
{
    struct record_mix m;
    uint8_t bad[] = { 0x03, 0x00 }; /* a count of zero frames */

    (void)state;
    record_mix_init(&m, 0);
    assert_int_equal(record_mix_add(&m, RECORD_CALLER, 0, bad, sizeof bad), PAT_EPROTO);
    assert_int_equal(record_mix_add(&m, RECORD_CALLER, 0, bad, 0), PAT_EPROTO);
    record_mix_fini(&m);
}

/* ------------------------------------------------------------------ pieces */

struct made {
    struct record_piece p;
    struct pat_buf data;
};

/* Silence of so many pages of 100 ms. */
static void make_piece(struct made *m, int epoch, int number, int from_ms, int to_ms)
{
    struct ogg_page *page = malloc(sizeof *page);
    uint8_t packet[RECORD_PACKET_MAX];
    size_t len = record_mix_silence(packet);

    m->p = (struct record_piece){ epoch, number, (int64_t)from_ms * MS, (int64_t)to_ms * MS };
    pat_buf_init(&m->data, 1 << 20);
    ogg_page_init(page, 7, (uint32_t)number * 10);
    if (number == 0)
        assert_int_equal(ogg_headers(page, "x", &m->data), PAT_OK);
    for (int t = from_ms; t < to_ms; t += 100) {
        for (int i = 0; i < 5; i++)
            assert_int_equal(ogg_page_add(page, packet, len), PAT_OK);
        assert_int_equal(ogg_page_flush(page, (int64_t)(t + 100) * MS, 0, &m->data), PAT_OK);
    }
    free(page);
}

/* Pages in order, numbered from 0, time never going back, first BOS, last EOS. Its length in ms. */
static int64_t check_file(const struct pat_buf *file)
{
    const uint8_t *at = (const uint8_t *)file->data;
    size_t left = file->len;
    struct ogg_view v = { 0 };
    int64_t pos = 0;
    uint32_t n = 0;

    while (left) {
        assert_int_equal(ogg_read(&v, at, left), PAT_OK);
        assert_int_equal(v.number, n);
        assert_int_equal(v.serial, 99);
        assert_int_equal(v.flags & OGG_BOS, n == 0 ? OGG_BOS : 0);
        assert_true(v.granule >= pos);
        pos = v.granule;
        at += v.len;
        left -= v.len;
        n++;
    }
    assert_int_equal(v.flags & OGG_EOS, OGG_EOS);
    return pos / MS;
}

static int64_t join(struct made *pieces, size_t n, int64_t *filled_ms)
{
    struct record_join *j = malloc(sizeof *j);
    struct pat_buf file;
    int64_t ms;

    pat_buf_init(&file, 1 << 20);
    record_join_init(j, 99);
    for (size_t i = 0; i < n; i++) {
        int64_t before = INT64_MAX;
        for (size_t k = i; k < n; k++)
            if (pieces[k].p.epoch > pieces[i].p.epoch && pieces[k].p.from < before)
                before = pieces[k].p.from;
        assert_int_equal(record_join_piece(j, &pieces[i].p, before, pieces[i].data.data,
                                           pieces[i].data.len, "call", &file),
                         PAT_OK);
    }
    assert_int_equal(record_join_end(j, &file), PAT_OK);
    ms = check_file(&file);
    *filled_ms = j->filled / MS;
    pat_buf_fini(&file);
    for (size_t i = 0; i < n; i++)
        pat_buf_fini(&pieces[i].data);
    free(j);
    return ms;
}

static void test_piece__pieces_become_one_file(void **state)
{
    struct made p[3];
    int64_t filled;

    (void)state;
    for (int i = 0; i < 3; i++)
        make_piece(&p[i], 1, i, i * 1000, i * 1000 + 1000);
    assert_int_equal(join(p, 3, &filled), 3020);
    assert_int_equal(filled, 0);
}

static void test_piece__a_missing_one_is_silence(void **state)
{
    struct made p[2];
    int64_t filled;

    (void)state;
    make_piece(&p[0], 1, 0, 0, 1000);
    make_piece(&p[1], 1, 2, 3000, 4000);
    assert_int_equal(join(p, 2, &filled), 4020);
    assert_int_equal(filled, 2000);
}

static void test_piece__a_successor_ends_what_came_before(void **state)
{
    struct made p[3];
    int64_t filled;

    (void)state;
    make_piece(&p[0], 1, 0, 0, 1000);
    make_piece(&p[1], 1, 1, 1000, 2000); /* a stopped process woke up and wrote on */
    make_piece(&p[2], 2, 0, 1500, 3000);
    assert_int_equal(join(p, 3, &filled), 3020);
    assert_int_equal(filled, 0);
}

static void test_piece__names_say_their_place(void **state)
{
    static const char *const bad[] = { "",
                                       "x",
                                       "000001-000002-000000000003",
                                       "000001-000002-000000000009-000000000003",
                                       "1-2-3-4",
                                       "000001-000002-000000000003-000000000004.ogg" };
    struct record_piece p = { 3, 14, 48000, 192000 }, q;
    char name[RECORD_PIECE_NAME];

    (void)state;
    record_piece_name(name, &p);
    assert_string_equal(name, "000003-000014-000000048000-000000192000");
    assert_int_equal(record_piece_parse(&q, name), PAT_OK);
    assert_memory_equal(&p, &q, sizeof p);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(record_piece_parse(&q, bad[i]), PAT_EINVAL);
}

static void test_ogg__a_broken_page_is_noticed(void **state)
{
    struct made p;
    struct ogg_view v;

    (void)state;
    make_piece(&p, 1, 0, 0, 1000);
    for (size_t i = 0; i < 47; i++) { /* any byte of the first page, header and body */
        p.data.data[i] ^= 0x20;
        assert_int_equal(ogg_read(&v, (const uint8_t *)p.data.data, p.data.len), PAT_EPROTO);
        p.data.data[i] ^= 0x20;
    }
    assert_int_equal(ogg_read(&v, (const uint8_t *)p.data.data, p.data.len), PAT_OK);
    assert_int_equal(ogg_read(&v, (const uint8_t *)p.data.data, v.len - 1), PAT_EPROTO);
    pat_buf_fini(&p.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mix__each_side_has_its_own_channel),
        cmocka_unit_test(test_mix__sound_is_where_its_time_says),
        cmocka_unit_test(test_mix__a_lost_packet_is_concealed),
        cmocka_unit_test(test_mix__order_of_arrival_does_not_matter),
        cmocka_unit_test(test_mix__frames_that_cannot_share_a_packet_catch_up),
        cmocka_unit_test(test_mix__what_is_no_packet_is_refused),
        cmocka_unit_test(test_piece__pieces_become_one_file),
        cmocka_unit_test(test_piece__a_missing_one_is_silence),
        cmocka_unit_test(test_piece__a_successor_ends_what_came_before),
        cmocka_unit_test(test_piece__names_say_their_place),
        cmocka_unit_test(test_ogg__a_broken_page_is_noticed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
