/* out_endpoints.c - relay.endpoint_*: where a user wants his events, and what they are signed with.
 *
 * A secret leaves this process twice: into Postgres, and in the answer to who had it made. No log
 * line and no other answer has one. Every statement asks whose the endpoint is.
 */
#include "out_rpc.h"

#include "out_fields.h"
#include "out_message.h"
#include "out_target.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ENDPOINTS_MAX = 50, OVERLAP_S = 24 * 3600, OVERLAP_MAX_S = 7 * 24 * 3600, METHODS = 6 };

struct out_endpoints {
    struct out *o;
    struct pat_sub *subs[METHODS];
};

/* A request under way, with what it made. */
struct making {
    struct out *o;
    struct pat_rpc_req *req;
    struct pat_id id; /* of the endpoint */
    char v1[PAT_WEBHOOK_KEY_MAX];
    char v1a[PAT_WEBHOOK_KEY_MAX], v1a_public[PAT_WEBHOOK_KEY_MAX];
    bool create;
};

static void making_free(struct making *m)
{
    explicit_bzero(m, sizeof *m);
    free(m);
}

/* secret: the user's own for v1, or NULL. */
static struct making *making_new(struct out *o, struct pat_rpc_req *req, const char *secret)
{
    struct making *m = calloc(1, sizeof *m);
    int err = m ? pat_webhook_keys_new(m->v1a, m->v1a_public) : PAT_ENOMEM;

    if (!err)
        err = secret ? (pat_strcpy(m->v1, sizeof m->v1, secret) ? PAT_OK : PAT_E2BIG)
                     : pat_webhook_secret_new(m->v1);
    if (!err) {
        m->o = o;
        m->req = req;
        return m;
    }
    if (m)
        making_free(m);
    pat_rpc_fail(req, err, NULL, NULL);
    return NULL;
}

/* ---- the answers ---- */

/* Of each scheme a key was made for: rows of `made` name them. */
static struct pat_json *keys_of(const struct making *m, const struct pat_db_result *made)
{
    struct pat_json *list = pat_json_arr();

    for (size_t i = 0; i < pat_db_rows(made); i++) {
        const char *scheme = pat_db_value(made, i, 0);
        struct pat_json *one = pat_json_obj();

        pat_json_set_str(one, "scheme", scheme);
        if (!strcmp(scheme, "v1"))
            pat_json_set_str(one, "secret", m->v1);
        else
            pat_json_set_str(one, "public_key", m->v1a_public);
        pat_json_add_take(list, one);
    }
    return list;
}

enum { WAS, CHANGED, KEYS_MADE, LANES, SHOWN, STATEMENTS };

static void on_changed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct making *m = arg;
    struct pat_json *result;

    if (err) {
        pat_log(PAT_WARN, "webhook.endpoint_not_changed", PAT_ERR(err),
                PAT_S("sqlstate", n ? pat_db_sqlstate(results[0]) : NULL));
        pat_rpc_fail(m->req, err == PAT_EUPSTREAM ? PAT_EINTERNAL : err, NULL, NULL);
    } else if (m->create && !pat_db_affected(results[CHANGED])) {
        pat_rpc_fail(m->req, PAT_EEXIST, "url", "a user has at most 50 endpoints");
    } else if (!pat_db_rows(results[SHOWN])) {
        pat_rpc_fail(m->req, PAT_ENOENT, "endpoint_id", NULL);
    } else if (!pat_db_affected(results[CHANGED])) {
        pat_rpc_fail(m->req, PAT_EINVAL, "url",
                     "must be that of an Edge Function: "
                     "https://<project>.supabase.co/functions/v1/<name>");
    } else {
        result = pat_json_obj();
        pat_json_set_text(result, "endpoint", pat_db_value(results[SHOWN], 0, 0));
        if (pat_db_rows(results[WAS]))
            pat_json_set_text(result, "was", pat_db_value(results[WAS], 0, 0));
        pat_json_set_take(result, "secrets", keys_of(m, results[KEYS_MADE]));
        pat_log(PAT_INFO, m->create ? "webhook.endpoint_created" : "webhook.endpoint_changed",
                PAT_S("endpoint", m->id.s));
        pat_rpc_reply(m->req, result);
        out_touch(m->o, m->id.s);
    }
    making_free(m);
}

/* ---- create and update ---- */

