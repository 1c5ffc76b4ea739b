/* voice_forget.c - RPC voices.forget: a user's clones are deleted at the vendor. See voices.h.
 *
 * Asked by an erasure (patchbay.erasures), and only for a user who is being erased. First his
 * agents get another voice, in Postgres; then one clone after the other is deleted there and noted
 * before the next, so that asking again goes on. Answers {"deleted", "left"} when nothing is left,
 * or when the asker's patience ends. One at a time: whoever else asks is told to come again.
 */
#include "voices.h"

#include <stdlib.h>
#include <string.h>

enum {
    DB_MS = 5000,
    SPARE_MS = 22000, /* the longest one clone takes: two requests would be longer than the asker
                         waits, so a look and the deleting of one have to fit */
};

struct voice_forget {
    struct switcher *s;
    struct pat_sub *sub;
    struct pat_rpc_req *req; /* NULL: idle */
    pat_db_id query;
    char user[PAT_ID_LEN + 1], clone[PAT_ID_LEN + 1];
    bool young;                  /* the vendor may make it yet */
    int64_t done, deleted, left; /* done: those that stay, too */
};

static int next(struct voice_forget *f);

static void answer(struct voice_forget *f, int err, const char *message)
{
    struct pat_rpc_req *req = f->req;
    struct pat_json *result;

    f->req = NULL;
    if (err) {
        pat_log(PAT_WARN, "voice.not_forgotten", PAT_S("clone", f->clone), PAT_ERR(err));
        pat_rpc_fail(req, err, NULL, message ? message : pat_err_text(err));
        return;
    }
    result = pat_json_obj();
    pat_json_set_int(result, "deleted", f->deleted);
    pat_json_set_int(result, "left", f->left);
    pat_rpc_reply(req, result);
}

static void on_noted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voice_forget *f = arg;

    (void)results;
    (void)n;
    f->query = 0;
    f->done++;
    if (!err)
        err = next(f);
    if (err)
        answer(f, err, NULL);
}

static void note_by(struct voice_forget *f, const char *name, const char *sql)
{
    const char *params[] = { f->clone };
    int err = pat_db_run1(f->s->d->db, name, sql, params, 1, DB_MS, on_noted, f, &f->query);

    if (err)
        answer(f, err, NULL);
}

static void note(struct voice_forget *f)
{
    f->deleted++;
    note_by(f, "clone_settled", "select patchbay.clone_settled($1::uuid)");
}

static void on_gone(int err, void *arg)
{
    struct voice_forget *f = arg;

    if (err == PAT_EPERM)
        note_by(f, "clone_kept", "select patchbay.clone_kept($1::uuid)");
    else if (err)
        answer(f, err, "the voice's vendor did not delete it");
    else
        note(f);
}

static void on_found(int err, const char *voice, void *arg)
{
    struct voice_forget *f = arg;

    if (!err && !*voice && f->young)
        answer(f, PAT_EAGAIN, "a voice is being made, ask again");
    else if (!err && !*voice)
        note(f);
    else if (err || (err = vendor_delete(f->s, voice, on_gone, f)))
        answer(f, err, "the voice's vendor did not say whether it has it");
}

static void on_next(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct voice_forget *f = arg;
    const char *voice;

    f->query = 0;
    if (err || !n || !pat_db_rows(results[0])) {
        f->left = 0;
        answer(f, err, NULL);
        return;
    }
    (void)pat_strcpy(f->clone, sizeof f->clone, pat_db_get(results[0], 0, "id"));
    voice = pat_db_get(results[0], 0, "voice_id");
    f->young = *pat_db_get(results[0], 0, "young") == 't';
    f->left = strtoll(pat_db_get(results[0], 0, "n"), NULL, 10);
    if (f->done && pat_rpc_left_ms(f->req) < SPARE_MS) {
        answer(f, PAT_OK, NULL);
        return;
    }
    err = voice ? vendor_delete(f->s, voice, on_gone, f) : vendor_find(f->s, f->clone, on_found, f);
    if (err)
        answer(f, err, NULL);
}

static int next(struct voice_forget *f)
{
    const char *params[] = { f->user, f->s->conf->voice_fallback };

    return pat_db_run1(f->s->d->db, "voices_to_forget",
                       "select * from patchbay.voices_to_forget($1::uuid, $2) limit 1", params, 2,
                       DB_MS, on_next, f, &f->query);
}

static void on_forget(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    struct voice_forget *f = arg;
    struct pat_json_err why;
    const char *user;
    int err = pat_json_get_id(params, "user_id", &user, &why);

    if (err) {
        pat_rpc_fail(req, err, why.path, why.what);
        return;
    }
    if (f->req) {
        pat_rpc_fail(req, PAT_EAGAIN, NULL, "somebody else's voices are being deleted");
        return;
    }
    f->req = req;
    f->done = f->deleted = f->left = 0;
    *f->clone = '\0';
    (void)pat_strcpy(f->user, sizeof f->user, user);
    err = next(f);
    if (err)
        answer(f, err, NULL);
}

int voice_forget_new(struct voice_forget **out, struct switcher *s)
{
    struct voice_forget *f = calloc(1, sizeof *f);
    int err = f ? PAT_OK : PAT_ENOMEM;

    if (!err) {
        f->s = s;
        err = pat_rpc_serve(s->d->bus, &f->sub, "voices", "forget", on_forget, f);
    }
    if (err)
        free(f);
    else
        *out = f;
    return err;
}

void voice_forget_free(struct voice_forget *f)
{
    if (!f)
        return;
    pat_bus_unsubscribe(f->sub);
    pat_db_cancel(f->s->d->db, f->query);
    vendor_stop(f->s); /* what comes back would look for f */
    if (f->req)
        answer(f, PAT_EUNAVAIL, NULL);
    free(f);
}
