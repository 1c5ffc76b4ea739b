/* forget.c - RPC retell.forget: a user's calls, agents and models at Retell are deleted.
 *
 * One after the other, within api.h's budget; what is gone is noted before the next, so that asking
 * again goes on. Answers when nothing is left, or when the asker's patience ends: {"deleted",
 * "left"}. Only for a user who is being erased (patchbay.erasures).
 */
#include "api.h"
#include "provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DB_TIMEOUT_MS 5000
#define SPARE_MS      3000 /* to answer in, before the asker gives up */

struct forget {
    struct provider *p;
    struct pat_rpc_req *req;
    char user[PAT_ID_LEN + 1], kind[8], id[130];
    int64_t deleted, left;
};

static int next(struct forget *f);

static void answer(struct forget *f, int err, const char *message)
{
    struct pat_json *result;

    if (err) {
        pat_rpc_fail(f->req, err, NULL, message);
    } else {
        result = pat_json_obj();
        pat_json_set_int(result, "deleted", f->deleted);
        pat_json_set_int(result, "left", f->left);
        pat_rpc_reply(f->req, result);
    }
    free(f);
}

static void on_noted(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct forget *f = arg;

    (void)results;
    (void)n;
    f->deleted++;
    if (!err)
        err = next(f);
    if (err)
        answer(f, err, pat_err_text(err));
}

static void on_deleted(const struct api_answer *a, void *arg)
{
    struct forget *f = arg;
    const char *params[] = { f->user, f->kind, f->id };
    int err = a->err == PAT_ENOENT ? PAT_OK : a->err;

    if (!err)
        err =
            pat_db_run1(f->p->d->db, "retell_is_gone", "select patchbay.retell_is_gone($1, $2, $3)",
                        params, 3, DB_TIMEOUT_MS, on_noted, f, NULL);
    if (err)
        answer(f, err, a->err ? a->message : pat_err_text(err));
}

static void on_next(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    static const char *const paths[][2] = { { "call", "/v2/delete-call" },
                                            { "agent", "/delete-agent" },
                                            { "llm", "/delete-retell-llm" } };
    struct forget *f = arg;
    char path[200] = "";
    api_id id;

    if (err || !n || !pat_db_rows(results[0]) || !f->p->journal) {
        f->left = 0;
        answer(f, err ? err : f->p->journal ? PAT_OK : PAT_EUNAVAIL, pat_err_text(err));
        return;
    }
    f->left = strtoll(pat_db_get(results[0], 0, "left"), NULL, 10);
    pat_strcpy(f->kind, sizeof f->kind, pat_db_get(results[0], 0, "kind"));
    if (!pat_strcpy(f->id, sizeof f->id, pat_db_get(results[0], 0, "id")) ||
        strpbrk(f->id, "/?#% ")) {
        answer(f, PAT_EINVAL, "an id that cannot be one");
        return;
    }
    if (pat_rpc_left_ms(f->req) < SPARE_MS) {
        answer(f, PAT_OK, NULL);
        return;
    }
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        if (!strcmp(paths[i][0], f->kind))
            snprintf(path, sizeof path, "%s/%s", paths[i][1], f->id);
    err = api_call(f->p->api, "DELETE", path, NULL, on_deleted, f, &id);
    if (err)
        answer(f, err, pat_err_text(err));
}

static int next(struct forget *f)
{
    const char *params[] = { f->user };

    return pat_db_run1(
        f->p->d->db, "retell_of_user",
        "select kind, id, count(*) over () as left from patchbay.retell_of_user($1) where exists "
        "(select from patchbay.erasures where user_id = $1 and state = 'open') limit 1",
        params, 1, DB_TIMEOUT_MS, on_next, f, NULL);
}

void forget_user(struct pat_rpc_req *req, const struct pat_json *params, void *arg)
{
    struct forget *f;
    struct pat_json_err why;
    const char *user;
    int err = pat_json_get_id(params, "user_id", &user, &why);

    if (err) {
        pat_rpc_fail(req, err, why.path, why.what);
        return;
    }
    f = calloc(1, sizeof *f);
    if (!f) {
        pat_rpc_fail(req, PAT_ENOMEM, NULL, NULL);
        return;
    }
    f->p = arg;
    f->req = req;
    pat_strcpy(f->user, sizeof f->user, user);
    err = next(f);
    if (err)
        answer(f, err, pat_err_text(err));
}
