/* main.c - the router: settings, parts in order up, parts in order down. */
#include "actions.h"
#include "budget.h"
#include "confirm.h"
#include "explain.h"
#include "guard.h"
#include "health.h"
#include "heir.h"
#include "lifecycle_fetch.h"
#include "reconcile.h"
#include "rehearse.h"
#include "repeat.h"
#include "routes.h"
#include "static_doc.h"
#include "team.h"
#include "transfer.h"
#include "voicemail.h"
#include "watch.h"

#include <string.h>

#define ROW(...) PAT_CONF_ROW(struct router_conf, __VA_ARGS__)

static const struct pat_conf_row rows[] = {
    ROW("PAT_CALL_SECRET", PAT_CONF_SECRET, call_secret, NULL,
        "signs callback URLs and SIP headers; shared with the agents", .flags = PAT_CONF_REQUIRED),
    ROW("PAT_CARRIER", PAT_CONF_ENUM, carrier, "signalwire", "whose REST API moves legs",
        .arg = "signalwire,twilio"),
    ROW("PAT_CARRIER_PROJECT", PAT_CONF_STR, carrier_project, NULL,
        "its project id (SignalWire) or account SID (Twilio)"),
    ROW("PAT_CARRIER_TOKEN", PAT_CONF_SECRET, carrier_token, NULL,
        "its API token; without it no call is transferred"),
    ROW("PAT_CARRIER_URL", PAT_CONF_URL, carrier_url, NULL,
        "its API: https://<space>.signalwire.com, https://api.twilio.com", .arg = "http,https"),
    ROW("PAT_HEALTH_REHEARSE_AGENT", PAT_CONF_STR, rehearse_agent, NULL,
        "agent config id that is called on both stacks while nobody calls; empty: none"),
    ROW("PAT_HEALTH_REHEARSE_DAY_CENTS", PAT_CONF_INT, rehearse_cents, "100",
        "what these calls may cost a day and stack, each counted as 5 cents", .min = 0,
        .max = 100000),
    ROW("PAT_HEALTH_REHEARSE_EVERY", PAT_CONF_MS, rehearse_ms, "15m",
        "a stack without calls for so long is called", .min = 1000, .max = 86400000),
    ROW("PAT_INSIDE_TOKEN", PAT_CONF_SECRET, inside_token, NULL,
        "bearer token for the retell-provider's inside port"),
    ROW("PAT_LIVEKIT_SIP_HOST", PAT_CONF_STR, livekit_sip_host, NULL,
        "host[:port] of LiveKit's SIP service", .flags = PAT_CONF_REQUIRED),
    ROW("PAT_LIVEKIT_SIP_PASSWORD", PAT_CONF_SECRET, livekit_sip_password, NULL,
        "digest password of LiveKit's inbound trunk"),
    ROW("PAT_LIVEKIT_SIP_TRANSPORT", PAT_CONF_ENUM, livekit_sip_transport, "tls",
        "how the carrier reaches it", .arg = "tls,tcp,udp"),
    ROW("PAT_LIVEKIT_SIP_USERNAME", PAT_CONF_STR, livekit_sip_username, NULL,
        "digest user of LiveKit's inbound trunk"),
    PAT_STORE_PUBLIC_ROW(struct router_conf, recording),
    PAT_STORE_ROWS(struct router_conf, recording),
    ROW("PAT_RETELL_PROVIDER_URL", PAT_CONF_URL, provider_url, NULL,
        "retell-provider's inside port, used while NATS is away", .arg = "http,https"),
    ROW("PAT_RETELL_SIP_HOST", PAT_CONF_STR, retell_sip_host, "sip.retellai.com",
        "host[:port] of Retell's SIP service"),
    ROW("PAT_RETELL_SIP_TRANSPORT", PAT_CONF_ENUM, retell_sip_transport, "tcp",
        "how the carrier reaches it", .arg = "tls,tcp,udp"),
    ROW("PAT_ROUTER_CALLER_PER_MIN", PAT_CONF_INT, caller_per_min, "60",
        "calls of one caller to one number within a minute; more are busy; 0: any", .min = 0,
        .max = 1000000),
    ROW("PAT_ROUTER_CHORES_EVERY", PAT_CONF_MS, chores_ms, "1m",
        "how often the carrier's lists of legs and of recordings are gone through", .min = 100,
        .max = 86400000),
    ROW("PAT_ROUTER_DIAL_TIMEOUT_S", PAT_CONF_INT, dial_timeout_s, "8",
        "seconds a stack may ring before the next is tried", .min = 5, .max = 600),
    ROW("PAT_ROUTER_FORWARDS_PER_CALLER", PAT_CONF_INT, forwards_per_caller, "3",
        "forwards of one caller within five minutes, then none for an hour; 0: any", .min = 0,
        .max = 1000000),
    ROW("PAT_ROUTER_FORWARD_DAILY_CENTS", PAT_CONF_INT, forward_daily_cents, "2000",
        "what a user's forwards and transfers may cost a day (UTC) unless he has a figure",
        .min = 0, .max = 100000000),
    ROW("PAT_ROUTER_FORWARD_UNPRICED_CENTS", PAT_CONF_INT, forward_unpriced_cents, "50",
        "what a minute is taken to cost where the price book has no price", .min = 0,
        .max = 100000),
    ROW("PAT_ROUTER_LEASE", PAT_CONF_MS, lease_ms, "15s",
        "how long a switch of stacks waits for this router when it is gone", .min = 300,
        .max = 600000),
    ROW("PAT_ROUTER_LISTEN", PAT_CONF_ADDR, listen, "127.0.0.1:8080",
        "where the carrier's requests arrive"),
    ROW("PAT_ROUTER_MAX_CALL_S", PAT_CONF_INT, max_call_s, "14400", "longest call in seconds",
        .min = 60, .max = 86400),
    ROW("PAT_ROUTER_NO_AGENT_MS", PAT_CONF_MS, no_agent_ms, "2s",
        "a leg LiveKit has answered waits so long for its agent, then the caller goes on elsewhere; "
        "0: for ever",
        .min = 0, .max = 60000),
    ROW("PAT_ROUTER_NUMBER_PER_MIN", PAT_CONF_INT, number_per_min, "600",
        "calls to one number within a minute; more are busy; 0: any", .min = 0, .max = 1000000),
    ROW("PAT_ROUTER_PUBLIC_URL", PAT_CONF_URL, public_url, NULL,
        "that place as the carrier knows it; signatures are over it", .arg = "http,https",
        .flags = PAT_CONF_REQUIRED),
    ROW("PAT_ROUTER_RECONCILE_MS", PAT_CONF_MS, reconcile_ms, "15s",
        "how often calls are looked for that nobody tells of any more; 0: never", .min = 0,
        .max = 3600000),
    ROW("PAT_ROUTER_REDIALS", PAT_CONF_INT, redials, "2",
        "times a leg of one call that has died is dialled again", .min = 0, .max = 10),
    ROW("PAT_ROUTER_SAY_VOICE", PAT_CONF_STR, say_voice, NULL,
        "carrier's voice for spoken notices; empty: its default"),
    ROW("PAT_ROUTER_SNAPSHOT_FILE", PAT_CONF_STR, snapshot_file, NULL,
        "numbers are kept here for a start without Postgres; empty: nowhere"),
    ROW("PAT_ROUTER_SPOOL_FILE", PAT_CONF_STR, spool_file, NULL,
        "records not yet in Postgres survive a crash here; empty: memory only"),
    ROW("PAT_ROUTER_STANDBY", PAT_CONF_BOOL, standby, "true",
        "calls LiveKit cannot serve go to the agent that stands by at Retell"),
    ROW("PAT_ROUTER_TRANSFERS_PER_MIN", PAT_CONF_INT, transfers_per_min, "10",
        "transfers a user may begin within a minute, at each router", .min = 1, .max = 60),
    ROW("PAT_ROUTER_TRANSFER_CALLER_ID", PAT_CONF_ENUM, transfer_caller_id, "called",
        "whose number the other phone shows", .arg = "called,caller"),
    ROW("PAT_ROUTER_TRANSFER_MAX", PAT_CONF_INT, transfer_max, "5",
        "times one call may be transferred", .min = 1, .max = 100),
    ROW("PAT_ROUTER_TRANSFER_PREFIXES", PAT_CONF_LIST, transfer_prefixes,
        "+1,!+1242,!+1246,!+1264,!+1268,!+1284,!+1345,!+1441,!+1473,!+1649,!+1658,!+1664,!+1721,"
        "!+1758,!+1767,!+1784,!+1809,!+1829,!+1849,!+1868,!+1869,!+1876,!+1900",
        "where transfers may go; ! forbids, the longest prefix decides"),
    ROW("PAT_ROUTER_VOICEMAIL_MAX_BYTES", PAT_CONF_INT, voicemail_max_bytes, "67108864",
        "largest file of a message that is fetched from the carrier", .min = 4096, .max = 1 << 30),
    ROW("PAT_ROUTER_VOICEMAIL_MAX_S", PAT_CONF_INT, voicemail_max_s, "120",
        "longest voicemail message in seconds", .min = 10, .max = 3600),
    ROW("PAT_ROUTER_VOICEMAIL_TRANSCRIBE", PAT_CONF_BOOL, voicemail_transcribe, "true",
        "have the carrier write messages down (it charges for it)"),
    ROW("PAT_SIGNALWIRE_SIGNING_KEY", PAT_CONF_SECRET, signing_keys, NULL,
        "the carrier's signing key (Twilio: auth token); two, by comma, while rotating",
        .flags = PAT_CONF_REQUIRED),
};

