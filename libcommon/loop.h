/* loop.h - the one loop thread that owns everything, and the one way into it from other threads.
 *
 * Life: pat_loop_new -> objects on it -> pat_loop_run -> all of them closed -> pat_loop_free.
 * Thread: the loop's, but for pat_loop_post.
 * Timers are precise to the microsecond (one timerfd) and live in the caller's memory without a
 * close step: a stopped timer may be freed at once.
 */
#ifndef PAT_LOOP_H
#define PAT_LOOP_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

struct pat_loop;
struct uv_loop_s;

typedef void pat_loop_fn(void *arg);

/* Makes the process ignore SIGPIPE. */
int pat_loop_new(struct pat_loop **out) PAT_MUST_CHECK;
/* Returns after pat_loop_stop, or when nothing is left that could happen. */
void pat_loop_run(struct pat_loop *l);
void pat_loop_stop(struct pat_loop *l);
/* One turn, waiting at most timeout_ms for something to happen: for tests. */
void pat_loop_run_once(struct pat_loop *l, int64_t timeout_ms);
/* Waits for close steps under way. PAT_EAGAIN when an object of others is still open: nothing is
 * freed then. */
int pat_loop_free(struct pat_loop *l);
/* For the modules that wrap a library on libuv. */
struct uv_loop_s *pat_loop_uv(struct pat_loop *l);

/* Monotonic time: cached per turn; pat_now_* ask the clock. pat_unix_ms is wall time. */
int64_t pat_loop_now_ms(const struct pat_loop *l);
int64_t pat_now_us(void);
int64_t pat_now_ms(void);
int64_t pat_unix_ms(void);
/* "2026-11-22T10:00:00.123Z" */
#define PAT_TIME_LEN 24
void pat_time_format(int64_t unix_ms, char out[PAT_TIME_LEN + 1]);

/* Any thread. Runs fn(arg) on the loop, in the order posted. PAT_ENOMEM, PAT_ECANCELED when the
 * loop is going. */
int pat_loop_post(struct pat_loop *l, pat_loop_fn *fn, void *arg) PAT_MUST_CHECK;
/* Loop's thread. Runs fn(arg) after the present callback has returned, before waiting again. Never
 * fails: the memory is the caller's, one pending run at most. */
struct pat_task {
    pat_loop_fn *fn;
    void *arg;
    struct pat_task *next;
    bool queued;
};
void pat_loop_next_turn(struct pat_loop *l, struct pat_task *t, pat_loop_fn *fn, void *arg);
void pat_task_cancel(struct pat_loop *l, struct pat_task *t);

struct pat_timer {
    struct pat_loop *loop;
    pat_loop_fn *fn;
    void *arg;
    int64_t due_us;
    size_t slot; /* place in the loop's heap, SIZE_MAX when stopped */
};
/* Reserves a place in the loop, so that starting cannot fail. */
int pat_timer_init(struct pat_timer *t, struct pat_loop *l, pat_loop_fn *fn,
                   void *arg) PAT_MUST_CHECK;
void pat_timer_start(struct pat_timer *t, int64_t after_ms);  /* again: moves it */
void pat_timer_start_at(struct pat_timer *t, int64_t due_us); /* pat_now_us time */
/* For what may come a little later: at a multiple of PAT_ROUGH_US, together with all others of the
 * kind. To be woken costs more than what most timers do. */
#define PAT_ROUGH_US 20000
void pat_timer_start_rough(struct pat_timer *t, int64_t after_ms);
void pat_timer_stop(struct pat_timer *t);
bool pat_timer_running(const struct pat_timer *t);
/* Stops it and gives the reserved place back. Fine on a zeroed timer. */
void pat_timer_fini(struct pat_timer *t);

/* Readiness of a descriptor that stays the caller's. */
enum { PAT_POLL_IN = 1, PAT_POLL_OUT = 2 };
struct pat_poll;
/* err PAT_ECONN: the descriptor is in error, both events are given so that the owner's next call
 * meets it, and nothing is watched until the next pat_poll_set. */
typedef void pat_poll_fn(int err, int events, void *arg);
int pat_poll_new(struct pat_poll **out, struct pat_loop *l, int fd, pat_poll_fn *fn,
                 void *arg) PAT_MUST_CHECK;
int pat_poll_set(struct pat_poll *p, int events); /* 0: watch nothing */
/* The callback does not run again; fd may be closed at once. NULL is fine. */
void pat_poll_close(struct pat_poll *p);

/* SIGTERM, SIGINT, SIGHUP. */
struct pat_signal;
typedef void pat_signal_fn(int signum, void *arg);
int pat_signal_new(struct pat_signal **out, struct pat_loop *l, int signum, pat_signal_fn *fn,
                   void *arg) PAT_MUST_CHECK;
void pat_signal_close(struct pat_signal *s);

/* work runs on a pool thread and touches only arg; done runs on the loop, exactly once. */
int pat_loop_work(struct pat_loop *l, pat_loop_fn *work, pat_loop_fn *done,
                  void *arg) PAT_MUST_CHECK;

/* Resolves host to numeric text, off the loop, IPv4 before IPv6. fn runs once: address is borrowed.
 * Cancel: it does not run. A numeric host (IPv6 with or without brackets) needs no thread. */
struct pat_resolve;
typedef void pat_resolve_fn(int err, const char *address, void *arg);
int pat_resolve_start(struct pat_resolve **out, struct pat_loop *l, const char *host,
                      int64_t timeout_ms, pat_resolve_fn *fn, void *arg) PAT_MUST_CHECK;
void pat_resolve_cancel(struct pat_resolve *r);

/* The longest that callbacks kept the loop from waiting, within one turn, since last asked; µs,
 * to the ms below. What is due meanwhile is late by so much at worst. */
int64_t pat_loop_lag_us(struct pat_loop *l);

#endif
