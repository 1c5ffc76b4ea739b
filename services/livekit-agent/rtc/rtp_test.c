/* rtp_test.c - packets out and back in, broken ones, and the memory for retransmission. */
#include "rtp.h"

#include "test/cmocka.h"

#include <string.h>

static void test_rtp_build__comes_back_as_it_was(void **state)
{
    const uint8_t opus[] = { 0x78, 1, 2, 3, 4 };
    const struct rtp_packet in = { .pt = 111,
                                   .marker = true,
                                   .seq = 65535,
                                   .timestamp = 0xfffffff0,
                                   .ssrc = 0xdeadbeef,
                                   .level = 30,
                                   .voice = true,
                                   .mid = "17",
                                   .payload = opus,
                                   .len = sizeof opus };
    struct rtp_packet out;
    uint8_t raw[128];

    (void)state;
    int len = rtp_build(raw, sizeof raw, &in);
    assert_true(len > 0);
    assert_int_equal(rtp_parse(&out, raw, (size_t)len), PAT_OK);
    assert_int_equal(out.pt, 111);
    assert_true(out.marker);
    assert_int_equal(out.seq, 65535);
    assert_true(out.timestamp == 0xfffffff0);
    assert_true(out.ssrc == 0xdeadbeef);
    assert_int_equal(out.level, 30);
    assert_true(out.voice);
    assert_string_equal(out.mid, "17");
    assert_int_equal(out.len, sizeof opus);
    assert_memory_equal(out.payload, opus, sizeof opus);
}

static void test_rtp_build__refuses_what_does_not_fit(void **state)
{
    const uint8_t opus[100] = { 0 };
    const struct rtp_packet in = { .payload = opus, .len = sizeof opus };
    uint8_t raw[100];

    (void)state;
    assert_int_equal(rtp_build(raw, sizeof raw, &in), PAT_E2BIG);
    assert_int_equal(rtp_build(raw, 10, &in), PAT_E2BIG);
}

static void test_rtp_parse__table_of_odd_packets(void **state)
{
    static const struct {
        const char *what;
        uint8_t data[32];
        size_t len;
        int err;
        size_t payload;
    } rows[] = {
        { "empty", { 0 }, 0, PAT_EPROTO, 0 },
        { "version 1", { 0x40 }, 12, PAT_EPROTO, 0 },
        { "header only", { 0x80 }, 12, PAT_OK, 0 },
        { "csrc cut", { 0x82 }, 16, PAT_EPROTO, 0 },
        { "two csrc", { 0x82 }, 21, PAT_OK, 1 },
        { "extension cut", { 0x90, [12] = 0xbe, 0xde, 0, 2 }, 20, PAT_EPROTO, 0 },
        { "extension id 15", { 0x90, [12] = 0xbe, 0xde, 0, 1, 0xf0 }, 20, PAT_OK, 0 },
        { "extension runs over its block", { 0x90, [12] = 0xbe, 0xde, 0, 1, 0x1f }, 20, PAT_OK, 0 },
        { "two-byte cut", { 0x90, [12] = 0x10, 0, 0, 1, 4, 9 }, 20, PAT_OK, 0 },
        { "padding", { 0xa0, [15] = 3 }, 16, PAT_OK, 1 },
        { "padding over all", { 0xa0, [15] = 9 }, 16, PAT_EPROTO, 0 },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct rtp_packet p;
        int err = rtp_parse(&p, rows[i].data, rows[i].len);

        if (err != rows[i].err || (!err && p.len != rows[i].payload))
            fail_msg("%s", rows[i].what);
    }
}

static void test_rtp_parse__two_byte_extensions_are_read(void **state)
{
    static const uint8_t raw[] = { 0x90, 0, 0, 0, 0, 0,   0, 0, 0,    0, 0, 0, 0x10,
                                   0,    0, 2, 4, 1, 'a', 1, 1, 0x85, 0, 0, 9 };
    struct rtp_packet p;

    (void)state;
    assert_int_equal(rtp_parse(&p, raw, sizeof raw), PAT_OK);
    assert_string_equal(p.mid, "a");
    assert_int_equal(p.level, 5);
    assert_true(p.voice);
    assert_int_equal(p.len, 1);
}

static void test_rtp_history__holds_the_last_ones(void **state)
{
    static struct rtp_history h;
    size_t len;

    (void)state;
    for (int i = 0; i < 300; i++) {
        uint8_t data[4] = { (uint8_t)i, (uint8_t)(i >> 8) };

        rtp_history_keep(&h, (uint16_t)(65400 + i), data, sizeof data);
    }
    assert_null(rtp_history_find(&h, (uint16_t)(65400 + 20), &len));
    const uint8_t *p = rtp_history_find(&h, (uint16_t)(65400 + 299), &len);
    assert_non_null(p);
    assert_int_equal(len, 4);
    assert_int_equal(p[0] | p[1] << 8, 299);
}

static void test_rtp_history__leaves_big_packets_out(void **state)
{
    static struct rtp_history h;
    static const uint8_t big[RTP_KEPT_LEN + 1];
    size_t len;

    (void)state;
    rtp_history_keep(&h, 7, big, RTP_KEPT_LEN);
    assert_non_null(rtp_history_find(&h, 7, &len));
    rtp_history_keep(&h, 7, big, sizeof big);
    assert_null(rtp_history_find(&h, 7, &len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtp_build__comes_back_as_it_was),
        cmocka_unit_test(test_rtp_build__refuses_what_does_not_fit),
        cmocka_unit_test(test_rtp_parse__table_of_odd_packets),
        cmocka_unit_test(test_rtp_parse__two_byte_extensions_are_read),
        cmocka_unit_test(test_rtp_history__holds_the_last_ones),
        cmocka_unit_test(test_rtp_history__leaves_big_packets_out),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
