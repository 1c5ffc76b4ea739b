/* main.c - the retell-provider: settings, parts in order up, parts in order down. */
#include "provider.h"

#include "api.h"
#include "copy.h"
#include "probe.h"
#include "quota.h"
#include "standby.h"
#include "sweep.h"
#include "sync.h"
#include "tool.h"
#include "voices.h"

#include <stdio.h>

#define ROW(...) PAT_CONF_ROW(struct provider_conf, __VA_ARGS__)

static const struct pat_conf_row rows[] = {
    ROW("PAT_HEALTH_PROBE_EVERY", PAT_CONF_MS, probe_ms, "1m",
        "how often one of all looks whether Retell could serve a call; 0: never", .min = 0,
        .max = 3600000),
    ROW("PAT_INSIDE_TOKEN", PAT_CONF_SECRET, inside_token, NULL,
        "bearer token asked for on the inside port; empty: none"),
    ROW("PAT_RECORDING", PAT_CONF_ENUM, recording, "wanted",
        "which recordings are copied: none, those whose settings say so, all",
        .arg = "off,wanted,all"),
    PAT_STORE_PUBLIC_ROW(struct provider_conf, store),
    PAT_STORE_ROWS(struct provider_conf, store),
    ROW("PAT_RETELL_API_KEY", PAT_CONF_SECRET, api_key, NULL, "Retell's API key",
        .flags = PAT_CONF_REQUIRED),
    ROW("PAT_RETELL_API_TIMEOUT", PAT_CONF_MS, api_timeout_ms, "2900ms",
        "longest wait for Retell while a caller waits", .min = 100, .max = 10000),
    ROW("PAT_RETELL_AGENT_MAX_CALL", PAT_CONF_MS, max_call_ms, "1h",
        "longest call of an agent there", .min = 60000, .max = 7200000),
    ROW("PAT_RETELL_AGENT_SILENCE", PAT_CONF_MS, silence_ms, "60s",
        "a caller who says nothing is hung up on after", .min = 10000, .max = 3600000),
    ROW("PAT_RETELL_API_URL", PAT_CONF_URL, api_url, "https://api.retellai.com", "Retell's API",
        .arg = "http,https"),
    ROW("PAT_RETELL_CHECK_EVERY", PAT_CONF_MS, check_ms, "6h",
        "how often an agent is compared with what was published", .min = 1000, .max = 604800000),
    ROW("PAT_RETELL_DRIFT", PAT_CONF_ENUM, drift, "report",
        "an agent somebody else changed at Retell: told, written again, or taken as it is",
        .arg = "report,repair,adopt"),
    ROW("PAT_RETELL_FORGET_CALLS", PAT_CONF_BOOL, forget_calls, "false",
        "calls are deleted at Retell once all they told is here, and the recording copied"),
    ROW("PAT_RETELL_LIVE_TEXT", PAT_CONF_BOOL, live_text, "false",
        "our agents tell what is said while it is said (turn.partial)"),
    ROW("PAT_RETELL_MODEL", PAT_CONF_STR, model, "gpt-4.1-mini",
        "model of agents whose own Retell does not have"),
    ROW("PAT_RETELL_PROVIDER_LISTEN", PAT_CONF_ADDR, listen, "127.0.0.1:8081",
        "inside port: calls are registered here while NATS is away"),
    ROW("PAT_RETELL_QUOTA_EVERY", PAT_CONF_MS, quota_ms, "15s",
        "how often Retell is asked how many calls it would still take", .min = 100, .max = 3600000),
    ROW("PAT_RETELL_RECORDING_CHANNELS", PAT_CONF_ENUM, recording_channels, "both",
        "the recording with a channel for each side, where there is one, or the mixed one",
        .arg = "both,one"),
    ROW("PAT_RETELL_RECORDING_MAX", PAT_CONF_INT, recording_max, "536870912",
        "bytes of the longest recording that is copied", .min = 1 << 20, .max = 5368709120),
    ROW("PAT_RETELL_REQUESTS_PER_S", PAT_CONF_INT, requests_per_s, "5",
        "budget of requests about agents and voices; calls do not count", .min = 1, .max = 1000),
    ROW("PAT_RETELL_RESULTS_AFTER", PAT_CONF_MS, results_ms, "2m",
        "a call that ended so long ago and told nothing is asked for", .min = 100, .max = 86400000),
    ROW("PAT_RETELL_SETTLE", PAT_CONF_MS, settle_ms, "2s", "changes of settings are gathered for",
        .min = 1, .max = 600000),
    ROW("PAT_RETELL_STANDBY", PAT_CONF_ENUM, standby, "always",
        "the agent that stands by for users without one: made at the start, or when first asked for",
        .arg = "always,demand"),
    ROW("PAT_RETELL_SWEEP_EVERY", PAT_CONF_MS, sweep_ms, "1m",
        "how often agents are looked for that no event told of", .min = 100, .max = 3600000),
    ROW("PAT_RETELL_TOOL_PRIVATE_NETS", PAT_CONF_BOOL, tool_private_nets, "false",
        "users' own tools may be at private addresses, and without https"),
    ROW("PAT_RETELL_TOOLS_LISTEN", PAT_CONF_ADDR, tools_listen, "127.0.0.1:8085",
        "public port: Retell's tool calls come in here"),
    ROW("PAT_RETELL_TOOLS_URL", PAT_CONF_STR, tools_url, "",
        "where Retell calls the tools, https://host/v1/retell/tools; empty: agents have none"),
    ROW("PAT_RETELL_TRANSFER_PREFIXES", PAT_CONF_STR, transfer_prefixes, "",
        "prefixes that may be transferred to, like +1,+44; empty: any"),
    ROW("PAT_RETELL_VOICES_EVERY", PAT_CONF_MS, voices_ms, "24h",
        "how often Retell's list of voices is looked up", .min = 100, .max = 604800000),
    ROW("PAT_RETELL_WEBHOOK_KEY", PAT_CONF_SECRET, webhook_key, NULL,
        "the API key Retell signs with, when it is another; two while one replaces the other"),
    ROW("PAT_RETELL_WEBHOOK_URL", PAT_CONF_STR, webhook_url, "",
        "where our agents send their webhooks, https://host/v1/hooks/retell; empty: the account's"),
    ROW("PAT_RETELL_TIME_ZONE", PAT_CONF_STR, time_zone, "UTC",
        "of users whose settings name none"),
};

