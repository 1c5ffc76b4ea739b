/* media_test.c - two of our own ends exchange sound: nothing is allocated on the way, lost packets
 * come again, and new voices find their section. */
#include "media.h"

#include "test/cmocka.h"

#include <string.h>

/* The linker leads the allocations of our own code through here (CMakeLists.txt). */
static int allocations;
void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    allocations++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    allocations++;
    return __real_realloc(p, n);
}

struct end {
    struct media media;
    struct end *other;
    int received;
    int sent;
    int lose_nth; /* from this one on ... */
    int lose_n;   /* ... so many do not arrive */
    uint16_t seqs[600];
    struct rtp_packet last;
    const struct track *track;
    uint8_t payload[64];
};

static void on_send(const uint8_t *data, size_t len, void *arg)
{
    struct end *e = arg;
    uint8_t copy[MEDIA_PACKET_MAX];

    assert_true(len <= sizeof copy);
    ++e->sent;
    if (e->sent >= e->lose_nth && e->sent < e->lose_nth + e->lose_n)
        return;
    memcpy(copy, data, len);
    media_input(&e->other->media, copy, len, e->sent * 20000);
}

static void on_packet(const struct rtp_packet *p, struct track *t, int64_t received_us, void *arg)
{
    struct end *e = arg;

    (void)received_us;
    e->seqs[e->received++] = p->seq;
    e->last = *p;
    e->track = t;
    memcpy(e->payload, p->payload, p->len < 64 ? p->len : 64);
}

static struct end a, b;

static int set_up(bool red)
{
    static const struct media_events events = { on_send, on_packet };
    static const uint8_t keys[SRTP_MATERIAL_MAX] = { 1, 2, 3 };
    struct srtp_pair *pair;

    a = (struct end){ .other = &b };
    b = (struct end){ .other = &a };
    if (media_init(&a.media, &events, &a) || media_init(&b.media, &events, &b) ||
        media_codec(&a.media, red) || media_codec(&b.media, red))
        return -1;
    if (srtp_pair_new(&pair, 7, keys, true))
        return -1;
    media_connect_take(&a.media, pair);
    if (srtp_pair_new(&pair, 7, keys, false))
        return -1;
    media_connect_take(&b.media, pair);
    b.media.tracks.list[1].bound = true; /* as an answer would say */
    b.media.tracks.list[1].ssrc = b.media.tracks.list[1].source.ssrc = a.media.ssrc;
    return 0;
}

static int setup(void **state)
{
    (void)state;
    return set_up(false);
}

static int setup_red(void **state)
{
    (void)state;
    return set_up(true);
}

static int teardown(void **state)
{
    (void)state;
    media_fini(&a.media);
    media_fini(&b.media);
    return 0;
}

static int say(const char *opus)
{
    return media_send(&a.media, (const uint8_t *)opus, strlen(opus), 960, false, 30);
}

static void test_media__sound_passes_without_an_allocation(void **state)
{
    (void)state;
    assert_int_equal(say("first"), PAT_OK); /* SRTP makes its stream for a new SSRC */
    allocations = 0;
    for (int i = 0; i < 500; i++)
        assert_int_equal(say("sound"), PAT_OK);
    assert_int_equal(allocations, 0);
    assert_int_equal(b.received, 501);
    assert_int_equal(b.last.level, 30);
    assert_memory_equal(b.payload, "sound", 5);
    assert_string_equal(b.track->mid, "1");
}

static void test_media__a_lost_packet_comes_again(void **state)
{
    (void)state;
    a.lose_nth = 3;
    a.lose_n = 1;
    for (int i = 0; i < 5; i++)
        assert_int_equal(say("x"), PAT_OK);
    assert_int_equal(b.received, 4); /* it may only be late */
    for (int i = 0; i < 5; i++)
        assert_int_equal(say("x"), PAT_OK);
    assert_int_equal(b.received, 10);
    assert_int_equal(a.media.lost, 1); /* asked of us */
    assert_int_equal(b.media.lost, 1); /* asked by them */
    assert_int_equal(b.media.mended, 1);
}

static void in_order(const struct end *e)
{
    for (int i = 1; i < e->received; i++)
        assert_int_equal((uint16_t)(e->seqs[i] - e->seqs[i - 1]), 1);
}

static void test_media__a_lost_packet_is_in_the_next_one(void **state)
{
    (void)state;
    a.lose_nth = 3;
    a.lose_n = 1;
    for (int i = 0; i < 20; i++)
        assert_int_equal(say("sound"), PAT_OK);
    assert_int_equal(b.received, 20);
    in_order(&b);
    assert_int_equal(b.last.len, 5);
    assert_memory_equal(b.payload, "sound", 5);
    assert_int_equal(b.media.mended, 1);
    assert_int_equal(b.media.lost, 0); /* nobody had to ask */
}

static void test_media__two_in_a_row_are_mended_once_the_peer_reports_loss(void **state)
{
    (void)state;
    for (int n = 0; n < 2; n++) {
        int before = b.received;
        a.lose_nth = a.sent + 3;
        a.lose_n = 2;
        for (int i = 0; i < 10; i++)
            assert_int_equal(say("sound"), PAT_OK);
        assert_int_equal(b.received - before, n ? 10 : 9);
        media_report(&b.media, 1000000, 5000000);
    }
}

