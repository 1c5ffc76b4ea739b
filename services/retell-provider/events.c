/* events.c - what Retell says happened becomes our events: call.answered, usage.recorded.
 *
 * The webhook-relay has verified and stored the webhook; the news names its row. Each event is told
 * once per call (its id is made from the call's), so redeliveries and Retell's own repeats change
 * nothing. Acknowledged when the journal has it.
 */
#include "provider.h"

#include <stdlib.h>
#include <string.h>

#define STREAM          "WEBHOOK"
#define FILTER          "pat.webhook.v1.received.retell.>"
#define READ_TIMEOUT_MS 10000
#define AGAIN_MS        2000

struct seen {
    struct provider *p;
    char *reply; /* names the message for its acknowledgement */
};

static void seen_free(struct seen *s)
{
    free(s->reply);
    free(s);
}

static struct pat_json *about(const char *call, const char *user)
{
    struct pat_json *data = pat_json_obj();

    pat_json_set_str(data, "call_id", call);
    pat_json_set_str(data, "user_id", user);
    return data;
}

static int tell_answered(struct provider *p, const char *call, const char *user,
                         const struct pat_json *body)
{
    struct pat_id id = pat_event_id_once(call, "answered");
    int64_t at_ms = pat_json_int_or(body, "call.start_timestamp", pat_unix_ms());
    struct pat_event e = { .area = "call",
                           .name = "answered",
                           .user_id = user,
                           .key = call,
                           .source = "/patchbay/retell-provider",
                           .time_ms = at_ms,
                           .id = &id };
    struct pat_json *data = about(call, user), *facts = pat_json_obj();
    char at[PAT_TIME_LEN + 1];
    const char *params[1];
    struct pat_db_stmt stmt = { "put_call", "select patchbay.put_call($1::jsonb)", 1, params };
    PAT_AUTO_STR text = NULL;

    pat_time_format(at_ms, at);
    pat_json_set_str(data, "stack", "retell");
    pat_json_set_null(data, "greeting_ms");
    pat_json_set_str(facts, "id", call);
    pat_json_set_str(facts, "user_id", user);
    pat_json_set_str(facts, "state", "answered");
    pat_json_set_str(facts, "answered_at", at);
    text = pat_json_print(facts);
    pat_json_free(facts);
    params[0] = text;
    if (!text) {
        pat_json_free(data);
        return PAT_ENOMEM;
    }
    return pat_journal_add(p->journal, &e, data, &stmt, 1);
}

/* Retell's money is in cents; ours in the unit named. One event per product of the bill. */
static int tell_usage(struct provider *p, const char *call, const char *user,
                      const struct pat_json *product)
{
    const char *name = pat_json_str_or(product, "product", "unknown");
    struct pat_buf what;
    struct pat_id id;
    struct pat_json *data = about(call, user);

    pat_buf_init(&what, 256);
    pat_buf_adds(&what, "usage retell ");
    if (pat_buf_adds(&what, name)) {
        pat_buf_fini(&what);
        pat_json_free(data);
        return PAT_EINVAL;
    }
    id = pat_event_id_once(call, what.data);
    pat_buf_fini(&what);
    pat_json_set_str(data, "leg", "retell");
    pat_json_set_str(data, "component", name);
    pat_json_set_str(data, "unit", "usd_cent");
    pat_json_set_num(data, "quantity", pat_json_num_or(product, "cost", 0));
    pat_json_set_str(data, "provider", "retell");
    pat_json_set_null(data, "model");
    return pat_journal_add(p->journal,
                           &(struct pat_event){ .area = "usage",
                                                .name = "recorded",
                                                .user_id = user,
                                                .key = call,
                                                .source = "/patchbay/retell-provider",
                                                .id = &id },
                           data, NULL, 0);
}

static int tell_cost(struct provider *p, const char *call, const char *user,
                     const struct pat_json *body)
{
    const struct pat_json *costs = pat_json_at(body, "call.call_cost.product_costs");
    size_t n = costs && pat_json_kind(costs) == PAT_JSON_ARR ? pat_json_size(costs) : 0;
    int err = PAT_OK;

    for (size_t i = 0; i < n && !err; i++)
        err = tell_usage(p, call, user, pat_json_item(costs, i));
    return err;
}

static int tell(struct provider *p, const struct pat_json *body)
{
    const char *kind = pat_json_str_or(body, "event", "");
    const char *call = pat_json_str_or(body, "call.metadata.call_id", NULL);
    const char *user = pat_json_str_or(body, "call.metadata.user_id", NULL);

    if (!call || !user || !pat_id_valid(call) || !pat_id_valid(user))
        return PAT_OK; /* not a call of ours: somebody dialled the agent another way */
    if (!strcmp(kind, "call_started"))
        return tell_answered(p, call, user, body);
    if (!strcmp(kind, "call_analyzed") || !strcmp(kind, "call_ended"))
        return tell_cost(p, call, user, body);
    return PAT_OK;
}

static void on_body(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct seen *s = arg;
    PAT_AUTO_JSON body = NULL;
    const char *text;

    (void)n;
    if (!s->p->journal) {
        seen_free(s); /* stopping: unacknowledged, so another replica gets it */
        return;
    }
    if (!err && pat_db_rows(results[0])) {
        text = pat_db_value(results[0], 0, 0);
        err = text ? pat_json_parse(&body, text, strlen(text), NULL) : PAT_EINVAL;
        if (!err)
            err = tell(s->p, body);
    }
    if (err)
        pat_log(PAT_WARN, "webhook.not_used_yet", PAT_ERR(err));
    /* A row that is not there, or not JSON, will not get better; the rest may. */
    if (!err || err == PAT_EINVAL)
        pat_bus_ack(s->p->d->bus, s->reply);
    else
        pat_bus_nak(s->p->d->bus, s->reply, AGAIN_MS);
    seen_free(s);
}

static int read_body(struct provider *p, const struct pat_msg *m)
{
    PAT_AUTO_JSON event = NULL;
    struct seen *s = NULL;
    const char *params[1];
    int err = pat_event_parse(&event, m->data, m->len, NULL);

    if (!err)
        err = pat_json_get_id(event, "data.webhook_id", &params[0], NULL);
    if (err)
        return err;
    s = calloc(1, sizeof *s);
    if (!s)
        return PAT_ENOMEM;
    s->p = p;
    s->reply = strdup(m->reply);
    err = s->reply
              ? pat_db_run1(
                    p->d->db, "webhook_body",
                    "select convert_from(body, 'UTF8') from patchbay.webhook_inbox where id = $1",
                    params, 1, READ_TIMEOUT_MS, on_body, s, NULL)
              : PAT_ENOMEM;
    if (err)
        seen_free(s);
    return err;
}

static void on_webhook(const struct pat_msg *m, void *arg)
{
    struct provider *p = arg;
    int err = read_body(p, m);

    if (err == PAT_EINVAL)
        pat_bus_term(p->d->bus, m->reply);
    else if (err)
        pat_bus_nak(p->d->bus, m->reply, AGAIN_MS);
}

int events_start(struct provider *p)
{
    return pat_consumer_new(&p->webhooks, p->d->bus,
                            &(struct pat_consumer_opts){ .stream = STREAM,
                                                         .durable = "retell-provider",
                                                         .filter = FILTER,
                                                         .batch = 64,
                                                         .ack_wait_ms = 30000 },
                            on_webhook, p);
}
