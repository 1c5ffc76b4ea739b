/* daemon.h - what every daemon does alike, in one call.
 *
 *   static const struct pat_daemon_spec spec = { "router", "answers the carrier", rows, n, sizeof
 * conf, NEEDS, start, drain, stop }; int main(int argc, char **argv) { return pat_daemon_main(argc,
 * argv, &spec, &router); }
 *
 * It handles --help, --version, --check-config (validates and says what is wrong, connects
 * nowhere); then sets up the log, the loop, the network, metrics, health on the admin port, the bus
 * and the database when wanted, and calls start. SIGTERM or SIGINT: unready, drain(), wait until
 * the daemon says drained or PAT_DRAIN_MS is over, stop(), close everything, exit 0. A second
 * signal exits at once. SIGPIPE is ignored. sd_notify READY/STOPPING when $NOTIFY_SOCKET is set.
 *
 * Common settings (see --help): PAT_LOG_LEVEL, PAT_LOG_FORMAT, PAT_ADMIN_LISTEN, PAT_NATS_URL
 * (+_CREDS, _USER, _PASSWORD), PAT_DATABASE_URL, PAT_DATABASE_LISTEN_URL, PAT_DATABASE_POOL,
 * PAT_DATABASE_PREPARED, PAT_CA_FILE, PAT_DRAIN_MS, PAT_PORT_FILE. Exit status: 0 ended in order, 1
 * a fault or wrong settings, 2 wrong arguments. The event streams are ensured when there is a bus.
 */
#ifndef PAT_DAEMON_H
#define PAT_DAEMON_H

#include "bus.h"
#include "conf.h"
#include "db.h"
#include "health.h"
#include "http.h"
#include "httpd.h"
#include "metrics.h"

struct pat_journal;

enum { PAT_WANT_BUS = 1, PAT_WANT_DB = 2, PAT_WANT_HTTP = 4 };

/* All borrowed by the daemon's modules; parts not wanted are NULL. */
struct pat_daemon {
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_bus *bus;
    struct pat_db *db;
    struct pat_http *http;
    struct pat_metrics *metrics;
    struct pat_health *health;
    struct pat_httpd *admin;
    const void *conf;    /* the daemon's own struct */
    const char *ca_file; /* PAT_CA_FILE, or NULL */
    int64_t drain_ms;
    struct pat_journal **leaving; /* pat_daemon_leave's */
    void *inside;
};

struct pat_daemon_spec {
    const char *name;    /* "patchbay-router" without the prefix */
    const char *summary; /* one line for --help */
    const struct pat_conf_row *rows;
    size_t n_rows;
    size_t conf_size;
    unsigned wants;
    const char *more_usage; /* of what main does itself; NULL: nothing */
    /* Not a daemon, but one piece of work with a daemon's settings: no admin port, only warnings in
     * the log. It ends itself by pat_daemon_end. */
    bool command;
    /* Optional: checks that need several settings; adds lines to errors and returns PAT_EINVAL. */
    int (*check)(const void *conf, struct pat_buf *errors);
    /* Optional: what is right and leaves something out; adds lines that --check-config says. */
    void (*notes)(const void *conf, struct pat_buf *out);
    /* On an error the process ends at once, with status 1: what was made is not unwound. */
    int (*start)(struct pat_daemon *d, void *arg);
    /* Take no new work, finish what runs, then pat_daemon_drained. NULL: at once. */
    void (*drain)(struct pat_daemon *d, void *arg);
    /* Free everything made in start. Handles may still close in later turns of the loop. */
    void (*stop)(struct pat_daemon *d, void *arg);
};

int pat_daemon_main(int argc, char **argv, const struct pat_daemon_spec *spec, void *arg);
void pat_daemon_drained(struct pat_daemon *d);
/* A port this daemon listens on, under a name ("http"): logged, and written to PAT_PORT_FILE with
 * the admin port
 * ({"admin":9101,"http":8080}) for those who asked for port 0. */
void pat_daemon_set_port(struct pat_daemon *d, const char *name, int port);
/* A server with its routes on a port of that name: made, listening, told. *out is there for routes
 * already; on an error it is the network's to close. */
typedef int pat_daemon_routes_fn(struct pat_httpd *s, void *arg);
int pat_daemon_open(struct pat_daemon *d, struct pat_httpd **out, const char *name,
                    const struct pat_httpd_opts *opts, pat_daemon_routes_fn *routes,
                    void *arg) PAT_MUST_CHECK;
/* The usual drain: s answers what it has, *journal (or journal NULL: none) stores what it was told
 * and becomes NULL, then pat_daemon_drained. Each has half of the time. */
void pat_daemon_leave(struct pat_daemon *d, struct pat_httpd *s, struct pat_journal **journal);
/* Another pool to the same database, for work that must not wait behind the rest. Yours to close
 * (pat_db_close) in stop. */
int pat_daemon_db(struct pat_daemon *d, struct pat_db **out, int pool) PAT_MUST_CHECK;
/* Ends in order, as SIGTERM does, with this exit status. */
void pat_daemon_end(struct pat_daemon *d, int status);
/* A fault one cannot go on with: logs, then stops the way SIGTERM does, with exit status 1. */
void pat_daemon_fail(struct pat_daemon *d, const char *event, int err);
/* The connection state of bus and database reaches modules here, after health has seen it. */
typedef void pat_daemon_state_fn(bool up, void *arg);
int pat_daemon_on_bus(struct pat_daemon *d, pat_daemon_state_fn *fn, void *arg);
int pat_daemon_on_db(struct pat_daemon *d, pat_daemon_state_fn *fn, void *arg);

#endif
