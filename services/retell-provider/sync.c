/* sync.c - see sync.h. */
#include "sync.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define CHANNEL       "patchbay_outbox"
#define SUBJECT       "pat.config.v1.changed."
#define DB_TIMEOUT_MS 15000
#define DUE_MAX       "64"
enum { JOBS_MAX = 4, WAITERS_MAX = 256 };

struct waiter {
    agent_fn *fn;
    void *arg;
    struct waiter *next;
};

struct entry {
    char id[PAT_ID_LEN + 1];
    struct sync *s;
    enum agent_wish wish;
    struct agent_job *job;  /* under way */
    struct waiter *served;  /* by that job */
    struct waiter *waiting; /* for the next one */
    bool queued;
    UT_hash_handle hh;
};

struct sync {
    struct provider *p;
    struct entry *entries; /* in the order they came */
    int jobs, waiters;
    struct pat_timer settle; /* a change was heard of */
    struct pat_timer sweep;
    struct pat_timer check;
    pat_db_id query;
    bool sweeping;
    struct pat_sub *sub;
    struct pat_gauge *queued;
};

static void pump(struct sync *s);

static void entry_free(struct entry *e)
{
    HASH_DEL(e->s->entries, e);
    free(e);
}

static void tell(struct sync *s, struct waiter *w, const struct agent_result *r)
{
    while (w) {
        struct waiter gone = *w;

        free(w);
        s->waiters--;
        gone.fn(r, gone.arg);
        w = gone.next;
    }
}

static void on_done(const struct agent_result *r, void *arg)
{
    struct entry *e = arg;
    struct sync *s = e->s;
    struct waiter *served = e->served;

    e->job = NULL;
    e->served = NULL;
    s->jobs--;
    if (!e->queued)
        entry_free(e);
    tell(s, served, r);
    pump(s);
}

/* Taking it away outweighs the rest, wanting it outweighs keeping it in order. */
static enum agent_wish stronger(enum agent_wish a, enum agent_wish b)
{
    static const int weight[] = {
        [AGENT_CHECK] = 0, [AGENT_SYNC] = 1, [AGENT_WANT] = 2, [AGENT_RETIRE] = 3
    };

    return weight[a] > weight[b] ? a : b;
}

static int start(struct entry *e)
{
    int err = agent_start(&e->job, e->s->p, e->id, e->wish, on_done, e);

    if (err)
        return err;
    e->queued = false;
    e->served = e->waiting;
    e->waiting = NULL;
    e->wish = AGENT_CHECK;
    e->s->jobs++;
    return PAT_OK;
}

static void pump(struct sync *s)
{
    struct entry *e, *next;

    HASH_ITER(hh, s->entries, e, next)
    {
        if (s->jobs >= JOBS_MAX)
            break;
        if (e->queued && !e->job && start(e))
            break; /* out of memory: the next one to end tries again */
    }
    pat_gauge_set(s->queued, (double)HASH_COUNT(s->entries));
}

static struct entry *queue(struct sync *s, const char *config_id, enum agent_wish wish)
{
    struct entry *e;

    HASH_FIND_STR(s->entries, config_id, e);
    if (!e) {
        e = calloc(1, sizeof *e);
        if (!e)
            return NULL;
        e->s = s;
        pat_strcpy(e->id, sizeof e->id, config_id);
        e->wish = wish;
        HASH_ADD_STR(s->entries, id, e);
    }
    e->wish = stronger(e->wish, wish);
    e->queued = true;
    return e;
}

int sync_ask(struct sync *s, const char *config_id, enum agent_wish wish, agent_fn *fn, void *arg)
{
    struct waiter *w = s->waiters < WAITERS_MAX ? calloc(1, sizeof *w) : NULL;
    struct entry *e;

    if (!w)
        return s->waiters < WAITERS_MAX ? PAT_ENOMEM : PAT_EAGAIN;
    e = queue(s, config_id, wish);
    if (!e) {
        free(w);
        return PAT_ENOMEM;
    }
    *w = (struct waiter){ fn, arg, e->waiting };
    e->waiting = w;
    s->waiters++;
    pump(s);
    return PAT_OK;
}

/* ------------------------------------------------------------------ finding work */

static void take_ids(struct sync *s, const struct pat_db_result *res, enum agent_wish wish)
{
    for (size_t i = 0; i < pat_db_rows(res); i++)
        queue(s, pat_db_value(res, i, 0), wish);
    pump(s);
}

