/* retention.c - what is older than anybody wants to keep is deleted, a few rows at a time.
 *
 * patchbay.prune deletes one batch per transaction, under a lock that only one relay gets and
 * without waiting for anybody's row; between two batches there is a pause. What is kept for how
 * long is the settings' business.
 */
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>

#define BATCH      500
#define PAUSE_MS   50
#define TIMEOUT_MS 20000
#define FIRST_MS   30000 /* after the start: there is more urgent work */

static const struct kind {
    const char *name; /* patchbay.prune knows it */
    const char *labels;
    size_t days; /* which setting */
} kinds[] = {
#define DAYS(field) offsetof(struct relay_conf, field)
    { "outbox", "kind=\"outbox\"", DAYS(keep_outbox_days) },
    { "outbox_parked", "kind=\"outbox_parked\"", DAYS(keep_parked_days) },
    { "webhook_inbox", "kind=\"webhook_inbox\"", DAYS(keep_webhooks_days) },
    { "webhook_inbox_parked", "kind=\"webhook_inbox_parked\"", DAYS(keep_parked_days) },
    { "usage", "kind=\"usage\"", DAYS(keep_usage_days) }, /* counts calls */
    { "call_events", "kind=\"call_events\"", DAYS(keep_call_events_days) },
#undef DAYS
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

struct retention {
    struct relay *r;
    struct pat_timer timer;
    struct pat_counter *removed[KINDS];
    size_t at;     /* the kind under way */
    int64_t total; /* of it, in this round */
    pat_db_id query;
};

static int64_t days_of(const struct retention *k, size_t i)
{
    return *(const int64_t *)((const char *)k->r->conf + kinds[i].days);
}

static void round_over(struct retention *k)
{
    k->at = 0;
    pat_timer_start(&k->timer, k->r->conf->keep_every_ms);
}

static void say(struct retention *k)
{
    if (k->total)
        pat_log(PAT_INFO, "retention.removed", PAT_S("kind", kinds[k->at].name),
                PAT_I("rows", k->total));
    k->total = 0;
}

static void on_pruned(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct retention *k = arg;
    int64_t rows = err ? 0 : strtoll(pat_db_value(results[0], 0, 0), NULL, 10);

    k->query = 0;
    if (err)
        pat_log(PAT_WARN, "retention.failed", PAT_S("kind", kinds[k->at].name), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    if (rows > 0) {
        pat_counter_add(k->removed[k->at], (double)rows);
        k->total += rows;
    }
    if (err || rows < 0) { /* another relay is at it: it does the rest as well */
        say(k);
        round_over(k);
        return;
    }
    if (rows < BATCH) {
        say(k);
        k->at++;
    }
    if (k->at < KINDS)
        pat_timer_start(&k->timer, PAUSE_MS);
    else
        round_over(k);
}

static void prune(void *arg)
{
    static const char sql[] = "select patchbay.prune($1, $2::integer, $3::integer)";
    struct retention *k = arg;
    char days[24], batch[24];
    const char *params[] = { NULL, days, batch };

    while (k->at < KINDS && !days_of(k, k->at))
        k->at++;
    if (k->at == KINDS) {
        round_over(k);
        return;
    }
    params[0] = kinds[k->at].name;
    (void)snprintf(days, sizeof days, "%lld", (long long)days_of(k, k->at));
    (void)snprintf(batch, sizeof batch, "%d", BATCH);
    if (pat_db_run1(k->r->d->db, "prune", sql, params, 3, TIMEOUT_MS, on_pruned, k, &k->query))
        round_over(k);
}

int retention_new(struct retention **out, struct relay *r)
{
    int64_t every_ms = r->conf->keep_every_ms;
    struct retention *k = calloc(1, sizeof *k);
    int err;

    if (!k)
        return PAT_ENOMEM;
    k->r = r;
    for (size_t i = 0; i < KINDS; i++)
        k->removed[i] = pat_counter(r->d->metrics, "pat_relay_removed_rows_total",
                                    "Rows deleted because they were old.", kinds[i].labels);
    err = pat_timer_init(&k->timer, r->d->loop, prune, k);
    if (err) {
        free(k);
        return err;
    }
    pat_timer_start(&k->timer, every_ms < FIRST_MS ? every_ms : FIRST_MS);
    *out = k;
    return PAT_OK;
}

void retention_free(struct retention *k)
{
    if (!k)
        return;
    pat_db_cancel(k->r->d->db, k->query);
    pat_timer_fini(&k->timer);
    free(k);
}
