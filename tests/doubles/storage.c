/* storage.c - the object store double: its objects, its routes; see storage.h.
 *
 * How: a list in memory, ordered by key. Nothing outlives the process, nothing is encrypted. */
#include "storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BODY_MAX ((size_t)16 << 20)

struct stored *storage_find(const struct storage *s, const char *key)
{
    for (struct stored *o = s->first; o; o = o->next)
        if (!strcmp(o->key, key))
            return o;
    return NULL;
}

static void stored_free(struct stored *o)
{
    free(o->key);
    free(o->type);
    free(o->data);
    free(o);
}

bool storage_drop(struct storage *s, const char *key)
{
    struct stored **at = &s->first, *o;

    while (*at && strcmp((*at)->key, key) != 0)
        at = &(*at)->next;
    if (!*at)
        return false;
    o = *at;
    *at = o->next;
    stored_free(o);
    return true;
}

bool storage_put(struct storage *s, const char *key, const char *type, const char *data, size_t len,
                 char tag[33])
{
    struct stored *o = calloc(1, sizeof *o), **at = &s->first;
    struct pat_buf hex;
    uint8_t hash[32];

    if (!o)
        return false;
    o->key = strdup(key);
    o->type = strdup(type ? type : "application/octet-stream");
    o->data = malloc(len + 1);
    if (!o->key || !o->type || !o->data) {
        stored_free(o);
        return false;
    }
    memcpy(o->data, data, len);
    o->len = len;
    o->at_ms = pat_unix_ms();
    pat_sha256(data, len, hash);
    pat_buf_init(&hex, 64);
    pat_hex(&hex, hash, 16);
    pat_strcpy(o->tag, sizeof o->tag, hex.data);
    pat_buf_fini(&hex);
    if (tag)
        memcpy(tag, o->tag, sizeof o->tag);
    storage_drop(s, key);
    while (*at && strcmp((*at)->key, key) < 0)
        at = &(*at)->next;
    o->next = *at;
    *at = o;
    return true;
}

void storage_reply(struct pat_httpd_req *r, const struct stored *o)
{
    const char *range = pat_httpd_header(r, "range");
    unsigned long long from, to;
    char line[96];

    pat_httpd_set_header(r, "Accept-Ranges", "bytes");
    if (!range || sscanf(range, "bytes=%llu-%llu", &from, &to) != 2 || to < from) {
        pat_httpd_reply(r, 200, o->type, o->data, o->len);
        return;
    }
    if (from >= o->len) {
        (void)snprintf(line, sizeof line, "bytes */%zu", o->len);
        pat_httpd_set_header(r, "Content-Range", line);
        pat_httpd_reply(r, 416, NULL, NULL, 0);
        return;
    }
    if (to >= o->len)
        to = o->len - 1;
    (void)snprintf(line, sizeof line, "bytes %llu-%llu/%zu", from, to, o->len);
    pat_httpd_set_header(r, "Content-Range", line);
    pat_httpd_reply(r, 206, o->type, o->data + from, (size_t)(to - from) + 1);
}

void storage_log(struct storage *s, const char *kind, const char *key, size_t len)
{
    struct pat_json *j = dbl_obj("key", key);

    pat_json_set_int(j, "bytes", (int64_t)len);
    dbl_log(s->d, kind, j);
}

static void on_request(struct pat_httpd_req *r, void *arg)
{
    static const char prefix[] = "/storage/v1/";
    struct storage *s = arg;
    const char *path = pat_httpd_path(r);
    bool supabase = !strncmp(path, prefix, strlen(prefix));
    struct dbl_fail f;

    if (dbl_fail_take(s->d, path, &f)) {
        storage_log(s, "refused", path, 0);
        if (f.status < 0)
            pat_httpd_abort(r);
        else if (supabase)
            storage_supabase_error(r, f.status, f.code, f.message);
        else
            storage_s3_error(r, f.status, *f.code ? f.code : "SlowDown", f.message);
    } else if (supabase) {
        storage_supabase(s, r, path + strlen(prefix));
    } else {
        storage_s3(s, r);
    }
}

static bool control(struct dbl *d, const char *key, const struct pat_json *value)
{
    struct storage *s = d->state;
    const char *text = pat_json_value_str(value);

    if (!strcmp(key, "access_key"))
        return pat_strcpy(s->access_key, sizeof s->access_key, text ? text : "");
    if (!strcmp(key, "secret_key"))
        return pat_strcpy(s->secret_key, sizeof s->secret_key, text ? text : "");
    if (!strcmp(key, "region"))
        return pat_strcpy(s->region, sizeof s->region, text ? text : "");
    return false;
}

static void drop_all(struct storage *s)
{
    while (s->first)
        storage_drop(s, s->first->key);
}

static void reset(struct dbl *d)
{
    struct storage *s = d->state;

    drop_all(s);
    pat_strcpy(s->access_key, sizeof s->access_key, "AKIDOUBLE");
    pat_strcpy(s->secret_key, sizeof s->secret_key, "the-secret-of-the-double");
    pat_strcpy(s->region, sizeof s->region, "us-east-1");
}

static int start(struct dbl *d)
{
    static const char *const methods[] = { "GET", "PUT", "POST", "DELETE" };
    static const char *const patterns[] = {
        "/{a}",
        "/{a}/",
        "/{a}/{b}",
        "/{a}/{b}/{c}",
        "/{a}/{b}/{c}/{d}",
        "/{a}/{b}/{c}/{d}/{e}",
        "/{a}/{b}/{c}/{d}/{e}/{f}",
        "/{a}/{b}/{c}/{d}/{e}/{f}/{g}",
        "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}",
        "/storage/v1/object/{a}",
        "/storage/v1/object/{a}/{b}",
        "/storage/v1/object/{a}/{b}/{c}",
        "/storage/v1/object/{a}/{b}/{c}/{d}",
        "/storage/v1/object/{a}/{b}/{c}/{d}/{e}",
        "/storage/v1/object/{a}/{b}/{c}/{d}/{e}/{f}",
        "/storage/v1/object/{a}/{b}/{c}/{d}/{e}/{f}/{g}",
    };
    struct storage *s = calloc(1, sizeof *s);
    int err = s ? PAT_OK : PAT_ENOMEM;

    if (err)
        return err;
    s->d = d;
    d->state = s;
    for (size_t p = 0; !err && p < sizeof patterns / sizeof patterns[0]; p++)
        for (size_t m = 0; !err && m < sizeof methods / sizeof methods[0]; m++)
            err = pat_httpd_route(d->server, methods[m], patterns[p], BODY_MAX, on_request, s);
    return err;
}

static void stop(struct dbl *d)
{
    drop_all(d->state);
    free(d->state);
}

const struct dbl_vendor dbl_vendor_storage = {
    .name = "storage", .start = start, .control = control, .reset = reset, .stop = stop
};
