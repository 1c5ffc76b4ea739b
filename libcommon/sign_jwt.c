/* sign_jwt.c - JSON web tokens with HS256 (RFC 7515, 7519), and LiveKit's webhooks, which carry
 * one.
 *
 * The signature is checked before anything of the token is parsed. The algorithm is ours; a token
 * that names another is refused. No encryption; public keys are sign_jwks.c's.
 */
#include "sign_jwt.h"

#include <stdlib.h>
#include <string.h>

enum { LIVEKIT_LEEWAY_S = 60 };

/* {"alg":"HS256","typ":"JWT"} */
static const char our_header[] = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9";

char *pat_jwt_hs256_sign(const struct pat_json *claims, const char *secret)
{
    PAT_AUTO_STR payload = pat_json_print(claims);
    struct pat_buf out;
    uint8_t mac[32];
    char *token = NULL;

    if (!payload || !*secret)
        return NULL;
    pat_buf_init(&out, JWT_MAX);
    pat_buf_adds(&out, our_header);
    pat_buf_add(&out, ".", 1);
    pat_base64url(&out, payload, strlen(payload));
    if (!out.err && !pat_hmac_sha256(secret, strlen(secret), out.data, out.len, mac)) {
        pat_buf_add(&out, ".", 1);
        pat_base64url(&out, mac, sizeof mac);
        token = pat_buf_take(&out);
    }
    pat_buf_fini(&out);
    return token;
}

/* Three parts of the URL alphabet, none of them empty. */
bool jwt_split(const char *token, struct jwt_parts *p)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

    p->header = token;
    p->header_len = strspn(token, alphabet);
    if (!p->header_len || token[p->header_len] != '.')
        return false;
    p->payload = token + p->header_len + 1;
    p->payload_len = strspn(p->payload, alphabet);
    if (!p->payload_len || p->payload[p->payload_len] != '.')
        return false;
    p->signature = p->payload + p->payload_len + 1;
    p->signed_len = p->header_len + 1 + p->payload_len;
    return *p->signature && p->signature[strspn(p->signature, alphabet)] == '\0';
}

static int check_signature(const struct jwt_parts *p, const char *secret)
{
    struct pat_buf theirs;
    uint8_t mac[32];
    int err = pat_hmac_sha256(secret, strlen(secret), p->header, p->signed_len, mac);

    if (err)
        return err;
    pat_buf_init(&theirs, 64);
    err = pat_unbase64(&theirs, p->signature, strlen(p->signature));
    if (!err && (theirs.len != sizeof mac || !pat_equal_ct(theirs.data, mac, sizeof mac)))
        err = PAT_EAUTH;
    pat_buf_fini(&theirs);
    return err == PAT_OK || err == PAT_ENOMEM ? err : PAT_EAUTH;
}

int jwt_part(const char *part, size_t len, struct pat_json **out)
{
    struct pat_buf text;
    int err;

    pat_buf_init(&text, JWT_MAX);
    err = pat_unbase64(&text, part, len);
    if (!err)
        err = pat_json_parse(out, text.data, text.len, NULL);
    pat_buf_fini(&text);
    if (!err && pat_json_kind(*out) != PAT_JSON_OBJ) {
        pat_json_free(*out);
        *out = NULL;
        err = PAT_EAUTH;
    }
    return err == PAT_OK || err == PAT_ENOMEM ? err : PAT_EAUTH;
}

static int check_header(const struct jwt_parts *p)
{
    PAT_AUTO_JSON header = NULL;
    int err;

    if (p->header_len == sizeof our_header - 1 && !memcmp(p->header, our_header, p->header_len))
        return PAT_OK;
    err = jwt_part(p->header, p->header_len, &header);
    if (err)
        return err;
    /* "crit" names extensions one must understand (RFC 7515 section 4.1.11); we know none. */
    if (strcmp(pat_json_str_or(header, "alg", ""), "HS256") != 0 || pat_json_at(header, "crit"))
        return PAT_EAUTH;
    return PAT_OK;
}

int jwt_times(const struct pat_json *claims, int64_t now_s, int leeway_s)
{
    double exp;
    double nbf;
    double now = (double)now_s;

    if (pat_json_get_num(claims, "exp", &exp, NULL))
        return PAT_EAUTH;
    if (pat_json_at(claims, "nbf")) {
        if (pat_json_get_num(claims, "nbf", &nbf, NULL))
            return PAT_EAUTH;
        if (now + leeway_s < nbf)
            return PAT_ESTALE;
    }
    return now - leeway_s < exp ? PAT_OK : PAT_ESTALE;
}

int pat_jwt_hs256_verify(const char *token, const char *secret, int64_t now_s, int leeway_s,
                         struct pat_json **claims)
{
    struct jwt_parts p;
    PAT_AUTO_JSON found = NULL;
    int err;

    /* An empty secret is a setting somebody forgot: it must not let everybody in. */
    if (!token || !secret || !*secret || strnlen(token, JWT_MAX) == JWT_MAX ||
        !jwt_split(token, &p))
        return PAT_EAUTH;
    err = check_signature(&p, secret);
    if (!err)
        err = check_header(&p);
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

static int check_body(const struct pat_json *claims, const void *body, size_t len)
{
    const char *text;
    struct pat_buf theirs;
    uint8_t ours[32];
    int err = pat_json_get_str(claims, "sha256", &text, NULL);

    if (err)
        return PAT_EAUTH;
    pat_sha256(body, len, ours);
    pat_buf_init(&theirs, 64);
    err = pat_unbase64(&theirs, text, strlen(text));
    if (!err && (theirs.len != sizeof ours || !pat_equal_ct(theirs.data, ours, sizeof ours)))
        err = PAT_EAUTH;
    pat_buf_fini(&theirs);
    return err == PAT_OK || err == PAT_ENOMEM ? err : PAT_EAUTH;
}

int pat_sign_livekit_webhook_verify(const char *authorization, const char *api_key,
                                    const char *secret, const void *body, size_t len, int64_t now_s)
{
    PAT_AUTO_JSON claims = NULL;
    int err;

    if (!authorization)
        return PAT_EAUTH;
    if (!strncasecmp(authorization, "Bearer ", 7))
        authorization += 7;
    err = pat_jwt_hs256_verify(authorization, secret, now_s, LIVEKIT_LEEWAY_S, &claims);
    if (err)
        return err;
    if (strcmp(pat_json_str_or(claims, "iss", ""), api_key) != 0)
        return PAT_EAUTH;
    return check_body(claims, body, len);
}
