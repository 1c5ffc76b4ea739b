/* main.c - the webhook-relay: settings, parts in order up, parts in order down. */
#include "relay.h"

#define ROW(env, type, field, value, text, ...)                                                    \
    {                                                                                              \
        .name = env, .kind = type, .offset = offsetof(struct relay_conf, field), .def = value,     \
        .help = text, __VA_ARGS__                                                                  \
    }

static const struct pat_conf_row rows[] = {
    ROW("PAT_LIVEKIT_API_KEY", PAT_CONF_STR, livekit_key, NULL,
        "API key LiveKit signs its webhooks with", .flags = PAT_CONF_REQUIRED),
    ROW("PAT_LIVEKIT_API_SECRET", PAT_CONF_SECRET, livekit_secret, NULL, "its secret",
        .flags = PAT_CONF_REQUIRED),
    ROW("PAT_RELAY_LISTEN", PAT_CONF_ADDR, listen, "127.0.0.1:8082",
        "where vendors' webhooks arrive"),
    ROW("PAT_RETELL_WEBHOOK_KEY", PAT_CONF_SECRET, retell_key, NULL,
        "the Retell API key that carries the webhook badge", .flags = PAT_CONF_REQUIRED),
};

static int open_door(struct relay *r)
{
    int err =
        pat_httpd_new(&r->httpd, r->d->net, &(struct pat_httpd_opts){ .listen = r->conf->listen });

    if (!err)
        err = hooks_routes(r);
    if (!err)
        err = pat_httpd_listen(r->httpd);
    if (!err)
        pat_daemon_set_port(r->d, "http", pat_httpd_port(r->httpd));
    return err;
}

static int start(struct pat_daemon *d, void *arg)
{
    struct relay *r = arg;
    int err;

    r->d = d;
    r->conf = d->conf;
    r->refused = pat_counter(d->metrics, "pat_relay_refused_total",
                             "Webhooks refused: signature, form, not stored", NULL);
    err = outbox_new(&r->outbox, r);
    if (!err)
        err = projector_new(&r->projector, r);
    if (!err)
        err = calls_new(&r->calls, r);
    if (!err)
        err = callbacks_new(&r->callbacks, r);
    return err ? err : open_door(r);
}

static void drained(void *arg)
{
    struct relay *r = arg;

    pat_daemon_drained(r->d);
}

static void drain(struct pat_daemon *d, void *arg)
{
    struct relay *r = arg;

    pat_httpd_drain(r->httpd, d->drain_ms, drained, r);
}

static void stop(struct pat_daemon *d, void *arg)
{
    struct relay *r = arg;

    (void)d;
    callbacks_free(r->callbacks);
    calls_free(r->calls);
    projector_free(r->projector);
    outbox_free(r->outbox);
}

int main(int argc, char **argv)
{
    struct relay r = { 0 };
    static const struct pat_daemon_spec spec = {
        .name = "webhook-relay",
        .summary = "takes in vendors' webhooks and loses none; sends on what happened",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
        .conf_size = sizeof(struct relay_conf),
        .wants = PAT_WANT_BUS | PAT_WANT_DB,
        .start = start,
        .drain = drain,
        .stop = stop,
    };

    return pat_daemon_main(argc, argv, &spec, &r);
}
