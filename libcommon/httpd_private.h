/* httpd_private.h - what the httpd_*.c files share. Nobody else includes it.
 *
 * httpd.c        servers: listening, routes, draining
 * httpd_conn.c   connections: bytes in, bytes out, timeouts
 * httpd_req.c    requests: what handlers read and reply
 * httpd_gzip.c   replies compressed
 * httpd_parse.c  text only: heads, chunks, paths, forms, patterns
 * httpd_tls.c    TLS in front of a plain connection
 */
#ifndef PAT_HTTPD_PRIVATE_H
#define PAT_HTTPD_PRIVATE_H

#include "httpd.h"
#include "net_private.h"

#define HTTPD_MAX_HEAD    (16 * 1024) /* 431 beyond: what other servers take, too */
#define HTTPD_MAX_HEADERS 64
#define HTTPD_MAX_PARAMS  8
#define HTTPD_MAX_FIELDS  200
#define HTTPD_MAX_UNSENT  (1024 * 1024) /* of a streamed reply */

struct http_header {
    const char *name;
    const char *value;
};

/* A parsed head; everything points into the text it was parsed from. */
struct http_head {
    const char *method;
    char *path; /* raw */
    const char *query;
    struct http_header headers[HTTPD_MAX_HEADERS];
    size_t n_headers;
    int64_t content_length; /* -1: none given */
    int minor;              /* HTTP/1.minor */
    bool chunked;
    bool expects_continue;
    bool keep_alive;
    bool upgrades; /* to websocket, with all it takes */
};

/* Where the head ends (behind its empty line), 0: not yet. *bad: it never will. *scanned: where to
 * go on next time. */
size_t http_head_end(const char *data, size_t len, size_t *scanned, bool *bad);
/* Parses in place; text[len - 1] is the last byte of the empty line. 0 or the status to refuse
 * with. */
int http_head_parse(struct http_head *h, char *text, size_t len);
const char *http_head_find(const struct http_head *h, const char *name);

enum chunk_state { CHUNK_SIZE, CHUNK_DATA, CHUNK_DATA_END, CHUNK_TRAILER, CHUNK_DONE };
struct chunked {
    enum chunk_state state;
    size_t left;    /* of the chunk */
    size_t line;    /* bytes of the line so far */
    size_t trailer; /* bytes of all trailer lines */
    bool in_ext;
    bool cr;
    bool digits;
};
/* Takes what it can: *used bytes. PAT_EPROTO, or out's error. */
int chunked_feed(struct chunked *c, const char *in, size_t len, size_t *used, struct pat_buf *out);

/* In place. false: broken escape, NUL, escaped slash, or a dot segment. */
bool path_decode(char *path);
/* In place, '+' is a blank. false: broken escape or NUL. */
bool form_decode_str(char *s);
/* Cuts text into at most max fields. PAT_EINVAL. */
int form_parse(char *text, struct pat_param *out, size_t max, size_t *n);

struct route_param {
    const char *name; /* in the pattern, name_len bytes */
    size_t name_len;
    const char *value; /* in the path, len bytes */
    size_t len;
};
/* {name} matches one segment that is not empty, a last {name*} the rest. */
bool route_match(const char *pattern, const char *path, struct route_param *params, size_t *n);

struct route {
    const char *method; /* NULL: WebSocket */
    const char *pattern;
    size_t fixed; /* so much of the pattern has no parameter */
    size_t max_body;
    pat_httpd_fn *fn;
    pat_httpd_ws_fn *ws_fn;
    void *arg;
};

struct httpd_tls;

struct pat_httpd {
    struct net_server base; /* how its pat_net ends it */
    struct pat_net *net;
    struct pat_loop *loop;
    char *listen;
    size_t max_body;
    size_t max_bodies;
    size_t bodies; /* bytes that requests hold or were promised room for */
    size_t max_connections;
    int64_t header_timeout_ms;
    int64_t idle_timeout_ms;
    struct route *routes;
    size_t n_routes;
    int fd;
    int port;
    struct pat_poll *accept_poll;
    struct pat_timer accept_pause; /* out of descriptors */
    struct conn *conns;
    struct pat_httpd_req *requests; /* that handlers have */
    size_t n_conns;
    size_t n_ws;   /* that came through it and live */
    size_t n_open; /* requests a handler has and has not answered */
    bool problems; /* errors are told as RFC 9457 has it */
    bool draining;
    bool held;
    struct pat_timer drain_timer;
    struct pat_timer grace; /* who is connected may still ask */
    struct pat_task drain_task;
    pat_loop_fn *drained;
    void *drained_arg;
    int64_t date_s;
    char date[32];
    struct httpd_tls *tls;
};

