/* parked.c - events that could not be published: who they are, and another chance, by RPC.
 *
 * Whoever has mended what was wrong (a stream, a limit) puts them back; the sweep of outbox.c then
 * takes them like any other. How many there are is a metric of backlog.c.
 */
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>

enum { DB_MS = 5000, LIMIT = 100, LIMIT_MAX = 500 };

struct parked {
    struct relay *r;
    struct pat_sub *list, *put_back;
};

static void on_list(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    reply_rows(arg, "parked", err, results, n);
}

static void list(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char sql[] =
        "select coalesce(jsonb_agg(to_jsonb(x) order by x.parked_at, x.event_id), '[]') from ("
        "select id as event_id, subject, created_at, parked_at, attempts, last_error as error, "
        "octet_length(payload::text) as bytes from patchbay.outbox "
        "where parked_at is not null order by parked_at, id limit $1::integer) x";
    struct parked *p = arg;
    int64_t limit = pat_json_int_or(params, "limit", LIMIT);
    char limit_text[24];
    const char *values[] = { limit_text };
    int err;

    if (limit < 1 || limit > LIMIT_MAX) {
        pat_rpc_fail(req, PAT_EINVAL, "limit", NULL);
        return;
    }
    (void)snprintf(limit_text, sizeof limit_text, "%lld", (long long)limit);
    err = pat_db_run1(p->r->d->db, "outbox_parked", sql, values, 1, DB_MS, on_list, req, NULL);
    if (err)
        pat_rpc_fail(req, err, NULL, NULL);
}

struct asked {
    struct relay *r; /* parked may be gone when the answer comes */
    struct pat_rpc_req *req;
    bool one;
};

static void on_put_back(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct asked *a = arg;
    int64_t rows = !err && n ? pat_db_affected(results[0]) : 0;
    struct pat_json *result;

    if (!err && a->one && !rows)
        err = PAT_ENOENT;
    if (err) {
        pat_rpc_fail(a->req, err, NULL, NULL);
    } else {
        pat_log(PAT_INFO, "outbox.put_back", PAT_I("n", rows));
        result = pat_json_obj();
        pat_json_set_int(result, "put_back", rows);
        pat_rpc_reply(a->req, result);
        outbox_look(a->r->outbox);
    }
    free(a);
}

static void put_back(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char sql[] =
        "update patchbay.outbox set parked_at = null, attempts = 0, next_attempt_at = null "
        "where parked_at is not null and ($1::uuid is null or id = $1::uuid)";
    const char *values[] = { pat_json_str_or(params, "event_id", NULL) };
    const struct parked *p = arg;
    struct asked *a;
    int err;

    if (values[0] ? !pat_id_valid(values[0]) : !pat_json_bool_or(params, "all", false)) {
        pat_rpc_fail(req, PAT_EINVAL, "event_id", "an event's id, or all");
        return;
    }
    a = malloc(sizeof *a);
    err = a ? PAT_OK : PAT_ENOMEM;
    if (a) {
        *a = (struct asked){ .r = p->r, .req = req, .one = values[0] };
        err = pat_db_run1(p->r->d->db, "outbox_put_back", sql, values, 1, DB_MS, on_put_back, a,
                          NULL);
    }
    if (err) {
        free(a);
        pat_rpc_fail(req, err, NULL, NULL);
    }
}

int parked_new(struct parked **out, struct relay *r)
{
    struct parked *p = calloc(1, sizeof *p);
    int err = p ? PAT_OK : PAT_ENOMEM;

    if (err)
        return err;
    p->r = r;
    err = pat_rpc_serve(r->d->bus, &p->list, "relay", "outbox_parked", list, p);
    if (!err)
        err = pat_rpc_serve(r->d->bus, &p->put_back, "relay", "outbox_put_back", put_back, p);
    if (err)
        parked_free(p);
    else
        *out = p;
    return err;
}

void parked_free(struct parked *p)
{
    if (!p)
        return;
    pat_bus_unsubscribe(p->list);
    pat_bus_unsubscribe(p->put_back);
    free(p);
}
