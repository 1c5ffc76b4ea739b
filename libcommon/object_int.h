/* object_int.h - the inside of the object store, shared by object_*.c and nobody else.
 *
 *   object_store.c     operations under way, whichever the store
 *   object_s3.c        requests and answers of S3
 *   object_supabase.c  requests and answers of Supabase Storage
 *   sign_aws4.c        signature version 4
 */
#ifndef PAT_OBJECT_INT_H
#define PAT_OBJECT_INT_H

#include "buf.h"
#include "object_store.h"

enum object_verb {
    OBJECT_PUT,
    OBJECT_GET,
    OBJECT_DELETE,
    OBJECT_LIST,
    OBJECT_BEGIN,
    OBJECT_PART,
    OBJECT_END,
};

/* One operation, as asked. */
struct object_ask {
    enum object_verb verb;
    const char *key; /* or folder */
    const char *type;
    const void *data;
    size_t len, max;
    bool ranged; /* a get of max bytes */
    uint64_t from;
    size_t seen;
    const char *last;
    const char *upload;
    int number;
};

enum { OBJECT_HEADERS = 12, OBJECT_NAMES = 1000 };

/* The request it becomes. */
struct object_request {
    const char *method;
    struct pat_buf url;
    struct pat_buf lines[OBJECT_HEADERS]; /* "Name: value" */
    size_t n;
    struct pat_buf body; /* when it is not the caller's data */
};

struct pat_store {
    struct pat_http *http;
    bool supabase, by_host;
    char *origin; /* https://host:port */
    char *host;   /* as curl sends it */
    char *base;   /* path before the bucket: "" or "/..." */
    char *bucket, *region, *access_key, *secret_key, *public_url;
    struct object_op *ops;
};

struct object_names {
    char *names[OBJECT_NAMES];
    size_t n;
    bool more;
};

/* s3 */
int object_s3_request(const struct pat_store *s, const struct object_ask *a, int64_t unix_ms,
                      struct object_request *r);
int object_s3_error(const struct pat_http_res *res);
/* From "<Key>..</Key>" and the like. */
int object_s3_names(const char *folder, const char *body, struct object_names *out);
bool object_xml_text(const char *body, const char *tag, const char **next, struct pat_buf *out);

/* supabase */
int object_supabase_request(const struct pat_store *s, const struct object_ask *a,
                            struct object_request *r);
int object_supabase_error(const struct pat_http_res *res);
int object_supabase_names(const char *body, size_t len, struct object_names *out);

/* What an HTTP status that is no success means. */
int object_status_error(int status);
int object_header(struct object_request *r, const char *name, const char *value);
/* Each segment percent-encoded, the slashes kept. */
int object_path(struct pat_buf *out, const char *path);

#endif
