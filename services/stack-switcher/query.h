/* query.h - what a request's query may say: limit, before, user_id.
 *
 * Pure. Values are as Postgres gets them: texts.
 */
#ifndef SWITCHER_QUERY_H
#define SWITCHER_QUERY_H

#include "pat.h"

#define QUERY_LIMIT_DEFAULT 50
#define QUERY_LIMIT_MAX     200

struct page {
    char limit[8];
    char before[PAT_ID_LEN + 1]; /* the cursor; "": from the first */
};

/* Arguments are NULL where absent. PAT_EINVAL with the field and, for people, what it must be. */
int page_read(struct page *out, const char *limit, const char *before, const char **field,
              const char **what) PAT_MUST_CHECK;
/* Of rows, 1 to max (9999 at most), in four digits at most. *out is written on success only. */
int query_limit(int *out, const char *s, int max) PAT_MUST_CHECK;
/* A Content-Type: application/json, or another whose name ends in +json; parameters are fine. */
bool query_is_json(const char *media_type);

/* What a field of a body has to be, where it is there and not null. */
struct query_kind {
    const char *name; /* NULL: the last */
    enum pat_json_kind kind;
};

/* The first field of another kind, and what it has to be; NULL. "hold": "true" must not pass for
 * nothing said, nor a dry_run that only the query has. */
const char *query_mistyped(const struct pat_json *body, const struct query_kind *kinds,
                           const char **what);

#endif
