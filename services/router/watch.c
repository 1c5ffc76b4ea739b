/* watch.c - gives a stack up that keeps its caller waiting: see watch.h.
 *
 * Two queues, since all wait equally long: one timer looks at their heads. A look asks everything
 * that may know (leg_find_whole) and redirects only when somebody who knows says that nobody
 * serves: silence from NATS and Postgres is no reason to take a caller out of a conversation.
 */
#include "watch.h"

#include "callback.h"
#include "health.h"
#include "leg.h"
#include "rest.h"
#include "routes.h"
#include "serve.h"
#include "team.h"
#include "transfer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TICK_MS    100
#define SWEEP_MS   5000
#define FIND_MS    1000
#define CLAIM_MS   400
#define ASK_MS     3000
#define SLACK_MS   1500   /* the carrier's own time-out, and its request, come first */
#define QUEUED_MAX 100000 /* some 60 MB; a router answers fewer within ten seconds */
#define SWEEP_ROWS "100"
#define WHY_LEFT   "agents_lost"

struct watched {
    struct watched *next;
    struct callref ref;
    int64_t due_ms;
};

struct queue {
    struct watched *first, **last;
};

struct watches {
    struct router *r;
    struct queue dialled, answered;
    size_t n;
    struct pat_timer tick, sweep;
    bool sweeping;
};

/* A leg being looked at, and what is done about it. */
struct look {
    struct router *r;
    struct callref ref;
    bool swept; /* found in Postgres: ref has only the id */
    bool left;  /* the same, and somebody had served */
    const char *why;
    struct leg leg;
    struct move move;
};

/* ------------------------------------------------------------------ giving up */

static void on_redirected(int err, const char *sid, void *arg)
{
    struct look *l = arg;

    (void)sid;
    /* Whether it happened is not known: a sweep asks again when the claim has run out. */
    if (err != PAT_ETIMEDOUT && err != PAT_ECONN) {
        l->move.state = err ? MOVE_OVER : MOVE_STARTED;
        leg_moved(l->r, l->ref.call.s, &l->move);
    }
    if (err && err != PAT_ENOENT)
        pat_log(PAT_WARN, "watch.not_redirected", PAT_S("call", l->ref.call.s), PAT_ERR(err));
    free(l);
}

static int redirect(struct look *l)
{
    struct callref ref = l->leg.ref;
    struct pat_buf url;
    int err;

    ref.moves = l->move.n;
    transfer_note_moved(l->r, &ref, ref.moves);
    pat_buf_init(&url, 4096);
    err = callback_url(&url, l->r, "/v1/signalwire/next/", &ref);
    if (!err)
        err = pat_buf_addf(&url, "&why=%s", l->why);
    if (!err)
        err =
            rest_redirect(l->r, ref.carrier_call, l->leg.form, url.data, ASK_MS, on_redirected, l);
    pat_buf_fini(&url);
    return err;
}

static void on_claimed(int err, void *arg)
{
    struct look *l = arg;

    if (err) { /* another router, or the carrier's own word, was first */
        free(l);
        return;
    }
    pat_log(PAT_WARN, "watch.given_up", PAT_S("call", l->ref.call.s),
            PAT_S("stack", stack_name(l->leg.ref.stack)), PAT_S("why", l->why),
            PAT_B("swept", l->swept), PAT_I("after_ms", pat_unix_ms() - l->leg.ref.offered_ms));
    health_outcome(l->r, l->leg.ref.stack, false, l->why);
    err = redirect(l);
    if (err) {
        pat_log(PAT_WARN, "watch.not_redirected", PAT_S("call", l->ref.call.s), PAT_ERR(err));
        free(l);
    }
}

static void give_up(struct look *l)
{
    l->move = (struct move){ .n = l->leg.ref.moves + 1,
                             .kind = MOVE_FALLBACK,
                             .state = MOVE_ASKED,
                             .until_ms = pat_unix_ms() + ASK_MS + CLAIM_MS };
    if (leg_claim(l->r, &l->leg, &l->move, CLAIM_MS, on_claimed, l))
        free(l);
}

/* ------------------------------------------------------------------ looking */

/* A step that was claimed, and whose router died before the carrier heard of it. */
static bool step_died(const struct move *m)
{
    return m->kind == MOVE_FALLBACK && m->state == MOVE_ASKED && pat_unix_ms() > m->until_ms;
}

