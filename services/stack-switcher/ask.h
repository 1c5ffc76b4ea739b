/* ask.h - one question to Postgres for one request: the row it gives is the answer's JSON.
 *
 * Every question's first two parameters say who asks: $1 the user (an id, NULL for a service), $2
 * 'true' for an admin by token. ASK_MAY_SEE(x) is the condition under which rows of user x may be
 * shown; somebody else's data is not there rather than forbidden. Answers go out compressed to who
 * takes that, so nothing that lets somebody in may be in one (decision 22).
 */
#ifndef SWITCHER_ASK_H
#define SWITCHER_ASK_H

#include "switcher.h"
#include "who.h"

#define ASK_IS_ADMIN   "($2::boolean or (select patchbay.is_admin_user($1::uuid)))"
#define ASK_MAY_SEE(x) "(" x " = $1::uuid or " ASK_IS_ADMIN ")"

#define ASK_MAX_PARAMS 9

/* May change the answer before it is sent; NULL: sent as it is. */
typedef void ask_shape_fn(struct pat_json *answer);
/* Replies with the row's text, whatever it is. */
typedef void ask_reply_fn(struct pat_httpd_req *http, const char *text);

/* A list whose cursor names no row (any more, or for who asks) is {"wrong": <name of the cursor>},
 * which is answered as the wrong input it is. known: a subquery of the row it names. */
#define ASK_PAGE(cursor, param, known, answer)                                                     \
    "case when " param " is not null and not exists (" known ") then jsonb_build_object('wrong', " \
    "'" cursor "') else " answer " end"

struct question {
    const char *name; /* of the statement */
    const char *sql;  /* one column, JSON text; no row or NULL: 404 */
    const char *params[ASK_MAX_PARAMS - 2];
    int n;
    bool tagged;      /* with an ETag: who has this very answer gets 304 (RFC 9110, 13.1.2) */
    bool admins_only; /* no row means 403: the question has ASK_IS_ADMIN as its condition */
    ask_shape_fn *shape;
    ask_reply_fn *reply; /* NULL: as JSON */
};

/* Replies to http exactly once. */
void ask(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
         const struct question *q);

#endif
