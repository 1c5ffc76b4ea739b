/* outbox.c - publishes what waits in patchbay.outbox and marks it, oldest first.
 *
 * Rows that triggers wrote are ours to publish at once (NOTIFY tells of them); rows a daemon wrote
 * it publishes itself, and only what is still unmarked after a while is published again: the stream
 * knows each event's id and keeps it once. Commits are not in the order of ids, so "unmarked" is
 * the question, never "newer than the last".
 */
#include "relay.h"

#include <stdlib.h>
#include <string.h>

#define BATCH_MAX          100
#define SWEEP_MS           2000
#define PUBLISH_TIMEOUT_MS 5000
#define QUERY_TIMEOUT_MS   10000

struct row {
    struct outbox *o;
    struct pat_id id;
    bool kept; /* the stream has it, or no stream takes it */
};

struct outbox {
    struct relay *r;
    struct pat_timer sweep;
    struct row rows[BATCH_MAX];
    size_t n_rows;
    size_t waiting; /* publishes not yet answered */
    bool busy;      /* a batch is under way */
    bool again;     /* news came meanwhile */
    bool closing;
    pat_db_id query;
};

static void look(void *arg);

static void done(struct outbox *o, bool more)
{
    o->busy = false;
    if (more || o->again)
        look(o);
}

static void on_marked(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct outbox *o = arg;

    (void)results;
    (void)n;
    o->query = 0;
    if (err)
        pat_log(PAT_WARN, "outbox.not_marked", PAT_ERR(err)); /* published again later, kept once */
    done(o, !err && o->n_rows == BATCH_MAX);
}

/* "{id,id}" of what was kept. */
static void mark(struct outbox *o)
{
    static const char sql[] =
        "update patchbay.outbox set published_at = now() where id = any ($1::uuid[]) and published_at is null";
    struct pat_buf ids;
    const char *params[1];
    size_t kept = 0;
    int err;

    pat_buf_init(&ids, BATCH_MAX * (PAT_ID_LEN + 1) + 3);
    pat_buf_adds(&ids, "{");
    for (size_t i = 0; i < o->n_rows; i++)
        if (o->rows[i].kept)
            pat_buf_addf(&ids, "%s%s", kept++ ? "," : "", o->rows[i].id.s);
    pat_buf_adds(&ids, "}");
    params[0] = ids.data;
    err = ids.err;
    if (!err && kept)
        err = pat_db_run1(o->r->d->db, "outbox_mark", sql, params, 1, QUERY_TIMEOUT_MS, on_marked,
                          o, &o->query);
    pat_buf_fini(&ids);
    if (err || !kept)
        done(o, false);
}

static void on_published(int err, const struct pat_msg *m, void *arg)
{
    struct row *row = arg;
    struct outbox *o = row->o;

    (void)m;
    row->kept = !err;
    if (err)
        pat_log(PAT_WARN, "outbox.not_published", PAT_S("event", row->id.s), PAT_ERR(err));
    if (--o->waiting)
        return;
    if (o->closing)
        free(o);
    else
        mark(o);
}

static void publish(struct outbox *o, const struct pat_db_result *res, size_t i)
{
    const char *payload = pat_db_value(res, i, 2);
    struct row *row = &o->rows[i];
    int err;

    *row = (struct row){ .o = o };
    (void)pat_strcpy(row->id.s, sizeof row->id.s, pat_db_value(res, i, 0));
    err = pat_bus_js_publish(o->r->d->bus, pat_db_value(res, i, 1), row->id.s, payload,
                             strlen(payload), PUBLISH_TIMEOUT_MS, on_published, row);
    if (err)
        pat_log(PAT_WARN, "outbox.not_published", PAT_S("event", row->id.s), PAT_ERR(err));
    else
        o->waiting++;
}

static void on_rows(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct outbox *o = arg;

    (void)n;
    o->query = 0;
    o->n_rows = err ? 0 : pat_db_rows(results[0]);
    for (size_t i = 0; i < o->n_rows; i++)
        publish(o, results[0], i);
    if (!o->waiting)
        done(o, false);
}

static void look(void *arg)
{
    static const char sql[] =
        "select id, subject, payload::text from patchbay.outbox where published_at is null "
        "and (created_at < now() - interval '2 seconds' or subject like 'pat.config.v1.changed.%' "
        "or subject like 'pat.webhook.v1.received.%') order by created_at limit 100";
    struct outbox *o = arg;

    pat_timer_start(&o->sweep, SWEEP_MS);
    o->again = o->busy;
    if (o->busy || !pat_bus_up(o->r->d->bus))
        return;
    o->busy = !pat_db_run1(o->r->d->db, "outbox_unpublished", sql, NULL, 0, QUERY_TIMEOUT_MS,
                           on_rows, o, &o->query);
}

void outbox_look(struct outbox *o)
{
    look(o);
}

static void on_notify(const char *channel, const char *payload, void *arg)
{
    (void)channel;
    (void)payload;
    look(arg);
}

static void on_bus(bool up, void *arg)
{
    if (up)
        look(arg);
}

int outbox_new(struct outbox **out, struct relay *r)
{
    struct outbox *o = calloc(1, sizeof *o);
    int err;

    if (!o)
        return PAT_ENOMEM;
    o->r = r;
    err = pat_timer_init(&o->sweep, r->d->loop, look, o);
    if (!err)
        err = pat_db_listen(r->d->db, "patchbay_outbox", on_notify, o);
    if (!err)
        err = pat_daemon_on_bus(r->d, on_bus, o);
    if (err) {
        pat_timer_fini(&o->sweep);
        free(o);
        return err;
    }
    pat_timer_start(&o->sweep, SWEEP_MS);
    *out = o;
    return PAT_OK;
}

void outbox_free(struct outbox *o)
{
    if (!o)
        return;
    pat_db_cancel(o->r->d->db, o->query);
    pat_timer_fini(&o->sweep);
    o->closing = true;
    if (!o->waiting)
        free(o);
}