/* Keys of the schemes that have none yet. */
#define MAKE_KEYS                                                                                  \
    "insert into patchbay.webhook_secrets (endpoint_id, scheme, secret, public_key) "              \
    "select e.id, k.scheme, k.secret, k.public_key from patchbay.webhook_endpoints e "             \
    "join (values ('v1', $3, null), ('v1a', $4, $5)) as k(scheme, secret, public_key) "            \
    "on k.scheme = any (e.signing) where e.id = $1::uuid and e.user_id = $2::uuid "                \
    "and not exists (select from patchbay.webhook_secrets s where s.endpoint_id = e.id "           \
    "and s.scheme = k.scheme and s.expires_at is null) returning scheme"

/* What waited while it was disabled goes on in its order. */
#define PROMOTE                                                                                    \
    "select patchbay.webhook_promote(x.endpoint_id, x.lane) from (select distinct d.endpoint_id, " \
    "d.lane from patchbay.webhook_deliveries d join patchbay.webhook_endpoints e on e.id = "       \
    "d.endpoint_id where e.id = $1::uuid and e.user_id = $2::uuid and e.state = 'enabled' and "    \
    "d.state = 'pending' and d.lane is not null and $3::boolean) x"

#define SHOW                                                                                       \
    "select " OUT_ENDPOINT_JSON                                                                    \
    " as j from patchbay.webhook_endpoints e where e.id = $1::uuid and "                           \
    "e.user_id = $2::uuid and e.state <> 'deleted'"

static int change(struct making *m, struct pat_db_stmt first, const char *user, bool promote)
{
    const char *keys[] = { m->id.s, user, m->v1, m->v1a, m->v1a_public };
    const char *lanes[] = { m->id.s, user, promote ? "true" : "false" };
    const struct pat_db_stmt unit[STATEMENTS] = {
        [WAS] = { "endpoint_was", SHOW " for update of e", 2, lanes },
        [CHANGED] = first,
        [KEYS_MADE] = { "endpoint_keys", MAKE_KEYS, 5, keys },
        [LANES] = { "endpoint_lanes", PROMOTE, 3, lanes },
        [SHOWN] = { "endpoint_show", SHOW, 2, lanes },
    };

    return pat_db_run(m->o->r->d->db, unit, STATEMENTS, OUT_DB_MS / 3, on_changed, m, NULL);
}

static int read_fields(struct pat_json **clean, struct pat_rpc_req *req,
                       const struct pat_json *params, bool create, const struct out *o)
{
    struct pat_json_err wrong = { "", "" };
    int err = out_fields_read(clean, params, create, o->r->conf->out_private_nets, &wrong);

    if (err)
        pat_rpc_fail(req, err, wrong.path, wrong.what);
    return err;
}

static void create(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char sql[] =
        "insert into patchbay.webhook_endpoints (id, user_id, url, description, kind, events, "
        "signing, payload, ordering, timeout_ms, max_concurrency, api_key, region, state, "
        "state_reason) select $1::uuid, $2::uuid, p ->> 'url', p ->> 'description', "
        "coalesce(p ->> 'kind', 'standard'), "
        "coalesce((select array_agg(distinct x) from jsonb_array_elements_text(p -> 'events') x), "
        "'{*}'), "
        "coalesce((select array_agg(distinct x) from jsonb_array_elements_text(p -> 'signing') x), "
        "'{v1}'), coalesce(p ->> 'payload', 'full'), coalesce(p ->> 'ordering', 'none'), "
        "coalesce((p ->> 'timeout_ms')::integer, 15000), "
        "coalesce((p ->> 'max_concurrency')::integer, 10), p ->> 'api_key', p ->> 'region', "
        "coalesce(p ->> 'state', 'enabled'), case p ->> 'state' when 'disabled' then 'user' end "
        "from (select $3::jsonb as p) x where (select count(*) from patchbay.webhook_endpoints "
        "where user_id = $2::uuid and state <> 'deleted') < $4::integer";
    struct out_endpoints *e = arg;
    const char *user;
    PAT_AUTO_JSON clean = NULL;
    PAT_AUTO_STR text = NULL;
    char most[16];
    struct making *m;
    int err;

    if (out_rpc_ids(req, params, &user, NULL, NULL) || read_fields(&clean, req, params, true, e->o))
        return;
    m = making_new(e->o, req, pat_json_str_or(clean, "secret", NULL));
    if (!m)
        return;
    m->create = true;
    m->id = pat_id_new();
    pat_json_set_null(clean, "secret");
    text = pat_json_print(clean);
    (void)snprintf(most, sizeof most, "%d", ENDPOINTS_MAX);
    err = text ? change(m,
                        (struct pat_db_stmt){ "endpoint_create", sql, 4,
                                              (const char *[]){ m->id.s, user, text, most } },
                        user, false)
               : PAT_ENOMEM;
    if (err) {
        making_free(m);
        pat_rpc_fail(req, err, NULL, NULL);
    }
}