enum conn_state {
    CONN_HEAD,  /* reading a head, or idle */
    CONN_BODY,  /* reading a body */
    CONN_BUSY,  /* a handler has the request */
    CONN_LINGER /* answered and half closed: what still comes is thrown away */
};

struct conn {
    struct pat_httpd *server;
    int fd;
    struct pat_poll *poll;
    int watched;
    enum conn_state state;
    struct pat_httpd_req *req; /* in BODY and BUSY */
    struct pat_buf in;
    size_t scanned;
    struct pat_buf out;
    size_t sent; /* of out */
    struct pat_timer timer;
    struct pat_task more; /* go on with what was pipelined */
    struct chunked chunked;
    size_t body_left;
    size_t drained; /* bytes thrown away while lingering */
    bool eof;
    bool close_after; /* the present reply */
    bool served;      /* a handler has had a request of it */
    char peer[48];
    struct conn *next;
    struct conn **prev;
};

enum reply_state { REPLY_NONE, REPLY_STREAMING };

struct pat_httpd_req {
    struct pat_httpd *server; /* NULL once the server has gone */
    struct conn *conn;        /* NULL once the peer has gone */
    struct http_head head;
    char *text; /* what head points into */
    const struct route *route;
    struct pat_param params[HTTPD_MAX_PARAMS]; /* decoded; names and values in params_text */
    size_t n_params;
    char *params_text;
    struct pat_buf body;
    size_t held; /* of server->bodies */
    struct pat_param *form;
    size_t n_form;
    char *form_text;
    struct pat_param *query;
    size_t n_query;
    char *query_text;
    struct pat_buf extra; /* response header lines */
    enum reply_state reply;
    bool sized;    /* a streamed body of known length, */
    uint64_t left; /* and what is still to come of it */
    bool may_gzip; /* its reply */
    bool counted;  /* in server->n_open and in its list */
    struct pat_httpd_req *next;
    struct pat_httpd_req **prev;
    char peer[48];
};

/* httpd.c */
/* 0 and r->route set, or the status; allow: the methods there are, for 405. */
int httpd_find_route(struct pat_httpd *s, struct pat_httpd_req *r, struct pat_buf *allow);
const char *httpd_date(struct pat_httpd *s);
void httpd_request_ended(struct pat_httpd *s);
void httpd_check_drain(struct pat_httpd *s);

/* httpd_conn.c */
int conn_new(struct pat_httpd *s, int fd, const char *peer);
void conn_free(struct conn *c);
/* Sends what is in c->out. false: the connection was freed. */
bool conn_flush(struct conn *c);
/* The request has been answered in full (all is in c->out). */
void conn_replied(struct conn *c, bool close_after);

/* httpd_req.c */
int req_new(struct pat_httpd_req **out, struct conn *c, const char *head, size_t len);
void req_free(struct pat_httpd_req *r);
/* Its body will take len bytes in all. false: all of them together would be too much. */
bool req_hold(struct pat_httpd_req *r, size_t len);
/* A handler gets it. */
void req_count(struct pat_httpd_req *r);
void req_forget_server(struct pat_httpd_req *r);
/* The peer or the server has gone: the request lives on for its handler, if one has it. */
void req_detach(struct pat_httpd_req *r);
const char *http_reason(int status);

/* httpd_gzip.c */
/* accept: the header, or NULL. */
bool http_takes_gzip(const char *accept);
/* The body compressed, yours to free(), and its length; NULL: to be sent as it is. */
void *req_gzip(const struct pat_httpd_req *r, int status, const void *body, size_t len,
               size_t *out_len);

/* httpd_problem.c */
void req_reply_status(struct pat_httpd_req *r, int status, const char *message);

/* httpd_tls.c */
int httpd_tls_new(struct httpd_tls **out, struct pat_httpd *s, const char *cert, const char *key);
/* Ends its sessions, too. */
void httpd_tls_free(struct httpd_tls *t);
size_t httpd_tls_count(const struct httpd_tls *t);
/* Takes fd over, also when it fails. */
void httpd_tls_accept(struct httpd_tls *t, int fd, const char *peer);

#endif
