/* main.c - the stack-switcher: settings, parts in order up, parts in order down. */
#include "audit.h"
#include "calls.h"
#include "health.h"
#include "invoices.h"
#include "limit.h"
#include "policies.h"
#include "rates.h"
#include "recordings.h"
#include "remote.h"
#include "switcher.h"
#include "talk.h"
#include "usage.h"
#include "voices.h"
#include "webhooks.h"

#include <string.h>

#define ROW(...) PAT_CONF_ROW(struct switcher_conf, __VA_ARGS__)

#define DAY_MS   ((int64_t)24 * 3600 * 1000)

static const struct pat_conf_row rows[] = {
    ROW("PAT_CONSOLE_BADGE_LIVEKIT", PAT_CONF_STR, badge_livekit,
        "Using LiveKit (Custom voices enabled)",
        "what the console calls that stack in front of its users"),
    ROW("PAT_CONSOLE_BADGE_RETELL", PAT_CONF_STR, badge_retell, "Using Retell (Preset voices only)",
        "what the console calls that stack in front of its users"),
    ROW("PAT_CONSOLE_DEMO_LOGINS", PAT_CONF_STR, demo_logins, NULL,
        "a demo's: [{\"label\", \"token\"}], offered to everybody who opens the console"),
    ROW("PAT_CONSOLE_EMBED_ORIGINS", PAT_CONF_LIST, embed_origins, NULL,
        "pages that may use our web components, as in https://app.example.com (docs/embedding.md)"),
    ROW("PAT_CONSOLE_HELP_URL", PAT_CONF_URL, help_url, NULL, "where the badge leads",
        .arg = "http,https"),
    ROW("PAT_CONSOLE_LOGIN_URL", PAT_CONF_URL, login_url, NULL,
        "page that logs people in and comes back with #access_token=", .arg = "http,https"),
    ROW("PAT_CONSOLE_PRODUCT", PAT_CONF_STR, product, "Patchbay", "the console's own name"),
    ROW("PAT_DEEPGRAM_API_KEY", PAT_CONF_SECRET, deepgram_key, "",
        "asks what Deepgram billed; the key needs the scope billing:read"),
    ROW("PAT_DEEPGRAM_API_URL", PAT_CONF_URL, deepgram_url, "https://api.deepgram.com",
        "Deepgram's API", .arg = "http,https"),
    ROW("PAT_DEEPGRAM_PROJECT", PAT_CONF_STR, deepgram_project, "",
        "id of the project there; without it Deepgram is not asked"),
    ROW("PAT_ELEVENLABS_API_KEY", PAT_CONF_SECRET, elevenlabs_key, "",
        "makes users' own voices; without it nobody can"),
    ROW("PAT_ELEVENLABS_API_URL", PAT_CONF_URL, elevenlabs_url, "https://api.elevenlabs.io",
        "the vendor of voices", .arg = "http,https"),
    ROW("PAT_HEALTH_GOAL_PER_100K", PAT_CONF_INT, health_goal, "99900",
        "calls of 100,000 a stack is to serve, for its error budget", .min = 1, .max = 100000),
    ROW("PAT_INVOICE_LOOK", PAT_CONF_MS, invoice_look_ms, "10m",
        "how often bills that are due are asked for; 0: vendors are not asked", .min = 0,
        .max = DAY_MS),
    ROW("PAT_INVOICE_MARGIN", PAT_CONF_INT, invoice_margin, "5",
        "percent a vendor's bill of a day may differ before somebody is told", .max = 100),
    ROW("PAT_LATENCY_LOOK", PAT_CONF_MS, slower_every_ms, "10m",
        "how often response times of both stacks are compared", .min = 100, .max = DAY_MS),
    ROW("PAT_LATENCY_SLOWER_CALLS", PAT_CONF_INT, slower_calls, "20",
        "calls on each stack it takes to compare", .min = 1, .max = 1000000),
    ROW("PAT_LATENCY_SLOWER_DAYS", PAT_CONF_INT, slower_days, "30", "days that are compared",
        .min = 1, .max = 400),
    ROW("PAT_LATENCY_SLOWER_PERCENT", PAT_CONF_INT, slower_percent, "20",
        "LiveKit is told to be slower when its answers come later than Retell's by this much",
        .min = 1, .max = 1000),
    ROW("PAT_LIVEKIT_API_KEY", PAT_CONF_STR, talk.livekit_key, "",
        "for calls from a browser; without it there are none on LiveKit"),
    ROW("PAT_LIVEKIT_API_SECRET", PAT_CONF_SECRET, talk.livekit_secret, "",
        "signs a browser's token"),
    ROW("PAT_LIVEKIT_PUBLIC_URL", PAT_CONF_URL, talk.livekit_public_url, "",
        "LiveKit as browsers reach it; empty: PAT_LIVEKIT_URL", .arg = "ws,wss,http,https"),
    ROW("PAT_LIVEKIT_URL", PAT_CONF_URL, talk.livekit_url, "ws://127.0.0.1:7880",
        "LiveKit as we reach it", .arg = "ws,wss,http,https"),
    ROW("PAT_OPENAI_ADMIN_KEY", PAT_CONF_SECRET, openai_admin_key, "",
        "asks what OpenAI billed; an admin key, which is none that agents have"),
    ROW("PAT_OPENAI_API_KEY", PAT_CONF_SECRET, openai_key, "",
        "speaks previews of OpenAI's voices; without it there are none"),
    ROW("PAT_OPENAI_URL", PAT_CONF_URL, openai_url, "https://api.openai.com/v1",
        "OpenAI's API, or one that is alike", .arg = "http,https"),
    ROW("PAT_RETELL_API_KEY", PAT_CONF_SECRET, retell_key, "", "asks what Retell billed"),
    ROW("PAT_RETELL_API_URL", PAT_CONF_URL, retell_url, "https://api.retellai.com", "Retell's API",
        .arg = "http,https"),
    ROW("PAT_RETELL_RECORDING_FROM", PAT_CONF_LIST, recording_from,
        "https://dxc03zgurdly9.cloudfront.net,https://retellai.s3.us-west-2.amazonaws.com",
        "where Retell's recordings may be fetched from for who listens, as origins"),
    ROW("PAT_RETELL_WEB_URL", PAT_CONF_URL, talk.retell_url,
        "wss://retell-ai-4ihahnq7.livekit.cloud", "where Retell's calls from a browser are",
        .arg = "ws,wss,http,https"),
    ROW("PAT_ROLLOUT_JUDGE", PAT_CONF_MS, judge_ms, "10s",
        "how often a rollout's gates are measured while it waits for them", .min = 50,
        .max = 600000),
    PAT_STORE_ROWS(struct switcher_conf, recording),
    ROW("PAT_SUPABASE_ANON_KEY", PAT_CONF_STR, supabase_anon_key, NULL,
        "Supabase's public key, for logging in on the console"),
    ROW("PAT_SUPABASE_JWKS_URL", PAT_CONF_URL, jwks_url, NULL,
        "its public keys (ES256, RS256): https://<ref>.supabase.co/auth/v1/.well-known/jwks.json",
        .arg = "http,https"),
    ROW("PAT_SUPABASE_JWT_SECRET", PAT_CONF_SECRET, jwt_secret, NULL,
        "secret Supabase signs its users' tokens with (HS256); this, the URL, or both"),
    ROW("PAT_SUPABASE_URL", PAT_CONF_URL, supabase_url, NULL,
        "https://<ref>.supabase.co, for logging in on the console", .arg = "http,https"),
    ROW("PAT_SWITCHER_PREVIEW_CACHE", PAT_CONF_INT, preview_cache, "67108864",
        "bytes of voices' previews that are kept in Postgres", .min = 0, .max = (int64_t)1 << 40),
    ROW("PAT_SWITCHER_PREVIEW_MODEL", PAT_CONF_STR, preview_model, "eleven_flash_v2_5",
        "ElevenLabs' model for previews; best the one calls are spoken with"),
    ROW("PAT_SWITCHER_PREVIEWS_PER_MIN", PAT_CONF_INT, previews_per_min, "12",
        "previews one person may have spoken within a minute; kept ones are free", .min = 1,
        .max = 10000),
    ROW("PAT_SWITCHER_SAMPLES_PRIVATE", PAT_CONF_BOOL, samples_private, "false",
        "a vendor's samples may be fetched by http and from private addresses: for tests"),
    ROW("PAT_SWITCHER_VOICE_CHECK", PAT_CONF_MS, voice_check_ms, "24h",
        "how often all voices are looked for at the vendor; 0: only those calls could not use",
        .min = 0, .max = 90 * DAY_MS),
    ROW("PAT_SWITCHER_VOICE_FALLBACK", PAT_CONF_STR, voice_fallback, "EXAVITQu4vr4xnSDxMaL",
        "who speaks for an agent whose voice is deleted"),
    ROW("PAT_SWITCHER_VOICES_PER_USER", PAT_CONF_INT, voices_per_user, "3",
        "voices of his own a user may have", .max = 1000),
    ROW("PAT_SWITCHER_LISTEN", PAT_CONF_ADDR, listen, "127.0.0.1:8083", "where the API is served"),
    ROW("PAT_SWITCHER_READS_PER_MIN", PAT_CONF_INT, reads_per_min, "3000",
        "questions one person may ask within a minute, at each replica", .min = 1,
        .max = 100000000),
    ROW("PAT_SWITCHER_WRITES_PER_MIN", PAT_CONF_INT, writes_per_min, "240",
        "changes one person may ask for within a minute, at each replica", .min = 1,
        .max = 100000000),
    ROW("PAT_SWITCH_DIE_AT", PAT_CONF_STR, saga.die_at, NULL,
        "for tests: the process kills itself there, as in provision:before, provision:after"),
    ROW("PAT_SWITCH_DRAIN", PAT_CONF_MS, saga.drain_ms, "5h",
        "calls on the old stack are waited for this long", .min = 0, .max = DAY_MS),
    ROW("PAT_SWITCH_LEASE", PAT_CONF_MS, saga.lease_ms, "10s",
        "a replica that died lets go of its switches after this", .min = 300, .max = 600000),
    ROW("PAT_SWITCH_REHEARSE", PAT_CONF_MS, saga.rehearse_ms, "20s",
        "the test call on the new stack has to be answered within this", .min = 1000,
        .max = 120000),
    ROW("PAT_SWITCH_RETRY", PAT_CONF_MS, saga.retry_ms, "1s",
        "pause after a step's first failure, doubled by each", .min = 10, .max = 60000),
    ROW("PAT_SWITCH_SETTLE", PAT_CONF_MS, saga.settle_ms, "2s",
        "after the routers have confirmed: calls of before are still written down", .min = 0,
        .max = 60000),
    ROW("PAT_SWITCH_SWEEP", PAT_CONF_MS, saga.sweep_ms, "1s",
        "how often switches nobody holds are looked for", .min = 50, .max = 60000),
    ROW("PAT_SWITCH_TRIES", PAT_CONF_INT, saga.tries, "5",
        "of a step before the switch is taken back", .min = 1, .max = 100),
    ROW("PAT_SWITCH_WINDOW", PAT_CONF_MS, saga.window_ms, "24h",
        "the old agent is kept this long, and one request goes back to it", .min = 0,
        .max = 90 * DAY_MS),
    ROW("PAT_TALK_JOIN", PAT_CONF_MS, talk.join_ms, "60s",
        "a browser that has asked for a call comes within this", .min = 1000, .max = 600000),
    ROW("PAT_TALK_MAX", PAT_CONF_MS, talk.max_ms, "10m", "of a call from a browser", .min = 15000,
        .max = 2 * 3600 * 1000),
    ROW("PAT_TALK_PER_DAY", PAT_CONF_MS, talk.day_ms, "1h",
        "calls from a browser to a user's agent in 24 hours, together", .min = 0, .max = DAY_MS),
    ROW("PAT_TALK_PER_MIN", PAT_CONF_INT, talk.per_min, "6",
        "calls from a browser one person may begin within a minute, at each replica", .min = 1,
        .max = 100000),
};

