/* db_conn.c - one connection: its address, its login, its end, and trying again.
 *
 * A host name is resolved off the loop and given to libpq as hostaddr; the name itself stays for
 * checking the certificate. Of several hosts in the URL each try takes the next.
 */
#include "db_int.h"

#include "buf.h"
#include "log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    unsigned next;
} states[] = {
#define TO(s) (1U << (s))
    [DB_CONN_IDLE] = { "idle", TO(DB_CONN_RESOLVING) | TO(DB_CONN_CONNECTING) },
    [DB_CONN_RESOLVING] = { "resolving", TO(DB_CONN_CONNECTING) | TO(DB_CONN_IDLE) },
    [DB_CONN_CONNECTING] = { "connecting", TO(DB_CONN_UP) | TO(DB_CONN_IDLE) },
    [DB_CONN_UP] = { "up", TO(DB_CONN_BROKEN) | TO(DB_CONN_IDLE) },
    [DB_CONN_BROKEN] = { "broken", TO(DB_CONN_IDLE) },
#undef TO
};
static_assert(sizeof states / sizeof states[0] == DB_CONN_STATES, "every state has a row");

void db_conn_move(struct db_conn *c, enum db_conn_state to)
{
    if (c->state != to && !(states[c->state].next & 1U << to))
        pat_log(PAT_ERROR, "db.state", PAT_S("from", states[c->state].name),
                PAT_S("to", states[to].name));
    c->state = to;
}

static void retry_later(struct db_conn *c)
{
    if (!c->db->closing)
        pat_timer_start(&c->timer, pat_retry_next_ms(&c->retry, pat_random32()));
}

static void drop_socket(struct db_conn *c)
{
    pat_task_cancel(c->db->loop, &c->broken);
    pat_timer_stop(&c->timer);
    pat_timer_stop(&c->stuck);
    pat_resolve_cancel(c->resolve);
    c->resolve = NULL;
    pat_poll_close(c->poll);
    c->poll = NULL;
    c->watched = 0;
    PQfinish(c->pg);
    c->pg = NULL;
    c->recycle = false;
    db_pipe_forget(c);
}

static void end_flying(struct db_conn *c, int err)
{
    struct db_unit *u;

    while ((u = TAILQ_FIRST(&c->flying))) {
        TAILQ_REMOVE(&c->flying, u, link);
        c->n_flying--;
        db_unit_end(u, err);
    }
}

/* libpq ends its messages with a newline and may use several lines. */
static void log_failure(const struct db_conn *c, const char *event, const char *why)
{
    char *line = c->db->why;

    pat_strcpy(line, sizeof c->db->why, why ? why : "");
    for (char *s = line; *s; s++)
        if (*s == '\n' || *s == '\t')
            *s = ' ';
    for (size_t len = strlen(line); len && line[len - 1] == ' '; len--)
        line[len - 1] = '\0';
    pat_log(c->attempts % 20 == 1 || c->state >= DB_CONN_UP ? PAT_WARN : PAT_DEBUG, event,
            PAT_S("conn", c->listens ? "listen" : "pool"), PAT_S("state", states[c->state].name),
            PAT_I("attempt", c->attempts), PAT_S("reason", line));
}

void db_conn_lost(struct db_conn *c, const char *why)
{
    bool was_up = c->state == DB_CONN_UP || c->state == DB_CONN_BROKEN;

    if (!c->recycle)
        log_failure(c, was_up ? "db.lost" : "db.connect", why);
    drop_socket(c);
    db_conn_move(c, DB_CONN_IDLE);
    if (was_up && !c->listens)
        db_conn_changed(c, false);
    end_flying(c, PAT_ECONN);
    retry_later(c);
    db_idle(c->db);
}

/* ---- login ---- */

static void on_connect_event(int err, int events, void *arg);

/* libpq may close its socket and open another under the same number while it tries: a fresh watch
 * each time is the one that is always right. */
