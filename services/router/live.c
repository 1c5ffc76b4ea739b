/* live.c - calls under way and money spent, by user: see live.h.
 *
 * What a user spent is what Postgres knew at the last look, what was heard since, and what was
 * heard between the last two looks: the journal needs a moment to store it.
 */
#include "live.h"

#include "budget.h"
#include "window.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define ROUTED   "pat.call.v1.routed."
#define ENDED    "pat.call.v1.ended."
#define SPEND    "patchbay.router.spend."
#define LOOK_MS  30000
#define QUERY_MS 10000
/* The journal's way to Postgres: a call not found there may be this young. */
#define YOUNG_MS 60000

struct user {
    char id[PAT_ID_LEN + 1];
    unsigned calls;
    int64_t stored, before, since; /* microusd: see above */
    UT_hash_handle hh;
};

struct call {
    char id[PAT_ID_LEN + 1];
    bool seen;
    int64_t heard_ms;
    struct user *user;
    UT_hash_handle hh;
};

struct live {
    struct router *r;
    struct user *users;
    struct call *calls;
    struct windows *begun; /* by user, within a minute */
    struct pat_id self;
    struct pat_sub *routed, *ended, *spend;
    struct pat_timer look;
    pat_db_id query;
    struct pat_gauge *count;
};

static struct user *get_user(struct live *l, const char *id)
{
    struct user *u;

    HASH_FIND_STR(l->users, id, u);
    if (u || HASH_COUNT(l->users) >= LIVE_MAX)
        return u;
    u = calloc(1, sizeof *u);
    if (!u)
        return NULL;
    pat_strcpy(u->id, sizeof u->id, id);
    HASH_ADD_STR(l->users, id, u);
    return u;
}

static const struct user *find_user(const struct live *l, const char *id)
{
    const struct user *u;

    HASH_FIND_STR(l->users, id, u);
    return u;
}

static struct call *note_call(struct live *l, const char *user, const char *call)
{
    struct call *c;

    HASH_FIND_STR(l->calls, call, c);
    if (c)
        return c;
    c = HASH_COUNT(l->calls) < LIVE_MAX ? calloc(1, sizeof *c) : NULL;
    if (!c || !(c->user = get_user(l, user))) {
        free(c);
        return NULL;
    }
    pat_strcpy(c->id, sizeof c->id, call);
    c->heard_ms = pat_now_ms();
    c->user->calls++;
    HASH_ADD_STR(l->calls, id, c);
    pat_gauge_set(l->count, (double)HASH_COUNT(l->calls));
    return c;
}

void live_begin(struct live *l, const char *user, const char *call)
{
    size_t before = HASH_COUNT(l->calls);

    if (note_call(l, user, call) && HASH_COUNT(l->calls) > before)
        (void)windows_add(l->begun, window_key(user, NULL), pat_now_ms());
}

static void drop(struct live *l, struct call *c)
{
    HASH_DEL(l->calls, c);
    c->user->calls--;
    free(c);
    pat_gauge_set(l->count, (double)HASH_COUNT(l->calls));
}

void live_end(struct live *l, const char *call)
{
    struct call *c;

    if (!l)
        return;
    HASH_FIND_STR(l->calls, call, c);
    if (c)
        drop(l, c);
}

unsigned live_calls(const struct live *l, const char *user)
{
    const struct user *u = find_user(l, user);

    return u ? u->calls : 0;
}

unsigned live_last_minute(const struct live *l, const char *user)
{
    return windows_count(l->begun, window_key(user, NULL), pat_now_ms());
}

int64_t live_spent_microusd(const struct live *l, const char *user)
{
    const struct user *u = find_user(l, user);

    return u ? u->stored + u->before + u->since : 0;
}

void live_spend(struct live *l, const char *user, int64_t microusd)
{
    struct user *u = get_user(l, user);
    char subject[128], text[32];
    int n = snprintf(text, sizeof text, "%lld", (long long)microusd);

    if (u)
        u->since += microusd;
    snprintf(subject, sizeof subject, SPEND "%s.%s", l->self.s, user);
    if (pat_bus_publish(l->r->d->bus, subject, text, (size_t)n))
        pat_log(PAT_WARN, "live.spend_not_told", PAT_S("user", user));
}

/* ------------------------------------------------------------------ hearing */

/* Two tokens at the end of a subject. */
static bool split(const char *subject, size_t skip, char a[PAT_ID_LEN + 1], char b[PAT_ID_LEN + 1])
{
    const char *s = subject + skip;

    if (strlen(s) != 2 * PAT_ID_LEN + 1 || s[PAT_ID_LEN] != '.')
        return false;
    memcpy(a, s, PAT_ID_LEN);
    memcpy(b, s + PAT_ID_LEN + 1, PAT_ID_LEN);
    a[PAT_ID_LEN] = b[PAT_ID_LEN] = 0;
    return true;
}

static void on_routed(const struct pat_msg *m, void *arg)
{
    char user[PAT_ID_LEN + 1], call[PAT_ID_LEN + 1];

    struct live *l = arg;

    if (!split(m->subject, strlen(ROUTED), user, call))
        return;
    live_begin(l, user, call);
    budget_routed(l->r->budget, user, call, m->data, m->len);
}

static void on_ended(const struct pat_msg *m, void *arg)
{
    char user[PAT_ID_LEN + 1], call[PAT_ID_LEN + 1];

    struct live *l = arg;

    if (!split(m->subject, strlen(ENDED), user, call))
        return;
    live_end(l, call);
    budget_ended(l->r->budget, call);
}