static int routes(struct pat_httpd *httpd, void *arg)
{
    static int (*const parts[])(struct switcher *) = {
        api_routes,        audit_routes,       calls_routes,    recordings_routes, agents_routes,
        users_routes,      policies_routes,    rates_routes,    budget_routes,     voices_routes,
        switch_api_routes, rollout_api_routes, webhooks_routes, health_routes,     usage_routes,
        console_routes,    explain_routes,     talk_routes,     invoices_routes,   retail_routes
    };
    int err = PAT_OK;

    (void)httpd;
    for (size_t i = 0; !err && i < sizeof parts / sizeof parts[0]; i++)
        err = parts[i](arg);
    return err;
}

static int check(const void *conf, struct pat_buf *errors)
{
    const struct switcher_conf *c = conf;
    PAT_AUTO_JSON logins = NULL;

    if (!*c->jwt_secret && !*c->jwks_url) {
        (void)pat_buf_adds(errors,
                           "PAT_SUPABASE_JWT_SECRET: must be set, or PAT_SUPABASE_JWKS_URL\n");
        return PAT_EINVAL;
    }
    pat_store_conf_check(&c->recording, errors);
    if (remote_fault(c->recording_from))
        (void)pat_buf_addf(errors, "PAT_RETELL_RECORDING_FROM: no origin: %s\n",
                           remote_fault(c->recording_from));
    if (errors->len)
        return PAT_EINVAL;
    if (!c->demo_logins || !*c->demo_logins ||
        (!pat_json_parse(&logins, c->demo_logins, strlen(c->demo_logins), NULL) &&
         pat_json_kind(logins) == PAT_JSON_ARR))
        return PAT_OK;
    pat_buf_adds(errors, "PAT_CONSOLE_DEMO_LOGINS: must be a list in JSON\n");
    return PAT_EINVAL;
}

