/* bus_writer.h - inside the bus: what the writer thread, cnats' threads and the loop share.
 *
 * For bus_wire.c (the loop's side) and bus_writer.c (the others' side) only.
 */
#ifndef PAT_BUS_WRITER_H
#define PAT_BUS_WRITER_H

#include "bus_wire.h"

#include <nats/nats.h>
#include <pthread.h>
#include <uv.h>

/* A subscription as the writer keeps it: enough to make it again on a new connection. */
struct native_sub {
    uint64_t id; /* 0: free place */
    struct wire_op *op;
    natsSubscription *nats;
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

    pthread_mutex_t lock;
    pthread_cond_t cond; /* the writer's: something to do */
    /* Behind the lock. */
    struct wire_op *head;
    struct wire_op **tail;
    struct wire_inbox in;
    size_t in_bytes;
    struct wire_state state;
    bool closing;
    int64_t close_by_ms;
    bool done;
    bool detached; /* nobody joins the writer: the last of it and the loop's side frees */
    bool writer_gone, loop_gone;
    bool abandoned;     /* a cnats thread would not let go: leak rather than crash */
    size_t listeners;   /* native subscriptions whose last callback has not run */
    size_t connections; /* made and not yet reported closed */

    /* The writer's own. */
    natsConnection *nc;
    int64_t refused_at_ms;
    struct native_sub *subs; /* by the place of their id */
    size_t subs_cap;
};

/* Fills w->opts. */
int writer_options(struct pat_wire *w, const struct pat_bus_opts *opts) PAT_MUST_CHECK;
void wire_release(struct pat_wire *w);
/* The thread: arg is the wire. Ends when it is closing; sets done as its last deed. */
void *writer_main(void *arg);

#endif
