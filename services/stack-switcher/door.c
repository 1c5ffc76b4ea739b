/* door.c - what every request is asked first: see door.h. */
#include "door.h"

#include "embed.h"

int door_who(struct who *who, struct switcher *s, struct pat_httpd_req *http)
{
    struct who_keys keys = { s->conf->jwt_secret, keys_now(s->keys) };
    const char *why;
    int err;

    embed_let(s, http);
    err = who_read(who, pat_httpd_header(http, "authorization"), &keys, pat_unix_ms() / 1000, &why);

    if (!err)
        return PAT_OK;
    if (err == PAT_ENOENT) {
        keys_missed(s->keys);
        err = PAT_EAUTH;
    }
    pat_counter_add(s->refused, 1);
    pat_log(PAT_INFO, "api.refused", PAT_S("path", pat_httpd_path(http)),
            PAT_S("peer", pat_httpd_peer(http)), PAT_S("why", why));
    (void)pat_httpd_set_header(http, "WWW-Authenticate", "Bearer");
    pat_httpd_reply_error(http, err, "Authorization", why);
    return err;
}

const char *door_id(struct pat_httpd_req *http)
{
    const char *id = pat_httpd_param(http, "id");

    if (id && pat_id_valid(id))
        return id;
    pat_httpd_reply_error(http, PAT_EINVAL, "id", "must be a UUID in lower case");
    return NULL;
}
