/* policy_hours.c - when a user is open, and who is on his lists.
 *
 * Times are local wall clock, looked up for the moment of the call: where clocks are put back an
 * hour is open twice, where they are put forward it is not there. Ranges are half open, "24:00" is
 * the day's end, and one that ends before it begins goes on into the next day.
 */
#include "policy_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY 1440

/* "09:30" in minutes; negative: nothing of the kind. */
static int minutes(const char *s)
{
    int h, m, end = 0;

    if (!s || sscanf(s, "%2d:%2d%n", &h, &m, &end) != 2 || s[end] || h < 0 || m < 0 || m > 59 ||
        h * 60 + m > DAY)
        return -1;
    return h * 60 + m;
}

static bool read_range(const struct pat_json *pair, int *from, int *to)
{
    const struct pat_json *a = pat_json_kind(pair) == PAT_JSON_ARR ? pat_json_first(pair) : NULL;
    const struct pat_json *b = a ? pat_json_next(a) : NULL;

    *from = a ? minutes(pat_json_value_str(a)) : -1;
    *to = b ? minutes(pat_json_value_str(b)) : -1;
    return *from >= 0 && *to >= 0 && *from < DAY && *from != *to && !pat_json_next(b);
}

static size_t count_items(const struct pat_json *lists)
{
    size_t n = 0;

    PAT_JSON_EACH(list, lists)
    if (pat_json_kind(list) == PAT_JSON_ARR)
        n += pat_json_size(list);
    return n;
}

static void add_range(struct policies *p, int weekday, int from, int to)
{
    if (from < to)
        p->ranges[p->n_ranges++] =
            (struct policy_range){ (unsigned char)(weekday % 7), (short)from, (short)to };
}

static int read_business(struct policies *p, const struct pat_json *hours)
{
    static const char *const days[] = { "sun", "mon", "tue", "wed", "thu", "fri", "sat" };

    if (!hours || pat_json_kind(hours) != PAT_JSON_OBJ)
        return PAT_OK;
    p->has_hours = true;
    p->ranges = calloc(2 * count_items(hours) + 1, sizeof *p->ranges);
    if (!p->ranges)
        return PAT_ENOMEM;
    for (int d = 0; d < 7; d++) {
        const struct pat_json *list = pat_json_at(hours, days[d]);

        if (!list || pat_json_kind(list) != PAT_JSON_ARR)
            continue;
        PAT_JSON_EACH(pair, list)
        {
            int from, to;

            if (!read_range(pair, &from, &to)) {
                pat_log(PAT_WARN, "policy.ignored", PAT_S("field", "hours"));
            } else if (from < to) {
                add_range(p, d, from, to);
            } else {
                add_range(p, d, from, DAY);
                add_range(p, d + 1, 0, to);
            }
        }
    }
    return PAT_OK;
}

static bool read_date(struct policy_holiday *h, const char *date)
{
    int y = 0, m = 0, d = 0, end = 0;

    if (!date)
        return false;
    if (strlen(date) == 5)
        end = sscanf(date, "%2d-%2d", &m, &d) == 2 ? 5 : -1;
    else if (sscanf(date, "%4d-%2d-%2d%n", &y, &m, &d, &end) != 3)
        end = -1;
    if (end < 0 || date[end])
        return false;
    *h = (struct policy_holiday){ .year = (short)y, .month = (unsigned char)m };
    h->day = (unsigned char)d;
    return m >= 1 && m <= 12 && d >= 1 && d <= 31;
}

static void add_holiday(struct policies *p, const struct pat_json *item)
{
    const struct pat_json *hours = pat_json_at(item, "hours");
    struct policy_holiday h;

    if (pat_json_kind(item) != PAT_JSON_OBJ ||
        !read_date(&h, pat_json_str_or(item, "date", NULL))) {
        pat_log(PAT_WARN, "policy.ignored", PAT_S("field", "holidays"));
        return;
    }
    p->holidays[p->n_holidays++] = h; /* closed, but for what follows */
    if (!hours || pat_json_kind(hours) != PAT_JSON_ARR)
        return;
    PAT_JSON_EACH(pair, hours)
    {
        int from, to;

        if (read_range(pair, &from, &to) && from < to) {
            h.from = (short)from;
            h.to = (short)to;
            p->holidays[p->n_holidays++] = h;
        }
    }
}

static int read_holidays(struct policies *p, const struct pat_json *list)
{
    size_t n = 0;

    if (!list || pat_json_kind(list) != PAT_JSON_ARR)
        return PAT_OK;
    PAT_JSON_EACH(item, list)
    {
        const struct pat_json *hours = pat_json_at(item, "hours");

        n += 1 + (hours && pat_json_kind(hours) == PAT_JSON_ARR ? pat_json_size(hours) : 0);
    }
    p->holidays = calloc(n + 1, sizeof *p->holidays);
    if (!p->holidays)
        return PAT_ENOMEM;
    PAT_JSON_EACH(item, list)
    add_holiday(p, item);
    return PAT_OK;
}

