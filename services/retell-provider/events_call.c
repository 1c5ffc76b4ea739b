/* events_call.c - call.answered, call.stack_ended, usage.recorded and call.transfer from what
 * Retell tells; see events.h.
 *
 * call.ended is the router's, when the carrier's leg is over: Retell's end may be but a transfer.
 * Where the carrier never says so, sweep.c does.
 */
#include "events.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No bill of one call: what is beyond is nonsense, and too large for its row. */
#define CENTS_MAX 1e7

int news_answered(const struct news *n)
{
    int64_t at_ms = pat_json_int_or(n->body, "call.start_timestamp", 0);
    struct pat_id id = pat_event_id_once(n->call, "answered");
    struct pat_event e = { .area = "call",
                           .name = "answered",
                           .user_id = n->user,
                           .key = n->call,
                           .source = "/patchbay/retell-provider",
                           .time_ms = at_ms,
                           .id = &id };
    struct pat_json *data, *facts;
    char at[PAT_TIME_LEN + 1];
    const char *params[1];
    struct pat_db_stmt stmt = { "put_call", "select patchbay.put_call($1::jsonb)", 1, params };
    PAT_AUTO_STR text = NULL;

    if (at_ms <= 0)
        return PAT_OK; /* nobody answered */
    data = news_data(n);
    facts = pat_json_obj();
    pat_time_format(at_ms, at);
    pat_json_set_str(data, "stack", "retell");
    pat_json_set_null(data, "greeting_ms");
    pat_json_set_str(facts, "id", n->call);
    pat_json_set_str(facts, "user_id", n->user);
    pat_json_set_str(facts, "state", "answered");
    pat_json_set_str(facts, "answered_at", at);
    text = pat_json_print(facts);
    pat_json_free(facts);
    params[0] = text;
    if (!text) {
        pat_json_free(data);
        return PAT_ENOMEM;
    }
    return pat_journal_add(n->p->journal, &e, data, &stmt, 1);
}

/* ------------------------------------------------------------------ costs */

/* A product may be billed twice, once for a transfer's leg: nth counts the earlier ones. */
static int nth_of(const struct pat_json *costs, size_t at, const char *name)
{
    int nth = 0;

    for (size_t i = 0; i < at; i++)
        nth += !strcmp(pat_json_str_or(pat_json_item(costs, i), "product", "unknown"), name);
    return nth;
}

/* Retell's money is in cents (docs.retellai.com, get-call: call_cost); the unit says so. */
static int tell_product(const struct news *n, const char *name, int nth, double cents)
{
    struct pat_json *data = news_data(n), *row;
    char what[200], id[PAT_ID_LEN + 1], at[PAT_TIME_LEN + 1];
    int64_t at_ms = pat_json_int_or(n->body, "call.start_timestamp", pat_unix_ms());
    const char *params[1];
    struct pat_db_stmt stmt = { "put_usage", "select patchbay.put_usage($1::jsonb)", 1, params };
    PAT_AUTO_STR text = NULL;

    snprintf(what, sizeof what, "usage %s %d", name, nth);
    pat_strcpy(id, sizeof id, pat_event_id_once(n->retell, what).s);
    pat_time_format(at_ms, at);
    pat_json_set_str(data, "leg", "retell");
    pat_json_set_str(data, "component", name);
    pat_json_set_str(data, "unit", "usd_cent");
    pat_json_set_str(data, "provider", "retell");
    pat_json_set_int(data, "segment", n->segment);
    row = pat_json_dup(data);
    pat_json_set_num(data, "quantity", cents);
    pat_json_set_null(data, "model");
    pat_json_set_str(row, "id", id);
    pat_json_set_str(row, "used_at", at);
    pat_json_set_int(row, "quantity_milli", llround(cents * 1000));
    text = pat_json_print(row);
    pat_json_free(row);
    params[0] = text;
    return news_tell(n, "usage", "recorded", at_ms, what, data, &stmt, text ? 1 : 0);
}

static int note(const struct news *n, const char *sql)
{
    const char *params[] = { n->retell };
    const struct pat_db_stmt stmt = { NULL, sql, 1, params };

    return pat_journal_add(n->p->journal, NULL, NULL, &stmt, 1);
}

int news_costs(const struct news *n)
{
    const struct pat_json *costs = pat_json_at(n->body, "call.call_cost.product_costs");
    size_t size = costs && pat_json_kind(costs) == PAT_JSON_ARR ? pat_json_size(costs) : 0;
    int err = PAT_OK;

    for (size_t i = 0; i < size && !err; i++) {
        const struct pat_json *product = pat_json_item(costs, i);
        const char *name = pat_json_str_or(product, "product", "unknown");
        double cents = pat_json_num_or(product, "cost", 0);

        if (strlen(name) > 100)
            name = "unknown";
        err = tell_product(n, name, nth_of(costs, i, name),
                           cents > 0 && cents < CENTS_MAX ? cents : 0);
    }
    return err || !size ? err
                        : note(n, "update patchbay.retell_legs set billed_at = now() "
                                  "where retell_call_id = $1 and billed_at is null");
}

/* ------------------------------------------------------------------ the end */

/* The words are Postgres' business (patchbay.end_reasons): the event is made there in full, of what
 * is known here. */
