/* replay_run.c - see replay.h. The work is patchbay.replay_webhooks'. */
#include "replay.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH_MS = 20000, BATCH = 200 };

struct run {
    struct pat_db *db;
    struct replay_which which;
    char begun[40]; /* the database's clock; "": not known yet */
    int64_t done;
    int64_t asked;
    replay_fn *fn;
    void *arg;
};

int replay_check(const struct replay_which *w, const char **why)
{
    bool one = *w->id;
    int ways = one + (*w->since ? 1 : 0) + w->parked;

    *why = NULL;
    if (!ways)
        *why = "say which: an id, since when, or those that are parked";
    else if (one && (ways > 1 || *w->source || *w->until))
        *why = "an id stands alone";
    else if (one && !pat_id_valid(w->id))
        *why = "no such id";
    return *why ? PAT_EINVAL : PAT_OK;
}

static void end(struct run *run, int err, bool more, const char *why)
{
    run->fn(err, run->done, more, why, run->arg);
    free(run);
}

static int next(struct run *run);

static void on_batch(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct run *run = arg;
    int64_t rows = err ? 0 : strtoll(pat_db_value(results[0], 0, 0), NULL, 10);

    if (err) {
        end(run, err, false, n ? pat_db_message(results[0]) : NULL);
        return;
    }
    (void)pat_strcpy(run->begun, sizeof run->begun, pat_db_value(results[0], 0, 1));
    run->done += rows;
    if (rows < run->asked || run->done >= run->which.max) {
        end(run, PAT_OK, rows == run->asked, NULL);
        return;
    }
    err = next(run);
    if (err)
        end(run, err, true, NULL);
}

static const char *or_null(const char *s)
{
    return *s ? s : NULL;
}

static int next(struct run *run)
{
    static const char sql[] =
        "select patchbay.replay_webhooks($1::uuid, $2, $3::timestamptz, $4::timestamptz, $5::boolean, "
        "$6::timestamptz, $7::integer), coalesce($6::timestamptz, now())::text";
    const struct replay_which *w = &run->which;
    char max[24];
    const char *params[] = { or_null(w->id),
                             or_null(w->source),
                             or_null(w->since),
                             or_null(w->until),
                             w->parked ? "t" : "f",
                             or_null(run->begun),
                             max };

    run->asked = w->max - run->done < BATCH ? w->max - run->done : BATCH;
    (void)snprintf(max, sizeof max, "%lld", (long long)run->asked);
    return pat_db_run1(run->db, "webhooks_replay", sql, params, 7, BATCH_MS, on_batch, run, NULL);
}

int replay_start(struct pat_db *db, const struct replay_which *w, replay_fn *fn, void *arg)
{
    struct run *run = calloc(1, sizeof *run);
    int err;

    if (!run)
        return PAT_ENOMEM;
    *run = (struct run){ .db = db, .which = *w, .fn = fn, .arg = arg };
    err = next(run);
    if (err)
        free(run);
    return err;
}