static void update(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    /* Switched on again, it starts with a clean slate. */
    static const char sql[] =
        "update patchbay.webhook_endpoints e set url = coalesce(p ->> 'url', e.url), "
        "description = case when p ? 'description' then p ->> 'description' else e.description end, "
        "events = coalesce((select array_agg(distinct x) from "
        "jsonb_array_elements_text(p -> 'events') x), e.events), "
        "signing = coalesce((select array_agg(distinct x) from "
        "jsonb_array_elements_text(p -> 'signing') x), e.signing), "
        "payload = coalesce(p ->> 'payload', e.payload), "
        "ordering = coalesce(p ->> 'ordering', e.ordering), "
        "timeout_ms = coalesce((p ->> 'timeout_ms')::integer, e.timeout_ms), "
        "max_concurrency = coalesce((p ->> 'max_concurrency')::integer, e.max_concurrency), "
        "api_key = case when p ? 'api_key' then p ->> 'api_key' else e.api_key end, "
        "region = case when p ? 'region' then p ->> 'region' else e.region end, "
        "state = coalesce(p ->> 'state', e.state), "
        "state_reason = case p ->> 'state' when 'disabled' then coalesce(e.state_reason, 'user') "
        "when 'enabled' then null else e.state_reason end, "
        "state_changed_at = case when p ->> 'state' <> e.state then now() else e.state_changed_at "
        "end, failing_since = case p ->> 'state' when 'enabled' then null else e.failing_since end, "
        "failures = case p ->> 'state' when 'enabled' then 0 else e.failures end, "
        "hold_until = case p ->> 'state' when 'enabled' then null else e.hold_until end, "
        "updated_at = now() from (select $3::jsonb as p) x "
        "where e.id = $1::uuid and e.user_id = $2::uuid and e.state <> 'deleted' "
        "and (e.kind = 'standard' or not p ? 'url' or $4::boolean)";
    struct out_endpoints *e = arg;
    const char *user, *id, *url;
    PAT_AUTO_JSON clean = NULL;
    PAT_AUTO_STR text = NULL;
    bool edge, enabled;
    struct making *m;
    int err;

    if (out_rpc_ids(req, params, &user, "endpoint_id", &id) ||
        read_fields(&clean, req, params, false, e->o))
        return;
    m = making_new(e->o, req, NULL);
    if (!m)
        return;
    (void)pat_strcpy(m->id.s, sizeof m->id.s, id);
    url = pat_json_str_or(clean, "url", NULL);
    edge = url && !out_target_wrong(url, true, e->o->r->conf->out_private_nets);
    enabled = !strcmp(pat_json_str_or(clean, "state", ""), "enabled");
    text = pat_json_print(clean);
    err = text ? change(m,
                        (struct pat_db_stmt){
                            "endpoint_update", sql, 4,
                            (const char *[]){ id, user, text, edge ? "true" : "false" } },
                        user, enabled)
               : PAT_ENOMEM;
    if (err) {
        making_free(m);
        pat_rpc_fail(req, err, NULL, NULL);
    }
}

/* ---- rotate ---- */

static void on_rotated(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct making *m = arg;
    struct pat_json *result;

    if (err || !pat_db_rows(results[n - 1])) {
        pat_rpc_fail(m->req, err ? err : PAT_ENOENT, err ? NULL : "endpoint_id",
                     err ? NULL : "no such endpoint, or it does not sign with that scheme");
    } else {
        result = pat_json_obj();
        pat_json_set_take(result, "secrets", keys_of(m, results[n - 1]));
        pat_json_set_str(result, "previous_until", pat_db_value(results[n - 1], 0, 1));
        pat_log(PAT_INFO, "webhook.secret_rotated", PAT_S("endpoint", m->id.s));
        pat_rpc_reply(m->req, result);
    }
    making_free(m);
}

