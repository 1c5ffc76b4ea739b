/* inbox.c - see inbox.h.
 *
 * Stored means: the raw body in patchbay.webhook_inbox and the news of it in patchbay.outbox, in
 * one transaction. A webhook that came before (same dedupe key) is acknowledged and changes
 * nothing. A batch whose data Postgres refuses is tried one by one: only the bad one is refused.
 */
#include "inbox.h"

#include "tell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define BATCH_ROWS       128
#define BATCH_BYTES      ((size_t)1 << 20) /* a larger body goes alone */
#define META_MAX         ((size_t)1 << 20) /* of a batch: 8 KiB a row, more than one can have */
#define NEWS_MAX         8192
#define STORE_TIMEOUT_MS 8000 /* Retell waits 10 s, and tries again */
#define PACE_US          4000 /* between commits under load: they gather; one alone goes at once */
#define CLOSE_MS         100  /* nothing flies any more */

struct entry {
    TAILQ_ENTRY(entry) link;
    struct pat_httpd_req *http;
    const char *body; /* the request's, or mended */
    size_t len;
    char *mended;
    const char *source; /* the vendor's name */
    char kind[64];      /* for the log */
    struct pat_id id;
    struct pat_event_text news;
    char *meta; /* the row but for the body, an open JSON object */
    int64_t taken_us;
    bool alone; /* its batch was refused */
};
TAILQ_HEAD(entries, entry);

struct inbox {
    struct relay *r;
    struct pat_db *db;
    struct teller *teller;
    struct entries waiting; /* in the order they came */
    struct entries flying;
    size_t n_flying;
    pat_db_id query;
    struct pat_timer soon;
    int64_t began_us; /* the last commit */
    struct pat_counter *stored, *repeated, *not_stored;
    struct pat_histogram *ack_s;
};

static void entry_free(struct entry *e)
{
    pat_event_text_fini(&e->news);
    free(e->meta);
    free(e->mended);
    free(e);
}

/* ------------------------------------------------------------------ what is stored */

static void add_member(struct pat_buf *out, const char *name, const char *value)
{
    pat_buf_addf(out, ",\"%s\":", name);
    if (value)
        pat_json_quote(out, value, strlen(value));
    else
        pat_buf_adds(out, "null");
}

static int make_news(struct entry *e, const struct hook *h)
{
    struct pat_event event = { .area = "webhook",
                               .name = "received",
                               .user_id = h->source,
                               .key = e->id.s,
                               .source = "/patchbay/webhook-relay" };
    struct pat_buf data;
    int err;

    pat_buf_init(&data, NEWS_MAX);
    pat_buf_addf(&data, "{\"webhook_id\":\"%s\"", e->id.s);
    add_member(&data, "source", h->source);
    add_member(&data, "kind", h->kind);
    add_member(&data, "call_id", h->call);
    add_member(&data, "user_id", h->user);
    pat_buf_adds(&data, "}");
    err = data.err ? data.err : pat_event_make_text(&e->news, &event, data.data);
    pat_buf_fini(&data);
    return err;
}

static int make_meta(struct entry *e, const struct hook *h)
{
    struct pat_buf meta;

    pat_buf_init(&meta, 2 * NEWS_MAX);
    pat_buf_addf(&meta, "{\"id\":\"%s\",\"event_id\":\"%s\",\"event\":", e->id.s, e->news.id.s);
    pat_buf_add(&meta, e->news.json, e->news.len);
    add_member(&meta, "subject", e->news.subject);
    add_member(&meta, "source", h->source);
    add_member(&meta, "dedupe_key", h->dedupe_key);
    add_member(&meta, "order_key", h->order_key);
    add_member(&meta, "kind", h->kind);
    add_member(&meta, "call_id", h->call);
    e->meta = pat_buf_take(&meta);
    return e->meta ? PAT_OK : PAT_ENOMEM;
}

/* ------------------------------------------------------------------ its answer */

static void refuse(struct inbox *ib, struct entry *e, int err)
{
    pat_counter_add(ib->not_stored, 1);
    pat_httpd_reply_error(e->http, err, err == PAT_EINVAL ? "body" : NULL,
                          err == PAT_EINVAL ? "cannot be stored" : "not stored, send it again");
    entry_free(e);
}

static void refuse_all(struct inbox *ib, struct entries *list, int err)
{
    struct entry *e;

    while ((e = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, e, link);
        refuse(ib, e, err);
    }
}

