/* guard.c - loops, bursts and toll fraud: see guard.h.
 *
 * Money: a forward reserves RESERVE_MIN minutes at the price of its country, and costs its begun
 * minutes once the call is over (live.c). Where there is no price of the country the operator's
 * assumption counts.
 */
#include "guard.h"

#include "allow.h"
#include "budget.h"
#include "country.h"
#include "live.h"
#include "text.h"
#include "window.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_MS 60000
/* Spoofed contacts make bursts of forwards that last less than a second. */
#define FORWARD_SPAN_MS 300000
#define FORWARD_SHUT_MS 3600000
#define RESERVE_MIN     5
#define MICROUSD_CENT   10000
enum { CALLER_KEYS = 16384, NUMBER_KEYS = 16384, FORWARD_KEYS = 4096 };

struct guard {
    struct live *live;
    struct windows *callers;  /* caller and called number */
    struct windows *numbers;  /* called number */
    struct windows *forwards; /* caller and user */
    struct pat_price_book *prices;
};

int guard_new(struct guard **out, struct router *r)
{
    struct guard *g = calloc(1, sizeof *g);
    int err = g ? windows_new(&g->callers, CALLER_KEYS, MINUTE_MS) : PAT_ENOMEM;

    if (!g)
        return err;
    if (!err)
        err = windows_new(&g->numbers, NUMBER_KEYS, MINUTE_MS);
    if (!err)
        err = windows_new(&g->forwards, FORWARD_KEYS, FORWARD_SPAN_MS);
    if (!err)
        err = pat_price_book_new(&g->prices, r->d->loop, r->d->db);
    if (!err)
        err = live_new(&g->live, r);
    if (err) {
        guard_free(g);
        return err;
    }
    *out = g;
    return PAT_OK;
}

void guard_free(struct guard *g)
{
    if (!g)
        return;
    live_free(g->live);
    pat_price_book_free(g->prices);
    windows_free(g->callers);
    windows_free(g->numbers);
    windows_free(g->forwards);
    free(g);
}

/* ------------------------------------------------------------------ money */

static int64_t microusd_per_min(struct router *r, const char *country)
{
    const struct pat_prices *prices = pat_price_book_now(r->guard->prices);
    struct pat_metered m = { .provider = r->conf->carrier, .component = "phone", .milli = 60000 };
    bool home = country && (!strcmp(country, "US") || !strcmp(country, "CA"));
    char model[32];
    int64_t cost;

    snprintf(model, sizeof model, "outbound:%s", country ? country : "");
    m.model = model;
    m.at_ms = pat_unix_ms();
    if (prices && !pat_prices_cost(prices, &m, &cost))
        return cost;
    m.model = "outbound";
    if (home && prices && !pat_prices_cost(prices, &m, &cost))
        return cost;
    return r->conf->forward_unpriced_cents * MICROUSD_CENT;
}

static bool over_cap(struct router *r, const struct policy_wishes *w, const char *user,
                     const char *country)
{
    int64_t cap =
        w->daily_forward_cents >= 0 ? w->daily_forward_cents : r->conf->forward_daily_cents;
    int64_t reserve = RESERVE_MIN * microusd_per_min(r, country);

    return live_spent_microusd(r->guard->live, user) + reserve > cap * MICROUSD_CENT;
}

/* ------------------------------------------------------------------ forwards */

static uint64_t forward_key(const char *from, const char *user)
{
    return window_key(*from ? from : "withheld", user);
}

const char *guard_forward_no(struct router *r, const struct route *route, const char *number,
                             const char *from, const char *passed_on_from)
{
    const struct policy_wishes *w = policy_wishes(route->policies);
    const char *country = country_of(number);
    struct allow_forward in = { .number = number,
                                .from = from,
                                .called = route->number,
                                .passed_on_from = passed_on_from,
                                .from_is_ours = *from && routes_has(r->routes, from),
                                .number_is_ours = *number && routes_has(r->routes, number),
                                .prefixes = r->conf->transfer_prefixes };

    in.country_allowed = policy_allows_country(route->policies, country);
    in.burst = windows_is_shut(r->guard->forwards, forward_key(from, route->user), pat_now_ms());
    in.over_cap = *number && over_cap(r, w, route->user, country);
    return allow_forward(&in);
}

const char *guard_transfer_no(struct router *r, const struct callref *ref, const char *number)
{
    const struct route *route = routes_find(r->routes, ref->to);
    const char *country = country_of(number);

    if (!route || strcmp(route->user, ref->user))
        return NULL; /* the number has changed hands meanwhile: the operator's rules hold alone */
    if (!policy_allows_country(route->policies, country))
        return "country";
    return over_cap(r, policy_wishes(route->policies), ref->user, country) ? "spend_cap" : NULL;
}

