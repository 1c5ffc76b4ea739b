/* bus.h - messages in and out through NATS: core, JetStream and key-value, none of which ever
 * blocks the loop.
 *
 * One bus per process. Handlers run on the loop, in the order the server sent. An I/O thread makes
 * every call into the library: a stuck server (stopped, not closed) costs the loop nothing; its
 * queue is bounded and keeps its order across reconnects. A message leaves at once while there are
 * few; under load they leave, and come, together every two milliseconds. A server frozen for up to
 * 20 s loses nothing; what was written to a connection that then broke, up to 64 KiB of what was
 * about to be, is lost unless it was acknowledged (js_publish). Life: pat_bus_new -> subscribe,
 * publish
 * -> pat_bus_close -> closed(arg) -> it is gone. The bus connects and reconnects by itself for
 * ever; subscriptions survive, and are made on the server when it is there; streams and buckets
 * once ensured are ensured again after each reconnect. Unsubscribe and close consumers before
 * closed(arg). Thread: the loop's, for every function here.
 */
#ifndef PAT_BUS_H
#define PAT_BUS_H

#include "loop.h"

struct pat_bus;
struct pat_sub;
struct pat_metrics;

/* Borrowed until the handler returns: copy what you keep. */
struct pat_msg {
    const char *subject;
    const char *reply; /* NULL: nobody waits for an answer */
    const char *data;  /* len bytes, NUL-terminated behind them */
    size_t len;
    void *native; /* for pat_msg_header */
};
typedef void pat_msg_fn(const struct pat_msg *m, void *arg);
/* err: PAT_OK, PAT_ETIMEDOUT, PAT_EUNAVAIL (nobody listens, or no server), PAT_ECANCELED at close.
 */
typedef void pat_reply_fn(int err, const struct pat_msg *m, void *arg);

struct pat_bus_opts {
    const char *url;      /* nats://host:port[,nats://...] */
    const char *name;     /* shown by the server */
    const char *creds;    /* credentials file, or NULL */
    const char *user;     /* or NULL */
    const char *password; /* or NULL */
    const char *token;    /* or NULL */
    /* TLS is used when an URL is tls://, when the server wants it, or when one of these is set but
     * ca_fallback; its certificate has to be for the URL's host. Files, PEM; NULL or "": none. */
    const char *ca_file;     /* who may sign the server's certificate */
    const char *ca_fallback; /* the same where ca_file is not set; NULL: the system's */
    const char *cert_file;   /* ours, where the server asks for one, with its chain */
    const char *key_file;
    const char *nkey;            /* public: U...; or NULL */
    const char *nkey_seed_file;  /* its seed */
    size_t max_queue;            /* bytes waiting to be sent; 0: 16 MiB */
    struct pat_metrics *metrics; /* or NULL */
    /* Connection came or went; up is true after each (re)connect. May be NULL. */
    void (*state)(bool up, void *arg);
    void *arg;
};

int pat_bus_new(struct pat_bus **out, struct pat_loop *l,
                const struct pat_bus_opts *opts) PAT_MUST_CHECK;
/* Sends what is queued for at most timeout_ms. */
void pat_bus_close(struct pat_bus *b, int64_t timeout_ms, pat_loop_fn *closed, void *arg);
bool pat_bus_up(const struct pat_bus *b);
/* Why there is no connection, in words for a person; "" when there is one or nothing is known. Good
 * until the next call. Names certificates, never a password. */
const char *pat_bus_why(struct pat_bus *b);

/* Copies. PAT_EAGAIN: the queue is full. PAT_E2BIG: over 1 MiB. PAT_EINVAL: no subject. Core NATS:
 * at most once; while disconnected it waits in the queue. */
int pat_bus_publish(struct pat_bus *b, const char *subject, const void *data,
                    size_t len) PAT_MUST_CHECK;
int pat_bus_reply(struct pat_bus *b, const struct pat_msg *to, const void *data, size_t len);
/* queue: group name, or NULL for every subscriber. */
int pat_bus_subscribe(struct pat_bus *b, struct pat_sub **out, const char *subject,
                      const char *queue, pat_msg_fn *fn, void *arg) PAT_MUST_CHECK;
void pat_bus_unsubscribe(struct pat_sub *s); /* fn does not run again; NULL is fine */
/* NULL when absent; borrowed like the message. */
const char *pat_msg_header(const struct pat_msg *m, const char *name);

/* A request's id; 0 is none. fn runs exactly once unless canceled. A request not sent by its
 * deadline is not sent later. Without a connection it ends at the deadline with PAT_EUNAVAIL.
 * headers: "Name: value", NULL-terminated, or NULL. */
typedef uint64_t pat_bus_id;
int pat_bus_request(struct pat_bus *b, const char *subject, const void *data, size_t len,
                    const char *const *headers, int64_t timeout_ms, pat_reply_fn *fn, void *arg,
                    pat_bus_id *id) PAT_MUST_CHECK;
