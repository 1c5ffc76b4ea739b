/* object_s3.c - what S3 is asked, and what its answers say.
 *
 * How: the few operations a recording needs, by hand; answers are looked at for the few elements
 * that matter, not parsed. Signed as pat_sign_aws4 does it.
 */
#include "object_int.h"
#include "sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Larger bodies go unsigned, under TLS or not: hashing megabytes would hold up the loop. */
#define HASH_MAX ((size_t)256 << 10)

static const char *method_of(enum object_verb v)
{
    switch (v) {
    case OBJECT_PUT:
    case OBJECT_PART:
        return "PUT";
    case OBJECT_DELETE:
        return "DELETE";
    case OBJECT_BEGIN:
    case OBJECT_END:
        return "POST";
    default:
        return "GET";
    }
}

static void add_path(const struct pat_store *s, const struct object_ask *a, struct pat_buf *out)
{
    object_path(out, s->base);
    if (!s->by_host) {
        pat_buf_adds(out, "/");
        object_path(out, s->bucket);
    }
    pat_buf_adds(out, "/");
    if (a->verb != OBJECT_LIST)
        object_path(out, a->key);
}

/* In canonical form: names in order, values encoded. */
static void add_query(const struct object_ask *a, struct pat_buf *out)
{
    if (a->verb == OBJECT_BEGIN) {
        pat_buf_adds(out, "uploads=");
    } else if (a->verb == OBJECT_PART || a->verb == OBJECT_END) {
        if (a->verb == OBJECT_PART)
            pat_buf_addf(out, "partNumber=%d&", a->number);
        pat_buf_adds(out, "uploadId=");
        pat_url_encode(out, a->upload);
    } else if (a->verb == OBJECT_LIST) {
        pat_buf_addf(out, "list-type=2&max-keys=%d&prefix=", OBJECT_NAMES);
        pat_url_encode(out, a->key);
        if (a->last) {
            pat_buf_adds(out, "&start-after=");
            pat_url_encode(out, a->key);
            pat_url_encode(out, a->last);
        }
    }
}

static int payload_hash(const struct object_ask *a, struct pat_buf *out)
{
    uint8_t hash[32];

    if (a->len > HASH_MAX)
        return pat_buf_adds(out, "UNSIGNED-PAYLOAD");
    pat_sha256(a->data ? a->data : "", a->len, hash);
    return pat_hex(out, hash, sizeof hash);
}

static int sign(const struct pat_store *s, struct object_request *r, const struct object_ask *a,
                const char *path, const char *query, int64_t unix_ms)
{
    struct pat_buf host, payload, date, auth;
    time_t seconds = (time_t)(unix_ms / 1000);
    struct tm tm;
    char at[20] = "";
    int err;

    gmtime_r(&seconds, &tm);
    (void)strftime(at, sizeof at, "%Y%m%dT%H%M%SZ", &tm);
    pat_buf_init(&host, 1024);
    pat_buf_init(&payload, 256);
    pat_buf_init(&date, 64);
    pat_buf_init(&auth, 2048);
    pat_buf_addf(&host, "host:%s%s%s", s->by_host ? s->bucket : "", s->by_host ? "." : "", s->host);
    pat_buf_adds(&payload, "x-amz-content-sha256:");
    err = payload_hash(a, &payload);
    pat_buf_addf(&date, "x-amz-date:%s", at);
    if (!err && !host.err && !date.err) {
        const char *const headers[] = { host.data, payload.data, date.data, NULL };
        const struct pat_aws4 v4 = { s->access_key,
                                     s->secret_key,
                                     s->region,
                                     r->method,
                                     path,
                                     query,
                                     headers,
                                     strchr(payload.data, ':') + 1,
                                     at };
        err = pat_sign_aws4(&auth, &v4);
    } else if (!err) {
        err = PAT_ENOMEM;
    }
    if (!err)
        err = object_header(r, "x-amz-date", at);
    if (!err)
        err = object_header(r, "x-amz-content-sha256", strchr(payload.data, ':') + 1);
    if (!err)
        err = object_header(r, "Authorization", auth.data);
    pat_buf_fini(&host);
    pat_buf_fini(&payload);
    pat_buf_fini(&date);
    pat_buf_fini(&auth);
    return err;
}

