/* routes_load.c - keeps the table of numbers true: first load, pushed changes, snapshot file.
 *
 * One fetch is under way at a time. Users heard of meanwhile wait in a set and are fetched
 * together, before anything else; too many, or a doubt (reconnect), and everything is fetched, page
 * by page, so that a change never waits for a million rows. Readiness is the health check "routes".
 */
#include "routes.h"
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define CHANNEL          "patchbay_outbox"
#define SUBJECT          "pat.config.v1.changed."
#define FETCH_TIMEOUT_MS 30000
#define RETRY_MS         500
#define REFRESH_MS       60000
/* Without Postgres at the start: how long callers wait for it before yesterday's snapshot will do.
 * Of the carrier's five seconds three may be Retell's (ask_retell.h). */
#define SNAPSHOT_PATIENCE_MS 1500
#define WAITING_MAX          20000
#define BATCH_USERS          500
#define PAGE_ROWS            "100" /* some milliseconds of Postgres, and of our loop */
/* All of it is read again this much less often than reading it took. */
#define REFRESH_SHARE 20

#define QUERY                                                                                                     \
    "select jsonb_build_object('number', r.number, 'user_id', r.user_id, 'agent_config_id', r.agent_config_id, "  \
    "'stack', r.stack, 'retell_agent_id', case when t.agent_id is null then r.retell_agent_id end, "              \
    "'retell_agent_version', p.version, 'version', r.version, 'share', h.percent, "                               \
    "'is_active', r.is_active and r.agent_is_active and r.account_status = 'active', 'settings', to_jsonb(s) || " \
    "case when exists (select from patchbay.user_tools t where t.user_id = s.user_id) then "                      \
    "jsonb_build_object('user_tools', patchbay.agent_tools(s.user_id, s.agent_config_id)) else '{}' end || "      \
    "coalesce((select jsonb_build_object('record_calls', x.u -> 'record_calls') from (select to_jsonb(p) as u "   \
    "from public.users p where p.id = s.user_id) x where x.u ? 'record_calls'), '{}'), 'policies', "              \
    "k.policies), r.number from patchbay.routes r left join patchbay.agent_settings s using (agent_config_id) "   \
    "left join patchbay.route_policies k on k.agent_config_id = r.agent_config_id "                               \
    "left join patchbay.call_shares h on h.agent_config_id = r.agent_config_id and h.to_stack <> r.stack "        \
    "left join patchbay.retell_tombstones t on t.agent_id = r.retell_agent_id "                                   \
    "left join patchbay.retell_agents p on p.agent_config_id = r.agent_config_id and p.agent_id = r.retell_agent_id"

struct waiting_user {
    char id[PAT_ID_LEN + 1];
    UT_hash_handle hh;
};

struct routes {
    struct pat_daemon *d;
    struct routes_table *table;
    struct waiting_user *waiting;
    bool all_waiting;
    bool fetching;
    bool loaded;
    bool from_snapshot;
    bool settled;     /* loaded, or not waited for any longer */
    bool reading_all; /* from after_number on */
    char after_number[NUMBER_MAX];
    int64_t all_begun_ms;
    struct pat_buf batch; /* "{user,user}": being fetched; empty: a page of all */
    struct snapshot *snapshot;
    pat_db_id query;
    struct pat_sub *sub;
    struct pat_timer retry;
    struct pat_timer refresh;
    struct pat_timer patience;
    struct pat_gauge *count;
    routes_applied_fn *applied;
    void *applied_arg;
    pat_loop_fn *on_settled;
    void *settled_arg;
};

static void fetch_next(struct routes *r);

/* ------------------------------------------------------------------ fetching */

static void set_ready(struct routes *r, const char *from)
{
    pat_gauge_set(r->count, (double)routes_table_count(r->table));
    pat_health_set(r->d->health, "routes", true, from);
}

