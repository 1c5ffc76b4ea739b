/* db_int.h - inside the database module: units, connections and who owns them. For db*.c only.
 *
 * A unit is queued, then flying on one connection, then gone. A connection sends units in order and
 * gets their results in the same order.
 */
#ifndef PAT_DB_INT_H
#define PAT_DB_INT_H

#include "db.h"
#include "metrics.h"
#include "retry.h"
#include "slots.h"

#include <libpq-fe.h>
#include <sys/queue.h>

enum {
    DB_POOL_DEFAULT = 2,
    DB_POOL_MAX = 64,
    DB_QUEUE_DEFAULT = 10000,
    DB_DEPTH = 32,         /* units flying on one connection */
    DB_DEPTH_POOLER = 1,   /* a transaction pooler may change servers between units */
    DB_CONNECT_MS = 10000, /* DNS, TCP, TLS and login together */
    DB_RETRY_BASE_MS = 100,
    DB_RETRY_MAX_MS = 5000,
    DB_STUCK_MS = 5000, /* nothing heard for so long after a deadline: the connection is given up */
    DB_PING_MS = 15000, /* on the listening connection, which is else silent */
    DB_STMTS_MAX = 1000, /* in one unit */
};
#define DB_QUEUE_BYTES ((size_t)256 << 20)

struct pat_db_result {
    PGresult *res;
};

enum db_unit_kind {
    DB_UNIT,    /* somebody's */
    DB_PREPARE, /* ours: prepares stmts[0] */
    DB_LISTEN,  /* ours: LISTEN, then the listeners are told to look */
    DB_PING,    /* ours */
};

struct db_unit {
    TAILQ_ENTRY(db_unit) link;
    struct pat_db *db;
    struct db_conn *conn; /* while flying */
    enum db_unit_kind kind;
    uint64_t id;
    struct pat_timer timer;
    pat_db_fn *fn; /* NULL: canceled or told already; the results are dropped */
    void *arg;
    bool overdue;
    size_t bytes;
    size_t n;
    struct pat_db_stmt *stmts;
    struct pat_db_result *results;
    PGresult *error; /* the first */
    size_t at;       /* the statement whose results come in */
    bool got;        /* a result for it */
};
TAILQ_HEAD(db_units, db_unit);

enum db_prepared_state { DB_PREPARING, DB_PREPARED, DB_UNPREPARABLE };

struct db_prepared {
    char *name;
    enum db_prepared_state state;
};

enum db_conn_state {
    DB_CONN_IDLE,      /* waits to try again */
    DB_CONN_RESOLVING, /* the host's address */
    DB_CONN_CONNECTING,
    DB_CONN_UP,
    DB_CONN_BROKEN, /* found out inside somebody's call; ends in the next turn */
    DB_CONN_STATES
};

struct db_conn {
    struct pat_db *db;
    const char *url;
    bool listens;
    enum db_conn_state state;
    PGconn *pg;
    struct pat_poll *poll;
    int watched; /* events asked for */
    struct pat_resolve *resolve;
    struct pat_timer timer; /* retry, connect deadline, ping */
    struct pat_timer stuck;
    struct pat_task broken;
    struct pat_retry retry;
    unsigned attempts;
    int64_t heard_ms;
    struct db_units flying;
    size_t n_flying;
    struct db_prepared *prepared;
    size_t n_prepared, cap_prepared;
    bool recycle; /* a prepared statement went stale: connect anew when nothing flies */
};

struct db_channel {
    struct db_channel *next;
    char *name;
    pat_db_notify_fn *fn;
    void *arg;
};

struct db_meters {
    struct pat_counter *units, *failed, *connects;
    struct pat_gauge *up, *queue;
};

struct pat_db {
    struct pat_loop *loop;
    char *url;
    char *listen_url;
    char *app_name;
    char *ca_file;
    bool prepared;
    size_t max_queue;
    int pool;
    struct db_conn *conns; /* pool of them */
    struct db_conn *listener;
    struct db_channel *channels;
    struct pat_slots ids;
    struct db_units queue;
    size_t n_queued;
    size_t bytes; /* of all units */
    int n_up;
    char why[200]; /* the last connection was not made, or was lost */
    void (*state)(bool up, void *arg);
    void *state_arg;
    bool closing;
    struct pat_timer close_timer;
    struct pat_task close_task;
    pat_loop_fn *closed;
    void *closed_arg;
    struct pat_metrics *metrics;
    struct db_meters meters;
};

/* db.c */
void db_conn_changed(struct db_conn *c, bool up); /* a pool connection came or went */
void db_dispatch(struct pat_db *db);              /* queued units to connections with room */
void db_idle(struct pat_db *db);                  /* something ended: closing may go on */

/* db_unit.c */
int db_unit_new(struct db_unit **out, struct pat_db *db, enum db_unit_kind kind,
                const struct pat_db_stmt *stmts, size_t n) PAT_MUST_CHECK;
void db_unit_free(struct db_unit *u);
/* Takes the unit out of the table, frees it, then tells its owner. */
void db_unit_end(struct db_unit *u, int err);
int db_err_of_sqlstate(const char *sqlstate);

/* db_conn.c */
void db_conn_init(struct db_conn *c, struct pat_db *db, const char *url, bool listens);
int db_conn_reserve(struct db_conn *c) PAT_MUST_CHECK; /* its timers */
void db_conn_start(struct db_conn *c);
void db_conn_lost(struct db_conn *c, const char *why);
void db_conn_fini(struct db_conn *c); /* units that fly end with PAT_ECANCELED */
bool db_conn_has_room(const struct db_conn *c);
void db_conn_move(struct db_conn *c, enum db_conn_state to); /* the one writer of state */

/* db_pipe.c */
/* Sends; a failure breaks the connection in the next turn. */
void db_pipe_send(struct db_conn *c, struct db_unit *u);
void db_pipe_events(int err, int events, void *conn);
void db_pipe_forget(struct db_conn *c); /* what is prepared */

/* db_listen.c */
void db_listen_up(struct db_conn *c);
void db_listen_done(struct db_conn *c);
void db_listen_ping(struct db_conn *c);
void db_listen_notified(struct pat_db *db, const char *channel, const char *payload);
void db_listen_free(struct pat_db *db);

#endif
