/* project.c - stored webhooks become rows: what the provider reported, and the call's one record.
 *
 * Soon after storing, and by a sweep for what a crash, a missing call or an outage left: a batch at
 * a time, so that a backlog is never more than one statement in front of other work. What fails ten
 * times, or is about nothing of ours, is parked: kept, told once (webhook.parked), looked at by a
 * person.
 */
#include "relay.h"

#include <stdlib.h>
#include <string.h>

#define SWEEP_MS   2000
#define SOON_MS    10 /* what comes meanwhile is in the same batch */
#define TIMEOUT_MS 30000
#define BATCH      16 /* its calls are locked until all of it is done: about 30 ms */

struct projector {
    struct relay *r;
    struct pat_timer sweep;
    bool soon;  /* the timer stands at news, not at the sweep */
    bool again; /* news came meanwhile */
    pat_db_id query;
};

static const char use[] = "select * from patchbay.use_webhooks(" RELAY_TEXT_OF(BATCH) ")";

static void look(void *arg);

static void say(const struct pat_db_result *res, size_t i)
{
    const char *became = pat_db_value(res, i, 2);
    bool parked = !strcmp(became, "parked");

    if (strcmp(became, "projected") != 0)
        pat_log(parked ? PAT_WARN : PAT_INFO, parked ? "webhook.parked" : "webhook.not_projected",
                PAT_S("webhook", pat_db_value(res, i, 0)), PAT_S("source", pat_db_value(res, i, 1)),
                PAT_S("why", pat_db_value(res, i, 3)));
}

static void on_used(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct projector *p = arg;
    size_t rows = err ? 0 : pat_db_rows(results[0]);
    bool again = p->again || rows == BATCH;

    p->query = 0;
    p->again = false;
    if (err)
        pat_log(PAT_WARN, "webhook.not_projected", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    for (size_t i = 0; i < rows; i++)
        say(results[0], i);
    if (again && !err)
        look(p);
    else if (!p->soon)
        pat_timer_start(&p->sweep, SWEEP_MS);
}

static void look(void *arg)
{
    struct projector *p = arg;

    pat_timer_start(&p->sweep, SWEEP_MS);
    p->soon = false;
    p->again = p->query != 0;
    if (p->query)
        return;
    if (pat_db_run1(p->r->d->db, "webhooks_use", use, NULL, 0, TIMEOUT_MS, on_used, p, &p->query))
        p->query = 0;
}

void projector_look(struct projector *p)
{
    if (!p || p->soon)
        return;
    p->soon = true;
    pat_timer_start(&p->sweep, SOON_MS);
}

int projector_new(struct projector **out, struct relay *r)
{
    struct projector *p = calloc(1, sizeof *p);
    int err;

    if (!p)
        return PAT_ENOMEM;
    p->r = r;
    err = pat_timer_init(&p->sweep, r->d->loop, look, p);
    if (err) {
        free(p);
        return err;
    }
    pat_timer_start(&p->sweep, 100);
    *out = p;
    return PAT_OK;
}

void projector_free(struct projector *p)
{
    if (!p)
        return;
    pat_db_cancel(p->r->d->db, p->query);
    pat_timer_fini(&p->sweep);
    free(p);
}
