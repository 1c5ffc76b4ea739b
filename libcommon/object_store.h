/* object_store.h - objects in a bucket: S3 and what speaks like it, or Supabase Storage.
 *
 * Keys are relative to the bucket, of unreserved characters and '/'. Every operation has a deadline
 * and calls back once, unless forgotten; nothing is retried here. Life: pat_store_new ->
 * operations -> pat_store_free (forgets what is left). Thread: the loop's.
 * S3: signature version 4 (docs.aws.amazon.com, "Create a signed AWS API request"), addressed by
 * path or by host. Supabase: its storage REST with a secret key (supabase.com/docs,
 * guides/storage); no multipart there, so an object is sent in one request.
 */
#ifndef PAT_OBJECT_STORE_H
#define PAT_OBJECT_STORE_H

#include "http.h"

struct pat_store;

struct pat_store_opts {
    bool supabase;
    const char *url; /* https://s3.eu-central-1.amazonaws.com, https://<ref>.supabase.co */
    const char *bucket;
    const char *region;
    const char *access_key; /* not with Supabase */
    const char *secret_key;
    bool by_host; /* https://<bucket>.<host>/<key> instead of https://<host>/<bucket>/<key> */
    const char
        *public_url; /* stands before a key in pat_store_address; NULL, "": the store's own */
};

/* Borrowed. What an operation does not give is NULL or 0. */
struct pat_store_res {
    const char *data; /* get: the object. part: its tag. begin: the upload's id */
    size_t len;
    uint64_t total;           /* get_range: length of the whole object */
    const char *const *names; /* list: in order of their names, without the folder */
    size_t n;
    bool more;
};
/* err: PAT_ENOENT, PAT_EPERM, PAT_EUNAVAIL (asked to slow down), PAT_EUPSTREAM, or the transfer's.
 */
typedef void pat_store_fn(int err, const struct pat_store_res *res, void *arg);

int pat_store_new(struct pat_store **out, struct pat_http *http,
                  const struct pat_store_opts *o) PAT_MUST_CHECK;
void pat_store_free(struct pat_store *s); /* NULL is fine */
/* No operation of arg calls back any more; each may have happened. */
void pat_store_forget(struct pat_store *s, const void *arg);

/* Replaces what is there. data is copied. */
int pat_store_put(struct pat_store *s, const char *key, const char *type, const void *data,
                  size_t len, int64_t timeout_ms, pat_store_fn *fn, void *arg) PAT_MUST_CHECK;
int pat_store_get(struct pat_store *s, const char *key, size_t max, int64_t timeout_ms,
                  pat_store_fn *fn, void *arg) PAT_MUST_CHECK;
/* At most len bytes from there (RFC 9110, 14.2): less at the object's end. PAT_EINVAL: it ends
 * before from. A store that knows no ranges may answer with the whole, if that is no more than len.
 */
int pat_store_get_range(struct pat_store *s, const char *key, uint64_t from, size_t len,
                        int64_t timeout_ms, pat_store_fn *fn, void *arg) PAT_MUST_CHECK;
/* PAT_OK also when there is none. */
int pat_store_delete(struct pat_store *s, const char *key, int64_t timeout_ms, pat_store_fn *fn,
                     void *arg) PAT_MUST_CHECK;
/* What lies in a folder ("a/b/"), up to 1000 names at a time. seen and last: how many were given
 * before and the last of them; 0 and NULL at first. */
int pat_store_list(struct pat_store *s, const char *folder, size_t seen, const char *last,
                   int64_t timeout_ms, pat_store_fn *fn, void *arg) PAT_MUST_CHECK;

/* A large object in parts, in order; each but the last at least this long. 0: not here. */
size_t pat_store_part_min(const struct pat_store *s);
int pat_store_begin(struct pat_store *s, const char *key, const char *type, int64_t timeout_ms,
                    pat_store_fn *fn, void *arg) PAT_MUST_CHECK;
int pat_store_part(struct pat_store *s, const char *key, const char *upload,
                   int number /* from 1 */, const void *data, size_t len, int64_t timeout_ms,
                   pat_store_fn *fn, void *arg) PAT_MUST_CHECK;
/* tags: of the parts, in order. */
int pat_store_end(struct pat_store *s, const char *key, const char *upload, const char *const *tags,
                  size_t n, int64_t timeout_ms, pat_store_fn *fn, void *arg) PAT_MUST_CHECK;

/* The object's address, for those who may read it. */
struct pat_buf;
int pat_store_address(const struct pat_store *s, const char *key, struct pat_buf *out);

/* For the implementation and the double. A request's Authorization by signature version 4.
 * headers: "name:value", names in lower case and in order; path and query as sent, in canonical
 * form. */
struct pat_aws4 {
    const char *access_key, *secret_key, *region;
    const char *method, *path, *query;
    const char *const *headers;
    const char *payload; /* hash in hex, or UNSIGNED-PAYLOAD */
    const char *time;    /* 20261122T101112Z */
};
int pat_sign_aws4(struct pat_buf *out, const struct pat_aws4 *r) PAT_MUST_CHECK;

#endif
