/* bus_wire.h - inside the bus: the half that another thread runs. For bus*.c only.
 *
 * All calls into cnats that may block (nearly all of them take the connection's lock, which cnats
 * holds while it connects) are made by one I/O thread, fed by a bounded queue. What arrives is
 * appended to a list by cnats' delivery thread and fetched by the loop.
 * Life: wire_new -> push, take -> wire_close -> on_wake sees wire_done -> wire_free -> freed(arg).
 * Thread: the loop's, for every function here; on_wake runs on the loop.
 */
#ifndef PAT_BUS_WIRE_H
#define PAT_BUS_WIRE_H

#include "bus.h"

struct pat_wire;

enum {
    WIRE_WRITE_MS = 15000, /* for a message to a server that speaks TLS and is frozen */
    WIRE_GRACE_MS = 1000,  /* after the time for closing, for a thread that is stuck */
    WIRE_CONNECT_MS = 2000,
    WIRE_RECONNECT_MS = 200,
    WIRE_READ_BYTES = 128 << 10, /* at once, of what came */
    WIRE_RETRY_MS = 20,          /* between tries to send the same message */
    WIRE_POLL_MS = 100,          /* between looks whether the connection is back */
    WIRE_REFUSED_MS = 2000,      /* before connecting anew to a server that refused us */
    WIRE_FAREWELL_MS = 5000,     /* for cnats' threads to let go at close */
    WIRE_WHY_MAX = 240,
    WIRE_INBOX_MAX = 65536, /* messages the loop has not fetched; more are dropped and counted */
};
#define WIRE_INBOX_BYTES ((size_t)64 << 20)
#define WIRE_QUEUE_BYTES ((size_t)16 << 20)
#define WIRE_MESSAGE_MAX ((size_t)1 << 20) /* nats-server's max_payload as shipped */

enum wire_kind { WIRE_PUBLISH, WIRE_SUBSCRIBE, WIRE_UNSUBSCRIBE };

/* One thing for the I/O thread to do, in one piece of memory with all it points to. */
struct wire_op {
    struct wire_op *next;
    enum wire_kind kind;
    uint64_t sub;       /* SUBSCRIBE, UNSUBSCRIBE: whose */
    int64_t expires_ms; /* pat_now_ms() after which nobody wants it sent; 0: never */
    const char *subject;
    const char *reply; /* or the queue group; NULL: none */
    const char *data;
    size_t len;
    const char *headers; /* headers_n texts "Name: value", one behind the other */
    size_t headers_n;
    size_t bytes; /* it counts for so much in the queue */
};

/* What to make an op of; everything is copied. */
struct wire_text {
    const char *subject;
    const char *reply;
    const void *data;
    size_t len;
    const char *const *headers; /* NULL-terminated, or NULL */
};

struct wire_in {
    uint64_t sub;
    void *native; /* a natsMsg, yours: wire_msg_free */
};
struct wire_inbox {
    struct wire_in *v;
    size_t n, cap;
};

struct wire_state {
    bool up;
    uint64_t connects; /* grows with each (re)connect */
    uint64_t dropped;  /* messages that found the inbox full */
    uint64_t refused;  /* messages the library or the server would never take */
    uint64_t retries;  /* sent again, because cnats could not take it */
    uint64_t heard;    /* grows while the server says something */
    size_t queued_bytes;
};

int wire_new(struct pat_wire **out, struct pat_loop *l, const struct pat_bus_opts *opts,
             pat_loop_fn *on_wake, void *arg) PAT_MUST_CHECK;
/* Sends what is queued until by_ms (pat_now_ms time), then ends the connection and wakes. */
void wire_close(struct pat_wire *w, int64_t by_ms);
bool wire_done(struct pat_wire *w);
/* The I/O thread is stuck: let it finish by itself, at the price of what it holds. From then
 * on the wire is done. */
void wire_abandon(struct pat_wire *w);
/* After wire_done. */
void wire_free(struct pat_wire *w, pat_loop_fn *freed, void *arg);

struct wire_op *wire_op_new(enum wire_kind kind, uint64_t sub, const struct wire_text *t);
/* Takes op over, also when it fails. PAT_EAGAIN: over the limit (only WIRE_PUBLISH is limited). */
int wire_push_take(struct pat_wire *w, struct wire_op *op) PAT_MUST_CHECK;
/* Swaps: box must be empty. */
void wire_take(struct pat_wire *w, struct wire_inbox *box);
void wire_state_get(struct pat_wire *w, struct wire_state *out);
/* Why there is no connection; "" when there is one. */
void wire_why_get(struct pat_wire *w, char *out, size_t cap);
/* on_wake soon, again. */
void wire_wake(struct pat_wire *w);
/* The server is silent: end this connection, so that another is made. */
void wire_hang_up(struct pat_wire *w);

void wire_msg_view(void *native, struct pat_msg *out);
const char *wire_msg_header(void *native, const char *name);
/* Soon, together with others. */
void wire_msg_free(struct pat_wire *w, void *native);

#endif
