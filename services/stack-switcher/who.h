/* who.h - who asks: a Supabase token, verified.
 *
 * Tokens are HS256 with the project's secret, or ES256 or RS256 with one of its public keys. A
 * user's token has role "authenticated" and says so in aud too (a text or a list); a service token
 * has role "service_role" and need not name anybody. Supabase docs, "JWT claims reference". Pure:
 * time is an argument.
 */
#ifndef SWITCHER_WHO_H
#define SWITCHER_WHO_H

#include "pat.h"

struct who {
    char user[PAT_ID_LEN + 1]; /* "" for a service */
    /* By the token: app_metadata.role, or a service. Postgres may know more (patchbay.admins). */
    bool admin;
    int64_t until_s; /* unix time: from then on the token is refused */
};

/* What tokens are checked with; either may be NULL. */
struct who_keys {
    const char *secret;
    const struct pat_jwks *keys;
};

/* authorization: the header, or NULL. PAT_EAUTH: missing, not ours, expired, or not for us; *why is
 * a literal for people. PAT_ENOENT: signed by a key we have not heard of (yet): refused, too. */
int who_read(struct who *out, const char *authorization, const struct who_keys *keys, int64_t now_s,
             const char **why) PAT_MUST_CHECK;

#endif
