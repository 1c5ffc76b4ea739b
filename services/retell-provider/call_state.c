/* call_state.c - RPC retell.call_state: how a call stands at Retell (GET /v2/get-call/{id}).
 *
 * Within the budget of requests that are not calls being registered: it can wait.
 */
#include "provider.h"

#include "api.h"

#include <stdio.h>
#include <string.h>

/* call_status: registered, not_connected, ongoing, ended, error. */
static void on_call(const struct api_answer *a, void *arg)
{
    struct pat_rpc_req *r = arg;
    const char *status = pat_json_str_or(a->body, "call_status", "");
    struct pat_json *result;
    bool over;

    if (a->err) {
        pat_rpc_fail(r, a->err, NULL, a->message);
        return;
    }
    over = !strcmp(status, "ended") || !strcmp(status, "error") || !strcmp(status, "not_connected");
    result = pat_json_obj();
    pat_json_set_str(result, "state", over ? "ended" : "ongoing");
    pat_json_set_str(result, "disconnection_reason",
                     pat_json_str_or(a->body, "disconnection_reason", NULL));
    if (over)
        pat_json_set_int(result, "ended_ms", pat_json_int_or(a->body, "end_timestamp", 0));
    pat_rpc_reply(r, result);
}

void rpc_call_state(struct pat_rpc_req *r, const struct pat_json *params, void *arg)
{
    struct provider *p = arg;
    const char *id = pat_json_str_or(params, "retell_call_id", "");
    struct pat_buf path;
    api_id asked;
    int err;

    if (!*id || strlen(id) > 128) {
        pat_rpc_fail(r, PAT_EINVAL, "retell_call_id", "must be 1 to 128 bytes");
        return;
    }
    pat_buf_init(&path, 512);
    pat_buf_adds(&path, "/v2/get-call/");
    err = pat_url_encode(&path, id);
    if (!err)
        err = api_call(p->api, "GET", path.data, NULL, on_call, r, &asked);
    pat_buf_fini(&path);
    if (err)
        pat_rpc_fail(r, err, NULL, pat_err_text(err));
}
