/* ws.h - WebSocket connections, both directions (RFC 6455), on libwebsockets behind this header.
 *
 * A pat_net is the process's one libwebsockets context; HTTP servers (httpd.h) share it.
 * Life of a client: pat_ws_connect -> open -> message* -> closed -> gone. closed comes exactly once
 * for every connection that pat_ws_connect accepted, also when it never opened; after it the
 * pointer is dead. pat_ws_abort ends at once without closed. Thread: the loop's.
 */
#ifndef PAT_WS_H
#define PAT_WS_H

#include "loop.h"

struct pat_net;
struct pat_ws;

int pat_net_new(struct pat_net **out, struct pat_loop *l, const char *ca_file) PAT_MUST_CHECK;
/* Closes every connection and server; closed(arg) runs when the library has let go of the loop. */
void pat_net_close(struct pat_net *n, pat_loop_fn *closed, void *arg);

struct pat_ws_events {
    /* Handshake done. Server side: called before any message. */
    void (*open)(struct pat_ws *ws, void *arg);
    /* One whole message, at most max_message bytes. Borrowed. */
    void (*message)(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg);
    /* err PAT_OK: a close frame was seen (code, reason); PAT_ECONN, PAT_ETIMEDOUT, PAT_E2BIG,
     * PAT_EPROTO; PAT_ECANCELED when our net closed or it was closed before it opened.
     * PAT_EUPSTREAM: the server refused the upgrade with this HTTP status (401, 404 ...), else
     * status is 0. code is 1006 without a close frame, 1005 when it held none. */
    void (*closed)(struct pat_ws *ws, int err, int status, int code, const char *reason, void *arg);
};

struct pat_ws_opts {
    const char *url;            /* ws:// or wss://, with path and query */
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
    const char *protocol;       /* Sec-WebSocket-Protocol, or NULL */
    /* Names of answer headers to keep for pat_ws_header, at most 8, NULL-terminated. NULL:
     * X-Request-Id and Retry-After. */
    const char *const *keep_headers;
    int64_t connect_timeout_ms; /* DNS, TCP, TLS and upgrade together */
    int64_t ping_ms;    /* a PING this often; two unanswered: closed with PAT_ETIMEDOUT. 0: none */
    size_t max_message; /* 0: 1 MiB */
    size_t max_queue;   /* bytes not yet written; a send beyond is PAT_EAGAIN. 0: 1 MiB */
};

/* Names are resolved off the loop. Everything in opts is copied. */
int pat_ws_connect(struct pat_ws **out, struct pat_net *n, const struct pat_ws_opts *opts,
                   const struct pat_ws_events *ev, void *arg) PAT_MUST_CHECK;
/* Copies. PAT_EAGAIN: the queue is full, nothing was taken. PAT_ECONN: not open, or closing. */
int pat_ws_send(struct pat_ws *ws, const void *data, size_t len, bool text) PAT_MUST_CHECK;
/* Several messages, all of them or none, with one write where the socket takes it. */
struct pat_ws_part {
    const void *data;
    size_t len;
};
int pat_ws_send_all(struct pat_ws *ws, const struct pat_ws_part *parts, size_t n,
                    bool text) PAT_MUST_CHECK;
size_t pat_ws_queued(const struct pat_ws *ws);
/* Sends what is queued and a close frame (code 0: one without a status), waits at most 2 s for the
 * peer's; closed follows. */
void pat_ws_close(struct pat_ws *ws, int code, const char *reason);
/* Gone at once, without closed. NULL is fine. */
void pat_ws_abort(struct pat_ws *ws);
/* Who listens from here on. ev, or any of its functions, may be NULL: nobody hears that. */
void pat_ws_set(struct pat_ws *ws, const struct pat_ws_events *ev, void *arg);
/* Client side: a header of the server's answer, if it was to be kept; NULL when absent. Also when
 * the upgrade was refused. */
const char *pat_ws_header(struct pat_ws *ws, const char *name);

#endif
