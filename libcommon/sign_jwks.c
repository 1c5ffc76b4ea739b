/* sign_jwks.c - tokens signed with public keys: ES256 and RS256 (RFC 7518, 3.3 and 3.4), from a
 * list of keys (RFC 7517).
 *
 * The key that a token names fixes the algorithm. No key is ever fetched because a token says where
 * it is.
 */
#include "sign_jwt.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MAX = 32, KID_MAX = 128, EC_BYTES = 32, RSA_BYTES_MAX = 1024, RSA_BITS_MIN = 2048 };

struct key {
    char kid[KID_MAX];
    bool ec; /* else RSA */
    EVP_PKEY *pkey;
};

struct pat_jwks {
    struct key keys[KEYS_MAX];
    size_t n;
};

/* ------------------------------------------------------------------ keys */

static EVP_PKEY *from_params(const char *type, OSSL_PARAM_BLD *bld)
{
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(bld);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    EVP_PKEY *pkey = NULL;

    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) <= 0 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) <= 0)
        pkey = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

static int field(struct pat_buf *out, const struct pat_json *jwk, const char *name)
{
    const char *text = pat_json_str_or(jwk, name, "");

    pat_buf_init(out, RSA_BYTES_MAX);
    return *text ? pat_unbase64(out, text, strlen(text)) : PAT_EINVAL;
}

static EVP_PKEY *read_ec(const struct pat_json *jwk)
{
    unsigned char point[1 + 2 * EC_BYTES] = { 4 }; /* uncompressed (SEC 1, 2.3.3) */
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    struct pat_buf x, y;
    EVP_PKEY *pkey = NULL;
    bool good = !field(&x, jwk, "x");

    good = !field(&y, jwk, "y") && good;
    if (good && x.len == EC_BYTES && y.len == EC_BYTES && bld &&
        !strcmp(pat_json_str_or(jwk, "crv", ""), "P-256")) {
        memcpy(point + 1, x.data, EC_BYTES);
        memcpy(point + 1 + EC_BYTES, y.data, EC_BYTES);
        if (OSSL_PARAM_BLD_push_utf8_string(bld, OSSL_PKEY_PARAM_GROUP_NAME, "prime256v1", 0) &&
            OSSL_PARAM_BLD_push_octet_string(bld, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof point))
            pkey = from_params("EC", bld);
    }
    OSSL_PARAM_BLD_free(bld);
    pat_buf_fini(&x);
    pat_buf_fini(&y);
    return pkey;
}

static BIGNUM *number(const struct pat_buf *b)
{
    return b->len ? BN_bin2bn((const unsigned char *)b->data, (int)b->len, NULL) : NULL;
}

static EVP_PKEY *read_rsa(const struct pat_json *jwk)
{
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    struct pat_buf n, e;
    BIGNUM *bn_n = NULL, *bn_e = NULL;
    EVP_PKEY *pkey = NULL;
    bool good = !field(&n, jwk, "n");

    good = !field(&e, jwk, "e") && good;
    if (good) {
        bn_n = number(&n);
        bn_e = number(&e);
    }
    if (bld && bn_n && bn_e && BN_num_bits(bn_n) >= RSA_BITS_MIN &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn_n) &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, bn_e))
        pkey = from_params("RSA", bld);
    BN_free(bn_n);
    BN_free(bn_e);
    OSSL_PARAM_BLD_free(bld);
    pat_buf_fini(&n);
    pat_buf_fini(&e);
    return pkey;
}

/* alg is optional in a list; where it is there it has to be the one we would use. */
static bool is_for(const struct pat_json *jwk, const char *alg)
{
    return !strcmp(pat_json_str_or(jwk, "alg", alg), alg) &&
           !strcmp(pat_json_str_or(jwk, "use", "sig"), "sig");
}

static void add_key(struct pat_jwks *k, const struct pat_json *jwk)
{
    const char *kty = pat_json_str_or(jwk, "kty", "");
    struct key *key = &k->keys[k->n];

    if (!pat_strcpy(key->kid, sizeof key->kid, pat_json_str_or(jwk, "kid", "")))
        return;
    key->ec = !strcmp(kty, "EC");
    key->pkey = NULL;
    if (key->ec && is_for(jwk, "ES256"))
        key->pkey = read_ec(jwk);
    else if (!strcmp(kty, "RSA") && is_for(jwk, "RS256"))
        key->pkey = read_rsa(jwk);
    if (key->pkey)
        k->n++;
}

