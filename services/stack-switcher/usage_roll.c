/* usage_roll.c - the sums of usage follow what is written about calls: see usage.h.
 *
 * Triggers note which calls were touched (patchbay.usage_dirty); here they are counted, a batch at
 * a time, by whichever replica gets the lock. Nothing is lost with a replica: what it had not
 * committed is still noted. Now and then response times of both stacks are compared.
 */
#include "usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH     200 /* touched rows; about 40 calls, some 20 ms */
#define BATCH_SQL "200"
#define IDLE_MS   1000
#define ERROR_MS  5000
#define DB_MS     30000

static const char *const stacks[] = { "retell", "livekit" };
enum { STACKS = sizeof stacks / sizeof stacks[0] };

struct usage_roll {
    struct switcher *s;
    struct pat_timer due, look;
    pat_db_id work, looking;
    struct pat_counter *counted;
    struct pat_gauge *waiting, *slower, *slower_users, *p50[STACKS], *p95[STACKS];
};

/* ------------------------------------------------------------------ counting */

static void on_worked(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct usage_roll *r = arg;
    int64_t rows = err ? 0 : strtoll(pat_db_value(results[0], 0, 0), NULL, 10);

    r->work = 0;
    if (err)
        pat_log(PAT_WARN, "usage.not_counted", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    if (rows > 0)
        pat_counter_add(r->counted, (double)rows);
    if (!err && n == 2)
        pat_gauge_set(r->waiting, strtod(pat_db_value(results[1], 0, 0), NULL));
    pat_timer_start(&r->due, err ? ERROR_MS : rows == BATCH ? 1 : IDLE_MS);
}

static void on_due(void *arg)
{
    struct usage_roll *r = arg;
    /* How long the oldest has waited, in seconds: 0 when nothing does. */
    static const struct pat_db_stmt unit[] = {
        { "usage_work", "select patchbay.usage_work(" BATCH_SQL ")", 0, NULL },
        { "usage_waiting",
          "select coalesce(extract(epoch from clock_timestamp() - (select at from "
          "patchbay.usage_dirty order by id limit 1)), 0)",
          0, NULL }
    };

    if (pat_db_run(r->s->d->db, unit, 2, DB_MS, on_worked, r, &r->work))
        pat_timer_start(&r->due, ERROR_MS);
}

/* ------------------------------------------------------------------ response times */

static void show(struct usage_roll *r, const struct pat_json *j)
{
    for (size_t i = 0; i < STACKS; i++) {
        const struct pat_json *of = pat_json_at(pat_json_at(j, "answers"), stacks[i]);

        pat_gauge_set(r->p50[i], pat_json_num_or(of, "p50_ms", 0) / 1000);
        pat_gauge_set(r->p95[i], pat_json_num_or(of, "p95_ms", 0) / 1000);
    }
    pat_gauge_set(r->slower, pat_json_bool_or(j, "everybody", false) ? 1 : 0);
    pat_gauge_set(r->slower_users, pat_json_num_or(j, "slower", 0));
    if (pat_json_int_or(j, "told", 0))
        pat_log(PAT_WARN, "latency.changed", PAT_I("told", pat_json_int_or(j, "told", 0)),
                PAT_I("slower_users", pat_json_int_or(j, "slower", 0)));
}

static void on_looked(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct usage_roll *r = arg;
    PAT_AUTO_JSON j = NULL;
    const char *text = !err && n ? pat_db_value(results[0], 0, 0) : NULL;

    r->looking = 0;
    if (text && !pat_json_parse(&j, text, strlen(text), NULL))
        show(r, j);
    else
        pat_log(PAT_WARN, "latency.not_compared", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    pat_timer_start(&r->look, r->s->conf->slower_every_ms);
}

static void on_look(void *arg)
{
    struct usage_roll *r = arg;
    const struct switcher_conf *conf = r->s->conf;
    char days[24], percent[24], calls[24];
    const char *params[] = { days, percent, calls };

    snprintf(days, sizeof days, "%lld", (long long)conf->slower_days);
    snprintf(percent, sizeof percent, "%lld", (long long)conf->slower_percent);
    snprintf(calls, sizeof calls, "%lld", (long long)conf->slower_calls);
    if (pat_db_run1(r->s->d->db, "latency_look",
                    "select patchbay.latency_look($1::integer, $2::integer, $3::integer)", params,
                    3, DB_MS, on_looked, r, &r->looking))
        pat_timer_start(&r->look, r->s->conf->slower_every_ms);
}

/* ------------------------------------------------------------------ life */

static void make_metrics(struct usage_roll *r, struct pat_metrics *m)
{
    r->counted = pat_counter(m, "pat_usage_touched_total",
                             "Notes that a call's cost may have changed, worked off", NULL);
    r->waiting =
        pat_gauge(m, "pat_usage_waiting_seconds", "How long the oldest such note has waited", NULL);
    r->slower =
        pat_gauge(m, "pat_latency_livekit_slower",
                  "1: over all users LiveKit answers later than Retell by the margin", NULL);
    r->slower_users =
        pat_gauge(m, "pat_latency_livekit_slower_users",
                  "Users to whom LiveKit answers later than Retell by the margin", NULL);
    for (size_t i = 0; i < STACKS; i++) {
        char labels[32];

        snprintf(labels, sizeof labels, "stack=\"%s\"", stacks[i]);
        r->p50[i] =
            pat_gauge(m, "pat_latency_answer_p50_seconds",
                      "From a caller's last sound to the agent's first: half of the answers "
                      "were faster",
                      labels);
        r->p95[i] = pat_gauge(m, "pat_latency_answer_p95_seconds",
                              "The same: one answer in twenty was slower", labels);
    }
}

int usage_roll_new(struct usage_roll **out, struct switcher *s)
{
    struct usage_roll *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return PAT_ENOMEM;
    r->s = s;
    make_metrics(r, s->d->metrics);
    err = pat_timer_init(&r->due, s->d->loop, on_due, r);
    if (err)
        goto fail;
    err = pat_timer_init(&r->look, s->d->loop, on_look, r);
    if (err)
        goto fail_due;
    pat_timer_start(&r->due, 0);
    pat_timer_start(&r->look, 0);
    *out = r;
    return PAT_OK;

fail_due:
    pat_timer_fini(&r->due);
fail:
    free(r);
    return err;
}

void usage_roll_free(struct usage_roll *r)
{
    if (!r)
        return;
    pat_db_cancel(r->s->d->db, r->work);
    pat_db_cancel(r->s->d->db, r->looking);
    pat_timer_fini(&r->due);
    pat_timer_fini(&r->look);
    free(r);
}