static void test_media__what_is_too_long_for_red_goes_alone(void **state)
{
    static const uint8_t big[RED_PAST_LEN * 4];

    (void)state;
    assert_int_equal(say("sound"), PAT_OK);
    assert_int_equal(media_send(&a.media, big, sizeof big, 960, false, 0), PAT_OK);
    assert_int_equal(b.last.len, sizeof big);
    assert_int_equal(say("sound"), PAT_OK);
    assert_int_equal(b.received, 3);
    assert_int_equal(b.last.len, 5);
}

static void test_media__time_goes_on_in_silence(void **state)
{
    (void)state;
    assert_int_equal(say("x"), PAT_OK);
    uint32_t before = b.last.timestamp;
    media_skip(&a.media, 4800);
    assert_int_equal(say("x"), PAT_OK);
    assert_int_equal(b.last.timestamp - before, 960 + 4800);
}

static void test_media__nothing_is_sent_before_there_are_keys(void **state)
{
    (void)state;
    media_connect_take(&a.media, NULL);
    assert_int_equal(say("x"), PAT_EAGAIN);
    assert_int_equal(a.sent, 0);
}

static void test_media__oversized_and_forged_packets_are_refused(void **state)
{
    static const uint8_t big[MEDIA_PACKET_MAX];
    uint8_t forged[60] = { 0x80, 111 };

    (void)state;
    assert_int_equal(media_send(&a.media, big, sizeof big, 960, false, 0), PAT_E2BIG);
    media_input(&b.media, forged, sizeof forged, 0);
    forged[1] = 200;
    media_input(&b.media, forged, sizeof forged, 0);
    media_input(&b.media, forged, 3, 0);
    assert_int_equal(b.received, 0);
    assert_int_equal(b.media.refused, 2);
}

static void test_media__reports_reach_the_other_end(void **state)
{
    (void)state;
    assert_int_equal(say("x"), PAT_OK);
    media_report(&a.media, 1000000, 5000000);
    assert_true(b.track->source.lsr != 0);
    media_report(&b.media, 1000000, 5000000);
}

static void test_tracks__a_voice_is_found_by_ssrc_mid_or_exclusion(void **state)
{
    struct tracks t;
    struct rtp_packet p = { .ssrc = 7, .mid = "3" };

    (void)state;
    tracks_init(&t);
    assert_int_equal(tracks_add_recv(&t, 1), PAT_OK);
    assert_string_equal(tracks_route(&t, &p)->mid, "3");
    p.mid[0] = 0;
    assert_string_equal(tracks_route(&t, &p)->mid, "3"); /* known by now */
    p.ssrc = 8;
    assert_string_equal(tracks_route(&t, &p)->mid, "1"); /* the only one left */
    p.ssrc = 9;
    assert_null(tracks_route(&t, &p));
    (void)memcpy(p.mid, "1", 2);
    assert_string_equal(tracks_route(&t, &p)->mid, "1"); /* the same voice, a new SSRC */
    assert_int_equal(tracks_add_recv(&t, SDP_SECTIONS), PAT_E2BIG);
    assert_int_equal(t.n, SDP_SECTIONS);
}

static void test_tracks__an_answer_names_and_unnames(void **state)
{
    struct tracks t;
    struct sdp_answer answer = { .n_sections = 3 };

    (void)state;
    tracks_init(&t);
    answer.sections[0].audio = true;
    answer.sections[1] = (struct sdp_section){
        .audio = true, .sends = true, .ssrc = 5, .stream = "PA_x|TR_y", .track = "TR_y"
    };
    assert_int_equal(tracks_apply(&t, &answer), PAT_OK);
    assert_string_equal(t.list[1].sid, "TR_y");
    assert_string_equal(t.list[1].owner, "PA_x");
    uint32_t generation = t.generation;
    assert_int_equal(tracks_apply(&t, &answer), PAT_OK);
    assert_int_equal(t.generation, generation);
    tracks_name(&t, "1", "TR_z");
    assert_string_equal(t.list[1].sid, "TR_z");
    answer.sections[1].sends = false;
    assert_int_equal(tracks_apply(&t, &answer), PAT_OK);
    assert_string_equal(t.list[1].sid, "");
    answer.sections[1].audio = false;
    assert_int_equal(tracks_apply(&t, &answer), PAT_EPROTO);
    answer.n_sections = 4;
    assert_int_equal(tracks_apply(&t, &answer), PAT_EPROTO);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define R(f) cmocka_unit_test_setup_teardown(f, setup_red, teardown)
    const struct CMUnitTest tests[] = {
        T(test_media__sound_passes_without_an_allocation),
        T(test_media__a_lost_packet_comes_again),
        R(test_media__sound_passes_without_an_allocation),
        R(test_media__a_lost_packet_is_in_the_next_one),
        R(test_media__two_in_a_row_are_mended_once_the_peer_reports_loss),
        R(test_media__what_is_too_long_for_red_goes_alone),
        T(test_media__time_goes_on_in_silence),
        T(test_media__nothing_is_sent_before_there_are_keys),
        T(test_media__oversized_and_forged_packets_are_refused),
        T(test_media__reports_reach_the_other_end),
        cmocka_unit_test(test_tracks__a_voice_is_found_by_ssrc_mid_or_exclusion),
        cmocka_unit_test(test_tracks__an_answer_names_and_unnames),
    };

    if (srtp_global_init())
        return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    srtp_global_fini();
    return failed;
}
