/* callref.h - what a callback of the carrier must carry so that any replica can go on with the
 * call.
 *
 * Travels in our callback URLs as a signed token, so a call's record can be rebuilt even when its
 * first write was lost and the replica that answered is gone. Not secret: the carrier sees it, so
 * do its logs.
 */
#ifndef ROUTER_CALLREF_H
#define ROUTER_CALLREF_H

#include "router.h"

#define CALLREF_ID_MAX    128 /* a carrier's or provider's id */
#define CALLREF_TOKEN_MAX 1600

struct callref {
    struct pat_id call;
    char carrier_call[CALLREF_ID_MAX + 1];
    char user[PAT_ID_LEN + 1];
    char agent_config[PAT_ID_LEN + 1]; /* "" when the user has none */
    char retell_call[CALLREF_ID_MAX + 1];
    char from[20]; /* E.164; "" when withheld */
    char to[20];
    enum stack stack; /* tried last */
    unsigned tried;   /* what was: ladder.h has the bits */
    unsigned moves;   /* transfers and the like before this leg was dialled (leg.h) */
    unsigned redials; /* times a leg that had died was dialled again */
    unsigned action;  /* enum decide_action (decide.h): what was answered last */
    int64_t config_version;
    int64_t offered_ms; /* unix */
};

/* Appends the token: base64url of the fields, a dot, the signature. */
int callref_token(struct pat_buf *out, const char *secret, const struct callref *c) PAT_MUST_CHECK;
/* PAT_EAUTH: not ours, altered, or older than a day. */
int callref_parse(struct callref *out, const char *secret, const char *token,
                  int64_t now_ms) PAT_MUST_CHECK;

#endif