static int watch_anew(struct db_conn *c, int events)
{
    int err;

    pat_poll_close(c->poll);
    c->poll = NULL;
    err = pat_poll_new(&c->poll, c->db->loop, PQsocket(c->pg),
                       c->state == DB_CONN_UP ? db_pipe_events : on_connect_event, c);
    if (!err)
        err = pat_poll_set(c->poll, events);
    c->watched = events;
    return err;
}

static void on_up(struct db_conn *c)
{
    if (PQsetnonblocking(c->pg, 1) || !PQenterPipelineMode(c->pg)) {
        db_conn_lost(c, PQerrorMessage(c->pg));
        return;
    }
    pat_timer_stop(&c->timer);
    db_conn_move(c, DB_CONN_UP);
    if (watch_anew(c, PAT_POLL_IN)) {
        db_conn_lost(c, "cannot watch the socket");
        return;
    }
    pat_retry_reset(&c->retry);
    c->attempts = 0;
    c->heard_ms = pat_now_ms();
    if (c->db->metrics)
        pat_counter_add(c->db->meters.connects, 1);
    if (c->listens)
        db_listen_up(c);
    else
        db_conn_changed(c, true);
}

static void on_connect_event(int err, int events, void *arg)
{
    struct db_conn *c = arg;
    int want = PAT_POLL_IN;

    (void)err; /* libpq meets it itself, and has the words for it */
    (void)events;
    switch (PQconnectPoll(c->pg)) {
    case PGRES_POLLING_OK:
        on_up(c);
        return;
    case PGRES_POLLING_FAILED:
        db_conn_lost(c, PQerrorMessage(c->pg));
        return;
    case PGRES_POLLING_WRITING:
        want = PAT_POLL_OUT;
        break;
    default:
        break;
    }
    if (watch_anew(c, want))
        db_conn_lost(c, "cannot watch the socket");
}

static void ignore_notice(void *arg, const char *message)
{
    (void)arg;
    (void)message;
}

struct target {
    char host[256];
    char port[16];
};

/* Ours first, then the URL, which overrides them, then what the URL must not decide. */
static void connect_now(struct db_conn *c, const struct target *t, const char *address)
{
    const char *ca = c->db->ca_file;
    const char *keys[16] = { "keepalives", "keepalives_idle", "keepalives_interval",
                             "keepalives_count", "tcp_user_timeout" };
    const char *values[16] = { "1", "10", "5", "3", "15000" };
    size_t n = 5;

#define ADD(k, v) (keys[n] = (k), values[n] = (v), n++)
    if (ca && *ca)
        ADD("sslrootcert", ca);
    ADD("application_name", c->db->app_name);
    ADD("client_encoding", "UTF8");
    ADD("dbname", c->url);
    if (*t->host)
        ADD("host", t->host);
    if (address)
        ADD("hostaddr", address);
    if (*t->port)
        ADD("port", t->port);
#undef ADD
    db_conn_move(c, DB_CONN_CONNECTING);
    c->pg = PQconnectStartParams(keys, values, 1);
    if (!c->pg || PQstatus(c->pg) == CONNECTION_BAD) {
        db_conn_lost(c, c->pg ? PQerrorMessage(c->pg) : "out of memory");
        return;
    }
    PQsetNoticeProcessor(c->pg, ignore_notice, NULL);
    if (watch_anew(c, PAT_POLL_OUT))
        db_conn_lost(c, "cannot watch the socket");
}

/* The n-th, counted round, of a comma-separated list; a list of one is for all. */
static void pick(const char *list, unsigned n, char *out, size_t cap)
{
    unsigned items = 1;
    const char *end;

    for (const char *s = list; *s; s++)
        items += *s == ',';
    for (n %= items; n; n--)
        list = strchr(list, ',') + 1;
    end = strchrnul(list, ',');
    snprintf(out, cap, "%.*s", (int)(end - list), list);
}

static const char *option(const PQconninfoOption *o, const char *key)
{
    for (; o->keyword; o++)
        if (!strcmp(o->keyword, key))
            return o->val ? o->val : "";
    return "";
}

