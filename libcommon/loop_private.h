/* loop_private.h - what loop.c, loop_timer.c and loop_io.c share. Nobody else includes it. */
#ifndef PAT_LOOP_PRIVATE_H
#define PAT_LOOP_PRIVATE_H

#include "loop.h"

#include <pthread.h>
#include <uv.h>

struct post {
    struct post *next;
    pat_loop_fn *fn;
    void *arg;
};

struct heap_entry {
    int64_t due_us;
    uint64_t seq; /* order of starting: breaks ties and bounds one pass */
    struct pat_timer *timer;
};

struct timers {
    int fd;         /* CLOCK_MONOTONIC timerfd */
    uv_poll_t poll; /* of fd; referenced while a timer of somebody else's runs */
    struct heap_entry *heap;
    size_t n;
    size_t cap;
    size_t reserved; /* by pat_timer_init: n <= reserved <= cap */
    uint64_t seq;
    int64_t armed_us; /* what fd is set to; INT64_MAX: nothing */
    bool fired;       /* fd is readable until it is set again */
};

struct pat_loop {
    uv_loop_t uv;
    uv_async_t async;
    uv_check_t check;     /* runs the tasks, after I/O */
    uv_prepare_t prepare; /* before each wait: sets the timer, takes the turn's time */
    uv_idle_t idle;       /* active while there are tasks: the poll does not wait */
    pthread_mutex_t lock;
    struct post *posts; /* under lock, as is posts_tail and going */
    struct post **posts_tail;
    bool going;
    struct pat_task *tasks;
    struct pat_task **tasks_tail;
    struct pat_task *due_tasks; /* being run in this turn */
    struct timers timers;
    struct pat_timer wake; /* bounds pat_loop_run_once */
    int64_t awake_us;      /* when the last wait ended */
    int64_t lag_max_us;
    size_t detached; /* canceled requests still with a pool thread */
};

int timers_init(struct pat_loop *l);
/* Before the loop waits: the timerfd follows the heap. */
void timers_arm(struct timers *ts);
/* Closes the handles; the memory goes with timers_fini once they are closed. */
void timers_close(struct pat_loop *l);
void timers_fini(struct pat_loop *l);
/* A libuv error as ours. */
int loop_err(int uv_err);

#endif