/* The call has gone on since ref was answered. */
static bool went_on(const struct look *l)
{
    const struct callref *now = &l->leg.ref, *then = &l->ref;
    const struct move *m = &l->leg.move;

    if (now->stack != STACK_LIVEKIT || now->action != then->action)
        return true;
    if (!l->swept && (now->tried != then->tried || now->redials != then->redials))
        return true;
    if (l->swept)
        return m->n && m->state != MOVE_OVER && m->kind != MOVE_FALLBACK;
    return now->moves > then->moves && !step_died(m);
}

static bool is_served(const struct leg *leg)
{
    return (leg->epoch > 0 && !leg->over) || leg->answered;
}

/* Only the sweep, when any agent would long have written it, believes the row alone. */
static bool knows(const struct look *l)
{
    return *l->leg.ref.call.s && (l->leg.kv || (l->swept && l->leg.row));
}

static void on_found(const struct leg *leg, void *arg)
{
    struct look *l = arg;
    bool over = leg->ended || (leg->end && !leg->ref.redials);

    l->leg = *leg;
    if (over || !knows(l) || went_on(l) || (l->left ? !team_has_left(l->r, leg) : is_served(leg)))
        free(l);
    else
        give_up(l);
}

static void look_for(const struct look *what)
{
    struct look *l = malloc(sizeof *l);

    if (!l)
        return;
    *l = *what;
    if (leg_find_whole(l->r, l->ref.call.s, FIND_MS, on_found, l))
        free(l);
}

static void look(struct router *r, const struct callref *ref, const char *why, bool swept)
{
    look_for(&(struct look){ .r = r, .ref = *ref, .why = why, .swept = swept });
}

void watch_left(struct router *r, const struct pat_id *call)
{
    look_for(&(struct look){ .r = r,
                             .ref = { .call = *call, .stack = STACK_LIVEKIT },
                             .why = WHY_LEFT,
                             .swept = true,
                             .left = true });
}

/* ------------------------------------------------------------------ queues */

static void push(struct watches *w, struct queue *q, const struct callref *ref, int64_t after_ms)
{
    struct watched *x = w->n < QUEUED_MAX ? malloc(sizeof *x) : NULL;

    if (!x)
        return; /* the sweep finds it */
    *x = (struct watched){ NULL, *ref, pat_now_ms() + after_ms };
    *q->last = x;
    q->last = &x->next;
    if (!w->n++)
        pat_timer_start(&w->tick, TICK_MS);
}

static struct watched *pop_due(struct watches *w, struct queue *q, int64_t now)
{
    struct watched *x = q->first;

    if (!x || x->due_ms > now)
        return NULL;
    q->first = x->next;
    if (!q->first)
        q->last = &q->first;
    w->n--;
    return x;
}

static void on_tick(void *arg)
{
    struct watches *w = arg;
    int64_t now = pat_now_ms();
    struct watched *x;

    while ((x = pop_due(w, &w->answered, now))) {
        look(w->r, &x->ref, "no_agent", false);
        free(x);
    }
    while ((x = pop_due(w, &w->dialled, now))) {
        look(w->r, &x->ref, "no_answer", false);
        free(x);
    }
    if (w->n)
        pat_timer_start(&w->tick, TICK_MS);
}

static bool watches_any(const struct router *r)
{
    return r->watches && rest_configured(r) && r->conf->no_agent_ms;
}

static int64_t longest_ms(const struct router *r)
{
    return r->conf->dial_timeout_s * 1000 + r->conf->no_agent_ms + SLACK_MS;
}

void watch_dialled(struct router *r, const struct callref *ref)
{
    if (watches_any(r))
        push(r->watches, &r->watches->dialled, ref, longest_ms(r));
}

void watch_answered(struct router *r, const struct callref *ref)
{
    if (watches_any(r))
        push(r->watches, &r->watches->answered, ref, r->conf->no_agent_ms);
}

/* ------------------------------------------------------------------ what others left */

