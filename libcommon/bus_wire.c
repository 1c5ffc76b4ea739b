/* bus_wire.c - the loop's side of the wire: the queue into the I/O thread and the list out of it.
 *
 * It does not know what messages mean (bus.c does), nor when they may be sent (bus_io.c does).
 */
#include "bus_io.h"

#include "buf.h"
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

void wire_wake(struct pat_wire *w)
{
    uv_async_send(&w->wake);
}

static void on_async(uv_async_t *a)
{
    struct pat_wire *w = a->data;

    w->on_wake(w->arg);
}

static int make_lock(struct pat_wire *w)
{
    if (pthread_mutex_init(&w->lock, NULL))
        return PAT_ENOMEM;
    w->kick_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (w->kick_fd >= 0)
        return PAT_OK;
    pthread_mutex_destroy(&w->lock);
    return PAT_EIO;
}

static void free_lock(struct pat_wire *w)
{
    close(w->kick_fd);
    pthread_mutex_destroy(&w->lock);
}

static void free_memory(struct pat_wire *w)
{
    natsOptions_Destroy(w->opts);
    free_lock(w);
    free(w);
}

int wire_new(struct pat_wire **out, struct pat_loop *l, const struct pat_bus_opts *opts,
             pat_loop_fn *on_wake, void *arg)
{
    struct pat_wire *w = calloc(1, sizeof *w);
    int err = PAT_ENOMEM;

    if (!w)
        return err;
    w->loop = l;
    w->on_wake = on_wake;
    w->arg = arg;
    w->tail = &w->head;
    w->max_bytes = opts->max_queue ? opts->max_queue : WIRE_QUEUE_BYTES;
    w->fd = -1;
    err = make_lock(w);
    if (err)
        goto fail;
    err = nats_options(w, opts);
    if (err)
        goto fail_lock;
    w->wake.data = w;
    err = PAT_EIO;
    if (uv_async_init(pat_loop_uv(l), &w->wake, on_async))
        goto fail_options;
    if (pthread_create(&w->thread, NULL, io_main, w))
        goto fail_async;
    *out = w;
    return PAT_OK;

fail_async:
    w->wake.data = w;
    uv_close((uv_handle_t *)&w->wake, NULL);
    return err; /* the handle closes in a later turn, inside memory that must stay */
fail_options:
    natsOptions_Destroy(w->opts);
fail_lock:
    free_lock(w);
fail:
    free(w);
    return err;
}

void wire_close(struct pat_wire *w, int64_t by_ms)
{
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    w->close_by_ms = by_ms;
    io_kick_locked(w);
    pthread_mutex_unlock(&w->lock);
}

bool wire_done(struct pat_wire *w)
{
    bool done;

    pthread_mutex_lock(&w->lock);
    done = w->done;
    pthread_mutex_unlock(&w->lock);
    return done;
}

void wire_abandon(struct pat_wire *w)
{
    pthread_mutex_lock(&w->lock);
    if (!w->done) {
        w->done = true;
        w->detached = true;
        pthread_detach(w->thread);
    }
    pthread_mutex_unlock(&w->lock);
}

static void drop_inbox(struct wire_inbox *in)
{
    for (size_t i = 0; i < in->n; i++)
        natsMsg_Destroy(in->v[i].native);
    free(in->v);
    *in = (struct wire_inbox){ 0 };
}

static void drop_queue(struct pat_wire *w)
{
    while (w->head) {
        struct wire_op *op = w->head;

        w->head = op->next;
        free(op);
    }
    for (size_t i = 0; i < w->subs_cap; i++)
        free(w->subs[i].op);
    free(w->subs);
}

void wire_release(struct pat_wire *w)
{
    drop_inbox(&w->in);
    drop_queue(w);
    if (!w->abandoned) /* else a thread of cnats' may still look at it */
        free_memory(w);
}

static void on_async_closed(uv_handle_t *h)
{
    struct pat_wire *w = h->data;
    pat_loop_fn *freed = w->freed;
    void *arg = w->freed_arg;
    bool last;

    pat_task_cancel(w->loop, &w->kick); /* an unsubscribe on the way out */
    pthread_mutex_lock(&w->lock);
    w->loop_gone = true;
    last = !w->detached || w->io_gone;
    pthread_mutex_unlock(&w->lock);
    if (last)
        wire_release(w);
    freed(arg);
}

