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
/* A Content-Type: application/json, or another whose name ends in +json; parameters are fine. */
bool query_is_json(const char *media_type);

#endif
