/* rows.c - a list asked for by RPC: rows Postgres has made one JSON text of. */
#include "relay.h"

void reply_rows(struct pat_rpc_req *req, const char *name, int err,
                const struct pat_db_result *const *results, size_t n)
{
    const char *rows = !err && n && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    struct pat_json *result;

    if (!rows) {
        pat_rpc_fail(req, err ? err : PAT_EINTERNAL, NULL, NULL);
        return;
    }
    result = pat_json_obj();
    pat_json_set_text(result, name, rows);
    pat_rpc_reply(req, result);
}