static void settle(struct routes *r)
{
    if (r->settled)
        return;
    r->settled = true;
    if (r->on_settled)
        r->on_settled(r->settled_arg);
}

static void put_row(struct routes *r, const char *text)
{
    struct pat_json *row;
    int err = pat_json_parse(&row, text, strlen(text), NULL);

    if (!err)
        err = routes_table_put(r->table, row);
    if (err && err != PAT_ESTALE)
        pat_log(PAT_WARN, "routes.row_ignored", PAT_ERR(err));
}

/* "{a,b}", each of them. */
static void each_of_batch(struct routes *r, void (*fn)(struct routes *r, const char *user))
{
    char user[PAT_ID_LEN + 1];

    for (size_t at = 1; at + PAT_ID_LEN < r->batch.len; at += PAT_ID_LEN + 1) {
        memcpy(user, r->batch.data + at, PAT_ID_LEN);
        user[PAT_ID_LEN] = 0;
        fn(r, user);
    }
}

static void unsee(struct routes *r, const char *user)
{
    routes_table_unsee(r->table, user);
}

static void drop_unseen(struct routes *r, const char *user)
{
    int64_t version;

    routes_table_drop_unseen(r->table, user);
    version = routes_table_user_version(r->table, user);
    pat_log(PAT_INFO, "routes.changed", PAT_S("user", user),
            PAT_I("version", version == INT64_MAX ? 0 : version));
    if (r->applied)
        r->applied(user, version, r->applied_arg);
}

static void all_read(struct routes *r)
{
    int64_t took = pat_now_ms() - r->all_begun_ms;

    r->reading_all = false;
    snapshot_hold(r->snapshot, false);
    routes_table_drop_unseen(r->table, NULL);
    if (!r->loaded)
        pat_log(PAT_INFO, "routes.loaded", PAT_I("numbers", routes_table_count(r->table)),
                PAT_I("took_ms", took));
    r->loaded = true;
    if (took * REFRESH_SHARE > REFRESH_MS)
        pat_timer_start(&r->refresh, took * REFRESH_SHARE);
    if (r->applied)
        r->applied(NULL, 0, r->applied_arg);
}

static void apply(struct routes *r, const struct pat_db_result *res)
{
    size_t n = pat_db_rows(res);

    each_of_batch(r, unsee);
    for (size_t i = 0; i < n; i++)
        put_row(r, pat_db_value(res, i, 0));
    each_of_batch(r, drop_unseen);
    if (!r->batch.len && n)
        (void)pat_strcpy(r->after_number, sizeof r->after_number, pat_db_value(res, n - 1, 1));
    if (!r->batch.len && n < strtoul(PAGE_ROWS, NULL, 10))
        all_read(r);
    if (r->loaded) {
        set_ready(r, "postgres");
        settle(r);
        snapshot_due(r->snapshot);
    }
}

static void want_user(struct routes *r, const char *id, size_t len)
{
    struct waiting_user *u;
    char text[PAT_ID_LEN + 1];

    if (len != PAT_ID_LEN)
        return;
    memcpy(text, id, len);
    text[len] = 0;
    HASH_FIND_STR(r->waiting, text, u);
    if (u || !pat_id_valid(text))
        return;
    u = HASH_COUNT(r->waiting) < WAITING_MAX ? calloc(1, sizeof *u) : NULL;
    if (!u) {
        r->all_waiting = true;
        return;
    }
    memcpy(u->id, text, sizeof text);
    HASH_ADD_STR(r->waiting, id, u);
}

static void forget_waiting(struct routes *r)
{
    struct waiting_user *u, *next;

    HASH_ITER(hh, r->waiting, u, next)
    {
        HASH_DEL(r->waiting, u);
        free(u);
    }
}

static void want_again(struct routes *r, const char *user)
{
    want_user(r, user, PAT_ID_LEN);
}

