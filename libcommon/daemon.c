/* daemon.c - the life of every daemon: settings, parts up in order, run, parts down in reverse.
 *
 * The phases go one way: starting, running, draining, stopping, gone. What a daemon does is in its
 * spec; nothing here knows a service.
 */
#include "daemon.h"

#include "daemon_conf.h"
#include "daemon_notify.h"
#include "event.h"
#include "log.h"
#include "version.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    PORTS_MAX = 8,
    WATCHERS_MAX = 16,
    CLOSE_MS = 2000,   /* for the bus and the database to send what is queued */
    CLOSED_MS = 10000, /* all parts gone by then, or the process ends without them */
    STATS_MS = 1000,
    ENSURE_MS = 5000,
    DESCRIPTORS = 65536,
};
#define ERRORS_MAX ((size_t)64 << 10)

enum phase { STARTING, RUNNING, DRAINING, STOPPING };

struct watcher {
    pat_daemon_state_fn *fn;
    void *arg;
};

struct watchers {
    struct watcher v[WATCHERS_MAX];
    size_t n;
};

struct inside {
    struct pat_daemon *d;
    const struct pat_daemon_spec *spec;
    void *arg;
    const struct daemon_common *conf;
    char app_name[80]; /* for Postgres */
    enum phase phase;
    int status;
    int open; /* parts that have not said closed yet */
    struct pat_signal *term, *intr;
    struct pat_timer deadline; /* of draining, then of closing */
    struct pat_timer stats;
    struct pat_task stopping;
    struct watchers on_bus, on_db;
    size_t n_ports;
    struct {
        const char *name;
        int port;
    } ports[PORTS_MAX];
    struct pat_gauge *lag, *memory;
    struct pat_counter *cpu;
    double cpu_s; /* told so far */
};

/* ---- ports ---- */

static void write_port_file(const struct inside *in)
{
    const char *path = in->conf->port_file;
    PAT_AUTO_JSON j = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    char tmp[4096];
    FILE *f;

    if (!path || !*path || in->phase == STARTING)
        return;
    for (size_t i = 0; i < in->n_ports; i++)
        pat_json_set_int(j, in->ports[i].name, in->ports[i].port);
    text = pat_json_print(j);
    if (!text || snprintf(tmp, sizeof tmp, "%s.tmp", path) >= (int)sizeof tmp)
        return;
    f = fopen(tmp, "we");
    if (!f || fprintf(f, "%s\n", text) < 0 || fclose(f) || rename(tmp, path))
        pat_log(PAT_ERROR, "daemon.port_file", PAT_S("path", path),
                PAT_S("reason", strerror(errno)));
}

void pat_daemon_set_port(struct pat_daemon *d, const char *name, int port)
{
    struct inside *in = d->inside;

    if (in->n_ports == PORTS_MAX)
        return;
    in->ports[in->n_ports].name = name;
    in->ports[in->n_ports++].port = port;
    write_port_file(in);
}

static void say_ready(const struct inside *in)
{
    char names[PORTS_MAX][40];
    struct pat_field fields[PORTS_MAX + 3] = { PAT_S("version", PAT_VERSION),
                                               PAT_S("build_id", PAT_BUILD_ID) };
    size_t n = 2;

    for (size_t i = 0; i < in->n_ports; i++) {
        snprintf(names[i], sizeof names[i], "%s_port", in->ports[i].name);
        fields[n++] = PAT_I(names[i], in->ports[i].port);
    }
    pat_log_write(PAT_INFO, "daemon.ready", fields);
}

/* ---- connection states ---- */

static int watch(struct watchers *w, pat_daemon_state_fn *fn, void *arg)
{
    if (w->n == WATCHERS_MAX)
        return PAT_E2BIG;
    w->v[w->n++] = (struct watcher){ fn, arg };
    return PAT_OK;
}

int pat_daemon_on_bus(struct pat_daemon *d, pat_daemon_state_fn *fn, void *arg)
{
    return watch(&((struct inside *)d->inside)->on_bus, fn, arg);
}

