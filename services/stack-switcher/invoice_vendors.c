/* invoice_vendors.c - how each vendor is asked what a day cost: see invoice_vendors.h. */
#include "invoice_vendors.h"

#include <stdio.h>
#include <string.h>

static bool set(const char *s)
{
    return s && *s;
}

static void next_page(char cursor[INVOICE_CURSOR_MAX], const char *next)
{
    if (!next || !pat_strcpy(cursor, INVOICE_CURSOR_MAX, next))
        *cursor = 0;
}

/* ------------------------------------------------------------------ Retell */

static bool retell_ready(const struct invoice_conf *c)
{
    return set(c->retell_key);
}

static void retell_ask(const struct invoice_conf *c, const struct invoice_day *d,
                       const char *cursor, struct invoice_ask *out)
{
    pat_buf_addf(&out->url, "%s/v3/list-calls", c->retell_url);
    pat_buf_addf(&out->header, "Authorization: Bearer %s", c->retell_key);
    pat_buf_addf(&out->body,
                 "{\"filter_criteria\":{\"start_timestamp\":{\"type\":\"range\",\"op\":\"bt\","
                 "\"value\":[%lld,%lld]}},\"sort_order\":\"ascending\",\"limit\":1000",
                 (long long)d->from_ms, (long long)d->to_ms - 1);
    if (*cursor) {
        pat_buf_adds(&out->body, ",\"pagination_key\":");
        pat_json_quote(&out->body, cursor, strlen(cursor));
    }
    pat_buf_adds(&out->body, "}");
}

static int retell_read(const struct pat_json *page, double *sum, char cursor[INVOICE_CURSOR_MAX])
{
    const struct pat_json *items = pat_json_at(page, "items");

    if (!items || pat_json_kind(items) != PAT_JSON_ARR)
        return PAT_EUPSTREAM;
    PAT_JSON_EACH(call, items)
    *sum += pat_json_num_or(call, "call_cost.combined_cost", 0);
    next_page(cursor, pat_json_bool_or(page, "has_more", false)
                          ? pat_json_str_or(page, "pagination_key", NULL)
                          : NULL);
    return PAT_OK;
}

/* ------------------------------------------------------------------ OpenAI */

static bool openai_ready(const struct invoice_conf *c)
{
    return set(c->openai_key);
}

static void openai_ask(const struct invoice_conf *c, const struct invoice_day *d,
                       const char *cursor, struct invoice_ask *out)
{
    pat_buf_addf(&out->url, "%s/organization/costs?start_time=%lld&end_time=%lld&bucket_width=1d",
                 c->openai_url, (long long)d->from_ms / 1000, (long long)d->to_ms / 1000);
    if (*cursor) {
        pat_buf_adds(&out->url, "&page=");
        (void)pat_url_encode(&out->url, cursor);
    }
    pat_buf_addf(&out->header, "Authorization: Bearer %s", c->openai_key);
}

static int openai_read(const struct pat_json *page, double *sum, char cursor[INVOICE_CURSOR_MAX])
{
    const struct pat_json *data = pat_json_at(page, "data");

    if (!data || pat_json_kind(data) != PAT_JSON_ARR)
        return PAT_EUPSTREAM;
    PAT_JSON_EACH(bucket, data)
    PAT_JSON_EACH(result, pat_json_at(bucket, "results"))
    {
        if (strcasecmp(pat_json_str_or(result, "amount.currency", "usd"), "usd") != 0)
            return PAT_EUPSTREAM;
        *sum += pat_json_num_or(result, "amount.value", 0);
    }
    next_page(cursor, pat_json_bool_or(page, "has_more", false)
                          ? pat_json_str_or(page, "next_page", NULL)
                          : NULL);
    return PAT_OK;
}

/* ------------------------------------------------------------------ Deepgram */

static bool deepgram_ready(const struct invoice_conf *c)
{
    return set(c->deepgram_key) && set(c->deepgram_project);
}

static void deepgram_ask(const struct invoice_conf *c, const struct invoice_day *d,
                         const char *cursor, struct invoice_ask *out)
{
    (void)cursor;
    pat_buf_addf(&out->url, "%s/v1/projects/", c->deepgram_url);
    (void)pat_url_encode(&out->url, c->deepgram_project);
    pat_buf_addf(&out->url, "/billing/breakdown?start=%s&end=%s", d->day, d->day);
    pat_buf_addf(&out->header, "Authorization: Token %s", c->deepgram_key);
}

static int deepgram_read(const struct pat_json *page, double *sum, char cursor[INVOICE_CURSOR_MAX])
{
    const struct pat_json *results = pat_json_at(page, "results");

    if (!results || pat_json_kind(results) != PAT_JSON_ARR)
        return PAT_EUPSTREAM;
    PAT_JSON_EACH(result, results)
    *sum += pat_json_num_or(result, "dollars", 0);
    *cursor = 0;
    return PAT_OK;
}

/* ------------------------------------------------------------------ ElevenLabs */

static bool elevenlabs_ready(const struct invoice_conf *c)
{
    return set(c->elevenlabs_key);
}

static void elevenlabs_ask(const struct invoice_conf *c, const struct invoice_day *d,
                           const char *cursor, struct invoice_ask *out)
{
    (void)cursor;
    pat_buf_addf(&out->url,
                 "%s/v1/usage/character-stats?start_unix=%lld&end_unix=%lld&breakdown_type=none"
                 "&aggregation_interval=day",
                 c->elevenlabs_url, (long long)d->from_ms, (long long)d->to_ms - 1);
    pat_buf_addf(&out->header, "xi-api-key: %s", c->elevenlabs_key);
}

static int elevenlabs_read(const struct pat_json *page, double *sum,
                           char cursor[INVOICE_CURSOR_MAX])
{
    const struct pat_json *usage = pat_json_at(page, "usage");

    if (!usage || pat_json_kind(usage) != PAT_JSON_OBJ)
        return PAT_EUPSTREAM;
    PAT_JSON_EACH(series, usage)
    PAT_JSON_EACH(n, series)
    *sum += pat_json_value_num(n);
    *cursor = 0;
    return PAT_OK;
}

/* ------------------------------------------------------------------ */

const struct invoice_vendor invoice_vendors[INVOICE_VENDORS] = {
    { "deepgram", 1e6, deepgram_ready, deepgram_ask, deepgram_read },
    { "elevenlabs", 1, elevenlabs_ready, elevenlabs_ask, elevenlabs_read },
    { "openai", 1e6, openai_ready, openai_ask, openai_read },
    { "retell", 1e4, retell_ready, retell_ask, retell_read },
};

const struct invoice_vendor *invoice_vendor_find(const char *name)
{
    for (size_t i = 0; i < INVOICE_VENDORS; i++)
        if (!strcmp(invoice_vendors[i].name, name))
            return &invoice_vendors[i];
    return NULL;
}
