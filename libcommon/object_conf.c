/* object_conf.c - from settings to a store: see object_conf.h. */
#include "object_conf.h"

#include <string.h>

static bool is_supabase(const struct pat_store_conf *c)
{
    return !strcmp(c->kind, "supabase");
}

void pat_store_conf_check(const struct pat_store_conf *c, struct pat_buf *errors)
{
    if (!*c->url)
        return;
    if (!*c->bucket || !*c->secret_key)
        pat_buf_adds(errors, "PAT_RECORDING_URL: needs a bucket and a secret key\n");
    if (!is_supabase(c) && !*c->access_key)
        pat_buf_adds(errors, "PAT_RECORDING_ACCESS_KEY: S3 needs one\n");
}

struct pat_store_opts pat_store_conf_opts(const struct pat_store_conf *c)
{
    return (struct pat_store_opts){ .supabase = is_supabase(c),
                                    .url = c->url,
                                    .bucket = c->bucket,
                                    .region = c->region,
                                    .access_key = c->access_key,
                                    .secret_key = c->secret_key,
                                    .by_host = c->by_host,
                                    .public_url = c->public_url };
}

int pat_store_open(struct pat_store **out, struct pat_http *http, const struct pat_store_conf *c)
{
    struct pat_store_opts o = pat_store_conf_opts(c);

    *out = NULL;
    return *c->url ? pat_store_new(out, http, &o) : PAT_OK;
}