static void accept(struct inbox *ib, struct entry *e, bool fresh, bool first)
{
    pat_httpd_reply(e->http, 200, NULL, NULL, 0);
    pat_counter_add(fresh ? ib->stored : ib->repeated, 1);
    pat_histogram_observe(ib->ack_s, (double)(pat_now_us() - e->taken_us) / 1e6);
    pat_log(fresh ? PAT_DEBUG : PAT_INFO, fresh ? "webhook.stored" : "webhook.repeated",
            PAT_S("webhook", e->id.s), PAT_S("source", e->source), PAT_S("kind", e->kind));
    if (fresh && first)
        tell(ib->teller, &e->news);
    else if (fresh)
        tell_after(ib->teller);
    entry_free(e);
}

/* ------------------------------------------------------------------ batches */

static void store(void *arg);

static void store_soon(struct inbox *ib)
{
    if (!ib->n_flying && !TAILQ_EMPTY(&ib->waiting) && !pat_timer_running(&ib->soon))
        pat_timer_start_at(&ib->soon, ib->began_us + PACE_US);
}

/* One of them is at fault. Which one shows when each goes alone. */
static void take_apart(struct inbox *ib)
{
    struct entry *e;

    while ((e = TAILQ_LAST(&ib->flying, entries))) {
        TAILQ_REMOVE(&ib->flying, e, link);
        e->alone = true;
        TAILQ_INSERT_HEAD(&ib->waiting, e, link);
    }
}

static void on_refused(struct inbox *ib, int err, const char *why)
{
    bool data = err == PAT_EINVAL;

    pat_log(PAT_ERROR, "webhook.not_stored", PAT_ERR(err), PAT_I("n", (int64_t)ib->n_flying),
            PAT_S("why", why));
    if (data && ib->n_flying > 1)
        take_apart(ib);
    else
        refuse_all(ib, &ib->flying, data ? PAT_EINVAL : PAT_EUNAVAIL);
}

static bool is_true(const struct pat_db_result *res, size_t row, int col)
{
    const char *value = pat_db_value(res, row, col);

    return value && *value == 't';
}

/* Rows come in the order they were given. */
static void on_stored(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct inbox *ib = arg;
    bool any = false;

    ib->query = 0;
    if (!err && pat_db_rows(results[0]) != ib->n_flying)
        err = PAT_EINTERNAL;
    if (err)
        on_refused(ib, err, n ? pat_db_message(results[0]) : NULL);
    for (size_t i = 0; !err && i < ib->n_flying; i++) {
        struct entry *e = TAILQ_FIRST(&ib->flying);
        bool fresh = is_true(results[0], i, 0);

        TAILQ_REMOVE(&ib->flying, e, link);
        accept(ib, e, fresh, is_true(results[0], i, 1));
        any |= fresh;
    }
    ib->n_flying = 0;
    if (any)
        projector_look(ib->r->projector);
    store_soon(ib);
}

/* first: nobody of its key stands in front, so that it is told at once; the outbox keeps away from
 * it for two seconds. */
#define STORE                                                                                      \
    "with b as materialized (select convert_to($2, 'UTF8') as bodies), "                           \
    "given as materialized (select r.*, not exists (select from patchbay.outbox o where "          \
    "coalesce(o.key, patchbay.outbox_key(o.subject)) = r.order_key and o.published_at is null "    \
    "and o.parked_at is null) as first from jsonb_to_recordset($1::jsonb) as r (n integer, "       \
    "id uuid, event_id uuid, event jsonb, subject text, source text, dedupe_key text, "            \
    "order_key text, kind text, call_id uuid, at integer, len integer)), "                         \
    "kept as (insert into patchbay.webhook_inbox (id, source, dedupe_key, order_key, kind, body, " \
    "call_id) select g.id, g.source, g.dedupe_key, g.order_key, g.kind, "                          \
    "substring(b.bodies from g.at + 1 for g.len), g.call_id from given g, b "                      \
    "order by g.source, g.dedupe_key on conflict (source, dedupe_key) do nothing returning id), "  \
    "told as (insert into patchbay.outbox (id, subject, payload, key, next_attempt_at) "           \
    "select g.event_id, g.subject, g.event, g.order_key, "                                         \
    "case when g.first then now() + interval '2 seconds' end "                                     \
    "from given g join kept k on k.id = g.id) "                                                    \
    "select k.id is not null, g.first from given g left join kept k on k.id = g.id order by g.n"

struct batch {
    struct pat_buf meta, bodies;
    size_t n;
};

static void batch_add(struct batch *b, const struct entry *e)
{
    pat_buf_addf(&b->meta, "%s", b->n ? "," : "[");
    pat_buf_adds(&b->meta, e->meta);
    pat_buf_addf(&b->meta, ",\"n\":%zu,\"at\":%zu,\"len\":%zu}", b->n, b->bodies.len, e->len);
    pat_buf_add(&b->bodies, e->body, e->len);
    b->n++;
}

