/* bus_io.h - inside the bus: what the I/O thread, cnats' threads and the loop share.
 *
 * For bus_wire.c (the loop's side), bus_io.c (the I/O thread) and bus_nats.c (the connection, and
 * what cnats' own threads call) only. cnats is given an event loop of ours, so that it has no
 * reading and no flushing thread: the I/O thread polls the socket, writes what gathered in one
 * piece and reads what came in one piece. One of cnats' threads still calls on_message.
 */
#ifndef PAT_BUS_IO_H
#define PAT_BUS_IO_H

#include "bus_wire.h"

#include <nats/nats.h>
#include <pthread.h>
#include <uv.h>

enum {
    /* Messages that are destroyed together: cnats gives each to a thread of its own to be freed,
     * and waking that thread costs more than anything else about a small message. */
    IO_TRASH = 64,
    IO_TRASH_BYTES = 256 << 10,
    IO_TLS_READS = 8, /* in one turn */
};

/* A subscription as the I/O thread keeps it: enough to make it again on a new connection. */
struct native_sub {
    uint64_t id; /* 0: free place */
    struct wire_op *op;
    natsSubscription *nats;
};

/* Messages of no further use. Each belongs to one thread. */
struct trash {
    natsMsg *v[IO_TRASH];
    size_t n, bytes;
};

struct pat_wire {
    uv_async_t wake;
    struct pat_loop *loop;
    struct pat_task kick;
    pat_loop_fn *on_wake;
    void *arg;
    pat_loop_fn *freed;
    void *freed_arg;
    pthread_t thread;
    natsOptions *opts;
    size_t max_bytes;
    int kick_fd;        /* eventfd: ends the I/O thread's poll */
    struct trash trash; /* the loop's */

    pthread_mutex_t lock; /* never held across a call into cnats */
    /* Behind the lock. */
    struct wire_op *head;
    struct wire_op **tail;
    struct wire_inbox in;
    size_t in_bytes;
    struct wire_state state;
    char why[WIRE_WHY_MAX]; /* there is no connection */
    int fd;                 /* to the server, ours to poll; -1: none */
    bool want_write;        /* cnats holds bytes that the socket has not taken */
    bool polling;           /* the I/O thread sleeps: kick it */
    bool idle;              /* and it could carry out a new op */
    bool flushed;           /* what was sent before the end has arrived, or its time is over */
    bool closing;
    int64_t close_by_ms;
    bool done;
    bool detached; /* nobody joins the thread: the last of it and the loop's side frees */
    bool io_gone, loop_gone;
    bool abandoned;     /* a cnats thread would not let go: leak rather than crash */
    size_t listeners;   /* native subscriptions whose last callback has not run */
    size_t connections; /* made and not yet reported closed */

    bool tls; /* does not change */

    /* The I/O thread's own. */
    natsConnection *nc;
    int64_t again_at_ms;     /* before it no connection is made anew */
    int64_t paid_us;         /* for turns; see pace() */
    struct native_sub *subs; /* by the place of their id */
    size_t subs_cap;
    struct trash io_trash;
};

/* bus_io.c */
/* The thread: arg is the wire. Ends when it is closing; sets done as its last deed. */
void *io_main(void *arg);
void io_kick_locked(struct pat_wire *w);
void trash_add(struct trash *t, natsMsg *m);
void trash_empty(struct trash *t);

/* bus_wire.c */
void wire_release(struct pat_wire *w);

/* bus_nats.c; but for the first, on the I/O thread. */
/* Fills w->opts. */
int nats_options(struct pat_wire *w, const struct pat_bus_opts *opts) PAT_MUST_CHECK;
/* While we are not connected, every now and then. */
void nats_look(struct pat_wire *w);
void nats_forget(struct pat_wire *w);
void nats_set_up_locked(struct pat_wire *w, bool up);
natsStatus nats_subscribe(struct pat_wire *w, struct wire_op *op);
void nats_unsubscribe(struct pat_wire *w, uint64_t id);

#endif
