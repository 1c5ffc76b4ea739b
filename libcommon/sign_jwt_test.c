/* sign_jwt_test.c - tokens, and the webhooks that carry one: those of others verify, all else is
 * refused. */
#include "test/cmocka.h"

#include "sign.h"
#include "test/alloc.h"

#include <stdlib.h>
#include <string.h>

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
    return err;
}

static void test_jwt__survives_each_allocation_failing(void **state)
{
    (void)state;
    pat_test_alloc_walk(verify_all, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_jwt__hmac_is_that_of_rfc_7515_a_1),
        cmocka_unit_test(test_jwt__verifies_a_token_of_somebody_elses_making),
        cmocka_unit_test(test_jwt__signs_what_it_verifies),
        cmocka_unit_test(test_jwt__checks_header_and_times),
        cmocka_unit_test(test_jwt__refuses_what_is_not_a_token),
        cmocka_unit_test(test_jwt__one_changed_character_anywhere_is_refused),
        cmocka_unit_test(test_jwt__an_empty_secret_lets_nobody_in),
        cmocka_unit_test(test_livekit__verifies_body_issuer_and_time),
        cmocka_unit_test(test_livekit__a_token_without_the_bodys_hash_is_refused),
        cmocka_unit_test(test_jwt__survives_each_allocation_failing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