static void make_stats(struct router *r)
{
    struct pat_metrics *m = r->d->metrics;
    const char *help = "Time from the carrier's request to our answer";

    r->stats.refused = pat_counter(m, "pat_router_refused_total",
                                   "Requests refused: signature, form, fields", NULL);
    r->stats.over_budget = pat_counter(m, "pat_router_budget_refused_total",
                                       "Calls their user's budget had no money left for", NULL);
    for (int i = 0; i < 2; i++)
        r->stats.answer_s[i] = pat_histogram(
            m, "pat_router_answer_seconds", help, i ? "outside=\"yes\"" : "outside=\"no\"",
            pat_buckets_latency_s, sizeof pat_buckets_latency_s / sizeof pat_buckets_latency_s[0]);
}

static int routes(struct pat_httpd *s, void *arg)
{
    static int (*const parts[])(
        struct router *) = { inbound_routes,   dial_routes,     status_routes,     fallback_routes,
                             voicemail_routes, transfer_routes, rehearsals_routes, watch_routes };
    int err = PAT_OK;

    (void)s;
    for (size_t i = 0; !err && i < sizeof parts / sizeof parts[0]; i++)
        err = parts[i](arg);
    return err;
}

static void on_routes_settled(void *arg)
{
    struct router *r = arg;

    pat_httpd_hold(r->httpd, false);
}

