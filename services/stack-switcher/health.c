/* health.c - how the stacks are, and how they have been: see health.h. */
#include "health.h"

#include "ask.h"
#include "door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROLL_MS 60000
#define DB_MS   30000 /* the first one reads a month */

static const char *const stacks[] = { "retell", "livekit" };
enum { STACKS = sizeof stacks / sizeof stacks[0] };

/* Of the last hour, a user's own calls, an admin everybody's; the rest is of all calls, and
 * nobody's secret. */
#define SQL                                                                                                         \
    "with mine as (select c.id, c.stack, c.state, c.answered_at, c.ended_at, c.outcome from "                       \
    "patchbay.calls c where not c.rehearsal and c.offered_at > now() - interval '1 hour' and " ASK_MAY_SEE(         \
        "c.user_id") "), failed as (select e.data ->> 'from' as stack, e.data ->> "                                 \
                     "'reason' as reason, e.occurred_at from mine m join patchbay.call_events e on e.call_id = "    \
                     "m.id where e.type = 'pat.call.v1.failed_over'), month as materialized (select "               \
                     "patchbay.stack_availability($3::integer) as j) select jsonb_build_object('scope', case "      \
                     "when " ASK_IS_ADMIN                                                                           \
                     " then 'all' else 'own' end, 'since', to_jsonb(now() - interval "                              \
                     "'1 hour'), 'stacks', jsonb_object_agg(s.stack, jsonb_build_object('state', coalesce("         \
                     "t.state, 'up'), 'reasons', coalesce(t.reasons, '[]'), 'changed_at', t.since, 'month', "       \
                     "(select j -> s.stack::text from month), 'routed', (select count(*) from mine m where "        \
                     "m.stack = s.stack), 'answered', (select count(*) from mine m where m.stack = s.stack and "    \
                     "(m.answered_at is not null or m.outcome = 'answered')), 'live', (select count(*) from mine "  \
                     "m where m.stack = s.stack and m.state <> 'ended'), 'failed_over', (select count(*) from "     \
                     "failed f where f.stack = s.stack::text), 'last_error', (select jsonb_build_object('reason', " \
                     "f.reason, 'at', f.occurred_at) from failed f where f.stack = s.stack::text order by "         \
                     "f.occurred_at desc limit 1)))) from unnest(enum_range(null::public.voice_ai_stack)) as "      \
                     "s(stack) left join patchbay.stack_states t on t.stack = s.stack"

static void on_health(struct pat_httpd_req *http, void *arg)
{
    struct switcher *s = arg;
    struct who who;
    char goal[24];

    snprintf(goal, sizeof goal, "%lld", (long long)s->conf->health_goal);
    if (!door_who(&who, s, http))
        ask(s, http, &who,
            &(struct question){ .name = "health_stacks", .sql = SQL, .params = { goal }, .n = 1 });
}

/* How it has been, hour by hour, and the calls of the last day that a stack did not serve. */
static const char history_sql[] =
    "select jsonb_build_object('stacks', (select jsonb_object_agg(s.stack, coalesce((select "
    "jsonb_agg(jsonb_build_object('hour', h.hour, 'attempts', h.attempts, 'failed', h.failed) order "
    "by h.hour) from patchbay.stack_hours h where h.stack = s.stack and h.hour >= "
    "date_trunc('hour', now()) - interval '7 days'), '[]')) from "
    "unnest(enum_range(null::public.voice_ai_stack)) as s(stack)), 'errors', coalesce((select "
    "jsonb_agg(jsonb_build_object('call_id', c.id, 'user_id', c.user_id, 'user_name', c.name, 'at', "
    "coalesce(f.occurred_at, c.offered_at), 'from', coalesce(f.data ->> 'from', c.stack::text), "
    "'reason', coalesce(f.data ->> 'reason', c.ended_reason)) order by c.offered_at desc) from "
    "(select x.id, x.user_id, u.name, x.offered_at, x.stack, x.ended_reason from patchbay.calls x "
    "left join public.users u on u.id = x.user_id where not x.rehearsal and (x.fallback or "
    "(x.outcome = 'failed' and x.ended_owner is distinct from 'caller')) and x.offered_at > now() - "
    "interval '1 day' order by x.offered_at desc limit 20) c left join lateral (select e.* from "
    "patchbay.call_events e where e.call_id = c.id and e.type = 'pat.call.v1.failed_over' order by "
    "e.occurred_at limit 1) f on true), '[]')) where " ASK_IS_ADMIN;

