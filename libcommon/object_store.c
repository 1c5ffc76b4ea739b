/* object_store.c - operations under way, whichever the store; see object_store.h.
 *
 * How: an operation becomes one HTTP request; its answer is read by the store's own file.
 */
#include "object_int.h"

#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { URL_MAX = 8192, HEADER_MAX = 8192, BODY_MAX = 4 << 20, LIST_MAX = 4 << 20 };

/* What a refusal may say, however small the object that was asked for. */
#define REFUSAL_MAX ((size_t)64 << 10)

#define PART_MIN    ((size_t)5 << 20) /* S3's own limit */

struct object_op {
    struct object_op *next, *prev;
    struct pat_store *s;
    enum object_verb verb;
    char *folder; /* of a list */
    size_t max;   /* of a get */
    bool ranged;
    uint64_t from;
    pat_http_id id;
    pat_store_fn *fn;
    void *arg;
};

static int split_url(struct pat_store *s, const char *url)
{
    const char *scheme = strstr(url, "://");
    const char *host = scheme ? scheme + 3 : NULL, *path;
    size_t host_len, len;

    if (!host)
        return PAT_EINVAL;
    path = host + strcspn(host, "/");
    host_len = (size_t)(path - host);
    len = strlen(path);
    while (len && path[len - 1] == '/')
        len--;
    s->origin = strndup(url, (size_t)(path - url));
    s->base = strndup(path, len);
    if (!strncmp(url, "https://", 8) && host_len > 4 && !strncmp(path - 4, ":443", 4))
        host_len -= 4;
    else if (!strncmp(url, "http://", 7) && host_len > 3 && !strncmp(path - 3, ":80", 3))
        host_len -= 3;
    s->host = strndup(host, host_len);
    return s->origin && s->base && s->host && host_len ? PAT_OK : PAT_ENOMEM;
}

int pat_store_new(struct pat_store **out, struct pat_http *http, const struct pat_store_opts *o)
{
    struct pat_store *s = calloc(1, sizeof *s);
    int err = PAT_ENOMEM;

    if (!s)
        return err;
    s->http = http;
    s->supabase = o->supabase;
    s->by_host = o->by_host && !o->supabase;
    s->bucket = strdup(o->bucket);
    s->region = strdup(o->region && *o->region ? o->region : "us-east-1");
    s->access_key = strdup(o->access_key ? o->access_key : "");
    s->secret_key = strdup(o->secret_key ? o->secret_key : "");
    s->public_url = strdup(o->public_url ? o->public_url : "");
    if (s->bucket && s->region && s->access_key && s->secret_key && s->public_url)
        err = split_url(s, o->url);
    if (err) {
        pat_store_free(s);
        return err;
    }
    *out = s;
    return PAT_OK;
}

static void op_free(struct object_op *op)
{
    if (op->next)
        op->next->prev = op->prev;
    if (op->prev)
        op->prev->next = op->next;
    else
        op->s->ops = op->next;
    free(op->folder);
    free(op);
}

void pat_store_forget(struct pat_store *s, const void *arg)
{
    struct object_op *next;

    for (struct object_op *op = s ? s->ops : NULL; op; op = next) {
        next = op->next;
        if (op->arg == arg) {
            pat_http_cancel(s->http, op->id);
            op_free(op);
        }
    }
}

void pat_store_free(struct pat_store *s)
{
    if (!s)
        return;
    while (s->ops) {
        pat_http_cancel(s->http, s->ops->id);
        op_free(s->ops);
    }
    free(s->origin);
    free(s->host);
    free(s->base);
    free(s->bucket);
    free(s->region);
    free(s->access_key);
    free(s->secret_key);
    free(s->public_url);
    free(s);
}

int object_header(struct object_request *r, const char *name, const char *value)
{
    struct pat_buf *line;

    if (r->n == OBJECT_HEADERS)
        return PAT_E2BIG;
    line = &r->lines[r->n++];
    return pat_buf_addf(line, "%s: %s", name, value);
}

int object_path(struct pat_buf *out, const char *path)
{
    while (*path) {
        size_t n = strcspn(path, "/");
        char *segment = strndup(path, n);

        if (!segment)
            return out->err = PAT_ENOMEM;
        pat_url_encode(out, segment);
        free(segment);
        path += n;
        if (*path == '/') {
            pat_buf_adds(out, "/");
            path++;
        }
    }
    return out->err;
}

static int read_names(const struct object_op *op, const struct pat_http_res *res,
                      struct object_names *names)
{
    return op->s->supabase ? object_supabase_names(res->body, res->len, names)
                           : object_s3_names(op->folder, res->body, names);
}