static int start(struct pat_daemon *d, void *arg)
{
    struct switcher *s = arg;
    int err;

    s->d = d;
    s->conf = d->conf;
    if (s->conf->demo_logins && *s->conf->demo_logins)
        pat_log(PAT_WARN, "console.anybody_may_log_in");
    s->refused = pat_counter(d->metrics, "pat_switcher_refused_total",
                             "Requests without a good token", NULL);
    s->previews_spoken = pat_counter(d->metrics, "pat_switcher_previews_total",
                                     "Voices' previews that were not kept, and paid for", NULL);
    s->reply_s = pat_histogram(d->metrics, "pat_switcher_reply_seconds",
                               "Time from a request to its answer", NULL, pat_buckets_latency_s,
                               sizeof pat_buckets_latency_s / sizeof pat_buckets_latency_s[0]);
    err = switches_new(&s->switches, d, &s->conf->saga);
    if (!err)
        err = keys_new(&s->keys, d, s->conf->jwks_url);
    if (!err)
        err = limits_new(&s->limits,
                         (int64_t[LIMIT_KINDS]){ [LIMIT_READS] = s->conf->reads_per_min,
                                                 [LIMIT_WRITES] = s->conf->writes_per_min,
                                                 [LIMIT_PREVIEWS] = s->conf->previews_per_min,
                                                 [LIMIT_TALKS] = s->conf->talk.per_min });
    if (!err)
        err = feed_new(&s->feed, s);
    if (!err)
        err = talk_new(&s->talk, s);
    if (!err)
        err = recordings_new(&s->recordings, s);
    if (!err)
        err = switch_rpc_serve(s);
    if (!err)
        err = rollouts_new(&s->rollouts, s->switches, s->conf->judge_ms);
    if (!err)
        err = rollout_rpc_serve(s);
    if (!err)
        rollouts_listen(s->rollouts, feed_news, s->feed);
    if (!err)
        err = roll_new(&s->roll, s);
    if (!err)
        err = rerate_new(&s->rerate, s);
    if (!err)
        err = usage_roll_new(&s->usage_roll, s);
    if (!err)
        err = invoices_new(&s->invoices, s);
    if (!err)
        err = switch_age_new(&s->switch_age, d);
    if (!err && *s->conf->elevenlabs_key)
        err = voices_new(&s->voices, s);
    if (!err && *s->conf->elevenlabs_key)
        err = voice_care_new(&s->voice_care, s);
    if (!err && *s->conf->elevenlabs_key)
        err = voice_forget_new(&s->voice_forget, s);
    return err ? err
               : pat_daemon_open(
                     d, &s->httpd, "http",
                     &(struct pat_httpd_opts){ .listen = s->conf->listen, .problems = true },
                     routes, s);
}

