/* srtp_test.c - packets sealed by one end are opened by the other: every profile, in order and not,
 * forged and repeated ones refused. Known packets show that others understand ours. */
#include "srtp.h"

#include "rtp.h"
#include "test/cmocka.h"

#include <string.h>

enum { CM_SHA1 = 1, GCM_128 = 7, GCM_256 = 8, ROOM = 256 };

static const unsigned profiles[] = { CM_SHA1, GCM_128, GCM_256 };

static void make_material(uint8_t material[SRTP_MATERIAL_MAX])
{
    for (size_t i = 0; i < SRTP_MATERIAL_MAX; i++)
        material[i] = (uint8_t)(i * 37 + 11);
}

static struct srtp_pair *end_new(unsigned profile, bool server)
{
    uint8_t material[SRTP_MATERIAL_MAX];
    struct srtp_pair *p;

    make_material(material);
    assert_int_equal(srtp_pair_new(&p, profile, material, server), PAT_OK);
    return p;
}

static size_t make_rtp(uint8_t out[ROOM], uint16_t seq, size_t len)
{
    uint8_t payload[ROOM];
    const struct rtp_packet p = { .pt = 111,
                                  .seq = seq,
                                  .timestamp = seq * 960u,
                                  .ssrc = 0x1234567,
                                  .level = 30,
                                  .mid = "0",
                                  .payload = payload,
                                  .len = len };

    for (size_t i = 0; i < len; i++)
        payload[i] = (uint8_t)(seq + i);
    int n = rtp_build(out, ROOM - SRTP_TRAILER, &p);
    assert_true(n > 0);
    return (size_t)n;
}

static size_t make_rtcp(uint8_t out[ROOM], uint8_t salt)
{
    static const uint8_t report[] = { 0x80, 201, 0,   1,   0x01, 0x23, 0x45, 0x67,
                                      0x81, 202, 0,   3,   0x01, 0x23, 0x45, 0x67,
                                      1,    4,   'a', 'b', 'c',  'd',  0,    0 };

    memcpy(out, report, sizeof report);
    out[18] = (uint8_t)('a' + salt % 26);
    return sizeof report;
}

/* Sealed by a, opened by b: the same again, and meanwhile nothing readable but the header. */
static void pass_rtp(struct srtp_pair *a, struct srtp_pair *b, uint16_t seq, size_t len)
{
    uint8_t plain[ROOM], data[ROOM];
    size_t n = make_rtp(plain, seq, len), got = n;

    memcpy(data, plain, n);
    assert_int_equal(srtp_pair_seal(a, data, &got), PAT_OK);
    assert_in_range(got, n + 1, n + SRTP_TRAILER);
    assert_memory_equal(data, plain, 12);
    if (len > 8)
        assert_memory_not_equal(data + n - len, plain + n - len, len);
    assert_int_equal(srtp_pair_open(b, data, &got), PAT_OK);
    assert_int_equal(got, n);
    assert_memory_equal(data, plain, n);
}

static void pass_rtcp(struct srtp_pair *a, struct srtp_pair *b, uint8_t salt)
{
    uint8_t plain[ROOM], data[ROOM];
    size_t n = make_rtcp(plain, salt), got = n;

    memcpy(data, plain, n);
    assert_int_equal(srtp_pair_seal_rtcp(a, data, &got), PAT_OK);
    assert_in_range(got, n + 1, n + SRTP_TRAILER);
    assert_memory_not_equal(data + 8, plain + 8, n - 8);
    assert_int_equal(srtp_pair_open_rtcp(b, data, &got), PAT_OK);
    assert_int_equal(got, n);
    assert_memory_equal(data, plain, n);
}

static void pass_all(struct srtp_pair *a, struct srtp_pair *b)
{
    for (unsigned i = 0; i < 300; i++) { /* over the end of the sequence numbers, too */
        pass_rtp(a, b, (uint16_t)(65400 + i), i % 160);
        pass_rtcp(a, b, (uint8_t)i);
    }
}

static void test_pair__opens_what_the_other_end_sealed(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAT_COUNT(profiles); i++) {
        struct srtp_pair *client = end_new(profiles[i], false),
                         *server = end_new(profiles[i], true);

        pass_all(client, server);
        pass_all(server, client);
        srtp_pair_free(client);
        srtp_pair_free(server);
    }
}

