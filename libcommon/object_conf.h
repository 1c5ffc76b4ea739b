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
    { .name = "PAT_RECORDING_ACCESS_KEY",                                                          \
      .kind = PAT_CONF_STR,                                                                        \
      .offset = offsetof(conf, field.access_key),                                                  \
      .help = "S3: the access key's id" },                                                         \
        { .name = "PAT_RECORDING_BUCKET",                                                          \
          .kind = PAT_CONF_STR,                                                                    \
          .offset = offsetof(conf, field.bucket),                                                  \
          .def = "recordings",                                                                     \
          .help = "the bucket recordings are kept in" },                                           \
        { .name = "PAT_RECORDING_BY_HOST",                                                         \
          .kind = PAT_CONF_BOOL,                                                                   \
          .offset = offsetof(conf, field.by_host),                                                 \
          .def = "no",                                                                             \
          .help = "S3: the bucket is part of the host name, not of the path" },                    \
        { .name = "PAT_RECORDING_REGION",                                                          \
          .kind = PAT_CONF_STR,                                                                    \
          .offset = offsetof(conf, field.region),                                                  \
          .def = "us-east-1",                                                                      \
          .help = "S3: its region" },                                                              \
        { .name = "PAT_RECORDING_SECRET_KEY",                                                      \
          .kind = PAT_CONF_SECRET,                                                                 \
          .offset = offsetof(conf, field.secret_key),                                              \
          .help = "S3: the access key's secret; Supabase: a secret API key" },                     \
        { .name = "PAT_RECORDING_STORE",                                                           \
          .kind = PAT_CONF_ENUM,                                                                   \
          .offset = offsetof(conf, field.kind),                                                    \
          .def = "s3",                                                                             \
          .help = "what speaks at PAT_RECORDING_URL",                                              \
          .arg = "s3,supabase" },                                                                  \
    {                                                                                              \
        .name = "PAT_RECORDING_URL", .kind = PAT_CONF_URL, .offset = offsetof(conf, field.url),    \
        .help = "the object store's address; empty: there is none", .arg = "http,https"            \
    }

#define PAT_STORE_PUBLIC_ROW(conf, field)                                                          \
    {                                                                                              \
        .name = "PAT_RECORDING_PUBLIC_URL", .kind = PAT_CONF_URL,                                  \
        .offset = offsetof(conf, field.public_url),                                                \
        .help =                                                                                    \
            "stands before an object's key in a recording's URL; empty: the store's own address",  \
        .arg = "http,https"                                                                        \
    }

/* Adds a line to errors for each setting a store lacks; for a daemon's check. */
void pat_store_conf_check(const struct pat_store_conf *c, struct pat_buf *errors);
/* Borrows c's texts. */
struct pat_store_opts pat_store_conf_opts(const struct pat_store_conf *c);
/* *out NULL with PAT_OK: no store is set. Otherwise as pat_store_new. */
int pat_store_open(struct pat_store **out, struct pat_http *http,
                   const struct pat_store_conf *c) PAT_MUST_CHECK;

#endif
