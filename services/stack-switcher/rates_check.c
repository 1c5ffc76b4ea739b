/* rates_check.c - what may be sent about prices and budgets: see rates_check.h. One table each. */
#include "rates_check.h"

#include <stdio.h>
#include <string.h>

#define MONEY_MAX 1e15 /* a thousand million dollars: sums of it still fit */

enum { NEEDED = 1, NULLABLE = 2 };

struct field {
    const char *name;
    /* NULL: good; else what it must be. */
    const char *(*wrong)(const struct pat_json *v);
    int flags;
};

/* ------------------------------------------------------------------ kinds of values */

static bool digits(const char *s, size_t n)
{
    return strspn(s, "0123456789") >= n;
}

static int number(const char *s, int n)
{
    int v = 0;

    while (n--)
        v = v * 10 + *s++ - '0';
    return v;
}

static bool day_at(const char *s)
{
    static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int m, d, y;

    if (strlen(s) < 10 || !digits(s, 4) || s[4] != '-' || !digits(s + 5, 2) || s[7] != '-' ||
        !digits(s + 8, 2))
        return false;
    y = number(s, 4);
    m = number(s + 5, 2);
    d = number(s + 8, 2);
    if (y < 1970 || m < 1 || m > 12 || d < 1 || d > days[m - 1])
        return false;
    return m != 2 || d < 29 || (y % 4 == 0 && (y % 100 != 0 || y % 400 == 0));
}

bool rates_is_day(const char *s)
{
    return s && strlen(s) == 10 && day_at(s);
}

static bool offset(const char *s)
{
    if (!strcmp(s, "Z"))
        return true;
    return strlen(s) == 6 && (*s == '+' || *s == '-') && digits(s + 1, 2) && s[3] == ':' &&
           digits(s + 4, 2) && number(s + 1, 2) < 15 && number(s + 4, 2) < 60;
}

bool rates_is_moment(const char *s)
{
    if (!s || strlen(s) < 20 || strlen(s) > 35 || !day_at(s) || s[10] != 'T')
        return false;
    s += 11;
    if (!digits(s, 2) || s[2] != ':' || !digits(s + 3, 2) || s[5] != ':' || !digits(s + 6, 2) ||
        number(s, 2) > 23 || number(s + 3, 2) > 59 || number(s + 6, 2) > 59)
        return false;
    s += 8;
    if (*s == '.') {
        size_t n = strspn(s + 1, "0123456789");

        if (!n || n > 9)
            return false;
        s += 1 + n;
    }
    return offset(s);
}

static bool whole(const struct pat_json *v, double least, double most)
{
    double n = pat_json_value_num(v);

    return pat_json_kind(v) == PAT_JSON_NUM && n >= least && n <= most && n == (double)(int64_t)n;
}

static bool word(const char *s, size_t max)
{
    static const char set[] = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
    size_t n = s ? strlen(s) : 0;

    return n && n <= max && strspn(s, set) == n;
}

static bool printable(const char *s, size_t least, size_t most)
{
    size_t n = s ? strlen(s) : 0;

    if (!s || pat_utf8_count(s, n) < least || pat_utf8_count(s, n) > most)
        return false;
    for (; *s; s++)
        if ((unsigned char)*s < ' ' && *s != '\n')
            return false;
    return true;
}

static const char *name(const struct pat_json *v)
{
    return word(pat_json_value_str(v), 31)
               ? NULL
               : "must be 1 to 31 of small letters, digits, dot, dash and underscore";
}

static const char *account(const struct pat_json *v)
{
    const char *s = pat_json_value_str(v);

    return s && !*s ? NULL : name(v);
}

static const char *model(const struct pat_json *v)
{
    return printable(pat_json_value_str(v), 0, 79) ? NULL : "must be a text of at most 79 letters";
}

static const char *price(const struct pat_json *v)
{
    return whole(v, 0, MONEY_MAX) ? NULL
                                  : "must be a whole number of millionths of a dollar, 0 or more";
}

static const char *per(const struct pat_json *v)
{
    return whole(v, 1, 1e12) ? NULL : "must be a whole number of units, 1 or more";
}

static const char *units(const struct pat_json *v)
{
    return whole(v, 0, 1e9) ? NULL : "must be a whole number of units, 0 or more";
}

static const char *moment(const struct pat_json *v)
{
    return rates_is_moment(pat_json_value_str(v))
               ? NULL
               : "must be a moment with its offset, 2026-12-01T00:00:00Z";
}

static const char *day(const struct pat_json *v)
{
    return rates_is_day(pat_json_value_str(v)) ? NULL : "must be a day, 2026-12-01";
}

static const char *source(const struct pat_json *v)
{
    return printable(pat_json_value_str(v), 1, 300)
               ? NULL
               : "must say where the figure was read, in 1 to 300 letters";
}

