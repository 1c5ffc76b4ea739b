/* loop.c - the loop itself: running it, posts from other threads, tasks, time, lag.
 *
 * Thin over libuv. Timers are in loop_timer.c, descriptors and requests in loop_io.c. Handles of
 * our own are unreferenced, so that an idle loop ends.
 */
#include "loop_private.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* A canceled DNS query runs on in its thread; this long do we wait for it at the end. */
#define FREE_WAIT_US 15000000

int loop_err(int uv_err)
{
    switch (uv_err) {
    case 0:
        return PAT_OK;
    case UV_ENOMEM:
        return PAT_ENOMEM;
    case UV_EINVAL:
        return PAT_EINVAL;
    case UV_EEXIST:
        return PAT_EEXIST;
    case UV_ECANCELED:
        return PAT_ECANCELED;
    default:
        return PAT_EIO;
    }
}

int64_t pat_now_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

int64_t pat_now_ms(void)
{
    return pat_now_us() / 1000;
}

int64_t pat_unix_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static char *put_digits(char *to, int64_t v, int width)
{
    for (int i = width - 1; i >= 0; i--, v /= 10)
        to[i] = (char)('0' + v % 10);
    return to + width;
}

/* By arithmetic: each event and log line has one, and gmtime_r with snprintf took 0.7 us. Years
 * count from March here, so that the leap day is the last one of its year. */
void pat_time_format(int64_t unix_ms, char out[PAT_TIME_LEN + 1])
{
    static const int64_t first_ms = -62167219200000; /* year 0 */
    static const int64_t last_ms = 253402300799999;  /* year 9999: only what fits is taken */
    int64_t ms = unix_ms < first_ms ? 0 : (unix_ms > last_ms ? last_ms : unix_ms) - first_ms;
    int64_t days = ms / 86400000 + 146097 - 60; /* since 1 March of the year -400 */
    int64_t era = days / 146097;
    int64_t day = days % 146097; /* of the era of 400 years */
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t month;

    day -= 365 * year + year / 4 - year / 100;
    month = (5 * day + 2) / 153; /* 0: March */
    out = put_digits(out, era * 400 - 400 + year + (month >= 10), 4);
    *out++ = '-';
    out = put_digits(out, month < 10 ? month + 3 : month - 9, 2);
    *out++ = '-';
    out = put_digits(out, day - (153 * month + 2) / 5 + 1, 2);
    *out++ = 'T';
    out = put_digits(out, ms / 3600000 % 24, 2);
    *out++ = ':';
    out = put_digits(out, ms / 60000 % 60, 2);
    *out++ = ':';
    out = put_digits(out, ms / 1000 % 60, 2);
    *out++ = '.';
    out = put_digits(out, ms % 1000, 3);
    *out++ = 'Z';
    *out = '\0';
}

int64_t pat_loop_now_ms(const struct pat_loop *l)
{
    return (int64_t)uv_now(&l->uv);
}

struct uv_loop_s *pat_loop_uv(struct pat_loop *l)
{
    return &l->uv;
}

/* ---- posts ---- */

static struct post *posts_take(struct pat_loop *l)
{
    struct post *p;

    pthread_mutex_lock(&l->lock);
    p = l->posts;
    l->posts = NULL;
    l->posts_tail = &l->posts;
    pthread_mutex_unlock(&l->lock);
    return p;
}

static bool posts_pending(struct pat_loop *l)
{
    bool pending;

    pthread_mutex_lock(&l->lock);
    pending = l->posts;
    pthread_mutex_unlock(&l->lock);
    return pending;
}

static void posts_run(struct pat_loop *l)
{
    struct post *p = posts_take(l);

    while (p) {
        struct post *next = p->next;

        p->fn(p->arg);
        free(p);
        p = next;
    }
}

static void on_async(uv_async_t *a)
{
    posts_run(a->data);
}

