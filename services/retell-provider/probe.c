/* probe.c - could Retell serve a call? See probe.h.
 *
 * GET /get-concurrency (docs.retellai.com, "Concurrency"), then GET /get-agent of one of our
 * published agents. Not within api.h's budget: two requests a minute, and a queue of settings must
 * not make Retell look slow. */
#include "probe.h"

#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_MS 4000
#define DB_MS  2000

struct probe {
    struct provider *p;
    struct pat_probe *probe;
    pat_http_id http;
    pat_db_id db;
};

static void found(struct probe *b, enum pat_probe_word word, bool sure, const char *why)
{
    pat_probe_found(b->probe, &(struct pat_probe_found){ word, sure, why });
}

/* True: it has told. */
static bool has_failed(struct probe *b, int err)
{
    if (!err)
        return false;
    if (err == PAT_EAUTH || err == PAT_EPERM)
        found(b, PAT_PROBE_DOWN, true, err == PAT_EAUTH ? "key_refused" : "not_paid");
    else if (err == PAT_EAGAIN)
        found(b, PAT_PROBE_DEGRADED, false, "rate_limited");
    else
        found(b, PAT_PROBE_DOWN, false, pat_err_name(err));
    return true;
}

static int ask(struct probe *b, const char *path, pat_http_done_fn *fn)
{
    const struct provider_conf *conf = b->p->conf;
    char url[1024], auth[1024];
    const char *headers[] = { auth, NULL };

    if ((size_t)snprintf(url, sizeof url, "%s%s", conf->api_url, path) >= sizeof url ||
        (size_t)snprintf(auth, sizeof auth, "Authorization: Bearer %s", conf->api_key) >=
            sizeof auth)
        return PAT_E2BIG;
    return pat_http_start(
        b->p->d->http,
        &(struct pat_http_req){ .url = url, .headers = headers, .timeout_ms = ASK_MS }, NULL, fn, b,
        &b->http);
}

static void on_agent(int err, const struct pat_http_res *res, void *arg)
{
    struct probe *b = arg;

    b->http = 0;
    if (!err)
        err = api_status_err(res->status);
    /* One that is gone is that agent's matter (agent_mend.c). */
    if (err == PAT_ENOENT || !has_failed(b, err))
        found(b, PAT_PROBE_UP, false, NULL);
}

static void on_known(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct probe *b = arg;
    const char *id = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    char path[256];

    b->db = 0;
    if (!id) { /* there is none; or Postgres is away, which says nothing about Retell */
        found(b, PAT_PROBE_UP, false, NULL);
        return;
    }
    snprintf(path, sizeof path, "/get-agent/%s", id);
    err = ask(b, path, on_agent);
    if (err)
        (void)has_failed(b, err);
}

/* Calls above the limit wait, and then are refused. */
static bool is_full(const struct pat_json *j)
{
    int64_t limit = pat_json_int_or(j, "concurrency_limit", 0);
    int64_t burst = pat_json_bool_or(j, "concurrency_burst_enabled", false)
                        ? pat_json_int_or(j, "concurrency_burst_limit", 0)
                        : 0;

    if (burst > limit)
        limit = burst;
    return limit > 0 && pat_json_int_or(j, "current_concurrency", 0) >= limit;
}

static void on_concurrency(int err, const struct pat_http_res *res, void *arg)
{
    struct probe *b = arg;
    PAT_AUTO_JSON j = NULL;

    b->http = 0;
    if (!err)
        err = api_status_err(res->status);
    if (!err && pat_json_parse(&j, res->body, res->len, NULL))
        err = PAT_EPROTO;
    if (has_failed(b, err))
        return;
    if (is_full(j)) {
        found(b, PAT_PROBE_DOWN, true, "no_concurrency_left");
        return;
    }
    if (pat_db_run1(b->p->d->db, "probe_agent",
                    "select agent_id from patchbay.retell_agents where state = 'ready' and version "
                    "is not null order by updated_at desc limit 1",
                    NULL, 0, DB_MS, on_known, b, &b->db))
        found(b, PAT_PROBE_UP, false, NULL);
}

static void look(void *arg)
{
    struct probe *b = arg;
    int err = ask(b, "/get-concurrency", on_concurrency);

    if (err)
        (void)has_failed(b, err);
}

int probe_new(struct probe **out, struct provider *p)
{
    struct probe *b = calloc(1, sizeof *b);
    const struct pat_probe_opts o = { .loop = p->d->loop,
                                      .bus = p->d->bus,
                                      .metrics = p->d->metrics,
                                      .stack = "retell",
                                      .source = "/patchbay/retell-provider",
                                      .every_ms = p->conf->probe_ms };
    int err;

    if (!b)
        return PAT_ENOMEM;
    b->p = p;
    err = pat_probe_new(&b->probe, &o, look, b);
    if (err) {
        free(b);
        return err;
    }
    *out = b;
    return PAT_OK;
}

void probe_free(struct probe *b)
{
    if (!b)
        return;
    if (b->http)
        pat_http_cancel(b->p->d->http, b->http);
    pat_db_cancel(b->p->d->db, b->db);
    pat_probe_free(b->probe);
    free(b);
}
