/* team.c - who of the agents is alive: see team.h.
 *
 * How: a table of who was heard when, by our own clock, of a fixed size. Postgres lists the calls
 * (only while there is cause), KV has each one's mark. It takes nobody's calls itself. */
#include "team.h"

#include "rest.h"
#include "watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET "pat_agents"

enum {
    AGENTS = 256,
    TICK_MS = 1000,
    ASK_MS = 3000,
    LEASE_MS = 2000,    /* the agents' own: services/livekit-agent/call/lease.h */
    OTHERS_MS = 4000,   /* what those who are alive may take, on a machine that is busy */
    FORGET_MS = 120000, /* of silence: its calls were taken, or are over */
};

struct heard {
    char id[PAT_ID_LEN + 1];
    int64_t at_ms;
};

struct team {
    struct router *r;
    struct pat_kv_watch *watch;
    struct pat_timer tick;
    struct heard heard[AGENTS];
    size_t n;
    int64_t since_ms; /* followed without a break; 0: not now */
    bool asking;
};

static int64_t patience_ms(const struct router *r)
{
    return LEASE_MS + r->conf->no_agent_ms;
}

static struct heard *find(struct team *t, const char *id)
{
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->heard[i].id, id))
            return &t->heard[i];
    return NULL;
}

static void hear(struct team *t, const char *id)
{
    struct heard *h = find(t, id);

    if (!h && t->n < AGENTS && strlen(id) <= PAT_ID_LEN) {
        h = &t->heard[t->n++];
        pat_strcpy(h->id, sizeof h->id, id);
    }
    if (h)
        h->at_ms = pat_now_ms();
}

static void on_change(const struct pat_kv_change *c, void *arg)
{
    struct team *t = arg;

    if (c->news == PAT_KV_BEGIN)
        t->since_ms = 0;
    else if (c->news == PAT_KV_CURRENT)
        t->since_ms = pat_now_ms();
    else if (c->news == PAT_KV_PUT)
        hear(t, c->key);
    /* PAT_KV_GONE: it said goodbye, and gave its calls away. It falls silent like the dead. */
}

/* ------------------------------------------------------------------ who is silent */

static bool is_alive(const struct heard *h, int64_t now)
{
    return now - h->at_ms < LEASE_MS;
}

static bool any_alive(const struct team *t, int64_t now)
{
    for (size_t i = 0; i < t->n; i++)
        if (is_alive(&t->heard[i], now))
            return true;
    return false;
}

/* For how long; 0: nothing is known of it. */
static int64_t silent_ms(const struct team *t, const char *id, int64_t now)
{
    for (size_t i = 0; i < t->n; i++)
        if (!strcmp(t->heard[i].id, id))
            return now - t->heard[i].at_ms;
    return 0;
}

bool team_has_left(const struct router *r, const struct leg *leg)
{
    const struct team *t = r->team;
    int64_t now = pat_now_ms(), limit = patience_ms(r);
    bool others;

    if (!t || !t->since_ms || now - t->since_ms < limit || !pat_bus_up(r->d->bus))
        return false;
    if (!leg->kv || leg->epoch < 1 || leg->over || leg->end)
        return false;
    others = any_alive(t, now);
    if (!*leg->agent)
        return !others; /* given up, and nobody is there to take it */
    return silent_ms(t, leg->agent, now) >= limit + (others ? OTHERS_MS : 0);
}

/* ------------------------------------------------------------------ their calls */

static void on_calls(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct team *t = arg;
    struct pat_id call;

    (void)n;
    t->asking = false;
    for (size_t i = 0; !err && i < pat_db_rows(results[0]); i++)
        if (pat_strcpy(call.s, sizeof call.s, pat_db_value(results[0], i, 0)))
            watch_left(t->r, &call);
}

static void ask(struct team *t)
{
    static const char sql[] =
        "select id from patchbay.calls where state in ('routed', 'answered') and stack = 'livekit' "
        "and offered_at > now() - $1::bigint * interval '1 second' order by offered_at desc "
        "limit 500";
    char seconds[24];

    snprintf(seconds, sizeof seconds, "%lld", (long long)t->r->conf->max_call_s);
    t->asking = !pat_db_run1(t->r->d->db, "calls_of_agents", sql, (const char *[]){ seconds }, 1,
                             ASK_MS, on_calls, t, NULL);
}

/* True: somebody's calls may have been left. Forgets who has been silent for too long. */
static bool has_cause(struct team *t, int64_t now)
{
    bool cause = false;

    for (size_t i = 0; i < t->n;) {
        int64_t silent = now - t->heard[i].at_ms;

        if (silent > FORGET_MS) {
            t->heard[i] = t->heard[--t->n];
            continue;
        }
        cause |= silent >= patience_ms(t->r);
        i++;
    }
    return cause;
}

static void on_tick(void *arg)
{
    struct team *t = arg;
    int64_t now = pat_now_ms();

    pat_timer_start(&t->tick, TICK_MS);
    if (!pat_bus_up(t->r->d->bus)) {
        t->since_ms = 0; /* a listing follows */
        return;
    }
    if (t->since_ms && now - t->since_ms >= patience_ms(t->r) && has_cause(t, now) && !t->asking)
        ask(t);
}

/* ------------------------------------------------------------------ life */

int team_new(struct team **out, struct router *r)
{
    struct team *t = calloc(1, sizeof *t);
    int err;

    if (!t)
        return PAT_ENOMEM;
    t->r = r;
    err = pat_timer_init(&t->tick, r->d->loop, on_tick, t);
    if (!err && rest_configured(r) && r->conf->no_agent_ms) {
        err = pat_kv_watch(&t->watch, r->d->bus, BUCKET, ">", on_change, t);
        pat_timer_start(&t->tick, TICK_MS);
    }
    if (err) {
        pat_timer_fini(&t->tick);
        free(t);
        return err;
    }
    *out = t;
    return PAT_OK;
}

void team_free(struct team *t)
{
    if (!t)
        return;
    pat_kv_watch_close(t->watch);
    pat_timer_fini(&t->tick);
    free(t);
}
