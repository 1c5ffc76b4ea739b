/* journal.c - what happened, to NATS at once and to Postgres in order.
 *
 * One unit at a time carries the oldest entries: order holds across connections, and a batch fills
 * by itself while the one before it commits. A batch refused for its data is tried again entry by
 * entry, and only the guilty one is parked; for any other fault the batch waits and tries for ever.
 */
#include "journal_int.h"

#include "db_stmts.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>

/* $1: [{"s":subject,"d":1 when NATS has it already,"p":the event},...] */
static const char store_sql[] =
    "with e as (select x->>'s' as subject, x->'p' as p, x ? 'd' as done"
    " from jsonb_array_elements($1::jsonb) as x),"
    " o as (insert into patchbay.outbox (id, subject, payload, published_at)"
    " select (p->>'id')::uuid, subject, p, case when done then now() end from e"
    " on conflict (id) do nothing)"
    " insert into patchbay.call_events (id, call_id, user_id, type, subject, occurred_at, data)"
    " select (p->>'id')::uuid, (p->>'subject')::uuid, (p->>'userid')::uuid, p->>'type', subject,"
    " (p->>'time')::timestamptz, p->'data' from e"
    " where p->>'type' like 'pat.call.%' or p->>'type' like 'pat.turn.%'"
    " on conflict (id) do nothing";

static const char mark_sql[] = "update patchbay.outbox set published_at = now()"
                               " where id = any($1::uuid[]) and published_at is null";

/* ---- entries ---- */

struct entry *journal_entry_new(size_t n, const struct pat_db_stmt *stmts)
{
    struct entry *e = malloc(sizeof *e + pat__stmts_size(stmts, n));

    if (!e)
        return NULL;
    *e = (struct entry){ .n = n };
    e->stmts = pat__stmts_copy(e + 1, stmts, n);
    return e;
}

void journal_entry_free(struct entry *e)
{
    pat_event_text_fini(&e->event);
    free(e);
}

static void count(struct pat_counter *c, size_t n)
{
    if (c && n)
        pat_counter_add(c, (double)n);
}

static void show(struct pat_journal *j)
{
    if (j->pending)
        pat_gauge_set(j->pending, (double)j->n);
}

static void flush_soon(struct pat_journal *j, int64_t after_ms);

/* ---- NATS ---- */

/* Without memory the row stays unmarked and is published once more: consumers see the id once. */
static void note_mark(struct pat_journal *j, const struct pat_id *id)
{
    if (!j->db)
        return;
    if (j->n_marks == j->cap_marks) {
        size_t cap = j->cap_marks ? j->cap_marks * 2 : 64;
        struct pat_id *v = cap > j->max_entries * 2 ? NULL : realloc(j->marks, cap * sizeof *v);

        if (!v)
            return;
        j->marks = v;
        j->cap_marks = cap;
    }
    j->marks[j->n_marks++] = *id;
    flush_soon(j, j->n_marks >= JOURNAL_MARKS ? 0 : JOURNAL_MARK_MS);
}

static void on_published(int err, const struct pat_msg *m, void *arg)
{
    struct entry *e = arg;
    struct pat_journal *j = e->j;

    (void)m;
    e->publishing = false;
    e->acked = !err;
    if (!j) {
        journal_entry_free(e);
        return;
    }
    if (err)
        count(j->unpublished, 1);
    if (!e->stored)
        return;
    TAILQ_REMOVE(&j->told, e, link);
    if (!err)
        note_mark(j, &e->event.id);
    journal_entry_free(e);
}

/* What cannot be sent now is the sweep's. */
static void publish(struct pat_journal *j, struct entry *e)
{
    if (!pat_bus_js_publish(j->bus, e->event.subject, e->event.id.s, e->event.json, e->event.len,
                            JOURNAL_PUBLISH_MS, on_published, e))
        return;
    e->publishing = false;
    count(j->unpublished, 1);
    if (!e->stored)
        return;
    TAILQ_REMOVE(&j->told, e, link);
    journal_entry_free(e);
}

