/* token.h - LiveKit access tokens that we sign ourselves (docs.livekit.io, "Authentication"). */
#ifndef RTC_TOKEN_H
#define RTC_TOKEN_H

#include "json.h"

#include <stdint.h>

/* Takes video_take, the room grant. identity and kind may be NULL. Yours to free; NULL: no memory.
 */
char *token_sign(const char *api_key, const char *api_secret, const char *identity,
                 const char *kind, int64_t ttl_s, struct pat_json *video_take) PAT_MUST_CHECK;
/* The same with the rights of SIP calls besides, which is taken too; NULL: none. */
char *token_sign_sip(const char *api_key, const char *api_secret, int64_t ttl_s,
                     struct pat_json *video_take, struct pat_json *sip_take) PAT_MUST_CHECK;
/* "Authorization: Bearer ..." of token, which is freed. NULL: no memory. */
char *token_header_take(char *token_take) PAT_MUST_CHECK;

#endif
