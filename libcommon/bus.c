/* bus.c - the loop's side of the bus: life, publish, subscribe, handing messages to their handlers.
 *
 * The wire (bus_wire.c) moves bytes; requests, JetStream and key-value are built on top in
 * bus_request.c, bus_js.c, bus_consumer.c and bus_kv.c.
 */
#include "bus_int.h"

#include "id.h"
#include "log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Printable ASCII without blanks: anything else would break the line protocol. */
bool bus_subject_valid(const char *subject)
{
    if (!subject || !*subject)
        return false;
    for (const char *s = subject; *s; s++)
        if (*s <= ' ' || *s == 0x7f)
            return false;
    return true;
}

bool bus_token_valid(const char *token)
{
    return bus_subject_valid(token) && strlen(token) <= BUS_TOKEN_MAX && !strpbrk(token, ".*>/\\");
}

/* ---- meters ---- */

static void find_meters(struct pat_bus *b, struct pat_metrics *m)
{
    struct bus_meters *t = &b->meters;

    b->metrics = m;
    if (!m)
        return;
    t->published = pat_counter(m, "pat_bus_published_total", "Messages queued for NATS.", NULL);
    t->received = pat_counter(m, "pat_bus_received_total", "Messages handled.", NULL);
    t->refused = pat_counter(m, "pat_bus_refused_total",
                             "Messages not accepted: queue full or too large.", NULL);
    t->dropped = pat_counter(m, "pat_bus_dropped_total",
                             "Messages lost because the loop did not keep up.", NULL);
    t->retries = pat_counter(m, "pat_bus_retries_total", "Writes made again.", NULL);
    t->connects = pat_counter(m, "pat_bus_connects_total", "Connections made to NATS.", NULL);
    t->up = pat_gauge(m, "pat_bus_up", "1 while connected to NATS.", NULL);
    t->queue = pat_gauge(m, "pat_bus_queue_bytes", "Bytes waiting to be sent.", NULL);
}

static void count(struct pat_bus *b, struct pat_counter *c, uint64_t n)
{
    if (b->metrics && n)
        pat_counter_add(c, (double)n);
}

static void count_wire(struct pat_bus *b, const struct wire_state *now)
{
    count(b, b->meters.dropped, now->dropped - b->seen.dropped);
    count(b, b->meters.refused, now->refused - b->seen.refused);
    count(b, b->meters.retries, now->retries - b->seen.retries);
    count(b, b->meters.connects, now->connects - b->seen.connects);
    if (now->dropped != b->seen.dropped)
        pat_log(PAT_WARN, "bus.dropped", PAT_I("n", now->dropped - b->seen.dropped));
    if (b->metrics) {
        pat_gauge_set(b->meters.up, now->up);
        pat_gauge_set(b->meters.queue, (double)now->queued_bytes);
    }
}

/* ---- what wakes us ---- */

static void report(struct pat_bus *b, bool up)
{
    b->up = up;
    if (!b->closing) /* else it is our own doing */
        pat_log(up ? PAT_INFO : PAT_WARN, up ? "bus.up" : "bus.down", PAT_B("up", up));
    if (up)
        bus_assets_ensure(b);
    bus_consumers_up(b, up);
    bus_watches_up(b, up);
    if (b->state)
        b->state(up, b->state_arg);
}

static void look_at_state(struct pat_bus *b)
{
    struct wire_state now;
    bool again;

    wire_state_get(b->wire, &now);
    again = now.connects != b->seen.connects;
    count_wire(b, &now);
    b->seen = now;
    if (b->up && (!now.up || again))
        report(b, false);
    if (!b->up && now.up && !b->closing)
        report(b, true);
}

static void handle(struct pat_bus *b, const struct wire_in *in)
{
    struct pat_sub *s = pat_slots_find(&b->subs, in->sub);

    if (s && !b->closing) {
        struct pat_msg m;

        wire_msg_view(in->native, &m);
        s->fn(&m, s->arg);
    }
    wire_msg_free(b->wire, in->native);
}

/* The wire wakes us for the first message of an empty list only: so never stop before the list is
 * empty, or ask to be woken. */
static bool next_in(struct pat_bus *b, struct wire_in *out)
{
    if (b->batch_at == b->batch.n) {
        b->batch.n = b->batch_at = 0;
        wire_take(b->wire, &b->batch);
    }
    if (b->batch_at == b->batch.n)
        return false;
    *out = b->batch.v[b->batch_at++];
    return true;
}

