/* tz_rule.c - see tz_rule.h.
 *
 * How: a reader over the text, then for a year the two moments at which clocks change. It does not
 * keep the zones' abbreviations.
 */
#include "tz_rule.h"

#include <ctype.h>
#include <string.h>

/* Cycles of 400 years of 146,097 days; the year begins in March, so that the leap day is last. */
int64_t tz_days(int year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t cycle = (y >= 0 ? y : y - 399) / 400;
    int64_t in_cycle = y - cycle * 400;
    int64_t in_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

    return cycle * 146097 + in_cycle * 365 + in_cycle / 4 - in_cycle / 100 + in_year - 719468;
}

void tz_civil(int64_t days, int *year, int *month, int *day)
{
    int64_t z = days + 719468;
    int64_t cycle = (z >= 0 ? z : z - 146096) / 146097;
    int64_t rest = z - cycle * 146097;
    int64_t y = (rest - rest / 1460 + rest / 36524 - rest / 146096) / 365;
    int64_t in_year = rest - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * in_year + 2) / 153;

    *day = (int)(in_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = (int)(y + cycle * 400 + (*month <= 2));
}

int tz_weekday(int64_t days)
{
    int64_t d = (days + 4) % 7; /* 1970-01-01 was a Thursday */

    return (int)(d < 0 ? d + 7 : d);
}

static bool take_name(const char **p)
{
    const char *start = *p;

    if (*start == '<') {
        const char *end = strchr(start, '>');

        if (!end || end - start < 2)
            return false;
        *p = end + 1;
        return true;
    }
    while (isalpha((unsigned char)**p))
        (*p)++;
    return *p - start >= 3;
}

static bool take_int(const char **p, int max, int *out)
{
    if (!isdigit((unsigned char)**p))
        return false;
    for (*out = 0; isdigit((unsigned char)**p) && *out <= max; (*p)++)
        *out = *out * 10 + (**p - '0');
    return *out <= max;
}

/* [+-]hh[:mm[:ss]] in seconds */
static bool take_time(const char **p, int max_hours, int32_t *out)
{
    int sign = **p == '-' ? -1 : 1, part;

    if (**p == '-' || **p == '+')
        (*p)++;
    if (!take_int(p, max_hours, &part))
        return false;
    *out = part * 3600;
    for (int unit = 60; unit && **p == ':'; unit /= 60) {
        (*p)++;
        if (!take_int(p, 59, &part))
            return false;
        *out += part * unit;
    }
    *out *= sign;
    return true;
}

static bool take_day(const char **p, struct tz_day *d)
{
    *d = (struct tz_day){ .time_s = 2 * 3600 };
    if (**p == 'M') {
        (*p)++;
        d->kind = 'M';
        if (!take_int(p, 12, &d->month) || *(*p)++ != '.' || !take_int(p, 5, &d->week) ||
            *(*p)++ != '.' || !take_int(p, 6, &d->day) || !d->month || !d->week)
            return false;
    } else {
        d->kind = **p == 'J' ? 'J' : 'n';
        if (d->kind == 'J')
            (*p)++;
        if (!take_int(p, 365, &d->day) || (d->kind == 'J' && !d->day))
            return false;
    }
    if (**p != '/')
        return true;
    (*p)++;
    return take_time(p, 167, &d->time_s);
}

static bool parse(struct tz_rule *r, const char *p)
{
    int32_t west;

    if (!take_name(&p) || !take_time(&p, 24, &west))
        return false;
    r->std_s = -west;
    if (!*p)
        return true;
    if (!take_name(&p))
        return false;
    r->has_dst = true;
    r->dst_s = r->std_s + 3600;
    if (*p != ',') {
        if (!take_time(&p, 24, &west))
            return false;
        r->dst_s = -west;
    }
    return *p++ == ',' && take_day(&p, &r->start) && *p++ == ',' && take_day(&p, &r->end) && !*p;
}

int tz_rule_parse(struct tz_rule *out, const char *text)
{
    struct tz_rule r = { .set = true };

    if (!parse(&r, text))
        return PAT_EPROTO;
    *out = r;
    return PAT_OK;
}

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

/* Local seconds since 1970 at which the day's rule strikes in that year. */
static int64_t moment(const struct tz_day *d, int year)
{
    int64_t days, first = tz_days(year, 1, 1);
    int ahead, month_days;

    if (d->kind == 'n') {
        days = first + d->day;
    } else if (d->kind == 'J') {
        days = first + d->day - 1 + (is_leap(year) && d->day >= 60);
    } else {
        days = tz_days(year, d->month, 1);
        month_days = (int)(tz_days(d->month == 12 ? year + 1 : year, d->month % 12 + 1, 1) - days);
        ahead = (d->day - tz_weekday(days) + 7) % 7 + 7 * (d->week - 1);
        while (ahead >= month_days) /* week 5: the last one */
            ahead -= 7;
        days += ahead;
    }
    return days * 86400 + d->time_s;
}

int32_t tz_rule_offset(const struct tz_rule *r, int64_t unix_s)
{
    int64_t local = unix_s + r->std_s;
    int64_t days = local >= 0 ? local / 86400 : -((86399 - local) / 86400);
    int64_t start, end;
    int year, month, day;
    bool dst;

    if (!r->has_dst)
        return r->std_s;
    tz_civil(days, &year, &month, &day);
    start = moment(&r->start, year) - r->std_s;
    end = moment(&r->end, year) - r->dst_s;
    if (start < end)
        dst = unix_s >= start && unix_s < end;
    else
        dst = !(unix_s >= end && unix_s < start);
    return dst ? r->dst_s : r->std_s;
}