/* The text of the error may quote the URL with its password: never logged. */
static PQconninfoOption *read_url(const char *url)
{
    char *error = NULL;
    PQconninfoOption *o = PQconninfoParse(url, &error);

    PQfreemem(error);
    return o;
}

bool pat_db_url_valid(const char *url)
{
    PQconninfoOption *o = read_url(url);

    PQconninfoFree(o);
    return o;
}

static int target_of(const struct db_conn *c, struct target *t, bool *resolve)
{
    PQconninfoOption *o = read_url(c->url);

    if (!o)
        return PAT_EINVAL;
    pick(option(o, "host"), c->attempts, t->host, sizeof t->host);
    pick(option(o, "port"), c->attempts, t->port, sizeof t->port);
    *resolve = *t->host && *t->host != '/' && !*option(o, "hostaddr");
    PQconninfoFree(o);
    return PAT_OK;
}

static void on_resolved(int err, const char *address, void *arg)
{
    struct db_conn *c = arg;
    struct target t;
    bool resolve;

    c->resolve = NULL;
    if (err || target_of(c, &t, &resolve)) {
        db_conn_lost(c, "the host does not resolve");
        return;
    }
    connect_now(c, &t, address);
}

static void on_connect_timeout(struct db_conn *c)
{
    db_conn_lost(c, "no answer in time");
}

void db_conn_start(struct db_conn *c)
{
    struct target t;
    bool resolve;

    c->attempts++;
    if (target_of(c, &t, &resolve)) {
        db_conn_lost(c, "not a Postgres URL");
        return;
    }
    pat_timer_start(&c->timer, DB_CONNECT_MS);
    if (!resolve) {
        connect_now(c, &t, NULL);
        return;
    }
    db_conn_move(c, DB_CONN_RESOLVING);
    if (pat_resolve_start(&c->resolve, c->db->loop, t.host, DB_CONNECT_MS, on_resolved, c))
        db_conn_lost(c, "cannot resolve");
}

/* ---- time ---- */

static void on_timer(void *arg)
{
    struct db_conn *c = arg;

    switch (c->state) {
    case DB_CONN_IDLE:
        db_conn_start(c);
        break;
    case DB_CONN_UP:
        db_listen_ping(c);
        break;
    case DB_CONN_BROKEN:
        break;
    default:
        on_connect_timeout(c);
    }
}

/* A unit's deadline passed in flight and nothing at all was heard since: whatever is queued behind
 * it would wait in vain. */
static void on_stuck(void *arg)
{
    struct db_conn *c = arg;
    const struct db_unit *u = TAILQ_FIRST(&c->flying);
    int64_t silent_ms = pat_now_ms() - c->heard_ms;

    if (!u || !u->overdue)
        return;
    if (silent_ms >= DB_STUCK_MS)
        db_conn_lost(c, "stuck");
    else
        pat_timer_start(&c->stuck, DB_STUCK_MS - silent_ms);
}

/* ---- life ---- */

void db_conn_init(struct db_conn *c, struct pat_db *db, const char *url, bool listens)
{
    *c = (struct db_conn){ .db = db, .url = url, .listens = listens };
    c->retry = PAT_RETRY(DB_RETRY_BASE_MS, DB_RETRY_MAX_MS);
    TAILQ_INIT(&c->flying);
}

int db_conn_reserve(struct db_conn *c)
{
    int err = pat_timer_init(&c->timer, c->db->loop, on_timer, c);

    return err ? err : pat_timer_init(&c->stuck, c->db->loop, on_stuck, c);
}

void db_conn_fini(struct db_conn *c)
{
    drop_socket(c);
    end_flying(c, PAT_ECANCELED);
    pat_timer_fini(&c->timer);
    pat_timer_fini(&c->stuck);
}

bool db_conn_has_room(const struct db_conn *c)
{
    const struct db_unit *u = TAILQ_FIRST(&c->flying);
    size_t depth = c->db->prepared ? DB_DEPTH : DB_DEPTH_POOLER;

    return c->state == DB_CONN_UP && !c->recycle && c->n_flying < depth && !(u && u->overdue);
}
