/* srtp_gcm.c - AES-GCM (RFC 7714) for libsrtp2, over an EVP context.
 * How: the library asks in order for the nonce, the associated data (in pieces), the text, the tag.
 * Nothing of a packet is kept here. */
#include "srtp_crypto.h"

#include <limits.h>
#include <openssl/evp.h>
#include <srtp2/srtp.h>
#include <stdbool.h>
#include <stdlib.h>

enum { TAG_LEN = 16, SHORT_TAG_LEN = 8, SALT_LEN = 12, KEY_128 = 16, KEY_256 = 32 };

struct gcm {
    EVP_CIPHER_CTX *ctx;
    const EVP_CIPHER *kind;
    int tag_len;
};

/* key_len is with the salt, which the library mixes into the nonce itself. */
static srtp_err_status_t gcm_alloc(srtp_cipher_t **out, int key_len, int tag_len)
{
    bool large = key_len == KEY_256 + SALT_LEN;

    if ((!large && key_len != KEY_128 + SALT_LEN) ||
        (tag_len != TAG_LEN && tag_len != SHORT_TAG_LEN))
        return srtp_err_status_bad_param;
    srtp_cipher_t *c = calloc(1, sizeof *c);
    struct gcm *g = calloc(1, sizeof *g);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    if (!c || !g || !ctx) {
        EVP_CIPHER_CTX_free(ctx);
        free(g);
        free(c);
        return srtp_err_status_alloc_fail;
    }
    *g = (struct gcm){ .ctx = ctx,
                       .kind = large ? EVP_aes_256_gcm() : EVP_aes_128_gcm(),
                       .tag_len = tag_len };
    *c = (srtp_cipher_t){ .type = large ? &srtp_aes_gcm_256 : &srtp_aes_gcm_128,
                          .state = g,
                          .key_len = key_len,
                          .algorithm = large ? SRTP_AES_GCM_256 : SRTP_AES_GCM_128 };
    *out = c;
    return srtp_err_status_ok;
}

static srtp_err_status_t gcm_dealloc(srtp_cipher_t *c)
{
    struct gcm *g = c->state;

    EVP_CIPHER_CTX_free(g->ctx); /* wipes the key */
    free(g);
    free(c);
    return srtp_err_status_ok;
}

static srtp_err_status_t gcm_init(void *state, const uint8_t *key)
{
    struct gcm *g = state;

    return EVP_CipherInit_ex(g->ctx, g->kind, NULL, key, NULL, 1) == 1 ? srtp_err_status_ok
                                                                       : srtp_err_status_init_fail;
}

/* The key stays; a packet begins. */
static srtp_err_status_t gcm_set_iv(void *state, uint8_t *iv, srtp_cipher_direction_t direction)
{
    struct gcm *g = state;
    int seal = direction == srtp_direction_encrypt;

    if (!seal && direction != srtp_direction_decrypt)
        return srtp_err_status_bad_param;
    return EVP_CipherInit_ex(g->ctx, NULL, NULL, NULL, iv, seal) == 1 ? srtp_err_status_ok
                                                                      : srtp_err_status_init_fail;
}

static srtp_err_status_t gcm_set_aad(void *state, const uint8_t *aad, uint32_t len)
{
    struct gcm *g = state;
    int n;

    if (len > INT_MAX || EVP_CipherUpdate(g->ctx, NULL, &n, aad, (int)len) != 1)
        return srtp_err_status_algo_fail;
    return srtp_err_status_ok;
}

/* RTCP sent in the clear has no text, its tag only. */
static bool run(struct gcm *g, uint8_t *data, unsigned len)
{
    uint8_t rest[EVP_MAX_BLOCK_LENGTH]; /* GCM leaves none */
    int n;

    if (len > INT_MAX || (len && EVP_CipherUpdate(g->ctx, data, &n, data, (int)len) != 1))
        return false;
    return EVP_CipherFinal_ex(g->ctx, rest, &n) == 1;
}

static srtp_err_status_t gcm_encrypt(void *state, uint8_t *data, unsigned *len)
{
    return run(state, data, *len) ? srtp_err_status_ok : srtp_err_status_cipher_fail;
}

static srtp_err_status_t gcm_get_tag(void *state, uint8_t *tag, uint32_t *len)
{
    struct gcm *g = state;

    *len = (uint32_t)g->tag_len;
    return EVP_CIPHER_CTX_ctrl(g->ctx, EVP_CTRL_AEAD_GET_TAG, g->tag_len, tag) == 1
               ? srtp_err_status_ok
               : srtp_err_status_algo_fail;
}

/* len: with the tag, then without. */
static srtp_err_status_t gcm_decrypt(void *state, uint8_t *data, unsigned *len)
{
    struct gcm *g = state;

    if (*len < (unsigned)g->tag_len)
        return srtp_err_status_bad_param;
    unsigned n = *len - (unsigned)g->tag_len;
    if (EVP_CIPHER_CTX_ctrl(g->ctx, EVP_CTRL_AEAD_SET_TAG, g->tag_len, data + n) != 1)
        return srtp_err_status_algo_fail;
    if (!run(g, data, n))
        return srtp_err_status_auth_fail;
    *len = n;
    return srtp_err_status_ok;
}

/* ---- known answers: McGrew and Viega, "The Galois/Counter Mode of Operation", cases 4, 16 ---- */

