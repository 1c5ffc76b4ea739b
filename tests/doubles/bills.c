/* bills.c - what vendors say they billed: see bills.h.
 *
 * Shapes as the official SDKs parse them (openai, deepgram-sdk, elevenlabs of PyPI); a day is
 * UTC's. It knows neither grouping nor filters. */
#include "bills.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS ((int64_t)86400000)

static double amount_on(const struct dbl *d, int64_t ms)
{
    char text[PAT_TIME_LEN + 1];

    pat_time_format(ms, text);
    PAT_JSON_EACH(bill, d->bills)
    if (!strncmp(pat_json_str_or(bill, "day", ""), text, 10))
        return pat_json_num_or(bill, "amount", 0);
    return 0;
}

static int64_t number(struct pat_httpd_req *r, const char *name, int64_t otherwise)
{
    const char *s = pat_httpd_query_param(r, name);

    return s ? strtoll(s, NULL, 10) : otherwise;
}

static bool refused(struct dbl *d, struct pat_httpd_req *r, const char *key)
{
    struct dbl_fail f;
    int status = dbl_key_ok(d, key) ? 0 : 401;

    if (!status && dbl_fail_take(d, pat_httpd_path(r), &f))
        status = f.status;
    if (status)
        dbl_reply(r, status, dbl_obj("message", "refused"));
    return status;
}

/* After the word of the Authorization header; NULL: it has another one. */
static const char *key_after(struct pat_httpd_req *r, const char *word)
{
    const char *auth = pat_httpd_header(r, "authorization");
    size_t n = strlen(word);

    return auth && !strncasecmp(auth, word, n) && auth[n] == ' ' ? auth + n + 1 : NULL;
}

/* ------------------------------------------------------------------ OpenAI */

/* In two results, as if two projects had used it. */
static struct pat_json *bucket(const struct dbl *d, int64_t at_ms)
{
    struct pat_json *b = dbl_obj("object", "bucket"), *results = pat_json_arr();
    double whole = amount_on(d, at_ms);

    for (int i = 0; i < 2 && whole > 0; i++) {
        struct pat_json *result = dbl_obj("object", "organization.costs.result");
        struct pat_json *amount = dbl_obj("currency", "usd");

        pat_json_set_num(amount, "value", i ? whole / 4 : whole - whole / 4);
        pat_json_set_take(result, "amount", amount);
        pat_json_set_null(result, "line_item");
        pat_json_set_null(result, "project_id");
        pat_json_add_take(results, result);
    }
    pat_json_set_int(b, "start_time", at_ms / 1000);
    pat_json_set_int(b, "end_time", (at_ms + DAY_MS) / 1000);
    pat_json_set_take(b, "results", results);
    return b;
}

static void on_costs(struct pat_httpd_req *r, void *arg)
{
    struct dbl *d = arg;
    int64_t at = number(r, "page", number(r, "start_time", -1)) * 1000;
    int64_t end = number(r, "end_time", pat_unix_ms() / 1000) * 1000;
    struct pat_json *page, *data;
    char next[24];

    if (refused(d, r, key_after(r, "Bearer")))
        return;
    if (at < 0) {
        dbl_reply(r, 400, dbl_obj("message", "Missing required parameter: 'start_time'."));
        return;
    }
    page = dbl_obj("object", "page");
    data = pat_json_arr();
    for (int64_t n = number(r, "limit", 7); n > 0 && at < end; n--, at += DAY_MS)
        pat_json_add_take(data, bucket(d, at));
    snprintf(next, sizeof next, "%lld", (long long)at / 1000);
    pat_json_set_take(page, "data", data);
    pat_json_set_bool(page, "has_more", at < end);
    pat_json_set_str(page, "next_page", at < end ? next : NULL);
    dbl_reply(r, 200, page);
}

int bills_openai(struct dbl *d)
{
    return pat_httpd_route(d->server, "GET", "/v1/organization/costs", 0, on_costs, d);
}

/* ------------------------------------------------------------------ Deepgram */

static struct pat_json *group(const char *day, double dollars)
{
    static const char *const none[] = { "accessor", "deployment", "line_item", "tags" };
    struct pat_json *item = pat_json_obj(), *of = dbl_obj("start", day);

    pat_json_set_str(of, "end", day);
    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        pat_json_set_null(of, none[i]);
    pat_json_set_num(item, "dollars", dollars);
    pat_json_set_take(item, "grouping", of);
    return item;
}

static void on_breakdown(struct pat_httpd_req *r, void *arg)
{
    struct dbl *d = arg;
    const char *start = pat_httpd_query_param(r, "start"), *end = pat_httpd_query_param(r, "end");
    struct pat_json *j, *results, *resolution;

    if (refused(d, r, key_after(r, "Token")))
        return;
    j = dbl_obj("start", start ? start : "2020-01-01");
    results = pat_json_arr();
    resolution = dbl_obj("units", "day");
    PAT_JSON_EACH(bill, d->bills)
    {
        const char *day = pat_json_str_or(bill, "day", "");

        if ((!start || strcmp(day, start) >= 0) && (!end || strcmp(day, end) <= 0))
            pat_json_add_take(results, group(day, pat_json_num_or(bill, "amount", 0)));
    }
    pat_json_set_str(j, "end", end ? end : "2100-01-01");
    pat_json_set_num(resolution, "amount", 1);
    pat_json_set_take(j, "resolution", resolution);
    pat_json_set_take(j, "results", results);
    dbl_reply(r, 200, j);
}

int bills_deepgram(struct dbl *d)
{
    return pat_httpd_route(d->server, "GET", "/v1/projects/{id}/billing/breakdown", 0, on_breakdown,
                           d);
}

/* ------------------------------------------------------------------ ElevenLabs */

static void add_number(struct pat_json *list, double n)
{
    struct pat_json *j;
    char text[40];
    int len = snprintf(text, sizeof text, "%.15g", n);

    if (!pat_json_parse(&j, text, (size_t)len, NULL))
        pat_json_add_take(list, j);
}

static void on_characters(struct pat_httpd_req *r, void *arg)
{
    struct dbl *d = arg;
    int64_t at = number(r, "start_unix", -1), end = number(r, "end_unix", -1);
    struct pat_json *j, *time, *usage, *all;

    if (refused(d, r, pat_httpd_header(r, "xi-api-key")))
        return;
    if (at < 0 || end < at) {
        dbl_reply(r, 422, dbl_obj("detail", "start_unix and end_unix are required"));
        return;
    }
    j = pat_json_obj();
    time = pat_json_arr();
    usage = pat_json_obj();
    all = pat_json_arr();
    for (at -= at % DAY_MS; at <= end; at += DAY_MS) {
        add_number(time, (double)at);
        add_number(all, amount_on(d, at));
    }
    pat_json_set_take(usage, "All", all);
    pat_json_set_take(j, "time", time);
    pat_json_set_take(j, "usage", usage);
    dbl_reply(r, 200, j);
}

int bills_elevenlabs(struct dbl *d)
{
    return pat_httpd_route(d->server, "GET", "/v1/usage/character-stats", 0, on_characters, d);
}