static int run_rotate(struct making *m, const char *user, const char *scheme, int64_t overlap_s)
{
    /* The newest two stay for the overlap, so that there are never more than three. */
    static const char trim[] =
        "delete from patchbay.webhook_secrets s using patchbay.webhook_endpoints e "
        "where e.id = $1::uuid and e.user_id = $2::uuid and s.endpoint_id = e.id and s.scheme = $3 "
        "and (s.expires_at < now() or s.id not in (select t.id from patchbay.webhook_secrets t "
        "where t.endpoint_id = e.id and t.scheme = $3 order by t.created_at desc limit 2))";
    static const char expire[] =
        "update patchbay.webhook_secrets s set expires_at = least(coalesce(s.expires_at, "
        "'infinity'), now() + $4::bigint * interval '1 second') from patchbay.webhook_endpoints e "
        "where e.id = $1::uuid and e.user_id = $2::uuid and e.state <> 'deleted' and "
        "s.endpoint_id = e.id and s.scheme = $3 and $3 = any (e.signing)";
    static const char add[] =
        "insert into patchbay.webhook_secrets (endpoint_id, scheme, secret, public_key) "
        "select e.id, $3, $5, $6 from patchbay.webhook_endpoints e where e.id = $1::uuid and "
        "e.user_id = $2::uuid and e.state <> 'deleted' and $3 = any (e.signing) "
        "returning scheme, to_jsonb(now() + $4::bigint * interval '1 second') #>> '{}'";
    bool v1 = !strcmp(scheme, "v1");
    char overlap[24];
    const char *params[] = {
        m->id.s, user, scheme, overlap, v1 ? m->v1 : m->v1a, v1 ? NULL : m->v1a_public
    };
    const struct pat_db_stmt unit[] = { { "secret_trim", trim, 3, params },
                                        { "secret_expire", expire, 4, params },
                                        { "secret_add", add, 6, params } };

    (void)snprintf(overlap, sizeof overlap, "%lld", (long long)overlap_s);
    return pat_db_run(m->o->r->d->db, unit, 3, OUT_DB_MS / 3, on_rotated, m, NULL);
}

static void rotate(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    struct out_endpoints *e = arg;
    const char *user, *id;
    const char *scheme = pat_json_str_or(params, "scheme", "v1");
    const char *secret = pat_json_str_or(params, "secret", NULL);
    int64_t overlap_s = pat_json_int_or(params, "overlap_s", OVERLAP_S);
    struct making *m;
    int err;

    if (out_rpc_ids(req, params, &user, "endpoint_id", &id))
        return;
    if (strcmp(scheme, "v1") != 0 && strcmp(scheme, "v1a") != 0) {
        pat_rpc_fail(req, PAT_EINVAL, "scheme", "must be v1 or v1a");
        return;
    }
    if (overlap_s < 0 || overlap_s > OVERLAP_MAX_S) {
        pat_rpc_fail(req, PAT_EINVAL, "overlap_s", "must be 0 to 604800");
        return;
    }
    if (secret && (strcmp(scheme, "v1") != 0 || !pat_webhook_secret_valid(secret))) {
        pat_rpc_fail(req, PAT_EINVAL, "secret",
                     "must be whsec_ and the base64 of 24 to 64 bytes, for v1");
        return;
    }
    m = making_new(e->o, req, secret);
    if (!m)
        return;
    (void)pat_strcpy(m->id.s, sizeof m->id.s, id);
    err = run_rotate(m, user, scheme, overlap_s);
    if (err) {
        making_free(m);
        pat_rpc_fail(req, err, NULL, NULL);
    }
}

/* ---- list, delete, test ---- */

static void list(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char sql[] =
        "select jsonb_build_object('endpoints', coalesce(jsonb_agg(" OUT_ENDPOINT_JSON
        " || jsonb_build_object("
        "'pending', (select count(*) from (select from patchbay.webhook_deliveries d where "
        "d.endpoint_id = e.id and d.state = 'pending' and d.ready limit 10000) x), "
        "'dead', (select count(*) from (select from patchbay.webhook_deliveries d where "
        "d.endpoint_id = e.id and d.state = 'dead' limit 10000) x)) order by e.created_at, e.id), "
        "'[]')) from patchbay.webhook_endpoints e where e.user_id = $1::uuid "
        "and e.state <> 'deleted' and ($2::uuid is null or e.id = $2::uuid) "
        "having $2::uuid is null or count(*) > 0";
    struct out_endpoints *e = arg;
    const char *values[2] = { NULL, pat_json_str_or(params, "endpoint_id", NULL) };

    if (out_rpc_ids(req, params, &values[0], NULL, NULL))
        return;
    if (values[1] && !pat_id_valid(values[1])) {
        pat_rpc_fail(req, PAT_EINVAL, "endpoint_id", "must be a UUID in lower case");
        return;
    }
    out_rpc_ask(e->o, req, &(struct pat_db_stmt){ "endpoint_list", sql, 2, values }, 1);
}

