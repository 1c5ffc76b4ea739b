/* out_rpc.c - see out_rpc.h. */
#include "out_rpc.h"

#include <stdlib.h>
#include <string.h>

int out_rpc_serve(struct out *o, const struct out_method *methods, size_t n, struct pat_sub **subs,
                  void *arg)
{
    int err = PAT_OK;

    for (size_t i = 0; i < n && !err; i++)
        err = pat_rpc_serve(o->r->d->bus, &subs[i], "relay", methods[i].name, methods[i].fn, arg);
    return err;
}

int out_rpc_ids(struct pat_rpc_req *req, const struct pat_json *params, const char **user,
                const char *name, const char **id)
{
    struct pat_json_err wrong;
    int err = pat_json_get_id(params, "user_id", user, &wrong);

    if (!err && name)
        err = pat_json_get_id(params, name, id, &wrong);
    if (err)
        pat_rpc_fail(req, err, wrong.path, wrong.what);
    return err;
}

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct pat_rpc_req *req = arg;
    const char *text = NULL;

    if (err && n)
        pat_log(PAT_WARN, "webhook.not_answered", PAT_ERR(err),
                PAT_S("why", pat_db_message(results[0])));
    if (!err && n && pat_db_rows(results[n - 1]))
        text = pat_db_value(results[n - 1], 0, 0);
    if (text)
        pat_rpc_reply(req, pat_json_text(text));
    else
        pat_rpc_fail(req,
                     !err                   ? PAT_ENOENT
                     : err == PAT_EUPSTREAM ? PAT_EINTERNAL
                                            : err,
                     NULL, NULL);
}

void out_rpc_ask(struct out *o, struct pat_rpc_req *req, const struct pat_db_stmt *stmts, size_t n)
{
    int err = pat_db_run(o->r->d->db, stmts, n, OUT_DB_MS / 3, on_row, req, NULL);

    if (err)
        pat_rpc_fail(req, err, NULL, NULL);
}