static void on_swept(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct watches *w = arg;
    struct callref ref = { .stack = STACK_LIVEKIT };

    (void)n;
    w->sweeping = false;
    for (size_t i = 0; !err && i < pat_db_rows(results[0]); i++)
        if (pat_strcpy(ref.call.s, sizeof ref.call.s, pat_db_value(results[0], i, 0)))
            look(w->r, &ref, "no_agent", true);
}

static void on_sweep(void *arg)
{
    static const char sql[] =
        "select id from patchbay.calls where state = 'routed' and stack = 'livekit' "
        "and carrier <> 'web' "
        "and offered_at > now() - interval '2 minutes' "
        "and coalesce(routed_at, offered_at) < now() - $1::bigint * interval '1 millisecond' "
        "order by offered_at limit " SWEEP_ROWS;
    struct watches *w = arg;
    char ms[24];

    pat_timer_start(&w->sweep, SWEEP_MS);
    if (w->sweeping)
        return;
    snprintf(ms, sizeof ms, "%lld", (long long)(longest_ms(w->r) + SLACK_MS));
    w->sweeping = !pat_db_run1(w->r->d->db, "unserved_calls", sql, (const char *[]){ ms }, 1,
                               SWEEP_MS, on_swept, w, NULL);
}

/* ------------------------------------------------------------------ the redirected caller */

struct visit {
    struct router *r;
    struct pat_httpd_req *http;
    enum carrier_form form;
    struct callref ref;
    const char *why;
};

static const char *why_of(struct pat_httpd_req *http)
{
    const char *why = pat_httpd_query_param(http, "why");

    static const char *const known[] = { "no_answer", WHY_LEFT };

    for (size_t i = 0; why && i < sizeof known / sizeof known[0]; i++)
        if (!strcmp(why, known[i]))
            return known[i];
    return "no_agent";
}

static void on_visit_found(const struct leg *leg, void *arg)
{
    struct visit *v = arg;
    const struct route *route = routes_find(v->r->routes, v->ref.to);
    struct serve s = {
        .ref = v->ref, .form = v->form, .failed_over = v->why, .started_us = pat_now_us()
    };

    if (*leg->ref.call.s && leg->ref.moves == v->ref.moves && (leg->ref.tried & ~v->ref.tried))
        serve_again(v->r, v->http, &leg->ref, v->form, route);
    else
        serve_call(v->r, v->http, &s, route);
    free(v);
}

static void on_next(struct pat_httpd_req *http, void *arg)
{
    struct visit *v = calloc(1, sizeof *v);
    struct carrier_req c;

    if (!v) {
        pat_httpd_reply_error(http, PAT_ENOMEM, NULL, "out of memory");
        return;
    }
    *v = (struct visit){ .r = arg, .http = http, .why = why_of(http) };
    if (callback_read(&c, &v->ref, arg, http)) {
        free(v);
        return;
    }
    v->form = c.form;
    carrier_fini(&c);
    if (leg_find(v->r, v->ref.call.s, FIND_MS, on_visit_found, v))
        on_visit_found(&(struct leg){ 0 }, v);
}

int watch_routes(struct router *r)
{
    return pat_httpd_route(r->httpd, "POST", "/v1/signalwire/next/{call}", 0, on_next, r);
}

/* ------------------------------------------------------------------ life */

int watch_new(struct watches **out, struct router *r)
{
    struct watches *w = calloc(1, sizeof *w);
    int err;

    if (!w)
        return PAT_ENOMEM;
    w->r = r;
    w->dialled.last = &w->dialled.first;
    w->answered.last = &w->answered.first;
    err = pat_timer_init(&w->tick, r->d->loop, on_tick, w);
    if (!err)
        err = pat_timer_init(&w->sweep, r->d->loop, on_sweep, w);
    if (err) {
        pat_timer_fini(&w->tick);
        free(w);
        return err;
    }
    if (rest_configured(r) && r->conf->no_agent_ms)
        pat_timer_start(&w->sweep, SWEEP_MS);
    *out = w;
    return PAT_OK;
}

void watch_free(struct watches *w)
{
    struct watched *x;

    if (!w)
        return;
    while ((x = pop_due(w, &w->answered, INT64_MAX)))
        free(x);
    while ((x = pop_due(w, &w->dialled, INT64_MAX)))
        free(x);
    pat_timer_fini(&w->tick);
    pat_timer_fini(&w->sweep);
    free(w);
}
