/* token.c - signs access tokens. Clocks of servers differ: nbf lies a little in the past. */
#include "token.h"

#include "loop.h"
#include "sign.h"

#include <stdlib.h>

#define SKEW_S 10

struct who {
    const char *identity, *kind;
};

static char *sign(const char *api_key, const char *api_secret, const struct who *who, int64_t ttl_s,
                  struct pat_json *video_take, struct pat_json *sip_take)
{
    PAT_AUTO_JSON claims = pat_json_obj();
    int64_t now_s = pat_unix_ms() / 1000;

    if (!claims) {
        pat_json_free(video_take);
        pat_json_free(sip_take);
        return NULL;
    }
    pat_json_set_str(claims, "iss", api_key);
    pat_json_set_int(claims, "nbf", now_s - SKEW_S);
    pat_json_set_int(claims, "exp", now_s + ttl_s);
    if (who->identity)
        pat_json_set_str(claims, "sub", who->identity);
    if (who->kind)
        pat_json_set_str(claims, "kind", who->kind);
    pat_json_set_take(claims, "video", video_take);
    if (sip_take)
        pat_json_set_take(claims, "sip", sip_take);
    return pat_jwt_hs256_sign(claims, api_secret);
}

char *token_sign(const char *api_key, const char *api_secret, const char *identity,
                 const char *kind, int64_t ttl_s, struct pat_json *video_take)
{
    return sign(api_key, api_secret, &(struct who){ identity, kind }, ttl_s, video_take, NULL);
}

char *token_sign_sip(const char *api_key, const char *api_secret, int64_t ttl_s,
                     struct pat_json *video_take, struct pat_json *sip_take)
{
    return sign(api_key, api_secret, &(struct who){ NULL, NULL }, ttl_s, video_take, sip_take);
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