/* A call that comes a moment before the numbers do is answered a moment later, and not by what a
 * snapshot has of it. */
static int open_door(struct router *r)
{
    struct pat_httpd_opts door = { .listen = r->conf->listen, .idle_timeout_ms = 75000 };
    int err = pat_daemon_open(r->d, &r->httpd, "http", &door, routes, r);

    if (err)
        return err;
    pat_httpd_hold(r->httpd, true);
    routes_on_settled(r->routes, on_routes_settled, r);
    return PAT_OK;
}

static int start(struct pat_daemon *d, void *arg)
{
    struct router *r = arg;
    const struct router_conf *conf = d->conf;
    int err;

    r->d = d;
    r->conf = conf;
    make_stats(r);
    err = pat_journal_new(
        &r->journal, d->loop, d->db, d->bus,
        &(struct pat_journal_opts){ .spool_file = *r->conf->spool_file ? r->conf->spool_file : NULL,
                                    .metrics = d->metrics });
    if (!err)
        err = routes_new(&r->routes, d, r->conf->snapshot_file);
    if (!err)
        err = health_new(&r->health, r);
    if (!err)
        err = rehearsals_new(&r->rehearsals, r);
    if (!err)
        err = budget_new(&r->budget, r);
    if (!err)
        err = guard_new(&r->guard, r);
    if (!err)
        err = confirm_new(&r->confirm, r);
    if (!err)
        err = heir_new(&r->heir, r, confirm_id(r->confirm));
    if (!err)
        err = moves_new(&r->moves);
    if (!err)
        err = leg_start(r);
    if (!err)
        err = watch_new(&r->watches, r);
    if (!err)
        err = team_new(&r->team, r);
    if (!err)
        err = repeat_new(&r->repeats);
    if (!err)
        err = actions_new(&r->actions, r);
    if (!err)
        err = explain_serve(r);
    if (!err)
        err = fetch_new(&r->fetch, r);
    if (!err)
        err = reconcile_new(&r->reconcile, r);
    return err ? err : open_door(r);
}

