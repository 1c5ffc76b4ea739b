/* recorder_reap.c - signs of life for our recordings; the ones of others that went quiet.
 *
 * How: one timer. Each time, patchbay.recordings hears which of ours are alive, and gives us some
 * whose process said nothing for quiet_ms and whose call is over. After Postgres was away nobody's
 * signs are there: nothing is taken before everybody had time to give some.
 */
#include "recorder_int.h"

#include <stdlib.h>
#include <string.h>

enum { PER_QUIET = 4, QUERY_MS = 5000, AT_ONCE = 4 };

static void add_reaped(struct recorder *r, const struct pat_db_result *res, size_t i)
{
    struct record_opts o = { .call_id = pat_db_get(res, i, "call_id"),
                             .user_id = pat_db_get(res, i, "user_id"),
                             .name = pat_db_get(res, i, "name") };
    const char *epoch = pat_db_get(res, i, "epoch"), *began = pat_db_get(res, i, "began_ms");
    struct keep *k;

    if (!o.call_id || !o.user_id || !o.name || !epoch || !began)
        return;
    for (k = r->keeps; k; k = k->next)
        if (!strcmp(k->call_id, o.call_id) && !strcmp(k->name, o.name))
            return;
    o.epoch = (int)strtol(epoch, NULL, 10);
    k = keep_new(r, &o, strtoll(began, NULL, 10));
    if (!k)
        return;
    k->over = k->reaped = true;
    pat_log(PAT_INFO, "record.reaped", PAT_S("call", k->call_id), PAT_S("name", k->name));
}

static void on_claimed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct recorder *r = arg;

    r->reaping = 0;
    if (err) {
        pat_log(PAT_WARN, "record.reaper", PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        return;
    }
    for (size_t i = 0; i < pat_db_rows(results[n - 1]); i++)
        add_reaped(r, results[n - 1], i);
    recorder_step(r);
}

/* {"id","id"}: a Postgres array. */
static int alive(const struct recorder *r, struct pat_buf *out)
{
    pat_buf_adds(out, "{");
    for (const struct keep *k = r->keeps; k; k = k->next)
        if (!k->left)
            pat_buf_addf(out, "%s%s", out->len > 1 ? "," : "", k->call_id);
    return pat_buf_adds(out, "}");
}

static void on_life(void *arg)
{
    static const char seen[] = "update patchbay.recordings set seen_at = now() "
                               "where call_id = any ($1::uuid[]) and state <> 'stored'";
    static const char claim[] =
        "select call_id, user_id, name, epoch, "
        "(extract(epoch from began_at) * 1000)::bigint as began_ms "
        "from patchbay.claim_recordings(make_interval(secs => $1::bigint / 1000.0), $2::integer)";
    struct recorder *r = arg;
    char quiet[24], limit[8];
    struct pat_buf ids;

    pat_timer_start(&r->life, r->o.quiet_ms / PER_QUIET);
    r->up_for = pat_db_up(r->o.db) ? r->up_for + 1 : 0;
    if (!r->up_for || r->reaping || r->closing)
        return;
    pat_buf_init(&ids, 1 << 20);
    (void)snprintf(quiet, sizeof quiet, "%lld", (long long)r->o.quiet_ms);
    (void)snprintf(limit, sizeof limit, "%d", r->up_for > PER_QUIET ? AT_ONCE : 0);
    if (!alive(r, &ids)) {
        const char *who[] = { ids.data }, *what[] = { quiet, limit };
        const struct pat_db_stmt stmts[] = { { "recordings_seen", seen, 1, who },
                                             { "recordings_claim", claim, 2, what } };
        if (pat_db_run(r->o.db, stmts, 2, QUERY_MS, on_claimed, r, &r->reaping))
            r->reaping = 0;
    }
    pat_buf_fini(&ids);
}

int recorder_live(struct recorder *r)
{
    int err;

    if (!r->o.db)
        return PAT_OK;
    err = pat_timer_init(&r->life, r->o.loop, on_life, r);
    if (!err)
        pat_timer_start(&r->life, r->o.quiet_ms / PER_QUIET);
    return err;
}

void recorder_die(struct recorder *r)
{
    pat_timer_fini(&r->life);
    if (r->reaping)
        pat_db_cancel(r->o.db, r->reaping);
    r->reaping = 0;
}
