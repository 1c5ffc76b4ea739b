/* fuzz_jwt.c - tokens: a wrong signature never passes, and a right one lets any claims be read.
 *
 * The input is tried as a token, and as the claims of one that we sign. */
#include "sign.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Header from the input up to the first line feed, claims from the rest; signed for right. */
static char *signed_token(const uint8_t *data, size_t size)
{
    const uint8_t *nl = memchr(data, '\n', size);
    size_t header = nl ? (size_t)(nl - data) : 0;
    struct pat_buf b;
    uint8_t mac[32];
    char *token;

    if (!nl)
        return NULL;
    pat_buf_init(&b, 1 << 20);
    pat_base64url(&b, data, header);
    pat_buf_add(&b, ".", 1);
    pat_base64url(&b, nl + 1, size - header - 1);
    if (pat_hmac_sha256("secret", 6, b.data, b.len, mac))
        abort();
    pat_buf_add(&b, ".", 1);
    pat_base64url(&b, mac, sizeof mac);
    token = pat_buf_take(&b);
    pat_buf_fini(&b);
    return token;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    PAT_AUTO_STR text = strndup((const char *)data, size);
    PAT_AUTO_STR token = signed_token(data, size);
    PAT_AUTO_JSON claims = NULL;
    PAT_AUTO_JSON ours = NULL;

    /* Nobody who does not know this secret can have signed it. */
    if (!pat_jwt_hs256_verify(text, "not in any corpus", 1000, 10, &claims))
        abort();
    if (!pat_sign_livekit_webhook_verify(text, "key", "not in any corpus", data, size, 1000))
        abort();
    if (token && !pat_jwt_hs256_verify(token, "secret", 1000, 10, &ours) &&
        pat_json_num_or(ours, "exp", 0) <= 990)
        abort();
    if (token)
        (void)!pat_sign_livekit_webhook_verify(token, "key", "secret", data, size, 1000);
    return 0;
}