static void publish_all(void *arg)
{
    struct pat_journal *j = arg;
    struct entry *e;

    while ((e = TAILQ_FIRST(&j->unsent))) {
        TAILQ_REMOVE(&j->unsent, e, out);
        publish(j, e);
    }
}

static void publish_soon(struct pat_journal *j, struct entry *e)
{
    if (!j->bus || !e->event.json)
        return;
    e->publishing = true;
    TAILQ_INSERT_TAIL(&j->unsent, e, out);
    pat_loop_next_turn(j->loop, &j->publish_task, publish_all, j);
}

/* ---- Postgres ---- */

static void add_row(struct pat_buf *b, struct entry *e)
{
    e->marked = e->acked;
    pat_buf_adds(b, b->len ? ",{\"s\":\"" : "[{\"s\":\"");
    pat_buf_adds(b, e->event.subject); /* tokens of a subject need no escaping */
    pat_buf_adds(b, e->acked ? "\",\"d\":1,\"p\":" : "\",\"p\":");
    pat_buf_add(b, e->event.json, e->event.len);
    pat_buf_add(b, "}", 1);
}

/* The oldest entries that make one batch: their statements in order, then one row set for all
 * events. */
static size_t gather(struct pat_journal *j, struct pat_db_stmt *stmts, size_t *n_stmts)
{
    size_t most = j->solo ? 1 : JOURNAL_BATCH;
    size_t n = 0;
    struct entry *e;

    *n_stmts = 0;
    pat_buf_reset(&j->batch);
    TAILQ_FOREACH(e, &j->waiting, link)
    {
        size_t own = e->bare ? 0 : e->n;

        if (n == most || (n && (*n_stmts + own > JOURNAL_BATCH_STMTS ||
                                j->batch.len + e->event.len > JOURNAL_BATCH_BYTES)))
            break;
        for (size_t i = 0; i < own; i++)
            stmts[(*n_stmts)++] = e->stmts[i];
        if (e->event.json)
            add_row(&j->batch, e);
        n++;
    }
    if (j->batch.len)
        pat_buf_add(&j->batch, "]", 1);
    return n;
}

/* "{id,id,...}" of the oldest marks. */
static size_t gather_marks(struct pat_journal *j)
{
    size_t n = j->n_marks < JOURNAL_MARKS ? j->n_marks : JOURNAL_MARKS;

    pat_buf_reset(&j->mark_text);
    for (size_t i = 0; i < n; i++) {
        pat_buf_add(&j->mark_text, i ? "," : "{", 1);
        pat_buf_add(&j->mark_text, j->marks[i].s, PAT_ID_LEN);
    }
    pat_buf_add(&j->mark_text, "}", 1);
    return j->mark_text.err ? 0 : n;
}

static void on_stored(int err, const struct pat_db_result *const *results, size_t n, void *arg);

static int send_batch(struct pat_journal *j)
{
    struct pat_db_stmt stmts[JOURNAL_BATCH_STMTS + JOURNAL_BATCH + 2];
    const char *rows[1];
    const char *marks[1];
    size_t n_stmts;
    size_t n = gather(j, stmts, &n_stmts);
    int err = j->batch.err;

    if (j->batch.len) {
        rows[0] = j->batch.data;
        stmts[n_stmts++] = (struct pat_db_stmt){ "pat_journal_store", store_sql, 1, rows };
    }
    if (j->n_marks && !j->solo)
        j->marks_flying = gather_marks(j);
    if (j->marks_flying) {
        marks[0] = j->mark_text.data;
        stmts[n_stmts++] = (struct pat_db_stmt){ "pat_journal_mark", mark_sql, 1, marks };
    }
    if (!err && n_stmts)
        err = pat_db_run(j->db, stmts, n_stmts, JOURNAL_STORE_MS, on_stored, j, &j->unit);
    if (err)
        j->marks_flying = 0;
    else
        j->flying = n;
    return err;
}

static void finish_soon(void *journal);

