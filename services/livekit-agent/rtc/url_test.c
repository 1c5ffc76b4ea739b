/* url_test.c - LiveKit's URL in its forms, and the blob of a join. */
#include "livekit.pb-c.h"
#include "pat.h"
#include "signalling.h"
#include "url.h"

#include "test/cmocka.h"

#include <string.h>
#include <zlib.h>

static void test_url__table(void **state)
{
    static const struct {
        const char *base, *ws, *http;
    } rows[] = {
        { "ws://h:1", "ws://h:1/p", "http://h:1/p" },
        { "wss://h/base/", "wss://h/base/p", "https://h/base/p" },
        { "http://h/", "ws://h/p", "http://h/p" },
        { "HTTPS://h", "wss://h/p", "https://h/p" },
        { "ftp://h", NULL, NULL },
        { "ws://", NULL, NULL },
    };
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 256);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pat_buf_reset(&b);
        int err = url_ws(&b, rows[i].base, "/p");
        assert_int_equal(err, rows[i].ws ? PAT_OK : PAT_EINVAL);
        if (rows[i].ws)
            assert_string_equal(b.data, rows[i].ws);
        pat_buf_reset(&b);
        err = url_http(&b, rows[i].base, "/p");
        if (rows[i].http)
            assert_string_equal(b.data, rows[i].http);
        else
            assert_int_equal(err, PAT_EINVAL);
    }
    pat_buf_fini(&b);
}

static void test_url__knows_this_machine(void **state)
{
    (void)state;
    assert_true(url_is_loopback("ws://127.0.0.1:7880"));
    assert_true(url_is_loopback("http://localhost:7880"));
    assert_true(url_is_loopback("ws://[::1]:7880"));
    assert_false(url_is_loopback("wss://livekit.example.com"));
    assert_false(url_is_loopback("nonsense"));
}

static void test_signalling_wrap__unpacks_to_what_went_in(void **state)
{
    Livekit__JoinRequest join = LIVEKIT__JOIN_REQUEST__INIT;
    uint8_t plain[4096];
    z_stream z = { .next_out = plain, .avail_out = sizeof plain };
    struct pat_buf text, raw;

    (void)state;
    join.participant_sid = "PA_x";
    join.reconnect = true;
    pat_buf_init(&text, 65536);
    pat_buf_init(&raw, 65536);
    assert_int_equal(signalling_wrap(&text, &join), PAT_OK);
    assert_int_equal(text.len % 4, 0);
    assert_null(strpbrk(text.data, "+/"));
    assert_int_equal(pat_unbase64(&raw, text.data, text.len), PAT_OK);
    Livekit__WrappedJoinRequest *w =
        livekit__wrapped_join_request__unpack(NULL, raw.len, (const uint8_t *)raw.data);
    assert_non_null(w);
    z.next_in = w->join_request.data;
    z.avail_in = (uInt)w->join_request.len;
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    Livekit__JoinRequest *back = livekit__join_request__unpack(NULL, z.total_out, plain);
    assert_non_null(back);
    assert_string_equal(back->participant_sid, "PA_x");
    assert_true(back->reconnect);
    livekit__join_request__free_unpacked(back, NULL);
    livekit__wrapped_join_request__free_unpacked(w, NULL);
    (void)inflateEnd(&z);
    pat_buf_fini(&text);
    pat_buf_fini(&raw);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_url__table),
        cmocka_unit_test(test_url__knows_this_machine),
        cmocka_unit_test(test_signalling_wrap__unpacks_to_what_went_in),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