int pat_loop_post(struct pat_loop *l, pat_loop_fn *fn, void *arg)
{
    struct post *p = malloc(sizeof *p);
    bool going, first;

    if (!p)
        return PAT_ENOMEM;
    *p = (struct post){ .fn = fn, .arg = arg };
    pthread_mutex_lock(&l->lock);
    going = l->going;
    first = !l->posts;
    if (!going) {
        *l->posts_tail = p;
        l->posts_tail = &p->next;
        /* Under the lock, so that the handle cannot be closed in between. */
        if (first)
            uv_async_send(&l->async);
    }
    pthread_mutex_unlock(&l->lock);
    if (going) {
        free(p);
        return PAT_ECANCELED;
    }
    return PAT_OK;
}

/* ---- tasks ---- */

static void on_idle(uv_idle_t *i)
{
    (void)i; /* its being active keeps the poll from waiting */
}

static void tasks_run(struct pat_loop *l)
{
    l->due_tasks = l->tasks;
    l->tasks = NULL;
    l->tasks_tail = &l->tasks;
    while (l->due_tasks) {
        struct pat_task *t = l->due_tasks;

        l->due_tasks = t->next;
        t->queued = false;
        t->fn(t->arg); /* may free t, queue it again or cancel others */
    }
}

static void on_check(uv_check_t *c)
{
    struct pat_loop *l = c->data;

    /* libuv takes the time, in whole ms, as the wait ends; up to one is told too little. Its own
     * metrics of idle time poll twice in each turn. */
    l->awake_us = (int64_t)(uv_now(&l->uv) + 1) * 1000;
    tasks_run(l);
    if (!l->tasks)
        uv_idle_stop(&l->idle);
}

void pat_loop_next_turn(struct pat_loop *l, struct pat_task *t, pat_loop_fn *fn, void *arg)
{
    t->fn = fn;
    t->arg = arg;
    if (t->queued)
        return;
    t->queued = true;
    t->next = NULL;
    *l->tasks_tail = t;
    l->tasks_tail = &t->next;
    uv_idle_start(&l->idle, on_idle);
}

static bool task_unlink(struct pat_task **at, const struct pat_task *t)
{
    for (; *at; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            return true;
        }
    }
    return false;
}

void pat_task_cancel(struct pat_loop *l, struct pat_task *t)
{
    if (!t->queued)
        return;
    t->queued = false;
    if (task_unlink(&l->due_tasks, t))
        return;
    task_unlink(&l->tasks, t);
    l->tasks_tail = &l->tasks;
    while (*l->tasks_tail)
        l->tasks_tail = &(*l->tasks_tail)->next;
}

/* ---- turns ---- */

/* Right before the loop waits: a turn is over. */
static void on_prepare(uv_prepare_t *h)
{
    struct pat_loop *l = h->data;
    int64_t busy = pat_now_us() - l->awake_us;

    if (busy > l->lag_max_us)
        l->lag_max_us = busy;
    timers_arm(&l->timers);
}

int64_t pat_loop_lag_us(struct pat_loop *l)
{
    int64_t longest = l->lag_max_us;

    l->lag_max_us = 0;
    l->awake_us = pat_now_us();
    return longest;
}

/* ---- life ---- */

static void on_wake(void *arg)
{
    (void)arg;
}

static int handles_init(struct pat_loop *l)
{
    int err = uv_async_init(&l->uv, &l->async, on_async);

    if (err)
        return loop_err(err);
    uv_check_init(&l->uv, &l->check);
    uv_prepare_init(&l->uv, &l->prepare);
    uv_idle_init(&l->uv, &l->idle);
    l->async.data = l->check.data = l->prepare.data = l->idle.data = l;
    uv_check_start(&l->check, on_check);
    uv_prepare_start(&l->prepare, on_prepare);
    uv_unref((uv_handle_t *)&l->async);
    uv_unref((uv_handle_t *)&l->check);
    uv_unref((uv_handle_t *)&l->prepare);
    return PAT_OK;
}

