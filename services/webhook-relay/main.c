/* main.c - the webhook-relay: settings, parts in order up, parts in order down. */
#include "command.h"
#include "inbox.h"
#include "out_schedule.h"
#include "subscribers.h"

#include <stdlib.h>

#define ROW(...)      PAT_CONF_ROW(struct relay_conf, __VA_ARGS__)

#define KEEP_DAYS_MAX 36500

static const struct pat_conf_row rows[] = {
    ROW("PAT_ELEVENLABS_WEBHOOK_SECRET", PAT_CONF_SECRET, elevenlabs_secret, NULL,
        "what ElevenLabs signs its webhooks with; two, with a comma, while one replaces the other"),
    ROW("PAT_LIVEKIT_API_KEY", PAT_CONF_STR, livekit_key, NULL,
        "API key LiveKit signs its webhooks with", .flags = PAT_CONF_REQUIRED),
    ROW("PAT_LIVEKIT_API_SECRET", PAT_CONF_SECRET, livekit_secret, NULL, "its secret",
        .flags = PAT_CONF_REQUIRED),
    PAT_STORE_ROWS(struct relay_conf, recording),
    ROW("PAT_RELAY_KEEP_CALL_EVENTS_DAYS", PAT_CONF_INT, keep_call_events_days, "400",
        "days an event of a call is kept in Postgres; 0: for ever", .max = KEEP_DAYS_MAX),
    ROW("PAT_RELAY_KEEP_DELIVERIES_DAYS", PAT_CONF_INT, keep_deliveries_days, "30",
        "days a webhook to a customer is kept after it has ended; 0: for ever",
        .max = KEEP_DAYS_MAX),
    ROW("PAT_RELAY_KEEP_EVERY", PAT_CONF_MS, keep_every_ms, "10m",
        "how often what is older is looked for", .min = 100, .max = 24LL * 3600 * 1000),
    ROW("PAT_RELAY_KEEP_OUTBOX_DAYS", PAT_CONF_INT, keep_outbox_days, "2",
        "days a published event stays in the outbox; 0: for ever", .max = KEEP_DAYS_MAX),
    ROW("PAT_RELAY_KEEP_PARKED_DAYS", PAT_CONF_INT, keep_parked_days, "90",
        "days a parked webhook or event waits for a person; 0: for ever", .max = KEEP_DAYS_MAX),
    ROW("PAT_RELAY_KEEP_USAGE_DAYS", PAT_CONF_INT, keep_usage_days, "400",
        "days what a call used is kept, its cost longer; 0: for ever", .max = KEEP_DAYS_MAX),
    ROW("PAT_RELAY_KEEP_WEBHOOKS_DAYS", PAT_CONF_INT, keep_webhooks_days, "30",
        "days a webhook that has become rows is kept as it came; 0: for ever",
        .max = KEEP_DAYS_MAX),
    ROW("PAT_RELAY_LISTEN", PAT_CONF_ADDR, listen, "127.0.0.1:8082",
        "where vendors' webhooks arrive"),
    ROW("PAT_RELAY_OUTBOX_PATIENCE", PAT_CONF_MS, outbox_patience_ms, "24h",
        "how old an event must be to be parked for what may be NATS' fault", .min = 1000,
        .max = 30LL * 24 * 3600 * 1000),
    ROW("PAT_RELAY_OUTBOX_TRIES", PAT_CONF_INT, outbox_tries, "6",
        "times an event that cannot be published is tried before it is parked", .min = 1,
        .max = 1000),
    ROW("PAT_RELAY_OUT_DISABLE_AFTER", PAT_CONF_MS, out_disable_after_ms, "120h",
        "how long an endpoint takes nothing at all before it is disabled", .min = 1000,
        .max = 90LL * 24 * 3600 * 1000),
    ROW("PAT_RELAY_OUT_INFLIGHT", PAT_CONF_INT, out_inflight, "500",
        "webhooks under way to customers at once, of this relay", .min = 1, .max = 10000),
    ROW("PAT_RELAY_OUT_LEASE", PAT_CONF_MS, out_lease_ms, "30s",
        "how long after its time-out a webhook of a relay that died is taken up by another",
        .min = 100, .max = 3600 * 1000),
    ROW("PAT_RELAY_OUT_PAYLOAD_MAX", PAT_CONF_INT, out_payload_max, "20000",
        "bytes of a webhook's body; a larger one is sent thin", .min = 1000, .max = 1000000),
    ROW("PAT_RELAY_OUT_PRIVATE_NETS", PAT_CONF_BOOL, out_private_nets, "false",
        "webhooks may go to private addresses and by http: only where all users are trusted"),
    ROW("PAT_RELAY_OUT_SCHEDULE", PAT_CONF_LIST, out_schedule, "5s,5m,30m,2h,5h,10h,14h,20h,24h",
        "pauses before a webhook is tried again"),
    ROW("PAT_RELAY_OUT_TELL_DELIVERED", PAT_CONF_BOOL, out_tell_delivered, "true",
        "tell webhook.delivered of each webhook a customer has taken"),
    ROW("PAT_RETELL_WEBHOOK_KEY", PAT_CONF_SECRET, retell_key, NULL,
        "the Retell API key that carries the webhook badge; two while one replaces the other; "
        "empty: Retell's webhooks are refused"),
    ROW("PAT_SUPABASE_WEBHOOK_SECRET", PAT_CONF_SECRET, supabase_secret, NULL,
        "what Supabase's database webhooks send in X-Patchbay-Secret; two while one replaces the "
        "other"),
};