/* Moves what fits from waiting to flying. */
static void batch_fill(struct batch *b, struct inbox *ib)
{
    struct entry *e;

    while ((e = TAILQ_FIRST(&ib->waiting)) && b->n < BATCH_ROWS) {
        if (b->n && (e->alone || b->bodies.len + e->len > BATCH_BYTES))
            break;
        TAILQ_REMOVE(&ib->waiting, e, link);
        TAILQ_INSERT_TAIL(&ib->flying, e, link);
        batch_add(b, e);
        if (e->alone)
            break;
    }
    pat_buf_adds(&b->meta, "]");
}

static void store(void *arg)
{
    struct inbox *ib = arg;
    struct batch b = { 0 };
    int err;

    if (ib->n_flying || TAILQ_EMPTY(&ib->waiting))
        return;
    ib->began_us = pat_now_us();
    pat_buf_init(&b.meta, META_MAX);
    /* One body is as large as the door lets it in, or as it became by mending. */
    pat_buf_init(&b.bodies, BATCH_BYTES + TAILQ_FIRST(&ib->waiting)->len);
    batch_fill(&b, ib);
    ib->n_flying = b.n;
    err = b.meta.err ? b.meta.err : b.bodies.err;
    if (!err) {
        const char *params[] = { b.meta.data, b.bodies.data ? b.bodies.data : "" };

        err = pat_db_run1(ib->db, "webhooks_store", STORE, params, 2, STORE_TIMEOUT_MS, on_stored,
                          ib, &ib->query);
    }
    pat_buf_fini(&b.meta);
    pat_buf_fini(&b.bodies);
    if (err) {
        on_refused(ib, err == PAT_EINVAL ? PAT_EINTERNAL : err, NULL);
        ib->n_flying = 0;
        store_soon(ib);
    }
}

int inbox_take(struct inbox *ib, struct pat_httpd_req *http, const struct hook *h,
               char *mended_take, size_t len)
{
    struct entry *e = calloc(1, sizeof *e);
    int err;

    if (!e) {
        free(mended_take);
        return PAT_ENOMEM;
    }
    e->http = http;
    e->mended = mended_take;
    e->body = e->mended ? e->mended : pat_httpd_body(http, NULL);
    e->len = len;
    e->source = h->source;
    e->id = pat_id_new();
    e->taken_us = pat_now_us();
    (void)pat_strcpy(e->kind, sizeof e->kind, h->kind);
    err = make_news(e, h);
    if (!err)
        err = make_meta(e, h);
    if (err) {
        entry_free(e);
        return err;
    }
    TAILQ_INSERT_TAIL(&ib->waiting, e, link);
    store_soon(ib);
    return PAT_OK;
}

/* ------------------------------------------------------------------ life */

static void meters(struct inbox *ib, struct pat_metrics *m)
{
    static const char name[] = "pat_relay_webhooks_total", help[] = "Verified webhooks, by result.";

    ib->stored = pat_counter(m, name, help, "result=\"stored\"");
    ib->repeated = pat_counter(m, name, help, "result=\"repeated\"");
    ib->not_stored = pat_counter(m, name, help, "result=\"not_stored\"");
    ib->ack_s = pat_histogram(
        m, "pat_relay_ack_seconds", "From a verified webhook to its acknowledgement.", NULL,
        pat_buckets_latency_s, sizeof pat_buckets_latency_s / sizeof pat_buckets_latency_s[0]);
}

int inbox_new(struct inbox **out, struct relay *r)
{
    struct inbox *ib = calloc(1, sizeof *ib);
    int err;

    if (!ib)
        return PAT_ENOMEM;
    ib->r = r;
    TAILQ_INIT(&ib->waiting);
    TAILQ_INIT(&ib->flying);
    meters(ib, r->d->metrics);
    err = pat_timer_init(&ib->soon, r->d->loop, store, ib);
    if (!err)
        err = teller_new(&ib->teller, r);
    if (!err)
        err = pat_daemon_db(r->d, &ib->db, 1);
    if (err) {
        teller_free(ib->teller);
        pat_timer_fini(&ib->soon);
        free(ib);
        return err;
    }
    *out = ib;
    return PAT_OK;
}

void inbox_free(struct inbox *ib)
{
    if (!ib)
        return;
    pat_db_cancel(ib->db, ib->query);
    pat_timer_fini(&ib->soon);
    refuse_all(ib, &ib->flying, PAT_EUNAVAIL);
    refuse_all(ib, &ib->waiting, PAT_EUNAVAIL);
    teller_free(ib->teller);
    pat_db_close(ib->db, CLOSE_MS, NULL, NULL);
    free(ib);
}
