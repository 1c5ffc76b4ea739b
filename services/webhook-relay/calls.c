/* calls.c - what the stacks tell about calls becomes Pat's own call record, one row a call.
 *
 * The events only say that something changed: the row is made from what Postgres knows
 * (patchbay.project_call). News travels faster than the write-behind: until the event itself is
 * stored, and its call with it, it is asked for again. Thus the last event of a call to be stored
 * makes the row, in whatever order they came.
 */
#include "relay.h"

#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 10000
#define SOON_MS    100 /* a write-behind's usual delay, and some */
#define AGAIN_MS   500
#define DELIVERIES 200 /* past these it will not come any more */

struct calls {
    struct relay *r;
    struct pat_consumer *call_events;
    struct pat_consumer *turn_events;
    struct pat_consumer *usage_events;
    bool closing;
    int waiting; /* queries under way */
};

struct told {
    struct calls *c;
    int deliveries;
    char *reply;
};

static void told_free(struct told *t)
{
    struct calls *c = t->c;

    free(t->reply);
    free(t);
    if (!--c->waiting && c->closing)
        free(c);
}

static void on_projected(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct told *t = arg;
    struct pat_bus *bus = t->c->r->d->bus;
    bool there = !err && pat_db_rows(results[0]) && !strcmp(pat_db_value(results[0], 0, 0), "t") &&
                 !strcmp(pat_db_value(results[0], 0, 1), "t");

    if (err)
        pat_log(PAT_WARN, "call.not_projected", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    if (there || t->deliveries > DELIVERIES)
        pat_bus_ack(bus, t->reply);
    else
        pat_bus_nak(bus, t->reply, t->deliveries == 1 ? SOON_MS : AGAIN_MS);
    told_free(t);
}

static int project(struct calls *c, const struct pat_msg *m)
{
    static const char sql[] = "select patchbay.project_call($1), "
                              "exists (select from patchbay.call_events where id = $2) or "
                              "exists (select from patchbay.usage where id = $2)";
    PAT_AUTO_JSON event = NULL;
    struct told *t;
    const char *params[2];
    int err = pat_event_parse(&event, m->data, m->len, NULL);

    if (!err)
        err = pat_json_get_id(event, "data.call_id", &params[0], NULL);
    if (!err)
        err = pat_json_get_id(event, "id", &params[1], NULL);
    if (err)
        return err;
    t = calloc(1, sizeof *t);
    if (!t)
        return PAT_ENOMEM;
    t->c = c;
    t->deliveries = pat_msg_deliveries(m);
    t->reply = strdup(m->reply);
    c->waiting++;
    err = t->reply ? pat_db_run1(c->r->d->db, "call_project", sql, params, 2, TIMEOUT_MS,
                                 on_projected, t, NULL)
                   : PAT_ENOMEM;
    if (err)
        told_free(t);
    return err;
}

static void on_event(const struct pat_msg *m, void *arg)
{
    struct calls *c = arg;
    int err = project(c, m);

    if (err == PAT_EINVAL)
        pat_bus_term(c->r->d->bus, m->reply); /* not an event about a call */
    else if (err)
        pat_bus_nak(c->r->d->bus, m->reply, AGAIN_MS);
}

int calls_new(struct calls **out, struct relay *r)
{
    struct pat_consumer_opts calls = { .stream = "CALL",
                                       .durable = "webhook-relay",
                                       .filter = "pat.call.v1.>",
                                       .batch = 64,
                                       .ack_wait_ms = 30000 };
    struct pat_consumer_opts turns = { .stream = "TURN",
                                       .durable = "webhook-relay",
                                       .filter = "pat.turn.v1.>",
                                       .batch = 64,
                                       .ack_wait_ms = 30000 };
    struct pat_consumer_opts usage = { .stream = "USAGE",
                                       .durable = "webhook-relay",
                                       .filter = "pat.usage.v1.>",
                                       .batch = 64,
                                       .ack_wait_ms = 30000 };
    struct calls *c = calloc(1, sizeof *c);
    int err;

    if (!c)
        return PAT_ENOMEM;
    c->r = r;
    err = pat_consumer_new(&c->call_events, r->d->bus, &calls, on_event, c);
    if (!err)
        err = pat_consumer_new(&c->turn_events, r->d->bus, &turns, on_event, c);
    if (!err)
        err = pat_consumer_new(&c->usage_events, r->d->bus, &usage, on_event, c);
    if (err) {
        calls_free(c);
        return err;
    }
    *out = c;
    return PAT_OK;
}

void calls_free(struct calls *c)
{
    if (!c)
        return;
    pat_consumer_close(c->call_events);
    pat_consumer_close(c->turn_events);
    pat_consumer_close(c->usage_events);
    c->closing = true;
    if (!c->waiting)
        free(c);
}
