/* remote.c - see remote.h. An address is compared as text with the origins that are set, so that
 * there is no second reading of it to disagree with; what follows the origin begins with '/'.
 */
#include "remote.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { CONNECTIONS_MAX = 64, ANSWER_MIN = 16 << 10 /* why it refuses */ };

struct remote_op {
    struct remote_op *next, **prev;
    struct pat_http *http;
    pat_http_id id;
    uint64_t from;
    pat_store_fn *fn;
    void *arg;
};

struct remote {
    const char *origins;
    struct pat_http *far;  /* to public addresses only */
    struct pat_http *near; /* the daemon's */
    struct remote_op *ops;
};

/* ------------------------------------------------------------------ which */

/* The next origin of a comma-separated list; 0: there is none. */
static size_t next_origin(const char **at)
{
    *at += strspn(*at, ", ");
    return strcspn(*at, ", ");
}

bool remote_trusted(const char *origins, const char *url)
{
    size_t len;

    for (const char *p = url; *p; p++)
        if (*p <= ' ' || *p == 127 || *p == '\\')
            return false;
    for (; (len = next_origin(&origins)); origins += len)
        if (!strncasecmp(origins, url, len) && url[len] == '/')
            return true;
    return false;
}

const char *remote_fault(const char *origins)
{
    static const char host[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:[]";
    size_t len;

    for (; (len = next_origin(&origins)); origins += len) {
        size_t scheme = !strncmp(origins, "https://", 8) ? 8 : 7;

        if ((scheme == 7 && strncmp(origins, "http://", 7) != 0) || len == scheme ||
            scheme + strspn(origins + scheme, host) != len)
            return origins;
    }
    return NULL;
}

/* ------------------------------------------------------------------ asking */

static void op_free(struct remote_op *op)
{
    *op->prev = op->next;
    if (op->next)
        op->next->prev = op->prev;
    free(op);
}

static int meaning(int status)
{
    switch (status) {
    case 200:
    case 206:
        return PAT_OK;
    case 403: /* so do S3 and CloudFront say that a signature has expired */
    case 404:
    case 410:
        return PAT_ENOENT;
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
    struct remote_op *op = arg;
    struct pat_store_res out = { 0 };
    pat_store_fn *fn = op->fn;
    void *fn_arg = op->arg;

    if (!err)
        err = meaning(res->status);
    if (!err)
        err = pat_http_range_total(res, op->from, &out.total);
    if (!err && out.total > REMOTE_BYTES_MAX)
        err = PAT_E2BIG;
    if (!err) {
        out.data = res->body;
        out.len = res->len;
    }
    op_free(op);
    fn(err, &out, fn_arg);
}

/* So that one sees what is missing in the settings; what follows the host may be a key. */
static void tell_origin(const char *url)
{
    const char *host = strstr(url, "://");
    char text[128] = "";
    size_t len = host ? (size_t)(host - url) + 3 + strcspn(host + 3, "/?#@") : 0;

    if (len < sizeof text)
        memcpy(text, url, len);
    pat_log(PAT_WARN, "recording.not_followed", PAT_S("origin", text));
}

int remote_get_range(struct remote *r, const char *url, uint64_t from, size_t len,
                     int64_t timeout_ms, pat_store_fn *fn, void *arg)
{
    char range[64];
    const char *headers[] = { range, "Accept-Encoding: identity", NULL };
    struct remote_op *op;
    int err;

    if (!remote_trusted(r->origins, url)) {
        tell_origin(url);
        return PAT_ENOENT;
    }
    op = malloc(sizeof *op);
    if (!op)
        return PAT_ENOMEM;
    *op = (struct remote_op){ .next = r->ops,
                              .prev = &r->ops,
                              .http = strncasecmp(url, "https:", 6) != 0 ? r->near : r->far,
                              .from = from,
                              .fn = fn,
                              .arg = arg };
    snprintf(range, sizeof range, "Range: bytes=%llu-%llu", (unsigned long long)from,
             (unsigned long long)(from + len - 1));
    err = pat_http_start(op->http,
                         &(struct pat_http_req){ .url = url,
                                                 .headers = headers,
                                                 .timeout_ms = timeout_ms,
                                                 .max_body = len > ANSWER_MIN ? len : ANSWER_MIN },
                         NULL, on_done, op, &op->id);
    if (err) {
        free(op);
        return err;
    }
    if (op->next)
        op->next->prev = &op->next;
    r->ops = op;
    return PAT_OK;
}

void remote_forget(struct remote *r, const void *arg)
{
    struct remote_op *next;

    for (struct remote_op *op = r ? r->ops : NULL; op; op = next) {
        next = op->next;
        if (op->arg != arg)
            continue;
        pat_http_cancel(op->http, op->id);
        op_free(op);
    }
}

/* ------------------------------------------------------------------ life */

int remote_new(struct remote **out, struct pat_daemon *d, const char *origins)
{
    struct remote *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return PAT_ENOMEM;
    r->origins = origins;
    r->near = d->http;
    err = pat_http_new(&r->far, d->loop,
                       &(struct pat_http_opts){ .ca_file = d->ca_file,
                                                .public_only = true,
                                                .max_connections = CONNECTIONS_MAX });
    if (err) {
        free(r);
        return err;
    }
    *out = r;
    return PAT_OK;
}

void remote_free(struct remote *r)
{
    if (!r)
        return;
    while (r->ops) {
        pat_http_cancel(r->ops->http, r->ops->id);
        op_free(r->ops);
    }
    pat_http_free(r->far);
    free(r);
}
