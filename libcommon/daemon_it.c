/* daemon_it.c - the smallest daemon that uses everything the skeleton gives, for test_daemon.py.
 *
 * It serves GET /hello and drains for PAT_IT_DRAIN_FOR (0: at once, -1: never).
 */
#include "daemon.h"

#include "log.h"

#include <string.h>

struct it_conf {
    char *greeting;
    char *secret;
    int64_t drain_for;
};

static const struct pat_conf_row rows[] = {
    { .name = "PAT_IT_DRAIN_FOR",
      .kind = PAT_CONF_INT,
      .offset = offsetof(struct it_conf, drain_for),
      .def = "0",
      .help = "How long draining takes, in ms; -1: for ever.",
      .min = -1,
      .max = 60000 },
    { .name = "PAT_IT_GREETING",
      .kind = PAT_CONF_STR,
      .offset = offsetof(struct it_conf, greeting),
      .def = "hello",
      .help = "What is said." },
    { .name = "PAT_IT_SECRET",
      .kind = PAT_CONF_SECRET,
      .offset = offsetof(struct it_conf, secret),
      .help = "Never shown." },
};

struct it {
    struct pat_daemon *d;
    const struct it_conf *conf;
    struct pat_httpd *httpd;
    struct pat_timer timer;
};

static void on_hello(struct pat_httpd_req *r, void *arg)
{
    const struct it *it = arg;

    pat_httpd_reply(r, 200, "text/plain", it->conf->greeting, strlen(it->conf->greeting));
}

static void on_bus(bool up, void *arg)
{
    (void)arg;
    pat_log(PAT_INFO, "it.bus", PAT_B("up", up));
}

static void on_db(bool up, void *arg)
{
    (void)arg;
    pat_log(PAT_INFO, "it.db", PAT_B("up", up));
}

static void on_drained(void *arg)
{
    struct it *it = arg;

    pat_daemon_drained(it->d);
}

static int check(const void *conf, struct pat_buf *errors)
{
    const struct it_conf *c = conf;

    if (strlen(c->greeting) <= 20)
        return PAT_OK;
    pat_buf_adds(errors, "PAT_IT_GREETING: must be short\n");
    return PAT_EINVAL;
}

static int routes(struct pat_httpd *s, void *arg)
{
    return pat_httpd_route(s, "GET", "/hello", 0, on_hello, arg);
}

static int start(struct pat_daemon *d, void *arg)
{
    struct it *it = arg;
    int err;

    it->d = d;
    it->conf = d->conf;
    err = pat_timer_init(&it->timer, d->loop, on_drained, it);
    if (!err)
        err = pat_daemon_on_bus(d, on_bus, it);
    if (!err)
        err = pat_daemon_on_db(d, on_db, it);
    if (!err)
        err = pat_daemon_open(d, &it->httpd, "http",
                              &(struct pat_httpd_opts){ .listen = "127.0.0.1:0" }, routes, it);
    return err;
}

static void drain(struct pat_daemon *d, void *arg)
{
    struct it *it = arg;

    (void)d;
    if (it->conf->drain_for >= 0)
        pat_timer_start(&it->timer, it->conf->drain_for);
}

static void stop(struct pat_daemon *d, void *arg)
{
    struct it *it = arg;

    (void)d;
    pat_timer_fini(&it->timer);
}

int main(int argc, char **argv)
{
    struct it it = { 0 };
    static const struct pat_daemon_spec spec = {
        .name = "it",
        .summary = "shows that the skeleton stands",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
        .conf_size = sizeof(struct it_conf),
        .wants = PAT_WANT_BUS | PAT_WANT_DB | PAT_WANT_HTTP,
        .check = check,
        .start = start,
        .drain = drain,
        .stop = stop,
    };

    return pat_daemon_main(argc, argv, &spec, &it);
}
