/* storage_supabase.c - Supabase Storage as far as its SDK needs it: upload, download, list, remove,
 * sign.
 *
 * How: supabase/storage, src/http/routes/object: an error has HTTP status 400 whatever it is, the
 * true one is text in the body. Any bucket is there. Not here: resumable uploads, row level
 * security. */
#include "storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KEY_MAX = 1200 };

void storage_supabase_error(struct pat_httpd_req *r, int status, const char *code,
                            const char *message)
{
    struct pat_json *j = pat_json_obj();
    char text[16];

    (void)snprintf(text, sizeof text, "%d", status);
    pat_json_set_str(j, "statusCode", text);
    pat_json_set_str(j, "code", *code ? code : "InternalError");
    pat_json_set_str(j, "error", status == 404 ? "not_found" : code);
    pat_json_set_str(j, "message", message);
    dbl_reply(r, status == 500 || status == 429 || status == 503 ? status : 400, j);
}

static bool admitted(struct storage *s, struct pat_httpd_req *r)
{
    const char *auth = pat_httpd_header(r, "authorization"), *key = pat_httpd_header(r, "apikey");

    if (auth && !strncmp(auth, "Bearer ", 7) && dbl_key_ok(s->d, auth + 7) && dbl_key_ok(s->d, key))
        return true;
    storage_supabase_error(r, 403, "AccessDenied", "Unauthorized");
    return false;
}

/* The file in a form, when the body is one. */
static const char *file_of(struct pat_httpd_req *r, size_t *len, char type[100])
{
    const char *body = pat_httpd_body(r, len), *head = pat_httpd_header(r, "content-type");
    const char *mark = head ? strstr(head, "boundary=") : NULL, *at, *from, *to;
    char boundary[120];

    pat_strcpy(type, 100, head ? head : "application/octet-stream");
    if (!mark)
        return body;
    (void)snprintf(boundary, sizeof boundary, "\r\n--%s", mark + strlen("boundary="));
    at = memmem(body, *len, "filename=", 9);
    from = at ? memmem(at, *len - (size_t)(at - body), "\r\n\r\n", 4) : NULL;
    to = from ? memmem(from, *len - (size_t)(from - body), boundary, strlen(boundary)) : NULL;
    if (!to)
        return NULL;
    mark = memmem(at, (size_t)(from - at), "Content-Type: ", 14);
    if (mark) {
        size_t n = strcspn(mark + 14, "\r");
        if (n < 100) {
            memcpy(type, mark + 14, n);
            type[n] = 0;
        }
    }
    *len = (size_t)(to - from) - 4;
    return from + 4;
}

static void upload(struct storage *s, struct pat_httpd_req *r, const char *key)
{
    const char *upsert = pat_httpd_header(r, "x-upsert");
    struct pat_json *j;
    char type[100];
    size_t len;
    const char *data = file_of(r, &len, type);

    if (!strcmp(pat_httpd_method(r), "POST") && storage_find(s, key) &&
        (!upsert || strcmp(upsert, "true") != 0)) {
        storage_supabase_error(r, 409, "KeyAlreadyExists", "The resource already exists");
        return;
    }
    if (!data || !storage_put(s, key, type, data, len, NULL)) {
        storage_supabase_error(r, 400, "InvalidRequest", "no file");
        return;
    }
    storage_log(s, "put", key, len);
    j = dbl_obj("Key", key);
    pat_json_set_str(j, "Id", pat_id_new().s);
    dbl_reply(r, 200, j);
}

static void download(struct storage *s, struct pat_httpd_req *r, const char *key)
{
    const struct stored *o = storage_find(s, key);

    if (!o) {
        storage_supabase_error(r, 404, "NoSuchKey", "Object not found");
        return;
    }
    storage_log(s, "get", key, o->len);
    storage_reply(r, o);
}

static struct pat_json *body_of(struct pat_httpd_req *r)
{
    struct pat_json *j = NULL;
    size_t len;
    const char *body = pat_httpd_body(r, &len);

    if (pat_json_parse(&j, body, len, NULL)) {
        storage_supabase_error(r, 400, "InvalidRequest", "the body must be JSON");
        return NULL;
    }
    return j;
}

