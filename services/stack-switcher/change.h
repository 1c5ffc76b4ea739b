/* change.h - a change somebody asks for by HTTP: who he is, for the audit. Thread: the loop's. */
#ifndef SWITCHER_CHANGE_H
#define SWITCHER_CHANGE_H

#include "switcher.h"
#include "who.h"

#define CHANGE_KEY_MAX 200 /* of an Idempotency-Key */

/* {"actor", "actor_id", "peer", "why"}: why is the body's. */
struct pat_json *change_about(const struct who *who, struct pat_httpd_req *http,
                              const struct pat_json *body);

#endif
