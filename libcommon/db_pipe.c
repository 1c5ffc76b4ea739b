/* db_pipe.c - pipeline mode: units out, results in, one sync each.
 *
 * Results of one statement end with a NULL; a unit ends with the result of its sync, behind which
 * there is no NULL (PostgreSQL manual, "Pipeline Mode"). A named statement is prepared in a sync of
 * its own in front of the unit that brings it first, where nothing else can abort it; until the
 * server has said yes, units send it unnamed.
 */
#include "db_int.h"

#include "log.h"

#include <stdlib.h>
#include <string.h>

/* ---- what is prepared ---- */

static struct db_prepared *find_prepared(const struct db_conn *c, const char *name)
{
    for (size_t i = 0; i < c->n_prepared; i++)
        if (!strcmp(c->prepared[i].name, name))
            return &c->prepared[i];
    return NULL;
}

static int note_preparing(struct db_conn *c, const char *name)
{
    char *copy;

    if (c->n_prepared == c->cap_prepared) {
        size_t cap = c->cap_prepared ? c->cap_prepared * 2 : 16;
        struct db_prepared *v = realloc(c->prepared, cap * sizeof *v);

        if (!v)
            return PAT_ENOMEM;
        c->prepared = v;
        c->cap_prepared = cap;
    }
    copy = strdup(name);
    if (!copy)
        return PAT_ENOMEM;
    c->prepared[c->n_prepared++] = (struct db_prepared){ copy, DB_PREPARING };
    return PAT_OK;
}

void db_pipe_forget(struct db_conn *c)
{
    while (c->n_prepared)
        free(c->prepared[--c->n_prepared].name);
    free(c->prepared);
    c->prepared = NULL;
    c->cap_prepared = 0;
}

/* ---- out ---- */

static void on_broken(void *arg)
{
    db_conn_lost(arg, "cannot send");
}

/* Never from here into callbacks: we are inside somebody's pat_db_run. libpq has closed its socket
 * when it could not send: the next descriptor of ours may get its number, and could not be watched
 * while this watch stands. */
static void breaks(struct db_conn *c)
{
    if (c->state != DB_CONN_UP)
        return;
    pat_poll_close(c->poll);
    c->poll = NULL;
    c->watched = 0;
    db_conn_move(c, DB_CONN_BROKEN);
    pat_loop_next_turn(c->db->loop, &c->broken, on_broken, c);
}

static void watch(struct db_conn *c, int events)
{
    if (c->watched == events || !c->poll)
        return;
    c->watched = events;
    if (pat_poll_set(c->poll, events))
        breaks(c);
}

static void flush(struct db_conn *c)
{
    int left = PQflush(c->pg);

    if (left < 0)
        breaks(c);
    else
        watch(c, left ? PAT_POLL_IN | PAT_POLL_OUT : PAT_POLL_IN);
}

static void fly(struct db_conn *c, struct db_unit *u)
{
    u->conn = c;
    TAILQ_INSERT_TAIL(&c->flying, u, link);
    c->n_flying++;
    if (c->n_flying == 1)
        c->heard_ms = pat_now_ms();
}

static bool send_stmt(struct db_conn *c, const struct pat_db_stmt *s)
{
    const struct db_prepared *p = s->name && c->db->prepared ? find_prepared(c, s->name) : NULL;

    if (p && p->state == DB_PREPARED)
        return PQsendQueryPrepared(c->pg, s->name, s->n, s->params, NULL, NULL, 0);
    return PQsendQueryParams(c->pg, s->sql, s->n, NULL, s->params, NULL, NULL, 0);
}

/* Without memory for the note the statement stays unnamed. */
static bool send_prepare(struct db_conn *c, const struct pat_db_stmt *s)
{
    struct db_unit *u;

    if (db_unit_new(&u, c->db, DB_PREPARE, &(struct pat_db_stmt){ s->name, s->sql, 0, NULL }, 1))
        return true;
    if (note_preparing(c, s->name)) {
        db_unit_free(u);
        return true;
    }
    fly(c, u);
    return PQsendPrepare(c->pg, s->name, s->sql, 0, NULL) && PQpipelineSync(c->pg);
}

