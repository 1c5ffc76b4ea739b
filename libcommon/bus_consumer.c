/* bus_consumer.c - durable pull consumers, kept fed.
 *
 * Asks by $JS.API.CONSUMER.MSG.NEXT with an inbox of its own; the server sends messages there, and
 * status messages without data when a request has ended. What the handler has not answered is held
 * in a table of `batch` places, so that the sum of held and asked for never exceeds batch. A server
 * that answers nothing at all (a consumer it does not know) is noticed by missing heartbeats.
 */
#include "bus_int.h"

#include "buf.h"
#include "id.h"
#include "json.h"
#include "log.h"
#include "retry.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CREATE_MS = 5000,
    PULL_MS = 30000,     /* how long the server keeps a request open */
    HEARTBEAT_MS = 5000, /* it says so often that it still does */
    SILENT_MS = 12000,   /* two heartbeats missed, and a little */
    TICK_MS = 1000,      /* looks for silence and for messages never answered */
    RETRY_BASE_MS = 100,
    RETRY_MAX_MS = 5000,
    BATCH_MAX = 1000,
};
#define NS_PER_MS 1000000LL

struct held {
    uint64_t seq; /* in the stream */
    int64_t until_ms;
};

struct pat_consumer {
    struct pat_consumer *next;
    struct pat_bus *bus;
    struct pat_sub *sub;
    char *stream, *durable, *filter;
    char inbox[64];
    int64_t ack_wait_ms;
    int max_deliver;
    int batch;
    int n_held;
    int asked; /* messages the server still owes us */
    bool ready;
    int64_t heard_ms;
    pat_bus_id creating;
    struct pat_retry retry;
    struct pat_timer tick;
    pat_consumer_fn *fn;
    void *arg;
    struct held held[];
};

/* ---- the reply subject: $JS.ACK.<stream>.<consumer>.<delivered>.<stream seq>.<consumer seq>.
 * <time>.<pending>, or with <domain>.<account> in front of the stream and one more token at the end
 * (nats-io/nats-architecture-and-design, ADR-15) ---- */

bool bus_delivery_parse(const char *reply, struct bus_delivery *out)
{
    enum { TOKENS = 14 };
    const char *tok[TOKENS];
    size_t n = 0, at;

    if (!reply || strncmp(reply, "$JS.ACK.", 8))
        return false;
    for (const char *s = reply; s && n < TOKENS; n++) {
        tok[n] = s;
        s = strchr(s, '.');
        if (s)
            s++;
    }
    if (n != 9 && n < 11)
        return false;
    at = n == 9 ? 2 : 4;
    *out = (struct bus_delivery){ tok[at],
                                  tok[at + 1],
                                  (size_t)(tok[at + 1] - tok[at] - 1),
                                  (size_t)(tok[at + 2] - tok[at + 1] - 1),
                                  strtoull(tok[at + 2], NULL, 10),
                                  strtoull(tok[at + 3], NULL, 10),
                                  strtoull(tok[at + 4], NULL, 10),
                                  strtoull(tok[at + 6], NULL, 10) };
    return true;
}

int pat_msg_deliveries(const struct pat_msg *m)
{
    struct bus_delivery a;

    return bus_delivery_parse(m->reply, &a) ? (int)a.deliveries : 1;
}

static bool same(const char *name, const char *s, size_t len)
{
    return !strncmp(name, s, len) && !name[len];
}

/* ---- what the handler holds ---- */

static void hold(struct pat_consumer *c, uint64_t seq)
{
    int64_t until = pat_now_ms() + c->ack_wait_ms;

    for (int i = 0; i < c->n_held; i++)
        if (c->held[i].seq == seq) {
            c->held[i].until_ms = until;
            return;
        }
    if (c->n_held < c->batch)
        c->held[c->n_held++] = (struct held){ seq, until };
}

static void let_go(struct pat_consumer *c, uint64_t seq)
{
    for (int i = 0; i < c->n_held; i++)
        if (c->held[i].seq == seq) {
            c->held[i] = c->held[--c->n_held];
            return;
        }
}

/* The server delivers those again, maybe to another replica. */
static void drop_overdue(struct pat_consumer *c, int64_t now_ms)
{
    for (int i = 0; i < c->n_held;)
        if (c->held[i].until_ms <= now_ms)
            c->held[i] = c->held[--c->n_held];
        else
            i++;
}

/* ---- asking ---- */

static void start(struct pat_consumer *c);

static void lost(struct pat_consumer *c, const char *why)
{
    if (c->ready)
        pat_log(PAT_WARN, "bus.consumer", PAT_S("stream", c->stream), PAT_S("durable", c->durable),
                PAT_S("reason", why));
    c->ready = false;
    c->asked = 0;
    pat_timer_start(&c->tick, pat_retry_next_ms(&c->retry, pat_random32()));
}

