/* srtp_icm.c - AES in counter mode (RFC 3711 4.1.1) for libsrtp2, over an EVP context.
 * How: the library gives key and salt, then for each packet a nonce to mix into the salt. It also
 * derives every stream's keys with this cipher, those of AES-GCM too. */
#include "srtp_crypto.h"

#include <limits.h>
#include <openssl/evp.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_LEN = 16, SALT_LEN = 14, KEY_128 = 16, KEY_192 = 24, KEY_256 = 32 };

struct icm {
    EVP_CIPHER_CTX *ctx;
    const EVP_CIPHER *kind;
    int key_len; /* without the salt */
    uint8_t salt[BLOCK_LEN];
};

static const srtp_cipher_type_t *type_of(int key_len)
{
    switch (key_len - SALT_LEN) {
    case KEY_128:
        return &srtp_aes_icm_128;
    case KEY_192:
        return &srtp_aes_icm_192;
    case KEY_256:
        return &srtp_aes_icm_256;
    default:
        return NULL;
    }
}

static const EVP_CIPHER *native(int key_len)
{
    if (key_len == KEY_128)
        return EVP_aes_128_ctr();
    return key_len == KEY_192 ? EVP_aes_192_ctr() : EVP_aes_256_ctr();
}

static srtp_err_status_t icm_alloc(srtp_cipher_t **out, int key_len, int tag_len)
{
    const srtp_cipher_type_t *type = type_of(key_len);

    (void)tag_len;
    if (!type)
        return srtp_err_status_bad_param;
    srtp_cipher_t *c = calloc(1, sizeof *c);
    struct icm *s = calloc(1, sizeof *s);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!c || !s || !ctx) {
        EVP_CIPHER_CTX_free(ctx);
        free(s);
        free(c);
        return srtp_err_status_alloc_fail;
    }
    s->ctx = ctx;
    s->key_len = key_len - SALT_LEN;
    s->kind = native(s->key_len);
    *c =
        (srtp_cipher_t){ .type = type, .state = s, .key_len = key_len, .algorithm = (int)type->id };
    *out = c;
    return srtp_err_status_ok;
}

static srtp_err_status_t icm_dealloc(srtp_cipher_t *c)
{
    struct icm *s = c->state;

    EVP_CIPHER_CTX_free(s->ctx); /* wipes the key */
    OPENSSL_cleanse(s, sizeof *s);
    free(s);
    free(c);
    return srtp_err_status_ok;
}

static srtp_err_status_t icm_init(void *state, const uint8_t *key)
{
    struct icm *s = state;

    memcpy(s->salt, key + s->key_len, SALT_LEN); /* the last two bytes count blocks */
    return EVP_EncryptInit_ex(s->ctx, s->kind, NULL, key, NULL) == 1 ? srtp_err_status_ok
                                                                     : srtp_err_status_init_fail;
}

static srtp_err_status_t icm_set_iv(void *state, uint8_t *iv, srtp_cipher_direction_t direction)
{
    struct icm *s = state;
    uint8_t counter[BLOCK_LEN];

    (void)direction; /* the same both ways */
    for (size_t i = 0; i < sizeof counter; i++)
        counter[i] = s->salt[i] ^ iv[i];
    return EVP_EncryptInit_ex(s->ctx, NULL, NULL, NULL, counter) == 1 ? srtp_err_status_ok
                                                                      : srtp_err_status_cipher_fail;
}

static srtp_err_status_t icm_run(void *state, uint8_t *data, unsigned *len)
{
    struct icm *s = state;
    int n;

    if (*len > INT_MAX || EVP_EncryptUpdate(s->ctx, data, &n, data, (int)*len) != 1)
        return srtp_err_status_cipher_fail;
    return srtp_err_status_ok;
}

/* Known answers of the library, which it tries at start. */
extern const srtp_cipher_test_case_t srtp_aes_icm_128_test_case_0, srtp_aes_icm_192_test_case_0,
    srtp_aes_icm_256_test_case_0;

#define TYPE(name, known, number)                                                                  \
    {                                                                                              \
        .alloc = icm_alloc, .dealloc = icm_dealloc, .init = icm_init, .encrypt = icm_run,          \
        .decrypt = icm_run, .set_iv = icm_set_iv, .description = (name), .test_data = &(known),    \
        .id = (number),                                                                            \
    }
const srtp_cipher_type_t srtp_aes_icm_128 =
    TYPE("AES-128 counter mode, libcrypto", srtp_aes_icm_128_test_case_0, SRTP_AES_ICM_128);
const srtp_cipher_type_t srtp_aes_icm_192 =
    TYPE("AES-192 counter mode, libcrypto", srtp_aes_icm_192_test_case_0, SRTP_AES_ICM_192);
const srtp_cipher_type_t srtp_aes_icm_256 =
    TYPE("AES-256 counter mode, libcrypto", srtp_aes_icm_256_test_case_0, SRTP_AES_ICM_256);

struct srtp_module srtp_mod_aes_icm = { 0, "aes icm" };
