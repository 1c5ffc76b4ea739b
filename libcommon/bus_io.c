/* bus_io.c - the I/O thread: turn by turn it reads what came and sends what gathered.
 *
 * The one thread that calls into cnats, but for cnats' own. Everything shared stands behind one
 * lock that is never held across a call into cnats. What cnats has taken but the socket has not is
 * little (IO_HANDED_BYTES): the rest waits in our queue, which outlives the connection.
 */
#include "bus_io.h"

#include "log.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    IO_HANDED_BYTES = 64 << 10, /* to cnats in one turn, and none while the socket is full */
    /* Turns are taken at once while they are few. Under load one in two milliseconds: what gathers
     * is sent, received and handed to the loop together, at the price of one millisecond. */
    IO_TURN_US = 2000,
    IO_FREE_TURNS = 8,
};

void trash_empty(struct trash *t)
{
    for (size_t i = 0; i < t->n; i++)
        natsMsg_Destroy(t->v[i]);
    t->n = t->bytes = 0;
}

void trash_add(struct trash *t, natsMsg *m)
{
    t->v[t->n++] = m;
    t->bytes += (size_t)natsMsg_GetDataLength(m);
    if (t->n == IO_TRASH || t->bytes > IO_TRASH_BYTES)
        trash_empty(t);
}

void io_kick_locked(struct pat_wire *w)
{
    static const uint64_t one = 1;

    if (!w->polling)
        return;
    w->polling = false;
    /* The one way to fail is a counter that is full: then it is awake already. */
    if (write(w->kick_fd, &one, sizeof one) < 0)
        return;
}

/* ---- out ---- */

/* The head of the queue, which stays in it until cnats has taken it. NULL: nothing, or not now. */
static struct wire_op *next_op(struct pat_wire *w)
{
    struct wire_op *op;

    pthread_mutex_lock(&w->lock);
    op = w->state.up ? w->head : NULL;
    pthread_mutex_unlock(&w->lock);
    return op;
}

static natsStatus set_headers(natsMsg *m, const struct wire_op *op)
{
    const char *h = op->headers;
    natsStatus s = NATS_OK;

    for (size_t i = 0; i < op->headers_n && s == NATS_OK; i++, h += strlen(h) + 1) {
        const char *colon = strchr(h, ':');
        char name[64];

        if (!colon || (size_t)(colon - h) >= sizeof name)
            return NATS_INVALID_ARG;
        memcpy(name, h, (size_t)(colon - h));
        name[colon - h] = '\0';
        s = natsMsgHeader_Set(m, name, colon + 1 + strspn(colon + 1, " "));
    }
    return s;
}

static natsStatus publish(struct pat_wire *w, const struct wire_op *op)
{
    natsMsg *m = NULL;
    natsStatus s;

    if (!op->headers_n && op->reply)
        return natsConnection_PublishRequest(w->nc, op->subject, op->reply, op->data, (int)op->len);
    if (!op->headers_n)
        return natsConnection_Publish(w->nc, op->subject, op->data, (int)op->len);
    s = natsMsg_Create(&m, op->subject, op->reply, op->data, (int)op->len);
    if (s != NATS_OK)
        return s;
    s = set_headers(m, op);
    if (s == NATS_OK)
        s = natsConnection_PublishMsg(w->nc, m);
    trash_add(&w->io_trash, m);
    return s;
}

static natsStatus carry_out(struct pat_wire *w, struct wire_op *op)
{
    if (op->expires_ms && pat_now_ms() >= op->expires_ms)
        return NATS_OK; /* whoever asked has been told that the deadline passed */
    if (!w->nc)
        return NATS_CONNECTION_CLOSED;
    switch (op->kind) {
    case WIRE_SUBSCRIBE:
        return nats_subscribe(w, op);
    case WIRE_UNSUBSCRIBE:
        nats_unsubscribe(w, op->sub);
        return NATS_OK;
    case WIRE_PUBLISH:
        break;
    }
    return publish(w, op);
}

/* Worth another try with the same message? */
static bool passing(natsStatus s)
{
    switch (s) {
    case NATS_TIMEOUT:
    case NATS_IO_ERROR:
    case NATS_NO_MEMORY:
    case NATS_CONNECTION_CLOSED:
    case NATS_CONNECTION_DISCONNECTED:
    case NATS_INSUFFICIENT_BUFFER:
    case NATS_SSL_ERROR:
    case NATS_SYS_ERROR:
        return true;
    default:
        return false;
    }
}