static void on_rows(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct routes *r = arg;

    r->query = 0;
    r->fetching = false;
    if (!err) {
        apply(r, results[0]);
        fetch_next(r);
        return;
    }
    pat_log(PAT_WARN, "routes.fetch_failed", PAT_ERR(err),
            PAT_S("why", n ? pat_db_message(results[0]) : NULL));
    each_of_batch(r, want_again);
    pat_timer_start(&r->retry, RETRY_MS);
}

static int start_fetch(struct routes *r)
{
    const char *params[] = { r->batch.len ? r->batch.data : r->after_number };

    if (r->batch.len)
        return pat_db_run1(r->d->db, "routes_users", QUERY " where r.user_id = any($1::uuid[])",
                           params, 1, FETCH_TIMEOUT_MS, on_rows, r, &r->query);
    return pat_db_run1(r->d->db, "routes_page",
                       QUERY " where r.number > $1 order by r.number limit " PAGE_ROWS, params, 1,
                       FETCH_TIMEOUT_MS, on_rows, r, &r->query);
}

/* Those who wait, as many as a query is good for. */
static int take_batch(struct routes *r)
{
    struct waiting_user *u, *next;
    int n = 0;

    pat_buf_reset(&r->batch);
    HASH_ITER(hh, r->waiting, u, next)
    {
        if (n++ == BATCH_USERS)
            break;
        pat_buf_add(&r->batch, n == 1 ? "{" : ",", 1);
        pat_buf_adds(&r->batch, u->id);
        HASH_DEL(r->waiting, u);
        free(u);
    }
    return n ? pat_buf_add(&r->batch, "}", 1) : PAT_OK;
}

static void begin_all(struct routes *r)
{
    r->all_waiting = false;
    r->reading_all = true;
    snapshot_hold(r->snapshot, true);
    r->all_begun_ms = pat_now_ms();
    r->after_number[0] = 0;
    routes_table_unsee(r->table, NULL);
}

static void fetch_next(struct routes *r)
{
    if (r->fetching || (!r->all_waiting && !r->reading_all && !r->waiting))
        return;
    if (r->all_waiting)
        begin_all(r);
    r->fetching = true;
    if (!take_batch(r) && !start_fetch(r))
        return;
    r->fetching = false;
    r->all_waiting = true;
    pat_timer_start(&r->retry, RETRY_MS);
}

static void fetch_again(void *arg)
{
    fetch_next(arg);
}

static void want_all(struct routes *r)
{
    r->all_waiting = true;
    fetch_next(r);
}

/* ------------------------------------------------------------------ hearing of changes */

/* subject: pat.config.v1.changed.<user>.<config> */
static void hear(struct routes *r, const char *subject)
{
    const char *user = subject + strlen(SUBJECT);

    if (strncmp(subject, SUBJECT, strlen(SUBJECT)))
        return;
    want_user(r, user, strcspn(user, "."));
    fetch_next(r);
}

static void on_notify(const char *channel, const char *payload, void *arg)
{
    (void)channel;
    if (payload)
        hear(arg, payload);
    else
        want_all(arg);
}

/* Postgres has told of it before, mostly: then it is known. The version stands in the event's data,
 * which our own trigger has written. */
static bool is_known(const struct routes *r, const struct pat_msg *m)
{
    static const char mark[] = "\"version\":";
    const char *user = m->subject + strlen(SUBJECT), *at = strstr(m->data, mark);
    char id[PAT_ID_LEN + 1];
    int64_t known;

    if (!at || strcspn(user, ".") != PAT_ID_LEN)
        return false;
    memcpy(id, user, PAT_ID_LEN);
    id[PAT_ID_LEN] = 0;
    known = routes_table_user_version(r->table, id);
    return known != INT64_MAX && known >= strtoll(at + sizeof mark - 1, NULL, 10);
}

static void on_event(const struct pat_msg *m, void *arg)
{
    if (!is_known(arg, m))
        hear(arg, m->subject);
}

static void on_bus(bool up, void *arg)
{
    if (up)
        want_all(arg);
}

