/* sign_test.c - digests and encodings, against published vectors. */
#include "test/cmocka.h"

#include "sign.h"

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
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
