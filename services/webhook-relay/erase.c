/* erase.c - a user is erased: vendors' copies, recordings, messages in streams and keys, rows.
 *
 * Asked for by RPC (relay.erase_user, relay.erasure) or the command line; a row of
 * patchbay.erasures says which step is next, so that any relay goes on where one died. Each step
 * does nothing that it may not do twice, and is tried again until it succeeds. What is left is the
 * row, without the user's id. Steps and vendors are tables: whoever keeps copies gets a line.
 */
#include "relay.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS   1000
#define DB_MS     10000
#define ROWS_MS   300000
#define STORE_MS  20000
#define NATS_MS   10000
#define VENDOR_MS 30000
#define CLAIM_S   "60"
#define LIFE_MS   20000
#define FOLDERS   20000

struct purge {
    char stream[32], filter[120];
};

struct erase {
    struct relay *r;
    char who[PAT_ID_LEN + 16];
    struct pat_timer look, life;
    struct pat_sub *ask_sub, *tell_sub;
    struct pat_store *store; /* NULL: not configured */
    pat_db_id query;
    pat_bus_id request;
    /* the one under way */
    char id[PAT_ID_LEN + 1], user[PAT_ID_LEN + 1];
    size_t step;
    int64_t count;
    char (*folders)[128];
    size_t n_folders, folder;
    char **names;
    size_t n_names, name;
    struct purge *purges;
    size_t n_purges, purge;
    size_t vendor;
};

static void finish(struct erase *e, int err, const char *what);

/* ------------------------------------------------------------------ copies at vendors */

/* "<name>.forget" deletes what a vendor keeps of a user: {"user_id"} -> {"deleted", "left"}; name
 * is also the key in patchbay.at_vendors, which says how much that is. */
static const char *const vendors[] = { "retell", "voices" };
enum { VENDORS = sizeof vendors / sizeof vendors[0] };

static void ask_vendors(struct erase *e);

static void on_forgotten(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct erase *e = arg;

    e->request = 0;
    if (err) {
        pat_log(PAT_WARN, "erase.vendor", PAT_S("vendor", vendors[e->vendor]), PAT_ERR(err),
                PAT_S("why", message));
        finish(e, err, vendors[e->vendor]);
        return;
    }
    e->count += pat_json_int_or(result, "deleted", 0);
    if (!pat_json_int_or(result, "left", 0))
        e->vendor++;
    ask_vendors(e);
}

static void on_at_vendors(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct erase *e = arg;
    PAT_AUTO_JSON left = NULL;
    PAT_AUTO_JSON params = NULL;
    const char *text = !err && n ? pat_db_value(results[0], 0, 0) : NULL;

    e->query = 0;
    if (!err)
        err = text ? pat_json_parse(&left, text, strlen(text), NULL) : PAT_EPROTO;
    while (!err && e->vendor < VENDORS && !pat_json_int_or(left, vendors[e->vendor], 0))
        e->vendor++;
    if (err || e->vendor == VENDORS) {
        finish(e, err, "vendors");
        return;
    }
    params = pat_json_obj();
    pat_json_set_str(params, "user_id", e->user);
    err = pat_rpc_call(e->r->d->bus, vendors[e->vendor], "forget", params, VENDOR_MS, on_forgotten,
                       e, &e->request);
    if (err)
        finish(e, err, vendors[e->vendor]);
}

static int query(struct erase *e, const char *name, const char *sql, pat_db_fn *fn, int64_t ms)
{
    const char *params[] = { e->user };

    return pat_db_run1(e->r->d->db, name, sql, params, 1, ms, fn, e, &e->query);
}

static void ask_vendors(struct erase *e)
{
    int err = query(e, "at_vendors", "select patchbay.at_vendors($1)::text", on_at_vendors, DB_MS);

    if (err)
        finish(e, err, "vendors");
}

static int step_vendors(struct erase *e)
{
    e->vendor = 0;
    return query(e, "at_vendors", "select patchbay.at_vendors($1)::text", on_at_vendors, DB_MS);
}

/* ------------------------------------------------------------------ recordings and clips */

static void forget_names(struct erase *e)
{
    for (size_t i = 0; i < e->n_names; i++)
        free(e->names[i]);
    free(e->names);
    e->names = NULL;
    e->n_names = e->name = 0;
}

static void list_folder(struct erase *e);
static void delete_object(struct erase *e);

static void on_object_gone(int err, const struct pat_store_res *res, void *arg)
{
    struct erase *e = arg;

    (void)res;
    if (err) {
        finish(e, err, "object");
        return;
    }
    e->count++;
    e->name++;
    delete_object(e);
}

