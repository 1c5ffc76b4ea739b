/* storage.h - the object store double: one set of objects, spoken to in S3's way or Supabase's.
 *
 * storage.c has the objects and the routes, storage_s3.c and storage_supabase.c what each vendor
 * says. Own control keys: access_key, secret_key (S3; Supabase takes the desk's key), region.
 * Log: put, get, delete, list, part, refused.
 */
#ifndef DOUBLES_STORAGE_H
#define DOUBLES_STORAGE_H

#include "doubles.h"

struct stored {
    struct stored *next;
    char *key; /* bucket/key */
    char *type;
    char *data;
    size_t len;
    int64_t at_ms;
    char tag[33];
};

struct storage {
    struct dbl *d;
    struct stored *first; /* in order of their keys */
    char access_key[100], secret_key[100], region[40];
    int uploads;
};

struct stored *storage_find(const struct storage *s, const char *key);
/* False: out of memory. tag may be NULL. */
bool storage_put(struct storage *s, const char *key, const char *type, const char *data, size_t len,
                 char tag[33]);
bool storage_drop(struct storage *s, const char *key);
/* The object, or the part of it the request's Range names (RFC 9110, 14.2). */
void storage_reply(struct pat_httpd_req *r, const struct stored *o);
void storage_log(struct storage *s, const char *kind, const char *key, size_t len);

/* path: "/bucket/key", decoded. */
void storage_s3(struct storage *s, struct pat_httpd_req *r);
void storage_s3_error(struct pat_httpd_req *r, int status, const char *code, const char *message);
/* path: what follows /storage/v1/. */
void storage_supabase(struct storage *s, struct pat_httpd_req *r, const char *path);
void storage_supabase_error(struct pat_httpd_req *r, int status, const char *code,
                            const char *message);

#endif
