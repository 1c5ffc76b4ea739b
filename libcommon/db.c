/* db.c - the pool: the queue of units, who gets the next one, and the end of it all.
 *
 * Connections are in db_conn.c, the pipeline in db_pipe.c, LISTEN in db_listen.c. There is no
 * transaction control: what must be one transaction is one unit.
 */
#include "db_int.h"

#include "log.h"

#include <stdlib.h>
#include <string.h>

/* ---- meters ---- */

static void find_meters(struct pat_db *db, struct pat_metrics *m)
{
    struct db_meters *t = &db->meters;

    db->metrics = m;
    if (!m)
        return;
    t->units = pat_counter(m, "pat_db_units_total", "Units of work by result.", "result=\"ok\"");
    t->failed = pat_counter(m, "pat_db_units_total", "Units of work by result.", "result=\"err\"");
    t->connects = pat_counter(m, "pat_db_connects_total", "Connections made to Postgres.", NULL);
    t->up = pat_gauge(m, "pat_db_up", "Connections to Postgres that are up.", NULL);
    t->queue = pat_gauge(m, "pat_db_queue", "Units waiting for a connection.", NULL);
}

static void show(struct pat_db *db)
{
    if (!db->metrics)
        return;
    pat_gauge_set(db->meters.up, db->n_up);
    pat_gauge_set(db->meters.queue, (double)db->n_queued);
}

/* ---- connections come and go ---- */

void db_conn_changed(struct db_conn *c, bool up)
{
    struct pat_db *db = c->db;

    db->n_up += up ? 1 : -1;
    show(db);
    if (db->n_up == (up ? 1 : 0)) {
        if (!db->closing) /* else it is our own doing */
            pat_log(up ? PAT_INFO : PAT_WARN, up ? "db.up" : "db.down", PAT_I("n", db->n_up));
        if (db->state && !db->closing)
            db->state(up, db->state_arg);
    }
    if (up)
        db_dispatch(db);
}

static struct db_conn *least_busy(struct pat_db *db)
{
    struct db_conn *best = NULL;

    for (int i = 0; i < db->pool; i++) {
        struct db_conn *c = &db->conns[i];

        if (db_conn_has_room(c) && (!best || c->n_flying < best->n_flying))
            best = c;
    }
    return best;
}

void db_dispatch(struct pat_db *db)
{
    struct db_conn *c;
    struct db_unit *u;

    while ((u = TAILQ_FIRST(&db->queue)) && (c = least_busy(db))) {
        TAILQ_REMOVE(&db->queue, u, link);
        db->n_queued--;
        db_pipe_send(c, u);
    }
    show(db);
}

/* ---- units ---- */

static void unqueue(struct db_unit *u)
{
    TAILQ_REMOVE(&u->db->queue, u, link);
    u->db->n_queued--;
}

static void on_overdue(void *arg)
{
    struct db_unit *u = arg;
    struct pat_db *db = u->db;
    pat_db_fn *fn = u->fn;

    if (!u->conn) {
        unqueue(u);
        db_unit_end(u, PAT_ETIMEDOUT);
        db_idle(db);
        return;
    }
    u->overdue = true;
    u->fn = NULL;
    pat_slots_take(&db->ids, u->id);
    if (!pat_timer_running(&u->conn->stuck))
        pat_timer_start(&u->conn->stuck, DB_STUCK_MS);
    if (fn)
        fn(PAT_ETIMEDOUT, NULL, 0, u->arg);
}

static bool stmts_valid(const struct pat_db_stmt *stmts, size_t n)
{
    if (!n || n > DB_STMTS_MAX)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!stmts[i].sql || stmts[i].n < 0 || stmts[i].n > UINT16_MAX)
            return false;
    return true;
}

int pat_db_run(struct pat_db *db, const struct pat_db_stmt *stmts, size_t n, int64_t timeout_ms,
               pat_db_fn *fn, void *arg, pat_db_id *id)
{
    struct db_unit *u;
    int err;

    if (db->closing)
        return PAT_ECANCELED;
    if (!stmts_valid(stmts, n) || timeout_ms <= 0)
        return PAT_EINVAL;
    if (db->n_queued >= db->max_queue)
        return PAT_EAGAIN;
    err = db_unit_new(&u, db, DB_UNIT, stmts, n);
    if (err)
        return err;
    u->id = pat_slots_add(&db->ids, u);
    err = u->id ? pat_timer_init(&u->timer, db->loop, on_overdue, u) : PAT_ENOMEM;
    if (err) {
        pat_slots_take(&db->ids, u->id);
        db_unit_free(u);
        return err;
    }
    u->fn = fn;
    u->arg = arg;
    if (id)
        *id = u->id;
    pat_timer_start(&u->timer, timeout_ms);
    TAILQ_INSERT_TAIL(&db->queue, u, link);
    db->n_queued++;
    db_dispatch(db);
    return PAT_OK;
}