static int routes(struct pat_httpd *s, void *arg)
{
    (void)s;
    return hooks_routes(arg);
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
        err = inbox_new(&r->inbox, r);
    if (!err)
        err = replay_new(&r->replay, r);
    if (!err)
        err = calls_new(&r->calls, r);
    if (!err)
        err = callbacks_new(&r->callbacks, r);
    if (!err)
        err = parked_new(&r->parked, r);
    if (!err)
        err = retention_new(&r->retention, r);
    if (!err)
        err = backlog_new(&r->backlog, r);
    if (!err)
        err = subscribers_new(&r->subscribers, r);
    if (!err)
        err = out_new(&r->out, r);
    if (!err)
        err = erase_new(&r->erase, r);
    return err ? err
               : pat_daemon_open(d, &r->httpd, "http",
                                 &(struct pat_httpd_opts){ .listen = r->conf->listen }, routes, r);
}

static void on_out_left(void *arg)
{
    struct relay *r = arg;

    pat_daemon_leave(r->d, r->httpd, NULL);
}

static void drain(struct pat_daemon *d, void *arg)
{
    struct relay *r = arg;

    out_leave(r->out, d->drain_ms / 3, on_out_left, r);
}

static int check(const void *conf, struct pat_buf *errors)
{
    const struct relay_conf *c = conf;

    pat_store_conf_check(&c->recording, errors);
    if (!out_schedule_valid(c->out_schedule))
        pat_buf_adds(errors, "PAT_RELAY_OUT_SCHEDULE: must be up to 32 times such as 5s,5m,2h\n");
    return errors->len ? PAT_EINVAL : PAT_OK;
}

static void notes(const void *conf, struct pat_buf *out)
{
    const struct relay_conf *c = conf;

    if (!c->retell_key || !*c->retell_key)
        pat_buf_adds(out, "PAT_RETELL_WEBHOOK_KEY: is not set, Retell's webhooks are refused\n");
}

static void stop(struct pat_daemon *d, void *arg)
{
    struct relay *r = arg;

    (void)d;
    erase_free(r->erase);
    out_free(r->out);
    subscribers_free(r->subscribers);
    backlog_free(r->backlog);
    retention_free(r->retention);
    parked_free(r->parked);
    callbacks_free(r->callbacks);
    calls_free(r->calls);
    replay_free(r->replay);
    inbox_free(r->inbox);
    free(r->doors);
    projector_free(r->projector);
    r->projector = NULL;
    outbox_free(r->outbox);
    r->outbox = NULL; /* queries that still end look for it */
}

int main(int argc, char **argv)
{
    struct relay r = { 0 };
    int status;
    static const struct pat_daemon_spec spec = {
        .name = "webhook-relay",
        .summary = "takes in vendors' webhooks and loses none; sends on what happened",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
        .conf_size = sizeof(struct relay_conf),
        .wants = PAT_WANT_BUS | PAT_WANT_DB | PAT_WANT_HTTP,
        .check = check,
        .notes = notes,
        .start = start,
        .drain = drain,
        .stop = stop,
        .more_usage = command_usage,
    };

    if (command_run(argc, argv, &spec, &status) || erase_command(argc, argv, &spec, &status))
        return status;
    return pat_daemon_main(argc, argv, &spec, &r);
}