int pat_jwks_parse(struct pat_jwks **out, const char *text, size_t len)
{
    PAT_AUTO_JSON list = NULL;
    const struct pat_json *keys;
    struct pat_jwks *k;
    int err = pat_json_parse(&list, text, len, NULL);

    if (err)
        return err;
    keys = pat_json_at(list, "keys");
    if (!keys || pat_json_kind(keys) != PAT_JSON_ARR)
        return PAT_EINVAL;
    k = calloc(1, sizeof *k);
    if (!k)
        return PAT_ENOMEM;
    PAT_JSON_EACH(jwk, keys)
    if (k->n < KEYS_MAX)
        add_key(k, jwk);
    *out = k;
    return PAT_OK;
}

void pat_jwks_free(struct pat_jwks *k)
{
    if (!k)
        return;
    for (size_t i = 0; i < k->n; i++)
        EVP_PKEY_free(k->keys[i].pkey);
    free(k);
}

size_t pat_jwks_count(const struct pat_jwks *k)
{
    return k ? k->n : 0;
}

/* ------------------------------------------------------------------ tokens */

/* A token's 64 bytes r, s (RFC 7518, 3.4) in the form the library reads. */
static unsigned char *der_of(const struct pat_buf *raw, size_t *len)
{
    const unsigned char *bytes = (const unsigned char *)raw->data;
    unsigned char *der = NULL;
    ECDSA_SIG *sig;
    BIGNUM *r, *s;
    int n;

    if (raw->len != (size_t)2 * EC_BYTES || !(sig = ECDSA_SIG_new()))
        return NULL;
    r = BN_bin2bn(bytes, EC_BYTES, NULL);
    s = BN_bin2bn(bytes + EC_BYTES, EC_BYTES, NULL);
    if (!r || !s || !ECDSA_SIG_set0(sig, r, s)) {
        BN_free(r);
        BN_free(s);
        ECDSA_SIG_free(sig);
        return NULL;
    }
    n = i2d_ECDSA_SIG(sig, &der);
    ECDSA_SIG_free(sig);
    *len = n > 0 ? (size_t)n : 0;
    return n > 0 ? der : NULL;
}

static bool signed_by(const struct key *key, const struct jwt_parts *p, const struct pat_buf *raw)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    unsigned char *der = NULL;
    const unsigned char *sig = (const unsigned char *)raw->data;
    size_t len = raw->len;
    bool good = false;

    if (key->ec)
        sig = der = der_of(raw, &len);
    if (ctx && sig && EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key->pkey) == 1)
        good =
            EVP_DigestVerify(ctx, sig, len, (const unsigned char *)p->header, p->signed_len) == 1;
    EVP_MD_CTX_free(ctx);
    OPENSSL_free(der);
    return good;
}

static int check(const struct pat_jwks *keys, bool ec, const char *kid, const struct jwt_parts *p)
{
    struct pat_buf raw;
    int err = PAT_ENOENT;

    pat_buf_init(&raw, RSA_BYTES_MAX);
    if (pat_unbase64(&raw, p->signature, strlen(p->signature))) {
        pat_buf_fini(&raw);
        return PAT_EAUTH;
    }
    for (size_t i = 0; keys && i < keys->n && err; i++) {
        if (keys->keys[i].ec != ec || (*kid && strcmp(keys->keys[i].kid, kid) != 0))
            continue;
        err = signed_by(&keys->keys[i], p, &raw) ? PAT_OK : PAT_EAUTH;
    }
    pat_buf_fini(&raw);
    return err;
}

int pat_jwt_verify(const char *token, const char *secret, const struct pat_jwks *keys,
                   int64_t now_s, int leeway_s, struct pat_json **claims)
{
    PAT_AUTO_JSON header = NULL;
    PAT_AUTO_JSON found = NULL;
    struct jwt_parts p;
    const char *alg;
    int err;

    if (!token || strnlen(token, JWT_MAX) == JWT_MAX || !jwt_split(token, &p))
        return PAT_EAUTH;
    err = jwt_part(p.header, p.header_len, &header);
    if (err)
        return err;
    alg = pat_json_str_or(header, "alg", "");
    if (!strcmp(alg, "HS256"))
        return pat_jwt_hs256_verify(token, secret, now_s, leeway_s, claims);
    /* "crit" names extensions one must understand (RFC 7515 section 4.1.11); we know none. */
    if ((strcmp(alg, "ES256") && strcmp(alg, "RS256")) || pat_json_at(header, "crit"))
        return PAT_EAUTH;
    err = check(keys, *alg == 'E', pat_json_str_or(header, "kid", ""), &p);
    if (!err)
        err = jwt_part(p.payload, p.payload_len, &found);
    if (!err)
        err = jwt_times(found, now_s, leeway_s);
    if (err)
        return err;
    *claims = found;
    found = NULL;
    return PAT_OK;
}