static void drain(struct pat_daemon *d, void *arg)
{
    struct router *r = arg;

    confirm_leave(r->confirm);
    reconcile_free(r->reconcile);
    fetch_free(r->fetch);
    r->fetch = NULL;
    pat_daemon_leave(d, r->httpd, &r->journal);
}

static void stop(struct pat_daemon *d, void *arg)
{
    struct router *r = arg;

    (void)d;
    pat_bus_unsubscribe(r->explain);
    actions_free(r->actions);
    guard_free(r->guard);
    budget_free(r->budget);
    team_free(r->team);
    watch_free(r->watches);
    repeat_free(r->repeats);
    moves_free(r->moves);
    rehearsals_free(r->rehearsals);
    health_free(r->health);
    heir_free(r->heir);
    confirm_free(r->confirm);
    routes_free(r->routes);
}

/* Part of every address we have dialled: vendors show theirs as "sip:host". */
static void check_sip_host(const char *name, const char *host, struct pat_buf *errors)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
    const char *end = *host == '[' ? strchr(host, ']') : host + strspn(host, plain);

    if (end && *host == '[')
        end++;
    if (end && end > host && *end == ':' && end[1])
        end += 1 + strspn(end + 1, "0123456789");
    if (!end || end == host || *end)
        pat_buf_addf(errors, "%s: must be a host, or host:port, without sip: and parameters\n",
                     name);
}

static int check(const void *conf, struct pat_buf *errors)
{
    const struct router_conf *c = conf;

    check_sip_host("PAT_LIVEKIT_SIP_HOST", c->livekit_sip_host, errors);
    check_sip_host("PAT_RETELL_SIP_HOST", c->retell_sip_host, errors);
    if (strpbrk(c->public_url, "?#"))
        pat_buf_adds(errors, "PAT_ROUTER_PUBLIC_URL: must end before ? and #: paths go behind it, "
                             "and the carrier's time limits (#rt=..) stay with the carrier\n");
    pat_store_conf_check(&c->recording, errors);
    return errors->len ? PAT_EINVAL : PAT_OK;
}

int main(int argc, char **argv)
{
    struct router r = { 0 };
    static const struct pat_daemon_spec spec = {
        .name = "router",
        .summary = "answers the carrier: which stack serves this call",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
        .conf_size = sizeof(struct router_conf),
        .wants = PAT_WANT_BUS | PAT_WANT_DB | PAT_WANT_HTTP,
        .more_usage = EXPLAIN_USAGE STATIC_DOC_USAGE,
        .check = check,
        .start = start,
        .drain = drain,
        .stop = stop,
    };

    if (argc > 1 && static_doc_wanted(argv[1]))
        return static_doc_cli(argv[1]);
    for (int i = 1; i < argc; i++)
        if (!strcmp(argv[i], "--explain"))
            return explain_cli(argc, argv);
    return pat_daemon_main(argc, argv, &spec, &r);
}
