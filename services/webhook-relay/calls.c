/* calls.c - what the stacks tell about calls becomes Pat's own call record, one row a call.
 *
 * The events only say that something changed: the row is made from what Postgres knows
 * (patchbay.project_call). News travels faster than the write-behind: until the event itself is
 * stored, and its call with it, it is asked for again. Thus the last event of a call to be stored
 * makes the row, in whatever order they came. Making it is dear, and a call's events come in
 * bursts: those of one call are gathered, and one row is made for all that are stored by then.
 */
#include "relay.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define TIMEOUT_MS 10000
#define SOON_MS    100 /* a write-behind's usual delay, and some */
#define AGAIN_MS   500
#define DELIVERIES 200 /* past these it will not come any more */
#define BURST_MAX  256 /* more than the consumers give out at once */

struct calls {
    struct relay *r;
    struct pat_consumer *call_events;
    struct pat_consumer *turn_events;
    struct pat_consumer *usage_events;
    struct burst *bursts; /* by call */
    bool closing;
};

struct told {
    struct told *next;
    int deliveries;
    char *reply;
    char id[PAT_ID_LEN + 1];
};

/* The events of one call that wait for its row to be made, and those it is being made for. */
struct burst {
    struct calls *c;
    char call[PAT_ID_LEN + 1];
    struct told *waiting, *flying;
    struct pat_timer soon;
    UT_hash_handle hh;
};

static void told_free(struct told *t)
{
    while (t) {
        struct told *next = t->next;

        free(t->reply);
        free(t);
        t = next;
    }
}

static void burst_free(struct burst *b)
{
    struct calls *c = b->c;

    HASH_DEL(c->bursts, b);
    told_free(b->waiting);
    told_free(b->flying);
    pat_timer_fini(&b->soon);
    free(b);
    if (c->closing && !c->bursts)
        free(c);
}

/* Which of those in flight are stored, by their place from 1. */
static void read_places(const struct pat_db_result *res, bool out[BURST_MAX + 1])
{
    for (size_t i = 0; i < pat_db_rows(res); i++) {
        long place = strtol(pat_db_value(res, i, 0), NULL, 10);

        if (place > 0 && place <= BURST_MAX)
            out[place] = !strcmp(pat_db_value(res, i, 1), "t");
    }
}

static void on_projected(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct burst *b = arg;
    struct pat_bus *bus = b->c->r->d->bus;
    bool there[BURST_MAX + 1] = { 0 };
    int place = 0;

    if (err)
        pat_log(PAT_WARN, "call.not_projected", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    else
        read_places(results[0], there);
    for (const struct told *t = b->flying; t; t = t->next)
        if (there[++place] || t->deliveries > DELIVERIES)
            pat_bus_ack(bus, t->reply);
        else
            pat_bus_nak(bus, t->reply, t->deliveries == 1 ? SOON_MS : AGAIN_MS);
    told_free(b->flying);
    b->flying = NULL;
    if (b->waiting && !b->c->closing)
        pat_timer_start(&b->soon, SOON_MS);
    else
        burst_free(b);
}

/* The first BURST_MAX of those that wait take off; the rest waits for the next time. */
static struct told *take_off(struct burst *b)
{
    struct told **end = &b->waiting;

    b->flying = b->waiting;
    for (int n = 0; *end && n < BURST_MAX; n++)
        end = &(*end)->next;
    b->waiting = *end;
    *end = NULL;
    return b->flying;
}

static void project(void *arg)
{
    static const char sql[] =
        "with there as materialized (select u.place from unnest($2::uuid[]) with ordinality u (id, "
        "place) where exists (select from patchbay.call_events e where e.id = u.id) or "
        "exists (select from patchbay.usage e where e.id = u.id)), "
        "made as materialized (select patchbay.project_call($1) as known where exists (select from "
        "there)) select there.place, made.known from there cross join made";
    struct burst *b = arg;
    char list[BURST_MAX * (PAT_ID_LEN + 1) + 3];
    const char *params[] = { b->call, list };
    size_t len = 0;

    for (const struct told *t = take_off(b); t; t = t->next) {
        list[len] = len ? ',' : '{';
        len++;
        memcpy(list + len, t->id, PAT_ID_LEN);
        len += PAT_ID_LEN;
    }
    memcpy(list + len, "}", 2);
    if (pat_db_run1(b->c->r->d->db, "call_project", sql, params, 2, TIMEOUT_MS, on_projected, b,
                    NULL))
        on_projected(PAT_EAGAIN, NULL, 0, b);
}

static struct burst *burst_of(struct calls *c, const char *call)
{
    struct burst *b;

    HASH_FIND_STR(c->bursts, call, b);
    if (b)
        return b;
    b = calloc(1, sizeof *b);
    if (!b || pat_timer_init(&b->soon, c->r->d->loop, project, b)) {
        free(b);
        return NULL;
    }
    b->c = c;
    pat_strcpy(b->call, sizeof b->call, call);
    HASH_ADD_STR(c->bursts, call, b);
    pat_timer_start(&b->soon, SOON_MS);
    return b;
}

static int gather(struct calls *c, const struct pat_msg *m)
{
    PAT_AUTO_JSON event = NULL;
    struct burst *b;
    struct told *t;
    const char *call, *id;
    int err = pat_event_parse(&event, m->data, m->len, NULL);

    if (!err)
        err = pat_json_get_id(event, "data.call_id", &call, NULL);
    if (!err)
        err = pat_json_get_id(event, "id", &id, NULL);
    if (err)
        return err;
    t = calloc(1, sizeof *t);
    if (!t)
        return PAT_ENOMEM;
    t->deliveries = pat_msg_deliveries(m);
    t->reply = strdup(m->reply);
    pat_strcpy(t->id, sizeof t->id, id);
    b = t->reply ? burst_of(c, call) : NULL;
    if (!b) {
        told_free(t);
        return PAT_ENOMEM;
    }
    t->next = b->waiting;
    b->waiting = t;
    return PAT_OK;
}

static void on_event(const struct pat_msg *m, void *arg)
{
    struct calls *c = arg;
    int err = gather(c, m);

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
    struct burst *b, *next;

    if (!c)
        return;
    pat_consumer_close(c->call_events);
    pat_consumer_close(c->turn_events);
    pat_consumer_close(c->usage_events);
    /* Who is in flight ends by himself, the last one frees us; the rest is delivered again. */
    HASH_ITER(hh, c->bursts, b, next)
    {
        if (!b->flying)
            burst_free(b);
    }
    if (!c->bursts)
        free(c);
    else
        c->closing = true;
}
