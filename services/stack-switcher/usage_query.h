/* usage_query.h - what a question about usage may say: from, to, group_by, format, tz,
 * limit, after.
 *
 * Pure but for the zone's file (tz.h): the time is an argument. Values are as Postgres gets them:
 * texts.
 */
#ifndef SWITCHER_USAGE_QUERY_H
#define SWITCHER_USAGE_QUERY_H

#include "pat.h"

#define USAGE_DAYS_DEFAULT 30
#define USAGE_DAYS_MAX     400
#define USAGE_TZ_MAX       40
/* More than other lists': a row is small, and each page is summed up anew. */
#define USAGE_LIMIT_MAX 1000

struct usage_query {
    char from[12], to[12]; /* days, both included: "2026-11-23" */
    char by[64];           /* "day,stack"; "": one sum */
    char tz[USAGE_TZ_MAX]; /* whose days: "UTC", "Europe/Berlin" */
    char limit[8];         /* of rows; "": all of them, in a file */
    char after[12];        /* so many rows are left out first; "": none */
    bool csv;
};

/* As they were sent; NULL where absent: then the last 30 days of UTC, by day, as JSON, 50 rows. */
struct usage_asked {
    const char *from, *to, *by, *format, *tz, *limit, *after;
};

/* PAT_EINVAL with the field and, for people, what it must be. */
int usage_query_read(struct usage_query *out, const struct usage_asked *asked, int64_t now_s,
                     const char **field, const char **what) PAT_MUST_CHECK;

#endif
