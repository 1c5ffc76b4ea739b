/* gctx.c - GLib's main context cycle on the loop: prepare, query, (our loop waits), check,
 * dispatch. How: one pat_poll per descriptor GLib names, one timer for its time-out; both lead to
 * turn(). It does not own sources: what libnice attaches, libnice removes. */
#include "gctx.h"

#include "log.h"

#include <glib.h>
#include <stdlib.h>

/* An ICE agent polls a wake-up descriptor and one socket per local address and transport. */
#define GCTX_FDS 32
/* Dispatches in one turn of our loop before others get theirs. */
#define GCTX_ROUNDS 8
/* libnice's checks go out 20 ms apart while it looks for a way; what waits longer than this has
 * time. */
#define PATIENT_MS 40

struct watch {
    struct gctx *owner;
    struct pat_poll *poll;
    int fd;
    int events; /* PAT_POLL_* asked for */
    uint64_t woken;
};

struct gctx {
    struct pat_loop *loop;
    GMainContext *ctx;
    struct pat_timer timer;
    struct pat_task task;
    GPollFD fds[GCTX_FDS];
    int n_fds;
    gint priority;
    struct watch watches[GCTX_FDS];
};

static void turn(void *arg);

static int poll_events(int glib_events)
{
    return ((glib_events & G_IO_IN) ? PAT_POLL_IN : 0) |
           ((glib_events & G_IO_OUT) ? PAT_POLL_OUT : 0);
}

static void on_ready(int err, int events, void *arg)
{
    struct watch *w = arg;
    struct gctx *g = w->owner;

    w->woken += !err;
    for (int i = 0; i < g->n_fds; i++) {
        if (g->fds[i].fd != w->fd)
            continue;
        int got = ((events & PAT_POLL_IN) ? G_IO_IN : 0) | ((events & PAT_POLL_OUT) ? G_IO_OUT : 0);
        if (err)
            got |= G_IO_ERR | G_IO_HUP;
        g->fds[i].revents = (gushort)(got & (g->fds[i].events | G_IO_ERR | G_IO_HUP));
    }
    turn(g);
}

static int wanted(const struct gctx *g, int fd)
{
    int events = 0;

    for (int i = 0; i < g->n_fds; i++)
        if (g->fds[i].fd == fd)
            events |= poll_events(g->fds[i].events);
    return events;
}

/* Watches that GLib no longer names go first: their number may come back as another socket. */
static void unwatch_old(struct gctx *g)
{
    for (int i = 0; i < GCTX_FDS; i++) {
        struct watch *w = &g->watches[i];

        if (!w->poll)
            continue;
        int events = wanted(g, w->fd);
        if (!events) {
            pat_poll_close(w->poll);
            w->poll = NULL;
        } else if (events != w->events && pat_poll_set(w->poll, events) == PAT_OK) {
            w->events = events;
        }
    }
}

static bool watched(const struct gctx *g, int fd)
{
    for (int i = 0; i < GCTX_FDS; i++)
        if (g->watches[i].poll && g->watches[i].fd == fd)
            return true;
    return false;
}

static int watch_fd(struct gctx *g, int fd)
{
    for (int i = 0; i < GCTX_FDS; i++) {
        struct watch *w = &g->watches[i];

        if (w->poll)
            continue;
        int err = pat_poll_new(&w->poll, g->loop, fd, on_ready, w);
        if (err)
            return err;
        w->owner = g;
        w->fd = fd;
        w->woken = 0;
        w->events = wanted(g, fd);
        return pat_poll_set(w->poll, w->events);
    }
    return PAT_E2BIG;
}

static void watch_new(struct gctx *g)
{
    for (int i = 0; i < g->n_fds; i++) {
        int fd = g->fds[i].fd;

        if (!poll_events(g->fds[i].events) || watched(g, fd))
            continue;
        int err = watch_fd(g, fd);
        if (err)
            pat_log(PAT_WARN, "rtc.poll_failed", PAT_ERR(err), PAT_I("fd", fd));
    }
}

/* True: something is to be dispatched without waiting. */
static bool ask(struct gctx *g, gint *timeout_ms)
{
    gboolean ready = g_main_context_prepare(g->ctx, &g->priority);

    g->n_fds = g_main_context_query(g->ctx, g->priority, timeout_ms, g->fds, GCTX_FDS);
    if (g->n_fds > GCTX_FDS)
        g->n_fds = GCTX_FDS;
    for (int i = 0; i < g->n_fds; i++)
        g->fds[i].revents = 0;
    return ready || *timeout_ms == 0;
}

static void turn(void *arg)
{
    struct gctx *g = arg;
    gint timeout_ms = -1;
    bool again = true;

    for (int round = 0; again && round < GCTX_ROUNDS; round++) {
        if (g_main_context_check(g->ctx, g->priority, g->fds, g->n_fds))
            g_main_context_dispatch(g->ctx);
        again = ask(g, &timeout_ms);
    }
    unwatch_old(g);
    watch_new(g);
    if (again)
        pat_loop_next_turn(g->loop, &g->task, turn, g);
    else if (timeout_ms > PATIENT_MS)
        pat_timer_start_rough(&g->timer, timeout_ms);
    else if (timeout_ms > 0)
        pat_timer_start(&g->timer, timeout_ms);
    else
        pat_timer_stop(&g->timer);
}

void gctx_kick(struct gctx *g)
{
    pat_loop_next_turn(g->loop, &g->task, turn, g);
}

uint64_t gctx_woken(const struct gctx *g, int fd)
{
    for (int i = 0; i < GCTX_FDS; i++)
        if (g->watches[i].poll && g->watches[i].fd == fd)
            return g->watches[i].woken;
    return 0;
}

struct _GMainContext *gctx_native(struct gctx *g)
{
    return g->ctx;
}

int gctx_new(struct gctx **out, struct pat_loop *l)
{
    struct gctx *g = calloc(1, sizeof *g);
    gint timeout_ms;

    if (!g)
        return PAT_ENOMEM;
    int err = pat_timer_init(&g->timer, l, turn, g);
    if (err) {
        free(g);
        return err;
    }
    g->loop = l;
    g->ctx = g_main_context_new();
    g_main_context_acquire(g->ctx); /* prepare and check want an owner: this thread, for good */
    ask(g, &timeout_ms);
    gctx_kick(g);
    *out = g;
    return PAT_OK;
}

void gctx_free(struct gctx *g)
{
    if (!g)
        return;
    pat_task_cancel(g->loop, &g->task);
    pat_timer_fini(&g->timer);
    for (int i = 0; i < GCTX_FDS; i++)
        pat_poll_close(g->watches[i].poll);
    g_main_context_release(g->ctx);
    g_main_context_unref(g->ctx);
    free(g);
}