static int read_text(const struct object_op *op, const struct pat_http_res *res, char *tag,
                     struct pat_buf *text)
{
    if (op->verb == OBJECT_BEGIN)
        return object_xml_text(res->body, "UploadId", NULL, text) ? PAT_OK : PAT_EPROTO;
    return pat_http_header(res, "etag", tag, 256) ? PAT_OK : PAT_EPROTO;
}

int object_status_error(int status)
{
    switch (status) {
    case 404:
        return PAT_ENOENT;
    case 401:
    case 403:
        return PAT_EPERM;
    case 416:
        return PAT_EINVAL;
    case 429:
    case 503:
        return PAT_EUNAVAIL;
    default:
        return PAT_EUPSTREAM;
    }
}

static void on_done(int err, const struct pat_http_res *res, void *arg)
{
    struct object_op *op = arg;
    struct pat_store_res out = { .data = res->body, .len = res->len };
    struct object_names *names = NULL;
    pat_store_fn *fn = op->fn;
    void *fn_arg = op->arg;
    struct pat_buf text;
    char tag[256];

    pat_buf_init(&text, 1024);
    if (!err)
        err = op->s->supabase ? object_supabase_error(res) : object_s3_error(res);
    if (err == PAT_ENOENT && op->verb == OBJECT_DELETE)
        err = PAT_OK;
    if (!err && op->verb == OBJECT_GET && res->len > op->max)
        err = PAT_E2BIG;
    if (!err && op->ranged)
        err = pat_http_range_total(res, op->from, &out.total);
    if (!err && op->verb == OBJECT_LIST) {
        names = calloc(1, sizeof *names);
        err = names ? read_names(op, res, names) : PAT_ENOMEM;
    } else if (!err && (op->verb == OBJECT_BEGIN || op->verb == OBJECT_PART)) {
        err = read_text(op, res, tag, &text);
        out.data = op->verb == OBJECT_BEGIN ? text.data : tag;
    }
    if (names) {
        out.names = (const char *const *)names->names;
        out.n = names->n;
        out.more = names->more;
    }
    op_free(op);
    fn(err, &out, fn_arg);
    for (size_t i = 0; names && i < names->n; i++)
        free(names->names[i]);
    free(names);
    pat_buf_fini(&text);
}

static int send(struct pat_store *s, const struct object_ask *a, struct object_op *op,
                struct object_request *r, int64_t timeout_ms)
{
    const char *headers[OBJECT_HEADERS + 1] = { NULL };
    struct pat_http_req req = { .headers = headers, .timeout_ms = timeout_ms };
    int err =
        s->supabase ? object_supabase_request(s, a, r) : object_s3_request(s, a, pat_unix_ms(), r);
    char range[64];

    (void)snprintf(range, sizeof range, "bytes=%llu-%llu", (unsigned long long)a->from,
                   (unsigned long long)(a->from + a->max - 1));
    if (!err && a->ranged)
        err = object_header(r, "Range", range);
    for (size_t i = 0; !err && i < r->n; i++)
        headers[i] = r->lines[i].data;
    if (err || r->body.err)
        return err ? err : r->body.err;
    req.method = r->method;
    req.url = r->url.data;
    req.body = r->body.len ? r->body.data : a->data;
    req.body_len = r->body.len ? r->body.len : a->len;
    req.max_body = a->verb == OBJECT_LIST ? LIST_MAX : a->max > REFUSAL_MAX ? a->max : REFUSAL_MAX;
    return pat_http_start(s->http, &req, NULL, on_done, op, &op->id);
}

static int start(struct pat_store *s, const struct object_ask *a, int64_t timeout_ms,
                 pat_store_fn *fn, void *arg)
{
    struct object_op *op = calloc(1, sizeof *op);
    struct object_request r = { 0 };
    int err = PAT_OK;

    if (!op)
        return PAT_ENOMEM;
    *op = (struct object_op){ .next = s->ops,
                              .s = s,
                              .verb = a->verb,
                              .max = a->max,
                              .ranged = a->ranged,
                              .from = a->from,
                              .fn = fn,
                              .arg = arg };
    if (s->ops)
        s->ops->prev = op;
    s->ops = op;
    pat_buf_init(&r.url, URL_MAX);
    pat_buf_init(&r.body, BODY_MAX);
    for (size_t i = 0; i < OBJECT_HEADERS; i++)
        pat_buf_init(&r.lines[i], HEADER_MAX);
    if (a->verb == OBJECT_LIST && !(op->folder = strdup(a->key)))
        err = PAT_ENOMEM;
    if (!err)
        err = send(s, a, op, &r, timeout_ms);
    if (err)
        op_free(op);
    pat_buf_fini(&r.url);
    pat_buf_fini(&r.body);
    for (size_t i = 0; i < OBJECT_HEADERS; i++)
        pat_buf_fini(&r.lines[i]);
    return err;
}

