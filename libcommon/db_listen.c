/* db_listen.c - notifications on a connection of their own.
 *
 * A notification sent while we are away is gone, so each (re)connect ends with a NULL payload for
 * every channel. The connection is silent by nature: a ping with a deadline finds out whether it
 * lives.
 */
#include "db_int.h"

#include "buf.h"
#include "log.h"

#include <stdlib.h>
#include <string.h>

static int send_own(struct db_conn *c, enum db_unit_kind kind, const struct pat_db_stmt *stmts,
                    size_t n)
{
    struct db_unit *u;
    int err = db_unit_new(&u, c->db, kind, stmts, n);

    if (!err)
        db_pipe_send(c, u);
    return err;
}

/* "LISTEN "name"", with the quotes inside doubled. Yours to free. */
static char *listen_sql(const char *name)
{
    struct pat_buf b;

    pat_buf_init(&b, 512);
    pat_buf_adds(&b, "LISTEN \"");
    for (const char *s = name; *s; s++)
        pat_buf_adds(&b, *s == '"' ? "\"\"" : (char[]){ *s, '\0' });
    pat_buf_adds(&b, "\"");
    return pat_buf_take(&b);
}

static int listen_to(struct db_conn *c, const char *channel)
{
    PAT_AUTO_STR sql = listen_sql(channel);

    return sql ? send_own(c, DB_LISTEN, &(struct pat_db_stmt){ .sql = sql }, 1) : PAT_ENOMEM;
}

void db_listen_up(struct db_conn *c)
{
    int err = PAT_OK;

    for (const struct db_channel *ch = c->db->channels; ch && !err; ch = ch->next)
        err = listen_to(c, ch->name);
    if (err)
        db_conn_lost(c, pat_err_name(err));
    else
        pat_timer_start(&c->timer, DB_PING_MS);
}

/* All channels are told after each LISTEN went through: told once too often is harmless. */
void db_listen_done(struct db_conn *c)
{
    for (const struct db_unit *u = TAILQ_FIRST(&c->flying); u; u = TAILQ_NEXT(u, link))
        if (u->kind == DB_LISTEN)
            return; /* the last one tells */
    db_listen_notified(c->db, NULL, NULL);
}

/* An answer must have come since the last ping. */
void db_listen_ping(struct db_conn *c)
{
    if (!c->listens)
        return;
    if (c->n_flying && pat_now_ms() - c->heard_ms >= DB_PING_MS) {
        db_conn_lost(c, "silent");
        return;
    }
    if (!c->n_flying && send_own(c, DB_PING, &(struct pat_db_stmt){ .sql = "select 1" }, 1))
        pat_log(PAT_WARN, "db.ping", PAT_ERR(PAT_ENOMEM));
    pat_timer_start(&c->timer, DB_PING_MS);
}

/* channel NULL: all. A handler may add channels (in front), not take any away. */
void db_listen_notified(struct pat_db *db, const char *channel, const char *payload)
{
    for (const struct db_channel *ch = db->channels; ch && !db->closing; ch = ch->next)
        if (!channel || !strcmp(ch->name, channel))
            ch->fn(ch->name, channel ? payload : NULL, ch->arg);
}

static int start_listener(struct pat_db *db)
{
    struct db_conn *c = calloc(1, sizeof *c);
    int err = PAT_ENOMEM;

    if (!c)
        return err;
    db_conn_init(c, db, db->listen_url, true);
    err = db_conn_reserve(c);
    if (err) {
        db_conn_fini(c);
        free(c);
        return err;
    }
    db->listener = c;
    pat_timer_start(&c->timer, 0);
    return PAT_OK;
}

int pat_db_listen(struct pat_db *db, const char *channel, pat_db_notify_fn *fn, void *arg)
{
    struct db_channel *ch;
    int err;

    if (db->closing)
        return PAT_ECANCELED;
    err = db->listener ? PAT_OK : start_listener(db);
    if (err)
        return err;
    ch = calloc(1, sizeof *ch);
    if (!ch)
        return PAT_ENOMEM;
    *ch = (struct db_channel){ db->channels, strdup(channel), fn, arg };
    if (!ch->name) {
        free(ch);
        return PAT_ENOMEM;
    }
    db->channels = ch;
    return db->listener->state == DB_CONN_UP ? listen_to(db->listener, channel) : PAT_OK;
}

void db_listen_free(struct pat_db *db)
{
    while (db->channels) {
        struct db_channel *ch = db->channels;

        db->channels = ch->next;
        free(ch->name);
        free(ch);
    }
    if (db->listener)
        db_conn_fini(db->listener);
    free(db->listener);
}
