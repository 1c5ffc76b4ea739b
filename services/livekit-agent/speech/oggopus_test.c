/* oggopus_test.c - clean streams give their packets, everything else is named. */
#include "oggopus.h"

#include "opusio.h"

#include <ogg/ogg.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct bytes {
    uint8_t data[16384];
    size_t len;
};

static void add_page(struct bytes *b, const ogg_page *p)
{
    assert_true(b->len + (size_t)(p->header_len + p->body_len) <= sizeof b->data);
    memcpy(b->data + b->len, p->header, (size_t)p->header_len);
    b->len += (size_t)p->header_len;
    memcpy(b->data + b->len, p->body, (size_t)p->body_len);
    b->len += (size_t)p->body_len;
}

struct shape {
    uint8_t channels, gain, mapping;
    const uint8_t *packet; /* repeated */
    size_t packet_len;
    int n;
};

/* Two packets a page. */
static void make(struct bytes *b, int serial, const struct shape *s)
{
    uint8_t head[19] = { 'O', 'p', 'u', 's', 'H', 'e', 'a', 'd', 1, s->channels };
    ogg_stream_state os;
    ogg_page page;
    ogg_packet p = { .packet = head, .bytes = sizeof head, .b_o_s = 1 };

    head[16] = s->gain;
    head[18] = s->mapping;
    assert_int_equal(ogg_stream_init(&os, serial), 0);
    for (int i = 0; i < s->n + 2; i++) {
        if (i == 1)
            p = (ogg_packet){ .packet = (uint8_t *)"OpusTags", .bytes = 8 };
        else if (i > 1)
            p = (ogg_packet){ .packet = (uint8_t *)s->packet, .bytes = (long)s->packet_len };
        p.packetno = i;
        p.granulepos = i > 1 ? (ogg_int64_t)(i - 1) * OPUSIO_FRAME : 0;
        assert_int_equal(ogg_stream_packetin(&os, &p), 0);
        if (i < 2 || i % 2 || i == s->n + 1)
            while (ogg_stream_flush(&os, &page))
                add_page(b, &page);
    }
    ogg_stream_clear(&os);
}

static void on_packet(const uint8_t *opus, size_t len, void *arg)
{
    assert_int_equal(len, OPUSIO_SILENCE_LEN);
    assert_memory_equal(opus, opusio_silence, len);
    ++*(int *)arg;
}

static const struct shape clean = { 1, 0, 0, opusio_silence, OPUSIO_SILENCE_LEN, 7 };

/* Packets found before the end, or before it is not clean; why: NULL for clean. */
static int feed(const struct bytes *b, size_t step, const char **why)
{
    struct oggopus *r;
    int n = 0, err = PAT_OK;

    assert_int_equal(oggopus_new(&r), PAT_OK);
    for (size_t at = 0; !err && at < b->len; at += step)
        err = oggopus_feed(r, b->data + at, b->len - at < step ? b->len - at : step, on_packet, &n,
                           why);
    if (err) { /* for good */
        const char *again;

        assert_int_equal(err, PAT_EPROTO);
        assert_int_equal(oggopus_feed(r, b->data, 1, on_packet, &n, &again), PAT_EPROTO);
        assert_string_equal(*why, again);
    }
    oggopus_free(r);
    return n;
}

static void test_oggopus__gives_packets_however_the_stream_is_cut(void **state)
{
    struct bytes b = { .len = 0 };
    const char *why;

    (void)state;
    make(&b, 1, &clean);
    for (size_t step = 1; step < 60; step += 7) {
        assert_int_equal(feed(&b, step, &why), 7);
        assert_null(why);
    }
    assert_int_equal(feed(&b, b.len, &why), 7);
}

static void test_oggopus__one_stream_may_follow_another(void **state)
{
    struct bytes b = { .len = 0 };
    const char *why;

    (void)state;
    make(&b, 1, &clean);
    make(&b, 2, &clean);
    make(&b, 2, &clean); /* even under the same number */
    assert_int_equal(feed(&b, 100, &why), 21);
    assert_null(why);
}

static void test_oggopus__says_why_it_is_not_clean(void **state)
{
    static const uint8_t of_60_ms[] = { 0x18, 0 }, stereo[] = { 0xFC, 0xFF, 0xFE };
    static const struct {
        struct shape shape;
        const char *why;
    } rows[] = {
        { { 2, 0, 0, opusio_silence, 3, 3 }, "not mono" },
        { { 1, 1, 0, opusio_silence, 3, 3 }, "has an output gain" },
        { { 1, 0, 1, opusio_silence, 3, 3 }, "has a channel mapping" },
        { { 1, 0, 0, of_60_ms, sizeof of_60_ms, 3 }, "not packets of 20 ms" },
        { { 1, 0, 0, stereo, sizeof stereo, 3 }, "a stereo packet" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct bytes b = { .len = 0 };
        const char *why = NULL;

        make(&b, 1, &rows[i].shape);
        assert_int_equal(feed(&b, 30, &why), 0);
        assert_string_equal(why, rows[i].why);
    }
}

static void test_oggopus__notices_what_is_lost_or_altered(void **state)
{
    struct bytes whole = { .len = 0 }, b;
    const char *why = NULL;

    (void)state;
    make(&whole, 1, &clean);
    b = whole;
    b.data[b.len - 2] ^= 1; /* in the last page: its sum is wrong, and it is skipped over */
    (void)feed(&b, b.len, &why);
    b = whole;
    b.data[0] = 'X'; /* no page at all to begin with */
    assert_int_equal(feed(&b, b.len, &why), 0);
    assert_non_null(why);
    memset(b.data, 0, sizeof b.data);
    b.len = sizeof b.data;
    assert_int_equal(feed(&b, 1000, &why), 0);
    assert_string_equal(why, "no Ogg pages");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_oggopus__gives_packets_however_the_stream_is_cut),
        cmocka_unit_test(test_oggopus__one_stream_may_follow_another),
        cmocka_unit_test(test_oggopus__says_why_it_is_not_clean),
        cmocka_unit_test(test_oggopus__notices_what_is_lost_or_altered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
