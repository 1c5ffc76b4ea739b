/* rtcp_test.c - reports that read back, loss requests, and the reception statistics. */
#include "rtcp.h"

#include "test/cmocka.h"

#include <string.h>

struct told {
    uint64_t ntp;
    uint16_t seqs[40];
    size_t n;
    uint32_t reported_ssrc;
    uint8_t lost;
};

static void on_sr(uint32_t ssrc, uint64_t ntp, void *arg)
{
    (void)ssrc;
    ((struct told *)arg)->ntp = ntp;
}

static void on_nack(uint32_t ssrc, uint16_t seq, void *arg)
{
    struct told *t = arg;

    assert_int_equal(ssrc, 99);
    assert_true(t->n < 40);
    t->seqs[t->n++] = seq;
}

static void on_report(uint32_t ssrc, uint8_t lost, uint32_t lsr, uint32_t dlsr, void *arg)
{
    struct told *t = arg;

    (void)lsr;
    (void)dlsr;
    t->reported_ssrc = ssrc;
    t->lost = lost;
}

static const struct rtcp_events events = { on_sr, on_nack, on_report };

static void test_rtcp_build__reads_back(void **state)
{
    struct rtcp_source src = { .ssrc = 55 };
    const struct rtcp_sender me = { .ssrc = 7, .ntp = rtcp_ntp(1), .packets = 3, .cname = "voice" };
    struct told t = { 0 };
    uint8_t raw[RTCP_MAX];

    (void)state;
    for (uint16_t seq = 10; seq < 20; seq++)
        if (seq != 15)
            rtcp_source_packet(&src, seq, seq * 960u, seq * 20000);
    int len = rtcp_build(raw, sizeof raw, &me, &src, 1, 1000000);
    assert_true(len > 0 && len % 4 == 0);
    assert_int_equal(rtcp_parse(raw, (size_t)len, &events, &t), PAT_OK);
    assert_true(t.ntp == rtcp_ntp(1));
    assert_int_equal(t.reported_ssrc, 55);
    assert_int_equal(t.lost, 256 / 10);
}

static void test_rtcp_build__is_a_receiver_report_before_anything_was_sent(void **state)
{
    const struct rtcp_sender me = { .ssrc = 7, .cname = "voice" };
    uint8_t raw[RTCP_MAX];

    (void)state;
    assert_true(rtcp_build(raw, sizeof raw, &me, NULL, 0, 0) > 0);
    assert_int_equal(raw[1], 201);
    assert_int_equal(rtcp_build(raw, 20, &me, NULL, 0, 0), PAT_E2BIG);
}

static void test_rtcp_nack__names_each_packet(void **state)
{
    static const uint16_t seqs[] = { 65534, 65535, 1, 14, 15, 40 };
    struct told t = { 0 };
    uint8_t raw[20];

    (void)state;
    assert_int_equal(rtcp_build_nack(raw, sizeof raw, 1, 99, seqs, 4), 16);
    assert_int_equal(rtcp_build_nack(raw, sizeof raw, 1, 99, seqs, 6), PAT_E2BIG);
    assert_int_equal(rtcp_build_nack(raw, sizeof raw, 1, 99, seqs, 5), 20);
    assert_int_equal(rtcp_parse(raw, sizeof raw, &events, &t), PAT_OK);
    assert_int_equal(t.n, 5);
    assert_memory_equal(t.seqs, seqs, 5 * sizeof *seqs);
    assert_int_equal(rtcp_build_nack(raw, sizeof raw, 1, 99, seqs, 0), PAT_E2BIG);
}

static void test_rtcp_parse__broken_lengths_are_refused(void **state)
{
    static const uint8_t longer[] = { 0x80, 201, 0, 9, 0, 0, 0, 0 };
    static const uint8_t cut[] = { 0x80, 201, 0 };
    static const uint8_t wrong_version[] = { 0x00, 201, 0, 0 };
    struct told t = { 0 };

    (void)state;
    assert_int_equal(rtcp_parse(longer, sizeof longer, &events, &t), PAT_EPROTO);
    assert_int_equal(rtcp_parse(cut, sizeof cut, &events, &t), PAT_EPROTO);
    assert_int_equal(rtcp_parse(wrong_version, sizeof wrong_version, &events, &t), PAT_EPROTO);
}

static void test_rtcp_source__counts_through_the_turn_of_the_numbers(void **state)
{
    struct rtcp_source s = { .ssrc = 1 };

    (void)state;
    rtcp_source_packet(&s, 65534, 0, 1000);
    rtcp_source_packet(&s, 65535, 960, 21000);
    rtcp_source_packet(&s, 2, 960 * 4, 81000);
    rtcp_source_packet(&s, 0, 960 * 2, 82000);
    assert_int_equal(s.received, 4);
    assert_int_equal(s.max_seq, 2);
    assert_int_equal(s.cycles, 0x10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rtcp_build__reads_back),
        cmocka_unit_test(test_rtcp_build__is_a_receiver_report_before_anything_was_sent),
        cmocka_unit_test(test_rtcp_nack__names_each_packet),
        cmocka_unit_test(test_rtcp_parse__broken_lengths_are_refused),
        cmocka_unit_test(test_rtcp_source__counts_through_the_turn_of_the_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