static void on_timer(void *arg)
{
    struct pat_journal *j = arg;
    int err;

    j->hurry = false;
    if (j->unit || !j->db)
        return;
    if (TAILQ_EMPTY(&j->waiting) && !j->n_marks) {
        if (j->closing)
            finish_soon(j);
        return;
    }
    err = send_batch(j);
    if (err)
        pat_timer_start(&j->timer, pat_retry_next_ms(&j->retry, pat_random32()));
}

/* A pause after a failure is not cut short. */
static void flush_soon(struct pat_journal *j, int64_t after_ms)
{
    if (j->unit || !j->db)
        return;
    if (pat_timer_running(&j->timer) &&
        (!j->hurry || j->timer.due_us <= pat_now_us() + after_ms * 1000))
        return;
    j->hurry = true;
    pat_timer_start(&j->timer, after_ms);
}

/* The first entry is where it should be, or beyond help. */
static void settle(struct pat_journal *j)
{
    struct entry *e = TAILQ_FIRST(&j->waiting);

    TAILQ_REMOVE(&j->waiting, e, link);
    j->n--;
    e->stored = true;
    journal_spool_drop(j, e);
    if (e->publishing)
        TAILQ_INSERT_TAIL(&j->told, e, link);
    else
        journal_entry_free(e);
}

static void settle_stored(struct pat_journal *j)
{
    size_t n = j->flying;

    for (j->flying = 0; n; n--) {
        struct entry *e = TAILQ_FIRST(&j->waiting);

        if (e->acked && !e->marked) /* acknowledged while its row was on the way */
            note_mark(j, &e->event.id);
        count(j->stored, 1);
        settle(j);
        if (j->solo)
            j->solo--;
    }
}

/* The data itself was refused: the same statement will never pass. Anything else may be mended (a
 * missing table, a right, a server in recovery). */
static bool hopeless(const char *sqlstate)
{
    return !strncmp(sqlstate, "22", 2) || !strncmp(sqlstate, "23", 2) || !strcmp(sqlstate, "P0001");
}

/* First without its statements, so that at least the event is kept. */
static void blame(struct pat_journal *j, const char *sqlstate, const char *message)
{
    struct entry *e = TAILQ_FIRST(&j->waiting);
    bool last = e->bare || !e->n || !e->event.json;

    pat_log(PAT_ERROR, "journal.refused", PAT_S("id", e->event.json ? e->event.id.s : NULL),
            PAT_S("subject", e->event.json ? e->event.subject : NULL), PAT_S("sqlstate", sqlstate),
            PAT_S("reason", message), PAT_B("given_up", last));
    if (!e->bare) {
        count(j->parked, 1);
        journal_spool_park(j, e);
    }
    e->bare = true;
    if (!last)
        return;
    settle(j);
    j->solo--;
}

static void on_refused(struct pat_journal *j, int err, const struct pat_db_result *r)
{
    const char *sqlstate = r ? pat_db_sqlstate(r) : "";
    size_t n = j->flying;

    j->flying = 0;
    if (hopeless(sqlstate) && n) {
        if (!j->solo)
            j->solo = n; /* one by one, to find the guilty one: the first that is refused alone */
        if (n == 1)
            blame(j, sqlstate, pat_db_message(r));
        flush_soon(j, 0);
        return;
    }
    if (j->retry.attempts % 10 == 0)
        pat_log(PAT_WARN, "journal.store", PAT_ERR(err), PAT_S("sqlstate", sqlstate),
                PAT_I("pending", j->n), PAT_I("attempt", j->retry.attempts + 1));
    pat_timer_start(&j->timer, pat_retry_next_ms(&j->retry, pat_random32()));
}

static void drop_marks(struct pat_journal *j)
{
    j->n_marks -= j->marks_flying;
    memmove(j->marks, j->marks + j->marks_flying, j->n_marks * sizeof *j->marks);
    j->marks_flying = 0;
}