void wire_free(struct pat_wire *w, pat_loop_fn *freed, void *arg)
{
    if (!w->detached)
        pthread_join(w->thread, NULL);
    pat_task_cancel(w->loop, &w->kick);
    trash_empty(&w->trash);
    w->freed = freed;
    w->freed_arg = arg;
    uv_close((uv_handle_t *)&w->wake, on_async_closed);
}

static size_t headers_size(const char *const *headers, size_t *n)
{
    size_t size = 0;

    for (*n = 0; headers && headers[*n]; (*n)++)
        size += strlen(headers[*n]) + 1;
    return size;
}

static char *put(char **at, const void *data, size_t len)
{
    char *start = *at;

    if (len)
        memcpy(start, data, len);
    start[len] = '\0';
    *at += len + 1;
    return start;
}

struct wire_op *wire_op_new(enum wire_kind kind, uint64_t sub, const struct wire_text *t)
{
    size_t subject_len = t->subject ? strlen(t->subject) : 0;
    size_t reply_len = t->reply ? strlen(t->reply) : 0;
    size_t n;
    size_t size = sizeof(struct wire_op) + subject_len + reply_len + t->len + 3;
    struct wire_op *op;
    char *at;

    size += headers_size(t->headers, &n);
    op = malloc(size);
    if (!op)
        return NULL;
    *op = (struct wire_op){ .kind = kind, .sub = sub, .len = t->len, .headers_n = n };
    op->bytes = size;
    at = (char *)(op + 1);
    op->subject = put(&at, t->subject, subject_len);
    op->reply = t->reply ? put(&at, t->reply, reply_len) : NULL;
    op->data = put(&at, t->data, t->len);
    op->headers = at;
    for (size_t i = 0; i < n; i++)
        put(&at, t->headers[i], strlen(t->headers[i]));
    return op;
}

/* Once per turn of the loop and not per message: waking a thread costs more than sending. */
static void kick(void *arg)
{
    struct pat_wire *w = arg;

    pthread_mutex_lock(&w->lock);
    if (w->idle)
        io_kick_locked(w);
    pthread_mutex_unlock(&w->lock);
}

int wire_push_take(struct pat_wire *w, struct wire_op *op)
{
    pthread_mutex_lock(&w->lock);
    if (op->kind == WIRE_PUBLISH && w->state.queued_bytes + op->bytes > w->max_bytes) {
        pthread_mutex_unlock(&w->lock);
        free(op);
        return PAT_EAGAIN;
    }
    *w->tail = op;
    w->tail = &op->next;
    w->state.queued_bytes += op->bytes;
    pthread_mutex_unlock(&w->lock);
    pat_loop_next_turn(w->loop, &w->kick, kick, w);
    return PAT_OK;
}

void wire_take(struct pat_wire *w, struct wire_inbox *box)
{
    struct wire_inbox empty = *box;

    pthread_mutex_lock(&w->lock);
    *box = w->in;
    w->in = empty;
    w->in_bytes = 0;
    pthread_mutex_unlock(&w->lock);
}

void wire_hang_up(struct pat_wire *w)
{
    pthread_mutex_lock(&w->lock);
    if (w->fd >= 0)
        shutdown(w->fd, SHUT_RDWR);
    pthread_mutex_unlock(&w->lock);
}

void wire_state_get(struct pat_wire *w, struct wire_state *out)
{
    pthread_mutex_lock(&w->lock);
    *out = w->state;
    pthread_mutex_unlock(&w->lock);
}

void wire_why_get(struct pat_wire *w, char *out, size_t cap)
{
    pthread_mutex_lock(&w->lock);
    (void)pat_strcpy(out, cap, w->state.up ? "" : w->why);
    pthread_mutex_unlock(&w->lock);
}

void wire_msg_view(void *native, struct pat_msg *out)
{
    natsMsg *m = native;

    out->subject = natsMsg_GetSubject(m);
    out->reply = natsMsg_GetReply(m);
    out->data = natsMsg_GetData(m);
    out->len = (size_t)natsMsg_GetDataLength(m);
    out->native = native;
    if (!out->data)
        out->data = "";
}

const char *wire_msg_header(void *native, const char *name)
{
    const char *value = NULL;

    return natsMsgHeader_Get(native, name, &value) == NATS_OK ? value : NULL;
}

void wire_msg_free(struct pat_wire *w, void *native)
{
    trash_add(&w->trash, native);
}
