/* bus_watch.c - a key-value bucket followed from its present state on.
 *
 * A push consumer of our own, in the server's memory, that delivers the last message of every key
 * and then each new one (nats-io/nats-architecture-and-design, ADR-8 and ADR-17). Nothing is
 * acknowledged: messages are numbered, and a gap, a missed heartbeat or a new connection begin
 * anew with another consumer. The old one dies of having no listener.
 */
#include "bus_int.h"

#include "id.h"
#include "json.h"
#include "log.h"
#include "retry.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    CREATE_MS = 5000,
    HEARTBEAT_MS = 2000,
    SILENT_MS = 5000, /* two heartbeats missed, and a little */
    UNUSED_MS = 30000,
    RETRY_BASE_MS = 50,
    RETRY_MAX_MS = 2000,
    FILTER_MAX = 100,
};
#define NS_PER_MS 1000000LL

struct pat_kv_watch {
    struct pat_kv_watch *next;
    struct pat_bus *bus;
    struct pat_sub *sub; /* of the present consumer; NULL: none */
    char bucket[BUS_TOKEN_MAX + 1];
    char filter[FILTER_MAX + 1];
    char consumer[PAT_ID_LEN + 1];
    uint64_t consumer_seq;
    bool current;
    int64_t heard_ms;
    pat_bus_id creating;
    struct pat_retry retry;
    struct pat_timer tick;
    pat_kv_watch_fn *fn;
    void *arg;
    bool *closed; /* set when fn closes us */
};

/* False: fn has closed the watch. */
static bool tell(struct pat_kv_watch *w, const struct pat_kv_change *c)
{
    bool closed = false;

    w->closed = &closed;
    w->fn(c, w->arg);
    if (closed)
        return false;
    w->closed = NULL;
    return true;
}

static bool tell_current(struct pat_kv_watch *w)
{
    if (w->current)
        return true;
    w->current = true;
    return tell(w, &(struct pat_kv_change){ .news = PAT_KV_CURRENT });
}

static void let_go(struct pat_kv_watch *w)
{
    pat_bus_cancel(w->bus, w->creating);
    w->creating = 0;
    pat_bus_unsubscribe(w->sub);
    w->sub = NULL;
    w->current = false;
}

static void again(struct pat_kv_watch *w, const char *why)
{
    pat_log(PAT_INFO, "bus.watch_again", PAT_S("bucket", w->bucket), PAT_S("reason", why));
    let_go(w);
    pat_timer_start(&w->tick, pat_retry_next_ms(&w->retry, pat_random32()));
}

static void on_status(struct pat_kv_watch *w, const struct pat_msg *m)
{
    const char *last = pat_msg_header(m, "Nats-Last-Consumer");

    if (last && strtoull(last, NULL, 10) != w->consumer_seq)
        again(w, "gap");
}

static void on_message(const struct pat_msg *m, void *arg)
{
    struct pat_kv_watch *w = arg;
    const char *operation = pat_msg_header(m, "KV-Operation");
    size_t prefix = strlen(w->bucket) + 5; /* "$KV.<bucket>." */
    struct bus_delivery d;

    w->heard_ms = pat_now_ms();
    if (!m->len && pat_msg_header(m, "Status")) {
        on_status(w, m);
        return;
    }
    if (!bus_delivery_parse(m->reply, &d) || strlen(m->subject) <= prefix)
        return;
    if (d.consumer_seq != ++w->consumer_seq) {
        again(w, "gap");
        return;
    }
    struct pat_kv_change c = { .news = operation && strcmp(operation, "PUT") != 0 ? PAT_KV_GONE
                                                                                  : PAT_KV_PUT,
                               .key = m->subject + prefix,
                               .revision = d.seq,
                               .data = m->data,
                               .len = m->len };
    if (tell(w, &c) && d.pending == 0 && w->sub && !w->creating)
        (void)tell_current(w);
}

static void on_created(int err, const struct pat_msg *m, void *arg)
{
    struct pat_kv_watch *w = arg;
    PAT_AUTO_JSON answer = NULL;

    w->creating = 0;
    if (!err)
        err = pat_json_parse(&answer, m->data, m->len, NULL);
    if (err == PAT_ECANCELED)
        return;
    if (err) {
        again(w, pat_err_name(err));
        return;
    }
    w->heard_ms = pat_now_ms();
    pat_retry_reset(&w->retry);
    pat_timer_start(&w->tick, SILENT_MS);
    /* Its messages may have overtaken this answer. */
    if (pat_json_int_or(answer, "num_pending", 0) +
            pat_json_int_or(answer, "delivered.consumer_seq", 0) <=
        (int64_t)w->consumer_seq)
        (void)tell_current(w);
}

