/* sign_test.c - digests, encodings, tokens and the vendors' signatures, against published vectors
 * and against everything that must not pass. */
#include "test/cmocka.h"

#include "sign.h"
#include "test/alloc.h"

#include <stdlib.h>
#include <string.h>

static char *hex(const void *data, size_t len)
{
    struct pat_buf b;
    char *text;

    pat_buf_init(&b, 1000);
    assert_int_equal(pat_hex(&b, data, len), PAT_OK);
    text = pat_buf_take(&b);
    pat_buf_fini(&b);
    return text;
}

static void assert_hex(const void *data, size_t len, const char *want)
{
    PAT_AUTO_STR text = hex(data, len);

    assert_string_equal(text, want);
}

/* --- Digests and encodings --- */

static void test_sha256__matches_fips_180(void **state)
{
    uint8_t out[32];

    (void)state;
    pat_sha256("abc", 3, out);
    assert_hex(out, 32, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    pat_sha256(NULL, 0, out);
    assert_hex(out, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void test_hmac__matches_rfc_4231_and_2202(void **state)
{
    uint8_t key[131];
    uint8_t data[50];
    uint8_t out[32];

    (void)state;
    memset(key, 0x0b, 20);
    assert_int_equal(pat_hmac_sha256(key, 20, "Hi There", 8, out), PAT_OK);
    assert_hex(out, 32, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    assert_int_equal(pat_hmac_sha1(key, 20, "Hi There", 8, out), PAT_OK);
    assert_hex(out, 20, "b617318655057264e28bc0b6fb378c8ef146be00");
    pat_hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, out);
    assert_hex(out, 32, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, 131);
    memset(data, 0xdd, 50);
    pat_hmac_sha256(key, 20, data, 50, out);
    assert_hex(out, 32, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    pat_hmac_sha256(key, 131, "Test Using Larger Than Block-Size Key - Hash Key First", 54, out);
    assert_hex(out, 32, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    assert_int_equal(pat_hmac_sha256(NULL, 0, NULL, 0, out), PAT_OK);
    assert_hex(out, 32, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_equal_ct__compares(void **state)
{
    (void)state;
    assert_true(pat_equal_ct("abc", "abd", 2));
    assert_false(pat_equal_ct("abc", "abd", 3));
    assert_true(pat_equal_ct("", "", 0));
}

static void test_hex__both_ways(void **state)
{
    static const struct {
        const char *hex;
        int err;
        size_t len;
    } rows[] = {
        { "", PAT_OK, 0 },
        { "00ff", PAT_OK, 2 },
        { "AbCd", PAT_OK, 2 },
        { "0", PAT_EINVAL, 0 },
        { "0g", PAT_EINVAL, 0 },
        { " 0", PAT_EINVAL, 0 },
        { "\xb0\xb0", PAT_EINVAL, 0 },
        { "0011223344", PAT_E2BIG, 0 },
    };
    uint8_t out[4];

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        size_t len = 0;

        assert_int_equal(pat_unhex(out, sizeof out, rows[i].hex, &len), rows[i].err);
        assert_int_equal(len, rows[i].len);
    }
    assert_hex("\x00\x7f\xff", 3, "007fff");
}

static void test_base64__matches_rfc_4648(void **state)
{
    static const struct {
        const char *plain;
        size_t len;
        const char *base64;
        const char *url;
    } rows[] = {
        { "", 0, "", "" },
        { "f", 1, "Zg==", "Zg" },
        { "fo", 2, "Zm8=", "Zm8" },
        { "foo", 3, "Zm9v", "Zm9v" },
        { "foob", 4, "Zm9vYg==", "Zm9vYg" },
        { "fooba", 5, "Zm9vYmE=", "Zm9vYmE" },
        { "foobar", 6, "Zm9vYmFy", "Zm9vYmFy" },
        { "\x00", 1, "AA==", "AA" },
        { "\xfb\xff\xfe", 3, "+//+", "-__-" },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct pat_buf b;

        pat_buf_init(&b, 100);
        assert_int_equal(pat_base64(&b, rows[i].plain, rows[i].len), PAT_OK);
        assert_string_equal(b.data, rows[i].base64);
        pat_buf_reset(&b);
        assert_int_equal(pat_base64url(&b, rows[i].plain, rows[i].len), PAT_OK);
        assert_string_equal(b.data, rows[i].url);
        for (int form = 0; form < 2; form++) {
            const char *s = form ? rows[i].url : rows[i].base64;

            pat_buf_reset(&b);
            assert_int_equal(pat_unbase64(&b, s, strlen(s)), PAT_OK);
            assert_int_equal(b.len, rows[i].len);
            assert_memory_equal(b.data, rows[i].plain, rows[i].len);
        }
        pat_buf_fini(&b);
    }
}

static void test_base64__has_one_text_per_value(void **state)
{
    static const char *const rows[] = {
        "A",        "AAAAA", "A===",   "=",    "==", "Zg=",  "Zm8==", "Zm9v=", "Zm9v====", "Z=g=",
        "Zg==Zg==", "Zm 9v", "Zm9v\n", "Zh==", "Zh", "Zm9=", "Zm9",   "Zm.v",  "Zm\xc3v",
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct pat_buf b;

        pat_buf_init(&b, 100);
        pat_buf_adds(&b, "kept");
        if (pat_unbase64(&b, rows[i], strlen(rows[i])) != PAT_EINVAL)
            fail_msg("took %s", rows[i]);
        assert_int_equal(b.len, 4);
        pat_buf_fini(&b);
    }
}

static void test_base64__stops_at_the_buffers_maximum(void **state)
{
    struct pat_buf b;

    (void)state;
    pat_buf_init(&b, 7);
    assert_int_equal(pat_base64(&b, "123456", 6), PAT_E2BIG);
    assert_int_equal(b.len, 0);
    pat_buf_fini(&b);
    pat_buf_init(&b, 3);
    assert_int_equal(pat_unbase64(&b, "AAAAAAAA", 8), PAT_E2BIG);
    assert_int_equal(pat_hex(&b, "12", 2), PAT_E2BIG);
    pat_buf_fini(&b);
}

/* --- Tokens --- */

static const char supabase_secret[] = "super-secret-jwt-token-with-at-least-32-characters-long";
static const char supabase_token[] =
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."
    "eyJpc3MiOiJodHRwczovL2FiY2RlZmdoaWprbG1ub3BxcnN0LnN1cGFiYXNlLmNvL2F1dGgvdjEiLCJhdWQiOiJhdXRoZW"
    "50aWNhdGVkIiwic3ViIjoiM2YxZDJjNGItMDAwMC00MDAwLTgwMDAtMDAwMDAwMDAwMDAxIiwicm9sZSI6ImF1dGhlbnRp"
    "Y2F0ZWQiLCJleHAiOjQxMDI0NDQ4MDAsImlhdCI6MTc2NDAwMDAwMCwiYXBwX21ldGFkYXRhIjp7InByb3ZpZGVyIjoiZW"
    "1haWwiLCJyb2xlcyI6WyJhZG1pbiJdfX0.U7eYHf10fs3uaBpvzaUFy0o0JkcQpHwYvkHRS9miuuc";

static void test_jwt__hmac_is_that_of_rfc_7515_a_1(void **state)
{
    static const char key64[] =
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcg"
        "UuTwjAzZr1Z9CAow";
    static const char input[] =
        "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
        "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLm"
        "NvbS9pc19yb290Ijp0cnVlfQ";
    struct pat_buf key;
    struct pat_buf out;
    uint8_t mac[32];

    (void)state;
    pat_buf_init(&key, 100);
    pat_buf_init(&out, 100);
    assert_int_equal(pat_unbase64(&key, key64, strlen(key64)), PAT_OK);
    pat_hmac_sha256(key.data, key.len, input, strlen(input), mac);
    pat_base64url(&out, mac, 32);
    assert_string_equal(out.data, "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
    pat_buf_fini(&key);
    pat_buf_fini(&out);
}

static void test_jwt__verifies_a_token_of_somebody_elses_making(void **state)
{
    PAT_AUTO_JSON claims = NULL;

    (void)state;
    assert_int_equal(pat_jwt_hs256_verify(supabase_token, supabase_secret, 1764000000, 30, &claims),
                     PAT_OK);
    assert_string_equal(pat_json_str_or(claims, "role", ""), "authenticated");
    assert_string_equal(pat_json_str_or(claims, "app_metadata.roles[0]", ""), "admin");
}

static void test_jwt__signs_what_it_verifies(void **state)
{
    struct pat_json *claims = pat_json_obj();
    PAT_AUTO_JSON back = NULL;
    PAT_AUTO_STR token = NULL;

    (void)state;
    pat_json_set_str(claims, "sub", "caf\xc3\xa9");
    pat_json_set_int(claims, "exp", 2000);
    token = pat_jwt_hs256_sign(claims, "k");
    assert_non_null(token);
    assert_int_equal(pat_jwt_hs256_verify(token, "k", 1000, 0, &back), PAT_OK);
    assert_string_equal(pat_json_str_or(back, "sub", ""), "caf\xc3\xa9");
    assert_null(pat_jwt_hs256_sign(claims, ""));
    pat_json_free(claims);
}

/* A token signed with "secret", whatever it says. */
static char *token_of(const char *header, const char *claims)
{
    struct pat_buf b;
    uint8_t mac[32];
    char *text;

    pat_buf_init(&b, 100000);
    pat_base64url(&b, header, strlen(header));
    pat_buf_adds(&b, ".");
    pat_base64url(&b, claims, strlen(claims));
    pat_hmac_sha256("secret", 6, b.data, b.len, mac);
    pat_buf_adds(&b, ".");
    pat_base64url(&b, mac, 32);
    text = pat_buf_take(&b);
    assert_non_null(text);
    return text;
}

static void test_jwt__checks_header_and_times(void **state)
{
    static const char ours[] = "{\"alg\":\"HS256\",\"typ\":\"JWT\"}";
    static const struct {
        const char *header;
        const char *claims;
        int err; /* at 1000 s, with 10 s of leeway */
    } rows[] = {
        { ours, "{\"exp\":1001}", PAT_OK },
        { "{\"typ\":\"JWT\",\"kid\":\"1\",\"alg\":\"HS256\"}", "{\"exp\":1001}", PAT_OK },
        { ours, "{\"exp\":991}", PAT_OK },
        { ours, "{\"exp\":990}", PAT_ESTALE },
        { ours, "{\"exp\":-5}", PAT_ESTALE },
        { ours, "{\"exp\":2000,\"nbf\":1010}", PAT_OK },
        { ours, "{\"exp\":2000,\"nbf\":1011}", PAT_ESTALE },
        { ours, "{\"exp\":2000,\"nbf\":\"0\"}", PAT_EAUTH },
        { ours, "{\"exp\":2000.5}", PAT_OK },
        { ours, "{\"exp\":\"2000\"}", PAT_EAUTH },
        { ours, "{\"exp\":null}", PAT_EAUTH },
        { ours, "{\"sub\":\"for ever\"}", PAT_EAUTH },
        { ours, "{\"exp\":1,\"exp\":2000}", PAT_EAUTH },
        { ours, "[2000]", PAT_EAUTH },
        { ours, "exp", PAT_EAUTH },
        { "{\"alg\":\"none\"}", "{\"exp\":2000}", PAT_EAUTH },
        { "{\"alg\":\"hs256\"}", "{\"exp\":2000}", PAT_EAUTH },
        { "{\"alg\":\"HS512\"}", "{\"exp\":2000}", PAT_EAUTH },
        { "{\"alg\":[\"HS256\"]}", "{\"exp\":2000}", PAT_EAUTH },
        { "{\"typ\":\"JWT\"}", "{\"exp\":2000}", PAT_EAUTH },
        { "{\"alg\":\"HS256\",\"crit\":[\"b64\"]}", "{\"exp\":2000}", PAT_EAUTH },
        { "\"HS256\"", "{\"exp\":2000}", PAT_EAUTH },
        { "not json", "{\"exp\":2000}", PAT_EAUTH },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        PAT_AUTO_STR token = token_of(rows[i].header, rows[i].claims);
        PAT_AUTO_JSON claims = NULL;

        if (pat_jwt_hs256_verify(token, "secret", 1000, 10, &claims) != rows[i].err)
            fail_msg("%s %s", rows[i].header, rows[i].claims);
        assert_true(!claims == (rows[i].err != PAT_OK));
    }
}

static void test_jwt__refuses_what_is_not_a_token(void **state)
{
    static const char *const rows[] = {
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c.d",
        "a.b.",
        ".b.c",
        "a..c",
        "a.b.c ",
        "a.b.c\n",
        "a b.c.d",
        "a.b.c=",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDB9.",
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJleHAiOjIwMDB9.AAAA",
    };
    struct pat_json *claims = NULL;
    static char huge[20000];

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        assert_int_equal(pat_jwt_hs256_verify(rows[i], "secret", 0, 0, &claims), PAT_EAUTH);
    memset(huge, 'a', sizeof huge - 1);
    huge[4] = huge[8] = '.';
    assert_int_equal(pat_jwt_hs256_verify(huge, "secret", 0, 0, &claims), PAT_EAUTH);
    assert_int_equal(pat_jwt_hs256_verify(NULL, "secret", 0, 0, &claims), PAT_EAUTH);
    assert_null(claims);
}

static void test_jwt__one_changed_character_anywhere_is_refused(void **state)
{
    char token[sizeof supabase_token];
    struct pat_json *claims = NULL;

    (void)state;
    memcpy(token, supabase_token, sizeof token);
    for (size_t i = 0; i + 1 < sizeof token; i++) {
        char was = token[i];

        token[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(pat_jwt_hs256_verify(token, supabase_secret, 1764000000, 30, &claims),
                         PAT_EAUTH);
        token[i] = was;
    }
}

static void test_jwt__an_empty_secret_lets_nobody_in(void **state)
{
    struct pat_json *claims = NULL;

    (void)state;
    /* Signed with the empty key, as anybody could. */
    assert_int_equal(pat_jwt_hs256_verify("eyJhbGciOiJIUzI1NiJ9.eyJleHAiOjIwMDB9."
                                          "A9lpbKrvrVij9e3-5IOK3VKOr8Iv-JbySAWtkvaPNXA",
                                          "", 0, 0, &claims),
                     PAT_EAUTH);
    assert_int_equal(pat_jwt_hs256_verify(supabase_token, NULL, 0, 0, &claims), PAT_EAUTH);
}

/* --- LiveKit --- */

static const char livekit_secret[] = "devsecret-devsecret-devsecret-32ch";
static const char livekit_body[] = "{\"event\": \"room_started\" ,\"id\":\"EV_1\"}";
#define LIVEKIT                                                                                          \
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9."                                                              \
    "eyJpc3MiOiJkZXZrZXkiLCJleHAiOjE3NjQwMDAzMDAsIm5iZiI6MTc2NDAwMDAwMCwic2hhMjU2IjoiZzVpUU03MGExMEZYen" \
    "pZcVJ4UzBBQU55YmtzM1FYZWdscDJVaWQvb3I2bz0ifQ.t6q0Zmazbsh1IymHwqKUhaP5eaP8H_Mj7yl43zryHOs"

static void test_livekit__verifies_body_issuer_and_time(void **state)
{
    static const struct {
        const char *authorization;
        const char *api_key;
        const char *body;
        int64_t now_s;
        int err;
    } rows[] = {
        { LIVEKIT, "devkey", livekit_body, 1764000001, PAT_OK },
        { "Bearer " LIVEKIT, "devkey", livekit_body, 1764000001, PAT_OK },
        { "bearer " LIVEKIT, "devkey", livekit_body, 1764000359, PAT_OK },
        { LIVEKIT, "devkey", livekit_body, 1764000360, PAT_ESTALE },
        { LIVEKIT, "devkey", livekit_body, 1763999940, PAT_OK },
        { LIVEKIT, "devkey", livekit_body, 1763999939, PAT_ESTALE },
        { LIVEKIT, "other", livekit_body, 1764000001, PAT_EAUTH },
        { LIVEKIT, "devkey", "{\"event\":\"room_started\",\"id\":\"EV_1\"}", 1764000001,
          PAT_EAUTH },
        { LIVEKIT, "devkey", "", 1764000001, PAT_EAUTH },
        { "Bearer", "devkey", livekit_body, 1764000001, PAT_EAUTH },
        { "Basic " LIVEKIT, "devkey", livekit_body, 1764000001, PAT_EAUTH },
        { NULL, "devkey", livekit_body, 1764000001, PAT_EAUTH },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        assert_int_equal(pat_sign_livekit_webhook_verify(rows[i].authorization, rows[i].api_key,
                                                         livekit_secret, rows[i].body,
                                                         strlen(rows[i].body), rows[i].now_s),
                         rows[i].err);
}

static void test_livekit__a_token_without_the_bodys_hash_is_refused(void **state)
{
    static const char *const claims[] = {
        "{\"iss\":\"k\",\"exp\":2000}",
        "{\"iss\":\"k\",\"exp\":2000,\"sha256\":\"\"}",
        "{\"iss\":\"k\",\"exp\":2000,\"sha256\":5}",
        "{\"iss\":\"k\",\"exp\":2000,\"sha256\":\"AAAA\"}",
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(claims); i++) {
        PAT_AUTO_STR token = token_of("{\"alg\":\"HS256\"}", claims[i]);

        assert_int_equal(pat_sign_livekit_webhook_verify(token, "k", "secret", "", 0, 1000),
                         PAT_EAUTH);
    }
}

/* --- Retell --- */

static const char retell_key[] = "key_test_0123456789abcdef";
static const char retell_body[] = "{\"event\":\"call_ended\",\"call\":{\"call_id\":\"call_abc\"}}";
#define RETELL_D "3963875ab2124db9f94da524f9bcf94d507fd9e93469841c64915d157655bc98"

static void test_retell__signs_the_body_and_the_time(void **state)
{
    struct pat_buf out;

    (void)state;
    pat_buf_init(&out, 200);
    assert_int_equal(
        pat_sign_retell(&out, retell_key, retell_body, strlen(retell_body), 1764000000000), PAT_OK);
    assert_string_equal(out.data, "v=1764000000000,d=" RETELL_D);
    assert_int_equal(pat_sign_retell(&out, "", retell_body, 1, 1), PAT_EINVAL);
    pat_buf_fini(&out);
}

static void test_retell__verifies_within_five_minutes(void **state)
{
    static const struct {
        const char *header;
        int64_t now_ms;
        int err;
    } rows[] = {
        { "v=1764000000000,d=" RETELL_D, 1764000000000, PAT_OK },
        { "v=1764000000000,d=" RETELL_D, 1764000300000, PAT_OK },
        { "v=1764000000000,d=" RETELL_D, 1764000300001, PAT_ESTALE },
        { "v=1764000000000,d=" RETELL_D, 1763999700000, PAT_OK },
        { "v=1764000000000,d=" RETELL_D, 1763999699999, PAT_ESTALE },
        { "v=1764000000000,d=3963875AB2124DB9F94DA524F9BCF94D507FD9E93469841C64915D157655BC98",
          1764000000000, PAT_OK },
        { "v=1764000000001,d=" RETELL_D, 1764000000000, PAT_EAUTH },
        { "v=01764000000000,d=" RETELL_D, 1764000000000, PAT_OK }, /* the same number */
        { "v=-1764000000000,d=" RETELL_D, 1764000000000, PAT_EAUTH },
        { "v=99999999999999999999,d=" RETELL_D, 1764000000000, PAT_EAUTH },
        { "v=1764000000000,d=" RETELL_D "00", 1764000000000, PAT_EAUTH },
        { "v=1764000000000,d=3963", 1764000000000, PAT_EAUTH },
        { "v=1764000000000,d=", 1764000000000, PAT_EAUTH },
        { "v=1764000000000, d=" RETELL_D, 1764000000000, PAT_EAUTH },
        { "d=" RETELL_D ",v=1764000000000", 1764000000000, PAT_EAUTH },
        { "v=,d=" RETELL_D, 1764000000000, PAT_EAUTH },
        { RETELL_D, 1764000000000, PAT_EAUTH },
        { "", 1764000000000, PAT_EAUTH },
        { NULL, 1764000000000, PAT_EAUTH },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        if (pat_sign_retell_verify(rows[i].header, retell_key, retell_body, strlen(retell_body),
                                   rows[i].now_ms) != rows[i].err)
            fail_msg("%s", rows[i].header);
}

static void test_retell__refuses_another_body_key_or_none(void **state)
{
    static const char header[] = "v=1764000000000,d=" RETELL_D;

    (void)state;
    assert_int_equal(pat_sign_retell_verify(header, retell_key, retell_body, 3, 1764000000000),
                     PAT_EAUTH);
    assert_int_equal(pat_sign_retell_verify(header, "key_test_0123456789abcdeg", retell_body,
                                            strlen(retell_body), 1764000000000),
                     PAT_EAUTH);
    assert_int_equal(
        pat_sign_retell_verify(header, "", retell_body, strlen(retell_body), 1764000000000),
        PAT_EAUTH);
}

/* --- SignalWire --- */

#define SW_KEY    "PSK_testkey123"
#define SW_URL    "https://voice.example.com/sw/swml?tenant=7"
#define SW_BODY   "{\"call\":{\"call_id\":\"c1\"}}"
#define SW_SHA1   "bd9b95d422c23b08e7d63a1862122d7d4ba10902"
#define SW_SHA256 "797e4929cd6e10abe3ac64f383457db37fb810eaf7bf43972909d11ffc6efafe"

static void test_signalwire__json_verifies_every_form_of_the_url(void **state)
{
    static const struct {
        const char *signature;
        const char *keys;
        const char *url;
        int err;
    } rows[] = {
        { SW_SHA1, SW_KEY, SW_URL, PAT_OK },
        { SW_SHA256, SW_KEY, SW_URL, PAT_OK },
        { SW_SHA1, "PSK_old," SW_KEY, SW_URL, PAT_OK },
        { SW_SHA1, " " SW_KEY " , PSK_new", SW_URL, PAT_OK },
        { SW_SHA1, SW_KEY, "https://voice.example.com:443/sw/swml?tenant=7", PAT_OK },
        { SW_SHA1, SW_KEY, SW_URL "#ot=3000&rt=4000", PAT_OK },
        { SW_SHA1, SW_KEY, "https://u:p@voice.example.com/sw/swml?tenant=7", PAT_OK },
        { SW_SHA1, SW_KEY, "https://u:p@voice.example.com:443/sw/swml?tenant=7#x", PAT_OK },
        { SW_SHA1, SW_KEY, "https://voice.example.com:8443/sw/swml?tenant=7", PAT_EAUTH },
        { SW_SHA1, SW_KEY, "https://voice.example.com:80/sw/swml?tenant=7", PAT_EAUTH },
        { SW_SHA1, SW_KEY, "http://voice.example.com/sw/swml?tenant=7", PAT_EAUTH },
        { SW_SHA1, SW_KEY, "https://voice.example.com/sw/swml", PAT_EAUTH },
        { SW_SHA1, SW_KEY, "voice.example.com", PAT_EAUTH },
        { SW_SHA1, "PSK_old,PSK_new", SW_URL, PAT_EAUTH },
        { SW_SHA1, "", SW_URL, PAT_EAUTH },
        { SW_SHA1, ",, ,", SW_URL, PAT_EAUTH },
        { SW_SHA1, NULL, SW_URL, PAT_EAUTH },
        { "bd9b95d422c23b08e7d63a1862122d7d4ba10903", SW_KEY, SW_URL, PAT_EAUTH },
        { "bd9b95d4", SW_KEY, SW_URL, PAT_EAUTH },
        { SW_SHA256 "00", SW_KEY, SW_URL, PAT_EAUTH },
        { "", SW_KEY, SW_URL, PAT_EAUTH },
        { NULL, SW_KEY, SW_URL, PAT_EAUTH },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        if (pat_sign_signalwire_json_verify(rows[i].signature, rows[i].keys, rows[i].url, SW_BODY,
                                            strlen(SW_BODY)) != rows[i].err)
            fail_msg("row %zu", i);
    assert_int_equal(
        pat_sign_signalwire_json_verify(SW_SHA1, SW_KEY, SW_URL, SW_BODY " ", strlen(SW_BODY) + 1),
        PAT_EAUTH);
}

static void test_signalwire__json_signed_with_the_port_fragment_or_user(void **state)
{
    static const struct {
        const char *signed_url;
        const char *our_url;
        int err;
    } rows[] = {
        { "https://a.example:443/x", "https://a.example/x", PAT_OK },
        { "http://a.example:80/x", "http://a.example/x", PAT_OK },
        { "http://[::1]:80/x", "http://[::1]/x", PAT_OK },
        { "https://a.example/x#ot=1", "https://a.example/x#ot=1", PAT_OK },
        { "https://a.example:443", "https://a.example", PAT_OK },
        { "https://u:p@a.example/x", "https://u:p@a.example/x", PAT_OK },
        { "http://[::1]:8080/x", "http://[::1]:8080/x", PAT_OK },
        { "https://a.example:80/x", "https://a.example/x", PAT_EAUTH },
        { "https://a.example/x#other", "https://a.example/x#ot=1", PAT_EAUTH },
    };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++) {
        struct pat_buf signature;

        pat_buf_init(&signature, 100);
        assert_int_equal(
            pat_sign_signalwire_json(&signature, SW_KEY, rows[i].signed_url, "{}", 2, i % 2),
            PAT_OK);
        assert_int_equal(
            pat_sign_signalwire_json_verify(signature.data, SW_KEY, rows[i].our_url, "{}", 2),
            rows[i].err);
        pat_buf_fini(&signature);
    }
}

#define FORM_URL "https://voice.example.com/sw/inbound"
#define FORM_SIG "XHrVkd4kt0nV9aIPEQIVi0KDfq4="

static const struct pat_param form[] = {
    { "CallSid", "11111111-2222-3333-4444-555555555555" },
    { "AccountSid", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee" },
    { "ApiVersion", "2010-04-01" },
    { "From", "+15550100001" },
    { "To", "+15550100002" },
    { "CallStatus", "ringing" },
    { "Direction", "inbound" },
};

static void test_signalwire__form_verifies_parameters_in_any_order(void **state)
{
    struct pat_param turned[PAT_COUNT(form)];

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(form); i++)
        turned[i] = form[PAT_COUNT(form) - 1 - i];
    assert_int_equal(
        pat_sign_signalwire_form_verify(FORM_SIG, "x," SW_KEY, FORM_URL, form, PAT_COUNT(form)),
        PAT_OK);
    assert_int_equal(pat_sign_signalwire_form_verify(FORM_SIG, SW_KEY, FORM_URL "#ot=1", turned,
                                                     PAT_COUNT(form)),
                     PAT_OK);
    turned[0].value = "outbound";
    assert_int_equal(
        pat_sign_signalwire_form_verify(FORM_SIG, SW_KEY, FORM_URL, turned, PAT_COUNT(form)),
        PAT_EAUTH);
    assert_int_equal(
        pat_sign_signalwire_form_verify(FORM_SIG, SW_KEY, FORM_URL, form, PAT_COUNT(form) - 1),
        PAT_EAUTH);
}

static void test_signalwire__form_refuses_broken_signatures(void **state)
{
    static const char *const rows[] = { "", "XHrVkd4kt0nV9aIPEQIVi0KDfq5=", "XHrV", "*", SW_SHA1 };

    (void)state;
    for (size_t i = 0; i < PAT_COUNT(rows); i++)
        assert_int_equal(
            pat_sign_signalwire_form_verify(rows[i], SW_KEY, FORM_URL, form, PAT_COUNT(form)),
            PAT_EAUTH);
    assert_int_equal(pat_sign_signalwire_form_verify(NULL, SW_KEY, FORM_URL, form, PAT_COUNT(form)),
                     PAT_EAUTH);
    assert_int_equal(pat_sign_signalwire_form_verify(FORM_SIG, "", FORM_URL, form, PAT_COUNT(form)),
                     PAT_EAUTH);
}

static void assert_form_signs(const struct pat_param *params, size_t n, const char *text)
{
    struct pat_buf got;
    struct pat_buf want;
    uint8_t mac[20];

    pat_buf_init(&got, 100);
    pat_buf_init(&want, 100);
    assert_int_equal(pat_sign_signalwire_form(&got, "k", "http://h/", params, n), PAT_OK);
    pat_hmac_sha1("k", 1, text, strlen(text), mac);
    pat_base64(&want, mac, 20);
    assert_string_equal(got.data, want.data);
    assert_int_equal(pat_sign_signalwire_form_verify(got.data, "k", "http://h/", params, n),
                     PAT_OK);
    pat_buf_fini(&got);
    pat_buf_fini(&want);
}

static void test_signalwire__form_keeps_repeated_names_in_order(void **state)
{
    static const struct pat_param params[] = { { "b", "2" }, { "a", "z" }, { "b", "1" },
                                               { "B", "0" }, { "a", "" },  { "c", "" } };
    struct pat_param many[200];
    char names[200][4];
    char text[1000] = "http://h/";

    (void)state;
    assert_form_signs(params, PAT_COUNT(params), "http://h/B0azab2b1c");
    assert_form_signs(NULL, 0, "http://h/");
    for (size_t i = 0; i < PAT_COUNT(many); i++) { /* more than fit on the stack */
        names[i][0] = (char)('a' + (PAT_COUNT(many) - 1 - i) / 20);
        names[i][1] = (char)('a' + (PAT_COUNT(many) - 1 - i) % 20);
        names[i][2] = '\0';
        many[i] = (struct pat_param){ names[i], "" };
    }
    for (size_t i = PAT_COUNT(many); i-- > 0;)
        memcpy(text + strlen(text), names[i], 3);
    assert_form_signs(many, PAT_COUNT(many), text);
}

/* --- Ours --- */

static void test_short__is_22_characters_for_one_purpose(void **state)
{
    struct pat_buf out;

    (void)state;
    pat_buf_init(&out, 100);
    assert_int_equal(pat_sign_short(&out, "our secret", "callback", "call-1"), PAT_OK);
    assert_string_equal(out.data, "IL6ua5WdJs5fKUTe2xIeFg");
    assert_int_equal(pat_sign_short_verify(out.data, "our secret", "callback", "call-1"), PAT_OK);
    assert_int_equal(pat_sign_short_verify(out.data, "our secret", "callback", "call-2"),
                     PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify(out.data, "our secret", "header", "call-1"), PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify(out.data, "our secret", "callbackcall-1", ""),
                     PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify(out.data, "other", "callback", "call-1"), PAT_EAUTH);
    assert_int_equal(
        pat_sign_short_verify("IL6ua5WdJs5fKUTe2xIeF", "our secret", "callback", "call-1"),
        PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify("", "our secret", "callback", "call-1"), PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify(NULL, "our secret", "callback", "call-1"), PAT_EAUTH);
    assert_int_equal(pat_sign_short_verify(out.data, "", "callback", "call-1"), PAT_EAUTH);
    assert_int_equal(pat_sign_short(&out, "", "callback", "call-1"), PAT_EINVAL);
    pat_buf_fini(&out);
}

/* --- Out of memory --- */

static int verify_all(void *arg)
{
    PAT_AUTO_JSON claims = NULL;
    PAT_AUTO_STR token = NULL;
    int err = pat_jwt_hs256_verify(supabase_token, supabase_secret, 1764000000, 30, &claims);

    (void)arg;
    if (!err && !(token = pat_jwt_hs256_sign(claims, "k")))
        err = PAT_ENOMEM;
    if (!err)
        err = pat_sign_livekit_webhook_verify(LIVEKIT, "devkey", livekit_secret, livekit_body,
                                              strlen(livekit_body), 1764000001);
    if (!err)
        err = pat_sign_retell_verify("v=1764000000000,d=" RETELL_D, retell_key, retell_body,
                                     strlen(retell_body), 1764000000000);
    if (!err)
        err = pat_sign_signalwire_json_verify(SW_SHA1, SW_KEY, SW_URL, SW_BODY, strlen(SW_BODY));
    if (!err)
        err = pat_sign_signalwire_form_verify(FORM_SIG, SW_KEY, FORM_URL, form, PAT_COUNT(form));
    if (!err)
        err = pat_sign_short_verify("IL6ua5WdJs5fKUTe2xIeFg", "our secret", "callback", "call-1");
    return err;
}

static void test_sign__survives_each_allocation_failing(void **state)
{
    (void)state;
    pat_test_alloc_walk(verify_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256__matches_fips_180),
        cmocka_unit_test(test_hmac__matches_rfc_4231_and_2202),
        cmocka_unit_test(test_equal_ct__compares),
        cmocka_unit_test(test_hex__both_ways),
        cmocka_unit_test(test_base64__matches_rfc_4648),
        cmocka_unit_test(test_base64__has_one_text_per_value),
        cmocka_unit_test(test_base64__stops_at_the_buffers_maximum),
        cmocka_unit_test(test_jwt__hmac_is_that_of_rfc_7515_a_1),
        cmocka_unit_test(test_jwt__verifies_a_token_of_somebody_elses_making),
        cmocka_unit_test(test_jwt__signs_what_it_verifies),
        cmocka_unit_test(test_jwt__checks_header_and_times),
        cmocka_unit_test(test_jwt__refuses_what_is_not_a_token),
        cmocka_unit_test(test_jwt__one_changed_character_anywhere_is_refused),
        cmocka_unit_test(test_jwt__an_empty_secret_lets_nobody_in),
        cmocka_unit_test(test_livekit__verifies_body_issuer_and_time),
        cmocka_unit_test(test_livekit__a_token_without_the_bodys_hash_is_refused),
        cmocka_unit_test(test_retell__signs_the_body_and_the_time),
        cmocka_unit_test(test_retell__verifies_within_five_minutes),
        cmocka_unit_test(test_retell__refuses_another_body_key_or_none),
        cmocka_unit_test(test_signalwire__json_verifies_every_form_of_the_url),
        cmocka_unit_test(test_signalwire__json_signed_with_the_port_fragment_or_user),
        cmocka_unit_test(test_signalwire__form_verifies_parameters_in_any_order),
        cmocka_unit_test(test_signalwire__form_refuses_broken_signatures),
        cmocka_unit_test(test_signalwire__form_keeps_repeated_names_in_order),
        cmocka_unit_test(test_short__is_22_characters_for_one_purpose),
        cmocka_unit_test(test_sign__survives_each_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