int pat_db_run1(struct pat_db *db, const char *name, const char *sql, const char *const *params,
                int n, int64_t timeout_ms, pat_db_fn *fn, void *arg, pat_db_id *id)
{
    return pat_db_run(db, &(struct pat_db_stmt){ name, sql, n, params }, 1, timeout_ms, fn, arg,
                      id);
}

void pat_db_cancel(struct pat_db *db, pat_db_id id)
{
    struct db_unit *u = pat_slots_take(&db->ids, id);

    if (!u)
        return;
    u->fn = NULL;
    if (u->conn)
        return; /* its results are dropped when they come; its deadline still guards the conn */
    unqueue(u);
    db_unit_free(u);
    db_idle(db);
}

/* ---- life ---- */

static void free_strings(struct pat_db *db)
{
    free(db->url);
    free(db->listen_url);
    free(db->app_name);
    free(db->ca_file);
}

static void free_all(struct pat_db *db)
{
    struct db_unit *u;

    for (int i = 0; i < db->pool; i++)
        db_conn_fini(&db->conns[i]);
    while ((u = TAILQ_FIRST(&db->queue))) {
        unqueue(u);
        db_unit_end(u, PAT_ECANCELED);
    }
    db_listen_free(db);
    pat_timer_fini(&db->close_timer);
    pat_slots_fini(&db->ids);
    free(db->conns);
    free_strings(db);
    free(db);
}

static void on_close_task(void *arg)
{
    struct pat_db *db = arg;
    pat_loop_fn *closed = db->closed;
    void *closed_arg = db->closed_arg;

    free_all(db);
    if (closed)
        closed(closed_arg);
}

static void end_soon(void *arg)
{
    struct pat_db *db = arg;

    pat_timer_stop(&db->close_timer);
    pat_loop_next_turn(db->loop, &db->close_task, on_close_task, db);
}

void db_idle(struct pat_db *db)
{
    if (!db->closing || db->n_queued || db->close_task.queued)
        return;
    for (int i = 0; i < db->pool; i++)
        if (db->conns[i].n_flying)
            return;
    end_soon(db);
}

static void connect_all(struct pat_db *db)
{
    for (int i = 0; i < db->pool; i++)
        pat_timer_start(&db->conns[i].timer, 0);
}

void pat_db_close(struct pat_db *db, int64_t timeout_ms, pat_loop_fn *closed, void *arg)
{
    if (db->closing)
        return;
    db->closing = true;
    db->closed = closed;
    db->closed_arg = arg;
    pat_timer_start(&db->close_timer, timeout_ms);
    db_idle(db);
}

static int copy_strings(struct pat_db *db, const struct pat_db_opts *o)
{
    db->url = strdup(o->url);
    db->listen_url = strdup(o->listen_url && *o->listen_url ? o->listen_url : o->url);
    db->app_name = strdup(o->app_name ? o->app_name : "patchbay");
    db->ca_file = o->ca_file ? strdup(o->ca_file) : NULL;
    return db->url && db->listen_url && db->app_name && (db->ca_file || !o->ca_file) ? PAT_OK
                                                                                     : PAT_ENOMEM;
}

static int make_conns(struct pat_db *db)
{
    int err = PAT_OK;

    db->conns = calloc((size_t)db->pool, sizeof *db->conns);
    if (!db->conns) {
        db->pool = 0;
        return PAT_ENOMEM;
    }
    for (int i = 0; i < db->pool; i++)
        db_conn_init(&db->conns[i], db, db->url, false);
    for (int i = 0; i < db->pool && !err; i++)
        err = db_conn_reserve(&db->conns[i]);
    return err;
}

int pat_db_new(struct pat_db **out, struct pat_loop *l, const struct pat_db_opts *opts)
{
    struct pat_db *db;
    int err;

    if (!opts->url || !*opts->url || opts->pool < 0 || opts->pool > DB_POOL_MAX)
        return PAT_EINVAL;
    db = calloc(1, sizeof *db);
    if (!db)
        return PAT_ENOMEM;
    db->loop = l;
    db->prepared = opts->prepared;
    db->max_queue = opts->max_queue ? opts->max_queue : DB_QUEUE_DEFAULT;
    db->pool = opts->pool ? opts->pool : DB_POOL_DEFAULT;
    db->state = opts->state;
    db->state_arg = opts->arg;
    TAILQ_INIT(&db->queue);
    find_meters(db, opts->metrics);
    err = copy_strings(db, opts);
    if (!err)
        err = pat_timer_init(&db->close_timer, l, end_soon, db);
    if (!err)
        err = make_conns(db);
    if (err) {
        free_all(db);
        return err;
    }
    connect_all(db);
    *out = db;
    return PAT_OK;
}

bool pat_db_up(const struct pat_db *db)
{
    return db->n_up > 0;
}

const char *pat_db_why(const struct pat_db *db)
{
    return db->n_up ? "" : db->why;
}
