/* voices.c - what was left unfinished with the voices' vendor: see voices.h.
 *
 * Leaving: deleted there, however often it takes. Renamed: told there, likewise. Asked for a
 * quarter of an hour ago and never answered: whoever asked was told that it failed, so what was
 * made of it all the same goes. So does what deleted rows left there (patchbay.voice_orphans). One
 * row at a time, locked by no more than its own next look; two replicas doing the same is
 * harmless.
 */
#include "voices.h"

#include <stdlib.h>
#include <string.h>

enum { LOOK_MS = 20000, SOON_MS = 10, DB_MS = 5000 };

struct voices {
    struct switcher *s;
    struct pat_timer timer;
    char id[PAT_ID_LEN + 1]; /* the clone at hand */
    char name[80 * 4 + 1];   /* its new one */
    pat_db_id query;
    bool busy; /* with the vendor */
};

static void again(struct voices *v, int64_t ms)
{
    v->busy = false;
    pat_timer_start(&v->timer, ms);
}

static void on_settled(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voices *v = arg;

    (void)results;
    (void)n;
    v->query = 0;
    again(v, err ? LOOK_MS : SOON_MS);
}

static void on_postponed(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voices *v = arg;

    (void)err;
    (void)results;
    (void)n;
    v->query = 0;
    again(v, LOOK_MS);
}

static void settle(struct voices *v)
{
    const char *params[] = { v->id };

    if (pat_db_run1(v->s->d->db, "clone_settled", "select patchbay.clone_settled($1::uuid)", params,
                    1, DB_MS, on_settled, v, &v->query))
        again(v, LOOK_MS);
}

/* A voice of the vendor's library, or of whoever: nobody has it any more, and there it stays. */
static void keep(struct voices *v)
{
    const char *params[] = { v->id };

    pat_log(PAT_INFO, "voice.no_clone", PAT_S("clone", v->id));
    if (pat_db_run1(v->s->d->db, "clone_kept", "select patchbay.clone_kept($1::uuid)", params, 1,
                    DB_MS, on_settled, v, &v->query))
        again(v, LOOK_MS);
}

/* The others first. */
static void postpone(struct voices *v)
{
    const char *params[] = { v->id };

    if (pat_db_run1(v->s->d->db, "clone_postponed", "select patchbay.clone_postponed($1::uuid)",
                    params, 1, DB_MS, on_postponed, v, &v->query))
        again(v, LOOK_MS);
}

static void on_gone(int err, void *arg)
{
    struct voices *v = arg;

    if (err == PAT_EPERM) {
        keep(v);
    } else if (err) {
        pat_log(PAT_WARN, "voice.not_deleted", PAT_S("clone", v->id), PAT_ERR(err));
        postpone(v);
    } else {
        settle(v);
    }
}

static void on_found(int err, const char *voice, void *arg)
{
    struct voices *v = arg;

    if (!err && !*voice)
        settle(v);
    else if (err || vendor_delete(v->s, voice, on_gone, v))
        postpone(v);
}

/* Unless it has got yet another name meanwhile. */
static void on_renamed(int err, void *arg)
{
    static const char sql[] = "update patchbay.voice_clones set rename_at = null, vendor_name = $2 "
                              "where id = $1::uuid and name = $2";
    struct voices *v = arg;
    const char *params[] = { v->id, v->name };

    if (err && err != PAT_ENOENT) {
        pat_log(PAT_WARN, "voice.not_renamed", PAT_S("clone", v->id), PAT_ERR(err));
        postpone(v);
    } else if (pat_db_run1(v->s->d->db, "clone_renamed", sql, params, 2, DB_MS, on_settled, v,
                           &v->query)) {
        again(v, LOOK_MS);
    }
}

/* voice NULL: asked for, and never answered. */
static int take_up(struct voices *v, const char *state, const char *voice)
{
    if (!voice)
        return vendor_find(v->s, v->id, on_found, v);
    return strcmp(state, "ready") ? vendor_delete(v->s, voice, on_gone, v)
                                  : vendor_rename(v->s, voice, v->name, on_renamed, v);
}

static void on_next(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voices *v = arg;
    const char *voice;

    v->query = 0;
    if (err || !n || !pat_db_rows(results[0])) {
        again(v, LOOK_MS);
        return;
    }
    (void)pat_strcpy(v->id, sizeof v->id, pat_db_value(results[0], 0, 0));
    voice = pat_db_value(results[0], 0, 1);
    (void)pat_strcpy(v->name, sizeof v->name, pat_db_value(results[0], 0, 3));
    v->busy = true;
    if (take_up(v, pat_db_value(results[0], 0, 2), voice))
        again(v, LOOK_MS);
}

static void look(void *arg)
{
    static const char sql[] = "select id, voice_id, state, name from patchbay.clone_next()";
    struct voices *v = arg;

    if (v->query || v->busy)
        return;
    if (pat_db_run1(v->s->d->db, "clone_next", sql, NULL, 0, DB_MS, on_next, v, &v->query))
        again(v, LOOK_MS);
}

int voices_new(struct voices **out, struct switcher *s)
{
    struct voices *v = calloc(1, sizeof *v);
    int err = v ? pat_timer_init(&v->timer, s->d->loop, look, v) : PAT_ENOMEM;

    if (err) {
        free(v);
        return err;
    }
    v->s = s;
    pat_timer_start(&v->timer, SOON_MS);
    *out = v;
    return PAT_OK;
}

void voices_soon(struct voices *v)
{
    if (v && !v->query && !v->busy)
        pat_timer_start(&v->timer, SOON_MS);
}

void voices_free(struct voices *v)
{
    if (!v)
        return;
    pat_db_cancel(v->s->d->db, v->query);
    vendor_stop(v->s); /* what comes back would look for v */
    pat_timer_fini(&v->timer);
    free(v);
}