static char *config_of(const struct pat_kv_watch *w, const char *inbox)
{
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *config = pat_json_obj();
    char text[2 * BUS_TOKEN_MAX];

    pat_json_set_str(config, "name", w->consumer);
    pat_json_set_str(config, "deliver_policy", "last_per_subject");
    pat_json_set_str(config, "deliver_subject", inbox);
    pat_json_set_str(config, "ack_policy", "none");
    pat_json_set_str(config, "replay_policy", "instant");
    snprintf(text, sizeof text, "$KV.%s.%s", w->bucket, w->filter);
    pat_json_set_str(config, "filter_subject", text);
    pat_json_set_int(config, "max_deliver", 1);
    pat_json_set_bool(config, "mem_storage", true);
    pat_json_set_int(config, "num_replicas", 1);
    pat_json_set_int(config, "inactive_threshold", UNUSED_MS * NS_PER_MS);
    pat_json_set_int(config, "idle_heartbeat", HEARTBEAT_MS * NS_PER_MS);
    snprintf(text, sizeof text, "KV_%s", w->bucket);
    pat_json_set_str(j, "stream_name", text);
    pat_json_set_take(j, "config", config);
    return pat_json_print(j);
}

static int ask(struct pat_kv_watch *w)
{
    char subject[2 * BUS_TOKEN_MAX + 64], inbox[64];
    PAT_AUTO_STR config = NULL;
    int err;

    snprintf(w->consumer, sizeof w->consumer, "%s", pat_id_new().s);
    snprintf(inbox, sizeof inbox, "_INBOX.%s", w->consumer);
    snprintf(subject, sizeof subject, "$JS.API.CONSUMER.CREATE.KV_%s.%s", w->bucket, w->consumer);
    config = config_of(w, inbox);
    if (!config)
        return PAT_ENOMEM;
    w->consumer_seq = 0;
    err = pat_bus_subscribe(w->bus, &w->sub, inbox, NULL, on_message, w);
    if (err)
        return err;
    return bus_request(
        w->bus, &(struct wire_text){ .subject = subject, .data = config, .len = strlen(config) },
        CREATE_MS, bus_judge_js, on_created, w, &w->creating);
}

static void start(struct pat_kv_watch *w)
{
    int err;

    if (!w->bus->up || w->bus->closing)
        return;
    let_go(w);
    if (!tell(w, &(struct pat_kv_change){ .news = PAT_KV_BEGIN }))
        return;
    err = ask(w);
    if (err)
        again(w, pat_err_name(err));
}

static void on_tick(void *arg)
{
    struct pat_kv_watch *w = arg;
    int64_t silent_ms = pat_now_ms() - w->heard_ms;

    if (!w->sub)
        start(w);
    else if (w->creating || silent_ms < SILENT_MS)
        pat_timer_start(&w->tick, w->creating ? CREATE_MS : SILENT_MS - silent_ms);
    else
        again(w, "silent");
}

static void watch_free(struct pat_kv_watch *w)
{
    pat_timer_fini(&w->tick);
    free(w);
}

int pat_kv_watch(struct pat_kv_watch **out, struct pat_bus *b, const char *bucket,
                 const char *filter, pat_kv_watch_fn *fn, void *arg)
{
    struct pat_kv_watch *w;
    int err;

    if (!bus_token_valid(bucket) || !bus_subject_valid(filter) || strlen(filter) > FILTER_MAX ||
        strlen(bucket) > BUS_TOKEN_MAX - 16)
        return PAT_EINVAL;
    w = calloc(1, sizeof *w);
    if (!w)
        return PAT_ENOMEM;
    *w = (struct pat_kv_watch){ .bus = b, .fn = fn, .arg = arg };
    w->retry = PAT_RETRY(RETRY_BASE_MS, RETRY_MAX_MS);
    snprintf(w->bucket, sizeof w->bucket, "%s", bucket);
    snprintf(w->filter, sizeof w->filter, "%s", filter);
    err = pat_timer_init(&w->tick, b->loop, on_tick, w);
    if (err) {
        free(w);
        return err;
    }
    w->next = b->watches;
    b->watches = w;
    *out = w;
    if (b->up) /* never a callback before we have returned */
        pat_timer_start(&w->tick, 0);
    return PAT_OK;
}

void pat_kv_watch_close(struct pat_kv_watch *w)
{
    if (!w)
        return;
    if (w->closed)
        *w->closed = true;
    for (struct pat_kv_watch **at = &w->bus->watches; *at; at = &(*at)->next)
        if (*at == w) {
            *at = w->next;
            break;
        }
    let_go(w);
    watch_free(w);
}

void bus_watches_up(struct pat_bus *b, bool up)
{
    for (struct pat_kv_watch *w = b->watches; w; w = w->next) {
        let_go(w);
        pat_timer_stop(&w->tick);
        if (up)
            pat_timer_start(&w->tick, 0);
    }
}

/* The subscriptions go with the bus. */
void bus_watches_free(struct pat_bus *b)
{
    while (b->watches) {
        struct pat_kv_watch *w = b->watches;

        b->watches = w->next;
        watch_free(w);
    }
}