static void drain(struct pat_daemon *d, void *arg)
{
    struct switcher *s = arg;

    roll_free(s->roll);
    s->roll = NULL;
    rerate_free(s->rerate);
    s->rerate = NULL;
    usage_roll_free(s->usage_roll);
    s->usage_roll = NULL;
    invoices_free(s->invoices);
    s->invoices = NULL;
    switch_age_free(s->switch_age);
    s->switch_age = NULL;
    feed_close(s->feed);
    recordings_close(s->recordings);
    pat_daemon_leave(d, s->httpd, NULL);
}

static void stop(struct pat_daemon *d, void *arg)
{
    struct switcher *s = arg;

    (void)d;
    talk_free(s->talk);
    voice_care_free(s->voice_care);
    s->voice_care = NULL;
    voice_forget_free(s->voice_forget);
    s->voice_forget = NULL;
    voices_free(s->voices);
    s->voices = NULL;
    vendor_stop(s);
    recordings_free(s->recordings);
    webhooks_free(s->webhooks);
    switch_rpc_stop(s);
    rollout_rpc_stop(s);
    rollouts_free(s->rollouts);
    feed_free(s->feed);
    limits_free(s->limits);
    keys_free(s->keys);
    switches_free(s->switches);
}

int main(int argc, char **argv)
{
    struct switcher s = { 0 };
    static const struct pat_daemon_spec spec = {
        .name = "stack-switcher",
        .summary = "says who is served by which stack, and changes it",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
        .conf_size = sizeof(struct switcher_conf),
        .wants = PAT_WANT_DB | PAT_WANT_BUS | PAT_WANT_HTTP,
        .check = check,
        .start = start,
        .drain = drain,
        .stop = stop,
    };

    return pat_daemon_main(argc, argv, &spec, &s);
}