/* Asks when a good part of the batch is free, so that a busy consumer asks seldom. */
static void pull(struct pat_consumer *c)
{
    int want = c->batch - c->n_held - c->asked;
    char subject[2 * BUS_TOKEN_MAX + 64];
    char ask[128];
    int len;

    if (!c->ready || want <= 0 || (c->asked && want < (c->batch + 1) / 2))
        return;
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.MSG.NEXT.%s.%s", c->stream, c->durable);
    len = snprintf(ask, sizeof ask, "{\"batch\":%d,\"expires\":%lld,\"idle_heartbeat\":%lld}", want,
                   PULL_MS * NS_PER_MS, HEARTBEAT_MS * NS_PER_MS);
    if (bus_send(c->bus,
                 &(struct wire_text){
                     .subject = subject, .reply = c->inbox, .data = ask, .len = (size_t)len },
                 0)) {
        lost(c, "queue full");
        return;
    }
    if (!c->asked)
        c->heard_ms = pat_now_ms();
    c->asked += want;
}

static void on_status(struct pat_consumer *c, const struct pat_msg *m, const char *status)
{
    const char *left = pat_msg_header(m, "Nats-Pending-Messages");
    int n = left ? (int)strtol(left, NULL, 10) : c->asked;

    if (!strcmp(status, "100"))
        return; /* idle heartbeat */
    if (strcmp(status, "408") != 0) {
        const char *why = pat_msg_header(m, "Description");

        lost(c, why ? why : status);
        return;
    }
    c->asked = n < c->asked ? c->asked - n : 0;
    pull(c);
}

static void on_message(const struct pat_msg *m, void *arg)
{
    struct pat_consumer *c = arg;
    const char *status = m->len ? NULL : pat_msg_header(m, "Status");
    struct bus_delivery a;

    c->heard_ms = pat_now_ms();
    if (status) {
        on_status(c, m, status);
        return;
    }
    if (!bus_delivery_parse(m->reply, &a))
        return;
    if (c->asked > 0)
        c->asked--;
    hold(c, a.seq);
    pull(c);
    c->fn(m, c->arg); /* may close us */
}

/* ---- making the consumer on the server ---- */

static void on_created(int err, const struct pat_msg *m, void *arg)
{
    struct pat_consumer *c = arg;

    (void)m;
    c->creating = 0;
    if (err == PAT_ECANCELED)
        return;
    if (err) {
        pat_log(c->retry.attempts ? PAT_DEBUG : PAT_WARN, "bus.consumer",
                PAT_S("stream", c->stream), PAT_S("durable", c->durable), PAT_ERR(err));
        lost(c, NULL);
        return;
    }
    pat_retry_reset(&c->retry);
    c->ready = true;
    c->asked = 0;
    pat_timer_start(&c->tick, TICK_MS);
    pull(c);
}

static char *config_of(const struct pat_consumer *c)
{
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *config = pat_json_obj();

    pat_json_set_str(j, "stream_name", c->stream);
    pat_json_set_str(config, "durable_name", c->durable);
    pat_json_set_str(config, "ack_policy", "explicit");
    pat_json_set_str(config, "deliver_policy", "all");
    pat_json_set_str(config, "replay_policy", "instant");
    pat_json_set_int(config, "ack_wait", c->ack_wait_ms * NS_PER_MS);
    pat_json_set_int(config, "max_deliver", c->max_deliver ? c->max_deliver : -1);
    if (c->filter)
        pat_json_set_str(config, "filter_subject", c->filter);
    pat_json_set_take(j, "config", config);
    return pat_json_print(j);
}

static void start(struct pat_consumer *c)
{
    char subject[2 * BUS_TOKEN_MAX + 64];
    PAT_AUTO_STR config = NULL;
    int err = PAT_ENOMEM;

    if (!c->bus->up || c->creating || c->bus->closing)
        return;
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.DURABLE.CREATE.%s.%s", c->stream,
             c->durable);
    config = config_of(c);
    if (config)
        err = bus_request(
            c->bus,
            &(struct wire_text){ .subject = subject, .data = config, .len = strlen(config) },
            CREATE_MS, bus_judge_js, on_created, c, &c->creating);
    if (err)
        lost(c, NULL);
}

