/* tz_rule.h - the rule at the end of a zone file: "CET-1CEST,M3.5.0,M10.5.0/3", and the calendar.
 *
 * POSIX.1-2017, 8.3 (TZ), with RFC 9636's hours of -167 to 167. For tz.c. Thread: any; pure.
 */
#ifndef PAT_TZ_RULE_H
#define PAT_TZ_RULE_H

#include "err.h"

#include <stdint.h>

struct tz_day {
    char kind; /* 'M' month.week.day, 'J' 1..365 without 29 February, 'n' 0..365 */
    int month, week, day;
    int32_t time_s; /* local, since midnight; may be negative or beyond the day */
};

struct tz_rule {
    bool set, has_dst;
    int32_t std_s, dst_s; /* seconds east of UTC */
    struct tz_day start, end;
};

int tz_rule_parse(struct tz_rule *out, const char *text) PAT_MUST_CHECK;
int32_t tz_rule_offset(const struct tz_rule *r, int64_t unix_s);

/* Days since 1970-01-01 of the proleptic Gregorian calendar. */
int64_t tz_days(int year, int month, int day);
void tz_civil(int64_t days, int *year, int *month, int *day);
int tz_weekday(int64_t days); /* 0: Sunday */

#endif