int pat_daemon_on_db(struct pat_daemon *d, pat_daemon_state_fn *fn, void *arg)
{
    return watch(&((struct inside *)d->inside)->on_db, fn, arg);
}

/* Modules are not told once they may be gone, and of what we close ourselves there is no news. */
static void tell(const struct inside *in, const struct watchers *w, const char *check, bool up)
{
    if (in->phase < STOPPING)
        pat_health_set(in->d->health, check, up, up ? NULL : "not connected");
    for (size_t i = 0; i < w->n && in->phase < STOPPING; i++)
        w->v[i].fn(up, w->v[i].arg);
}

static void on_bus_state(bool up, void *arg)
{
    const struct inside *in = arg;

    tell(in, &in->on_bus, "nats", up);
}

static void on_db_state(bool up, void *arg)
{
    const struct inside *in = arg;

    tell(in, &in->on_db, "postgres", up);
}

/* Each try to connect may fail for another reason: /readyz has the last one. */
static void say_why(struct inside *in, const char *check, bool up, const char *why)
{
    char detail[300];

    if (up || !*why)
        return;
    (void)snprintf(detail, sizeof detail, "not connected: %s", why);
    pat_health_set(in->d->health, check, false, detail);
}

static void say_whys(struct inside *in)
{
    struct pat_daemon *d = in->d;

    if (d->bus)
        say_why(in, "nats", pat_bus_up(d->bus), pat_bus_why(d->bus));
    if (d->db)
        say_why(in, "postgres", pat_db_up(d->db), pat_db_why(d->db));
}

/* ---- figures about the process ---- */