static void handle_some(struct pat_bus *b)
{
    struct wire_in in;
    size_t n = 0;

    while (n < BUS_TURN_MAX && next_in(b, &in)) {
        n++;
        handle(b, &in);
    }
    count(b, b->meters.received, n);
    if (n == BUS_TURN_MAX)
        wire_wake(b->wire);
}

static void free_sub(struct pat_sub *s)
{
    if (s->drop)
        s->drop(s->arg);
    free(s);
}

static void on_gone(void *arg)
{
    struct pat_bus *b = arg;
    pat_loop_fn *closed = b->closed;
    void *closed_arg = b->closed_arg;
    uint32_t place = 0;

    pat_task_cancel(b->loop, &b->cancel_all);
    pat_timer_fini(&b->give_up);
    bus_requests_cancel(b);
    bus_consumers_free(b);
    bus_watches_free(b);
    for (struct pat_sub *s; (s = pat_slots_next(&b->subs, &place));)
        free_sub(s);
    pat_slots_fini(&b->subs);
    pat_slots_fini(&b->requests);
    pat_timer_fini(&b->watch);
    bus_rpc_fini(b);
    free(b->batch.v);
    bus_assets_free(b);
    free(b);
    if (closed)
        closed(closed_arg);
}

static void end_wire(struct pat_bus *b)
{
    pat_timer_stop(&b->give_up);
    while (b->batch_at < b->batch.n)
        wire_msg_free(b->wire, b->batch.v[b->batch_at++].native);
    wire_free(b->wire, on_gone, b);
}

static void on_wake(void *arg)
{
    struct pat_bus *b = arg;

    look_at_state(b);
    handle_some(b);
    if (b->closing && wire_done(b->wire))
        end_wire(b);
}

/* A server that says nothing is asked to, by a message to our own inbox that nobody waits for; one
 * that is silent all the same is hung up on. */
static void on_watch(void *arg)
{
    struct pat_bus *b = arg;
    struct wire_state now;

    wire_state_get(b->wire, &now);
    b->silent = now.up && now.heard == b->heard ? b->silent + 1 : 0;
    b->heard = now.heard;
    if (b->silent > BUS_SILENT_MAX) {
        pat_log(PAT_WARN, "bus.silent", PAT_I("for_ms", b->silent * BUS_WATCH_MS));
        wire_hang_up(b->wire);
    } else if (b->silent) {
        char subject[sizeof b->inbox + 1];

        snprintf(subject, sizeof subject, "%s0", b->inbox);
        (void)!pat_bus_publish(b, subject, NULL, 0); /* a full queue asks as well */
    }
    pat_timer_start(&b->watch, BUS_WATCH_MS);
}

static void on_give_up(void *arg)
{
    struct pat_bus *b = arg;

    pat_log(PAT_WARN, "bus.close", PAT_S("reason", "the server does not take what was written"));
    wire_abandon(b->wire);
    end_wire(b);
}

/* ---- life ---- */

int pat_bus_new(struct pat_bus **out, struct pat_loop *l, const struct pat_bus_opts *opts)
{
    struct pat_bus *b = calloc(1, sizeof *b);
    struct pat_sub *inbox;
    char subject[80];
    int err;

    if (!b)
        return PAT_ENOMEM;
    b->loop = l;
    b->state = opts->state;
    b->state_arg = opts->arg;
    find_meters(b, opts->metrics);
    snprintf(b->inbox, sizeof b->inbox, "_INBOX.%s.", pat_id_new().s);
    err = pat_timer_init(&b->give_up, l, on_give_up, b);
    if (!err)
        err = pat_timer_init(&b->watch, l, on_watch, b);
    if (!err)
        err = bus_rpc_init(b);
    if (!err)
        err = wire_new(&b->wire, l, opts, on_wake, b);
    if (err) {
        pat_timer_fini(&b->give_up);
        pat_timer_fini(&b->watch);
        bus_rpc_fini(b);
        free(b);
        return err;
    }
    snprintf(subject, sizeof subject, "%s*", b->inbox);
    err = pat_bus_subscribe(b, &inbox, subject, NULL, bus_on_inbox, b);
    if (err) {
        pat_bus_close(b, 0, NULL, NULL);
        return err;
    }
    pat_timer_start(&b->watch, BUS_WATCH_MS);
    *out = b;
    return PAT_OK;
}