static const char *url(const struct pat_json *v)
{
    const char *s = pat_json_value_str(v);

    if (s && printable(s, 8, 500) && !strchr(s, ' ') &&
        (!strncmp(s, "https://", 8) || !strncmp(s, "http://", 7)))
        return NULL;
    return "must be a web address, https://...";
}

static const char *note(const struct pat_json *v)
{
    return printable(pat_json_value_str(v), 0, 1000) ? NULL
                                                     : "must be a text of at most 1000 letters";
}

static const char *yes_no(const struct pat_json *v)
{
    return pat_json_kind(v) == PAT_JSON_BOOL ? NULL : "must be true or false";
}

static const char *id(const struct pat_json *v)
{
    return pat_json_lower_id(v) ? NULL : "must be a UUID";
}

static const char *minutes(const struct pat_json *v)
{
    return whole(v, 1, 240) ? NULL : "must be a whole number of minutes from 1 to 240";
}

static const char *percents(const struct pat_json *v)
{
    double before = 0;

    if (pat_json_kind(v) != PAT_JSON_ARR || pat_json_size(v) > 10)
        return "must be a list of at most 10 percentages";
    PAT_JSON_EACH(n, v)
    {
        if (!whole(n, 1, 100) || pat_json_value_num(n) <= before)
            return "must be whole percentages from 1 to 100, each more than the one before";
        before = pat_json_value_num(n);
    }
    return NULL;
}

/* ------------------------------------------------------------------ documents */

static int wrong(struct pat_json_err *err, const char *field, const char *what)
{
    snprintf(err->path, sizeof err->path, "%s", field);
    snprintf(err->what, sizeof err->what, "%s", what);
    return PAT_EINVAL;
}

static const struct field *find(const struct field *fields, const char *key)
{
    for (; fields->name; fields++)
        if (!strcmp(fields->name, key))
            return fields;
    return NULL;
}

static int check(const struct field *fields, const struct pat_json *doc, bool all,
                 struct pat_json_err *err)
{
    if (pat_json_kind(doc) != PAT_JSON_OBJ)
        return wrong(err, "body", "must be a JSON object");
    PAT_JSON_EACH(v, doc)
    {
        const struct field *f = find(fields, pat_json_key(v));
        const char *what = f ? NULL : "no such field";

        if (f && pat_json_kind(v) == PAT_JSON_NULL)
            what = f->flags & NULLABLE ? NULL : "must be there";
        else if (f && f->wrong)
            what = f->wrong(v);
        if (what)
            return wrong(err, pat_json_key(v), what);
    }
    for (const struct field *f = fields; all && f->name; f++)
        if (f->flags & NEEDED && !pat_json_at(doc, f->name))
            return wrong(err, f->name, "must be there");
    return PAT_OK;
}

int rates_check(const struct pat_json *doc, bool all, struct pat_json_err *err)
{
    static const struct field fields[] = {
        { "account", account, NULLABLE },
        { "component", name, NEEDED },
        { "end_previous", yes_no, 0 },
        { "minimum", units, NULLABLE },
        { "model", model, NULLABLE },
        { "note", note, NULLABLE },
        { "per", per, NEEDED },
        { "price_microusd", price, NEEDED },
        { "provider", name, NEEDED },
        { "read_on", day, NULLABLE },
        { "source", source, NEEDED },
        { "source_url", url, NULLABLE },
        { "step", units, NULLABLE },
        { "unit", name, NEEDED },
        { "valid_from", moment, NULLABLE },
        { "valid_to", moment, NULLABLE },
        { NULL, NULL, 0 },
    };

    return check(fields, doc, all, err);
}

int rerate_check(const struct pat_json *doc, struct pat_json_err *err)
{
    static const struct field fields[] = {
        { "dry_run", yes_no, 0 },    { "from", moment, NEEDED }, { "to", moment, NEEDED },
        { "user_id", id, NULLABLE }, { "why", note, NULLABLE },  { NULL, NULL, 0 },
    };

    return check(fields, doc, true, err);
}

int budget_check(const struct pat_json *doc, struct pat_json_err *err)
{
    static const struct field fields[] = {
        { "alert_percents", percents, 0 },
        { "daily_microusd", price, NULLABLE },
        { "monthly_microusd", price, NULLABLE },
        { "reserve_minutes", minutes, NULLABLE },
        { NULL, NULL, 0 },
    };

    return check(fields, doc, true, err);
}

int retail_check(const struct pat_json *doc, struct pat_json_err *err)
{
    static const struct field fields[] = {
        { "microusd_per_minute", price, NEEDED },
        { "note", note, NULLABLE },
        { "tier", name, NEEDED },
        { "valid_from", moment, NULLABLE },
        { NULL, NULL, 0 },
    };

    return check(fields, doc, true, err);
}

int tier_check(const struct pat_json *doc, struct pat_json_err *err)
{
    static const struct field fields[] = {
        { "tier", name, NEEDED },
        { NULL, NULL, 0 },
    };

    return check(fields, doc, true, err);
}
