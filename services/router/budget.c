/* budget.c - users' budgets in memory: see budget.h. */
#include "budget.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define CHANGED   "pat.config.v1.changed.>"
#define MINUTE_MS 60000
enum {
    LOOK_MS = 30000,
    UNSETTLED_MS = 6000, /* a call is over, its costs are on their way */
    CHANGED_MS = 20,     /* several changes are one look */
    QUERY_MS = 10000,
    /* The journal's way to Postgres: a call not found there may be this young. */
    YOUNG_MS = 60000,
};

struct payer {
    char id[PAT_ID_LEN + 1];
    bool seen;
    int64_t day_cap, month_cap; /* microusd; negative: none */
    int64_t day_spent, month_spent, per_min, reserve;
    struct held *calls;
    UT_hash_handle hh;
};

struct held {
    char id[PAT_ID_LEN + 1];
    struct payer *payer;
    bool seen;
    int64_t heard_ms, begun_ms; /* our clock */
    int64_t ended_ms;           /* 0: under way */
    int64_t paid;
    struct held *next, **at; /* of the payer's */
    UT_hash_handle hh;
};

struct budget {
    struct router *r;
    struct payer *payers;
    struct held *held;
    struct pat_sub *changed;
    struct pat_timer look;
    pat_db_id query;
    bool again; /* when the look under way is over */
    struct pat_gauge *users, *reserved;
};

/* ------------------------------------------------------------------ counting */

static struct payer *find_payer(const struct budget *b, const char *user)
{
    struct payer *p;

    HASH_FIND_STR(b->payers, user, p);
    return p;
}

static struct held *find_held(const struct budget *b, const char *call)
{
    struct held *h;

    HASH_FIND_STR(b->held, call, h);
    return h;
}

static int64_t reserved_for(const struct held *h, int64_t now)
{
    int64_t lasted = (h->ended_ms ? h->ended_ms : now) - h->begun_ms;
    int64_t cost = lasted > 0 ? (lasted + MINUTE_MS - 1) / MINUTE_MS * h->payer->per_min : 0;

    if (cost < h->payer->reserve)
        cost = h->payer->reserve;
    return cost > h->paid ? cost - h->paid : 0;
}

static int64_t reserved(const struct payer *p)
{
    int64_t sum = 0, now = pat_now_ms();

    for (const struct held *h = p->calls; h; h = h->next)
        sum += reserved_for(h, now);
    return sum;
}

static bool fits(int64_t cap, int64_t spent, int64_t more)
{
    return cap < 0 || spent + more <= cap;
}

bool budget_allows(const struct budget *b, const char *user, const char *call)
{
    const struct payer *p = b ? find_payer(b, user) : NULL;
    int64_t more;

    if (!p || (call && find_held(b, call)))
        return true;
    more = reserved(p) + p->reserve;
    return fits(p->day_cap, p->day_spent, more) && fits(p->month_cap, p->month_spent, more);
}

static struct held *hold(struct budget *b, struct payer *p, const char *call)
{
    struct held *h = find_held(b, call);

    if (h)
        return h;
    h = HASH_COUNT(b->held) < BUDGET_MAX ? calloc(1, sizeof *h) : NULL;
    if (!h)
        return NULL;
    pat_strcpy(h->id, sizeof h->id, call);
    h->payer = p;
    h->heard_ms = h->begun_ms = pat_now_ms();
    h->next = p->calls;
    h->at = &p->calls;
    if (h->next)
        h->next->at = &h->next;
    p->calls = h;
    HASH_ADD_STR(b->held, id, h);
    return h;
}

static void drop(struct budget *b, struct held *h)
{
    HASH_DEL(b->held, h);
    *h->at = h->next;
    if (h->next)
        h->next->at = h->at;
    free(h);
}

void budget_hold(struct budget *b, const char *user, const char *call)
{
    struct payer *p = b ? find_payer(b, user) : NULL;

    if (p && !hold(b, p, call))
        pat_log(PAT_WARN, "budget.not_counted", PAT_S("call", call), PAT_S("user", user));
}

