/* object_conf.h - the settings of the store of recordings, one table for every daemon that uses it.
 *
 *   struct relay_conf { struct pat_store_conf store; ... };
 *   static const struct pat_conf_row rows[] = { PAT_STORE_ROWS(struct relay_conf, store), ... };
 */
#ifndef PAT_OBJECT_CONF_H
#define PAT_OBJECT_CONF_H

#include "conf.h"
#include "object_store.h"

struct pat_store_conf {
    char *url;  /* "": there is no store */
    char *kind; /* "s3", "supabase" */
    char *bucket, *region, *access_key, *secret_key;
    char *public_url; /* PAT_STORE_PUBLIC_ROW; "": the store's own address */
    bool by_host;
};

#define PAT_STORE_ROWS(conf, field)                                                                \
    PAT_CONF_ROW(conf, "PAT_RECORDING_ACCESS_KEY", PAT_CONF_STR, field.access_key, NULL,           \
                 "S3: the access key's id"),                                                       \
        PAT_CONF_ROW(conf, "PAT_RECORDING_BUCKET", PAT_CONF_STR, field.bucket, "recordings",       \
                     "the bucket recordings are kept in"),                                         \
        PAT_CONF_ROW(conf, "PAT_RECORDING_BY_HOST", PAT_CONF_BOOL, field.by_host, "no",            \
                     "S3: the bucket is part of the host name, not of the path"),                  \
        PAT_CONF_ROW(conf, "PAT_RECORDING_REGION", PAT_CONF_STR, field.region, "us-east-1",        \
                     "S3: its region"),                                                            \
        PAT_CONF_ROW(conf, "PAT_RECORDING_SECRET_KEY", PAT_CONF_SECRET, field.secret_key, NULL,    \
                     "S3: the access key's secret; Supabase: a secret API key"),                   \
        PAT_CONF_ROW(conf, "PAT_RECORDING_STORE", PAT_CONF_ENUM, field.kind, "s3",                 \
                     "what speaks at PAT_RECORDING_URL", .arg = "s3,supabase"),                    \
        PAT_CONF_ROW(conf, "PAT_RECORDING_URL", PAT_CONF_URL, field.url, NULL,                     \
                     "the object store's address; empty: there is none", .arg = "http,https")

#define PAT_STORE_PUBLIC_ROW(conf, field)                                                          \
    PAT_CONF_ROW(                                                                                  \
        conf, "PAT_RECORDING_PUBLIC_URL", PAT_CONF_URL, field.public_url, NULL,                    \
        "stands before an object's key in a recording's URL; empty: the store's own address",      \
        .arg = "http,https")

/* Adds a line to errors for each setting a store lacks; for a daemon's check. */
void pat_store_conf_check(const struct pat_store_conf *c, struct pat_buf *errors);
/* Borrows c's texts. */
struct pat_store_opts pat_store_conf_opts(const struct pat_store_conf *c);
/* *out NULL with PAT_OK: no store is set. Otherwise as pat_store_new. */
int pat_store_open(struct pat_store **out, struct pat_http *http,
                   const struct pat_store_conf *c) PAT_MUST_CHECK;

#endif