static void pop_locked(struct pat_wire *w, const struct wire_op *op)
{
    w->head = op->next;
    if (!w->head)
        w->tail = &w->head;
    w->state.queued_bytes -= op->bytes;
}

static void put_off(struct pat_wire *w)
{
    bool connected = w->nc && natsConnection_Status(w->nc) == NATS_CONN_STATUS_CONNECTED;

    pthread_mutex_lock(&w->lock);
    w->state.retries++;
    if (!connected)
        nats_set_up_locked(w, false);
    pthread_mutex_unlock(&w->lock);
}

/* False: op is still the head, and wants to be tried again. */
static bool settle(struct pat_wire *w, struct wire_op *op, natsStatus s)
{
    if (s != NATS_OK && passing(s)) {
        put_off(w);
        return false;
    }
    if (s != NATS_OK)
        pat_log(PAT_WARN, "bus.refused", PAT_S("subject", op->subject),
                PAT_S("reason", natsStatus_GetText(s)));
    pthread_mutex_lock(&w->lock);
    pop_locked(w, op);
    if (s != NATS_OK)
        w->state.refused++;
    pthread_mutex_unlock(&w->lock);
    if (op->kind != WIRE_SUBSCRIBE || s != NATS_OK)
        free(op); /* else it lives on in subs */
    return true;
}

static bool socket_full(struct pat_wire *w)
{
    bool full;

    pthread_mutex_lock(&w->lock);
    full = w->want_write;
    pthread_mutex_unlock(&w->lock);
    return full;
}

/* How long to wait at most before the next turn. */
static int hand_over(struct pat_wire *w)
{
    size_t bytes = 0;
    struct wire_op *op;
    int wait_ms = -1;

    while (bytes < IO_HANDED_BYTES && (op = next_op(w))) {
        bytes += op->bytes;
        if (!settle(w, op, carry_out(w, op))) {
            wait_ms = WIRE_RETRY_MS;
            break;
        }
    }
    if (socket_full(w)) /* as it seems to cnats, which leaves all writing to us */
        natsConnection_ProcessWriteEvent(w->nc);
    return wait_ms;
}

/* ---- turns ---- */

/* Each turn costs IO_TURN_US, on credit up to IO_FREE_TURNS of them. */
static void pace(struct pat_wire *w)
{
    int64_t now_us = pat_now_us();
    int64_t debt_us;

    if (w->paid_us < now_us)
        w->paid_us = now_us;
    w->paid_us += IO_TURN_US;
    debt_us = w->paid_us - now_us - IO_FREE_TURNS * IO_TURN_US;
    if (debt_us > 0)
        (void)nanosleep(&(struct timespec){ .tv_nsec = debt_us * 1000 }, NULL);
}

static bool more_to_send(struct pat_wire *w)
{
    bool more;

    pthread_mutex_lock(&w->lock);
    more = w->state.up && w->head && !w->want_write;
    pthread_mutex_unlock(&w->lock);
    return more;
}

/* What to poll for; the timeout is 0 when there is something to do without that. */
static int prepare_poll(struct pat_wire *w, struct pollfd p[2], int timeout_ms)
{
    pthread_mutex_lock(&w->lock);
    p[0] = (struct pollfd){ .fd = w->kick_fd, .events = POLLIN };
    p[1] = (struct pollfd){ .fd = w->fd, .events = POLLIN };
    if (w->want_write)
        p[1].events |= POLLOUT;
    if (timeout_ms < 0 && w->state.up && w->head && !w->want_write)
        timeout_ms = 0;
    else if (timeout_ms < 0 && w->closing)
        timeout_ms = WIRE_POLL_MS;
    w->polling = timeout_ms != 0;
    w->idle = !w->head;
    pthread_mutex_unlock(&w->lock);
    return timeout_ms;
}

/* After a failure the socket is cnats' alone until it has connected anew. */
static bool still_ours(struct pat_wire *w, int fd)
{
    bool ours;

    pthread_mutex_lock(&w->lock);
    ours = w->fd == fd;
    pthread_mutex_unlock(&w->lock);
    return ours;
}

/* One read takes all that came, but over TLS one record of 16 KiB. */
static void read_some(struct pat_wire *w, int fd)
{
    struct pollfd more = { .fd = fd, .events = POLLIN };

    for (int i = w->tls ? IO_TLS_READS : 1; i && still_ours(w, fd); i--) {
        natsConnection_ProcessReadEvent(w->nc);
        if (i > 1 && poll(&more, 1, 0) <= 0)
            return;
    }
}