void budget_release(struct budget *b, const char *call)
{
    struct held *h = b ? find_held(b, call) : NULL;

    if (h)
        drop(b, h);
}

void budget_routed(struct budget *b, const char *user, const char *call, const char *event,
                   size_t len)
{
    PAT_AUTO_JSON j = NULL;
    const char *stack;

    if (!b || !find_payer(b, user) || pat_json_parse(&j, event, len, NULL))
        return;
    stack = pat_json_str_or(j, "data.stack", "none");
    if (stack_parse(stack) != STACK_NONE)
        budget_hold(b, user, call);
}

void budget_ended(struct budget *b, const char *call)
{
    struct held *h = b ? find_held(b, call) : NULL;

    if (!h || h->ended_ms)
        return;
    h->ended_ms = pat_now_ms();
    if (!b->query)
        pat_timer_start(&b->look, UNSETTLED_MS);
}

/* ------------------------------------------------------------------ looking */

static int64_t number(const struct pat_db_result *rows, size_t i, int col, int64_t none)
{
    const char *s = pat_db_value(rows, i, col);

    return s ? strtoll(s, NULL, 10) : none;
}

static void take_payer(struct budget *b, const struct pat_db_result *rows, size_t i)
{
    const char *id = pat_db_value(rows, i, 0);
    struct payer *p = find_payer(b, id);

    if (!p) {
        p = HASH_COUNT(b->payers) < BUDGET_MAX ? calloc(1, sizeof *p) : NULL;
        if (!p)
            return;
        pat_strcpy(p->id, sizeof p->id, id);
        HASH_ADD_STR(b->payers, id, p);
    }
    p->seen = true;
    p->day_cap = number(rows, i, 1, -1);
    p->month_cap = number(rows, i, 2, -1);
    p->day_spent = number(rows, i, 3, 0);
    p->month_spent = number(rows, i, 4, 0);
    p->per_min = number(rows, i, 5, 0);
    p->reserve = number(rows, i, 6, 0);
}

/* user, call, ms since it began, ms since it ended or NULL, settled, paid */
static void take_held(struct budget *b, const struct pat_db_result *rows, size_t i)
{
    struct payer *p = find_payer(b, pat_db_value(rows, i, 0));
    const char *call = pat_db_value(rows, i, 1);
    int64_t now = pat_now_ms();
    struct held *h;

    if (!strcmp(pat_db_value(rows, i, 4), "t")) {
        budget_release(b, call);
        return;
    }
    h = p ? hold(b, p, call) : NULL;
    if (!h)
        return;
    h->seen = true;
    h->begun_ms = now - number(rows, i, 2, 0);
    h->paid = number(rows, i, 5, 0);
    if (pat_db_value(rows, i, 3))
        h->ended_ms = now - number(rows, i, 3, 0);
}

static void forget_unseen(struct budget *b)
{
    int64_t now = pat_now_ms();
    struct held *h, *next;
    struct payer *p, *next_p;

    HASH_ITER(hh, b->held, h, next)
    if (!h->payer->seen || (!h->seen && now - h->heard_ms > YOUNG_MS))
        drop(b, h);
    HASH_ITER(hh, b->payers, p, next_p)
    if (!p->seen) {
        HASH_DEL(b->payers, p);
        free(p);
    }
}

static bool unsettled(const struct budget *b)
{
    for (const struct held *h = b->held; h; h = h->hh.next)
        if (h->ended_ms)
            return true;
    return false;
}

static void take(struct budget *b, const struct pat_db_result *const *results)
{
    int64_t all = 0;

    for (struct payer *p = b->payers; p; p = p->hh.next)
        p->seen = false;
    for (struct held *h = b->held; h; h = h->hh.next)
        h->seen = false;
    for (size_t i = 0; i < pat_db_rows(results[0]); i++)
        take_payer(b, results[0], i);
    for (size_t i = 0; i < pat_db_rows(results[1]); i++)
        take_held(b, results[1], i);
    forget_unseen(b);
    for (const struct payer *p = b->payers; p; p = p->hh.next)
        all += reserved(p);
    pat_gauge_set(b->users, (double)HASH_COUNT(b->payers));
    pat_gauge_set(b->reserved, (double)all / 1e6);
}

