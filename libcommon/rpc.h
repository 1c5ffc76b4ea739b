/* rpc.h - request and reply between our daemons: JSON over the bus, on
 * pat.rpc.v1.<service>.<method>.
 *
 * Each service is a queue group: one replica answers. The header Pat-Deadline-Ms says how long the
 * caller waits, so that nobody works for a caller who has left. Who waits for ten seconds or more
 * hears every second that the replica is still at it; six seconds without that are PAT_ETIMEDOUT
 * before the deadline, for a replica that was killed tells nobody. An error reply is
 * {"error":{"code","message","retryable","field"?}}, anything else is {"result":...}. Thread: the
 * loop's.
 */
#ifndef PAT_RPC_H
#define PAT_RPC_H

#include "bus.h"
#include "json.h"

struct pat_rpc_req;

/* Replies exactly once, now or later, by pat_rpc_reply or pat_rpc_fail. params is borrowed until
 * then. */
typedef void pat_rpc_fn(struct pat_rpc_req *r, const struct pat_json *params, void *arg);
int pat_rpc_serve(struct pat_bus *b, struct pat_sub **out, const char *service, const char *method,
                  pat_rpc_fn *fn, void *arg) PAT_MUST_CHECK;
/* What is left of the caller's patience, in ms; at most 0 when it is over. */
int64_t pat_rpc_left_ms(const struct pat_rpc_req *r);
void pat_rpc_reply(struct pat_rpc_req *r, struct pat_json *result_take);
void pat_rpc_fail(struct pat_rpc_req *r, int err, const char *field, const char *message);

/* err: PAT_OK with the result (borrowed); a typed error by its code with message, and result is the
 * error as it came ({"code","message","field"?}); PAT_ETIMEDOUT, PAT_EUNAVAIL without a result. */
typedef void pat_rpc_done_fn(int err, const struct pat_json *result, const char *message,
                             void *arg);
int pat_rpc_call(struct pat_bus *b, const char *service, const char *method,
                 const struct pat_json *params, int64_t timeout_ms, pat_rpc_done_fn *fn, void *arg,
                 pat_bus_id *id) PAT_MUST_CHECK;
/* The same with params as text: a well-formed JSON object, borrowed. */
int pat_rpc_call_text(struct pat_bus *b, const char *service, const char *method,
                      const char *params, int64_t timeout_ms, pat_rpc_done_fn *fn, void *arg,
                      pat_bus_id *id) PAT_MUST_CHECK;

#endif