static void test_pair__a_changed_bit_anywhere_is_refused(void **state)
{
    uint8_t data[ROOM], forged[ROOM];

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(profiles); i++) {
        struct srtp_pair *a = end_new(profiles[i], false), *b = end_new(profiles[i], true);
        size_t n = make_rtp(data, 7, 40), n_rtcp;

        assert_int_equal(srtp_pair_seal(a, data, &n), PAT_OK);
        for (size_t bit = 0; bit < n * 8; bit++) {
            size_t len = n;
            memcpy(forged, data, n);
            forged[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(srtp_pair_open(b, forged, &len), PAT_EAUTH);
        }
        for (size_t len = 0; len < n; len++) {
            size_t cut = len;
            memcpy(forged, data, n);
            assert_int_equal(srtp_pair_open(b, forged, &cut), PAT_EAUTH);
        }
        assert_int_equal(srtp_pair_open(b, data, &n), PAT_OK); /* none of them left a trace */
        n_rtcp = make_rtcp(data, 0);
        assert_int_equal(srtp_pair_seal_rtcp(a, data, &n_rtcp), PAT_OK);
        for (size_t bit = 0; bit < n_rtcp * 8; bit++) {
            size_t len = n_rtcp;
            memcpy(forged, data, n_rtcp);
            forged[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(srtp_pair_open_rtcp(b, forged, &len), PAT_EAUTH);
        }
        assert_int_equal(srtp_pair_open_rtcp(b, data, &n_rtcp), PAT_OK);
        srtp_pair_free(a);
        srtp_pair_free(b);
    }
}

static void test_pair__takes_what_is_late_once(void **state)
{
    enum { N = 40 };
    uint8_t sealed[N][ROOM], copy[ROOM];
    size_t len[N];

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(profiles); i++) {
        struct srtp_pair *a = end_new(profiles[i], false), *b = end_new(profiles[i], true);

        for (uint16_t k = 0; k < N; k++) {
            len[k] = make_rtp(sealed[k], (uint16_t)(65520 + k), 50);
            assert_int_equal(srtp_pair_seal(a, sealed[k], &len[k]), PAT_OK);
        }
        for (unsigned k = 0; k < N; k++) {
            unsigned at = k ^ 3; /* each four backwards */
            size_t n = len[at];

            memcpy(copy, sealed[at], n);
            assert_int_equal(srtp_pair_open(b, copy, &n), PAT_OK);
            n = len[at];
            memcpy(copy, sealed[at], n);
            assert_int_equal(srtp_pair_open(b, copy, &n), PAT_EAUTH);
        }
        srtp_pair_free(a);
        srtp_pair_free(b);
    }
}

/* Of libsrtp's own test/srtp_driver.c: srtp_validate and srtp_validate_gcm. */
static const struct {
    unsigned profile;
    size_t key_len, salt_len, sealed_len;
    uint8_t key[16], salt[14], sealed[28 + 16];
} known[] = {
    { .profile = CM_SHA1,
      .key_len = 16,
      .salt_len = 14,
      .sealed_len = 28 + 10,
      .key = { 0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0, 0xd6, 0x4f, 0xa3, 0x2c, 0x06, 0xde,
               0x41, 0x39 },
      .salt = { 0x0e, 0xc6, 0x75, 0xad, 0x49, 0x8a, 0xfe, 0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab,
                0xe6 },
      .sealed = { 0x80, 0x0f, 0x12, 0x34, 0xde, 0xca, 0xfb, 0xad, 0xca, 0xfe, 0xba, 0xbe, 0x4e,
                  0x55, 0xdc, 0x4c, 0xe7, 0x99, 0x78, 0xd8, 0x8c, 0xa4, 0xd2, 0x15, 0x94, 0x9d,
                  0x24, 0x02, 0xb7, 0x8d, 0x6a, 0xcc, 0x99, 0xea, 0x17, 0x9b, 0x8d, 0xbb } },
    { .profile = GCM_128,
      .key_len = 16,
      .salt_len = 12,
      .sealed_len = 28 + 16,
      .key = { 0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a, 0x0b, 0x0c, 0x0d,
               0x0e, 0x0f },
      .salt = { 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab },
      .sealed = { 0x80, 0x0f, 0x12, 0x34, 0xde, 0xca, 0xfb, 0xad, 0xca, 0xfe, 0xba,
                  0xbe, 0xc5, 0x00, 0x2e, 0xde, 0x04, 0xcf, 0xdd, 0x2e, 0xb9, 0x11,
                  0x59, 0xe0, 0x88, 0x0a, 0xa0, 0x6e, 0xd2, 0x97, 0x68, 0x26, 0xf7,
                  0x96, 0xb2, 0x01, 0xdf, 0x31, 0x31, 0xa1, 0x27, 0xe8, 0xa3, 0x92 } },
};

static void test_pair__seals_a_known_packet_as_others_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < PAT_COUNT(known); i++) {
        uint8_t material[SRTP_MATERIAL_MAX] = { 0 }, data[ROOM];
        struct srtp_pair *p;
        size_t len = 28;

        memcpy(material, known[i].key, known[i].key_len);
        memcpy(material + 2 * known[i].key_len, known[i].salt, known[i].salt_len);
        memcpy(data, known[i].sealed, 12);
        memset(data + 12, 0xab, 16);
        assert_int_equal(srtp_pair_new(&p, known[i].profile, material, false), PAT_OK);
        assert_int_equal(srtp_pair_seal(p, data, &len), PAT_OK);
        assert_int_equal(len, known[i].sealed_len);
        assert_memory_equal(data, known[i].sealed, len);
        srtp_pair_free(p);
    }
}

static int setup(void **state)
{
    (void)state;
    return srtp_global_init();
}

static int teardown(void **state)
{
    (void)state;
    srtp_global_fini();
    return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_pair__opens_what_the_other_end_sealed),
        T(test_pair__a_changed_bit_anywhere_is_refused),
        T(test_pair__takes_what_is_late_once),
        T(test_pair__seals_a_known_packet_as_others_do),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
