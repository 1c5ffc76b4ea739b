/* token.c - signs access tokens. Clocks of servers differ: nbf lies a little in the past. */
#include "token.h"

#include "loop.h"
#include "sign.h"

#include <stdlib.h>

#define SKEW_S 10

char *token_sign(const char *api_key, const char *api_secret, const char *identity,
                 const char *kind, int64_t ttl_s, struct pat_json *video_take)
{
    PAT_AUTO_JSON claims = pat_json_obj();
    int64_t now_s = pat_unix_ms() / 1000;

    if (!claims) {
        pat_json_free(video_take);
        return NULL;
    }
    pat_json_set_str(claims, "iss", api_key);
    pat_json_set_int(claims, "nbf", now_s - SKEW_S);
    pat_json_set_int(claims, "exp", now_s + ttl_s);
    if (identity)
        pat_json_set_str(claims, "sub", identity);
    if (kind)
        pat_json_set_str(claims, "kind", kind);
    pat_json_set_take(claims, "video", video_take);
    return pat_jwt_hs256_sign(claims, api_secret);
}

char *token_header_take(char *token_take)
{
    struct pat_buf b;

    if (!token_take)
        return NULL;
    pat_buf_init(&b, 16 * 1024);
    pat_buf_addf(&b, "Authorization: Bearer %s", token_take);
    free(token_take);
    char *header = pat_buf_take(&b);
    pat_buf_fini(&b);
    return header;
}