int pat_store_put(struct pat_store *s, const char *key, const char *type, const void *data,
                  size_t len, int64_t timeout_ms, pat_store_fn *fn, void *arg)
{
    const struct object_ask a = {
        .verb = OBJECT_PUT, .key = key, .type = type, .data = data, .len = len
    };

    return start(s, &a, timeout_ms, fn, arg);
}

int pat_store_get(struct pat_store *s, const char *key, size_t max, int64_t timeout_ms,
                  pat_store_fn *fn, void *arg)
{
    const struct object_ask a = { .verb = OBJECT_GET, .key = key, .max = max };

    return start(s, &a, timeout_ms, fn, arg);
}

int pat_store_get_range(struct pat_store *s, const char *key, uint64_t from, size_t len,
                        int64_t timeout_ms, pat_store_fn *fn, void *arg)
{
    const struct object_ask a = {
        .verb = OBJECT_GET, .key = key, .max = len, .ranged = true, .from = from
    };

    return len ? start(s, &a, timeout_ms, fn, arg) : PAT_EINVAL;
}

int pat_store_delete(struct pat_store *s, const char *key, int64_t timeout_ms, pat_store_fn *fn,
                     void *arg)
{
    const struct object_ask a = { .verb = OBJECT_DELETE, .key = key };

    return start(s, &a, timeout_ms, fn, arg);
}

int pat_store_list(struct pat_store *s, const char *folder, size_t seen, const char *last,
                   int64_t timeout_ms, pat_store_fn *fn, void *arg)
{
    const struct object_ask a = { .verb = OBJECT_LIST, .key = folder, .seen = seen, .last = last };

    return start(s, &a, timeout_ms, fn, arg);
}

size_t pat_store_part_min(const struct pat_store *s)
{
    return s->supabase ? 0 : PART_MIN;
}

int pat_store_begin(struct pat_store *s, const char *key, const char *type, int64_t timeout_ms,
                    pat_store_fn *fn, void *arg)
{
    const struct object_ask a = { .verb = OBJECT_BEGIN, .key = key, .type = type };

    return s->supabase ? PAT_EINVAL : start(s, &a, timeout_ms, fn, arg);
}

int pat_store_part(struct pat_store *s, const char *key, const char *upload, int number,
                   const void *data, size_t len, int64_t timeout_ms, pat_store_fn *fn, void *arg)
{
    const struct object_ask a = { .verb = OBJECT_PART,
                                  .key = key,
                                  .upload = upload,
                                  .number = number,
                                  .data = data,
                                  .len = len };

    return s->supabase ? PAT_EINVAL : start(s, &a, timeout_ms, fn, arg);
}

int pat_store_end(struct pat_store *s, const char *key, const char *upload, const char *const *tags,
                  size_t n, int64_t timeout_ms, pat_store_fn *fn, void *arg)
{
    struct pat_buf body;
    int err;

    if (s->supabase)
        return PAT_EINVAL;
    pat_buf_init(&body, BODY_MAX);
    pat_buf_adds(&body, "<CompleteMultipartUpload>");
    for (size_t i = 0; i < n; i++)
        pat_buf_addf(&body, "<Part><PartNumber>%zu</PartNumber><ETag>%s</ETag></Part>", i + 1,
                     tags[i]);
    pat_buf_adds(&body, "</CompleteMultipartUpload>");
    err = body.err;
    if (!err) {
        const struct object_ask a = { .verb = OBJECT_END,
                                      .key = key,
                                      .upload = upload,
                                      .data = body.data,
                                      .len = body.len,
                                      .type = "application/xml" };
        err = start(s, &a, timeout_ms, fn, arg);
    }
    pat_buf_fini(&body);
    return err;
}

int pat_store_address(const struct pat_store *s, const char *key, struct pat_buf *out)
{
    const char *host = strstr(s->origin, "://") + 3;

    if (*s->public_url) {
        size_t len = strlen(s->public_url);

        pat_buf_addf(out, "%s%s", s->public_url, s->public_url[len - 1] == '/' ? "" : "/");
    } else if (s->supabase)
        pat_buf_addf(out, "%s%s/storage/v1/object/authenticated/%s/", s->origin, s->base,
                     s->bucket);
    else if (s->by_host)
        pat_buf_addf(out, "%.*s%s.%s%s/", (int)(host - s->origin), s->origin, s->bucket, host,
                     s->base);
    else
        pat_buf_addf(out, "%s%s/%s/", s->origin, s->base, s->bucket);
    return object_path(out, key);
}
