/* out_upkeep.c - what waits for customers' endpoints, as metrics; and what is old goes.
 *
 * Counting a million rows every few seconds would be work of its own: past COUNT_MAX the figure
 * stands still. patchbay.prune_deliveries deletes a batch, under a lock that one relay gets.
 */
#include "out.h"

#include <stdlib.h>

enum { LOOK_MS = 15000, FIRST_MS = 200, PRUNE_BATCH = 500, PRUNE_PAUSE_MS = 50 };

struct out_upkeep {
    struct out *o;
    struct pat_timer look, prune;
    struct pat_gauge *pending, *dead, *disabled;
    struct pat_counter *removed;
    pat_db_id counting, pruning;
};

static void on_counted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct out_upkeep *u = arg;
    struct pat_gauge *gauges[] = { u->pending, u->dead, u->disabled };

    (void)n;
    u->counting = 0;
    for (int i = 0; i < 3 && !err; i++)
        pat_gauge_set(gauges[i], strtod(pat_db_value(results[0], 0, i), NULL));
    pat_timer_start(&u->look, LOOK_MS);
}

#define COUNT_MAX "100000"

static void look(void *arg)
{
    static const char sql[] =
        "select (select count(*) from (select from patchbay.webhook_deliveries "
        "where state = 'pending' and ready limit " COUNT_MAX ") x), "
        "(select count(*) from (select from patchbay.webhook_deliveries where state = 'dead' "
        "limit " COUNT_MAX ") x), "
        "(select count(*) from patchbay.webhook_endpoints where state = 'disabled' "
        "and state_reason is distinct from 'user')";
    struct out_upkeep *u = arg;

    if (pat_db_run1(u->o->r->d->db, "webhook_counts", sql, NULL, 0, OUT_DB_MS, on_counted, u,
                    &u->counting))
        pat_timer_start(&u->look, LOOK_MS);
}

static void on_pruned(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct out_upkeep *u = arg;
    int64_t rows = err ? -1 : strtoll(pat_db_value(results[0], 0, 0), NULL, 10);

    u->pruning = 0;
    if (err)
        pat_log(PAT_WARN, "retention.failed", PAT_S("kind", "deliveries"), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    if (rows > 0)
        pat_counter_add(u->removed, (double)rows);
    pat_timer_start(&u->prune, rows > 0 ? PRUNE_PAUSE_MS : u->o->r->conf->keep_every_ms);
}

static void prune(void *arg)
{
    static const char sql[] = "select patchbay.prune_deliveries($1::integer, $2::integer)";
    struct out_upkeep *u = arg;
    char days[24], batch[24];
    const char *params[] = { days, batch };

    if (!u->o->r->conf->keep_deliveries_days)
        return;
    (void)snprintf(days, sizeof days, "%lld", (long long)u->o->r->conf->keep_deliveries_days);
    (void)snprintf(batch, sizeof batch, "%d", PRUNE_BATCH);
    if (pat_db_run1(u->o->r->d->db, "prune_deliveries", sql, params, 2, OUT_DB_MS, on_pruned, u,
                    &u->pruning))
        pat_timer_start(&u->prune, u->o->r->conf->keep_every_ms);
}

int out_upkeep_new(struct out_upkeep **out, struct out *o)
{
    struct out_upkeep *u = calloc(1, sizeof *u);
    struct pat_metrics *m = o->r->d->metrics;
    int err;

    if (!u)
        return PAT_ENOMEM;
    u->o = o;
    u->pending =
        pat_gauge(m, "pat_relay_deliveries_pending",
                  "Deliveries that wait for an attempt, counted up to " COUNT_MAX ".", NULL);
    u->dead = pat_gauge(m, "pat_relay_deliveries_dead_rows",
                        "Dead letters, counted up to " COUNT_MAX ".", NULL);
    u->disabled = pat_gauge(m, "pat_relay_endpoints_disabled_rows",
                            "Endpoints we have disabled and nobody has enabled again.", NULL);
    u->removed = pat_counter(m, "pat_relay_removed_rows_total",
                             "Rows deleted because they were old.", "kind=\"deliveries\"");
    err = pat_timer_init(&u->look, o->r->d->loop, look, u);
    if (!err)
        err = pat_timer_init(&u->prune, o->r->d->loop, prune, u);
    if (err) {
        out_upkeep_free(u);
        return err;
    }
    pat_timer_start(&u->look, FIRST_MS);
    pat_timer_start(&u->prune, o->r->conf->keep_every_ms);
    *out = u;
    return PAT_OK;
}

void out_upkeep_free(struct out_upkeep *u)
{
    if (!u)
        return;
    pat_db_cancel(u->o->r->d->db, u->counting);
    pat_db_cancel(u->o->r->d->db, u->pruning);
    pat_timer_fini(&u->look);
    pat_timer_fini(&u->prune);
    free(u);
}