static void on_due(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct sync *s = arg;

    (void)n;
    s->query = 0;
    s->sweeping = false;
    pat_timer_start(&s->sweep, s->p->conf->sweep_ms);
    if (err)
        pat_log(PAT_WARN, "sync.sweep_failed", PAT_ERR(err));
    else
        take_ids(s, results[0], AGENT_SYNC);
}

static void sweep(void *arg)
{
    struct sync *s = arg;
    const char *params[] = { DUE_MAX };

    if (s->sweeping)
        return;
    s->sweeping =
        !pat_db_run1(s->p->d->db, "due_retell_agents", "select patchbay.due_retell_agents($1::int)",
                     params, 1, DB_TIMEOUT_MS, on_due, s, &s->query);
    if (!s->sweeping)
        pat_timer_start(&s->sweep, s->p->conf->sweep_ms);
}

static void on_unchecked(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct sync *s = arg;

    (void)n;
    s->query = 0;
    s->sweeping = false;
    if (err)
        pat_log(PAT_WARN, "sync.check_failed", PAT_ERR(err));
    else
        take_ids(s, results[0], AGENT_CHECK);
}

/* A few at a time: over a day everybody is looked at often enough, and Retell is asked evenly. */
static void check(void *arg)
{
    struct sync *s = arg;
    char ms[24];
    const char *params[] = { ms, DUE_MAX };

    pat_timer_start(&s->check, s->p->conf->check_ms / 10 + 1);
    if (s->sweeping)
        return;
    snprintf(ms, sizeof ms, "%lld", (long long)s->p->conf->check_ms);
    s->sweeping = !pat_db_run1(s->p->d->db, "unchecked_retell_agents",
                               "select a.agent_config_id from patchbay.retell_agents a "
                               "where a.state = 'ready' and coalesce(a.drift_checked_at, "
                               "a.updated_at) < now() - $1::bigint * interval '1 millisecond' "
                               "order by a.drift_checked_at nulls first limit $2::int",
                               params, 2, DB_TIMEOUT_MS, on_unchecked, s, &s->query);
}

static void heard(struct sync *s)
{
    if (!pat_timer_running(&s->settle))
        pat_timer_start(&s->settle, s->p->conf->settle_ms);
}

/* A channel is listened to for as long as the database is: longer than there is a sync. */
static void on_notify(const char *channel, const char *payload, void *arg)
{
    struct provider *p = arg;

    (void)channel;
    if (p->sync && (!payload || !strncmp(payload, SUBJECT, strlen(SUBJECT))))
        heard(p->sync);
}

static void on_event(const struct pat_msg *m, void *arg)
{
    (void)m;
    heard(arg);
}

/* ------------------------------------------------------------------ life */

int sync_new(struct sync **out, struct provider *p)
{
    struct sync *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return PAT_ENOMEM;
    s->p = p;
    s->queued = pat_gauge(p->d->metrics, "pat_retell_agents_queued",
                          "Agents at Retell that wait for work or are worked on", NULL);
    err = pat_timer_init(&s->settle, p->d->loop, sweep, s);
    if (!err)
        err = pat_timer_init(&s->sweep, p->d->loop, sweep, s);
    if (!err)
        err = pat_timer_init(&s->check, p->d->loop, check, s);
    if (!err)
        err = pat_bus_subscribe(p->d->bus, &s->sub, SUBJECT ">", NULL, on_event, s);
    if (!err)
        err = pat_db_listen(p->d->db, CHANNEL, on_notify, p);
    if (err) {
        sync_free(s);
        return err;
    }
    pat_timer_start(&s->sweep, 0);
    pat_timer_start(&s->check, p->conf->check_ms / 10 + 1);
    *out = s;
    return PAT_OK;
}

void sync_free(struct sync *s)
{
    const struct agent_result stopping = { .err = PAT_ECANCELED, .message = "stopping" };
    struct entry *e, *next;

    if (!s)
        return;
    pat_db_cancel(s->p->d->db, s->query);
    pat_bus_unsubscribe(s->sub);
    pat_timer_fini(&s->settle);
    pat_timer_fini(&s->sweep);
    pat_timer_fini(&s->check);
    HASH_ITER(hh, s->entries, e, next)
    {
        struct waiter *served = e->served, *waiting = e->waiting;

        if (e->job)
            agent_drop(e->job);
        entry_free(e);
        tell(s, served, &stopping);
        tell(s, waiting, &stopping);
    }
    free(s);
}
