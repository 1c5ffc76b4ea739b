/* sign_webhook.c - the signature of webhooks we send: Standard Webhooks 1.0.0.
 *
 * github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md: HMAC ("v1") and
 * Ed25519
 * ("v1a", which the specification has and most receivers' libraries do not read yet). Keys are made
 * in sign_webhook_keys.c.
 */
#include "sign.h"

#include <openssl/evp.h>
#include <string.h>

enum { KEY_MAX = 256, SIGNED_MAX = 4 << 20, SEED_LEN = 32, SIGNATURE_LEN = 64 };

/* The bytes behind the prefix, which may be missing. */
static int key_bytes(struct pat_buf *key, const char *secret, const char *prefix)
{
    size_t n = strlen(prefix);
    int err;

    if (strncmp(secret, prefix, n) == 0)
        secret += n;
    pat_buf_init(key, KEY_MAX);
    err = pat_unbase64(key, secret, strlen(secret));
    if (err == PAT_ENOMEM)
        return err;
    return err || !key->len ? PAT_EINVAL : PAT_OK;
}

static void key_forget(struct pat_buf *key)
{
    if (key->data)
        explicit_bzero(key->data, key->len);
    pat_buf_fini(key);
}

static int text_of(struct pat_buf *text, const char *id, int64_t now_s, const void *body,
                   size_t len)
{
    pat_buf_init(text, SIGNED_MAX);
    pat_buf_adds(text, id);
    pat_buf_adds(text, ".");
    pat_buf_addi(text, now_s);
    pat_buf_adds(text, ".");
    return pat_buf_add(text, body, len);
}

static int add_signature(struct pat_buf *out, const char *version, const uint8_t *bytes, size_t n)
{
    int err = pat_buf_adds(out, version);

    return err ? err : pat_base64(out, bytes, n);
}

int pat_sign_webhook(struct pat_buf *out, const char *secret, const char *id, int64_t now_s,
                     const void *body, size_t len)
{
    struct pat_buf key, text;
    uint8_t mac[32];
    int err = key_bytes(&key, secret, "whsec_");

    if (!err)
        err = text_of(&text, id, now_s, body, len);
    else
        pat_buf_init(&text, 1);
    if (!err)
        err = pat_hmac_sha256(key.data, key.len, text.data, text.len, mac);
    if (!err)
        err = add_signature(out, "v1,", mac, sizeof mac);
    key_forget(&key);
    pat_buf_fini(&text);
    return err;
}

static int ed25519(const struct pat_buf *seed, const struct pat_buf *text,
                   uint8_t signature[SIGNATURE_LEN])
{
    EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL,
                                                 (const unsigned char *)seed->data, SEED_LEN);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    size_t len = SIGNATURE_LEN;
    bool good =
        key && md && EVP_DigestSignInit(md, NULL, NULL, NULL, key) == 1 &&
        EVP_DigestSign(md, signature, &len, (const unsigned char *)text->data, text->len) == 1;

    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    return good ? PAT_OK : PAT_ENOMEM;
}

int pat_sign_webhook_ed25519(struct pat_buf *out, const char *secret, const char *id, int64_t now_s,
                             const void *body, size_t len)
{
    struct pat_buf key, text;
    uint8_t signature[SIGNATURE_LEN];
    int err = key_bytes(&key, secret, "whsk_");

    if (!err && key.len != SEED_LEN && key.len != (size_t)2 * SEED_LEN)
        err = PAT_EINVAL;
    if (!err)
        err = text_of(&text, id, now_s, body, len);
    else
        pat_buf_init(&text, 1);
    if (!err)
        err = ed25519(&key, &text, signature);
    if (!err)
        err = add_signature(out, "v1a,", signature, sizeof signature);
    key_forget(&key);
    pat_buf_fini(&text);
    return err;
}