static void on_stored(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct pat_journal *j = arg;

    j->unit = 0;
    if (err == PAT_ECANCELED) {
        j->db = NULL; /* it is closing under us: the spool keeps what is left */
        j->flying = 0;
        if (j->closing)
            finish_soon(j);
        return;
    }
    if (err) {
        j->marks_flying = 0;
        on_refused(j, err, n ? results[0] : NULL);
        return;
    }
    pat_retry_reset(&j->retry);
    if (j->marks_flying)
        drop_marks(j);
    settle_stored(j);
    show(j);
    if (!TAILQ_EMPTY(&j->waiting) || j->closing)
        flush_soon(j, j->n >= JOURNAL_BATCH || j->closing ? 0 : JOURNAL_LINGER_MS);
    else if (j->n_marks)
        flush_soon(j, j->n_marks >= JOURNAL_MARKS ? 0 : JOURNAL_MARK_MS);
}

/* ---- adding ---- */

void journal_accept(struct pat_journal *j, struct entry *e)
{
    e->j = j;
    publish_soon(j, e);
    if (!j->db) { /* only NATS is asked */
        j->n++;
        TAILQ_INSERT_TAIL(&j->waiting, e, link);
        settle(j);
        return;
    }
    TAILQ_INSERT_TAIL(&j->waiting, e, link);
    j->n++;
    flush_soon(j, j->n >= JOURNAL_BATCH ? 0 : JOURNAL_LINGER_MS);
}

bool pat_journal_told(struct pat_journal *j, const struct pat_id *id)
{
    return j && journal_seen_has(&j->seen, id);
}

/* What there is to say, in either form; data is consumed. */
struct news {
    const struct pat_event *event;
    struct pat_json *data; /* or */
    const char *text;
};

static int make_event(struct pat_event_text *out, struct news *news)
{
    struct pat_json *data = news->data;

    if (news->text)
        return pat_event_make_text(out, news->event, news->text);
    news->data = NULL;
    return pat_event_make(out, news->event, data);
}

static int add(struct pat_journal *j, struct news *news, const struct pat_db_stmt *stmts, size_t n)
{
    const struct pat_event *e = news->event;
    bool told = e && e->id && pat_journal_told(j, e->id);
    struct entry *x;
    int err = PAT_OK;

    if (j->closing)
        return PAT_ECANCELED;
    if ((!e && !n) || n > JOURNAL_BATCH_STMTS)
        return PAT_EINVAL;
    if (j->n >= j->max_entries)
        return PAT_EAGAIN;
    if (told && !n)
        return PAT_OK;
    x = journal_entry_new(n, stmts);
    if (!x)
        return PAT_ENOMEM;
    if (e && !told)
        err = make_event(&x->event, news);
    if (!err)
        err = journal_spool_add(j, x);
    if (err) {
        journal_entry_free(x);
        return err;
    }
    if (e && e->id)
        journal_seen_add(&j->seen, e->id);
    journal_accept(j, x);
    show(j);
    return PAT_OK;
}

static int add_counted(struct pat_journal *j, struct news *news, const struct pat_db_stmt *stmts,
                       size_t n)
{
    int err = j ? add(j, news, stmts, n) : PAT_ECANCELED;

    if (err && j)
        count(j->refused, 1);
    return err;
}

int pat_journal_add(struct pat_journal *j, const struct pat_event *e, struct pat_json *data_take,
                    const struct pat_db_stmt *stmts, size_t n)
{
    struct news news = { .event = e, .data = data_take };
    int err = add_counted(j, &news, stmts, n);

    pat_json_free(news.data);
    return err;
}

int pat_journal_add_text(struct pat_journal *j, const struct pat_event *e, const char *data,
                         const struct pat_db_stmt *stmts, size_t n)
{
    return add_counted(j, &(struct news){ .event = e, .text = data }, stmts, n);
}

void pat_journal_sync(struct pat_journal *j)
{
    if (j)
        journal_spool_write(j);
}

size_t pat_journal_pending(const struct pat_journal *j)
{
    return j ? j->n : 0;
}

/* ---- life ---- */