static void delete_one(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    /* What is still queued goes with the next rounds of upkeep. */
    static const char forget[] =
        "delete from patchbay.webhook_secrets s using patchbay.webhook_endpoints e "
        "where e.id = $1::uuid and e.user_id = $2::uuid and s.endpoint_id = e.id";
    static const char sql[] =
        "with was as materialized (" SHOW " for update of e) "
        "update patchbay.webhook_endpoints d set state = 'deleted', state_reason = 'user', "
        "api_key = null, state_changed_at = now(), updated_at = now() from was where d.id = "
        "$1::uuid and d.user_id = $2::uuid and d.state <> 'deleted' "
        "returning jsonb_build_object('deleted', true, 'was', was.j)";
    struct out_endpoints *e = arg;
    const char *values[2];
    const struct pat_db_stmt unit[] = { { "endpoint_forget", forget, 2, values },
                                        { "endpoint_delete", sql, 2, values } };

    if (!out_rpc_ids(req, params, &values[1], "endpoint_id", &values[0]))
        out_rpc_ask(e->o, req, unit, 2);
}

static void test(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    static const char message[] =
        "insert into patchbay.webhook_messages (id, user_id, type, key, occurred_at, body, thin) "
        "select $3::uuid, e.user_id, 'webhook.test', e.id::text, $4::timestamptz, $5, $6 "
        "from patchbay.webhook_endpoints e where e.id = $1::uuid and e.user_id = $2::uuid "
        "and e.state = 'enabled'";
    /* Once: who tests is there to try again. */
    static const char delivery[] =
        "insert into patchbay.webhook_deliveries (endpoint_id, event_id, user_id, type, "
        "occurred_at, next_attempt_at, max_tries) select $1::uuid, g.id, g.user_id, g.type, "
        "g.occurred_at, now(), 1 from patchbay.webhook_messages g where g.id = $3::uuid and "
        "g.user_id = $2::uuid returning jsonb_build_object('delivery_id', id, 'event_id', event_id)";
    struct out_endpoints *e = arg;
    struct pat_id event = pat_id_new();
    char now[PAT_TIME_LEN + 1];
    PAT_AUTO_JSON data = pat_json_obj();
    PAT_AUTO_STR body = NULL;
    PAT_AUTO_STR thin = NULL;
    const char *values[6] = { NULL, NULL, event.s, now };
    const struct pat_db_stmt unit[] = { { "endpoint_test", message, 6, values },
                                        { "endpoint_test_delivery", delivery, 3, values } };

    if (out_rpc_ids(req, params, &values[1], "endpoint_id", &values[0]))
        return;
    pat_time_format(pat_unix_ms(), now);
    pat_json_set_str(data, "user_id", values[1]);
    pat_json_set_str(data, "endpoint_id", values[0]);
    pat_json_set_str(data, "message", "This is a test: somebody wants to see whether it arrives.");
    body = out_message_body("webhook.test", now, data);
    thin = out_message_thin("webhook.test", now, event.s, data);
    values[4] = body;
    values[5] = thin;
    if (!body || !thin) {
        pat_rpc_fail(req, PAT_ENOMEM, NULL, NULL);
        return;
    }
    out_rpc_ask(e->o, req, unit, 2);
    out_touch(e->o, values[0]);
}

/* ---- life ---- */

int out_endpoints_new(struct out_endpoints **out, struct out *o)
{
    static const struct out_method methods[METHODS] = {
        { "endpoint_create", create }, { "endpoint_delete", delete_one },
        { "endpoint_list", list },     { "endpoint_rotate", rotate },
        { "endpoint_test", test },     { "endpoint_update", update },
    };
    struct out_endpoints *e = calloc(1, sizeof *e);
    int err = e ? PAT_OK : PAT_ENOMEM;

    if (err)
        return err;
    e->o = o;
    err = out_rpc_serve(o, methods, METHODS, e->subs, e);
    if (err)
        out_endpoints_free(e);
    else
        *out = e;
    return err;
}

void out_endpoints_free(struct out_endpoints *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < METHODS; i++)
        pat_bus_unsubscribe(e->subs[i]);
    free(e);
}