void pat_bus_cancel(struct pat_bus *b, pat_bus_id id);

/* JetStream. Its errors: PAT_ENOENT (no such stream or consumer), PAT_EEXIST (taken, or lost a
 * race), PAT_EINVAL, PAT_EUNAVAIL, PAT_EUPSTREAM; m has the server's words. Stream and consumer
 * configurations are the server's own JSON (docs.nats.io, JetStream
 * API): created, or updated when they differ. */
int pat_bus_stream_ensure(struct pat_bus *b, const char *name, const char *config_json,
                          int64_t timeout_ms, pat_reply_fn *fn, void *arg) PAT_MUST_CHECK;
/* msg_id: Nats-Msg-Id for de-duplication, or NULL. fn (may not be NULL) gets PAT_OK when the stream
 * has stored it, PAT_EUNAVAIL when no stream takes the subject. */
int pat_bus_js_publish(struct pat_bus *b, const char *subject, const char *msg_id, const void *data,
                       size_t len, int64_t timeout_ms, pat_reply_fn *fn, void *arg) PAT_MUST_CHECK;

/* A durable pull consumer, kept fed: at most `batch` messages are with the handler and not yet
 * acknowledged. It is made on the server, and made again, whenever its stream is there; a message
 * that is not answered within ack_wait_ms comes again. */
struct pat_consumer;
struct pat_consumer_opts {
    const char *stream;
    const char *durable;
    const char *filter; /* subject, or NULL */
    int batch;          /* 1..1000 */
    int64_t ack_wait_ms;
    int max_deliver; /* 0: no limit */
};
typedef void pat_consumer_fn(const struct pat_msg *m, void *arg);
int pat_consumer_new(struct pat_consumer **out, struct pat_bus *b,
                     const struct pat_consumer_opts *opts, pat_consumer_fn *fn,
                     void *arg) PAT_MUST_CHECK;
void pat_consumer_close(struct pat_consumer *c);
/* Inside or after the handler: the reply subject names the message, so copy it to acknowledge
 * later. */
int pat_bus_ack(struct pat_bus *b, const char *reply);
int pat_bus_nak(struct pat_bus *b, const char *reply, int64_t delay_ms);
int pat_bus_term(struct pat_bus *b, const char *reply);
/* How often the server has delivered it; 1 at first. From the reply subject. */
int pat_msg_deliveries(const struct pat_msg *m);

/* Key-value. A bucket is made at first use: memory, history 1, ttl_ms of age (0: none). */
int pat_kv_ensure(struct pat_bus *b, const char *bucket, int64_t ttl_ms, int64_t timeout_ms,
                  pat_reply_fn *fn, void *arg) PAT_MUST_CHECK;
/* revision: of the value read; PAT_ENOENT when there is none. */
typedef void pat_kv_fn(int err, uint64_t revision, const char *data, size_t len, void *arg);
int pat_kv_get(struct pat_bus *b, const char *bucket, const char *key, int64_t timeout_ms,
               pat_kv_fn *fn, void *arg) PAT_MUST_CHECK;
#define PAT_KV_ANY UINT64_MAX
/* expected: the revision to replace, 0: create, PAT_KV_ANY: whatever is there. PAT_EEXIST: lost the
 * race. */
int pat_kv_put(struct pat_bus *b, const char *bucket, const char *key, const void *data, size_t len,
               uint64_t expected, int64_t timeout_ms, pat_kv_fn *fn, void *arg) PAT_MUST_CHECK;
int pat_kv_delete(struct pat_bus *b, const char *bucket, const char *key, int64_t timeout_ms,
                  pat_kv_fn *fn, void *arg) PAT_MUST_CHECK;

/* A bucket followed: every key's present value, then each change in the order they were made. It
 * begins anew after a lost connection, a lost message or a bucket made again. */
struct pat_kv_watch;
enum pat_kv_news {
    PAT_KV_BEGIN,   /* a listing follows: forget what you knew */
    PAT_KV_PUT,     /* key has this value */
    PAT_KV_GONE,    /* key was deleted; one that only grew too old is not told */
    PAT_KV_CURRENT, /* all that was there has been told */
};
/* Borrowed until the handler returns. key NULL: about the whole bucket. */
struct pat_kv_change {
    enum pat_kv_news news;
    const char *key;
    uint64_t revision;
    const char *data;
    size_t len;
};
typedef void pat_kv_watch_fn(const struct pat_kv_change *c, void *arg);
/* filter: a key with wildcards, or ">". The bucket is made by pat_kv_ensure, sooner or later. */
int pat_kv_watch(struct pat_kv_watch **out, struct pat_bus *b, const char *bucket,
                 const char *filter, pat_kv_watch_fn *fn, void *arg) PAT_MUST_CHECK;
/* fn does not run again; inside fn is fine. NULL is fine. Before the bus has closed. */
void pat_kv_watch_close(struct pat_kv_watch *w);

#endif
