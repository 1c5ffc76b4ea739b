/* sign.h - keyed digests, tokens and the vendors' request signatures.
 *
 * All comparisons take constant time. Verifying returns PAT_OK or PAT_EAUTH (PAT_ESTALE: signature
 * right, time outside the window). Keys are NUL-terminated text unless a length is given. Thread:
 * any.
 */
#ifndef PAT_SIGN_H
#define PAT_SIGN_H

#include "buf.h"
#include "json.h"

#include <stdint.h>

void pat_sha256(const void *data, size_t len, uint8_t out[32]);
int pat_hmac_sha256(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[32]);
int pat_hmac_sha1(const void *key, size_t key_len, const void *data, size_t len, uint8_t out[20]);
bool pat_equal_ct(const void *a, const void *b, size_t len);

int pat_hex(struct pat_buf *out, const void *data, size_t len); /* lower-case */
int pat_unhex(uint8_t *out, size_t cap, const char *hex, size_t *len);
int pat_base64(struct pat_buf *out, const void *data, size_t len); /* RFC 4648 section 4, padded */
int pat_base64url(struct pat_buf *out, const void *data, size_t len); /* section 5, unpadded */
/* Both alphabets, padding optional. */
int pat_unbase64(struct pat_buf *out, const char *s, size_t len);
/* The six bits of one character of either alphabet, -1: it is of none. To read what comes in
 * pieces. */
int pat_base64_bits(char c);

/* JWT, HS256 only (the key fixes the algorithm, never the token). Compact text, yours to free. */
char *pat_jwt_hs256_sign(const struct pat_json *claims, const char *secret) PAT_MUST_CHECK;
/* exp is required, nbf and exp are checked with leeway_s. *claims is yours on PAT_OK. */
int pat_jwt_hs256_verify(const char *token, const char *secret, int64_t now_s, int leeway_s,
                         struct pat_json **claims) PAT_MUST_CHECK;

/* Public keys as an issuer lists them (RFC 7517): those of P-256 and RSA of at least 2048 bits that
 * are for signatures; others are passed over. PAT_EINVAL: no such list. */
struct pat_jwks;
int pat_jwks_parse(struct pat_jwks **out, const char *text, size_t len) PAT_MUST_CHECK;
void pat_jwks_free(struct pat_jwks *k);
size_t pat_jwks_count(const struct pat_jwks *k);
/* A token signed with ES256 or RS256 by one of keys (NULL: none), or with HS256 by secret (NULL or
 * "": none). The key fixes the algorithm: a public one never serves as a secret. PAT_ENOENT: the
 * token names a key that is not listed. Otherwise as pat_jwt_hs256_verify. */
int pat_jwt_verify(const char *token, const char *secret, const struct pat_jwks *keys,
                   int64_t now_s, int leeway_s, struct pat_json **claims) PAT_MUST_CHECK;

/* LiveKit webhooks: Authorization holds a JWT (with or without "Bearer "), claim sha256 = base64 of
 * the raw body's SHA-256 (github.com/livekit/protocol webhook/verifier.go). */
int pat_sign_livekit_webhook_verify(const char *authorization, const char *api_key,
                                    const char *secret, const void *body, size_t len,
                                    int64_t now_s) PAT_MUST_CHECK;

/* Retell: X-Retell-Signature "v=<unix ms>,d=<hex>", HMAC-SHA256 over body || decimal v, window 5
 * min (docs.retellai.com/features/secure-webhook). keys: one, or several separated by commas, while
 * one replaces the other. */
int pat_sign_retell(struct pat_buf *out, const char *api_key, const void *body, size_t len,
                    int64_t now_ms);
int pat_sign_retell_verify(const char *header, const char *keys, const void *body, size_t len,
                           int64_t now_ms) PAT_MUST_CHECK;

/* ElevenLabs: ElevenLabs-Signature "t=<unix s>,v0=<hex>", HMAC-SHA256 over t "." body, window 30
 * min (elevenlabs.io/docs/eleven-api/resources/webhooks; elevenlabs-python webhooks_custom.py).
 * Other parts of the header are skipped. */
int pat_sign_elevenlabs(struct pat_buf *out, const char *secret, const void *body, size_t len,
                        int64_t now_s);
int pat_sign_elevenlabs_verify(const char *header, const char *secret, const void *body, size_t len,
                               int64_t now_s) PAT_MUST_CHECK;

/* Standard Webhooks (standard-webhooks.com, spec 1.0.0), symmetric: "v1,<base64>" of HMAC-SHA256
 * over id "." seconds "." body. secret: "whsec_<base64>", or the base64 alone. PAT_EINVAL: no such
 * secret. */
int pat_sign_webhook(struct pat_buf *out, const char *secret, const char *id, int64_t now_s,
                     const void *body, size_t len);
/* The same, asymmetric: "v1a,<base64>" of Ed25519. secret: "whsk_<base64>" of the 32 byte seed, or
 * of seed and public key. */
int pat_sign_webhook_ed25519(struct pat_buf *out, const char *secret, const char *id, int64_t now_s,
                             const void *body, size_t len);
/* New ones, as text: "whsec_..." of 32 random bytes; "whsk_..." and "whpk_...". */
#define PAT_WEBHOOK_KEY_MAX 100
int pat_webhook_secret_new(char out[PAT_WEBHOOK_KEY_MAX]) PAT_MUST_CHECK;
int pat_webhook_keys_new(char secret[PAT_WEBHOOK_KEY_MAX],
                         char pub[PAT_WEBHOOK_KEY_MAX]) PAT_MUST_CHECK;
/* "whsec_" and the base64 of 24 to 64 bytes? */
bool pat_webhook_secret_valid(const char *secret);

/* One decoded form or query parameter. */
struct pat_param {
    const char *name;
    const char *value;
};

/* SignalWire, scheme A (JSON bodies): hex HMAC-SHA1 (32-byte SHA-256 form: hex HMAC-SHA256) over
 * url || raw body. Scheme B (form bodies): base64 HMAC-SHA1 over url || name value ... sorted by
 * name, repeated names in order. Several keys are separated by commas (rotation). url: the public
 * one as configured at the vendor, tried as it is, with and without the default port, its
 * fragment and its user part (SignalWire docs, "Webhook security"; signalwire-python
 * core/security/webhook_validator.py). */
int pat_sign_signalwire_json_verify(const char *signature, const char *keys, const char *url,
                                    const void *body, size_t len) PAT_MUST_CHECK;
int pat_sign_signalwire_form_verify(const char *signature, const char *keys, const char *url,
                                    const struct pat_param *params, size_t n) PAT_MUST_CHECK;
int pat_sign_signalwire_form(struct pat_buf *out, const char *key, const char *url,
                             const struct pat_param *params, size_t n);
int pat_sign_signalwire_json(struct pat_buf *out, const char *key, const char *url,
                             const void *body, size_t len, bool sha256);

/* Our own short signature for callback URLs and SIP headers: base64url of the first 16 bytes of
 * HMAC-SHA256(secret, purpose || 0 || text). purpose keeps signatures of one use from serving
 * another. */
int pat_sign_short(struct pat_buf *out, const char *secret, const char *purpose, const char *text);
int pat_sign_short_verify(const char *signature, const char *secret, const char *purpose,
                          const char *text) PAT_MUST_CHECK;

#endif