/* All names of a listing, then the listing again: until it is empty. */
static void delete_object(struct erase *e)
{
    char key[512];
    int err;

    if (e->name == e->n_names) {
        forget_names(e);
        list_folder(e);
        return;
    }
    if ((size_t)snprintf(key, sizeof key, "%s%s", e->folders[e->folder], e->names[e->name]) >=
        sizeof key)
        err = PAT_E2BIG;
    else
        err = pat_store_delete(e->store, key, STORE_MS, on_object_gone, e);
    if (err)
        finish(e, err, "object");
}

static void on_listed(int err, const struct pat_store_res *res, void *arg)
{
    struct erase *e = arg;

    if (!err && res->n) {
        e->names = calloc(res->n, sizeof *e->names);
        for (size_t i = 0; e->names && i < res->n; i++)
            if ((e->names[i] = strdup(res->names[i])))
                e->n_names = i + 1;
            else
                err = PAT_ENOMEM;
        if (!e->names)
            err = PAT_ENOMEM;
    }
    if (err) {
        finish(e, err, "list");
    } else if (res->n) {
        delete_object(e);
    } else {
        e->folder++;
        list_folder(e);
    }
}

static void list_folder(struct erase *e)
{
    int err;

    if (e->folder == e->n_folders) {
        finish(e, PAT_OK, "objects");
        return;
    }
    err = pat_store_list(e->store, e->folders[e->folder], 0, NULL, STORE_MS, on_listed, e);
    if (err)
        finish(e, err, "list");
}

static void on_folders(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct erase *e = arg;
    size_t rows = !err && n ? pat_db_rows(results[0]) : 0;

    e->query = 0;
    if (!err && rows && !e->store)
        err = PAT_EUNAVAIL; /* he has recordings, and we were not told where */
    if (!err && rows > FOLDERS)
        err = PAT_E2BIG;
    if (!err && e->store && !(e->folders = calloc(rows + 1, sizeof *e->folders)))
        err = PAT_ENOMEM;
    if (err || !e->store) {
        finish(e, err, "PAT_RECORDING_URL");
        return;
    }
    snprintf(e->folders[0], sizeof e->folders[0], "%s/", e->user);
    e->n_folders = rows + 1;
    for (size_t i = 0; i < rows; i++)
        snprintf(e->folders[i + 1], sizeof e->folders[0], "%s/%s", e->user,
                 pat_db_value(results[0], i, 0));
    list_folder(e);
}

/* S3 lists a folder with all below it, Supabase only what is in it. */
static int step_objects(struct erase *e)
{
    e->folder = 0;
    return query(e, NULL,
                 "select x.f from patchbay.recordings r cross join lateral (values (r.call_id || "
                 "'/'), (r.call_id || '/' || r.name || '.parts/')) x (f) where r.user_id = $1 "
                 "group by x.f order by x.f",
                 on_folders, DB_MS);
}

/* ------------------------------------------------------------------ streams and keys */

static void purge_next(struct erase *e);

static void on_purged(int err, const struct pat_msg *m, void *arg)
{
    struct erase *e = arg;
    PAT_AUTO_JSON answer = NULL;

    e->request = 0;
    if (!err && pat_json_parse(&answer, m->data, m->len, NULL))
        err = PAT_EPROTO;
    /* A stream that is not there keeps nothing. */
    if (!err && pat_json_at(answer, "error") && pat_json_int_or(answer, "error.code", 0) != 404)
        err = PAT_EUPSTREAM;
    if (err) {
        finish(e, err, e->purges[e->purge].stream);
        return;
    }
    e->count += pat_json_int_or(answer, "purged", 0);
    e->purge++;
    purge_next(e);
}

/* docs.nats.io, JetStream API: purge with a filter. */
static void purge_next(struct erase *e)
{
    const struct purge *p = &e->purges[e->purge];
    char subject[64], body[160];
    int err;

    if (e->purge == e->n_purges) {
        finish(e, PAT_OK, "messages");
        return;
    }
    snprintf(subject, sizeof subject, "$JS.API.STREAM.PURGE.%s", p->stream);
    snprintf(body, sizeof body, "{\"filter\":\"%s\"}", p->filter);
    err = pat_bus_request(e->r->d->bus, subject, body, strlen(body), NULL, NATS_MS, on_purged, e,
                          &e->request);
    if (err)
        finish(e, err, p->stream);
}

static void add_purge(struct erase *e, const char *stream, const char *before, const char *id,
                      const char *after)
{
    struct purge *p = &e->purges[e->n_purges++];

    snprintf(p->stream, sizeof p->stream, "%s", stream);
    snprintf(p->filter, sizeof p->filter, "%s%s%s", before, id, after);
}