static void on_spend(const struct pat_msg *m, void *arg)
{
    struct live *l = arg;
    char from[PAT_ID_LEN + 1], user[PAT_ID_LEN + 1];
    int64_t microusd = strtoll(m->data, NULL, 10);
    struct user *u;

    if (!split(m->subject, strlen(SPEND), from, user) || !strcmp(from, l->self.s) || microusd <= 0)
        return;
    u = get_user(l, user);
    if (u)
        u->since += microusd;
}

/* ------------------------------------------------------------------ looking */

static void take_calls(struct live *l, const struct pat_db_result *rows)
{
    int64_t now = pat_now_ms();
    struct call *c, *next;

    for (c = l->calls; c; c = c->hh.next)
        c->seen = false;
    for (size_t i = 0; i < pat_db_rows(rows); i++) {
        c = note_call(l, pat_db_value(rows, i, 0), pat_db_value(rows, i, 1));
        if (c)
            c->seen = true;
    }
    HASH_ITER(hh, l->calls, c, next)
    if (!c->seen && now - c->heard_ms > YOUNG_MS)
        drop(l, c);
}

static void take_spent(struct live *l, const struct pat_db_result *rows)
{
    struct user *u, *next;

    for (u = l->users; u; u = u->hh.next)
        u->stored = 0;
    for (size_t i = 0; i < pat_db_rows(rows); i++) {
        u = get_user(l, pat_db_value(rows, i, 0));
        if (u)
            u->stored = strtoll(pat_db_value(rows, i, 1), NULL, 10);
    }
    HASH_ITER(hh, l->users, u, next)
    if (!u->calls && !u->stored && !u->before && !u->since) {
        HASH_DEL(l->users, u);
        free(u);
    }
}

static void on_looked(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct live *l = arg;

    l->query = 0;
    if (err) {
        pat_log(PAT_WARN, "live.not_read", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        return;
    }
    take_calls(l, results[0]);
    for (struct user *u = l->users; u; u = u->hh.next) {
        u->before = u->since;
        u->since = 0;
    }
    take_spent(l, results[1]);
}

static void look(void *arg)
{
    static const char calls[] =
        "select user_id, id from patchbay.calls where state <> 'ended' "
        "and carrier <> 'web' and offered_at > now() - make_interval(secs => $1::integer) "
        "order by offered_at desc limit 65536";
    /* A call that is over costs its begun minutes, one that is not at least what was reserved. */
    static const char spent[] =
        "select f.user_id, sum(case when c.state = 'ended' "
        "then f.microusd_per_min * ceil(greatest(extract(epoch from c.ended_at - f.started_at), 0) "
        "/ 60) else greatest(f.reserved_microusd, f.microusd_per_min * "
        "ceil(extract(epoch from now() - f.started_at) / 60)) end)::bigint "
        "from patchbay.forwards f left join patchbay.calls c on c.id = f.call_id "
        "where f.started_at >= date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' "
        "group by f.user_id limit 65536";
    struct live *l = arg;
    char longest[16];
    const char *params[] = { longest };
    struct pat_db_stmt stmts[] = { { "live_calls", calls, 1, params },
                                   { "live_spent", spent, 0, NULL } };

    pat_timer_start(&l->look, LOOK_MS);
    snprintf(longest, sizeof longest, "%lld", (long long)l->r->conf->max_call_s);
    if (!l->query && pat_db_run(l->r->d->db, stmts, 2, QUERY_MS, on_looked, l, &l->query))
        pat_log(PAT_WARN, "live.not_read", PAT_ERR(PAT_EAGAIN));
}

static void on_state(bool up, void *arg)
{
    struct live *l = arg;

    if (up)
        pat_timer_start(&l->look, 0);
}

/* ------------------------------------------------------------------ life */

static int hear(struct live *l)
{
    struct pat_daemon *d = l->r->d;
    int err = pat_bus_subscribe(d->bus, &l->routed, ROUTED ">", NULL, on_routed, l);

    if (!err)
        err = pat_bus_subscribe(d->bus, &l->ended, ENDED ">", NULL, on_ended, l);
    if (!err)
        err = pat_bus_subscribe(d->bus, &l->spend, SPEND ">", NULL, on_spend, l);
    if (!err)
        err = pat_daemon_on_bus(d, on_state, l);
    return err ? err : pat_daemon_on_db(d, on_state, l);
}

int live_new(struct live **out, struct router *r)
{
    struct live *l = calloc(1, sizeof *l);
    int err;

    if (!l)
        return PAT_ENOMEM;
    l->r = r;
    l->self = pat_id_new();
    l->count = pat_gauge(r->d->metrics, "pat_router_calls_live",
                         "Calls under way, those of all routers", NULL);
    err = pat_timer_init(&l->look, r->d->loop, look, l);
    if (err) {
        free(l);
        return err;
    }
    err = windows_new(&l->begun, 16384, 60000);
    if (!err)
        err = hear(l);
    if (err) {
        live_free(l);
        return err;
    }
    pat_timer_start(&l->look, 0);
    *out = l;
    return PAT_OK;
}

void live_free(struct live *l)
{
    struct call *c, *next_c;
    struct user *u, *next_u;

    if (!l)
        return;
    pat_bus_unsubscribe(l->routed);
    pat_bus_unsubscribe(l->ended);
    pat_bus_unsubscribe(l->spend);
    pat_db_cancel(l->r->d->db, l->query);
    pat_timer_fini(&l->look);
    HASH_ITER(hh, l->calls, c, next_c)
    drop(l, c);
    HASH_ITER(hh, l->users, u, next_u)
    {
        HASH_DEL(l->users, u);
        free(u);
    }
    windows_free(l->begun);
    free(l);
}