static void on_refresh(void *arg)
{
    struct routes *r = arg;

    pat_timer_start(&r->refresh, REFRESH_MS);
    if (!r->reading_all)
        want_all(r);
}

static void on_patience_over(void *arg)
{
    struct routes *r = arg;

    if (r->loaded)
        return;
    if (r->from_snapshot) {
        pat_log(PAT_WARN, "routes.serving_snapshot",
                PAT_I("numbers", routes_table_count(r->table)));
        set_ready(r, "snapshot");
    }
    settle(r);
}

/* ------------------------------------------------------------------ life */

static int listen_everywhere(struct routes *r)
{
    int err = pat_bus_subscribe(r->d->bus, &r->sub, SUBJECT ">", NULL, on_event, r);

    if (!err)
        err = pat_db_listen(r->d->db, CHANNEL, on_notify, r);
    return err ? err : pat_daemon_on_bus(r->d, on_bus, r);
}

int routes_new(struct routes **out, struct pat_daemon *d, const char *snapshot_file)
{
    struct routes *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return PAT_ENOMEM;
    r->d = d;
    pat_buf_init(&r->batch, (size_t)(BATCH_USERS + 1) * (PAT_ID_LEN + 1));
    err = routes_table_new(&r->table);
    if (!err)
        err = snapshot_new(&r->snapshot, d->loop, r->table, snapshot_file);
    if (!err)
        err = pat_timer_init(&r->retry, d->loop, fetch_again, r);
    if (!err)
        err = pat_timer_init(&r->refresh, d->loop, on_refresh, r);
    if (!err)
        err = pat_timer_init(&r->patience, d->loop, on_patience_over, r);
    if (!err)
        err = pat_health_check(d->health, "routes", true);
    if (err)
        goto fail;
    r->count = pat_gauge(d->metrics, "pat_router_numbers", "Phone numbers the router knows", NULL);
    snapshot_read(r->snapshot);
    r->from_snapshot = routes_table_count(r->table);
    err = listen_everywhere(r);
    if (err)
        goto fail;
    pat_timer_start(&r->refresh, REFRESH_MS);
    pat_timer_start(&r->patience, SNAPSHOT_PATIENCE_MS);
    want_all(r);
    *out = r;
    return PAT_OK;

fail:
    routes_free(r);
    return err;
}

void routes_free(struct routes *r)
{
    if (!r)
        return;
    snapshot_free(r->snapshot);
    pat_db_cancel(r->d->db, r->query);
    pat_bus_unsubscribe(r->sub);
    pat_timer_fini(&r->retry);
    pat_timer_fini(&r->refresh);
    pat_timer_fini(&r->patience);
    forget_waiting(r);
    routes_table_free(r->table);
    pat_buf_fini(&r->batch);
    free(r);
}

bool routes_loaded(const struct routes *r)
{
    return r->loaded;
}

void routes_on_settled(struct routes *r, pat_loop_fn *fn, void *arg)
{
    r->on_settled = fn;
    r->settled_arg = arg;
}

const struct route *routes_find(const struct routes *r, const char *number)
{
    return routes_table_find(r->table, number);
}

int64_t routes_user_version(const struct routes *r, const char *user)
{
    /* A page of a full read changes nothing that is not in the table a moment later. */
    return !r->loaded || (r->fetching && r->batch.len) ? 0
                                                       : routes_table_user_version(r->table, user);
}

void routes_want(struct routes *r, const char *user)
{
    want_user(r, user, strlen(user));
    fetch_next(r);
}

void routes_on_applied(struct routes *r, routes_applied_fn *fn, void *arg)
{
    r->applied = fn;
    r->applied_arg = arg;
}

bool routes_has(const struct routes *r, const char *number)
{
    return routes_table_has(r->table, number);
}

size_t routes_count(const struct routes *r)
{
    return routes_table_count(r->table);
}
