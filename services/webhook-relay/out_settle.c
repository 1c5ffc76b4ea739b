/* out_settle.c - how attempts ended is written down, in batches, one at a time.
 *
 * While Postgres is away results wait here; there are never more of them than may be under way
 * (out_deliver.c counts both). What is written too late, because the claim had run out and another
 * relay has the delivery, is not heard: it is delivered twice, never lost.
 */
#include "out.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 64, WAIT_MS = 5, AGAIN_MS = 500 };
#define TEXT_MAX ((size_t)4 << 20)

struct list {
    struct out_result *v;
    size_t n, cap;
};

struct out_settle {
    struct out *o;
    struct pat_timer timer;
    struct list fresh, sent; /* the second is with Postgres, or about to be again */
    pat_db_id query;
};

static void list_clear(struct list *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->v[i].response);
    l->n = 0;
}

static bool list_add(struct list *l, const struct out_result *r)
{
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : BATCH;
        struct out_result *v = realloc(l->v, cap * sizeof *v);

        if (!v)
            return false;
        l->v = v;
        l->cap = cap;
    }
    l->v[l->n++] = *r;
    return true;
}

size_t out_settle_pending(const struct out_settle *s)
{
    return s->fresh.n + s->sent.n;
}

/* ---- as Postgres gets it ---- */

static void add_text(struct pat_buf *b, const char *name, const char *value)
{
    if (!value || !*value)
        return;
    pat_buf_addf(b, ",\"%s\":", name);
    (void)pat_json_quote(b, value, strlen(value));
}

static void add_number(struct pat_buf *b, const char *name, int64_t value)
{
    pat_buf_addf(b, ",\"%s\":", name);
    pat_buf_addi(b, value);
}

static void add_result(struct pat_buf *b, const struct out_result *r)
{
    pat_buf_adds(b, "{\"id\":\"");
    pat_buf_adds(b, r->delivery.s);
    pat_buf_adds(b, "\"");
    add_text(b, "what", r->what);
    add_number(b, "attempt", r->attempt);
    add_number(b, "ms", r->ms);
    if (r->status)
        add_number(b, "status", r->status);
    if (r->next_ms || !strcmp(r->what, "back"))
        add_number(b, "next_ms", r->next_ms);
    if (r->hold_ms)
        add_number(b, "hold_ms", r->hold_ms);
    if (r->gone)
        pat_buf_adds(b, ",\"gone\":true");
    add_text(b, "fault", r->fault);
    add_text(b, "error", r->error);
    add_text(b, "response", r->response);
    pat_buf_adds(b, "}");
}

static char *as_text(const struct list *l)
{
    struct pat_buf b;

    pat_buf_init(&b, TEXT_MAX);
    pat_buf_adds(&b, "[");
    for (size_t i = 0; i < l->n; i++) {
        if (i)
            pat_buf_adds(&b, ",");
        add_result(&b, &l->v[i]);
    }
    pat_buf_adds(&b, "]");
    return pat_buf_take(&b);
}

/* ---- what came of it ---- */

static struct out_result *find(struct list *l, const char *delivery)
{
    for (size_t i = 0; i < l->n; i++)
        if (!strcmp(l->v[i].delivery.s, delivery))
            return &l->v[i];
    return NULL;
}

static void noted(struct out_settle *s, struct out_result *r)
{
    bool ended = !strcmp(r->what, "delivered") || !strcmp(r->what, "dead");

    if (ended && r->ordered)
        out_touch(s->o, r->endpoint.s); /* the next one in its lane may go */
    if (!strcmp(r->what, "retry") || !strcmp(r->what, "dead"))
        pat_log(PAT_INFO, "webhook.not_delivered", PAT_S("delivery", r->delivery.s),
                PAT_S("endpoint", r->endpoint.s), PAT_S("type", r->type), PAT_I("tries", r->tries),
                PAT_S("outcome", r->what), PAT_S("fault", r->fault), PAT_S("reason", r->error),
                PAT_I("status", r->status));
    if (ended)
        out_tell(s->o, r);
}

static void read_answer(struct out_settle *s, const struct pat_db_result *rows)
{
    for (size_t i = 0; i < pat_db_rows(rows); i++) {
        const char *delivery = pat_db_value(rows, i, 0), *endpoint = pat_db_value(rows, i, 1);
        struct out_result *r = delivery ? find(&s->sent, delivery) : NULL;

        if (r)
            noted(s, r);
        if (endpoint) {
            pat_counter_add(s->o->m.disabled, 1);
            pat_log(PAT_WARN, "webhook.endpoint_disabled", PAT_S("endpoint", endpoint));
        }
    }
}

static void send_again(void *arg);

static bool only_away(int err)
{
    return err == PAT_ECONN || err == PAT_ETIMEDOUT || err == PAT_EAGAIN || err == PAT_ENOMEM ||
           err == PAT_EUNAVAIL || err == PAT_ECANCELED;
}

static void on_settled(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct out_settle *s = arg;

    s->query = 0;
    if (err)
        pat_log(PAT_WARN, "webhook.not_settled", PAT_I("results", (int64_t)s->sent.n), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    if (err && only_away(err)) {
        pat_timer_start(&s->timer, AGAIN_MS);
        return;
    }
    if (!err)
        read_answer(s, results[0]); /* else they are due again when their claim runs out */
    list_clear(&s->sent);
    if (s->fresh.n)
        send_again(s);
    out_pump_soon(s->o);
    out_check_left(s->o);
}

static void send_again(void *arg)
{
    static const char sql[] = "select delivery_id, disabled from "
                              "patchbay.webhook_settle($1::jsonb, $2::bigint)";
    struct out_settle *s = arg;
    char disable_ms[24];
    PAT_AUTO_STR text = NULL;
    const char *params[2];

    pat_timer_stop(&s->timer);
    if (s->query)
        return;
    if (!s->sent.n) {
        struct list empty = s->sent;

        s->sent = s->fresh;
        s->fresh = empty;
    }
    if (!s->sent.n)
        return;
    text = as_text(&s->sent);
    (void)snprintf(disable_ms, sizeof disable_ms, "%lld",
                   (long long)s->o->r->conf->out_disable_after_ms);
    params[0] = text;
    params[1] = disable_ms;
    if (!text || pat_db_run1(s->o->r->d->db, "webhook_settle", sql, params, 2, OUT_DB_MS,
                             on_settled, s, &s->query))
        pat_timer_start(&s->timer, AGAIN_MS);
}

void out_settle_flush(struct out_settle *s)
{
    send_again(s);
}

void out_settle_add(struct out_settle *s, struct out_result *result)
{
    if (!list_add(&s->fresh, result)) { /* due again when its claim runs out */
        free(result->response);
        return;
    }
    if (s->query || s->sent.n)
        return; /* goes with the next one */
    if (s->fresh.n >= BATCH)
        send_again(s);
    else if (!pat_timer_running(&s->timer))
        pat_timer_start(&s->timer, WAIT_MS);
}

int out_settle_new(struct out_settle **out, struct out *o)
{
    struct out_settle *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return PAT_ENOMEM;
    s->o = o;
    err = pat_timer_init(&s->timer, o->r->d->loop, send_again, s);
    if (err) {
        free(s);
        return err;
    }
    *out = s;
    return PAT_OK;
}

void out_settle_free(struct out_settle *s)
{
    if (!s)
        return;
    pat_db_cancel(s->o->r->d->db, s->query);
    pat_timer_fini(&s->timer);
    list_clear(&s->fresh);
    list_clear(&s->sent);
    free(s->fresh.v);
    free(s->sent.v);
    free(s);
}
