/* verdict.h - a function in Postgres judges a request: what it made of it, or why not.
 *
 * Such a function gives {"<noun>": ...}, which is the answer, or {"refused": {"status", "code",
 * "field", "message"}}, with more beside it that belongs to the refusal. The question's first two
 * parameters say who asks, as with ask.h. Thread: the loop's.
 */
#ifndef SWITCHER_VERDICT_H
#define SWITCHER_VERDICT_H

#include "ask.h"

/* Calls an admin's function; anybody else is refused, and that is written down. by: the parameter
 * with what verdict_by makes. */
#define VERDICT_FOR_ADMINS(call, by, action)                                                       \
    "select case when " ASK_IS_ADMIN " then " call " else patchbay.not_an_admin(" by               \
    "::jsonb, '" action "') end"

struct verdict {
    const char *name; /* of the statement */
    const char *sql;  /* one column, JSON text; no row or NULL: 404 */
    const char *params[ASK_MAX_PARAMS - 2];
    int n;
    const char *noun; /* NULL: the whole is the answer */
    int status;       /* 0: 200 */
    bool etag;        /* "version" of the noun is its ETag */
};

/* Replies to http exactly once. */
void verdict_ask(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
                 const struct verdict *v);

/* {"actor", "actor_id", "peer", "why"} as text, for the audit; why comes from the query. Yours. */
char *verdict_by(const struct who *who, struct pat_httpd_req *http) PAT_MUST_CHECK;

#endif