static void cancel_all(void *arg)
{
    bus_requests_cancel(arg);
}

void pat_bus_close(struct pat_bus *b, int64_t timeout_ms, pat_loop_fn *closed, void *arg)
{
    if (b->closing)
        return;
    pat_timer_stop(&b->watch);
    b->closing = true;
    b->closed = closed;
    b->closed_arg = arg;
    pat_loop_next_turn(b->loop, &b->cancel_all, cancel_all, b);
    pat_timer_start(&b->give_up, timeout_ms + WIRE_FAREWELL_MS + WIRE_GRACE_MS);
    wire_close(b->wire, pat_now_ms() + timeout_ms);
}

bool pat_bus_up(const struct pat_bus *b)
{
    return b->up;
}

const char *pat_bus_why(struct pat_bus *b)
{
    wire_why_get(b->wire, b->why, sizeof b->why);
    return b->why;
}

/* ---- out ---- */

int bus_send(struct pat_bus *b, const struct wire_text *t, int64_t expires_ms)
{
    struct wire_op *op;
    int err;

    if (b->closing)
        return PAT_ECANCELED;
    if (!bus_subject_valid(t->subject) || (t->reply && !bus_subject_valid(t->reply)))
        return PAT_EINVAL;
    if (t->len > WIRE_MESSAGE_MAX) {
        count(b, b->meters.refused, 1);
        return PAT_E2BIG;
    }
    op = wire_op_new(WIRE_PUBLISH, 0, t);
    if (!op)
        return PAT_ENOMEM;
    op->expires_ms = expires_ms;
    err = wire_push_take(b->wire, op);
    count(b, err ? b->meters.refused : b->meters.published, 1);
    return err;
}

int pat_bus_publish(struct pat_bus *b, const char *subject, const void *data, size_t len)
{
    return bus_send(b, &(struct wire_text){ .subject = subject, .data = data, .len = len }, 0);
}

int pat_bus_reply(struct pat_bus *b, const struct pat_msg *to, const void *data, size_t len)
{
    return to->reply ? pat_bus_publish(b, to->reply, data, len) : PAT_EINVAL;
}

/* ---- in ---- */

int pat_bus_subscribe(struct pat_bus *b, struct pat_sub **out, const char *subject,
                      const char *queue, pat_msg_fn *fn, void *arg)
{
    struct wire_op *op;
    struct pat_sub *s;

    if (b->closing)
        return PAT_ECANCELED;
    if (!bus_subject_valid(subject) || (queue && !bus_subject_valid(queue)))
        return PAT_EINVAL;
    s = calloc(1, sizeof *s);
    if (!s)
        return PAT_ENOMEM;
    *s = (struct pat_sub){ .bus = b, .fn = fn, .arg = arg };
    s->id = pat_slots_add(&b->subs, s);
    if (!s->id)
        goto fail;
    op = wire_op_new(WIRE_SUBSCRIBE, s->id,
                     &(struct wire_text){ .subject = subject, .reply = queue });
    if (!op)
        goto fail_slot;
    *out = s;
    return wire_push_take(b->wire, op); /* only publishing has a limit: PAT_OK */

fail_slot:
    pat_slots_take(&b->subs, s->id);
fail:
    free(s);
    return PAT_ENOMEM;
}

void pat_bus_unsubscribe(struct pat_sub *s)
{
    struct wire_op *op;

    if (!s)
        return;
    pat_slots_take(&s->bus->subs, s->id);
    op = wire_op_new(WIRE_UNSUBSCRIBE, s->id, &(struct wire_text){ 0 });
    /* Without memory for the order the server goes on sending and we go on dropping. */
    if (op && wire_push_take(s->bus->wire, op))
        pat_log(PAT_WARN, "bus.unsubscribe", PAT_I("sub", s->id));
    free_sub(s);
}

void bus_sub_own(struct pat_sub *s, void (*drop)(void *arg))
{
    s->drop = drop;
}

const char *pat_msg_header(const struct pat_msg *m, const char *name)
{
    return m->native ? wire_msg_header(m->native, name) : NULL;
}
