/* loop_timer.c - timers: a binary heap of absolute deadlines behind one timerfd.
 *
 * uv_timer counts in ms, drifts when repeated and, re-armed with 0 inside its own callback, runs
 * again in the same pass and starves the sockets. Here a pass runs only what was started before
 * it. The timerfd is set at most once per turn, right before the loop waits.
 */
#include "loop_private.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define STOPPED SIZE_MAX

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->seq < b->seq;
}

static void put(struct timers *ts, size_t at, struct heap_entry e)
{
    ts->heap[at] = e;
    e.timer->slot = at;
}

static void sift_up(struct timers *ts, size_t at, struct heap_entry e)
{
    while (at > 0 && before(&e, &ts->heap[(at - 1) / 2])) {
        put(ts, at, ts->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(ts, at, e);
}

static void sift_down(struct timers *ts, size_t at, struct heap_entry e)
{
    for (;;) {
        size_t child = 2 * at + 1;

        if (child >= ts->n)
            break;
        if (child + 1 < ts->n && before(&ts->heap[child + 1], &ts->heap[child]))
            child++;
        if (!before(&ts->heap[child], &e))
            break;
        put(ts, at, ts->heap[child]);
        at = child;
    }
    put(ts, at, e);
}

static void heap_set(struct timers *ts, size_t at, struct heap_entry e)
{
    if (at > 0 && before(&e, &ts->heap[(at - 1) / 2]))
        sift_up(ts, at, e);
    else
        sift_down(ts, at, e);
}

static void heap_remove(struct timers *ts, size_t at)
{
    struct heap_entry last = ts->heap[--ts->n];

    if (at < ts->n)
        heap_set(ts, at, last);
}

static void update_ref(struct pat_loop *l)
{
    if (l->timers.n)
        uv_ref((uv_handle_t *)&l->timers.poll);
    else
        uv_unref((uv_handle_t *)&l->timers.poll);
}

int pat_timer_init(struct pat_timer *t, struct pat_loop *l, pat_loop_fn *fn, void *arg)
{
    struct timers *ts = &l->timers;

    if (ts->reserved == ts->cap) {
        size_t cap = ts->cap ? ts->cap * 2 : 64;
        struct heap_entry *heap = realloc(ts->heap, cap * sizeof *heap);

        if (!heap)
            return PAT_ENOMEM;
        ts->heap = heap;
        ts->cap = cap;
    }
    ts->reserved++;
    *t = (struct pat_timer){ .loop = l, .fn = fn, .arg = arg, .slot = STOPPED };
    return PAT_OK;
}

void pat_timer_start_at(struct pat_timer *t, int64_t due_us)
{
    struct timers *ts = &t->loop->timers;
    struct heap_entry e = { due_us, ts->seq++, t };

    t->due_us = due_us;
    if (t->slot != STOPPED) {
        heap_set(ts, t->slot, e);
        return;
    }
    assert(ts->n < ts->cap);
    ts->n++;
    sift_up(ts, ts->n - 1, e);
    update_ref(t->loop);
}

void pat_timer_start(struct pat_timer *t, int64_t after_ms)
{
    pat_timer_start_at(t, pat_now_us() + (after_ms > 0 ? after_ms * 1000 : 0));
}

void pat_timer_start_rough(struct pat_timer *t, int64_t after_ms)
{
    int64_t due_us = pat_now_us() + (after_ms > 0 ? after_ms * 1000 : 0);

    pat_timer_start_at(t, (due_us + PAT_ROUGH_US - 1) / PAT_ROUGH_US * PAT_ROUGH_US);
}

bool pat_timer_running(const struct pat_timer *t)
{
    return t->loop && t->slot != STOPPED;
}

void pat_timer_stop(struct pat_timer *t)
{
    if (!pat_timer_running(t))
        return;
    heap_remove(&t->loop->timers, t->slot);
    t->slot = STOPPED;
    update_ref(t->loop);
}

void pat_timer_fini(struct pat_timer *t)
{
    pat_timer_stop(t);
    if (t->loop)
        t->loop->timers.reserved--;
    t->loop = NULL;
}

/* Setting it also takes back that it is readable: it is never read. 0 stops it. */
static void set(struct timers *ts, int64_t due_us)
{
    struct itimerspec when = { .it_value = { .tv_sec = due_us / 1000000,
                                             .tv_nsec = due_us % 1000000 * 1000 } };

    timerfd_settime(ts->fd, TFD_TIMER_ABSTIME, &when, NULL);
    ts->fired = false;
}

/* Set too early is harmless (a stopped timer): it wakes once and is set anew. */
void timers_arm(struct timers *ts)
{
    if (ts->n && ts->heap[0].due_us < ts->armed_us) {
        ts->armed_us = ts->heap[0].due_us;
        set(ts, ts->armed_us > 0 ? ts->armed_us : 1);
    } else if (ts->fired) {
        set(ts, 0);
    }
}

static void run_due(struct timers *ts)
{
    int64_t now = pat_now_us();
    uint64_t end = ts->seq;

    while (ts->n && ts->heap[0].due_us <= now && ts->heap[0].seq < end) {
        struct pat_timer *t = ts->heap[0].timer;

        pat_timer_stop(t);
        t->fn(t->arg); /* may free t */
    }
}

static void on_timerfd(uv_poll_t *p, int status, int events)
{
    struct timers *ts = p->data;

    (void)status;
    (void)events;
    ts->fired = true;
    ts->armed_us = INT64_MAX;
    run_due(ts);
}

int timers_init(struct pat_loop *l)
{
    struct timers *ts = &l->timers;
    int err;

    ts->armed_us = INT64_MAX;
    ts->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (ts->fd < 0)
        return PAT_EIO;
    err = uv_poll_init(&l->uv, &ts->poll, ts->fd);
    if (err) {
        close(ts->fd);
        return loop_err(err);
    }
    ts->poll.data = ts;
    uv_poll_start(&ts->poll, UV_READABLE, on_timerfd);
    uv_unref((uv_handle_t *)&ts->poll);
    return PAT_OK;
}

void timers_close(struct pat_loop *l)
{
    uv_close((uv_handle_t *)&l->timers.poll, NULL);
    close(l->timers.fd);
}

void timers_fini(struct pat_loop *l)
{
    free(l->timers.heap);
    l->timers = (struct timers){ 0 };
}
