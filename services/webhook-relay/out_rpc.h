/* out_rpc.h - what the methods about endpoints and deliveries have in common. */
#ifndef OUT_RPC_H
#define OUT_RPC_H

#include "out.h"

/* One method: a request, and what is left to do when Postgres has answered. */
struct out_method {
    const char *name;
    pat_rpc_fn *fn;
};

/* Serves n methods; arg goes to each. subs has room for n. */
int out_rpc_serve(struct out *o, const struct out_method *methods, size_t n, struct pat_sub **subs,
                  void *arg) PAT_MUST_CHECK;
/* user_id, and a second id by name (NULL: none). On failure it has replied. */
int out_rpc_ids(struct pat_rpc_req *req, const struct pat_json *params, const char **user,
                const char *name, const char **id);
/* A request whose answer is the one JSON text of the last statement; no row or NULL: not_found. */
void out_rpc_ask(struct out *o, struct pat_rpc_req *req, const struct pat_db_stmt *stmts, size_t n);

/* An endpoint as its owner sees it: never a secret. */
#define OUT_ENDPOINT_JSON                                                                           \
    "jsonb_build_object('id', e.id, 'user_id', e.user_id, 'url', e.url, 'description', "            \
    "e.description, 'kind', e.kind, 'events', to_jsonb(e.events), 'signing', to_jsonb(e.signing), " \
    "'payload', e.payload, 'ordering', e.ordering, 'timeout_ms', e.timeout_ms, "                    \
    "'max_concurrency', e.max_concurrency, 'region', e.region, 'has_api_key', "                     \
    "e.api_key is not null, 'state', e.state, 'state_reason', e.state_reason, "                     \
    "'state_changed_at', e.state_changed_at, 'failing_since', e.failing_since, 'failures', "        \
    "e.failures, 'hold_until', e.hold_until, 'last_success_at', e.last_success_at, 'created_at', "  \
    "e.created_at, 'updated_at', e.updated_at, 'keys', (select coalesce(jsonb_agg("                 \
    "jsonb_build_object('scheme', s.scheme, 'created_at', s.created_at, 'expires_at', "             \
    "s.expires_at, 'public_key', s.public_key) order by s.scheme, s.created_at desc), '[]') from "  \
    "patchbay.webhook_secrets s where s.endpoint_id = e.id and "                                    \
    "coalesce(s.expires_at, now()) >= now()))"

#endif