void db_pipe_send(struct db_conn *c, struct db_unit *u)
{
    bool ok = true;

    for (size_t i = 0; ok && c->db->prepared && i < u->n; i++)
        if (u->stmts[i].name && !find_prepared(c, u->stmts[i].name))
            ok = send_prepare(c, &u->stmts[i]);
    fly(c, u);
    for (size_t i = 0; ok && i < u->n; i++)
        ok = send_stmt(c, &u->stmts[i]);
    ok = ok && PQpipelineSync(c->pg);
    if (ok)
        flush(c);
    else
        breaks(c);
}

/* ---- in ---- */

/* A plan that no longer fits, or a statement the server does not know: only a new connection
 * helps. */
static bool stale(const char *sqlstate)
{
    return sqlstate && (!strcmp(sqlstate, "26000") || !strcmp(sqlstate, "0A000"));
}

/* One that failed is not tried again on this connection: its units meet the reason themselves. */
static void end_prepare(struct db_conn *c, const struct db_unit *u)
{
    struct db_prepared *p = find_prepared(c, u->stmts[0].name);

    if (p)
        p->state = u->error ? DB_UNPREPARABLE : DB_PREPARED;
    if (u->error)
        pat_log(PAT_ERROR, "db.prepare", PAT_S("name", u->stmts[0].name),
                PAT_S("sqlstate", PQresultErrorField(u->error, PG_DIAG_SQLSTATE)),
                PAT_S("reason", PQresultErrorField(u->error, PG_DIAG_MESSAGE_PRIMARY)));
}

static void land(struct db_conn *c, struct db_unit *u)
{
    const char *sqlstate = u->error ? PQresultErrorField(u->error, PG_DIAG_SQLSTATE) : NULL;
    int err = u->error ? db_err_of_sqlstate(sqlstate) : PAT_OK;

    if (u->kind == DB_PREPARE)
        end_prepare(c, u);
    if (u->kind == DB_UNIT && c->db->prepared && stale(sqlstate))
        c->recycle = true;
    TAILQ_REMOVE(&c->flying, u, link);
    c->n_flying--;
    if (u->kind == DB_LISTEN && !err)
        db_listen_done(c);
    db_unit_end(u, err);
}

/* Takes res over. */
static void keep(struct db_unit *u, PGresult *res)
{
    u->got = true;
    switch (PQresultStatus(res)) {
    case PGRES_TUPLES_OK:
    case PGRES_COMMAND_OK:
    case PGRES_EMPTY_QUERY:
        if (u->at < u->n && !u->results[u->at].res) {
            u->results[u->at].res = res;
            return;
        }
        break;
    case PGRES_PIPELINE_ABORTED:
        break;
    default:
        if (!u->error) {
            u->error = res;
            return;
        }
    }
    PQclear(res);
}

/* One step; false: nothing more to be had now. */
static bool read_one(struct db_conn *c)
{
    struct db_unit *u = TAILQ_FIRST(&c->flying);
    PGresult *res;

    if (!u || PQisBusy(c->pg))
        return false;
    res = PQgetResult(c->pg);
    if (!res) {
        if (!u->got)
            return false;
        u->got = false;
        u->at++;
        return true;
    }
    if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
        PQclear(res);
        land(c, u);
        return true;
    }
    keep(u, res);
    return true;
}

static void read_notifies(struct db_conn *c)
{
    PGnotify *n;

    while (c->state == DB_CONN_UP && (n = PQnotifies(c->pg))) {
        db_listen_notified(c->db, n->relname, n->extra);
        PQfreemem(n);
    }
}

static const char *error_line(const struct db_conn *c)
{
    return PQerrorMessage(c->pg);
}

void db_pipe_events(int err, int events, void *conn)
{
    struct db_conn *c = conn;

    if (c->state != DB_CONN_UP)
        return;
    c->heard_ms = pat_now_ms();
    if (err)
        c->watched = 0; /* libpq's next read meets it */
    if ((events & PAT_POLL_IN) && !PQconsumeInput(c->pg)) {
        db_conn_lost(c, error_line(c));
        return;
    }
    while (c->state == DB_CONN_UP && read_one(c))
        ;
    if (c->state != DB_CONN_UP)
        return;
    if (PQstatus(c->pg) == CONNECTION_BAD) {
        db_conn_lost(c, error_line(c));
        return;
    }
    flush(c);
    if (c->listens)
        read_notifies(c);
    if (c->recycle && !c->n_flying) {
        db_conn_lost(c, "a prepared statement went stale");
        return;
    }
    db_dispatch(c->db);
    db_idle(c->db);
}
