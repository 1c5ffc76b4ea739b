/* sign_jwt.h - the inside of sign_jwt.c and sign_jwks.c: a token's three parts. */
#ifndef PAT_SIGN_JWT_H
#define PAT_SIGN_JWT_H

#include "sign.h"

enum { JWT_MAX = 16 << 10 }; /* a request header's usual limit */

struct jwt_parts {
    const char *header;
    size_t header_len;
    const char *payload;
    size_t payload_len;
    const char *signature;
    size_t signed_len;
};

bool jwt_split(const char *token, struct jwt_parts *p);
/* One part as an object; PAT_EAUTH: it is none. */
int jwt_part(const char *part, size_t len, struct pat_json **out);
/* exp is required; PAT_ESTALE: not now. */
int jwt_times(const struct pat_json *claims, int64_t now_s, int leeway_s);

#endif