static void on_history(struct pat_httpd_req *http, void *arg)
{
    struct who who;

    if (!door_who(&who, arg, http))
        ask(arg, http, &who,
            &(struct question){ .name = "health_history",
                                .sql = history_sql,
                                .tagged = true,
                                .admins_only = true });
}

int health_routes(struct switcher *s)
{
    static const struct pat_httpd_route routes[] = {
        { "GET", "/v1/health/stacks", 0, on_health },
        { "GET", "/v1/health/history", 0, on_history },
        { 0 },
    };

    return pat_httpd_routes(s->httpd, routes, s);
}

/* ------------------------------------------------------------------ the roll-up */

struct roll {
    struct switcher *s;
    struct pat_timer due;
    pat_db_id query;
    struct pat_gauge *availability[STACKS], *budget[STACKS];
};

static void show(struct roll *r, const struct pat_json *month)
{
    for (size_t i = 0; i < STACKS; i++) {
        const struct pat_json *of = pat_json_at(month, stacks[i]);

        pat_gauge_set(r->availability[i], pat_json_num_or(of, "availability", 1));
        pat_gauge_set(r->budget[i], pat_json_num_or(of, "budget_left", 1));
    }
}

static void on_counted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct roll *r = arg;
    PAT_AUTO_JSON month = NULL;
    const char *text = !err && n == 2 ? pat_db_value(results[1], 0, 0) : NULL;

    r->query = 0;
    if (text && !pat_json_parse(&month, text, strlen(text), NULL))
        show(r, month);
    else
        pat_log(PAT_WARN, "health.not_counted", PAT_ERR(err));
    pat_timer_start(&r->due, ROLL_MS);
}

static void on_due(void *arg)
{
    struct roll *r = arg;
    char goal[24];
    const char *params[] = { goal };
    const struct pat_db_stmt unit[] = {
        { "count_stack_hours", "select patchbay.count_stack_hours()", 0, NULL },
        { "stack_availability", "select patchbay.stack_availability($1::integer)::text", 1, params }
    };

    snprintf(goal, sizeof goal, "%lld", (long long)r->s->conf->health_goal);
    if (pat_db_run(r->s->d->db, unit, 2, DB_MS, on_counted, r, &r->query))
        pat_timer_start(&r->due, ROLL_MS);
}

int roll_new(struct roll **out, struct switcher *s)
{
    struct roll *r = calloc(1, sizeof *r);
    struct pat_metrics *m = s->d->metrics;
    int err;

    if (!r)
        return PAT_ENOMEM;
    r->s = s;
    for (size_t i = 0; i < STACKS; i++) {
        char labels[32];

        snprintf(labels, sizeof labels, "stack=\"%s\"", stacks[i]);
        r->availability[i] =
            pat_gauge(m, "pat_stack_availability_ratio",
                      "Calls the stack served of those meant for it, 30 days", labels);
        r->budget[i] =
            pat_gauge(m, "pat_stack_error_budget_left_ratio",
                      "What is left of what may fail in 30 days; negative: overdrawn", labels);
    }
    show(r, NULL);
    err = pat_timer_init(&r->due, s->d->loop, on_due, r);
    if (err) {
        free(r);
        return err;
    }
    pat_timer_start(&r->due, 0);
    *out = r;
    return PAT_OK;
}

void roll_free(struct roll *r)
{
    if (!r)
        return;
    pat_db_cancel(r->s->d->db, r->query);
    pat_timer_fini(&r->due);
    free(r);
}
