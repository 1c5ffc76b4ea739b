/* change.h - a change somebody asks for: who he is and why, for the audit. Thread: the loop's. */
#ifndef SWITCHER_CHANGE_H
#define SWITCHER_CHANGE_H

#include "switcher.h"
#include "who.h"

#define CHANGE_KEY_MAX 200 /* of an Idempotency-Key */
#define CHANGE_WHY_MAX 500 /* characters of a reason: the first ones are kept */

/* "why": what somebody said, UTF-8; NULL or "": nothing. */
void change_set_why(struct pat_json *about, const char *said);
/* {"actor", "actor_id", "peer", "why"} of a request by HTTP; said as above. */
struct pat_json *change_about(const struct who *who, struct pat_httpd_req *http, const char *said);

#endif