static void store(struct router *r, const struct callref *ref, const char *kind,
                  const char *country, int64_t price)
{
    static const char sql[] =
        "insert into patchbay.forwards (id, call_id, user_id, kind, country, microusd_per_min, "
        "reserved_microusd) values ($1::uuid, $2::uuid, $3::uuid, $4, $5, $6::bigint, "
        "$7::bigint) on conflict (id) do nothing";
    struct pat_id id = pat_id_new();
    char per_min[24], reserved[24];
    const char *params[] = { id.s, ref->call.s, ref->user, kind, country, per_min, reserved };
    struct pat_db_stmt stmt = { "put_forward", sql, 7, params };

    snprintf(per_min, sizeof per_min, "%lld", (long long)price);
    snprintf(reserved, sizeof reserved, "%lld", (long long)(RESERVE_MIN * price));
    if (pat_journal_add(r->journal, NULL, NULL, &stmt, 1))
        pat_log(PAT_ERROR, "record.lost", PAT_S("call", ref->call.s), PAT_S("what", "forward"));
}

void guard_forwarded(struct router *r, const struct callref *ref, const char *number,
                     const char *kind)
{
    const char *country = country_of(number);
    int64_t price = microusd_per_min(r, country), now = pat_now_ms();
    uint64_t key = forward_key(ref->from, ref->user);

    if (strcmp(kind, "forward") == 0 && r->conf->forwards_per_caller &&
        windows_add(r->guard->forwards, key, now) >= (unsigned)r->conf->forwards_per_caller) {
        pat_log(PAT_WARN, "guard.forward_burst", PAT_S("call", ref->call.s),
                PAT_S("user", ref->user));
        windows_shut(r->guard->forwards, key, now, now + FORWARD_SHUT_MS);
    }
    live_spend(r->guard->live, ref->user, RESERVE_MIN * price);
    store(r, ref, kind, country, price);
}

void guard_ended(struct router *r, const char *call)
{
    if (r->guard)
        live_end(r->guard->live, call);
    budget_ended(r->budget, call);
}

/* ------------------------------------------------------------------ facts */

static unsigned events(struct windows *w, uint64_t key, bool count)
{
    return count ? windows_add(w, key, pat_now_ms()) : windows_count(w, key, pat_now_ms()) + 1;
}

/* This call is one of them. */
static void count_bursts(struct policy_facts *f, struct router *r, const struct guard_call *c)
{
    const char *who = *c->from ? c->from : caller_kind_name(c->caller);
    int64_t per_caller = r->conf->caller_per_min, per_number = r->conf->number_per_min;

    f->caller_burst =
        per_caller && events(r->guard->callers, window_key(who, f->to), c->call) > per_caller;
    f->number_burst =
        per_number && events(r->guard->numbers, window_key(f->to, NULL), c->call) > per_number;
}

static void look_at_forwards(struct policy_facts *f, struct router *r, const struct route *route,
                             const struct guard_call *c)
{
    const struct policy_wishes *w = &f->want;
    const char *after = *w->after_hours_number ? w->after_hours_number : w->forward;

    f->forward_no = guard_forward_no(r, route, w->forward, c->from, c->passed_on_from);
    f->after_hours_no = after == w->forward
                            ? f->forward_no
                            : guard_forward_no(r, route, after, c->from, c->passed_on_from);
    if (!f->forward_no && f->quiet)
        f->forward_no = "quiet_hours"; /* a number for those hours is meant to ring in them */
}

/* Nothing of all this concerns who has only defaults, which is nearly everybody. */
static bool may_forward(const struct policy_wishes *w)
{
    return w->withheld == POLICY_FORWARD || w->whitelist == POLICY_FORWARD ||
           w->unknown == POLICY_FORWARD || w->after_hours == POLICY_FORWARD ||
           w->over_limit == POLICY_FORWARD || w->over_budget == POLICY_FORWARD;
}

void guard_facts(struct policy_facts *out, struct router *r, const struct route *route,
                 const struct guard_call *c, int64_t now_ms)
{
    const struct policies *p = route->policies;
    struct policy_facts f = { .want = *policy_wishes(p), .caller = c->caller };

    pat_strcpy(f.from, sizeof f.from, c->from);
    pat_strcpy(f.to, sizeof f.to, route->number);
    f.blocked = *f.from && policy_blocks(p, f.from);
    f.known = *f.from && policy_knows(p, f.from);
    f.hours = policy_hours(p, now_ms);
    f.quiet = policy_quiet(p, now_ms);
    f.live = live_calls(r->guard->live, route->user);
    f.last_minute = live_last_minute(r->guard->live, route->user);
    count_bursts(&f, r, c);
    if (may_forward(&f.want))
        look_at_forwards(&f, r, route, c);
    f.over_budget = !budget_allows(r->budget, route->user, c->call);
    if (c->call)
        live_begin(r->guard->live, route->user, c->call);
    if (c->call && f.over_budget)
        pat_counter_add(r->stats.over_budget, 1);
    else if (c->call)
        budget_hold(r->budget, route->user, c->call);
    *out = f;
}
