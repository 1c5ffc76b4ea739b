/* storage_s3.c - S3 as far as its SDKs need it for objects: put, get, list, delete, multipart.
 *
 * How: buckets are made by naming them; every request's signature (version 4) is verified, and the
 * hash of its body. Not here: versions, access lists, addressing by host, bodies in signed chunks.
 */
#include "storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { HEADERS_MAX = 40, PARAMS_MAX = 20, KEY_MAX = 1200, PART_KEY_MAX = KEY_MAX + 80 };

void storage_s3_error(struct pat_httpd_req *r, int status, const char *code, const char *message)
{
    struct pat_buf body;
    struct pat_xml x;

    pat_buf_init(&body, 4096);
    pat_xml_init(&x, &body);
    pat_xml_open(&x, "Error");
    pat_xml_open(&x, "Code");
    pat_xml_text(&x, code);
    pat_xml_close(&x);
    pat_xml_open(&x, "Message");
    pat_xml_text(&x, message);
    pat_xml_close(&x);
    pat_xml_close(&x);
    if (pat_xml_end(&x))
        pat_httpd_abort(r);
    else
        pat_httpd_reply(r, status, "application/xml", body.data, body.len);
    pat_buf_fini(&body);
}

/* ------------------------------------------------------------------ signature */

