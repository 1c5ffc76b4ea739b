/* usage_query.c - what a question about usage may say: see usage_query.h. */
#include "usage_query.h"

#include "query.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *const groups[] = { "day", "stack", "component", "user", "account", "model" };
enum { GROUPS = sizeof groups / sizeof groups[0] };

#define DAY_S 86400

static void write_day(char out[12], int64_t days)
{
    time_t at = days * DAY_S;
    struct tm tm;

    if (!gmtime_r(&at, &tm) || !strftime(out, 12, "%Y-%m-%d", &tm))
        *out = '\0';
}

/* A day that exists, from 1970 to 2099. */
static int read_day(int64_t *out, const char *s)
{
    struct tm tm = { 0 };
    int end = 0;
    char again[12];

    if (strlen(s) != 10 || strspn(s, "0123456789-") != 10 ||
        sscanf(s, "%4d-%2d-%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &end) != 3 || end != 10)
        return PAT_EINVAL;
    if (tm.tm_year < 1970 || tm.tm_year > 2099)
        return PAT_EINVAL;
    tm.tm_year -= 1900;
    tm.tm_mon--;
    *out = timegm(&tm) / DAY_S;
    write_day(again, *out);
    return strcmp(again, s) != 0 ? PAT_EINVAL : PAT_OK;
}

static int find_group(const char *name, size_t len)
{
    for (int i = 0; i < GROUPS; i++)
        if (strlen(groups[i]) == len && !memcmp(groups[i], name, len))
            return i;
    return -1;
}

/* Each at most once; they come out in one order, whatever the asker's. */
static int read_groups(char out[64], const char *by)
{
    bool wanted[GROUPS] = { false };
    size_t n = 0;

    while (*by) {
        size_t len = strcspn(by, ",");
        int i = find_group(by, len);

        if (i < 0 || wanted[i] || (by[len] && !by[len + 1]))
            return PAT_EINVAL;
        wanted[i] = true;
        by += len + (by[len] == ',');
    }
    *out = '\0';
    for (int i = 0; i < GROUPS; i++)
        if (wanted[i])
            n += (size_t)snprintf(out + n, 64 - n, "%s%s", n ? "," : "", groups[i]);
    return PAT_OK;
}

/* The zone and which day it is there. */
static int read_zone(char out[USAGE_TZ_MAX], int64_t *today, const char *tz, int64_t now_s)
{
    struct pat_tz *zone;

    if (!pat_strcpy(out, USAGE_TZ_MAX, tz ? tz : "UTC") || pat_tz_load(&zone, out))
        return PAT_EINVAL;
    *today = (now_s + pat_tz_offset(zone, now_s)) / DAY_S;
    pat_tz_free(zone);
    return PAT_OK;
}

/* Rows are sums and have no id: the cursor is how many were before. A file is whole if nobody says
 * otherwise. */
static int read_rows(struct usage_query *q, const struct usage_asked *asked, const char **field,
                     const char **what)
{
    const char *after = asked->after;
    int limit = QUERY_LIMIT_DEFAULT;

    *field = "limit";
    *what = "must be a number from 1 to 1000";
    if (asked->limit && query_limit(&limit, asked->limit, USAGE_LIMIT_MAX))
        return PAT_EINVAL;
    *field = "after";
    *what = "must be what next was";
    if (after && (!*after || strlen(after) > 9 || after[strspn(after, "0123456789")]))
        return PAT_EINVAL;
    if (asked->limit || !q->csv)
        snprintf(q->limit, sizeof q->limit, "%d", limit);
    if (after)
        pat_strcpy(q->after, sizeof q->after, after);
    return PAT_OK;
}

int usage_query_read(struct usage_query *out, const struct usage_asked *asked, int64_t now_s,
                     const char **field, const char **what)
{
    const char *format = asked->format;
    struct usage_query q = { .csv = format && !strcmp(format, "csv") };
    int64_t first, last;

    *what = "must be a time zone like Europe/Berlin";
    *field = "tz";
    if (read_zone(q.tz, &last, asked->tz, now_s))
        return PAT_EINVAL;
    *what = "must be a day like 2026-11-23";
    *field = "to";
    if (asked->to && read_day(&last, asked->to))
        return PAT_EINVAL;
    first = last - USAGE_DAYS_DEFAULT + 1;
    *field = "from";
    if (asked->from && read_day(&first, asked->from))
        return PAT_EINVAL;
    *what = "must not be after \"to\", nor more than 400 days before it";
    if (first > last || last - first >= USAGE_DAYS_MAX)
        return PAT_EINVAL;
    *field = "group_by";
    *what = "any of day, stack, component, user, account, model, with commas in between";
    if (read_groups(q.by, asked->by ? asked->by : "day"))
        return PAT_EINVAL;
    *field = "format";
    *what = "json or csv";
    if (format && !q.csv && strcmp(format, "json") != 0)
        return PAT_EINVAL;
    if (read_rows(&q, asked, field, what))
        return PAT_EINVAL;
    write_day(q.from, first);
    write_day(q.to, last);
    *out = q;
    return PAT_OK;
}
