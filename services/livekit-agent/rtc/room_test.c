/* room_test.c - a room's beginning and end without a server: deadlines, refusals, and memory that
 * runs out at every allocation. Rooms with a server: tests/integration/test_rtc.py. */
#include "room.h"

#include "test/alloc.h"
#include "test/cmocka.h"
#include "test/loop_until.h"

#include <string.h>

struct world {
    struct pat_loop *loop;
    struct pat_net *net;
    struct rtc *rtc;
    int left;
    enum rtc_left reason;
    int joined;
    bool rtc_closed, net_closed;
};

static void on_joined(void *arg)
{
    ((struct world *)arg)->joined++;
}

static void on_left(enum rtc_left reason, void *arg)
{
    struct world *w = arg;

    w->left++;
    w->reason = reason;
}

static const struct rtc_events events = { .joined = on_joined, .left = on_left };
static const struct rtc_join nowhere = {
    .url = "ws://127.0.0.1:9", .token = "t", .track_name = "voice", .timeout_ms = 300
};

static void on_closed(void *arg)
{
    *(bool *)arg = true;
}

static int world_new(struct world *w)
{
    memset(w, 0, sizeof *w);
    int err = pat_loop_new(&w->loop);

    if (!err)
        err = pat_net_new(&w->net, w->loop, NULL);
    if (!err)
        err = rtc_new(&w->rtc, w->loop, w->net, NULL);
    return err;
}

static void world_free(struct world *w)
{
    if (w->rtc) {
        rtc_close(w->rtc, on_closed, &w->rtc_closed);
        loop_until(w->loop, w->rtc_closed);
    }
    if (w->net) {
        pat_net_close(w->net, on_closed, &w->net_closed);
        loop_until(w->loop, w->net_closed);
    }
    if (w->loop)
        assert_int_equal(pat_loop_free(w->loop), PAT_OK);
}

static void test_room__nobody_there_is_told_at_the_deadline(void **state)
{
    struct world w;
    struct rtc_room *room;

    (void)state;
    assert_int_equal(world_new(&w), PAT_OK);
    assert_int_equal(rtc_room_join(&room, w.rtc, &nowhere, &events, &w), PAT_OK);
    assert_int_equal(rtc_room_send(room, (const uint8_t *)"x", 1, 960, false, 0), PAT_EAGAIN);
    assert_int_equal(rtc_room_text_begin(room, "id", "t", NULL, NULL), PAT_EAGAIN);
    assert_string_equal(rtc_room_track_sid(room), "");
    assert_int_equal(w.left, 0);
    loop_until(w.loop, w.left);
    assert_int_equal(w.reason, RTC_LEFT_UNREACHABLE);
    assert_int_equal(w.joined, 0);
    world_free(&w);
    assert_int_equal(w.left, 1);
}

static void test_room__leaving_before_joining_is_told_later_and_once(void **state)
{
    struct world w;
    struct rtc_room *room;

    (void)state;
    assert_int_equal(world_new(&w), PAT_OK);
    assert_int_equal(rtc_room_join(&room, w.rtc, &nowhere, &events, &w), PAT_OK);
    rtc_room_leave(room);
    rtc_room_leave(room);
    assert_int_equal(w.left, 0);
    loop_until(w.loop, w.left);
    assert_int_equal(w.reason, RTC_LEFT_BY_US);
    world_free(&w);
    assert_int_equal(w.left, 1);
}

static void test_room__an_aborted_one_says_nothing(void **state)
{
    struct world w;
    struct rtc_room *room;

    (void)state;
    assert_int_equal(world_new(&w), PAT_OK);
    assert_int_equal(rtc_room_join(&room, w.rtc, &nowhere, &events, &w), PAT_OK);
    rtc_room_abort(room);
    rtc_room_abort(room);
    world_free(&w);
    assert_int_equal(w.left, 0);
}

static void test_room__a_url_that_is_none_is_refused_at_once(void **state)
{
    struct rtc_join bad = nowhere;
    struct world w;
    struct rtc_room *room;

    (void)state;
    assert_int_equal(world_new(&w), PAT_OK);
    bad.url = "gopher://x";
    assert_int_equal(rtc_room_join(&room, w.rtc, &bad, &events, &w), PAT_EINVAL);
    world_free(&w);
}

static void test_room__own_attributes_and_digits_are_checked(void **state)
{
    struct world w;
    struct rtc_room *room;
    char name[16];

    (void)state;
    assert_int_equal(world_new(&w), PAT_OK);
    assert_int_equal(rtc_room_join(&room, w.rtc, &nowhere, &events, &w), PAT_OK);
    for (int i = 0; i < ROOM_ATTRS; i++) {
        (void)snprintf(name, sizeof name, "a%d", i);
        assert_int_equal(rtc_room_set_attribute(room, name, "v"), PAT_OK);
    }
    assert_int_equal(rtc_room_set_attribute(room, "a0", "w"), PAT_OK);
    assert_int_equal(rtc_room_set_attribute(room, "one more", "v"), PAT_E2BIG);
    assert_int_equal(rtc_room_send_dtmf(room, 'x'), PAT_EINVAL);
    assert_int_equal(rtc_room_send_dtmf(room, '\0'), PAT_EINVAL);
    assert_int_equal(rtc_room_send_dtmf(room, '5'), PAT_EAGAIN);
    rtc_room_abort(room);
    world_free(&w);
}

static int join_and_abort(void *arg)
{
    struct world *w = arg;
    struct rtc_room *room;

    w->rtc = NULL;
    w->rtc_closed = false;
    int err = rtc_new(&w->rtc, w->loop, w->net, NULL);
    if (err)
        return err;
    err = rtc_room_join(&room, w->rtc, &nowhere, &events, w);
    if (!err)
        rtc_room_abort(room);
    rtc_close(w->rtc, on_closed, &w->rtc_closed);
    loop_until(w->loop, w->rtc_closed);
    w->rtc = NULL;
    return err;
}

static void test_room__comes_through_every_failed_allocation(void **state)
{
    struct world w;

    (void)state;
    assert_int_equal(world_new(&w), PAT_OK);
    rtc_close(w.rtc, on_closed, &w.rtc_closed);
    loop_until(w.loop, w.rtc_closed);
    pat_test_alloc_walk(join_and_abort, &w);
    world_free(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_room__nobody_there_is_told_at_the_deadline),
        cmocka_unit_test(test_room__leaving_before_joining_is_told_later_and_once),
        cmocka_unit_test(test_room__an_aborted_one_says_nothing),
        cmocka_unit_test(test_room__a_url_that_is_none_is_refused_at_once),
        cmocka_unit_test(test_room__own_attributes_and_digits_are_checked),
        cmocka_unit_test(test_room__comes_through_every_failed_allocation),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
