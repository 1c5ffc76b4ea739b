/* outbox.c - publishes what waits in patchbay.outbox and marks it, oldest first.
 *
 * Rows that triggers wrote are ours to publish at once (NOTIFY tells of them); rows a daemon wrote
 * it publishes itself, and only what is still unmarked after a while is published again: the stream
 * knows each event's id and keeps it once. Commits are not in the order of ids, so "unmarked" is
 * the question, never "newer than the last". Rows of one key (what was told of one call or config)
 * go one after the other; what fails is noted (outbox_fail.c) and waits, and its key with it.
 * Changes of configuration and of stacks go in a lane of their own: however many webhooks and calls
 * wait, they do not stand behind them.
 */
#include "outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_MS           2000
#define PUBLISH_TIMEOUT_MS 5000
#define QUERY_TIMEOUT_MS   10000

enum lane_kind { URGENT, REST, LANES };

struct outbox_lane {
    struct relay *r;
    enum lane_kind kind;
    struct pat_timer sweep;
    struct outbox_row rows[OUTBOX_BATCH];
    size_t n_rows;
    size_t waiting; /* publishes not yet answered */
    bool busy;      /* a batch is under way */
    bool more;      /* rows are left that could go at once */
    bool again;     /* news came meanwhile */
    bool closing;
    pat_db_id query;
};

struct outbox {
    struct outbox_lane *lanes[LANES];
};

enum column { ID, SUBJECT, PAYLOAD, KEY };

static void look(void *arg);

static void done(struct outbox_lane *o, bool more)
{
    o->busy = false;
    if (more || o->again)
        look(o);
}

static void on_marked(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct outbox_lane *o = arg;

    o->query = 0;
    if (err)
        pat_log(PAT_WARN, "outbox.not_marked", PAT_ERR(err)); /* published again later, kept once */
    else
        outbox_fail_log(results[n - 1]);
    done(o, !err && o->more);
}

/* "{id,id}" of what was kept. */
static size_t list_kept(const struct outbox_lane *o, struct pat_buf *ids)
{
    size_t kept = 0;

    pat_buf_adds(ids, "{");
    for (size_t i = 0; i < o->n_rows; i++)
        if (o->rows[i].fate == ROW_KEPT)
            pat_buf_addf(ids, "%s%s", kept++ ? "," : "", o->rows[i].id.s);
    pat_buf_adds(ids, "}");
    return kept;
}

/* What was kept and what failed is written down in one unit. */
static void mark(struct outbox_lane *o)
{
    static const char sql[] =
        "update patchbay.outbox set published_at = now() where id = any ($1::uuid[]) and published_at is null";
    struct outbox_fail fail;
    struct pat_buf ids;
    size_t n = outbox_fail_init(&fail, o->r, o->rows, o->n_rows);
    int err;

    pat_buf_init(&ids, OUTBOX_BATCH * (PAT_ID_LEN + 1) + 3);
    n += list_kept(o, &ids);
    err = ids.err;
    if (!err && n) {
        const char *params[] = { ids.data };
        const struct pat_db_stmt unit[] = { { "outbox_mark", sql, 1, params }, fail.stmt };

        err = pat_db_run(o->r->d->db, unit, 2, QUERY_TIMEOUT_MS, on_marked, o, &o->query);
    }
    pat_buf_fini(&ids);
    outbox_fail_fini(&fail);
    if (err || !n)
        done(o, false);
}

static void on_published(int err, const struct pat_msg *m, void *arg)
{
    struct outbox_row *row = arg;
    struct outbox_lane *o = row->lane;

    outbox_row_answered(row, err, m);
    if (--o->waiting)
        return;
    if (o->closing)
        free(o);
    else
        mark(o);
}

/* Has an earlier row of this batch the same key? Then this one has to wait for it. */
static bool key_is_taken(const struct pat_db_result *res, size_t i)
{
    const char *key = pat_db_value(res, i, KEY);

    for (size_t j = 0; j < i; j++)
        if (!strcmp(pat_db_value(res, j, KEY), key))
            return true;
    return false;
}

static void publish(struct outbox_lane *o, const struct pat_db_result *res, size_t i)
{
    const char *subject = pat_db_value(res, i, SUBJECT);
    const char *payload = pat_db_value(res, i, PAYLOAD);
    struct outbox_row *row = &o->rows[i];
    int err = PAT_E2BIG;

    *row = (struct outbox_row){ .lane = o };
    (void)pat_strcpy(row->id.s, sizeof row->id.s, pat_db_value(res, i, ID));
    outbox_row_stream(row, subject);
    if (key_is_taken(res, i)) {
        o->more = true;
        return;
    }
    if (payload)
        err = pat_bus_js_publish(o->r->d->bus, subject, row->id.s, payload, strlen(payload),
                                 PUBLISH_TIMEOUT_MS, on_published, row);
    if (err)
        outbox_row_answered(row, err, NULL);
    else
        o->waiting++;
}