int policy_read_hours(struct policies *p, const struct pat_json *j)
{
    int from = minutes(pat_json_str_or(j, "quiet.start", NULL));
    int to = minutes(pat_json_str_or(j, "quiet.end", NULL));
    int err = read_business(p, pat_json_at(j, "hours"));

    if (from >= 0 && to >= 0) {
        p->quiet_from = (short)(from % DAY);
        p->quiet_to = (short)(to % DAY);
    }
    return err ? err : read_holidays(p, pat_json_at(j, "holidays"));
}

/* ------------------------------------------------------------------ asking */

static int local_minutes(const struct policies *p, int64_t now_ms, struct pat_local *l)
{
    pat_tz_local(p->tz, now_ms / 1000, l);
    return l->hour * 60 + l->minute;
}

static bool is_day(const struct policy_holiday *h, const struct pat_local *l)
{
    return h->month == l->month && h->day == l->day && (!h->year || h->year == l->year);
}

enum policy_hours policy_hours(const struct policies *p, int64_t now_ms)
{
    struct pat_local l;
    bool holiday = false;
    int now;

    if (!p->has_hours && !p->n_holidays)
        return HOURS_ALWAYS;
    now = local_minutes(p, now_ms, &l);
    for (size_t i = 0; i < p->n_holidays; i++) {
        const struct policy_holiday *h = &p->holidays[i];

        if (!is_day(h, &l))
            continue;
        holiday = true;
        if (now >= h->from && now < h->to)
            return HOURS_OPEN;
    }
    if (holiday)
        return HOURS_HOLIDAY;
    for (size_t i = 0; i < p->n_ranges; i++)
        if (p->ranges[i].weekday == l.weekday && now >= p->ranges[i].from && now < p->ranges[i].to)
            return HOURS_OPEN;
    return p->has_hours ? HOURS_CLOSED : HOURS_ALWAYS;
}

bool policy_quiet(const struct policies *p, int64_t now_ms)
{
    struct pat_local l;
    int now;

    if (p->quiet_from == p->quiet_to)
        return false;
    now = local_minutes(p, now_ms, &l);
    if (p->quiet_from < p->quiet_to)
        return now >= p->quiet_from && now < p->quiet_to;
    return now >= p->quiet_from || now < p->quiet_to;
}

int policy_moment(const struct policies *p, const char *text, int64_t *unix_ms)
{
    struct pat_tz *utc = NULL;
    struct pat_local l;
    int32_t offset_s;
    int64_t unix_s;
    bool has;
    int err = pat_local_parse(text, &l, &has, &offset_s);

    if (err)
        return err;
    if (has)
        err = pat_tz_load(&utc, "UTC");
    if (!err)
        err = pat_tz_unix(has ? utc : p->tz, &l, &unix_s);
    if (!err)
        *unix_ms = (unix_s - (has ? offset_s : 0)) * 1000;
    pat_tz_free(utc);
    return err;
}

void policy_local_text(const struct policies *p, int64_t now_ms, char out[40])
{
    static const char *const days[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
    struct pat_local l;

    (void)local_minutes(p, now_ms, &l);
    snprintf(out, 40, "%s %04d-%02d-%02d %02d:%02d", days[l.weekday], l.year % 10000, l.month % 100,
             l.day % 100, l.hour % 100, l.minute % 100);
}

/* ------------------------------------------------------------------ lists */

static int by_digits(const void *a, const void *b)
{
    const struct policy_number *x = a, *y = b;

    return x->digits < y->digits ? -1 : x->digits > y->digits;
}

void policy_sort(struct policies *p)
{
    if (p->n_contacts)
        qsort(p->contacts, p->n_contacts, sizeof *p->contacts, by_digits);
}

bool policy_knows(const struct policies *p, const char *number)
{
    struct policy_number key = { .digits = *number ? strtoull(number + 1, NULL, 10) : 0 };

    return key.digits && p->n_contacts &&
           bsearch(&key, p->contacts, p->n_contacts, sizeof key, by_digits);
}

bool policy_blocks(const struct policies *p, const char *number)
{
    static const uint64_t tens[] = {
        1,           10,           100,           1000,           10000,
        100000,      1000000,      10000000,      100000000,      1000000000,
        10000000000, 100000000000, 1000000000000, 10000000000000, 100000000000000
    };
    size_t len = *number ? strlen(number + 1) : 0;
    uint64_t digits = len ? strtoull(number + 1, NULL, 10) : 0;

    if (!len || len > 15)
        return false;
    for (size_t i = 0; i < p->n_block; i++) {
        const struct policy_number *b = &p->block[i];

        if (b->prefix ? b->len <= len && digits / tens[len - b->len] == b->digits
                      : b->len == len && digits == b->digits)
            return true;
    }
    return false;
}

bool policy_allows_country(const struct policies *p, const char *country)
{
    if (!p->countries)
        return true;
    for (const char *c = p->countries; country && *c; c += 2)
        if (!strncmp(c, country, 2))
            return true;
    return false;
}
