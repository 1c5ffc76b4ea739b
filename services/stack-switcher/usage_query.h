/* usage_query.h - what a question about usage may say: from, to, group_by, format.
 *
 * Pure: today is an argument, in days since 1970-01-01. Values are as Postgres gets them: texts.
 */
#ifndef SWITCHER_USAGE_QUERY_H
#define SWITCHER_USAGE_QUERY_H

#include "pat.h"

#define USAGE_DAYS_DEFAULT 30
#define USAGE_DAYS_MAX     400

struct usage_query {
    char from[12], to[12]; /* days of UTC, both included: "2026-11-23" */
    char by[64];           /* "day,stack"; "": one sum */
    bool csv;
};

/* Arguments are NULL where absent: then the last 30 days, by day, as JSON. PAT_EINVAL with the
 * field and, for people, what it must be. */
int usage_query_read(struct usage_query *out, const char *from, const char *to, const char *by,
                     const char *format, int64_t today, const char **field,
                     const char **what) PAT_MUST_CHECK;

#endif
