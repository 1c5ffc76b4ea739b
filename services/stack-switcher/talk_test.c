/* talk_test.c - the browser's token and the addresses it may go to. */
#include "talk.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CALL "01a2075c-93d2-73d9-8802-e0abf3f829ef"

static char key[] = "devkey", secret[] = "a secret of LiveKit, long enough for HS256", none[] = "";
static char inside[] = "http://livekit:7880", outside[] = "wss://voice.example.com/lk?x=1",
            retell[] = "wss://retell.example.com";

static struct talk_conf conf(void)
{
    return (struct talk_conf){ .livekit_url = inside,
                               .livekit_public_url = outside,
                               .livekit_key = key,
                               .livekit_secret = secret,
                               .retell_url = retell };
}

static void test_token__is_for_one_room_and_a_microphone(void **state)
{
    struct talk_conf c = conf();
    PAT_AUTO_STR token = talk_token(&c, CALL, 60, 1790000000);
    PAT_AUTO_JSON claims = NULL;
    const struct pat_json *video;

    (void)state;
    assert_int_equal(pat_jwt_hs256_verify(token, secret, 1790000059, 0, &claims), PAT_OK);
    assert_string_equal(pat_json_str_or(claims, "iss", ""), "devkey");
    assert_string_equal(pat_json_str_or(claims, "sub", ""), "web-" CALL);
    assert_null(pat_json_at(claims, "metadata"));
    assert_null(pat_json_at(claims, "name"));
    assert_null(pat_json_at(claims, "roomConfig"));
    video = pat_json_at(claims, "video");
    assert_string_equal(pat_json_str_or(video, "room", ""), "call_" CALL);
    assert_true(pat_json_bool_or(video, "roomJoin", false));
    assert_true(pat_json_bool_or(video, "canSubscribe", false));
    assert_int_equal(pat_json_size(pat_json_at(video, "canPublishSources")), 1);
    assert_string_equal(pat_json_str_or(video, "canPublishSources[0]", ""), "microphone");
    assert_false(pat_json_bool_or(video, "canPublishData", true));
    assert_false(pat_json_bool_or(video, "canUpdateOwnMetadata", true));
    assert_int_equal(pat_json_size(video), 7);
}

static void test_token__ends(void **state)
{
    struct talk_conf c = conf();
    PAT_AUTO_STR token = talk_token(&c, CALL, 60, 1790000000);
    PAT_AUTO_JSON claims = NULL;

    (void)state;
    assert_int_equal(pat_jwt_hs256_verify(token, secret, 1790000061, 0, &claims), PAT_ESTALE);
}

static void test_url__changes_its_scheme_only(void **state)
{
    static const struct {
        const char *url;
        bool ws;
        const char *is;
    } table[] = {
        { "wss://a.example/b", false, "https://a.example/b" },
        { "https://a.example", true, "wss://a.example" },
        { "http://127.0.0.1:7880", true, "ws://127.0.0.1:7880" },
        { "ws://127.0.0.1:7880", true, "ws://127.0.0.1:7880" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        struct pat_buf b;

        pat_buf_init(&b, 100);
        assert_int_equal(talk_url(&b, table[i].url, table[i].ws), PAT_OK);
        assert_string_equal(b.data, table[i].is);
        pat_buf_fini(&b);
    }
}

static void hosts_are(const struct talk_conf *c, const char *is)
{
    struct pat_buf b;

    pat_buf_init(&b, 1000);
    assert_int_equal(talk_hosts(c, &b), PAT_OK);
    assert_string_equal(b.data ? b.data : "", is);
    pat_buf_fini(&b);
}

static void test_hosts__are_those_that_are_set_and_no_more_than_hosts(void **state)
{
    struct talk_conf c = conf();

    (void)state;
    hosts_are(&c, " wss://voice.example.com https://voice.example.com wss://retell.example.com "
                  "https://retell.example.com");
    c.livekit_public_url = none;
    c.retell_url = none;
    hosts_are(&c, " ws://livekit:7880 http://livekit:7880");
    c.livekit_key = none;
    hosts_are(&c, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_token__is_for_one_room_and_a_microphone),
        cmocka_unit_test(test_token__ends),
        cmocka_unit_test(test_url__changes_its_scheme_only),
        cmocka_unit_test(test_hosts__are_those_that_are_set_and_no_more_than_hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
