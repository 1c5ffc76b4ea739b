/* role.c - compares what a leg says of itself with the router's signature. */
#include "role.h"

#include <string.h>

int role_verify(const struct role *r, const char *call_id, const char *name, const char *transfer,
                const char *secret)
{
    struct pat_buf text;
    int err;

    if (!r->name || !r->transfer || !r->sig || strcmp(r->name, name) != 0 ||
        strcmp(r->transfer, transfer) != 0)
        return PAT_EAUTH;
    pat_buf_init(&text, 256);
    err = pat_buf_addf(&text, "%s|%s|%s", call_id, name, transfer);
    if (!err)
        err = pat_sign_short_verify(r->sig, secret, "role", text.data);
    pat_buf_fini(&text);
    return err ? PAT_EAUTH : PAT_OK;
}