static void on_rows(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct outbox_lane *o = arg;

    (void)n;
    o->query = 0;
    o->n_rows = err ? 0 : pat_db_rows(results[0]);
    o->more = o->n_rows == OUTBOX_BATCH;
    for (size_t i = 0; i < o->n_rows; i++)
        publish(o, results[0], i);
    if (o->waiting)
        return;
    if (o->n_rows)
        mark(o);
    else
        done(o, false);
}

/* A payload NATS would not take is not even read: it may be huge. What is ours to publish at once
 * says so by next_attempt_at, or by its subject. */
#define UNPUBLISHED(lane)                                                                          \
    "select id, subject, "                                                                         \
    "case when octet_length(payload::text) <= $1::integer then payload::text end, "                \
    "coalesce(key, patchbay.outbox_key(subject)) from patchbay.outbox o "                          \
    "where published_at is null and parked_at is null and " lane                                   \
    " and (o.next_attempt_at is not null or created_at < now() - interval '2 seconds' "            \
    "or subject like 'pat.config.v1.changed.%' or subject like 'pat.webhook.v1.%') "               \
    "and coalesce(next_attempt_at, now()) <= now() "                                               \
    "and not exists (select from patchbay.outbox b where b.published_at is null "                  \
    "and b.parked_at is null and b.next_attempt_at > now() "                                       \
    "and coalesce(b.key, patchbay.outbox_key(b.subject)) = "                                       \
    "coalesce(o.key, patchbay.outbox_key(o.subject)) "                                             \
    "and (b.created_at, b.id) < (o.created_at, o.id)) "                                            \
    "order by created_at, id limit " RELAY_TEXT_OF(OUTBOX_BATCH)

#define IS_URGENT "(subject like 'pat.config.v1.%' or subject like 'pat.switch.v1.%')"

static const struct {
    const char *name, *sql;
} unpublished[LANES] = {
    [URGENT] = { "outbox_urgent", UNPUBLISHED(IS_URGENT) },
    [REST] = { "outbox_rest", UNPUBLISHED("not " IS_URGENT) },
};

static void look(void *arg)
{
    struct outbox_lane *o = arg;
    char payload_max[24];
    const char *params[] = { payload_max };

    pat_timer_start(&o->sweep, SWEEP_MS);
    o->again = o->busy;
    if (o->busy || !pat_bus_up(o->r->d->bus))
        return;
    (void)snprintf(payload_max, sizeof payload_max, "%zu", PAT_EVENT_MAX);
    o->busy = !pat_db_run1(o->r->d->db, unpublished[o->kind].name, unpublished[o->kind].sql, params,
                           1, QUERY_TIMEOUT_MS, on_rows, o, &o->query);
}

void outbox_look(struct outbox *o)
{
    for (int i = 0; o && i < LANES; i++)
        look(o->lanes[i]);
}

static void on_notify(const char *channel, const char *payload, void *arg)
{
    (void)channel;
    (void)payload;
    outbox_look(arg);
}

static void on_bus(bool up, void *arg)
{
    if (up)
        outbox_look(arg);
}

static int lane_new(struct outbox_lane **out, struct relay *r, enum lane_kind kind)
{
    struct outbox_lane *o = calloc(1, sizeof *o);
    int err;

    if (!o)
        return PAT_ENOMEM;
    o->r = r;
    o->kind = kind;
    err = pat_timer_init(&o->sweep, r->d->loop, look, o);
    if (err) {
        free(o);
        return err;
    }
    pat_timer_start(&o->sweep, SWEEP_MS);
    *out = o;
    return PAT_OK;
}

static void lane_free(struct outbox_lane *o)
{
    if (!o)
        return;
    pat_db_cancel(o->r->d->db, o->query);
    pat_timer_fini(&o->sweep);
    o->closing = true;
    if (!o->waiting)
        free(o);
}

int outbox_new(struct outbox **out, struct relay *r)
{
    struct outbox *o = calloc(1, sizeof *o);
    int err = o ? PAT_OK : PAT_ENOMEM;

    for (int i = 0; i < LANES && !err; i++)
        err = lane_new(&o->lanes[i], r, (enum lane_kind)i);
    if (!err)
        err = pat_db_listen(r->d->db, "patchbay_outbox", on_notify, o);
    if (!err)
        err = pat_daemon_on_bus(r->d, on_bus, o);
    if (err)
        outbox_free(o);
    else
        *out = o;
    return err;
}

void outbox_free(struct outbox *o)
{
    for (int i = 0; o && i < LANES; i++)
        lane_free(o->lanes[i]);
    free(o);
}