int object_s3_request(const struct pat_store *s, const struct object_ask *a, int64_t unix_ms,
                      struct object_request *r)
{
    struct pat_buf path, query;
    const char *colon = strstr(s->origin, "://") + 3;
    int err;

    r->method = method_of(a->verb);
    pat_buf_init(&path, 4096);
    pat_buf_init(&query, 8192);
    add_path(s, a, &path);
    pat_buf_adds(&query, "");
    add_query(a, &query);
    pat_buf_add(&r->url, s->origin, (size_t)(colon - s->origin));
    pat_buf_addf(&r->url, "%s%s%s%s%s%s", s->by_host ? s->bucket : "", s->by_host ? "." : "", colon,
                 path.data ? path.data : "", query.len ? "?" : "", query.len ? query.data : "");
    err = path.err ? path.err : query.err ? query.err : r->url.err;
    if (!err)
        err = sign(s, r, a, path.data, query.len ? query.data : "", unix_ms);
    if (!err && a->type)
        err = object_header(r, "Content-Type", a->type);
    pat_buf_fini(&path);
    pat_buf_fini(&query);
    return err;
}

int object_s3_error(const struct pat_http_res *res)
{
    if (res->status / 100 == 2) /* a completed upload may answer 200 and an error */
        return strstr(res->body, "<Error>") && !strncmp(res->body, "<?xml", 5) ? PAT_EUPSTREAM
                                                                               : PAT_OK;
    return object_status_error(res->status);
}

static const struct {
    const char *entity;
    char c;
} entities[] = { { "&amp;", '&' },   { "&lt;", '<' },  { "&gt;", '>' },  { "&quot;", '"' },
                 { "&apos;", '\'' }, { "&#34;", '"' }, { "&#39;", '\'' } };

static void unescape(const char *s, size_t len, struct pat_buf *out)
{
    while (len) {
        size_t used = 1;
        char c = *s;

        for (size_t i = 0; c == '&' && i < sizeof entities / sizeof entities[0]; i++) {
            size_t n = strlen(entities[i].entity);
            if (n <= len && !strncmp(s, entities[i].entity, n)) {
                c = entities[i].c;
                used = n;
            }
            if (used > 1)
                break;
        }
        pat_buf_add(out, &c, 1);
        s += used;
        len -= used;
    }
}

/* The next <tag>text</tag> at or after *next, which moves behind it. */
bool object_xml_text(const char *body, const char *tag, const char **next, struct pat_buf *out)
{
    char open[64], close[64];
    const char *from, *to;

    (void)snprintf(open, sizeof open, "<%s>", tag);
    (void)snprintf(close, sizeof close, "</%s>", tag);
    from = strstr(next && *next ? *next : body, open);
    to = from ? strstr(from, close) : NULL;
    if (!to)
        return false;
    from += strlen(open);
    pat_buf_reset(out);
    unescape(from, (size_t)(to - from), out);
    pat_buf_adds(out, "");
    if (next)
        *next = to;
    return !out->err;
}

int object_s3_names(const char *folder, const char *body, struct object_names *out)
{
    size_t folder_len = strlen(folder);
    const char *next = NULL;
    struct pat_buf text;

    pat_buf_init(&text, 2048);
    while (out->n < OBJECT_NAMES && object_xml_text(body, "Key", &next, &text)) {
        if (text.len <= folder_len || strncmp(text.data, folder, folder_len) != 0)
            continue;
        if (!(out->names[out->n] = strdup(text.data + folder_len)))
            break;
        out->n++;
    }
    out->more = object_xml_text(body, "IsTruncated", NULL, &text) && !strcmp(text.data, "true");
    pat_buf_fini(&text);
    return PAT_OK;
}
