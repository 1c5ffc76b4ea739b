/* stream_test.c - text streams put together, and those that never get whole. */
#include "stream.h"

#include "livekit.pb-c.h"

#include "test/cmocka.h"

#include <stdio.h>
#include <string.h>

static char got[256];
static int n_got;

static void on_text(const char *identity, const char *topic, const char *text, size_t len,
                    void *arg)
{
    (void)arg;
    (void)snprintf(got, sizeof got, "%s/%s/%.*s", identity, topic, (int)len, text);
    n_got++;
}

static void header(struct stream_inbox *b, const char *id, int64_t now_ms)
{
    Livekit__DataStream__TextHeader text = LIVEKIT__DATA_STREAM__TEXT_HEADER__INIT;
    Livekit__DataStream__Header h = LIVEKIT__DATA_STREAM__HEADER__INIT;

    h.stream_id = (char *)(uintptr_t)id;
    h.topic = "lk.chat";
    h.content_header_case = LIVEKIT__DATA_STREAM__HEADER__CONTENT_HEADER_TEXT_HEADER;
    h.text_header = &text;
    stream_on_header(b, "ann", &h, now_ms, on_text, NULL);
}

static void chunk(struct stream_inbox *b, const char *id, uint64_t index, const char *text)
{
    Livekit__DataStream__Chunk c = LIVEKIT__DATA_STREAM__CHUNK__INIT;

    c.stream_id = (char *)(uintptr_t)id;
    c.chunk_index = index;
    c.content.data = (uint8_t *)(uintptr_t)text;
    c.content.len = strlen(text);
    stream_on_chunk(b, &c, 0);
}

static void trailer(struct stream_inbox *b, const char *id, const char *reason)
{
    Livekit__DataStream__Trailer t = LIVEKIT__DATA_STREAM__TRAILER__INIT;

    t.stream_id = (char *)(uintptr_t)id;
    t.reason = (char *)(uintptr_t)reason;
    stream_on_trailer(b, &t, on_text, NULL);
}

static int reset(void **state)
{
    (void)state;
    n_got = 0;
    got[0] = 0;
    return 0;
}

static void test_stream__pieces_become_a_text(void **state)
{
    struct stream_inbox b = { 0 };

    (void)state;
    header(&b, "s1", 0);
    header(&b, "s2", 0);
    chunk(&b, "s1", 0, "hel");
    chunk(&b, "s2", 0, "other");
    chunk(&b, "s1", 1, "lo");
    trailer(&b, "s1", "");
    assert_int_equal(n_got, 1);
    assert_string_equal(got, "ann/lk.chat/hello");
    stream_inbox_fini(&b);
}

static void test_stream__an_empty_text_is_a_text(void **state)
{
    struct stream_inbox b = { 0 };

    (void)state;
    header(&b, "s", 0);
    trailer(&b, "s", "");
    assert_string_equal(got, "ann/lk.chat/");
    stream_inbox_fini(&b);
}

static void test_stream__a_gap_or_a_reason_drops_it(void **state)
{
    struct stream_inbox b = { 0 };

    (void)state;
    header(&b, "gap", 0);
    chunk(&b, "gap", 1, "x");
    trailer(&b, "gap", "");
    header(&b, "why", 0);
    chunk(&b, "why", 0, "x");
    trailer(&b, "why", "sender stopped");
    trailer(&b, "never", "");
    assert_int_equal(n_got, 0);
    stream_inbox_fini(&b);
}

static void test_stream__bad_utf8_and_too_much_are_dropped(void **state)
{
    static char big[STREAM_TEXT_MAX / 2 + 2];
    struct stream_inbox b = { 0 };

    (void)state;
    header(&b, "bad", 0);
    chunk(&b, "bad", 0, "\xff\xfe");
    trailer(&b, "bad", "");
    memset(big, 'x', sizeof big - 1);
    header(&b, "big", 0);
    chunk(&b, "big", 0, big);
    chunk(&b, "big", 1, big);
    trailer(&b, "big", "");
    assert_int_equal(n_got, 0);
    stream_inbox_fini(&b);
}

static void test_stream__the_oldest_makes_room(void **state)
{
    struct stream_inbox b = { 0 };
    char id[16];

    (void)state;
    for (int i = 0; i <= STREAM_OPEN; i++) {
        (void)snprintf(id, sizeof id, "s%d", i);
        header(&b, id, i);
    }
    trailer(&b, "s0", "");
    assert_int_equal(n_got, 0);
    trailer(&b, "s1", "");
    assert_int_equal(n_got, 1);
    stream_inbox_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_stream__pieces_become_a_text, reset),
        cmocka_unit_test_setup(test_stream__an_empty_text_is_a_text, reset),
        cmocka_unit_test_setup(test_stream__a_gap_or_a_reason_drops_it, reset),
        cmocka_unit_test_setup(test_stream__bad_utf8_and_too_much_are_dropped, reset),
        cmocka_unit_test_setup(test_stream__the_oldest_makes_room, reset),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