static void on_looked(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct budget *b = arg;

    b->query = 0;
    if (err)
        pat_log(PAT_WARN, "budget.not_read", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    else
        take(b, results);
    pat_timer_start(&b->look, b->again ? CHANGED_MS : unsettled(b) ? UNSETTLED_MS : LOOK_MS);
    b->again = false;
}

static void look(void *arg)
{
    static const char rows[] = "select user_id, day_cap, month_cap, day_spent, month_spent, "
                               "per_min, reserve from patchbay.budget_rows(null) limit 65536";
    static const char holds[] =
        "select user_id, call_id, round(extract(epoch from now() - begun_at) * 1000)::bigint, "
        "round(extract(epoch from now() - ended_at) * 1000)::bigint, settled, paid from "
        "patchbay.budget_holds(null, make_interval(secs => $1::integer)) limit 65536";
    struct budget *b = arg;
    char longest[16];
    const char *params[] = { longest };
    struct pat_db_stmt stmts[] = { { "budget_rows", rows, 0, NULL },
                                   { "budget_holds", holds, 1, params } };

    if (b->query)
        return;
    snprintf(longest, sizeof longest, "%lld", (long long)b->r->conf->max_call_s);
    if (pat_db_run(b->r->d->db, stmts, 2, QUERY_MS, on_looked, b, &b->query)) {
        pat_log(PAT_WARN, "budget.not_read", PAT_ERR(PAT_EAGAIN));
        pat_timer_start(&b->look, LOOK_MS);
    }
}

static void look_soon(struct budget *b, int64_t ms)
{
    if (b->query)
        b->again = true;
    else
        pat_timer_start(&b->look, ms);
}

static void on_changed(const struct pat_msg *m, void *arg)
{
    static const char table[] = "user_budgets";

    if (memmem(m->data, m->len, table, sizeof table - 1))
        look_soon(arg, CHANGED_MS);
}

static void on_state(bool up, void *arg)
{
    if (up)
        look_soon(arg, 0);
}

/* ------------------------------------------------------------------ life */

int budget_new(struct budget **out, struct router *r)
{
    struct budget *b = calloc(1, sizeof *b);
    struct pat_metrics *m = r->d->metrics;
    int err = b ? pat_timer_init(&b->look, r->d->loop, look, b) : PAT_ENOMEM;

    if (err) {
        free(b);
        return err;
    }
    b->r = r;
    b->users = pat_gauge(m, "pat_router_budgets", "Users with a cap on what they spend", NULL);
    b->reserved = pat_gauge(m, "pat_router_budget_reserved_usd",
                            "Reserved for calls whose money is not settled", NULL);
    err = pat_bus_subscribe(r->d->bus, &b->changed, CHANGED, NULL, on_changed, b);
    if (!err)
        err = pat_daemon_on_bus(r->d, on_state, b);
    if (!err)
        err = pat_daemon_on_db(r->d, on_state, b);
    if (err) {
        budget_free(b);
        return err;
    }
    pat_timer_start(&b->look, 0);
    *out = b;
    return PAT_OK;
}

void budget_free(struct budget *b)
{
    struct held *h, *next;
    struct payer *p, *next_p;

    if (!b)
        return;
    pat_bus_unsubscribe(b->changed);
    pat_db_cancel(b->r->d->db, b->query);
    pat_timer_fini(&b->look);
    HASH_ITER(hh, b->held, h, next)
    drop(b, h);
    HASH_ITER(hh, b->payers, p, next_p)
    {
        HASH_DEL(b->payers, p);
        free(p);
    }
    free(b);
}
