/* backlog.c - how much waits in the outbox and the inbox, and for how long, as metrics.
 *
 * One query now and then; the figures are the database's, so every relay shows the same.
 */
#include "relay.h"

#include <stdlib.h>

#define EVERY_MS   10000
#define TIMEOUT_MS 5000

enum { WAITING, OLDEST_S, PARKED, INBOX_WAITING, INBOX_PARKED, FIGURES };

static const struct {
    const char *name, *help;
} figures[FIGURES] = {
    [WAITING] = { "pat_outbox_waiting_rows", "Events that are not yet published." },
    [OLDEST_S] = { "pat_outbox_oldest_seconds", "Age of the oldest of them; 0: there is none." },
    [PARKED] = { "pat_outbox_parked_rows", "Events given up: see relay.outbox_parked." },
    [INBOX_WAITING] = { "pat_inbox_waiting_rows", "Webhooks that have not become rows." },
    [INBOX_PARKED] = { "pat_inbox_parked_rows", "Webhooks given up: see patchbay.webhook_inbox." },
};

struct backlog {
    struct relay *r;
    struct pat_timer timer;
    struct pat_gauge *gauges[FIGURES];
    pat_db_id query;
};

static void on_counted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct backlog *b = arg;

    (void)n;
    b->query = 0;
    for (int i = 0; i < FIGURES && !err; i++)
        pat_gauge_set(b->gauges[i], strtod(pat_db_value(results[0], 0, i), NULL));
    pat_timer_start(&b->timer, EVERY_MS);
}

static void count(void *arg)
{
    static const char sql[] =
        "select o.n, o.oldest, (select count(*) from patchbay.outbox where parked_at is not null), "
        "(select count(*) from patchbay.webhook_inbox where state = 'received'), "
        "(select count(*) from patchbay.webhook_inbox where state = 'parked') "
        "from (select count(*) as n, "
        "coalesce(greatest(extract(epoch from now() - min(created_at)), 0), 0) as oldest "
        "from patchbay.outbox where published_at is null and parked_at is null) o";
    struct backlog *b = arg;

    if (pat_db_run1(b->r->d->db, "backlog", sql, NULL, 0, TIMEOUT_MS, on_counted, b, &b->query))
        pat_timer_start(&b->timer, EVERY_MS);
}

int backlog_new(struct backlog **out, struct relay *r)
{
    struct backlog *b = calloc(1, sizeof *b);
    int err;

    if (!b)
        return PAT_ENOMEM;
    b->r = r;
    for (size_t i = 0; i < FIGURES; i++)
        b->gauges[i] = pat_gauge(r->d->metrics, figures[i].name, figures[i].help, NULL);
    err = pat_timer_init(&b->timer, r->d->loop, count, b);
    if (err) {
        free(b);
        return err;
    }
    pat_timer_start(&b->timer, 100);
    *out = b;
    return PAT_OK;
}

void backlog_free(struct backlog *b)
{
    if (!b)
        return;
    pat_db_cancel(b->r->d->db, b->query);
    pat_timer_fini(&b->timer);
    free(b);
}