/* Waits, at most so long, then serves the socket. */
static void serve(struct pat_wire *w, int timeout_ms)
{
    struct pollfd p[2];
    uint64_t kicks;

    timeout_ms = prepare_poll(w, p, timeout_ms);
    (void)poll(p, 2, timeout_ms);
    pthread_mutex_lock(&w->lock);
    w->polling = false;
    if (p[1].revents & POLLIN)
        w->state.heard++;
    pthread_mutex_unlock(&w->lock);
    if ((p[0].revents & POLLIN) && read(w->kick_fd, &kicks, sizeof kicks) < 0)
        return; /* never: it is readable */
    if (p[1].revents & POLLOUT)
        natsConnection_ProcessWriteEvent(w->nc);
    if (p[1].revents & (POLLIN | POLLERR | POLLHUP))
        read_some(w, p[1].fd);
}

/* Is it time to end? */
static bool ends(struct pat_wire *w)
{
    bool end;

    pthread_mutex_lock(&w->lock);
    end = w->closing && (!w->head || pat_now_ms() >= w->close_by_ms);
    pthread_mutex_unlock(&w->lock);
    return end;
}

static bool is_up(struct pat_wire *w)
{
    bool up;

    pthread_mutex_lock(&w->lock);
    up = w->state.up;
    pthread_mutex_unlock(&w->lock);
    return up;
}

static void turn(struct pat_wire *w)
{
    int wait_ms = -1;

    if (!is_up(w)) {
        nats_look(w);
        wait_ms = WIRE_POLL_MS;
    } else if (!socket_full(w)) {
        wait_ms = hand_over(w);
    }
    if (wait_ms >= 0 || !more_to_send(w))
        pace(w);
    serve(w, wait_ms);
}

/* ---- the end ---- */

static int64_t left_to_close(struct pat_wire *w)
{
    int64_t left;

    pthread_mutex_lock(&w->lock);
    left = w->close_by_ms - pat_now_ms();
    if (w->head || !w->state.up)
        left = 0;
    pthread_mutex_unlock(&w->lock);
    return left;
}

/* On a thread of its own: cnats waits for the server's answer, which this one has to read. */
static void *flush(void *arg)
{
    struct pat_wire *w = arg;
    int64_t left = left_to_close(w);

    if (left > 0)
        natsConnection_FlushTimeout(w->nc, left);
    pthread_mutex_lock(&w->lock);
    w->flushed = true;
    io_kick_locked(w);
    pthread_mutex_unlock(&w->lock);
    nats_ReleaseThreadMemory();
    return NULL;
}

static bool is_flushed(struct pat_wire *w)
{
    bool flushed;

    pthread_mutex_lock(&w->lock);
    flushed = w->flushed;
    pthread_mutex_unlock(&w->lock);
    return flushed;
}

static void send_the_rest(struct pat_wire *w)
{
    pthread_t thread;

    if (left_to_close(w) <= 0 || pthread_create(&thread, NULL, flush, w))
        return;
    while (!is_flushed(w))
        serve(w, WIRE_POLL_MS);
    pthread_join(thread, NULL);
}

static bool others_left(struct pat_wire *w)
{
    bool left;

    pthread_mutex_lock(&w->lock);
    left = w->listeners || w->connections;
    pthread_mutex_unlock(&w->lock);
    return left;
}

static void shut_down(struct pat_wire *w)
{
    int64_t by = pat_now_ms() + WIRE_FAREWELL_MS;

    trash_empty(&w->io_trash);
    if (w->nc) {
        send_the_rest(w);
        natsConnection_Close(w->nc);
        nats_forget(w);
    }
    while (others_left(w) && pat_now_ms() < by)
        serve(w, WIRE_POLL_MS);
    pthread_mutex_lock(&w->lock);
    w->abandoned = w->abandoned || w->listeners || w->connections;
    if (!w->done) /* else abandoned, and there is nobody to wake */
        uv_async_send(&w->wake);
    w->done = true;
    pthread_mutex_unlock(&w->lock);
    nats_ReleaseThreadMemory();
}

void *io_main(void *arg)
{
    struct pat_wire *w = arg;
    bool last;

    while (!ends(w))
        turn(w);
    shut_down(w);
    pthread_mutex_lock(&w->lock);
    w->io_gone = true;
    last = w->detached && w->loop_gone;
    pthread_mutex_unlock(&w->lock);
    if (last)
        wire_release(w);
    return NULL;
}
