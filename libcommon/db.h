/* db.h - Postgres on the loop: a pool of pipelined connections, units of work that are all or
 * nothing, LISTEN.
 *
 * A unit is one or more statements sent together and committed together (one pipeline sync; no
 * BEGIN needed). Parameters and values travel as text. Units of one connection run in order; use
 * one pool connection (pool size 1) where order across units matters. Through a transaction pooler
 * set prepared = false: only unnamed statements are sent. Life: pat_db_new -> run, listen ->
 * pat_db_close -> closed(arg). It connects and reconnects by itself for ever. Thread: the loop's.
 */
#ifndef PAT_DB_H
#define PAT_DB_H

#include "loop.h"

struct pat_db;
struct pat_db_result;
struct pat_metrics;
typedef uint64_t pat_db_id;

struct pat_db_opts {
    const char *url;        /* postgres://user:password@host:port/db?... */
    const char *listen_url; /* a direct or session-mode connection; NULL: url */
    const char *app_name;
    const char *ca_file;               /* sslrootcert when the URL names none; or NULL */
    int pool;                          /* connections; 0: 2 */
    bool prepared;                     /* named statements are prepared once per connection */
    size_t max_queue;                  /* units waiting; more are PAT_EAGAIN. 0: 10,000 */
    struct pat_metrics *metrics;       /* or NULL */
    void (*state)(bool up, void *arg); /* first connection made, or last one lost. May be NULL */
    void *arg;
};

struct pat_db_stmt {
    const char *name; /* stable name of this text, prepared when allowed; NULL: never prepared */
    const char *sql;
    int n;
    const char *const *params; /* n texts, NULL is SQL NULL */
};

/* One result per statement. err: PAT_OK; PAT_EEXIST (23505), PAT_EINVAL (22xxx, 23xxx), PAT_EPERM
 * (42501), PAT_ETIMEDOUT, PAT_ECONN (connection lost: the unit may or may not have been committed),
 * PAT_EUPSTREAM (any other SQL error). On error results[0] has sqlstate and message, and n is 1, or
 * 0 when there is no answer at all. Borrowed. */
typedef void pat_db_fn(int err, const struct pat_db_result *const *results, size_t n, void *arg);

int pat_db_new(struct pat_db **out, struct pat_loop *l,
               const struct pat_db_opts *opts) PAT_MUST_CHECK;
/* Finishes what is queued for at most timeout_ms; the rest ends with PAT_ECANCELED. */
void pat_db_close(struct pat_db *db, int64_t timeout_ms, pat_loop_fn *closed, void *arg);
/* Can the url be read at all? Connects nowhere. */
bool pat_db_url_valid(const char *url);
bool pat_db_up(const struct pat_db *db);
/* Why the last try to connect failed, in words for a person; "" while a connection is up. Borrowed
 * until the next turn of the loop. */
const char *pat_db_why(const struct pat_db *db);

/* Copies the statements. A unit waits in the queue while there is no connection, until its
 * deadline. fn runs exactly once unless canceled. id may be NULL. */
int pat_db_run(struct pat_db *db, const struct pat_db_stmt *stmts, size_t n, int64_t timeout_ms,
               pat_db_fn *fn, void *arg, pat_db_id *id) PAT_MUST_CHECK;
int pat_db_run1(struct pat_db *db, const char *name, const char *sql, const char *const *params,
                int n, int64_t timeout_ms, pat_db_fn *fn, void *arg, pat_db_id *id) PAT_MUST_CHECK;
/* fn will not run; the statement may still have happened. */
void pat_db_cancel(struct pat_db *db, pat_db_id id);

size_t pat_db_rows(const struct pat_db_result *r);
int pat_db_col(const struct pat_db_result *r, const char *name); /* -1: no such column */
const char *pat_db_value(const struct pat_db_result *r, size_t row,
                         int col); /* NULL: SQL NULL, or col -1 */
const char *pat_db_get(const struct pat_db_result *r, size_t row, const char *name);
int64_t pat_db_affected(const struct pat_db_result *r);
const char *pat_db_sqlstate(const struct pat_db_result *r); /* "" when fine */
const char *pat_db_message(
    const struct pat_db_result *r); /* "" when fine; may quote values: never shown to users */

/* payload NULL: the listening connection was (re)made, notifications may have been missed, look
 * yourself. */
typedef void pat_db_notify_fn(const char *channel, const char *payload, void *arg);
int pat_db_listen(struct pat_db *db, const char *channel, pat_db_notify_fn *fn,
                  void *arg) PAT_MUST_CHECK;

#endif
