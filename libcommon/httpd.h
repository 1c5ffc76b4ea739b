/* httpd.h - HTTP and WebSocket server: routes in, replies out.
 *
 * A pattern's {name} matches one path segment; a path that stands literally goes before patterns,
 * else the first added wins. Unknown path: 404, known path with another method: 405 with Allow.
 * Bodies are collected whole, up to the route's limit (else 413). Life: pat_httpd_new -> routes ->
 * pat_httpd_listen -> pat_httpd_drain (no new connections, requests finish) -> gone with its
 * pat_net. Thread: the loop's.
 */
#ifndef PAT_HTTPD_H
#define PAT_HTTPD_H

#include "sign.h"
#include "ws.h"

struct pat_httpd;
struct pat_httpd_req;

struct pat_httpd_opts {
    const char *listen; /* "127.0.0.1:8080", "[::]:0" */
    size_t max_body;    /* per request unless the route says else; 0: 64 KiB */
    size_t max_bodies;  /* of all requests together; beyond it 503; 0: 256 MiB */
    /* 0: 4096; never more than descriptors allow. Beyond: a new one takes the place of the one that
     * waits longest for a head, first those that never sent one; it is closed at once when none
     * does. */
    size_t max_connections;
    int64_t header_timeout_ms; /* head and body of a request must be there by then; 0: 10 s */
    int64_t idle_timeout_ms;   /* between requests of a kept connection; 0: 60 s */
    bool problems; /* errors are application/problem+json (RFC 9457), with the rest as members */
    const char *cert_file; /* both or none */
    const char *key_file;
};

/* Replies exactly once, now or later; the request stays valid until it has replied, also when the
 * peer left. */
typedef void pat_httpd_fn(struct pat_httpd_req *r, void *arg);
/* Upgrade asked for: PAT_OK accepts, then the events run as pat_ws_set said. A PAT_E*: refused with
 * the status of the error; 1: refused, fn has replied itself. */
typedef int pat_httpd_ws_fn(struct pat_httpd_req *r, struct pat_ws *ws, void *arg);

int pat_httpd_new(struct pat_httpd **out, struct pat_net *n,
                  const struct pat_httpd_opts *opts) PAT_MUST_CHECK;
/* method and pattern are borrowed literals. max_body 0: the server's. */
int pat_httpd_route(struct pat_httpd *s, const char *method, const char *pattern, size_t max_body,
                    pat_httpd_fn *fn, void *arg) PAT_MUST_CHECK;

/* A table of them, all with the same arg: its last row is { 0 }. */
struct pat_httpd_route {
    const char *method, *pattern;
    size_t max_body;
    pat_httpd_fn *fn;
};

int pat_httpd_routes(struct pat_httpd *s, const struct pat_httpd_route *table,
                     void *arg) PAT_MUST_CHECK;
/* In fn call pat_ws_set to say who hears the events. */
int pat_httpd_route_ws(struct pat_httpd *s, const char *pattern, size_t max_message,
                       pat_httpd_ws_fn *fn, void *arg) PAT_MUST_CHECK;
int pat_httpd_listen(struct pat_httpd *s) PAT_MUST_CHECK;
/* Whoever connects while it is held waits in the kernel's queue, and is served once it is not. */
void pat_httpd_hold(struct pat_httpd *s, bool hold);
int pat_httpd_port(const struct pat_httpd *s); /* the real one, when 0 was asked for */
/* Stops accepting; drained(arg) when no request is open or after timeout_ms. Who is connected and
 * silent is waited for a moment: his request may be on its way, and is answered with close. */
void pat_httpd_drain(struct pat_httpd *s, int64_t timeout_ms, pat_loop_fn *drained, void *arg);

/* Borrowed until the reply. */
const char *pat_httpd_method(const struct pat_httpd_req *r);
const char *pat_httpd_path(const struct pat_httpd_req *r);  /* decoded */
const char *pat_httpd_query(const struct pat_httpd_req *r); /* raw, "" when none */
const char *pat_httpd_peer(const struct pat_httpd_req *r);  /* numeric address */
const char *pat_httpd_param(const struct pat_httpd_req *r,
                            const char *name); /* of the pattern, decoded; NULL */