static void handles_close(struct pat_loop *l)
{
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_close((uv_handle_t *)&l->check, NULL);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->idle, NULL);
}

int pat_loop_new(struct pat_loop **out)
{
    struct pat_loop *l = calloc(1, sizeof *l);
    int err = PAT_ENOMEM;

    if (!l)
        return err;
    /* A peer that has gone is an error of the call, never the end of the process. */
    signal(SIGPIPE, SIG_IGN);
    pthread_mutex_init(&l->lock, NULL);
    l->posts_tail = &l->posts;
    l->tasks_tail = &l->tasks;
    err = loop_err(uv_loop_init(&l->uv));
    if (err)
        goto fail;
    l->awake_us = INT64_MAX;
    err = handles_init(l);
    if (err)
        goto fail_loop;
    err = timers_init(l);
    if (err)
        goto fail_handles;
    err = pat_timer_init(&l->wake, l, on_wake, l);
    if (err)
        goto fail_timers;
    *out = l;
    return PAT_OK;

fail_timers:
    timers_close(l);
fail_handles:
    handles_close(l);
fail_loop:
    uv_run(&l->uv, UV_RUN_DEFAULT);
    uv_loop_close(&l->uv);
    timers_fini(l);
fail:
    pthread_mutex_destroy(&l->lock);
    free(l);
    return err;
}

void pat_loop_run(struct pat_loop *l)
{
    /* libuv does not count a post as something alive. */
    do
        posts_run(l);
    while (!uv_run(&l->uv, UV_RUN_DEFAULT) && posts_pending(l));
}

void pat_loop_stop(struct pat_loop *l)
{
    uv_stop(&l->uv);
}

void pat_loop_run_once(struct pat_loop *l, int64_t timeout_ms)
{
    pat_timer_start(&l->wake, timeout_ms);
    uv_run(&l->uv, UV_RUN_ONCE);
    pat_timer_stop(&l->wake);
}

struct census {
    struct pat_loop *l;
    size_t open; /* handles of others, not closing */
};

static bool is_own(const struct pat_loop *l, const uv_handle_t *h)
{
    return h == (const uv_handle_t *)&l->async || h == (const uv_handle_t *)&l->check ||
           h == (const uv_handle_t *)&l->idle || h == (const uv_handle_t *)&l->timers.poll ||
           h == (const uv_handle_t *)&l->prepare;
}

static void count_handle(uv_handle_t *h, void *arg)
{
    struct census *c = arg;

    if (!uv_is_closing(h) && !is_own(c->l, h))
        c->open++;
}

static bool all_closed(struct pat_loop *l)
{
    struct census c = { .l = l };

    uv_walk(&l->uv, count_handle, &c);
    return !c.open && !l->tasks && !l->timers.n && !posts_pending(l);
}

int pat_loop_free(struct pat_loop *l)
{
    int64_t until = pat_now_us() + FREE_WAIT_US;

    if (!l)
        return PAT_OK;
    /* Close callbacks, posts and canceled requests on their way are waited for, nothing else. */
    do
        pat_loop_run_once(l, l->detached ? 50 : 0);
    while (l->detached && pat_now_us() < until);
    if (!all_closed(l) || l->detached)
        return PAT_EAGAIN;
    uv_run(&l->uv, UV_RUN_NOWAIT);
    if (uv_loop_alive(&l->uv)) /* a pat_loop_work whose done has not run */
        return PAT_EAGAIN;
    pthread_mutex_lock(&l->lock);
    l->going = true;
    pthread_mutex_unlock(&l->lock);
    handles_close(l);
    timers_close(l);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    posts_run(l);
    if (uv_loop_close(&l->uv))
        return PAT_EAGAIN;
    timers_fini(l);
    pthread_mutex_destroy(&l->lock);
    free(l);
    return PAT_OK;
}
