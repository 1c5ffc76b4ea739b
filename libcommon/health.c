/* health.c - a short list of checks and the four pages of the admin port.
 *
 * Answering /healthz proves that the loop turns; nothing is asked of anybody.
 */
#include "health.h"

#include "buf.h"
#include "log.h"
#include "version.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHECKS_MAX = 32, DETAIL_MAX = 300 };
#define METRICS_MAX ((size_t)4 << 20)

struct check {
    const char *name;
    bool required;
    bool up;
    char detail[DETAIL_MAX];
    struct pat_gauge *gauge;
};

struct pat_health {
    struct pat_metrics *metrics;
    const char *service;
    bool draining;
    size_t n;
    struct check checks[CHECKS_MAX];
};

int pat_health_new(struct pat_health **out, struct pat_metrics *m)
{
    struct pat_health *h = calloc(1, sizeof *h);

    if (!h)
        return PAT_ENOMEM;
    h->metrics = m;
    h->service = "";
    *out = h;
    return PAT_OK;
}

void pat_health_free(struct pat_health *h)
{
    free(h);
}

static struct check *find(struct pat_health *h, const char *name)
{
    for (size_t i = 0; i < h->n; i++)
        if (!strcmp(h->checks[i].name, name))
            return &h->checks[i];
    return NULL;
}

int pat_health_check(struct pat_health *h, const char *name, bool required)
{
    struct check *c = find(h, name);
    char labels[64];

    if (c) {
        c->required = required;
        return PAT_OK;
    }
    if (h->n == CHECKS_MAX)
        return PAT_E2BIG;
    c = &h->checks[h->n++];
    *c = (struct check){ .name = name, .required = required };
    if (h->metrics) {
        snprintf(labels, sizeof labels, "check=\"%s\"", name);
        c->gauge = pat_gauge(h->metrics, "pat_health_up", "1 while the check is up.", labels);
        pat_gauge_set(c->gauge, 0);
    }
    return PAT_OK;
}

void pat_health_set(struct pat_health *h, const char *name, bool up, const char *detail)
{
    struct check *c = find(h, name);

    if (!c)
        return;
    if (c->up != up)
        pat_log(up ? PAT_INFO : PAT_WARN, up ? "health.up" : "health.down", PAT_S("check", name),
                PAT_B("required", c->required), PAT_S("detail", detail));
    c->up = up;
    pat_strcpy(c->detail, sizeof c->detail, detail ? detail : "");
    if (c->gauge)
        pat_gauge_set(c->gauge, up);
}

void pat_health_drain(struct pat_health *h)
{
    h->draining = true;
}

bool pat_health_ready(const struct pat_health *h)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->checks[i].required && !h->checks[i].up)
            return false;
    return !h->draining;
}

/* ---- pages ---- */

static void on_healthz(struct pat_httpd_req *r, void *arg)
{
    (void)arg;
    pat_httpd_reply(r, 200, "application/json", "{\"status\":\"ok\"}", 15);
}

static void on_readyz(struct pat_httpd_req *r, void *arg)
{
    const struct pat_health *h = arg;
    bool ready = pat_health_ready(h);
    PAT_AUTO_JSON j = pat_json_obj();
    struct pat_json *checks = pat_json_obj();

    pat_json_set_bool(j, "ready", ready);
    pat_json_set_bool(j, "draining", h->draining);
    for (size_t i = 0; i < h->n; i++) {
        const struct check *c = &h->checks[i];
        struct pat_json *one = pat_json_obj();

        pat_json_set_bool(one, "up", c->up);
        pat_json_set_bool(one, "required", c->required);
        if (*c->detail)
            pat_json_set_str(one, "detail", c->detail);
        pat_json_set_take(checks, c->name, one);
    }
    pat_json_set_take(j, "checks", checks);
    pat_httpd_reply_json(r, ready ? 200 : 503, j);
}

static void on_metrics(struct pat_httpd_req *r, void *arg)
{
    const struct pat_health *h = arg;
    struct pat_buf b;
    int err;

    pat_buf_init(&b, METRICS_MAX);
    err = pat_metrics_print(h->metrics, &b);
    if (err)
        pat_httpd_reply_error(r, err, NULL, NULL);
    else
        pat_httpd_reply(r, 200, "text/plain; version=0.0.4; charset=utf-8", b.data, b.len);
    pat_buf_fini(&b);
}

static void on_version(struct pat_httpd_req *r, void *arg)
{
    const struct pat_health *h = arg;
    PAT_AUTO_JSON j = pat_json_obj();

    pat_json_set_str(j, "service", h->service);
    pat_json_set_str(j, "version", PAT_VERSION);
    pat_json_set_str(j, "build_id", PAT_BUILD_ID);
    pat_httpd_reply_json(r, 200, j);
}

int pat_health_routes(struct pat_health *h, struct pat_httpd *s, const char *service)
{
    int err;

    h->service = service;
    err = pat_httpd_route(s, "GET", "/healthz", 0, on_healthz, h);
    if (!err)
        err = pat_httpd_route(s, "GET", "/readyz", 0, on_readyz, h);
    if (!err && h->metrics)
        err = pat_httpd_route(s, "GET", "/metrics", 0, on_metrics, h);
    if (!err)
        err = pat_httpd_route(s, "GET", "/version", 0, on_version, h);
    return err;
}
