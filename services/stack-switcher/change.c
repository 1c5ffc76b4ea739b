/* change.c - a change somebody asks for: see change.h. */
#include "change.h"

#include <string.h>

#define KEY_MAX 200 /* bytes of an Idempotency-Key */

void change_set_why(struct pat_json *about, const char *said)
{
    size_t len = 0;

    for (int n = 0; said && said[len]; len++)
        if (((unsigned char)said[len] & 0xc0) != 0x80 && n++ == CHANGE_WHY_MAX)
            break; /* here begins the first character that is too many */
    if (len)
        pat_json_set_strn(about, "why", said, len);
    else
        pat_json_set_null(about, "why");
}

struct pat_json *change_about(const struct who *who, struct pat_httpd_req *http, const char *said)
{
    struct pat_json *p = pat_json_obj();

    pat_json_set_str(p, "actor", *who->user ? who->user : "service");
    pat_json_set_str(p, "actor_id", *who->user ? who->user : NULL);
    pat_json_set_str(p, "peer", pat_httpd_peer(http));
    change_set_why(p, said);
    return p;
}

bool change_head(const char **key, bool *plan, struct pat_httpd_req *http)
{
    const char *dry = pat_httpd_query_param(http, "dry_run");

    *key = pat_httpd_header(http, "idempotency-key");
    *plan = dry && strcmp(dry, "0") != 0 && strcmp(dry, "false") != 0;
    if (!*key || (**key && strlen(*key) <= KEY_MAX))
        return true;
    pat_httpd_reply_error(http, PAT_EINVAL, "Idempotency-Key", "must have 1 to 200 characters");
    return false;
}

bool change_sign(struct pat_json *about, const struct pat_json *params, struct pat_rpc_req *r)
{
    const char *who;
    struct pat_json_err why;
    int err = pat_json_get_str(params, "who", &who, &why);

    if (err) {
        pat_rpc_fail(r, err, why.path, why.what);
        return false;
    }
    pat_json_set_str(about, "actor", who);
    change_set_why(about, pat_json_str_or(params, "why", NULL));
    return true;
}

const char *change_id(const char *field, const struct pat_json *params, struct pat_rpc_req *r)
{
    const char *id;
    struct pat_json_err why;
    int err = pat_json_get_id(params, field, &id, &why);

    if (!err)
        return id;
    pat_rpc_fail(r, err, why.path, why.what);
    return NULL;
}

void change_reply(struct pat_rpc_req *r, int err, const struct pat_json *reply, const char *member)
{
    int refused = err && !reply ? err : switch_reply_err(reply);
    const struct pat_json *w = pat_json_at(reply, member);

    if (refused)
        pat_rpc_fail(r, refused, NULL, pat_json_str_or(reply, "message", pat_err_text(refused)));
    else
        pat_rpc_reply(r, pat_json_dup(w ? w : reply));
}
