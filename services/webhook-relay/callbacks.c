/* callbacks.c - who wants to be called back, and when: the due list, by RPC.
 *
 * Reads and closes rows of patchbay.callbacks, which the agents write. Nobody is called from here:
 * whoever makes the calls asks for what is due and closes what is done.
 */
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DB_MS = 3000, LIMIT = 100, LIMIT_MAX = 500 };

struct callbacks {
    struct relay *r;
    struct pat_sub *due, *close;
};

static void on_due(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    if (err == PAT_EINVAL) /* an until that is no time is the asker's fault */
        pat_rpc_fail(arg, err, "until", NULL);
    else
        reply_rows(arg, "callbacks", err, results, n);
}

/* A user id that is one, or none at all. */
static bool good_user(const char *user)
{
    return !user || pat_id_valid(user);
}

static void due(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char sql[] =
        "select coalesce(jsonb_agg(to_jsonb(x) order by x.due_at, x.id), '[]') from ("
        "select id, call_id, user_id, agent_config_id, number, caller_name, reason, due_at, "
        "time_zone, local_time from patchbay.callbacks "
        "where state = 'open' and due_at <= coalesce($1::timestamptz, now()) "
        "and ($2::uuid is null or user_id = $2::uuid) order by due_at, id limit $3::integer) x";
    struct callbacks *c = arg;
    const char *user = pat_json_str_or(params, "user_id", NULL);
    int64_t limit = pat_json_int_or(params, "limit", LIMIT);
    char limit_text[24];
    const char *values[] = { pat_json_str_or(params, "until", NULL), user, limit_text };
    int err;

    if (!good_user(user) || limit < 1 || limit > LIMIT_MAX) {
        pat_rpc_fail(req, PAT_EINVAL, good_user(user) ? "limit" : "user_id", NULL);
        return;
    }
    (void)snprintf(limit_text, sizeof limit_text, "%lld", (long long)limit);
    err = pat_db_run1(c->r->d->db, "callbacks_due", sql, values, 3, DB_MS, on_due, req, NULL);
    if (err)
        pat_rpc_fail(req, err, NULL, NULL);
}

static void on_closed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct pat_rpc_req *req = arg;
    struct pat_json *result;

    if (!err && (!n || !pat_db_rows(results[0])))
        err = PAT_ENOENT;
    if (err) {
        pat_rpc_fail(req, err, NULL, NULL);
        return;
    }
    result = pat_json_obj();
    pat_json_set_str(result, "state", pat_db_value(results[0], 0, 0));
    pat_rpc_reply(req, result);
}

static void close_one(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    /* Closing what is closed already says how it was closed. */
    static const char sql[] =
        "update patchbay.callbacks set state = case when state = 'open' then $3 else state end, "
        "closed_at = coalesce(closed_at, now()) "
        "where id = $1::uuid and user_id = $2::uuid returning state";
    struct callbacks *c = arg;
    struct pat_json_err wrong;
    const char *values[3];
    int err = pat_json_get_id(params, "callback_id", &values[0], &wrong);

    if (!err)
        err = pat_json_get_id(params, "user_id", &values[1], &wrong);
    if (err) {
        pat_rpc_fail(req, err, wrong.path, wrong.what);
        return;
    }
    values[2] = pat_json_str_or(params, "state", "done");
    if (strcmp(values[2], "done") != 0 && strcmp(values[2], "canceled") != 0) {
        pat_rpc_fail(req, PAT_EINVAL, "state", "must be done or canceled");
        return;
    }
    err = pat_db_run1(c->r->d->db, "callback_close", sql, values, 3, DB_MS, on_closed, req, NULL);
    if (err)
        pat_rpc_fail(req, err, NULL, NULL);
}

int callbacks_new(struct callbacks **out, struct relay *r)
{
    struct callbacks *c = calloc(1, sizeof *c);
    int err = c ? PAT_OK : PAT_ENOMEM;

    if (err)
        return err;
    c->r = r;
    err = pat_rpc_serve(r->d->bus, &c->due, "relay", "callbacks_due", due, c);
    if (!err)
        err = pat_rpc_serve(r->d->bus, &c->close, "relay", "callback_close", close_one, c);
    if (err)
        callbacks_free(c);
    else
        *out = c;
    return err;
}

void callbacks_free(struct callbacks *c)
{
    if (!c)
        return;
    pat_bus_unsubscribe(c->due);
    pat_bus_unsubscribe(c->close);
    free(c);
}
