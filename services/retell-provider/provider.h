/* provider.h - the retell-provider's parts and what they share.
 *
 * In: RPC retell.register_call and its twin on the inside port (inside.c), Retell's webhooks as the
 * relay stored them (events.c). Out: Retell's REST (register.c), call.answered and usage.recorded.
 * Truth is in Postgres; only the breaker is in memory. Thread: the loop's, everywhere in this
 * folder.
 */
#ifndef PROVIDER_H
#define PROVIDER_H

#include "pat.h"

struct provider_conf {
    char *api_url; /* without a trailing slash */
    char *api_key;
    char *listen;
    char *inside_token;
    int64_t api_timeout_ms;
};

struct provider {
    struct pat_daemon *d;
    const struct provider_conf *conf;
    struct pat_breaker breaker;
    struct pat_httpd *httpd;
    struct pat_journal *journal;
    struct pat_consumer *webhooks;
    struct pat_sub *register_sub;
    struct pat_histogram *register_s;
    struct pat_counter *register_failed;
};

/* inside.c: the same method over RPC and over HTTP. */
int inside_serve(struct provider *p) PAT_MUST_CHECK;
/* events.c: what Retell says happened becomes our events. */
int events_start(struct provider *p) PAT_MUST_CHECK;

#endif