static const uint8_t key[KEY_256] = {
    0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08,
    0xfe, 0xff, 0xe9, 0x92, 0x86, 0x65, 0x73, 0x1c, 0x6d, 0x6a, 0x8f, 0x94, 0x67, 0x30, 0x83, 0x08,
};

static const uint8_t nonce[SALT_LEN] = { 0xca, 0xfe, 0xba, 0xbe, 0xfa, 0xce,
                                         0xdb, 0xad, 0xde, 0xca, 0xf8, 0x88 };

static const uint8_t aad[] = { 0xfe, 0xed, 0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xfe, 0xed,
                               0xfa, 0xce, 0xde, 0xad, 0xbe, 0xef, 0xab, 0xad, 0xda, 0xd2 };

static const uint8_t text[] = {
    0xd9, 0x31, 0x32, 0x25, 0xf8, 0x84, 0x06, 0xe5, 0xa5, 0x59, 0x09, 0xc5, 0xaf, 0xf5, 0x26,
    0x9a, 0x86, 0xa7, 0xa9, 0x53, 0x15, 0x34, 0xf7, 0xda, 0x2e, 0x4c, 0x30, 0x3d, 0x8a, 0x31,
    0x8a, 0x72, 0x1c, 0x3c, 0x0c, 0x95, 0x95, 0x68, 0x09, 0x53, 0x2f, 0xcf, 0x0e, 0x24, 0x49,
    0xa6, 0xb5, 0x25, 0xb1, 0x6a, 0xed, 0xf5, 0xaa, 0x0d, 0xe6, 0x57, 0xba, 0x63, 0x7b, 0x39,
};

static const uint8_t sealed_128[sizeof text + TAG_LEN] = {
    0x42, 0x83, 0x1e, 0xc2, 0x21, 0x77, 0x74, 0x24, 0x4b, 0x72, 0x21, 0xb7, 0x84, 0xd0, 0xd4, 0x9c,
    0xe3, 0xaa, 0x21, 0x2f, 0x2c, 0x02, 0xa4, 0xe0, 0x35, 0xc1, 0x7e, 0x23, 0x29, 0xac, 0xa1, 0x2e,
    0x21, 0xd5, 0x14, 0xb2, 0x54, 0x66, 0x93, 0x1c, 0x7d, 0x8f, 0x6a, 0x5a, 0xac, 0x84, 0xaa, 0x05,
    0x1b, 0xa3, 0x0b, 0x39, 0x6a, 0x0a, 0xac, 0x97, 0x3d, 0x58, 0xe0, 0x91, 0x5b, 0xc9, 0x4f, 0xbc,
    0x32, 0x21, 0xa5, 0xdb, 0x94, 0xfa, 0xe9, 0x5a, 0xe7, 0x12, 0x1a, 0x47,
};

static const uint8_t sealed_256[sizeof text + TAG_LEN] = {
    0x52, 0x2d, 0xc1, 0xf0, 0x99, 0x56, 0x7d, 0x07, 0xf4, 0x7f, 0x37, 0xa3, 0x2a, 0x84, 0x42, 0x7d,
    0x64, 0x3a, 0x8c, 0xdc, 0xbf, 0xe5, 0xc0, 0xc9, 0x75, 0x98, 0xa2, 0xbd, 0x25, 0x55, 0xd1, 0xaa,
    0x8c, 0xb0, 0x8e, 0x48, 0x59, 0x0d, 0xbb, 0x3d, 0xa7, 0xb0, 0x8b, 0x10, 0x56, 0x82, 0x88, 0x38,
    0xc5, 0xf6, 0x1e, 0x63, 0x93, 0xba, 0x7a, 0x0a, 0xbc, 0xc9, 0xf6, 0x62, 0x76, 0xfc, 0x6e, 0xce,
    0x0f, 0x4e, 0x17, 0x68, 0xcd, 0xdf, 0x88, 0x53, 0xbb, 0x2d, 0x55, 0x1b,
};

#define KNOWN(salted_len, sealed)                                                                  \
    {                                                                                              \
        .key_length_octets = (salted_len), .key = key, .idx = (uint8_t *)nonce /* read only */,    \
        .plaintext_length_octets = sizeof text, .plaintext = text,                                 \
        .ciphertext_length_octets = sizeof(sealed), .ciphertext = (sealed),                        \
        .aad_length_octets = sizeof aad, .aad = aad, .tag_length_octets = TAG_LEN,                 \
    }
static const srtp_cipher_test_case_t known_128 = KNOWN(KEY_128 + SALT_LEN, sealed_128);
static const srtp_cipher_test_case_t known_256 = KNOWN(KEY_256 + SALT_LEN, sealed_256);

#define TYPE(name, known, number)                                                                  \
    {                                                                                              \
        .alloc = gcm_alloc, .dealloc = gcm_dealloc, .init = gcm_init, .set_aad = gcm_set_aad,      \
        .encrypt = gcm_encrypt, .decrypt = gcm_decrypt, .set_iv = gcm_set_iv,                      \
        .get_tag = gcm_get_tag, .description = (name), .test_data = &(known), .id = (number),      \
    }
const srtp_cipher_type_t srtp_aes_gcm_128 =
    TYPE("AES-128 GCM, libcrypto", known_128, SRTP_AES_GCM_128);
const srtp_cipher_type_t srtp_aes_gcm_256 =
    TYPE("AES-256 GCM, libcrypto", known_256, SRTP_AES_GCM_256);

struct srtp_module srtp_mod_aes_gcm = { 0, "aes gcm" };
