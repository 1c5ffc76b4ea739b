/* sign_webhook_keys.c - the keys webhooks are signed with: made, and judged.
 *
 * Standard Webhooks 1.0.0, "Signature scheme": 24 to 64 random bytes, or an Ed25519 pair. Whether
 * "whsk_" holds the seed or the seed and the public key is not said there: ours has the seed.
 */
#include "sign.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

enum { SECRET_LEN = 32, LEAST = 24, MOST = 64 };

static int as_text(char out[PAT_WEBHOOK_KEY_MAX], const char *prefix, const uint8_t *bytes,
                   size_t n)
{
    struct pat_buf b;
    int err;

    pat_buf_init(&b, PAT_WEBHOOK_KEY_MAX - 1);
    pat_buf_adds(&b, prefix);
    err = pat_base64(&b, bytes, n);
    if (!err) {
        (void)pat_strcpy(out, PAT_WEBHOOK_KEY_MAX, b.data);
        explicit_bzero(b.data, b.len);
    }
    pat_buf_fini(&b);
    return err;
}

int pat_webhook_secret_new(char out[PAT_WEBHOOK_KEY_MAX])
{
    uint8_t bytes[SECRET_LEN];
    int err = RAND_bytes(bytes, sizeof bytes) == 1 ? PAT_OK : PAT_EIO;

    if (!err)
        err = as_text(out, "whsec_", bytes, sizeof bytes);
    explicit_bzero(bytes, sizeof bytes);
    return err;
}

int pat_webhook_keys_new(char secret[PAT_WEBHOOK_KEY_MAX], char pub[PAT_WEBHOOK_KEY_MAX])
{
    uint8_t seed[SECRET_LEN], point[SECRET_LEN];
    size_t len = sizeof point;
    EVP_PKEY *key = NULL;
    int err = RAND_bytes(seed, sizeof seed) == 1 ? PAT_OK : PAT_EIO;

    if (!err)
        key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, sizeof seed);
    if (!err && (!key || EVP_PKEY_get_raw_public_key(key, point, &len) != 1))
        err = PAT_ENOMEM;
    if (!err)
        err = as_text(secret, "whsk_", seed, sizeof seed);
    if (!err)
        err = as_text(pub, "whpk_", point, sizeof point);
    EVP_PKEY_free(key);
    explicit_bzero(seed, sizeof seed);
    return err;
}

bool pat_webhook_secret_valid(const char *secret)
{
    struct pat_buf key;
    bool good;

    if (strncmp(secret, "whsec_", 6) != 0)
        return false;
    pat_buf_init(&key, MOST);
    good = !pat_unbase64(&key, secret + 6, strlen(secret + 6)) && key.len >= LEAST;
    if (key.data)
        explicit_bzero(key.data, key.len);
    pat_buf_fini(&key);
    return good;
}
