/* replay.c - stored webhooks once more: which ones are parked, and putting them back, by RPC.
 *
 * After whatever stood in their way has been mended. What they say is told again (webhook.received)
 * and used again; everything made of a webhook may be made twice without harm. The same without a
 * running relay: command.c.
 */
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>

enum { DB_MS = 10000, LIST = 100, LIST_MAX = 500, REPLAY = 1000, REPLAY_MAX = 10000 };

struct replay {
    struct relay *r;
    struct pat_sub *list, *again;
};

/* ------------------------------------------------------------------ who is parked */

static void on_list(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    reply_rows(arg, "parked", err, results, n);
}

/* Without the body: it has people's words in it. */
static void list(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char sql[] =
        "select coalesce(jsonb_agg(to_jsonb(x) order by x.received_at, x.webhook_id), '[]') from ("
        "select id as webhook_id, source, kind, call_id, received_at, attempts, error, "
        "octet_length(body) as bytes from patchbay.webhook_inbox "
        "where state = 'parked' and ($1::text is null or source = $1::text) "
        "order by received_at, id limit $2::integer) x";
    struct replay *p = arg;
    int64_t limit = pat_json_int_or(params, "limit", LIST);
    char limit_text[24];
    const char *values[] = { pat_json_str_or(params, "source", NULL), limit_text };
    int err;

    if (limit < 1 || limit > LIST_MAX) {
        pat_rpc_fail(req, PAT_EINVAL, "limit", NULL);
        return;
    }
    (void)snprintf(limit_text, sizeof limit_text, "%lld", (long long)limit);
    err = pat_db_run1(p->r->d->db, "webhooks_parked", sql, values, 2, DB_MS, on_list, req, NULL);
    if (err)
        pat_rpc_fail(req, err, NULL, NULL);
}

/* ------------------------------------------------------------------ putting back */

struct asked {
    struct relay *r; /* its parts may be gone when the answer comes */
    struct pat_rpc_req *req;
    bool one;
};

static void on_replayed(int err, int64_t n, bool more, const char *why, void *arg)
{
    struct asked *a = arg;
    struct pat_json *result;

    if (!err && a->one && !n)
        err = PAT_ENOENT;
    if (err) {
        /* What Postgres does not take for a time is the asker's fault. */
        pat_rpc_fail(a->req, err, err == PAT_EINVAL ? "since" : NULL, NULL);
        if (err != PAT_EINVAL && err != PAT_ENOENT)
            pat_log(PAT_WARN, "webhook.not_replayed", PAT_ERR(err), PAT_S("why", why));
    } else {
        pat_log(PAT_INFO, "webhook.replayed", PAT_I("n", n));
        result = pat_json_obj();
        pat_json_set_int(result, "replayed", n);
        pat_json_set_bool(result, "more", more);
        pat_rpc_reply(a->req, result);
    }
    if (n && a->r->projector) {
        projector_look(a->r->projector);
        outbox_look(a->r->outbox);
    }
    free(a);
}

static int read_which(struct replay_which *w, const struct pat_json *params, const char **field)
{
    const char *why;

    *w = (struct replay_which){ .parked = pat_json_bool_or(params, "parked", false),
                                .max = pat_json_int_or(params, "limit", REPLAY) };
    *field = "webhook_id";
    if (!pat_strcpy(w->id, sizeof w->id, pat_json_str_or(params, "webhook_id", "")))
        return PAT_EINVAL;
    *field = "source";
    if (!pat_strcpy(w->source, sizeof w->source, pat_json_str_or(params, "source", "")))
        return PAT_EINVAL;
    *field = "since";
    if (!pat_strcpy(w->since, sizeof w->since, pat_json_str_or(params, "since", "")) ||
        !pat_strcpy(w->until, sizeof w->until, pat_json_str_or(params, "until", "")))
        return PAT_EINVAL;
    *field = "limit";
    if (w->max < 1 || w->max > REPLAY_MAX)
        return PAT_EINVAL;
    *field = "webhook_id";
    return replay_check(w, &why);
}

static void again(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    const struct replay *p = arg;
    struct replay_which which;
    const char *field;
    struct asked *a;
    int err = read_which(&which, params, &field);

    if (err) {
        pat_rpc_fail(req, err, field, "an id, or since, or parked");
        return;
    }
    a = malloc(sizeof *a);
    err = a ? PAT_OK : PAT_ENOMEM;
    if (a) {
        *a = (struct asked){ .r = p->r, .req = req, .one = *which.id };
        err = replay_start(p->r->d->db, &which, on_replayed, a);
    }
    if (err) {
        free(a);
        pat_rpc_fail(req, err, NULL, NULL);
    }
}

int replay_new(struct replay **out, struct relay *r)
{
    struct replay *p = calloc(1, sizeof *p);
    int err = p ? PAT_OK : PAT_ENOMEM;

    if (err)
        return err;
    p->r = r;
    err = pat_rpc_serve(r->d->bus, &p->list, "relay", "webhooks_parked", list, p);
    if (!err)
        err = pat_rpc_serve(r->d->bus, &p->again, "relay", "replay", again, p);
    if (err)
        replay_free(p);
    else
        *out = p;
    return err;
}

void replay_free(struct replay *p)
{
    if (!p)
        return;
    pat_bus_unsubscribe(p->list);
    pat_bus_unsubscribe(p->again);
    free(p);
}
