/* main.c - the stack-switcher: settings, parts in order up, parts in order down. */
#include "switcher.h"

#define ROW(env, type, field, value, text, ...)                                                    \
    {                                                                                              \
        .name = env, .kind = type, .offset = offsetof(struct switcher_conf, field), .def = value,  \
        .help = text, __VA_ARGS__                                                                  \
    }

static const struct pat_conf_row rows[] = {
    ROW("PAT_SUPABASE_JWT_SECRET", PAT_CONF_SECRET, jwt_secret, NULL,
        "secret Supabase signs its users' tokens with (HS256)", .flags = PAT_CONF_REQUIRED),
    ROW("PAT_SWITCHER_LISTEN", PAT_CONF_ADDR, listen, "127.0.0.1:8083", "where the API is served"),
};

static int routes(struct pat_httpd *httpd, void *arg)
{
    (void)httpd;
    return api_routes(arg);
}

static int start(struct pat_daemon *d, void *arg)
{
    struct switcher *s = arg;

    s->d = d;
    s->conf = d->conf;
    s->refused = pat_counter(d->metrics, "pat_switcher_refused_total",
                             "Requests without a good token", NULL);
    s->reply_s = pat_histogram(d->metrics, "pat_switcher_reply_seconds",
                               "Time from a request to its answer", NULL, pat_buckets_latency_s,
                               sizeof pat_buckets_latency_s / sizeof pat_buckets_latency_s[0]);
    return pat_daemon_open(d, &s->httpd, "http",
                           &(struct pat_httpd_opts){ .listen = s->conf->listen }, routes, s);
}

static void drain(struct pat_daemon *d, void *arg)
{
    struct switcher *s = arg;

    pat_daemon_leave(d, s->httpd, NULL);
}

int main(int argc, char **argv)
{
    struct switcher s = { 0 };
    static const struct pat_daemon_spec spec = {
        .name = "stack-switcher",
        .summary = "says who is served by which stack, and how it went",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
        .conf_size = sizeof(struct switcher_conf),
        .wants = PAT_WANT_DB,
        .start = start,
        .drain = drain,
    };

    return pat_daemon_main(argc, argv, &spec, &s);
}
