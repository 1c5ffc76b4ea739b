/* out_fan_out.c - events become deliveries: one row per endpoint that wants one, each once.
 *
 * A durable consumer per stream. What comes within a moment is one statement and one transaction;
 * only then it is acknowledged, so a relay that dies meanwhile is told again, and the second time
 * nothing new is stored. Statements go one at a time: however much waits here, the outbox, which
 * carries configuration and switches, waits for one of them at most. An event that Postgres refuses
 * is tried alone, and left out if it is its own fault.
 */
#include "out.h"

#include "out_message.h"

#include <stdlib.h>
#include <string.h>

enum {
    BATCH = 64,      /* is worth a statement */
    PER_STREAM = 32, /* with us and not yet acknowledged */
    WAIT_MS = 2,
    AGAIN_MS = 1000,
    SETTLE_MS = 500, /* in a lane: how long an event waits for an earlier one of another stream */
    GIVE_UP = 20,    /* deliveries of one that Postgres refuses */
    STREAMS = 7,
    HELD_MAX = STREAMS * PER_STREAM,
};
#define ARRAY_MAX  ((size_t)8 << 20)
#define ARRAY_FULL ((size_t)4 << 20)

static const struct {
    const char *stream, *filter;
} sources[STREAMS] = {
    { "CALL", "pat.call.v1.>" },
    { "CONFIG", "pat.config.v1.>" },
    { "SWITCH", "pat.switch.v1.>" },
    { "TURN", "pat.turn.v1.>" },
    { "USAGE", "pat.usage.v1.>" },
    { "VOICE", "pat.voice.v1.>" },
    { "WEBHOOK", "pat.webhook.v1.endpoint_disabled.>" },
};

struct held {
    char *reply;
    int deliveries;
};

struct batch {
    struct pat_buf array;
    struct held held[HELD_MAX];
    size_t n;
};

struct out_fan_out {
    struct out *o;
    struct pat_consumer *consumers[STREAMS];
    struct pat_timer timer;
    struct batch filling, stored; /* the second is with Postgres */
    int alone;                    /* so many are to be tried one by one */
    pat_db_id query;
};

/* ---- batches ---- */

static void batch_init(struct batch *b)
{
    pat_buf_init(&b->array, ARRAY_MAX);
    b->n = 0;
}

static void batch_clear(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        free(b->held[i].reply);
    b->n = 0;
    pat_buf_reset(&b->array);
}

static void batch_nak(struct out_fan_out *f, struct batch *b)
{
    for (size_t i = 0; i < b->n; i++)
        (void)pat_bus_nak(f->o->r->d->bus, b->held[i].reply, AGAIN_MS);
    batch_clear(b);
}

static bool batch_full(const struct out_fan_out *f)
{
    return f->filling.n == HELD_MAX || f->filling.array.len > ARRAY_FULL ||
           (f->alone && f->filling.n);
}

static bool worth_it(const struct out_fan_out *f)
{
    return f->filling.n >= BATCH || batch_full(f);
}

/* ---- to Postgres ---- */

static void flush(void *arg);

/* Was it the statement, not the way to Postgres? */
static bool refused(int err)
{
    return err == PAT_EINVAL || err == PAT_EUPSTREAM || err == PAT_EPERM || err == PAT_EEXIST;
}

static void not_stored(struct out_fan_out *f, int err, const char *why)
{
    struct batch *b = &f->stored;

    pat_log(PAT_WARN, "webhook.not_fanned_out", PAT_I("events", (int64_t)b->n), PAT_ERR(err),
            PAT_S("why", why));
    if (refused(err) && b->n == 1 && b->held[0].deliveries > GIVE_UP) {
        pat_counter_add(f->o->m.not_fanned_out, 1);
        (void)pat_bus_term(f->o->r->d->bus, b->held[0].reply);
        batch_clear(b);
        return;
    }
    if (refused(err) && b->n > 1)
        f->alone = (int)b->n * 2;
    batch_nak(f, b);
}