static void on_tick(void *arg)
{
    struct pat_consumer *c = arg;
    int64_t now_ms = pat_now_ms();

    if (!c->bus->up || c->bus->closing)
        return; /* bus_consumers_up starts us again */
    if (!c->ready) {
        start(c);
        return;
    }
    if (c->asked && now_ms - c->heard_ms > SILENT_MS) {
        lost(c, "silent");
        return;
    }
    drop_overdue(c, now_ms);
    pull(c);
    pat_timer_start(&c->tick, TICK_MS);
}

/* ---- life ---- */

static void free_consumer(struct pat_consumer *c)
{
    pat_timer_fini(&c->tick);
    free(c->stream);
    free(c->durable);
    free(c->filter);
    free(c);
}

static bool opts_valid(const struct pat_consumer_opts *o)
{
    return bus_token_valid(o->stream) && bus_token_valid(o->durable) && o->batch >= 1 &&
           o->batch <= BATCH_MAX && o->ack_wait_ms > 0 && o->max_deliver >= 0 &&
           (!o->filter || bus_subject_valid(o->filter));
}

static struct pat_consumer *consumer_alloc(struct pat_bus *b, const struct pat_consumer_opts *o)
{
    struct pat_consumer *c = calloc(1, sizeof *c + (size_t)o->batch * sizeof c->held[0]);

    if (!c)
        return NULL;
    c->bus = b;
    c->batch = o->batch;
    c->ack_wait_ms = o->ack_wait_ms;
    c->max_deliver = o->max_deliver;
    c->retry = PAT_RETRY(RETRY_BASE_MS, RETRY_MAX_MS);
    c->stream = strdup(o->stream);
    c->durable = strdup(o->durable);
    c->filter = o->filter ? strdup(o->filter) : NULL;
    if (c->stream && c->durable && (c->filter || !o->filter) &&
        !pat_timer_init(&c->tick, b->loop, on_tick, c))
        return c;
    free_consumer(c);
    return NULL;
}

int pat_consumer_new(struct pat_consumer **out, struct pat_bus *b,
                     const struct pat_consumer_opts *opts, pat_consumer_fn *fn, void *arg)
{
    struct pat_consumer *c;
    int err;

    if (!opts_valid(opts))
        return PAT_EINVAL;
    c = consumer_alloc(b, opts);
    if (!c)
        return PAT_ENOMEM;
    c->fn = fn;
    c->arg = arg;
    snprintf(c->inbox, sizeof c->inbox, "_INBOX.%s", pat_id_new().s);
    err = pat_bus_subscribe(b, &c->sub, c->inbox, NULL, on_message, c);
    if (err) {
        free_consumer(c);
        return err;
    }
    c->next = b->consumers;
    b->consumers = c;
    start(c);
    *out = c;
    return PAT_OK;
}

void pat_consumer_close(struct pat_consumer *c)
{
    if (!c)
        return;
    for (struct pat_consumer **at = &c->bus->consumers; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            break;
        }
    pat_bus_cancel(c->bus, c->creating);
    pat_bus_unsubscribe(c->sub);
    free_consumer(c);
}

void bus_consumers_up(struct pat_bus *b, bool up)
{
    for (struct pat_consumer *c = b->consumers; c; c = c->next) {
        c->ready = false;
        c->asked = 0;
        if (up)
            start(c);
    }
}

/* The subscriptions go with the bus. */
void bus_consumers_free(struct pat_bus *b)
{
    while (b->consumers) {
        struct pat_consumer *c = b->consumers;

        b->consumers = c->next;
        free_consumer(c);
    }
}

static void release(struct pat_bus *b, const char *reply)
{
    struct bus_delivery a;

    if (!bus_delivery_parse(reply, &a))
        return;
    for (struct pat_consumer *c = b->consumers; c; c = c->next)
        if (same(c->durable, a.consumer, a.consumer_len) &&
            same(c->stream, a.stream, a.stream_len)) {
            let_go(c, a.seq);
            pull(c);
        }
}

/* ---- answers ---- */

static int answer(struct pat_bus *b, const char *reply, const char *text)
{
    int err;

    if (!reply)
        return PAT_EINVAL;
    err = pat_bus_publish(b, reply, text, strlen(text));
    release(b, reply);
    return err;
}

int pat_bus_ack(struct pat_bus *b, const char *reply)
{
    return answer(b, reply, "+ACK");
}

int pat_bus_nak(struct pat_bus *b, const char *reply, int64_t delay_ms)
{
    char text[64];

    if (delay_ms <= 0)
        return answer(b, reply, "-NAK");
    snprintf(text, sizeof text, "-NAK {\"delay\":%lld}", (long long)delay_ms * NS_PER_MS);
    return answer(b, reply, text);
}

int pat_bus_term(struct pat_bus *b, const char *reply)
{
    return answer(b, reply, "+TERM");
}