static int start(struct pat_daemon *d, void *arg)
{
    struct provider *p = arg;
    int err;

    p->d = d;
    p->conf = d->conf;
    snprintf(p->instance, sizeof p->instance, "retell-provider-%s", pat_id_new().s);
    pat_breaker_init(&p->breaker, 5, 10000);
    p->register_s = pat_histogram(
        d->metrics, "pat_retell_register_seconds", "Time Retell takes to register a call", NULL,
        pat_buckets_latency_s, sizeof pat_buckets_latency_s / sizeof pat_buckets_latency_s[0]);
    p->register_failed = pat_counter(d->metrics, "pat_retell_register_failed_total",
                                     "Calls Retell did not register", NULL);
    p->agents_failed = pat_counter(d->metrics, "pat_retell_agents_failed_total",
                                   "Tries to bring an agent there into order that failed", NULL);
    err = pat_journal_new(&p->journal, d->loop, d->db, d->bus,
                          &(struct pat_journal_opts){ .metrics = d->metrics });
    if (!err)
        err = events_start(p);
    if (!err)
        err = api_new(&p->api, p);
    if (!err)
        err = sync_new(&p->sync, p);
    if (!err)
        err = voices_new(&p->voices, p);
    if (!err)
        err = sweep_new(&p->sweep, p);
    if (!err)
        err = standby_new(&p->standby, p);
    if (!err)
        err = copier_new(&p->copier, p);
    if (!err)
        err = quota_new(&p->quota, p);
    if (!err)
        err = probe_new(&p->probe, p);
    if (!err)
        err = rpc_serve(p);
    if (!err)
        err = tools_serve(p);
    return err ? err : inside_serve(p);
}

static void edge_closed(void *arg)
{
    struct provider *p = arg;

    pat_daemon_leave(p->d, p->httpd, &p->journal);
}

static void drain(struct pat_daemon *d, void *arg)
{
    struct provider *p = arg;

    pat_consumer_close(p->webhooks);
    p->webhooks = NULL;
    quota_free(p->quota);
    p->quota = NULL;
    copier_free(p->copier);
    sweep_free(p->sweep);
    standby_free(p->standby);
    probe_free(p->probe);
    voices_free(p->voices);
    sync_free(p->sync);
    p->sync = NULL;
    api_free(p->api);
    rpc_stop(p);
    pat_httpd_drain(p->edge, d->drain_ms / 4, edge_closed, p);
}

static int check(const void *conf, struct pat_buf *errors)
{
    pat_store_conf_check(&((const struct provider_conf *)conf)->store, errors);
    return errors->len ? PAT_EINVAL : PAT_OK;
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
        .check = check,
        .start = start,
        .drain = drain,
    };

    return pat_daemon_main(argc, argv, &spec, &p);
}
