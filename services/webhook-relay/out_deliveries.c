/* out_deliveries.c - relay.deliveries, .delivery, .delivery_replay: what was sent to whom, and
 * again. */
#include "out_rpc.h"

#include "out_fields.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIMIT = 50, LIMIT_MAX = 200, REPLAY = 1000, REPLAY_MAX = 10000, METHODS = 3 };

struct out_deliveries {
    struct out *o;
    struct pat_sub *subs[METHODS];
};

#define DELIVERY_JSON                                                                              \
    "jsonb_build_object('id', d.id, 'endpoint_id', d.endpoint_id, 'event_id', d.event_id, "        \
    "'type', d.type, 'state', d.state, 'attempts', d.attempts, 'occurred_at', d.occurred_at, "     \
    "'created_at', d.created_at, 'next_attempt_at', d.next_attempt_at, 'last_attempt_at', "        \
    "d.last_attempt_at, 'last_status', d.last_status, 'last_ms', d.last_ms, 'last_fault', "        \
    "d.last_fault, 'last_error', d.last_error)"

/* An optional id or word; what is not one is named. */
static bool optional_id(struct pat_rpc_req *req, const struct pat_json *params, const char *name,
                        const char **out)
{
    const struct pat_json *v = pat_json_at(params, name);

    *out = pat_json_str_or(params, name, NULL);
    if (!v || pat_json_kind(v) == PAT_JSON_NULL || (*out && pat_id_valid(*out)))
        return true;
    pat_rpc_fail(req, PAT_EINVAL, name, "must be a UUID in lower case");
    return false;
}

static bool state_valid(const char *s)
{
    return !strcmp(s, "pending") || !strcmp(s, "delivered") || !strcmp(s, "dead");
}

static void deliveries(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char sql[] =
        "with page as (select d.* from patchbay.webhook_deliveries d where d.user_id = $1::uuid "
        "and ($2::uuid is null or d.endpoint_id = $2::uuid) and ($3::text is null or d.state = $3) "
        "and ($4::text is null or d.type = $4) and ($5::uuid is null or (d.created_at, d.id) < "
        "(select b.created_at, b.id from patchbay.webhook_deliveries b where b.id = $5::uuid and "
        "b.user_id = $1::uuid)) order by d.created_at desc, d.id desc limit $6::integer) "
        /* Nothing: $5 names no delivery of his. */
        "select case when $5::uuid is null or exists (select from patchbay.webhook_deliveries b "
        "where b.id = $5::uuid and b.user_id = $1::uuid) then "
        "jsonb_build_object('deliveries', coalesce(jsonb_agg(" DELIVERY_JSON
        " order by d.created_at desc, d.id desc), '[]'), 'next', case when count(*) = $6::integer "
        "then (array_agg(d.id order by d.created_at, d.id))[1] end) end from page d";
    struct out_deliveries *s = arg;
    const char *state = pat_json_str_or(params, "state", NULL);
    int64_t limit = pat_json_int_or(params, "limit", LIMIT);
    char limit_text[24];
    const char *values[6] = { NULL, NULL,      state, pat_json_str_or(params, "type", NULL),
                              NULL, limit_text };

    if (out_rpc_ids(req, params, &values[0], NULL, NULL) ||
        !optional_id(req, params, "endpoint_id", &values[1]) ||
        !optional_id(req, params, "before", &values[4]))
        return;
    if (state && !state_valid(state)) {
        pat_rpc_fail(req, PAT_EINVAL, "state", "must be pending, delivered or dead");
        return;
    }
    if (limit < 1 || limit > LIMIT_MAX) {
        pat_rpc_fail(req, PAT_EINVAL, "limit", "must be 1 to 200");
        return;
    }
    (void)snprintf(limit_text, sizeof limit_text, "%lld", (long long)limit);
    out_rpc_ask(s->o, req, &(struct pat_db_stmt){ "deliveries", sql, 6, values }, 1);
}

static void delivery(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char sql[] =
        "select " DELIVERY_JSON " || jsonb_build_object('last_response', d.last_response, 'log', "
        "d.log, 'payload', case when e.payload = 'thin' then g.thin else g.body end) "
        "from patchbay.webhook_deliveries d join patchbay.webhook_endpoints e on e.id = "
        "d.endpoint_id left join patchbay.webhook_messages g on g.id = d.event_id "
        "where d.id = $1::uuid and d.user_id = $2::uuid";
    struct out_deliveries *s = arg;
    const char *values[2];

    if (!out_rpc_ids(req, params, &values[1], "delivery_id", &values[0]))
        out_rpc_ask(s->o, req, &(struct pat_db_stmt){ "delivery", sql, 2, values }, 1);
}

