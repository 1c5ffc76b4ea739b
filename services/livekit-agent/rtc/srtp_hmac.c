/* srtp_hmac.c - HMAC-SHA1 (RFC 3711 4.2.1) for libsrtp2, over an EVP_MAC context.
 * How: the key is set once; each packet starts anew with it, is added in pieces, and has its tag
 * cut to the length asked for. */
#include "srtp_crypto.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

enum { SHA1_LEN = 20 };

static EVP_MAC_CTX *context_new(void)
{
    EVP_MAC *mac = EVP_MAC_fetch(NULL, OSSL_MAC_NAME_HMAC, NULL);
    EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
    char digest[] = "SHA1";
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
        OSSL_PARAM_construct_end(),
    };

    EVP_MAC_free(mac);
    if (ctx && EVP_MAC_CTX_set_params(ctx, params) != 1) {
        EVP_MAC_CTX_free(ctx);
        return NULL;
    }
    return ctx;
}

static srtp_err_status_t hmac_alloc(srtp_auth_t **out, int key_len, int out_len)
{
    if (key_len < 0 || out_len < 0 || out_len > SHA1_LEN)
        return srtp_err_status_bad_param;
    srtp_auth_t *a = calloc(1, sizeof *a);
    EVP_MAC_CTX *ctx = context_new();
    if (!a || !ctx) {
        EVP_MAC_CTX_free(ctx);
        free(a);
        return srtp_err_status_alloc_fail;
    }
    *a = (srtp_auth_t){ .type = &srtp_hmac, .state = ctx, .out_len = out_len, .key_len = key_len };
    *out = a;
    return srtp_err_status_ok;
}

static srtp_err_status_t hmac_dealloc(srtp_auth_t *a)
{
    EVP_MAC_CTX_free(a->state); /* wipes the key */
    free(a);
    return srtp_err_status_ok;
}

static srtp_err_status_t hmac_init(void *state, const uint8_t *key, int key_len)
{
    return EVP_MAC_init(state, key, (size_t)key_len, NULL) == 1 ? srtp_err_status_ok
                                                                : srtp_err_status_init_fail;
}

static srtp_err_status_t hmac_start(void *state)
{
    return EVP_MAC_init(state, NULL, 0, NULL) == 1 ? srtp_err_status_ok : srtp_err_status_auth_fail;
}

static srtp_err_status_t hmac_update(void *state, const uint8_t *data, int len)
{
    return EVP_MAC_update(state, data, (size_t)len) == 1 ? srtp_err_status_ok
                                                         : srtp_err_status_auth_fail;
}

static srtp_err_status_t hmac_compute(void *state, const uint8_t *data, int len, int tag_len,
                                      uint8_t *tag)
{
    uint8_t whole[SHA1_LEN];
    size_t n;

    if (tag_len < 0 || tag_len > SHA1_LEN)
        return srtp_err_status_bad_param;
    if (EVP_MAC_update(state, data, (size_t)len) != 1 ||
        EVP_MAC_final(state, whole, &n, sizeof whole) != 1)
        return srtp_err_status_auth_fail;
    memcpy(tag, whole, (size_t)tag_len);
    return srtp_err_status_ok;
}

/* Known answers of the library, which it tries at start. */
extern const srtp_auth_test_case_t srtp_hmac_test_case_0;

const srtp_auth_type_t srtp_hmac = {
    .alloc = hmac_alloc,
    .dealloc = hmac_dealloc,
    .init = hmac_init,
    .compute = hmac_compute,
    .update = hmac_update,
    .start = hmac_start,
    .description = "HMAC-SHA1, libcrypto",
    .test_data = &srtp_hmac_test_case_0,
    .id = SRTP_HMAC_SHA1,
};

struct srtp_module srtp_mod_hmac = { 0, "hmac sha-1" };
