/* events.c - what Retell says happened becomes our events; see events.h.
 *
 * The webhook-relay has verified and stored the webhook; the news names its row. It is told once
 * the relay has found the call it is about: then the row has no passcodes in it any more, and what
 * is nobody's is parked and never told. Acknowledged when the journal has it.
 */
#include "events.h"

#include <stdlib.h>
#include <string.h>

#define STREAM          "WEBHOOK"
#define FILTER          "pat.webhook.v1.received.retell.>"
#define READ_TIMEOUT_MS 10000
#define SOON_MS         60 /* the relay is at it just now */
#define AGAIN_MS        2000
#define SOON_TRIES      3

struct seen {
    struct provider *p;
    char *reply; /* names the message for its acknowledgement */
    int deliveries;
};

static void seen_free(struct seen *s)
{
    free(s->reply);
    free(s);
}

struct pat_json *news_data(const struct news *n)
{
    struct pat_json *data = pat_json_obj();

    pat_json_set_str(data, "call_id", n->call);
    pat_json_set_str(data, "user_id", n->user);
    return data;
}

int news_tell(const struct news *n, const char *area, const char *name, int64_t time_ms,
              const char *once, struct pat_json *data_take, const struct pat_db_stmt *stmts,
              size_t n_stmts)
{
    struct pat_id id = pat_event_id_once(n->retell, once);
    struct pat_event e = { .area = area,
                           .name = name,
                           .user_id = n->user,
                           .key = n->call,
                           .source = "/patchbay/retell-provider",
                           .time_ms = time_ms,
                           .id = &id };

    return pat_journal_add(n->p->journal, &e, data_take, stmts, n_stmts);
}

static int tell_ended(const struct news *n)
{
    int err = n->answered ? PAT_OK : news_answered(n);

    if (!err && !n->billed)
        err = news_costs(n);
    if (!err && !n->told)
        err = news_turns(n);
    return !err && !n->told ? news_stack_ended(n) : err;
}

static int tell(const struct news *n)
{
    if (!strcmp(n->kind, "call_started"))
        return n->answered ? PAT_OK : news_answered(n);
    if (!strcmp(n->kind, "call_analyzed") || !strcmp(n->kind, "call_ended"))
        return tell_ended(n);
    if (!strncmp(n->kind, "transfer_", 9))
        return news_transfer(n);
    if (!strcmp(n->kind, "transcript_updated"))
        news_live(n);
    return PAT_OK;
}

static bool yes(const struct pat_db_result *r, const char *column)
{
    const char *v = pat_db_get(r, 0, column);

    return v && *v == 't';
}

static int read_row(struct provider *p, const struct pat_db_result *r)
{
    PAT_AUTO_JSON body = NULL;
    PAT_AUTO_JSON tools = NULL;
    const char *text = pat_db_get(r, 0, "body"), *used = pat_db_get(r, 0, "tools");
    const char *segment = pat_db_get(r, 0, "segment");
    struct news n = { .p = p,
                      .call = pat_db_get(r, 0, "call_id"),
                      .user = pat_db_get(r, 0, "user_id"),
                      .segment = segment ? strtoll(segment, NULL, 10) : 1,
                      .told = yes(r, "told"),
                      .billed = yes(r, "billed"),
                      .answered = yes(r, "answered") };
    int err = text ? pat_json_parse(&body, text, strlen(text), NULL) : PAT_EINVAL;

    if (!err && used)
        err = pat_json_parse(&tools, used, strlen(used), NULL);
    if (err)
        return err;
    n.body = body;
    n.tools = tools;
    n.kind = pat_json_str_or(body, "event", "");
    n.retell = pat_json_str_or(body, "call.call_id", "");
    /* No leg: it was registered and never dialled, and there is nothing to tell. */
    return n.call && n.user && segment ? tell(&n) : PAT_OK;
}

static void on_body(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct seen *s = arg;
    const char *state;
    bool waits = false;

    (void)n;
    if (!s->p->journal) {
        seen_free(s); /* stopping: unacknowledged, so another replica gets it */
        return;
    }
    if (!err && pat_db_rows(results[0])) {
        state = pat_db_get(results[0], 0, "state");
        waits = !strcmp(state, "received");
        if (!strcmp(state, "projected"))
            err = read_row(s->p, results[0]);
    }
    if (err)
        pat_log(PAT_WARN, "webhook.not_used_yet", PAT_ERR(err));
    /* A row that is not there, or not JSON, will not get better; the rest may. */
    if (!waits && (!err || err == PAT_EINVAL))
        pat_bus_ack(s->p->d->bus, s->reply);
    else
        pat_bus_nak(s->p->d->bus, s->reply,
                    waits && s->deliveries <= SOON_TRIES ? SOON_MS * s->deliveries : AGAIN_MS);
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
    s->deliveries = pat_msg_deliveries(m);
    s->reply = strdup(m->reply);
    err = s->reply ? pat_db_run1(p->d->db, "retell_news", "select * from patchbay.retell_news($1)",
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