/* ---- replay ---- */

struct replaying {
    struct out *o;
    struct pat_rpc_req *req;
    bool one;
    int64_t limit;
};

static void on_replayed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct replaying *p = arg;
    struct pat_json *result;
    int64_t total = 0;

    for (size_t i = 0; !err && n && i < pat_db_rows(results[0]); i++) {
        total += strtoll(pat_db_value(results[0], i, 1), NULL, 10);
        out_touch(p->o, pat_db_value(results[0], i, 0));
    }
    if (err) { /* a since that is no time is the asker's fault */
        pat_rpc_fail(p->req, err, err == PAT_EINVAL ? "since" : NULL, NULL);
    } else if (p->one && !total) {
        pat_rpc_fail(p->req, PAT_ENOENT, "delivery_id",
                     "no such delivery, or it has not ended yet");
    } else {
        result = pat_json_obj();
        pat_json_set_int(result, "replayed", total);
        pat_json_set_bool(result, "more", total == p->limit && !p->one);
        pat_log(PAT_INFO, "webhook.replayed", PAT_I("n", total));
        pat_rpc_reply(p->req, result);
    }
    free(p);
}

/* "{dead}": of the states a delivery may have ended in. */
static const char *states_of(const struct pat_json *params, bool one, struct pat_json_err *wrong)
{
    const struct pat_json *v = pat_json_at(params, "states");
    bool dead = out_fields_has(v, "dead"), delivered = out_fields_has(v, "delivered");

    if (!v)
        return one ? "{dead,delivered}" : "{dead}";
    if (pat_json_kind(v) != PAT_JSON_ARR || pat_json_size(v) != (size_t)dead + (size_t)delivered ||
        !pat_json_size(v)) {
        (void)pat_strcpy(wrong->path, sizeof wrong->path, "states");
        (void)pat_strcpy(wrong->what, sizeof wrong->what,
                         "must be a list of dead, delivered or both");
        return NULL;
    }
    return dead && delivered ? "{dead,delivered}" : dead ? "{dead}" : "{delivered}";
}

static void replay(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char sql[] =
        "select endpoint_id, replayed from patchbay.webhook_replay($1::uuid, $2::uuid, $3::uuid, "
        "$4::text[], $5::timestamptz, $6::integer)";
    struct out_deliveries *s = arg;
    int64_t limit = pat_json_int_or(params, "limit", REPLAY);
    struct pat_json_err wrong;
    const char *values[6];
    char limit_text[24];
    struct replaying *p;
    int err;

    if (out_rpc_ids(req, params, &values[0], NULL, NULL) ||
        !optional_id(req, params, "delivery_id", &values[1]) ||
        !optional_id(req, params, "endpoint_id", &values[2]))
        return;
    values[3] = states_of(params, values[1], &wrong);
    values[4] = pat_json_str_or(params, "since", NULL);
    values[5] = limit_text;
    if (!values[1] && !values[2])
        pat_rpc_fail(req, PAT_EINVAL, "endpoint_id", "an endpoint's id, or delivery_id");
    else if (!values[3])
        pat_rpc_fail(req, PAT_EINVAL, wrong.path, wrong.what);
    else if (limit < 1 || limit > REPLAY_MAX)
        pat_rpc_fail(req, PAT_EINVAL, "limit", "must be 1 to 10000");
    else if (!(p = malloc(sizeof *p)))
        pat_rpc_fail(req, PAT_ENOMEM, NULL, NULL);
    else {
        *p = (struct replaying){ s->o, req, values[1], limit };
        (void)snprintf(limit_text, sizeof limit_text, "%lld", (long long)limit);
        err = pat_db_run1(s->o->r->d->db, "webhook_replay", sql, values, 6, OUT_DB_MS, on_replayed,
                          p, NULL);
        if (err) {
            free(p);
            pat_rpc_fail(req, err, NULL, NULL);
        }
    }
}

/* ---- life ---- */

int out_deliveries_new(struct out_deliveries **out, struct out *o)
{
    static const struct out_method methods[METHODS] = { { "deliveries", deliveries },
                                                        { "delivery", delivery },
                                                        { "delivery_replay", replay } };
    struct out_deliveries *s = calloc(1, sizeof *s);
    int err = s ? PAT_OK : PAT_ENOMEM;

    if (err)
        return err;
    s->o = o;
    err = out_rpc_serve(o, methods, METHODS, s->subs, s);
    if (err)
        out_deliveries_free(s);
    else
        *out = s;
    return err;
}

void out_deliveries_free(struct out_deliveries *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < METHODS; i++)
        pat_bus_unsubscribe(s->subs[i]);
    free(s);
}
