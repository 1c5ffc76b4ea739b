/* http.h - HTTP client: many transfers, one loop, connections kept.
 *
 * One client per process. HTTP/1.1 and HTTP/2 (by ALPN; one connection carries many transfers).
 * Redirects are not followed, cookies are not kept. A stream the server refused is asked again, by
 * the protocol nothing was done; one it broke off, or left with GOAWAY, is PAT_ECONN. Life:
 * pat_http_new -> start, cancel -> pat_http_free (cancels what is left). Thread: the loop's. A
 * transfer is named by an id, never by a pointer: an id whose transfer ended is harmless.
 */
#ifndef PAT_HTTP_H
#define PAT_HTTP_H

#include "loop.h"

struct pat_http;
typedef uint64_t pat_http_id; /* 0: none */

struct pat_http_opts {
    const char *user_agent; /* NULL: "patchbay/<version>" */
    const char *ca_file;    /* NULL: the system's */
    bool public_only;       /* as of a request, for all of them: then connections are kept */
    long max_connections;   /* in all; 0: 512 */
};

struct pat_http_req {
    const char *method; /* "GET" when NULL */
    const char *url;    /* http or https */
    /* "Name: value", NULL-terminated; may be NULL. Copied, as are url and body. */
    const char *const *headers;
    const void *body;
    size_t body_len;
    int64_t timeout_ms; /* whole transfer; with on_data: until the first byte of the answer */
    int64_t idle_ms;    /* with on_data: longest pause between bytes; 0: timeout_ms */
    int64_t connect_timeout_ms; /* 0: timeout_ms */
    /* To public addresses only (http_guard.h), on a connection of its own: for addresses that
     * others have given. To any other it ends with PAT_ECONN. */
    bool public_only;
    size_t max_body; /* of the answer; more is PAT_E2BIG. 0: 1 MiB, with on_data no limit */
};

struct pat_http_res {
    int status;
    int seen_status;   /* the same, and with an error if the answer's head had come */
    const char *fault; /* of PAT_ECONN: "dns", "connect", "not_public", "tls", "broken"; or NULL */
    const char *body;  /* NUL-terminated; empty when the body was streamed */
    size_t len;
    const char *headers; /* raw header lines of the final answer, CRLF-separated */
    int64_t total_ms;
    int64_t first_byte_ms;
};

/* The status is known and is 2xx: bytes as they come. Non-2xx bodies are collected and come with
 * done. */
typedef void pat_http_data_fn(const char *data, size_t len, void *arg);
/* Runs exactly once unless canceled. err: PAT_OK for any status; else PAT_ETIMEDOUT, PAT_ECONN,
 * PAT_EPROTO (what answers does not speak HTTP), PAT_E2BIG, ... and res has status 0. Borrowed. */
typedef void pat_http_done_fn(int err, const struct pat_http_res *res, void *arg);

int pat_http_new(struct pat_http **out, struct pat_loop *l,
                 const struct pat_http_opts *opts) PAT_MUST_CHECK;
/* Not inside a callback of its own. */
void pat_http_free(struct pat_http *h);
/* on_data may be NULL. The callbacks never run before this has returned. */
int pat_http_start(struct pat_http *h, const struct pat_http_req *req, pat_http_data_fn *on_data,
                   pat_http_done_fn *done, void *arg, pat_http_id *id) PAT_MUST_CHECK;
/* done will not run. Fine inside the transfer's own callbacks and for ids long gone. */
void pat_http_cancel(struct pat_http *h, pat_http_id id);
/* Case-insensitive; the value is copied into out, cut at cap. NULL when absent. */
const char *pat_http_header(const struct pat_http_res *res, const char *name, char *out,
                            size_t cap);
/* How long the whole is of which bytes from this one on were asked for: Content-Range's (RFC 9110,
 * section 14.4), or the answer's of a server that knows no ranges and has sent it all (200).
 * PAT_EPROTO: other bytes than those, or not as many as it says. */
int pat_http_range_total(const struct pat_http_res *res, uint64_t from,
                         uint64_t *total) PAT_MUST_CHECK;

/* %XX for everything but unreserved characters (RFC 3986 section 2.3). */
struct pat_buf;
int pat_url_encode(struct pat_buf *out, const char *s);

#endif
