/* lane_test.c - which socket a datagram reaches, and when it is read. */
#include "lane.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum { WAIT_US = 2000000 };

struct rig {
    struct pat_loop *loop;
    struct beat beat;
    struct lane *lane;
    int beside, peer;
    struct sockaddr_in at;
    int n;
    uint8_t first[32];
    int64_t at_us[32];
    bool excite; /* what comes ends the calm */
};

static void on_data(uint8_t *data, size_t len, void *arg)
{
    struct rig *r = arg;

    assert_true(len > 0 && r->n < 32);
    r->at_us[r->n] = pat_now_us();
    r->first[r->n++] = data[0];
    if (r->excite)
        lane_calm(r->lane, false);
}

static int set_up(void **state)
{
    struct rig *r = calloc(1, sizeof *r);
    socklen_t len = sizeof r->at;

    r->at =
        (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    r->beside = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    r->peer = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(r->beside, (struct sockaddr *)&r->at, sizeof r->at), 0);
    assert_int_equal(getsockname(r->beside, (struct sockaddr *)&r->at, &len), 0);
    assert_int_equal(pat_loop_new(&r->loop), PAT_OK);
    assert_int_equal(lane_open(&r->lane, r->loop, &r->beat, r->beside, on_data, r), PAT_OK);
    *state = r;
    return 0;
}

static int tear_down(void **state)
{
    struct rig *r = *state;

    lane_close(r->lane);
    for (int i = 0; i < BEAT_SLOTS; i++)
        assert_int_equal(r->beat.taken[i], 0);
    assert_int_equal(pat_loop_free(r->loop), PAT_OK);
    close(r->beside);
    close(r->peer);
    free(r);
    return 0;
}

static void send_one(struct rig *r, uint8_t first)
{
    const uint8_t packet[40] = { first };

    assert_int_equal(
        sendto(r->peer, packet, sizeof packet, 0, (struct sockaddr *)&r->at, sizeof r->at),
        sizeof packet);
}

static void wait_for(struct rig *r, int n)
{
    int64_t until = pat_now_us() + WAIT_US;

    while (r->n < n && pat_now_us() < until)
        pat_loop_run_once(r->loop, 100);
    assert_int_equal(r->n, n);
}

static void test_lane__leaves_stun_to_the_socket_beside(void **state)
{
    static const uint8_t firsts[] = { 0, 1, 19, 20, 63, 128, 191 };
    struct rig *r = *state;
    uint8_t got[64];

    for (size_t i = 0; i < sizeof firsts; i++)
        send_one(r, firsts[i]);
    wait_for(r, 4);
    assert_memory_equal(r->first, firsts + 3, 4);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(recv(r->beside, got, sizeof got, 0), 40);
        assert_int_equal(got[0], firsts[i]);
    }
    assert_int_equal(recv(r->beside, got, sizeof got, 0), -1);
}

static void test_lane__the_socket_beside_gets_everything_back(void **state)
{
    struct rig *r = *state;
    uint8_t got[64];

    lane_close(r->lane);
    r->lane = NULL;
    send_one(r, 128);
    assert_int_equal(recv(r->beside, got, sizeof got, 0), 40);
}

static void test_lane__calm_reads_what_has_come_in_the_beat(void **state)
{
    struct rig *r = *state;
    int64_t from;

    lane_calm(r->lane, true);
    wait_for(r, 0);
    from = pat_now_us();
    for (int i = 0; i < 9; i++) /* more than are read at once */
        send_one(r, 128);
    wait_for(r, 9);
    assert_true(r->at_us[0] >= from / BEAT_US * BEAT_US + BEAT_US);
    send_one(r, 129); /* and so it goes on */
    wait_for(r, 10);
    assert_true(r->at_us[9] / BEAT_US > r->at_us[8] / BEAT_US);
}

static void test_lane__calm_may_end_while_it_reads(void **state)
{
    struct rig *r = *state;

    lane_calm(r->lane, true);
    r->excite = true;
    send_one(r, 128);
    send_one(r, 128);
    wait_for(r, 2);
    assert_int_equal(r->beat.taken[0], 0);
    send_one(r, 130);
    wait_for(r, 3);
}

#define LANE_TEST(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LANE_TEST(test_lane__leaves_stun_to_the_socket_beside),
        LANE_TEST(test_lane__the_socket_beside_gets_everything_back),
        LANE_TEST(test_lane__calm_reads_what_has_come_in_the_beat),
        LANE_TEST(test_lane__calm_may_end_while_it_reads),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