static void canonical_path(const char *path, struct pat_buf *out)
{
    for (; *path; path++) {
        char one[2] = { *path, 0 };
        if (*path == '/')
            pat_buf_adds(out, "/");
        else
            pat_url_encode(out, one);
    }
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The parameters in order, each with its '='. */
static void canonical_query(const char *query, struct pat_buf *out)
{
    char *copy = strdup(query), *save = NULL, *params[PARAMS_MAX];
    size_t n = 0;

    for (char *p = copy ? strtok_r(copy, "&", &save) : NULL; p && n < PARAMS_MAX;
         p = strtok_r(NULL, "&", &save))
        params[n++] = p;
    qsort(params, n, sizeof *params, by_text);
    pat_buf_adds(out, "");
    for (size_t i = 0; i < n; i++)
        pat_buf_addf(out, "%s%s%s", i ? "&" : "", params[i], strchr(params[i], '=') ? "" : "=");
    free(copy);
}

/* "Name=value" of the Authorization header. */
static bool auth_field(const char *auth, const char *name, char *out, size_t cap)
{
    const char *at = strstr(auth, name);
    size_t n;

    if (!at)
        return false;
    at += strlen(name);
    n = strcspn(at, ", ");
    if (n >= cap)
        return false;
    memcpy(out, at, n);
    out[n] = 0;
    return true;
}

static bool body_is(struct pat_httpd_req *r, const char *hash)
{
    struct pat_buf hex;
    uint8_t sum[32];
    size_t len;
    const char *body = pat_httpd_body(r, &len);
    bool same;

    if (!strcmp(hash, "UNSIGNED-PAYLOAD"))
        return true;
    pat_sha256(body, len, sum);
    pat_buf_init(&hex, 128);
    pat_hex(&hex, sum, sizeof sum);
    same = hex.data && !strcmp(hex.data, hash);
    pat_buf_fini(&hex);
    return same;
}

/* The signature this request should have, computed with our secret. */
static bool expected(struct storage *s, struct pat_httpd_req *r, char *signed_names,
                     struct pat_buf *out)
{
    struct pat_buf lines[HEADERS_MAX], path, query;
    const char *headers[HEADERS_MAX + 1] = { NULL };
    const char *time = pat_httpd_header(r, "x-amz-date");
    const char *payload = pat_httpd_header(r, "x-amz-content-sha256");
    char *save = NULL;
    size_t n = 0;
    bool ok;

    for (char *name = strtok_r(signed_names, ";", &save); name && n < HEADERS_MAX;
         name = strtok_r(NULL, ";", &save)) {
        const char *value = pat_httpd_header(r, name);
        pat_buf_init(&lines[n], 4096);
        pat_buf_addf(&lines[n], "%s:%s", name, value ? value : "");
        headers[n] = lines[n].data;
        n++;
    }
    pat_buf_init(&path, 8192);
    pat_buf_init(&query, 8192);
    canonical_path(pat_httpd_path(r), &path);
    canonical_query(pat_httpd_query(r), &query);
    const struct pat_aws4 v4 = { s->access_key, s->secret_key, s->region, pat_httpd_method(r),
                                 path.data,     query.data,    headers,   payload,
                                 time };
    ok = time && payload && path.data && query.data && !pat_sign_aws4(out, &v4);
    for (size_t i = 0; i < n; i++)
        pat_buf_fini(&lines[i]);
    pat_buf_fini(&path);
    pat_buf_fini(&query);
    return ok;
}

static bool admitted(struct storage *s, struct pat_httpd_req *r)
{
    const char *auth = pat_httpd_header(r, "authorization");
    const char *payload = pat_httpd_header(r, "x-amz-content-sha256");
    char credential[300], names[1000], signature[100], want[100];
    struct pat_buf out;
    bool same;

    if (!auth || !auth_field(auth, "Credential=", credential, sizeof credential) ||
        !auth_field(auth, "SignedHeaders=", names, sizeof names) ||
        !auth_field(auth, "Signature=", signature, sizeof signature)) {
        storage_s3_error(r, 403, "AccessDenied", "no signature");
        return false;
    }
    if (strncmp(credential, s->access_key, strlen(s->access_key)) != 0 ||
        credential[strlen(s->access_key)] != '/') {
        storage_s3_error(r, 403, "InvalidAccessKeyId", "no such key");
        return false;
    }
    pat_buf_init(&out, 4096);
    same = expected(s, r, names, &out) && auth_field(out.data, "Signature=", want, sizeof want) &&
           !strcmp(want, signature);
    pat_buf_fini(&out);
    if (same && payload && body_is(r, payload))
        return true;
    storage_log(s, "refused", pat_httpd_path(r), 0);
    if (!same)
        storage_s3_error(r, 403, "SignatureDoesNotMatch", "the signature is another");
    else
        storage_s3_error(r, 400, "XAmzContentSHA256Mismatch", "the body is another");
    return false;
}

/* ------------------------------------------------------------------ objects */

static void add_text(struct pat_xml *x, const char *name, const char *text)
{
    pat_xml_open(x, name);
    pat_xml_text(x, text);
    pat_xml_close(x);
}

static void reply_xml(struct pat_httpd_req *r, struct pat_xml *x)
{
    if (pat_xml_end(x))
        pat_httpd_abort(r);
    else
        pat_httpd_reply(r, 200, "application/xml", x->out->data, x->out->len);
}

static void add_object(struct pat_xml *x, const struct stored *o, const char *key)
{
    char at[PAT_TIME_LEN + 1], number[24], tag[40];

    pat_time_format(o->at_ms, at);
    (void)snprintf(number, sizeof number, "%zu", o->len);
    (void)snprintf(tag, sizeof tag, "\"%s\"", o->tag);
    pat_xml_open(x, "Contents");
    add_text(x, "Key", key);
    add_text(x, "LastModified", at);
    add_text(x, "ETag", tag);
    add_text(x, "Size", number);
    add_text(x, "StorageClass", "STANDARD");
    pat_xml_close(x);
}

static void list(struct storage *s, struct pat_httpd_req *r, const char *bucket)
{
    const char *prefix = pat_httpd_query_param(r, "prefix");
    const char *after = pat_httpd_query_param(r, "start-after");
    const char *token = pat_httpd_query_param(r, "continuation-token");
    const char *max = pat_httpd_query_param(r, "max-keys");
    size_t bucket_len = strlen(bucket), n = 0, limit = max ? strtoul(max, NULL, 10) : 1000;
    const char *last = "";
    struct pat_buf body;
    struct pat_xml x;
    bool more = false;

    if (token)
        after = token;
    pat_buf_init(&body, (size_t)4 << 20);
    pat_xml_init(&x, &body);
    pat_xml_open(&x, "ListBucketResult");
    add_text(&x, "Name", bucket);
    add_text(&x, "Prefix", prefix ? prefix : "");
    for (const struct stored *o = s->first; o && !more; o = o->next) {
        const char *key = o->key + bucket_len + 1;
        if (strncmp(o->key, bucket, bucket_len) != 0 || o->key[bucket_len] != '/' ||
            (prefix && strncmp(key, prefix, strlen(prefix)) != 0) ||
            (after && strcmp(key, after) <= 0) || strstr(key, ".upload/"))
            continue;
        if (n == limit) {
            more = true;
        } else {
            add_object(&x, o, key);
            last = key;
            n++;
        }
    }
    add_text(&x, "IsTruncated", more ? "true" : "false");
    if (more)
        add_text(&x, "NextContinuationToken", last);
    pat_xml_close(&x);
    storage_log(s, "list", prefix ? prefix : "", n);
    reply_xml(r, &x);
    pat_buf_fini(&body);
}

static void get(struct storage *s, struct pat_httpd_req *r, const char *key)
{
    const struct stored *o = storage_find(s, key);
    char tag[40];

    if (!o) {
        storage_s3_error(r, 404, "NoSuchKey", "The specified key does not exist.");
        return;
    }
    storage_log(s, "get", key, o->len);
    (void)snprintf(tag, sizeof tag, "\"%s\"", o->tag);
    pat_httpd_set_header(r, "ETag", tag);
    storage_reply(r, o);
}

static void put(struct storage *s, struct pat_httpd_req *r, const char *key, const char *kind)
{
    size_t len;
    const char *body = pat_httpd_body(r, &len);
    char tag[33], quoted[40];

    if (!storage_put(s, key, pat_httpd_header(r, "content-type"), body, len, tag)) {
        pat_httpd_abort(r);
        return;
    }
    storage_log(s, kind, key, len);
    (void)snprintf(quoted, sizeof quoted, "\"%s\"", tag);
    pat_httpd_set_header(r, "ETag", quoted);
    pat_httpd_reply(r, 200, "application/xml", "", 0);
}

/* ------------------------------------------------------------------ multipart */

static void begin(struct storage *s, struct pat_httpd_req *r, const char *key)
{
    struct pat_buf body;
    struct pat_xml x;
    char id[32];

    (void)snprintf(id, sizeof id, "upload-%d", ++s->uploads);
    pat_buf_init(&body, 4096);
    pat_xml_init(&x, &body);
    pat_xml_open(&x, "InitiateMultipartUploadResult");
    add_text(&x, "Key", strchr(key, '/') + 1);
    add_text(&x, "UploadId", id);
    pat_xml_close(&x);
    reply_xml(r, &x);
    pat_buf_fini(&body);
}

static void part_key(char out[PART_KEY_MAX], const char *key, const char *upload, int number)
{
    (void)snprintf(out, PART_KEY_MAX, "%s.upload/%s/%05d", key, upload, number);
}

/* The parts named in the body become the object; each but the last has 5 MiB. */
static void end(struct storage *s, struct pat_httpd_req *r, const char *key, const char *upload)
{
    size_t len;
    const char *body = pat_httpd_body(r, &len), *at = body;
    char name[PART_KEY_MAX];
    struct pat_buf whole, out;
    struct pat_xml x;
    bool small = false, ok = true;

    pat_buf_init(&whole, (size_t)128 << 20);
    while (ok && (at = strstr(at, "<PartNumber>"))) {
        const struct stored *o;
        part_key(name, key, upload, (int)strtol(at + strlen("<PartNumber>"), NULL, 10));
        o = storage_find(s, name);
        ok = o && !small;
        small = o && o->len < ((size_t)5 << 20);
        if (ok)
            pat_buf_add(&whole, o->data, o->len);
        storage_drop(s, name);
        at++;
    }
    if (!ok || whole.err || !whole.len ||
        !storage_put(s, key, "audio/ogg", whole.data, whole.len, NULL)) {
        storage_s3_error(r, 400, small ? "EntityTooSmall" : "InvalidPart", "the parts are wrong");
    } else {
        storage_log(s, "put", key, whole.len);
        pat_buf_init(&out, 4096);
        pat_xml_init(&x, &out);
        pat_xml_open(&x, "CompleteMultipartUploadResult");
        add_text(&x, "Key", strchr(key, '/') + 1);
        add_text(&x, "ETag", "\"whole\"");
        pat_xml_close(&x);
        reply_xml(r, &x);
        pat_buf_fini(&out);
    }
    pat_buf_fini(&whole);
}

void storage_s3(struct storage *s, struct pat_httpd_req *r)
{
    const char *method = pat_httpd_method(r), *path = pat_httpd_path(r) + 1;
    const char *upload = pat_httpd_query_param(r, "uploadId");
    const char *number = pat_httpd_query_param(r, "partNumber");
    const char *slash = strchr(path, '/');
    char key[KEY_MAX], part[PART_KEY_MAX];

    if (!admitted(s, r))
        return;
    if (!pat_strcpy(key, sizeof key, path)) {
        storage_s3_error(r, 400, "KeyTooLongError", "Your key is too long");
        return;
    }
    if (!slash || !slash[1]) {
        key[strcspn(key, "/")] = 0;
        if (!strcmp(method, "GET"))
            list(s, r, key);
        else
            pat_httpd_reply(r, 200, "application/xml", "", 0); /* a bucket made, or asked for */
    } else if (!strcmp(method, "GET") || !strcmp(method, "HEAD")) {
        get(s, r, key);
    } else if (!strcmp(method, "PUT") && upload && number) {
        part_key(part, key, upload, (int)strtol(number, NULL, 10));
        put(s, r, part, "part");
    } else if (!strcmp(method, "PUT")) {
        put(s, r, key, "put");
    } else if (!strcmp(method, "DELETE")) {
        if (storage_drop(s, key))
            storage_log(s, "delete", key, 0);
        pat_httpd_reply(r, 204, "application/xml", "", 0);
    } else if (upload) {
        end(s, r, key, upload);
    } else {
        begin(s, r, key);
    }
}
