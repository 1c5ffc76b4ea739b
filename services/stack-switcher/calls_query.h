/* calls_query.h - what a list of calls may be asked by.
 *
 * limit, before, user_id or all=true; stack, state (a call's, or "live"), outcome, number (its last
 * digits, four at least), since, until (RFC 3339, or a day). Nothing is asked of anybody here.
 */
#ifndef SWITCHER_CALLS_QUERY_H
#define SWITCHER_CALLS_QUERY_H

#include "query.h"

struct calls_query {
    struct page page;
    bool all;                  /* everybody's */
    char user[PAT_ID_LEN + 1]; /* else whose */
    struct pat_json *filters;  /* owned: an object of texts, what is not asked is not in it */
};

/* me: who asks, NULL for a service. PAT_EINVAL with the field and, for people, what it must be;
 * free it in any case. */
int calls_query_read(struct calls_query *out, struct pat_httpd_req *http, const char *me,
                     const char **field, const char **what) PAT_MUST_CHECK;
void calls_query_free(struct calls_query *q);

/* Pure: "2026-11-23", "2026-11-23T10:00:00Z", with fractions and offsets. */
bool calls_time_valid(const char *s);

#endif
