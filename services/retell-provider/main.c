/* main.c - the retell-provider: settings, parts in order up, parts in order down. */
#include "provider.h"

#define ROW(env, type, field, value, text, ...)                                                    \
    {                                                                                              \
        .name = env, .kind = type, .offset = offsetof(struct provider_conf, field), .def = value,  \
        .help = text, __VA_ARGS__                                                                  \
    }

static const struct pat_conf_row rows[] = {
    ROW("PAT_INSIDE_TOKEN", PAT_CONF_SECRET, inside_token, NULL,
        "bearer token asked for on the inside port; empty: none"),
    ROW("PAT_RETELL_API_KEY", PAT_CONF_SECRET, api_key, NULL, "Retell's API key",
        .flags = PAT_CONF_REQUIRED),
    ROW("PAT_RETELL_API_TIMEOUT", PAT_CONF_MS, api_timeout_ms, "2900ms",
        "longest wait for Retell while a caller waits", .min = 100, .max = 10000),
    ROW("PAT_RETELL_API_URL", PAT_CONF_URL, api_url, "https://api.retellai.com", "Retell's API",
        .arg = "http,https"),
    ROW("PAT_RETELL_PROVIDER_LISTEN", PAT_CONF_ADDR, listen, "127.0.0.1:8081",
        "inside port: calls are registered here while NATS is away"),
};

static int start(struct pat_daemon *d, void *arg)
{
    struct provider *p = arg;
    int err;

    p->d = d;
    p->conf = d->conf;
    pat_breaker_init(&p->breaker, 5, 10000);
    p->register_s = pat_histogram(
        d->metrics, "pat_retell_register_seconds", "Time Retell takes to register a call", NULL,
        pat_buckets_latency_s, sizeof pat_buckets_latency_s / sizeof pat_buckets_latency_s[0]);
    p->register_failed = pat_counter(d->metrics, "pat_retell_register_failed_total",
                                     "Calls Retell did not register", NULL);
    err = pat_journal_new(&p->journal, d->loop, d->db, d->bus,
                          &(struct pat_journal_opts){ .metrics = d->metrics });
    if (!err)
        err = events_start(p);
    return err ? err : inside_serve(p);
}

static void stored(void *arg)
{
    struct provider *p = arg;

    p->journal = NULL;
    pat_daemon_drained(p->d);
}

static void answered(void *arg)
{
    struct provider *p = arg;

    pat_journal_close(p->journal, p->d->drain_ms / 2, stored, p);
}

static void drain(struct pat_daemon *d, void *arg)
{
    struct provider *p = arg;

    (void)d;
    pat_consumer_close(p->webhooks);
    p->webhooks = NULL;
    pat_bus_unsubscribe(p->register_sub);
    p->register_sub = NULL;
    pat_httpd_drain(p->httpd, p->d->drain_ms / 2, answered, p);
}

int main(int argc, char **argv)
{
    struct provider p = { 0 };
    static const struct pat_daemon_spec spec = {
        .name = "retell-provider",
        .summary = "everything Patchbay says to Retell, and hears from it",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
        .conf_size = sizeof(struct provider_conf),
        .wants = PAT_WANT_BUS | PAT_WANT_DB | PAT_WANT_HTTP,
        .start = start,
        .drain = drain,
    };

    return pat_daemon_main(argc, argv, &spec, &p);
}