/* Names right in the folder; a folder in it is named once, without an id. */
static void list(struct storage *s, struct pat_httpd_req *r, const char *bucket)
{
    PAT_AUTO_JSON want = body_of(r);
    int64_t offset = pat_json_int_or(want, "offset", 0),
            limit = pat_json_int_or(want, "limit", 100);
    const char *prefix = pat_json_str_or(want, "prefix", "");
    char folder[KEY_MAX], last[KEY_MAX] = "";
    struct pat_json *out;

    if (!want)
        return;
    (void)snprintf(folder, sizeof folder, "%s/%s%s", bucket, prefix, *prefix ? "/" : "");
    out = pat_json_arr();
    for (const struct stored *o = s->first; o; o = o->next) {
        char name[KEY_MAX];
        bool deeper;
        if (strncmp(o->key, folder, strlen(folder)) != 0)
            continue;
        pat_strcpy(name, sizeof name, o->key + strlen(folder));
        deeper = strchr(name, '/') != NULL;
        name[strcspn(name, "/")] = 0;
        if (!strcmp(name, last))
            continue;
        pat_strcpy(last, sizeof last, name);
        if (offset-- > 0 || limit-- <= 0)
            continue;
        struct pat_json *item = dbl_obj("name", name);
        if (deeper)
            pat_json_set_null(item, "id");
        else
            pat_json_set_str(item, "id", o->tag);
        pat_json_add_take(out, item);
    }
    storage_log(s, "list", folder, pat_json_size(out));
    dbl_reply(r, 200, out);
}

static void remove_all(struct storage *s, struct pat_httpd_req *r, const char *bucket)
{
    PAT_AUTO_JSON want = body_of(r);
    struct pat_json *out;
    char key[KEY_MAX];

    if (!want)
        return;
    out = pat_json_arr();
    PAT_JSON_EACH(p, pat_json_at(want, "prefixes"))
    {
        const char *name = pat_json_value_str(p);
        (void)snprintf(key, sizeof key, "%s/%s", bucket, name ? name : "");
        if (storage_drop(s, key)) {
            storage_log(s, "delete", key, 0);
            pat_json_add_take(out, dbl_obj("name", name));
        }
    }
    dbl_reply(r, 200, out);
}

static void remove_one(struct storage *s, struct pat_httpd_req *r, const char *key)
{
    if (!storage_drop(s, key)) {
        storage_supabase_error(r, 404, "NoSuchKey", "Object not found");
        return;
    }
    storage_log(s, "delete", key, 0);
    dbl_reply(r, 200, dbl_obj("message", "Successfully deleted"));
}

static void sign(struct storage *s, struct pat_httpd_req *r, const char *key)
{
    char url[KEY_MAX + 40];

    if (!storage_find(s, key)) {
        storage_supabase_error(r, 404, "NoSuchKey", "Object not found");
        return;
    }
    (void)snprintf(url, sizeof url, "/object/sign/%s?token=%s", key, storage_find(s, key)->tag);
    dbl_reply(r, 200, dbl_obj("signedURL", url));
}

static const char *behind(const char *path, const char *prefix)
{
    size_t n = strlen(prefix);

    return strncmp(path, prefix, n) ? NULL : path + n;
}

/* A signed address needs no key. */
static void signed_get(struct storage *s, struct pat_httpd_req *r, const char *key)
{
    const char *token = pat_httpd_query_param(r, "token");
    const struct stored *o = storage_find(s, key);

    if (!o || !token || strcmp(token, o->tag) != 0)
        storage_supabase_error(r, 400, "InvalidJWT", "invalid signature");
    else
        download(s, r, key);
}

void storage_supabase(struct storage *s, struct pat_httpd_req *r, const char *path)
{
    const char *method = pat_httpd_method(r), *key = behind(path, "object/"), *rest;
    bool gets = !strcmp(method, "GET") || !strcmp(method, "HEAD");

    if (key && gets && (rest = behind(key, "sign/"))) {
        signed_get(s, r, rest);
        return;
    }
    if (key && gets && (rest = behind(key, "public/"))) {
        download(s, r, rest);
        return;
    }
    if (!admitted(s, r))
        return;
    if (!key)
        storage_supabase_error(r, 404, "NotFound", "no such route");
    else if (gets)
        download(s, r, (rest = behind(key, "authenticated/")) ? rest : key);
    else if (!strcmp(method, "POST") && (rest = behind(key, "list/")))
        list(s, r, rest);
    else if (!strcmp(method, "POST") && (rest = behind(key, "sign/")))
        sign(s, r, rest);
    else if (!strcmp(method, "DELETE") && !strchr(key, '/'))
        remove_all(s, r, key);
    else if (!strcmp(method, "DELETE"))
        remove_one(s, r, key);
    else
        upload(s, r, key);
}
