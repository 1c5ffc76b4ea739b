/* db_unit.c - a unit of work in memory, its end, and what Postgres' errors are called here.
 *
 * Statements, names and parameters live in one block behind the unit.
 */
#include "db_int.h"

#include "db_stmts.h"

#include <stdlib.h>
#include <string.h>

int db_unit_new(struct db_unit **out, struct pat_db *db, enum db_unit_kind kind,
                const struct pat_db_stmt *stmts, size_t n)
{
    size_t results = n * sizeof(struct pat_db_result);
    size_t bytes = sizeof(struct db_unit) + results + pat__stmts_size(stmts, n);
    struct db_unit *u;

    if (kind == DB_UNIT && db->bytes + bytes > DB_QUEUE_BYTES)
        return PAT_EAGAIN;
    u = malloc(bytes);
    if (!u)
        return PAT_ENOMEM;
    *u = (struct db_unit){ .db = db, .kind = kind, .bytes = bytes, .n = n };
    u->results = (struct pat_db_result *)(u + 1);
    memset(u->results, 0, results);
    u->stmts = pat__stmts_copy(u->results + n, stmts, n);
    db->bytes += bytes;
    *out = u;
    return PAT_OK;
}

void db_unit_free(struct db_unit *u)
{
    pat_timer_fini(&u->timer);
    for (size_t i = 0; i < u->n; i++)
        PQclear(u->results[i].res);
    PQclear(u->error);
    u->db->bytes -= u->bytes;
    free(u);
}

static void tell(struct db_unit *u, int err)
{
    struct pat_db_result wrong = { u->error };
    const struct pat_db_result *one = &wrong;
    const struct pat_db_result **all;

    if (err) {
        u->fn(err, u->error ? &one : NULL, u->error ? 1 : 0, u->arg);
        return;
    }
    if (u->n == 1) {
        one = &u->results[0];
        u->fn(PAT_OK, &one, 1, u->arg);
        return;
    }
    all = malloc(u->n * sizeof(const struct pat_db_result *));
    for (size_t i = 0; all && i < u->n; i++)
        all[i] = &u->results[i];
    u->fn(all ? PAT_OK : PAT_ENOMEM, all, all ? u->n : 0, u->arg);
    free(all);
}

void db_unit_end(struct db_unit *u, int err)
{
    struct pat_db *db = u->db;

    pat_timer_stop(&u->timer);
    pat_slots_take(&db->ids, u->id);
    if (db->metrics && u->kind == DB_UNIT)
        pat_counter_add(err ? db->meters.failed : db->meters.units, 1);
    if (u->fn)
        tell(u, err);
    db_unit_free(u);
}

int db_err_of_sqlstate(const char *sqlstate)
{
    static const struct {
        const char *prefix;
        int err;
    } rows[] = {
        { "23505", PAT_EEXIST },    /* unique_violation */
        { "22", PAT_EINVAL },       /* data exception */
        { "23", PAT_EINVAL },       /* integrity constraint violation */
        { "42501", PAT_EPERM },     /* insufficient_privilege */
        { "57014", PAT_ETIMEDOUT }, /* query_canceled: statement_timeout */
        { "08", PAT_ECONN },        /* connection exception */
        { "57P", PAT_ECONN },       /* the server shuts down */
    };

    for (size_t i = 0; sqlstate && i < sizeof rows / sizeof rows[0]; i++)
        if (!strncmp(sqlstate, rows[i].prefix, strlen(rows[i].prefix)))
            return rows[i].err;
    return PAT_EUPSTREAM;
}

/* ---- what callers read ---- */

size_t pat_db_rows(const struct pat_db_result *r)
{
    return (size_t)PQntuples(r->res);
}

int pat_db_col(const struct pat_db_result *r, const char *name)
{
    /* PQfnumber would fold "Name" to "name" and copy it each time. */
    for (int i = 0, n = PQnfields(r->res); i < n; i++)
        if (!strcmp(PQfname(r->res, i), name))
            return i;
    return -1;
}

const char *pat_db_value(const struct pat_db_result *r, size_t row, int col)
{
    if (col < 0 || col >= PQnfields(r->res) || row >= pat_db_rows(r) ||
        PQgetisnull(r->res, (int)row, col))
        return NULL;
    return PQgetvalue(r->res, (int)row, col);
}

const char *pat_db_get(const struct pat_db_result *r, size_t row, const char *name)
{
    return pat_db_value(r, row, pat_db_col(r, name));
}

int64_t pat_db_affected(const struct pat_db_result *r)
{
    const char *n = PQcmdTuples(r->res);

    return *n ? strtoll(n, NULL, 10) : 0;
}

static const char *field(const struct pat_db_result *r, int code)
{
    const char *s = r->res ? PQresultErrorField(r->res, code) : NULL;

    return s ? s : "";
}

const char *pat_db_sqlstate(const struct pat_db_result *r)
{
    return field(r, PG_DIAG_SQLSTATE);
}

const char *pat_db_message(const struct pat_db_result *r)
{
    return field(r, PG_DIAG_MESSAGE_PRIMARY);
}
