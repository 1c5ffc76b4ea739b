/* sdp_test.c - offers as LiveKit wants them, answers as it writes them. */
#include "sdp.h"

#include "test/cmocka.h"

#include <string.h>

#define FP                                                                                         \
    "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"                                             \
    "00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:ee:ff"

static const char answer_text[] =
    "v=0\r\no=- 1 2 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
    "a=fingerprint:sha-256 " FP "\r\na=ice-lite\r\na=group:BUNDLE 0 1 2\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\nc=IN IP4 0.0.0.0\r\na=setup:active\r\na=mid:0\r\n"
    "a=ice-ufrag:uuuu\r\na=ice-pwd:pppppppppppppppppppppp\r\na=recvonly\r\n"
    "a=candidate:1 1 udp 2130706431 192.0.2.7 50000 typ host ufrag uuuu\r\n"
    "a=candidate:1 2 udp 2130706431 192.0.2.7 50000 typ host ufrag uuuu\r\n"
    "a=candidate:2 1 tcp 1671430143 192.0.2.7 7881 typ host tcptype passive ufrag uuuu\r\n"
    "a=end-of-candidates\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=setup:active\r\na=mid:1\r\n"
    "a=ice-ufrag:other\r\na=msid:PA_x|TR_y TR_y\r\na=ssrc:4000000001 cname:a\r\n"
    "a=ssrc:4000000001 msid:b\r\na=sendonly\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:2\r\na=sctp-port:5000\r\n";

static void test_sdp_answer__reads_what_livekit_writes(void **state)
{
    struct sdp_answer a;

    (void)state;
    assert_int_equal(sdp_answer_parse(&a, answer_text, strlen(answer_text)), PAT_OK);
    assert_string_equal(a.ufrag, "uuuu");
    assert_string_equal(a.pwd, "pppppppppppppppppppppp");
    assert_true(a.has_fingerprint);
    assert_int_equal(a.fingerprint[1], 0x11);
    assert_int_equal(a.fingerprint[31], 0xff);
    assert_true(a.ice_lite);
    assert_int_equal(a.setup, SDP_SETUP_ACTIVE);
    assert_int_equal(a.n_sections, 3);
    assert_false(a.sections[0].sends);
    assert_true(a.sections[1].sends);
    assert_true(a.sections[1].ssrc == 4000000001u);
    assert_string_equal(a.sections[1].track, "TR_y");
    assert_false(a.sections[2].audio);
    assert_int_equal(a.n_candidates, 2);
    assert_int_equal(a.candidates[1].transport, SDP_TCP_PASSIVE);
    assert_int_equal(a.candidates[1].port, 7881);
}

static void test_sdp_answer__every_prefix_is_survived(void **state)
{
    struct sdp_answer a;

    (void)state;
    for (size_t n = 0; n < strlen(answer_text); n++) {
        char *copy = test_malloc(n + 1);

        memcpy(copy, answer_text, n);
        int err = sdp_answer_parse(&a, copy, n);
        assert_true(err == PAT_OK || err == PAT_EPROTO);
        test_free(copy);
    }
}

static void test_sdp_answer__too_many_sections_are_refused(void **state)
{
    struct sdp_answer a;
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, SDP_MAX_LEN);
    pat_buf_adds(&b, answer_text);
    for (int i = 0; i < SDP_SECTIONS; i++)
        pat_buf_adds(&b, "m=audio 9 x 111\r\n");
    assert_int_equal(sdp_answer_parse(&a, b.data, b.len), PAT_E2BIG);
    pat_buf_fini(&b);
}

static void test_sdp_candidate__table(void **state)
{
    static const struct {
        const char *text;
        int err;
    } rows[] = {
        { "candidate:9 1 UDP 1 ::1 9 typ host", PAT_OK },
        { "a=candidate:9 1 udp 1 10.0.0.1 9 typ relay raddr 0.0.0.0 rport 0", PAT_OK },
        { "candidate:9 1 tcp 1 10.0.0.1 9 typ host tcptype active", PAT_ENOENT },
        { "candidate:9 1 tcp 1 10.0.0.1 9 typ host", PAT_ENOENT },
        { "candidate:9 2 udp 1 10.0.0.1 9 typ host", PAT_ENOENT },
        { "candidate:9 1 udp 1 abc.local 9 typ host", PAT_ENOENT },
        { "candidate:9 1 udp 1 10.0.0.1 0 typ host", PAT_ENOENT },
        { "candidate:9 1 udp 1 10.0.0.1 65536 typ host", PAT_EPROTO },
        { "candidate:9 1 udp 99999999999 10.0.0.1 9 typ host", PAT_EPROTO },
        { "candidate:9 1 udp 1 10.0.0.1 9 typ what", PAT_EPROTO },
        { "candidate:9 1 udp 1 10.0.0.1 9", PAT_EPROTO },
        { "", PAT_EPROTO },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct sdp_candidate c;

        if (sdp_candidate_parse(&c, rows[i].text, strlen(rows[i].text)) != rows[i].err)
            fail_msg("row %zu: %s", i, rows[i].text);
    }
}

static void test_sdp_offer__has_one_block_per_section(void **state)
{
    static const enum sdp_kind sections[] = { SDP_SEND, SDP_RECV, SDP_DATA, SDP_RECV };
    const struct sdp_offer o = { .session = 7,
                                 .version = 2,
                                 .ufrag = "uuuu",
                                 .pwd = "pppppppppppppppppppppp",
                                 .fingerprint = FP,
                                 .cid = "voice",
                                 .ssrc = 42,
                                 .sections = sections,
                                 .n_sections = 4 };
    struct pat_buf b;
    struct sdp_answer back;

    (void)state;
    pat_buf_init(&b, SDP_MAX_LEN);
    assert_int_equal(sdp_offer_build(&b, &o), PAT_OK);
    assert_non_null(strstr(b.data, "a=group:BUNDLE 0 1 2 3\r\n"));
    assert_non_null(strstr(b.data, "o=- 7 2 IN IP4"));
    assert_int_equal(sdp_answer_parse(&back, b.data, b.len), PAT_OK);
    assert_int_equal(back.n_sections, 4);
    assert_string_equal(back.sections[0].track, "voice");
    assert_true(back.sections[0].ssrc == 42);
    assert_string_equal(back.sections[3].mid, "3");
    assert_false(back.sections[3].sends);
    pat_buf_fini(&b);
}

static void test_sdp_offer__says_when_it_does_not_fit(void **state)
{
    static const enum sdp_kind sections[] = { SDP_SEND };
    const struct sdp_offer o = { .ufrag = "u",
                                 .pwd = "p",
                                 .fingerprint = FP,
                                 .cid = "c",
                                 .sections = sections,
                                 .n_sections = 1 };
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 100);
    assert_int_equal(sdp_offer_build(&b, &o), PAT_E2BIG);
    pat_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sdp_answer__reads_what_livekit_writes),
        cmocka_unit_test(test_sdp_answer__every_prefix_is_survived),
        cmocka_unit_test(test_sdp_answer__too_many_sections_are_refused),
        cmocka_unit_test(test_sdp_candidate__table),
        cmocka_unit_test(test_sdp_offer__has_one_block_per_section),
        cmocka_unit_test(test_sdp_offer__says_when_it_does_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
