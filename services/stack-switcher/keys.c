/* keys.c - the project's public keys: fetched at the start and every ten minutes, and once more
 * when a token names one that is not there. Tokens are checked with what was fetched last.
 */
#include "switcher.h"

#include <stdlib.h>
#include <string.h>

#define FETCH_MS      10000
#define EVERY_MS      ((int64_t)10 * 60 * 1000)
#define AGAIN_MS      5000 /* nothing was fetched yet */
#define MISSED_GAP_MS 60000

struct keys {
    struct pat_daemon *d;
    char *url;
    struct pat_jwks *now;
    struct pat_timer timer;
    pat_http_id request;
    int64_t missed_at_ms;
};

static void fetch(void *arg);

static void on_list(int err, const struct pat_http_res *res, void *arg)
{
    struct keys *k = arg;
    struct pat_jwks *fresh = NULL;

    k->request = 0;
    if (!err && res->status != 200)
        err = PAT_EUPSTREAM;
    if (!err)
        err = pat_jwks_parse(&fresh, res->body, res->len);
    if (err) {
        pat_log(PAT_WARN, "keys.not_fetched", PAT_S("url", k->url), PAT_ERR(err),
                PAT_I("status", res ? res->status : 0));
        pat_timer_start(&k->timer, k->now ? EVERY_MS : AGAIN_MS);
        return;
    }
    if (pat_jwks_count(fresh) != pat_jwks_count(k->now))
        pat_log(PAT_INFO, "keys.fetched", PAT_I("keys", pat_jwks_count(fresh)));
    pat_jwks_free(k->now);
    k->now = fresh;
    pat_timer_start(&k->timer, EVERY_MS);
}

static void fetch(void *arg)
{
    struct keys *k = arg;

    if (k->request)
        return;
    if (pat_http_start(k->d->http, &(struct pat_http_req){ .url = k->url, .timeout_ms = FETCH_MS },
                       NULL, on_list, k, &k->request))
        pat_timer_start(&k->timer, AGAIN_MS);
}

void keys_missed(struct keys *k)
{
    int64_t now = pat_now_ms();

    if (!*k->url || (k->missed_at_ms && now - k->missed_at_ms < MISSED_GAP_MS))
        return;
    k->missed_at_ms = now;
    fetch(k);
}

const struct pat_jwks *keys_now(const struct keys *k)
{
    return k->now;
}

int keys_new(struct keys **out, struct pat_daemon *d, const char *url)
{
    struct keys *k = calloc(1, sizeof *k);
    int err = PAT_ENOMEM;

    if (!k)
        return err;
    k->d = d;
    k->url = strdup(url);
    if (k->url)
        err = pat_timer_init(&k->timer, d->loop, fetch, k);
    if (err) {
        free(k->url);
        free(k);
        return err;
    }
    if (*url)
        fetch(k);
    *out = k;
    return PAT_OK;
}

void keys_free(struct keys *k)
{
    if (!k)
        return;
    pat_http_cancel(k->d->http, k->request);
    pat_timer_fini(&k->timer);
    pat_jwks_free(k->now);
    free(k->url);
    free(k);
}
