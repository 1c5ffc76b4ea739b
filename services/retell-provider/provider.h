/* provider.h - the retell-provider's parts and what they share.
 *
 * In: RPC retell.* and the inside port (rpc.c, inside.c), config events (sync.c), Retell's webhooks
 * as the relay stored them (events.c), its tool calls (tools.c). Out: Retell's REST (register.c for
 * calls, api.c for agents and voices), events. Truth is in Postgres; only breaker and budget are in
 * memory. Thread: the loop's, everywhere in this folder.
 */
#ifndef PROVIDER_H
#define PROVIDER_H

#include "pat.h"

struct provider_conf {
    char *api_url; /* without a trailing slash */
    char *api_key;
    char *listen;
    char *inside_token;
    char *tools_listen;
    char *tools_url, *webhook_url, *webhook_key;
    char *model;
    char *time_zone;
    char *transfer_prefixes;
    int64_t api_timeout_ms;
    int64_t requests_per_s;
    int64_t probe_ms;
    int64_t max_call_ms, silence_ms;
    int64_t settle_ms, sweep_ms, check_ms, voices_ms;
    int64_t results_ms, quota_ms;
    char *recording;             /* which are copied: off, wanted, all */
    struct pat_store_conf store; /* they are copied there */
    char *recording_channels;    /* both or one */
    int64_t recording_max;
    bool tool_private_nets;
    bool forget_calls, live_text;
    char *standby; /* always, demand */
    char *drift;   /* report, repair or adopt: an agent that somebody else changed at Retell */
};

struct api;
struct sync;
struct voices;
struct sweep;
struct standby;
struct copier;
struct quota;
struct probe;

struct provider {
    struct pat_daemon *d;
    const struct provider_conf *conf;
    char instance[PAT_ID_LEN + 32]; /* names this process in claims */
    struct pat_breaker breaker;
    struct pat_httpd *httpd; /* inside */
    struct pat_httpd *edge;  /* Retell's tool calls */
    struct pat_journal *journal;
    struct api *api;
    struct sync *sync;
    struct voices *voices;
    struct sweep *sweep;
    struct probe *probe;
    struct standby *standby; /* NULL while closing */
    struct copier *copier;
    struct quota *quota;
    struct pat_consumer *webhooks;
    struct pat_sub *subs[12]; /* RPC */
    struct pat_histogram *register_s;
    struct pat_counter *register_failed;
    struct pat_counter *agents_failed;
};

/* inside.c: calls are registered over HTTP, for when NATS is away. */
int inside_serve(struct provider *p) PAT_MUST_CHECK;
/* rpc.c: everything that is asked by RPC. */
int rpc_serve(struct provider *p) PAT_MUST_CHECK;
void rpc_stop(struct provider *p);
/* forget.c: RPC retell.forget. */
void forget_user(struct pat_rpc_req *req, const struct pat_json *params, void *arg);
/* events.c: what Retell says happened becomes our events. */
int events_start(struct provider *p) PAT_MUST_CHECK;

#endif
