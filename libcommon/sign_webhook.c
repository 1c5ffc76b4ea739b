/* sign_webhook.c - the signature of webhooks we send: Standard Webhooks 1.0.0, symmetric keys.
 *
 * github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md. Only HMAC: nobody has
 * asked for Ed25519.
 */
#include "sign.h"

#include <string.h>

enum { KEY_MAX = 256, SIGNED_MAX = 4 << 20 };

int pat_sign_webhook(struct pat_buf *out, const char *secret, const char *id, int64_t now_s,
                     const void *body, size_t len)
{
    static const char prefix[] = "whsec_";
    struct pat_buf key, text;
    uint8_t mac[32];
    int err;

    if (strncmp(secret, prefix, sizeof prefix - 1) == 0)
        secret += sizeof prefix - 1;
    pat_buf_init(&key, KEY_MAX);
    pat_buf_init(&text, SIGNED_MAX);
    err = pat_unbase64(&key, secret, strlen(secret)) || !key.len ? PAT_EINVAL : PAT_OK;
    if (!err) {
        pat_buf_addf(&text, "%s.%lld.", id, (long long)now_s);
        err = pat_buf_add(&text, body, len);
    }
    if (!err)
        err = pat_hmac_sha256(key.data, key.len, text.data, text.len, mac);
    if (!err)
        err = pat_buf_adds(out, "v1,");
    if (!err)
        err = pat_base64(out, mac, sizeof mac);
    if (key.data)
        explicit_bzero(key.data, key.len);
    pat_buf_fini(&key);
    pat_buf_fini(&text);
    return err;
}
