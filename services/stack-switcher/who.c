/* who.c - who asks: see who.h. */
#include "who.h"

#include <math.h>
#include <string.h>

/* Clocks differ a little between Supabase and us. */
#define LEEWAY_S 30

static bool is_for_us(const struct pat_json *claims)
{
    const struct pat_json *aud = pat_json_at(claims, "aud");
    const char *one = aud ? pat_json_value_str(aud) : NULL;

    if (one)
        return !strcmp(one, "authenticated");
    if (!aud || pat_json_kind(aud) != PAT_JSON_ARR)
        return false;
    PAT_JSON_EACH(item, aud)
    {
        const char *name = pat_json_value_str(item);

        if (name && !strcmp(name, "authenticated"))
            return true;
    }
    return false;
}

/* exp may have a fraction (RFC 7519, 4.1.4), or be beyond all time. */
static int64_t end_of(const struct pat_json *claims)
{
    double exp = pat_json_num_or(claims, "exp", 0);

    return exp < 1e15 ? (int64_t)ceil(exp) + LEEWAY_S : INT64_MAX;
}

static int read_claims(struct who *out, const struct pat_json *claims, const char **why)
{
    const char *role = pat_json_str_or(claims, "role", "");
    const char *sub = pat_json_str_or(claims, "sub", "");
    struct who w = { .until_s = end_of(claims) };

    if (!strcmp(role, "service_role")) {
        w.admin = true;
        *out = w;
        return PAT_OK;
    }
    *why = "the token is not a signed-in user's";
    if (strcmp(role, "authenticated") || !is_for_us(claims) ||
        !pat_strcpy(w.user, sizeof w.user, sub) || !pat_id_lower(w.user))
        return PAT_EAUTH;
    w.admin = !strcmp(pat_json_str_or(claims, "app_metadata.role", ""), "admin");
    *out = w;
    return PAT_OK;
}

int who_read(struct who *out, const char *authorization, const struct who_keys *keys, int64_t now_s,
             const char **why)
{
    PAT_AUTO_JSON claims = NULL;
    int err;

    *why = "a bearer token is needed";
    if (!authorization || strncasecmp(authorization, "Bearer ", 7))
        return PAT_EAUTH;
    err = pat_jwt_verify(authorization + 7, keys->secret, keys->keys, now_s, LEEWAY_S, &claims);
    *why =
        err == PAT_ESTALE ? "the token has expired, or is not valid yet" : "the token is not valid";
    if (err)
        return err == PAT_ENOMEM || err == PAT_ENOENT ? err : PAT_EAUTH;
    return read_claims(out, claims, why);
}
