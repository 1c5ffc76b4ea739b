/* invoices.c - vendors are asked, one day of one vendor after the other: see invoices.h. */
#include "invoices.h"

#include "ask.h"
#include "door.h"
#include "invoice_vendors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ASK_MS = 30000, DB_MS = 15000, SOON_MS = 50, PAGES_MAX = 500, ANSWER_MAX = 16 << 20 };
#define LEASE     "10 minutes" /* PAGES_MAX pages may take a while */
#define LEAST     "10000"      /* a cent: what differs by less is nobody's business */
#define DAYS_BACK "4"

struct invoices {
    struct switcher *s;
    struct invoice_conf conf;
    struct pat_timer timer;
    struct pat_id self;
    pat_db_id query;
    pat_http_id http;
    /* the row at hand */
    const struct invoice_vendor *vendor;
    char day[16], cursor[INVOICE_CURSOR_MAX];
    int64_t from_ms, to_ms;
    double sum;
    int pages;
    struct pat_gauge *ratio[INVOICE_VENDORS];
};

static void later(struct invoices *i, int64_t ms)
{
    i->query = 0;
    i->http = 0;
    i->vendor = NULL;
    pat_timer_start(&i->timer, ms);
}

/* ------------------------------------------------------------------ what was said */

static void on_put(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct invoices *i = arg;
    const char *text = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    PAT_AUTO_JSON j = NULL;
    double percent;

    if (err)
        pat_log(PAT_WARN, "invoice.not_stored", PAT_S("vendor", i->vendor->name), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    if (text && !pat_json_parse(&j, text, strlen(text), NULL)) {
        percent = pat_json_num_or(j, "percent", 0);
        pat_gauge_set(i->ratio[i->vendor - invoice_vendors], percent / 100);
        pat_log(fabs(percent) > (double)i->s->conf->invoice_margin ? PAT_WARN : PAT_INFO,
                "invoice.compared", PAT_S("vendor", i->vendor->name), PAT_S("day", i->day),
                PAT_I("ours", pat_json_int_or(j, "ours", 0)),
                PAT_I("theirs", pat_json_int_or(j, "theirs", 0)));
    }
    later(i, err ? i->s->conf->invoice_look_ms : SOON_MS);
}

/* why NULL: the sum is theirs. */
static void put(struct invoices *i, const char *why)
{
    char theirs[32], margin[16];
    const char *params[] = { i->vendor->name, i->day, i->self.s, theirs, why, margin, LEAST };

    if (why)
        pat_log(PAT_WARN, "invoice.not_told", PAT_S("vendor", i->vendor->name),
                PAT_S("day", i->day), PAT_S("why", why));
    snprintf(theirs, sizeof theirs, "%lld", llround(i->sum * i->vendor->scale));
    snprintf(margin, sizeof margin, "%lld", (long long)i->s->conf->invoice_margin);
    i->http = 0;
    if (pat_db_run1(i->s->d->db, "put_invoice",
                    "select patchbay.put_invoice($1, $2::date, $3, $4::bigint, $5, $6::integer, "
                    "$7::bigint)::text",
                    params, 7, DB_MS, on_put, i, &i->query))
        later(i, i->s->conf->invoice_look_ms);
}

/* ------------------------------------------------------------------ asking */

static void ask_page(struct invoices *i);

static void on_page(int err, const struct pat_http_res *res, void *arg)
{
    struct invoices *i = arg;
    PAT_AUTO_JSON page = NULL;
    char why[40];

    i->http = 0;
    snprintf(why, sizeof why, "status %d", res->status);
    if (err)
        put(i, pat_err_name(err));
    else if (res->status != 200)
        put(i, why);
    else if (pat_json_parse(&page, res->body, res->len, NULL) ||
             i->vendor->read(page, &i->sum, i->cursor) || i->sum < 0 || i->sum > 1e12)
        put(i, "not what its API promises");
    else if (*i->cursor && ++i->pages < PAGES_MAX)
        ask_page(i);
    else
        put(i, *i->cursor ? "more pages than we read" : NULL);
}

static int send(struct invoices *i, const struct invoice_ask *a)
{
    const char *headers[] = { a->header.data, a->body.len ? "Content-Type: application/json" : NULL,
                              NULL };

    if (a->url.err || a->header.err || a->body.err)
        return PAT_ENOMEM;
    return pat_http_start(i->s->d->http,
                          &(struct pat_http_req){ .method = a->body.len ? "POST" : "GET",
                                                  .url = a->url.data,
                                                  .headers = headers,
                                                  .body = a->body.len ? a->body.data : NULL,
                                                  .body_len = a->body.len,
                                                  .timeout_ms = ASK_MS,
                                                  .max_body = ANSWER_MAX },
                          NULL, on_page, i, &i->http);
}

static void ask_page(struct invoices *i)
{
    const struct invoice_day day = { i->day, i->from_ms, i->to_ms };
    struct invoice_ask a;
    int err;

    pat_buf_init(&a.url, 4096);
    pat_buf_init(&a.header, 2048);
    pat_buf_init(&a.body, 4096);
    i->vendor->ask(&i->conf, &day, i->cursor, &a);
    err = send(i, &a);
    pat_buf_fini(&a.url);
    pat_buf_fini(&a.header);
    pat_buf_fini(&a.body);
    if (err)
        put(i, pat_err_name(err));
}

static void on_claimed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct invoices *i = arg;
    const char *text = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    PAT_AUTO_JSON j = NULL;

    i->query = 0;
    if (err)
        pat_log(PAT_WARN, "invoice.not_claimed", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    if (!text || pat_json_parse(&j, text, strlen(text), NULL) ||
        !(i->vendor = invoice_vendor_find(pat_json_str_or(j, "vendor", "")))) {
        later(i, i->s->conf->invoice_look_ms);
        return;
    }
    pat_strcpy(i->day, sizeof i->day, pat_json_str_or(j, "day", ""));
    i->from_ms = pat_json_int_or(j, "from_ms", 0);
    i->to_ms = pat_json_int_or(j, "to_ms", 0);
    *i->cursor = 0;
    i->sum = 0;
    i->pages = 0;
    ask_page(i);
}

static void look(void *arg)
{
    static const char sql[] =
        "select patchbay.claim_invoice($1::text[], " DAYS_BACK ", $2, interval '" LEASE "')::text";
    struct invoices *i = arg;
    char vendors[128] = "{";
    const char *params[] = { vendors, i->self.s };

    for (size_t v = 0; v < INVOICE_VENDORS; v++)
        if (invoice_vendors[v].ready(&i->conf)) {
            size_t at = strlen(vendors);

            snprintf(vendors + at, sizeof vendors - at, "%s%s", at > 1 ? "," : "",
                     invoice_vendors[v].name);
        }
    if (strlen(vendors) == 1)
        return; /* nobody to ask */
    snprintf(vendors + strlen(vendors), 2, "}");
    if (pat_db_run1(i->s->d->db, "claim_invoice", sql, params, 2, DB_MS, on_claimed, i, &i->query))
        later(i, i->s->conf->invoice_look_ms);
}

/* ------------------------------------------------------------------ over HTTP */

static void on_list(struct pat_httpd_req *http, void *arg)
{
    static const char sql[] =
        "select patchbay.invoice_list($3, $4::integer, $5::integer, " LEAST ") where " ASK_IS_ADMIN;
    struct switcher *s = arg;
    const char *vendor = pat_httpd_query_param(http, "vendor");
    const char *days = pat_httpd_query_param(http, "days");
    struct who who;
    char margin[16];

    if (door_who(&who, s, http))
        return;
    if (vendor && *vendor && !invoice_vendor_find(vendor)) {
        pat_httpd_reply_error(http, PAT_EINVAL, "vendor", "deepgram, elevenlabs, openai or retell");
        return;
    }
    if (days && (!*days || strlen(days) > 2 || strspn(days, "0123456789") != strlen(days) ||
                 *days == '0')) {
        pat_httpd_reply_error(http, PAT_EINVAL, "days", "must be a whole number from 1 to 99");
        return;
    }
    snprintf(margin, sizeof margin, "%lld", (long long)s->conf->invoice_margin);
    ask(s, http, &who,
        &(struct question){
            .name = "invoice_list",
            .sql = sql,
            .params = { vendor && *vendor ? vendor : NULL, days ? days : "30", margin },
            .n = 3,
            .admins_only = true });
}

int invoices_routes(struct switcher *s)
{
    return pat_httpd_route(s->httpd, "GET", "/v1/invoices", 0, on_list, s);
}

/* ------------------------------------------------------------------ life */

int invoices_new(struct invoices **out, struct switcher *s)
{
    struct invoices *i = calloc(1, sizeof *i);
    int err = i ? pat_timer_init(&i->timer, s->d->loop, look, i) : PAT_ENOMEM;

    if (err) {
        free(i);
        return err;
    }
    i->s = s;
    i->self = pat_id_new();
    i->conf = (struct invoice_conf){
        .retell_url = s->conf->retell_url,
        .retell_key = s->conf->retell_key,
        .openai_url = s->conf->openai_url,
        .openai_key = s->conf->openai_admin_key,
        .deepgram_url = s->conf->deepgram_url,
        .deepgram_key = s->conf->deepgram_key,
        .deepgram_project = s->conf->deepgram_project,
        .elevenlabs_url = s->conf->elevenlabs_url,
        .elevenlabs_key = s->conf->elevenlabs_key,
    };
    for (size_t v = 0; v < INVOICE_VENDORS; v++) {
        char labels[40];

        snprintf(labels, sizeof labels, "vendor=\"%s\"", invoice_vendors[v].name);
        i->ratio[v] = pat_gauge(s->d->metrics, "pat_invoice_difference_ratio",
                                "Ours less theirs, of theirs, of the day compared last", labels);
    }
    if (s->conf->invoice_look_ms)
        pat_timer_start(&i->timer, s->conf->invoice_look_ms);
    *out = i;
    return PAT_OK;
}

void invoices_free(struct invoices *i)
{
    if (!i)
        return;
    pat_db_cancel(i->s->d->db, i->query);
    pat_http_cancel(i->s->d->http, i->http);
    pat_timer_fini(&i->timer);
    free(i);
}