static void on_purges(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct erase *e = arg;
    size_t rows = !err && n ? pat_db_rows(results[0]) : 0;

    e->query = 0;
    if (!err && !(e->purges = calloc(pat_event_streams_n + 2 * rows, sizeof *e->purges)))
        err = PAT_ENOMEM;
    if (err) {
        finish(e, err, "streams");
        return;
    }
    for (size_t i = 0; i < pat_event_streams_n; i++)
        add_purge(e, pat_event_streams[i].name, "pat.*.v1.*.", e->user, ".>");
    for (size_t i = 0; i < rows; i++) {
        const char *id = pat_db_value(results[0], i, 1);

        if (!strcmp(pat_db_value(results[0], i, 0), "webhook")) {
            add_purge(e, "WEBHOOK", "pat.webhook.v1.*.*.", id, "");
        } else { /* of the agents and the router, in memory for an hour */
            add_purge(e, "KV_pat_calls", "$KV.pat_calls.", id, "");
            add_purge(e, "KV_pat_calls", "$KV.pat_calls.", id, ".>");
        }
    }
    purge_next(e);
}

static int step_streams(struct erase *e)
{
    e->purge = 0;
    return query(e, NULL,
                 "select 'webhook', id from patchbay.webhooks_of($1) id union all "
                 "select 'call', id from patchbay.calls where user_id = $1 and "
                 "greatest(offered_at, ended_at) > now() - interval '1 day'",
                 on_purges, ROWS_MS);
}

/* ------------------------------------------------------------------ rows */

static void on_rows(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct erase *e = arg;

    e->query = 0;
    if (err)
        pat_log(PAT_WARN, "erase.rows", PAT_ERR(err),
                PAT_S("sqlstate", n ? pat_db_sqlstate(results[0]) : NULL));
    else
        e->count = strtoll(pat_db_value(results[0], 0, 0), NULL, 10);
    finish(e, err, "rows");
}

static int step_rows(struct erase *e)
{
    return query(e, NULL, "select patchbay.erase_rows($1)", on_rows, ROWS_MS);
}

/* ------------------------------------------------------------------ the steps */

/* What is needed to find the rest goes last; and what was told while it went, once more. */
static const struct {
    const char *kind;
    int (*take)(struct erase *e);
} steps[] = {
    { "vendor_copies", step_vendors }, { "objects", step_objects },
    { "messages", step_streams },      { "rows", step_rows },
    { "messages", step_streams },      { "rows", step_rows },
};
enum { STEPS = sizeof steps / sizeof steps[0] };

static void clean(struct erase *e)
{
    forget_names(e);
    free(e->folders);
    free(e->purges);
    e->folders = NULL;
    e->purges = NULL;
    e->n_folders = e->folder = e->n_purges = e->purge = 0;
    e->count = 0;
}

static void on_stepped(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct erase *e = arg;

    (void)results;
    (void)n;
    e->query = 0;
    if (err)
        pat_log(PAT_WARN, "erase.not_noted", PAT_S("erasure", e->id), PAT_ERR(err));
    pat_timer_stop(&e->life);
    clean(e);
    pat_timer_start(&e->look, err ? LOOK_MS : 0);
}

static void finish(struct erase *e, int err, const char *what)
{
    static const char sql[] = "select patchbay.erasure_stepped($1, $2, $3::integer, $4::boolean, "
                              "$5, $6::bigint, $7)";
    char next[24], count[24], error[80];
    const char *params[] = { e->id,
                             e->who,
                             next,
                             e->step + 1 == STEPS ? "t" : "f",
                             steps[e->step].kind,
                             count,
                             err ? error : NULL };

    snprintf(next, sizeof next, "%zu", e->step + 1);
    snprintf(count, sizeof count, "%lld", (long long)e->count);
    snprintf(error, sizeof error, "%s: %s", what, pat_err_name(err));
    pat_log(err ? PAT_WARN : PAT_INFO, err ? "erase.failed" : "erase.stepped",
            PAT_S("erasure", e->id), PAT_S("step", steps[e->step].kind), PAT_I("removed", e->count),
            PAT_S("error", err ? error : NULL));
    if (pat_db_run1(e->r->d->db, "erasure_stepped", sql, params, 7, DB_MS, on_stepped, e,
                    &e->query))
        on_stepped(PAT_EAGAIN, NULL, 0, e);
}

static void on_claimed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct erase *e = arg;

    e->query = 0;
    if (err || !n || !pat_db_rows(results[0])) {
        pat_timer_start(&e->look, LOOK_MS);
        return;
    }
    (void)pat_strcpy(e->id, sizeof e->id, pat_db_get(results[0], 0, "id"));
    (void)pat_strcpy(e->user, sizeof e->user, pat_db_get(results[0], 0, "user_id"));
    e->step = (size_t)strtoll(pat_db_get(results[0], 0, "step"), NULL, 10);
    if (e->step >= STEPS)
        e->step = STEPS - 1; /* of a version with more of them */
    e->count = 0;
    pat_timer_start(&e->life, LIFE_MS);
    err = steps[e->step].take(e);
    if (err)
        finish(e, err, "start");
}