const char *pat_httpd_header(const struct pat_httpd_req *r,
                             const char *name);                               /* NULL when absent */
const char *pat_httpd_body(const struct pat_httpd_req *r, size_t *len);       /* NUL-terminated */
const char *pat_httpd_query_param(struct pat_httpd_req *r, const char *name); /* decoded; NULL */
/* All of the query's fields, decoded, in order. PAT_EINVAL: broken encoding or over 200 fields;
 * then pat_httpd_query_param finds none. */
int pat_httpd_query_params(struct pat_httpd_req *r, const struct pat_param **params, size_t *n);
/* The same of an application/x-www-form-urlencoded body. */
int pat_httpd_form(struct pat_httpd_req *r, const struct pat_param **params, size_t *n);
const char *pat_param_find(const struct pat_param *params, size_t n,
                           const char *name); /* first; NULL */
/* UUIDs among the path's parameters and the query's values, whole ones, are in lower case from here
 * on (pat_id_lower). What was borrowed before shows it, too. */
void pat_httpd_lower_ids(struct pat_httpd_req *r);
/* true once the client has gone: a reply would reach nobody. */
bool pat_httpd_gone(const struct pat_httpd_req *r);

/* Before the reply: one more response header (copied). */
int pat_httpd_set_header(struct pat_httpd_req *r, const char *name, const char *value);
/* Before pat_httpd_reply with 200: its body may go out compressed to a client that asks for it
 * (Accept-Encoding), when it is long enough to gain and not so long that the loop waits for it. Not
 * for an answer that holds a secret beside what others have written: its length tells (BREACH,
 * decision 22). An ETag of the answer has to be weak. */
void pat_httpd_allow_gzip(struct pat_httpd_req *r);
/* For who has the body compressed already, and says so by himself. */
bool pat_httpd_takes_gzip(const struct pat_httpd_req *r);
void pat_httpd_reply(struct pat_httpd_req *r, int status, const char *content_type,
                     const void *body, size_t len);
/* What is wrong, in one shape for all: {"error":{"code":..,"message":..,"field":..}}, and with
 * opts.problems these beside type, title, status, detail, code and field of RFC 9457. */
struct pat_httpd_problem {
    int status;
    const char *code;            /* "invalid", "too_large": for programs */
    const char *type;            /* a URI; NULL: about:blank */
    const char *title;           /* of the type; NULL: the status in words */
    const char *field;           /* of the input that is wrong, or NULL */
    const char *detail;          /* for people */
    const struct pat_json *more; /* an object whose members are added, or NULL */
};
void pat_httpd_reply_problem(struct pat_httpd_req *r, const struct pat_httpd_problem *p);
/* The usual one: status and code from err. field and message may be NULL. */
void pat_httpd_reply_error(struct pat_httpd_req *r, int err, const char *field,
                           const char *message);
void pat_httpd_reply_json(struct pat_httpd_req *r, int status, const struct pat_json *body);
/* A body in pieces (SSE, long answers): begin, send..., end. send is PAT_EAGAIN when 1 MiB waits
 * unread. */
int pat_httpd_stream_begin(struct pat_httpd_req *r, int status, const char *content_type);
/* The same for a body whose length is known: players want Content-Length. An end before the last
 * byte drops the connection, so that nobody takes a part for the whole. */
int pat_httpd_stream_begin_len(struct pat_httpd_req *r, int status, const char *content_type,
                               uint64_t len);
int pat_httpd_stream_send(struct pat_httpd_req *r, const void *data, size_t len);
void pat_httpd_stream_end(struct pat_httpd_req *r);
/* Bytes sent and not yet with the peer's kernel: who reads from elsewhere goes on when it is low.
 */
size_t pat_httpd_stream_unsent(const struct pat_httpd_req *r);
/* Drops the connection without an answer: for doubles that play a broken peer. */
void pat_httpd_abort(struct pat_httpd_req *r);

#endif
