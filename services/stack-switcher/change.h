/* change.h - a change somebody asks for: who he is and why, for the audit. Thread: the loop's. */
#ifndef SWITCHER_CHANGE_H
#define SWITCHER_CHANGE_H

#include "switcher.h"
#include "who.h"

#define CHANGE_WHY_MAX 500 /* characters of a reason: the first ones are kept */

/* "why": what somebody said, UTF-8; NULL or "": nothing. */
void change_set_why(struct pat_json *about, const char *said);
/* {"actor", "actor_id", "peer", "why"} of a request by HTTP; said as above. */
struct pat_json *change_about(const struct who *who, struct pat_httpd_req *http, const char *said);
/* What a request to begin something says besides its body: its Idempotency-Key, NULL without one,
 * and whether it asks for the plan alone ("dry_run"). False: it has been answered.
 */
bool change_head(const char **key, bool *plan, struct pat_httpd_req *http);

/* By RPC, where NATS has let in who asks and he says who he is: {"actor", "why"} of params. False:
 * it has been answered.
 */
bool change_sign(struct pat_json *about, const struct pat_json *params, struct pat_rpc_req *r);
/* The id in params; NULL: it has been answered. */
const char *change_id(const char *field, const struct pat_json *params, struct pat_rpc_req *r);
/* Answers with Postgres' reply, or with what of it is called member. reply: NULL with an error, or
 * why it was refused.
 */
void change_reply(struct pat_rpc_req *r, int err, const struct pat_json *reply, const char *member);

#endif