static double resident_bytes(void)
{
    FILE *f = fopen("/proc/self/statm", "re");
    long pages = 0;

    if (f && fscanf(f, "%*s %ld", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

static void on_stats(void *arg)
{
    struct inside *in = arg;
    struct rusage u;
    double cpu_s;

    pat_gauge_set(in->lag, (double)pat_loop_lag_us(in->d->loop) / 1e6);
    pat_gauge_set(in->memory, resident_bytes());
    if (!getrusage(RUSAGE_SELF, &u)) {
        cpu_s = (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
                (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
        pat_counter_add(in->cpu, cpu_s - in->cpu_s);
        in->cpu_s = cpu_s;
    }
    if (in->phase < STOPPING)
        say_whys(in);
    pat_timer_start(&in->stats, STATS_MS);
}

static void start_stats(struct inside *in)
{
    struct pat_metrics *m = in->d->metrics;

    in->lag = pat_gauge(m, "pat_loop_lag_seconds",
                        "How late the loop was at worst in the last second.", NULL);
    in->memory = pat_gauge(m, "process_resident_memory_bytes", "Resident memory.", NULL);
    in->cpu = pat_counter(m, "process_cpu_seconds_total", "CPU time, user and system.", NULL);
    on_stats(in);
}

/* ---- going down ---- */

static void on_part_closed(void *arg);

static void free_rest(struct inside *in)
{
    struct pat_daemon *d = in->d;

    pat_timer_fini(&in->deadline);
    pat_timer_fini(&in->stats);
    pat_signal_close(in->term);
    pat_signal_close(in->intr);
    pat_health_free(d->health);
    pat_metrics_free(d->metrics);
}

static void close_net(struct inside *in)
{
    struct pat_daemon *d = in->d;

    struct pat_net *net = d->net;

    pat_http_free(d->http);
    d->http = NULL;
    d->net = NULL;
    in->open = 1;
    pat_net_close(net, on_part_closed, in);
}

/* Bus and database together, then the network, then what needs no waiting. */
static void on_part_closed(void *arg)
{
    struct inside *in = arg;

    if (--in->open > 0)
        return;
    if (!in->d->net) {
        free_rest(in);
        return;
    }
    in->d->bus = NULL;
    in->d->db = NULL;
    in->d->admin = NULL; /* goes with the network */
    close_net(in);
}

static void on_stopping(void *arg)
{
    struct inside *in = arg;
    struct pat_daemon *d = in->d;

    pat_log(PAT_INFO, "daemon.stopping", PAT_I("status", in->status));
    pat_timer_start(&in->deadline, CLOSED_MS);
    if (in->spec->stop)
        in->spec->stop(d, in->arg);
    in->open = 1; /* ours, so that the last of them goes on and not the first */
    if (d->bus) {
        in->open++;
        pat_bus_close(d->bus, CLOSE_MS, on_part_closed, in);
    }
    if (d->db) {
        in->open++;
        pat_db_close(d->db, CLOSE_MS, on_part_closed, in);
    }
    on_part_closed(in);
}

static void stop_soon(struct inside *in)
{
    if (in->phase == STOPPING)
        return;
    in->phase = STOPPING;
    pat_loop_next_turn(in->d->loop, &in->stopping, on_stopping, in);
}

void pat_daemon_drained(struct pat_daemon *d)
{
    stop_soon(d->inside);
}

static void on_deadline(void *arg)
{
    struct inside *in = arg;

    if (in->phase == DRAINING) {
        pat_log(PAT_WARN, "daemon.drain", PAT_S("reason", "not drained in time"),
                PAT_I("after_ms", in->d->drain_ms));
        stop_soon(in);
        return;
    }
    pat_log(PAT_ERROR, "daemon.close", PAT_S("reason", "a part did not close in time"));
    _exit(1);
}

static void drain(struct inside *in)
{
    if (in->phase > RUNNING)
        return;
    in->phase = DRAINING;
    if (!in->spec->command)
        daemon_notify("STOPPING=1");
    pat_health_drain(in->d->health);
    pat_timer_start(&in->deadline, in->d->drain_ms);
    if (in->spec->drain)
        in->spec->drain(in->d, in->arg);
    else
        stop_soon(in);
}

static void on_signal(int signum, void *arg)
{
    struct inside *in = arg;

    pat_log(PAT_INFO, "daemon.signal", PAT_S("signal", signum == SIGINT ? "SIGINT" : "SIGTERM"));
    if (in->phase > RUNNING)
        _exit(1); /* asked twice: somebody is in a hurry */
    drain(in);
}

void pat_daemon_fail(struct pat_daemon *d, const char *event, int err)
{
    struct inside *in = d->inside;

    pat_log(PAT_ERROR, event, PAT_ERR(err));
    in->status = 1;
    if (in->phase != STARTING) /* else starting sees the status */
        drain(in);
}

void pat_daemon_end(struct pat_daemon *d, int status)
{
    struct inside *in = d->inside;

    in->status = status;
    drain(in);
}

/* ---- going up ---- */

static void on_stream(int err, const struct pat_msg *m, void *arg)
{
    (void)err; /* the bus has logged it, and makes them again after each reconnect */
    (void)m;
    (void)arg;
}

static int start_bus(struct inside *in)
{
    const struct daemon_common *c = in->conf;
    struct pat_daemon *d = in->d;
    struct pat_bus_opts opts = {
        .url = c->nats_url,
        .name = in->spec->name,
        .creds = c->nats_creds,
        .user = c->nats_user,
        .password = c->nats_password,
        .token = c->nats_token,
        .nkey = c->nats_nkey,
        .nkey_seed_file = c->nats_nkey_seed_file,
        .ca_file = c->nats_ca_file,
        .ca_fallback = c->ca_file,
        .cert_file = c->nats_cert_file,
        .key_file = c->nats_key_file,
        .metrics = d->metrics,
        .state = on_bus_state,
        .arg = in,
    };
    int err = pat_health_check(d->health, "nats", false);

    if (!err)
        err = pat_bus_new(&d->bus, d->loop, &opts);
    for (size_t i = 0; i < pat_event_streams_n && !err; i++)
        err = pat_bus_stream_ensure(d->bus, pat_event_streams[i].name,
                                    pat_event_streams[i].config_json, ENSURE_MS, on_stream, NULL);
    return err;
}

static struct pat_db_opts db_opts(const struct inside *in)
{
    const struct daemon_common *c = in->conf;

    return (struct pat_db_opts){
        .url = c->database_url,
        .listen_url = c->database_listen_url,
        .app_name = in->app_name,
        .ca_file = *c->database_ca_file ? c->database_ca_file : c->ca_file,
        .pool = (int)c->database_pool,
        .prepared = c->database_prepared,
    };
}

static int start_db(struct inside *in)
{
    struct pat_daemon *d = in->d;
    struct pat_db_opts opts;
    int err = pat_health_check(d->health, "postgres", false);

    snprintf(in->app_name, sizeof in->app_name, "patchbay-%s", in->spec->name);
    opts = db_opts(in);
    opts.metrics = d->metrics;
    opts.state = on_db_state;
    opts.arg = in;
    return err ? err : pat_db_new(&d->db, d->loop, &opts);
}

int pat_daemon_db(struct pat_daemon *d, struct pat_db **out, int pool)
{
    struct pat_db_opts opts = db_opts(d->inside);

    opts.pool = pool;
    return pat_db_new(out, d->loop, &opts);
}

static int admin_routes(struct pat_httpd *s, void *arg)
{
    const struct inside *in = arg;

    return pat_health_routes(in->d->health, s, in->spec->name);
}

static int start_loop(struct inside *in)
{
    struct pat_daemon *d = in->d;
    int err = pat_loop_new(&d->loop);

    if (!err)
        err = pat_timer_init(&in->deadline, d->loop, on_deadline, in);
    if (!err)
        err = pat_timer_init(&in->stats, d->loop, on_stats, in);
    if (!err)
        err = pat_signal_new(&in->term, d->loop, SIGTERM, on_signal, in);
    if (!err)
        err = pat_signal_new(&in->intr, d->loop, SIGINT, on_signal, in);
    return err;
}

static int start_parts(struct inside *in)
{
    struct pat_daemon *d = in->d;
    const char *ca = *in->conf->ca_file ? in->conf->ca_file : NULL;
    int err = start_loop(in);

    d->ca_file = ca;
    if (!err)
        err = pat_metrics_new(&d->metrics);
    if (!err)
        err = pat_health_new(&d->health, d->metrics);
    if (!err)
        err = pat_net_new(&d->net, d->loop, ca);
    if (!err && (in->spec->wants & PAT_WANT_BUS))
        err = start_bus(in);
    if (!err && (in->spec->wants & PAT_WANT_DB))
        err = start_db(in);
    if (!err && (in->spec->wants & PAT_WANT_HTTP))
        err = pat_http_new(&d->http, d->loop, &(struct pat_http_opts){ .ca_file = ca });
    if (!err && !in->spec->command)
        err = pat_daemon_open(d, &d->admin, "admin",
                              &(struct pat_httpd_opts){ .listen = in->conf->admin_listen },
                              admin_routes, in);
    if (!err && in->spec->start)
        err = in->spec->start(d, in->arg);
    return err;
}

static int run(struct inside *in)
{
    int err = start_parts(in);

    if (err || in->status) {
        /* Nothing runs yet that others rely on: the kernel tidies up. */
        pat_log(PAT_ERROR, "daemon.start", PAT_ERR(err));
        _exit(1);
    }
    in->phase = RUNNING;
    start_stats(in);
    if (!in->spec->command) {
        write_port_file(in);
        say_ready(in);
        daemon_notify("READY=1");
    }
    pat_loop_run(in->d->loop);
    err = pat_loop_free(in->d->loop);
    if (err)
        pat_log(PAT_ERROR, "daemon.loop", PAT_S("reason", "something was left open"));
    return err ? 1 : in->status;
}

/* ---- the command line ---- */

static void print_help(const struct pat_daemon_spec *spec, const struct daemon_conf *conf)
{
    printf("patchbay-%s - %s\n\n"
           "Usage: %s [--help | --version | --check-config]\n\n"
           "  --check-config  say what is wrong with the settings and end: 0 fine, 1 not\n%s\n"
           "Settings come from the environment:\n",
           spec->name, spec->summary, spec->name, spec->more_usage ? spec->more_usage : "");
    pat_conf_help(conf->rows, conf->n, stdout);
}

static void setup_log(const struct pat_daemon_spec *spec, const struct daemon_common *c)
{
    enum pat_level level = PAT_INFO;

    (void)pat_level_parse(c->log_level, &level);
    if (spec->command && level < PAT_WARN)
        level = PAT_WARN;
    pat_log_setup(&(struct pat_log_opts){ .service = spec->name,
                                          .level = level,
                                          .json = !strcmp(c->log_format, "json"),
                                          .fd = STDERR_FILENO });
}

static void warn_of_unknown(const struct daemon_conf *conf)
{
    struct pat_buf names;

    pat_buf_init(&names, ERRORS_MAX);
    pat_conf_unknown(conf->rows, conf->n, "PAT_", environ, &names);
    if (names.len)
        pat_log(PAT_WARN, "config.unknown", PAT_S("names", names.data));
    pat_buf_fini(&names);
}

/* Each call is a connection or more; what systemd and shells grant at first is 1024. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    rlim_t want;

    if (getrlimit(RLIMIT_NOFILE, &limit))
        return;
    want = limit.rlim_max < DESCRIPTORS ? limit.rlim_max : DESCRIPTORS;
    if (limit.rlim_cur >= want)
        return;
    limit.rlim_cur = want;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        pat_log(PAT_WARN, "daemon.descriptors", PAT_S("reason", strerror(errno)));
}

static void say_fine(const struct pat_daemon_spec *spec, const void *conf)
{
    struct pat_buf notes;

    pat_buf_init(&notes, ERRORS_MAX);
    if (spec->notes)
        spec->notes(conf, &notes);
    printf("settings are fine\n%s", notes.len ? notes.data : "");
    pat_buf_fini(&notes);
}

static int load_and_run(struct daemon_conf *conf, const struct pat_daemon_spec *spec,
                        bool check_only, void *arg)
{
    struct pat_daemon d = { 0 };
    struct inside in = { .d = &d, .spec = spec, .arg = arg };
    struct pat_buf errors;
    int err;

    pat_buf_init(&errors, ERRORS_MAX);
    err = daemon_conf_load(conf, spec, &errors);
    if (err)
        (void)fprintf(stderr, "%s", errors.len ? errors.data : pat_err_text(err));
    pat_buf_fini(&errors);
    if (err)
        return 1;
    if (check_only) {
        say_fine(spec, conf->own);
        return 0;
    }
    in.conf = conf->common;
    d.conf = conf->own;
    d.drain_ms = conf->common->drain_ms;
    d.inside = &in;
    setup_log(spec, conf->common);
    pat_conf_log(conf->rows, conf->n, conf->block);
    if (!spec->command)
        warn_of_unknown(conf);
    raise_descriptors();
    return run(&in);
}

int pat_daemon_main(int argc, char **argv, const struct pat_daemon_spec *spec, void *arg)
{
    const char *option = argc > 1 ? argv[1] : "";
    bool check_only = !strcmp(option, "--check-config");
    struct daemon_conf conf;
    int status;

    if (argc > 2 || (*option && !check_only && strcmp(option, "--help") != 0 &&
                     strcmp(option, "--version") != 0)) {
        (void)fprintf(stderr, "patchbay-%s: unknown arguments, see --help\n", spec->name);
        return 2;
    }
    if (!strcmp(option, "--version")) {
        printf("patchbay-%s %s (%s)\n", spec->name, PAT_VERSION, PAT_BUILD_ID);
        return 0;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    if (daemon_conf_new(&conf, spec))
        return 1;
    if (!strcmp(option, "--help")) {
        print_help(spec, &conf);
        status = 0;
    } else {
        status = load_and_run(&conf, spec, check_only, arg);
    }
    daemon_conf_fini(&conf);
    return status;
}
