/* user_tool.h - a tool of the user's own: an endpoint of theirs, called like a webhook, from a call
 * on either stack.
 *
 * Address and secret are read from Postgres for each use and kept nowhere. One POST, signed after
 * Standard Webhooks (standard-webhooks.com, spec 1.0.0), not repeated: whether it had consequences
 * is the user's to know; who has to send it again does so under the same id. Only public addresses
 * are connected to, and only by https, unless private_nets. What it answers is information for the
 * model, cut, and never anything else. Thread: the loop's.
 */
#ifndef PAT_USER_TOOL_H
#define PAT_USER_TOOL_H

#include "db.h"
#include "http.h"
#include "id.h"
#include "json.h"

struct pat_user_tool;

/* Borrowed for the call of pat_user_tool_start, but for db and http. */
struct pat_user_tool_use {
    struct pat_db *db;
    struct pat_http *http;
    const char *tool_id; /* of patchbay.user_tools */
    const char *tool;    /* its name */
    struct pat_id id;    /* of this use: webhook-id, the receiver's key against repetitions */
    const struct pat_json *args;
    const char *call_id, *user_id, *agent_config_id;
    const char *from, *to; /* or NULL */
    int64_t timeout_ms;    /* in all */
    bool private_nets;
};

/* error NULL: it answered 2xx; else a word for the record ("http_500", "gone", "timed_out"), and
 * result has what the model may hear about it. result is the receiver's. Runs exactly once, unless
 * canceled, never before pat_user_tool_start returns; *out is gone then. */
typedef void pat_user_tool_fn(const char *error, struct pat_json *result_take, void *arg);
/* PAT_EUNAVAIL: no database. On an error fn does not run. */
int pat_user_tool_start(struct pat_user_tool **out, const struct pat_user_tool_use *use,
                        pat_user_tool_fn *fn, void *arg) PAT_MUST_CHECK;
void pat_user_tool_cancel(struct pat_user_tool *u); /* fn does not run; NULL is fine */

#endif
