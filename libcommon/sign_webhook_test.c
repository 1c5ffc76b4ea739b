/* sign_webhook_test.c - signatures of Standard Webhooks against vectors made by other programs. */
#include "pat.h"
#include "test/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define ID "msg_01testvector"
#define AT 1764000000
#define BODY                                                                                       \
    "{\"type\":\"call.ended\",\"timestamp\":\"2025-11-24T16:00:00Z\",\"data\":{\"id\":\"c1\"}}"

typedef int sign_fn(struct pat_buf *out, const char *secret, const char *id, int64_t now_s,
                    const void *body, size_t len);

static const struct {
    const char *what, *secret, *signature; /* NULL: no such secret */
    sign_fn *sign;
} table[] = {
    { "HMAC", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
      "v1,fuG2luHIeBsner+Efss5IM05YZvXUj6jc+sjG4bV6CA=", pat_sign_webhook },
    { "HMAC, no prefix", "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
      "v1,fuG2luHIeBsner+Efss5IM05YZvXUj6jc+sjG4bV6CA=", pat_sign_webhook },
    { "HMAC, nothing behind the prefix", "whsec_", NULL, pat_sign_webhook },
    { "HMAC, not base64", "whsec_!!", NULL, pat_sign_webhook },
    { "Ed25519, the seed", "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
      "v1a,qKEKqxhmTe8bWbY7NuNwXZKf9ROHb7rRrzp5VewtYMvYIMUtQhUuACJln/tfACC7CdXHNXJjIUHJOxSdrAuUBw==",
      pat_sign_webhook_ed25519 },
    { "Ed25519, seed and public key",
      "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8DoQe/884Qvh1w3RjnS8CZZ+TWMJulDV8d3IZkElUxuA==",
      "v1a,qKEKqxhmTe8bWbY7NuNwXZKf9ROHb7rRrzp5VewtYMvYIMUtQhUuACJln/tfACC7CdXHNXJjIUHJOxSdrAuUBw==",
      pat_sign_webhook_ed25519 },
    { "Ed25519, too short", "whsk_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", NULL,
      pat_sign_webhook_ed25519 },
};

static int sign_all(void *arg)
{
    int err = PAT_OK;

    (void)arg;
    for (size_t i = 0; i < sizeof table / sizeof table[0] && err != PAT_ENOMEM; i++) {
        struct pat_buf out;

        pat_buf_init(&out, 200);
        err = table[i].sign(&out, table[i].secret, ID, AT, BODY, strlen(BODY));
        if (err != PAT_ENOMEM) {
            assert_int_equal(err, table[i].signature ? PAT_OK : PAT_EINVAL);
            if (table[i].signature)
                assert_string_equal(out.data, table[i].signature);
        }
        pat_buf_fini(&out);
    }
    return err == PAT_ENOMEM ? err : PAT_OK;
}

static void test_sign__is_what_others_make_of_it(void **state)
{
    (void)state;
    assert_int_equal(sign_all(NULL), PAT_OK);
}

static void test_sign__survives_each_allocation_failing(void **state)
{
    (void)state;
    pat_test_alloc_walk(sign_all, NULL);
}

static void test_secret__new_ones_sign_and_differ(void **state)
{
    char a[PAT_WEBHOOK_KEY_MAX], b[PAT_WEBHOOK_KEY_MAX];

    (void)state;
    assert_int_equal(pat_webhook_secret_new(a), PAT_OK);
    assert_int_equal(pat_webhook_secret_new(b), PAT_OK);
    assert_string_not_equal(a, b);
    assert_int_equal(strlen(a), 6 + 44);
    assert_true(pat_webhook_secret_valid(a));
}

static void test_keys__sign_and_the_public_one_is_the_private_ones(void **state)
{
    char secret[PAT_WEBHOOK_KEY_MAX], pub[PAT_WEBHOOK_KEY_MAX];
    struct pat_buf out;

    (void)state;
    assert_int_equal(pat_webhook_keys_new(secret, pub), PAT_OK);
    assert_int_equal(strncmp(secret, "whsk_", 5), 0);
    assert_int_equal(strncmp(pub, "whpk_", 5), 0);
    assert_int_equal(strlen(pub), 5 + 44);
    pat_buf_init(&out, 200);
    assert_int_equal(pat_sign_webhook_ed25519(&out, secret, ID, AT, BODY, strlen(BODY)), PAT_OK);
    assert_int_equal(out.len, 4 + 88);
    pat_buf_fini(&out);
}

static void test_secret__valid_ones_have_24_to_64_bytes(void **state)
{
    static const struct {
        const char *secret;
        bool valid;
    } rows[] = {
        { "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", true },
        { "AAECAwQFBgcICQoLDA0ODxAREhMUFRYX", false },
        { "whsec_AAECAwQFBgcICQoLDA0ODxAREhMU", false },
        { "whsec_not base64 at all, though long enough for it", false },
        { "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXAAECAwQFBgcICQoLDA0ODxAREhMUFRYXAAECAwQFBgcICQoLDA0ODxAR"
          "EhMUFRYX",
          false },
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (pat_webhook_secret_valid(rows[i].secret) != rows[i].valid)
            fail_msg("%s", rows[i].secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sign__is_what_others_make_of_it),
        cmocka_unit_test(test_sign__survives_each_allocation_failing),
        cmocka_unit_test(test_secret__new_ones_sign_and_differ),
        cmocka_unit_test(test_keys__sign_and_the_public_one_is_the_private_ones),
        cmocka_unit_test(test_secret__valid_ones_have_24_to_64_bytes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