static void look_now(void *arg)
{
    static const char sql[] = "select * from patchbay.claim_erasure($1, " CLAIM_S ")";
    struct erase *e = arg;
    const char *params[] = { e->who };

    if (pat_db_run1(e->r->d->db, "claim_erasure", sql, params, 1, DB_MS, on_claimed, e, &e->query))
        pat_timer_start(&e->look, LOOK_MS);
}

static void on_prolonged(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    (void)err, (void)results, (void)n, (void)arg;
}

static void prolong(void *arg)
{
    struct erase *e = arg;
    const char *params[] = { e->id, e->who };

    pat_timer_start(&e->life, LIFE_MS);
    if (pat_db_run1(e->r->d->db, NULL,
                    "update patchbay.erasures set claimed_until = now() + interval '" CLAIM_S
                    " seconds' where id = $1 and claimed_by = $2",
                    params, 2, DB_MS, on_prolonged, NULL, NULL))
        pat_log(PAT_DEBUG, "erase.not_prolonged", PAT_S("erasure", e->id));
}

/* ------------------------------------------------------------------ who asks */

static void on_answer(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct pat_rpc_req *req = arg;
    struct pat_json *result = NULL;
    const char *text = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    if (!err)
        err = text ? pat_json_parse(&result, text, strlen(text), NULL) : PAT_ENOENT;
    if (!err && pat_json_str_or(result, "error", NULL) &&
        !strcmp(pat_json_str_or(result, "error", ""), "live")) {
        pat_json_free(result);
        pat_rpc_fail(req, PAT_EEXIST, NULL, "somebody is talking to this user's agent");
        return;
    }
    if (err)
        pat_rpc_fail(req, err, NULL, NULL);
    else
        pat_rpc_reply(req, result);
}

static void run_rpc(struct pat_rpc_req *req, const struct pat_json *params, struct relay *r,
                    const char *field, const char *sql)
{
    struct pat_json_err wrong;
    const char *id;
    int err = pat_json_get_id(params, field, &id, &wrong);

    if (err) {
        pat_rpc_fail(req, err, wrong.path, wrong.what);
        return;
    }
    err = pat_db_run1(r->d->db, NULL, sql, &id, 1, DB_MS, on_answer, req, NULL);
    if (err)
        pat_rpc_fail(req, err, NULL, NULL);
}

static void on_erase(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    struct erase *e = arg;

    run_rpc(req, params, e->r, "user_id", "select patchbay.erase_user($1)::text");
}

static void on_erasure(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    struct erase *e = arg;

    run_rpc(req, params, e->r, "erasure_id",
            "select (to_jsonb(x) - array['user_id', 'claimed_by', 'claimed_until', 'id'] || "
            "jsonb_build_object('erasure_id', x.id, 'failing', x.error))::text "
            "from (select id, state, step, counts, attempts, error, asked_by, asked_at, done_at, "
            "user_sha256 from patchbay.erasures where id = $1) x");
}

/* ------------------------------------------------------------------ life */

int erase_new(struct erase **out, struct relay *r)
{
    struct erase *e = calloc(1, sizeof *e);
    int err;

    if (!e)
        return PAT_ENOMEM;
    e->r = r;
    snprintf(e->who, sizeof e->who, "relay-%s", pat_id_new().s);
    err = pat_timer_init(&e->look, r->d->loop, look_now, e);
    if (!err)
        err = pat_timer_init(&e->life, r->d->loop, prolong, e);
    if (!err)
        err = pat_store_open(&e->store, r->d->http, &r->conf->recording);
    if (!err)
        err = pat_rpc_serve(r->d->bus, &e->ask_sub, "relay", "erase_user", on_erase, e);
    if (!err)
        err = pat_rpc_serve(r->d->bus, &e->tell_sub, "relay", "erasure", on_erasure, e);
    if (err) {
        erase_free(e);
        return err;
    }
    pat_timer_start(&e->look, LOOK_MS);
    *out = e;
    return PAT_OK;
}

void erase_free(struct erase *e)
{
    if (!e)
        return;
    pat_bus_unsubscribe(e->ask_sub);
    pat_bus_unsubscribe(e->tell_sub);
    pat_db_cancel(e->r->d->db, e->query);
    if (e->request)
        pat_bus_cancel(e->r->d->bus, e->request);
    pat_store_free(e->store);
    pat_timer_fini(&e->look);
    pat_timer_fini(&e->life);
    clean(e);
    free(e);
}