static void on_stored(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct out_fan_out *f = arg;

    f->query = 0;
    if (err) {
        not_stored(f, err, n ? pat_db_message(results[0]) : NULL);
    } else {
        for (size_t i = 0; i < f->stored.n; i++)
            (void)pat_bus_ack(f->o->r->d->bus, f->stored.held[i].reply);
        for (size_t i = 0; i < pat_db_rows(results[0]); i++)
            out_touch(f->o, pat_db_value(results[0], i, 0));
        pat_counter_add(f->o->m.fanned_out, (double)f->stored.n);
        batch_clear(&f->stored);
    }
    if (f->filling.n)
        flush(f);
}

#define TEXT_OF(n)  TEXT_OF_(n)
#define TEXT_OF_(n) #n

static void flush(void *arg)
{
    static const char sql[] = "select patchbay.webhook_fan_out($1::jsonb, $2::integer)";
    struct out_fan_out *f = arg;
    struct batch full = f->filling;
    const char *params[2];
    char settle[16];
    int err;

    pat_timer_stop(&f->timer);
    if (f->query || !f->filling.n)
        return;
    f->filling = f->stored; /* empty, with its memory */
    f->stored = full;
    if (f->alone)
        f->alone--;
    (void)snprintf(settle, sizeof settle, "%d", SETTLE_MS);
    pat_buf_adds(&f->stored.array, "]");
    params[0] = f->stored.array.data;
    params[1] = settle;
    err = f->stored.array.err;
    if (!err)
        err = pat_db_run1(f->o->r->d->db, "webhook_fan_out", sql, params, 2, OUT_DB_MS, on_stored,
                          f, &f->query);
    if (err)
        not_stored(f, err, NULL);
}

/* ---- from the streams ---- */

static void on_event(const struct pat_msg *m, void *arg)
{
    struct out_fan_out *f = arg;
    struct batch *b = &f->filling;
    struct pat_bus *bus = f->o->r->d->bus;
    size_t before;
    int err;

    if (batch_full(f)) { /* and the one before is not stored yet */
        (void)pat_bus_nak(bus, m->reply, AGAIN_MS);
        return;
    }
    if (!b->array.len)
        pat_buf_adds(&b->array, "[");
    before = b->array.len;
    err = out_message_add(&b->array, m->data, m->len);
    if (err == PAT_ENOENT) {
        (void)pat_bus_ack(bus, m->reply);
        return;
    }
    if (!err)
        b->held[b->n] = (struct held){ strdup(m->reply), pat_msg_deliveries(m) };
    if (err || !b->held[b->n].reply) {
        if (err == PAT_EINVAL) {
            pat_log(PAT_WARN, "webhook.no_event", PAT_S("subject", m->subject));
            (void)pat_bus_term(bus, m->reply);
        } else {
            (void)pat_bus_nak(bus, m->reply, AGAIN_MS);
        }
        b->array.len = before; /* what was begun of it */
        b->array.err = PAT_OK;
        return;
    }
    b->n++;
    if (worth_it(f))
        flush(f);
    else if (!f->query && !pat_timer_running(&f->timer))
        pat_timer_start(&f->timer, WAIT_MS);
}

/* ---- life ---- */

int out_fan_out_new(struct out_fan_out **out, struct out *o)
{
    struct out_fan_out *f = calloc(1, sizeof *f);
    int err;

    if (!f)
        return PAT_ENOMEM;
    f->o = o;
    batch_init(&f->filling);
    batch_init(&f->stored);
    err = pat_timer_init(&f->timer, o->r->d->loop, flush, f);
    for (size_t i = 0; i < STREAMS && !err; i++)
        err = pat_consumer_new(&f->consumers[i], o->r->d->bus,
                               &(struct pat_consumer_opts){ .stream = sources[i].stream,
                                                            .durable = "webhook-out",
                                                            .filter = sources[i].filter,
                                                            .batch = PER_STREAM,
                                                            .ack_wait_ms = 2 * OUT_DB_MS },
                               on_event, f);
    if (err)
        out_fan_out_free(f);
    else
        *out = f;
    return err;
}

void out_fan_out_free(struct out_fan_out *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < STREAMS; i++)
        if (f->consumers[i])
            pat_consumer_close(f->consumers[i]);
    if (f->query)
        pat_db_cancel(f->o->r->d->db, f->query);
    pat_timer_fini(&f->timer);
    batch_clear(&f->filling);
    batch_clear(&f->stored);
    pat_buf_fini(&f->filling.array);
    pat_buf_fini(&f->stored.array);
    free(f);
}