static void find_meters(struct pat_journal *j, struct pat_metrics *m)
{
    if (!m)
        return;
    j->stored = pat_counter(m, "pat_journal_stored_total", "Entries stored in Postgres.", NULL);
    j->refused = pat_counter(m, "pat_journal_refused_total", "Entries not accepted.", NULL);
    j->parked =
        pat_counter(m, "pat_journal_parked_total", "Entries Postgres will never take.", NULL);
    j->unpublished = pat_counter(m, "pat_journal_unpublished_total",
                                 "Events that NATS did not acknowledge; the sweep's.", NULL);
    j->pending = pat_gauge(m, "pat_journal_pending", "Entries not yet in Postgres.", NULL);
}

static void drop_entries(struct entries *list)
{
    struct entry *e;

    while ((e = TAILQ_FIRST(list))) {
        TAILQ_REMOVE(list, e, link);
        e->j = NULL;
        if (!e->publishing)
            journal_entry_free(e);
    }
}

static void free_journal(struct pat_journal *j)
{
    struct entry *e;

    pat_timer_fini(&j->timer);
    pat_timer_fini(&j->close_timer);
    pat_task_cancel(j->loop, &j->publish_task);
    TAILQ_FOREACH(e, &j->unsent, out)
    e->publishing = false;
    drop_entries(&j->waiting);
    drop_entries(&j->told);
    journal_spool_close(j);
    pat_buf_fini(&j->batch);
    pat_buf_fini(&j->mark_text);
    free(j->marks);
    free(j);
}

int pat_journal_new(struct pat_journal **out, struct pat_loop *l, struct pat_db *db,
                    struct pat_bus *bus, const struct pat_journal_opts *opts)
{
    struct pat_journal *j = calloc(1, sizeof *j);
    int err;

    if (!j)
        return PAT_ENOMEM;
    j->loop = l;
    j->db = db;
    j->bus = bus;
    j->max_entries = opts && opts->max_entries ? opts->max_entries : JOURNAL_MAX;
    j->retry = PAT_RETRY(JOURNAL_RETRY_BASE_MS, JOURNAL_RETRY_MAX_MS);
    j->spool.fd = -1;
    TAILQ_INIT(&j->waiting);
    TAILQ_INIT(&j->told);
    TAILQ_INIT(&j->unsent);
    pat_buf_init(&j->batch, JOURNAL_BATCH_BYTES + 2 * PAT_EVENT_MAX);
    pat_buf_init(&j->mark_text, (JOURNAL_MARKS + 1) * (PAT_ID_LEN + 1));
    find_meters(j, opts ? opts->metrics : NULL);
    err = pat_timer_init(&j->timer, l, on_timer, j);
    if (!err)
        err = pat_timer_init(&j->close_timer, l, finish_soon, j);
    if (!err)
        err = journal_spool_open(j, opts ? opts->spool_file : NULL);
    if (err) {
        free_journal(j);
        return err;
    }
    *out = j;
    return PAT_OK;
}

static void on_close_task(void *arg)
{
    struct pat_journal *j = arg;
    pat_loop_fn *closed = j->closed;
    void *closed_arg = j->closed_arg;

    if (j->n)
        pat_log(j->spool.fd >= 0 ? PAT_WARN : PAT_ERROR, "journal.close", PAT_I("left", j->n),
                PAT_B("spooled", j->spool.fd >= 0));
    if (j->unit && j->db)
        pat_db_cancel(j->db, j->unit);
    free_journal(j);
    if (closed)
        closed(closed_arg);
}

static void finish_soon(void *journal)
{
    struct pat_journal *j = journal;

    pat_timer_stop(&j->timer);
    pat_timer_stop(&j->close_timer);
    pat_loop_next_turn(j->loop, &j->close_task, on_close_task, j);
}

void pat_journal_close(struct pat_journal *j, int64_t timeout_ms, pat_loop_fn *closed, void *arg)
{
    if (j->closing)
        return;
    publish_all(j);
    j->closing = true;
    j->closed = closed;
    j->closed_arg = arg;
    if (!j->db || (TAILQ_EMPTY(&j->waiting) && !j->n_marks && !j->unit)) {
        finish_soon(j);
        return;
    }
    pat_timer_start(&j->close_timer, timeout_ms > 0 ? timeout_ms : 0);
    flush_soon(j, 0);
}