struct ending {
    struct provider *p;
    char call[PAT_ID_LEN + 1], user[PAT_ID_LEN + 1], retell[130];
    char vendor[64];
    int64_t ended_ms, duration_ms, segment;
};

static void on_reason(int err, const struct pat_db_result *const *results, size_t rows, void *arg)
{
    struct ending *e = arg;
    const char *params[] = { e->retell };
    const struct pat_db_stmt stmt = { NULL,
                                      "update patchbay.retell_legs set told_at = now() "
                                      "where retell_call_id = $1 and told_at is null",
                                      1, params };
    const struct news n = { .p = e->p, .call = e->call, .user = e->user, .retell = e->retell };

    if (err || !rows || !pat_db_rows(results[0]) || !e->p->journal) {
        pat_log(PAT_WARN, "call.end_not_told", PAT_S("call", e->call), PAT_ERR(err));
    } else { /* call_analyzed says it again, if this is lost */
        struct pat_json *data = news_data(&n);
        const char *reason = pat_db_value(results[0], 0, 0);

        pat_json_set_str(data, "stack", "retell");
        pat_json_set_str(data, "reason", reason);
        pat_json_set_str(data, "owner", pat_db_value(results[0], 0, 1));
        pat_json_set_str(data, "vendor_reason", e->vendor);
        pat_json_set_str(data, "vendor_call_id", e->retell);
        pat_json_set_int(data, "segment", e->segment);
        pat_json_set_int(data, "duration_ms", e->duration_ms);
        pat_log(PAT_INFO, "call.stack_ended", PAT_S("call", e->call), PAT_S("reason", reason),
                PAT_S("vendor_reason", e->vendor));
        if (news_tell(&n, "call", "stack_ended", e->ended_ms, "stack_ended", data, &stmt, 1))
            pat_log(PAT_WARN, "call.end_not_told", PAT_S("call", e->call));
    }
    free(e);
}

int news_stack_ended(const struct news *n)
{
    struct ending *e = calloc(1, sizeof *e);
    const char *params[1];
    int err;

    if (!e)
        return PAT_ENOMEM;
    e->p = n->p;
    e->segment = n->segment;
    e->ended_ms = pat_json_int_or(n->body, "call.end_timestamp", pat_unix_ms());
    e->duration_ms = pat_json_int_or(n->body, "call.duration_ms", 0);
    if (e->duration_ms < 0)
        e->duration_ms = 0;
    pat_strcpy(e->call, sizeof e->call, n->call);
    pat_strcpy(e->user, sizeof e->user, n->user);
    pat_strcpy(e->retell, sizeof e->retell, n->retell);
    if (!pat_strcpy(e->vendor, sizeof e->vendor,
                    pat_json_str_or(n->body, "call.disconnection_reason", "error_unknown")))
        pat_strcpy(e->vendor, sizeof e->vendor, "error_unknown");
    params[0] = e->vendor;
    err = pat_db_run1(n->p->d->db, "retell_end",
                      "select (e).reason, (e).owner from patchbay.retell_end($1) e", params, 1,
                      10000, on_reason, e, NULL);
    if (err)
        free(e);
    return err;
}

/* ------------------------------------------------------------------ transfers of Retell's own */

/* "+1******0123"; the catalogue knows no other shape. */
static void mask(char out[32], const char *number)
{
    size_t len = number ? strspn(number, "+0123456789") : 0;

    if (!number || *number != '+' || number[len] || len < 6 || len > 17) {
        pat_strcpy(out, 32, "+****");
        return;
    }
    pat_strcpy(out, 32, number);
    for (size_t i = 1; i + 4 < len; i++)
        out[i] = '*';
}

int news_transfer(const struct news *n)
{
    static const struct {
        const char *kind, *outcome, *reason;
    } steps[] = { { "transfer_started", "started", NULL },
                  { "transfer_bridged", "bridged", NULL },
                  { "transfer_cancelled", "failed", "canceled" },
                  { "transfer_ended", "ended", NULL } };
    const char *number = pat_json_str_or(n->body, "transfer_destination.number", NULL);
    const char *option = pat_json_str_or(n->body, "transfer_option.type", "cold_transfer");
    int64_t at_ms = pat_json_int_or(n->body, "event_timestamp", pat_unix_ms());
    char what[160], to[32];

    if (!number)
        number = pat_json_str_or(n->body, "call.transfer_destination", NULL);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct pat_json *data;

        if (strcmp(n->kind, steps[i].kind) != 0)
            continue;
        data = news_data(n);
        snprintf(what, sizeof what, "transfer %.60s", number ? number : "");
        pat_json_set_str(data, "transfer_id", pat_event_id_once(n->retell, what).s);
        pat_json_set_int(data, "attempt", 1);
        pat_json_set_str(data, "mode", strstr(option, "warm") ? "warm" : "cold");
        pat_json_set_null(data, "label");
        mask(to, number);
        pat_json_set_str(data, "to", to);
        pat_json_set_str(data, "outcome", steps[i].outcome);
        pat_json_set_str(data, "reason", steps[i].reason);
        pat_json_set_null(data, "carrier_leg_id");
        snprintf(what, sizeof what, "%s %.60s %lld", n->kind, number ? number : "",
                 (long long)pat_json_int_or(n->body, "event_timestamp", 0));
        return news_tell(n, "call", "transfer", at_ms, what, data, NULL, 0);
    }
    return PAT_OK;
}
