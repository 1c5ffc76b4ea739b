/* sign.c - digests, keyed digests, hex and base64.
 *
 * OpenSSL does the hashing, by its plain functions: it calls them deprecated, they have no
 * replacement that is as cheap.
 * Tokens are in sign_jwt.c, the vendors' schemes in sign_vendor.c.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "sign.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <string.h>

void pat_sha256(const void *data, size_t len, uint8_t out[32])
{
    SHA256_CTX c;

    SHA256_Init(&c);
    SHA256_Update(&c, len ? data : "", len);
    SHA256_Final(out, &c);
}

/* HMAC (RFC 2104) over the hashes' own functions. HMAC() and EVP_Q_mac look the algorithm up anew
 * each time: 22,000 instructions for a digest of 200 bytes, against 4,000 this way. */
#define BLOCK 64

static void make_pads(const uint8_t *key, size_t len, uint8_t inner[BLOCK], uint8_t outer[BLOCK])
{
    memset(inner, 0x36, BLOCK);
    memset(outer, 0x5c, BLOCK);
    for (size_t i = 0; i < len; i++) {
        inner[i] ^= key[i];
        outer[i] ^= key[i];
    }
}

int pat_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[32])
{
    uint8_t inner[BLOCK], outer[BLOCK], hashed[32];
    SHA256_CTX c;

    if (key_len > BLOCK) {
        pat_sha256(key, key_len, hashed);
        key = hashed;
        key_len = sizeof hashed;
    }
    make_pads(key, key_len, inner, outer);
    SHA256_Init(&c);
    SHA256_Update(&c, inner, BLOCK);
    SHA256_Update(&c, len ? data : "", len);
    SHA256_Final(out, &c);
    SHA256_Init(&c);
    SHA256_Update(&c, outer, BLOCK);
    SHA256_Update(&c, out, 32);
    SHA256_Final(out, &c);
    OPENSSL_cleanse(inner, sizeof inner);
    OPENSSL_cleanse(outer, sizeof outer);
    return PAT_OK;
}

int pat_hmac_sha1(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[20])
{
    uint8_t inner[BLOCK], outer[BLOCK], hashed[20];
    SHA_CTX c;

    if (key_len > BLOCK) {
        (void)SHA1(key, key_len, hashed);
        key = hashed;
        key_len = sizeof hashed;
    }
    make_pads(key, key_len, inner, outer);
    SHA1_Init(&c);
    SHA1_Update(&c, inner, BLOCK);
    SHA1_Update(&c, len ? data : "", len);
    SHA1_Final(out, &c);
    SHA1_Init(&c);
    SHA1_Update(&c, outer, BLOCK);
    SHA1_Update(&c, out, 20);
    SHA1_Final(out, &c);
    OPENSSL_cleanse(inner, sizeof inner);
    OPENSSL_cleanse(outer, sizeof outer);
    return PAT_OK;
}

bool pat_equal_ct(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}

int pat_hex(struct pat_buf *out, const void *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *b = data;
    char *to = len > SIZE_MAX / 4 ? NULL : pat_buf_reserve(out, 2 * len);

    if (!to)
        return out->err ? out->err : PAT_E2BIG;
    for (size_t i = 0; i < len; i++) {
        *to++ = digits[b[i] >> 4];
        *to++ = digits[b[i] & 15];
    }
    out->len += 2 * len;
    *to = '\0';
    return PAT_OK;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int pat_unhex(uint8_t *out, size_t cap, const char *hex, size_t *len)
{
    size_t n = strlen(hex);

    if (n % 2)
        return PAT_EINVAL;
    if (n / 2 > cap)
        return PAT_E2BIG;
    for (size_t i = 0; i < n / 2; i++) {
        int high = hex_digit(hex[2 * i]);
        int low = hex_digit(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return PAT_EINVAL;
        out[i] = (uint8_t)(high << 4 | low);
    }
    *len = n / 2;
    return PAT_OK;
}

static int base64(struct pat_buf *out, const uint8_t *b, size_t len, const char *alphabet, bool pad)
{
    size_t rest = len % 3;
    size_t n = len / 3 * 4 + (rest ? (pad ? 4 : rest + 1) : 0);
    char *to = len > SIZE_MAX / 4 ? NULL : pat_buf_reserve(out, n);

    if (!to)
        return out->err ? out->err : PAT_E2BIG;
    for (; len >= 3; len -= 3, b += 3) {
        *to++ = alphabet[b[0] >> 2];
        *to++ = alphabet[(b[0] & 3) << 4 | b[1] >> 4];
        *to++ = alphabet[(b[1] & 15) << 2 | b[2] >> 6];
        *to++ = alphabet[b[2] & 63];
    }
    if (rest) {
        *to++ = alphabet[b[0] >> 2];
        *to++ = alphabet[(b[0] & 3) << 4 | (rest == 2 ? b[1] >> 4 : 0)];
        if (rest == 2)
            *to++ = alphabet[(b[1] & 15) << 2];
        else if (pad)
            *to++ = '=';
        if (pad)
            *to++ = '=';
    }
    out->len += n;
    *to = '\0';
    return PAT_OK;
}

int pat_base64(struct pat_buf *out, const void *data, size_t len)
{
    return base64(out, data, len,
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/", true);
}

int pat_base64url(struct pat_buf *out, const void *data, size_t len)
{
    return base64(out, data, len,
                  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", false);
}

int pat_base64_bits(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

int pat_unbase64(struct pat_buf *out, const char *s, size_t len)
{
    size_t padding = 0;
    uint32_t bits = 0;
    uint8_t *to;

    while (padding < 2 && len && s[len - 1] == '=') {
        padding++;
        len--;
    }
    if (len % 4 == 1 || (padding && (len + padding) % 4 != 0))
        return PAT_EINVAL;
    to = (uint8_t *)pat_buf_reserve(out, len / 4 * 3 + 2);
    if (!to)
        return out->err;
    for (size_t i = 0; i < len; i++) {
        int v = pat_base64_bits(s[i]);

        if (v < 0)
            return PAT_EINVAL;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4)
            *to++ = (uint8_t)(bits >> (6 - 2 * (i % 4)));
    }
    /* Bits left over must be zero: one text per value, so that nobody changes a signed one. */
    if ((len % 4 == 2 && (bits & 15)) || (len % 4 == 3 && (bits & 3)))
        return PAT_EINVAL;
    out->len = (size_t)((char *)to - out->data);
    *to = '\0';
    return PAT_OK;
}
