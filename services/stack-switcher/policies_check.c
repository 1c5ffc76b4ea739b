/* policies_check.c - what a user's policies may be: see policies_check.h. */
#include "policies_check.h"

#include <stdio.h>
#include <string.h>

typedef int check_fn(const struct pat_json *v, const char *arg, struct pat_json_err *err);

static int wrong(struct pat_json_err *err, const char *what)
{
    snprintf(err->what, sizeof err->what, "%s", what);
    return PAT_EINVAL;
}

/* One level further in; the path is as before when what is there was good. check NULL: it should
 * not be there. */
static int in_item(struct pat_json_err *err, const char *key, size_t i,
                   int (*check)(const struct pat_json *v, struct pat_json_err *err),
                   const struct pat_json *v)
{
    size_t n = strlen(err->path);
    int bad;

    if (key)
        snprintf(err->path + n, sizeof err->path - n, ".%s", key);
    else
        snprintf(err->path + n, sizeof err->path - n, "[%zu]", i);
    bad = check ? check(v, err) : wrong(err, "no such day");
    if (!bad)
        err->path[n] = 0;
    return bad;
}

static int each(const struct pat_json *list, struct pat_json_err *err,
                int (*check)(const struct pat_json *v, struct pat_json_err *err))
{
    size_t i = 0;

    if (pat_json_kind(list) != PAT_JSON_ARR)
        return wrong(err, "must be a list");
    if (pat_json_size(list) > POLICIES_LIST_MAX)
        return wrong(err, "must not have more than 1000 entries");
    PAT_JSON_EACH(item, list)
    if (in_item(err, NULL, i++, check, item))
        return PAT_EINVAL;
    return PAT_OK;
}

/* ------------------------------------------------------------------ kinds of values */

static int check_word(const struct pat_json *v, const char *words, struct pat_json_err *err)
{
    const char *s = pat_json_value_str(v);

    for (const char *w = words; s && *w; w += strcspn(w, ","), w += *w == ',')
        if (strlen(s) == strcspn(w, ",") && !strncmp(s, w, strlen(s)))
            return PAT_OK;
    snprintf(err->what, sizeof err->what, "must be one of %s", words);
    return PAT_EINVAL;
}

/* arg: "least,most" */
static int check_int(const struct pat_json *v, const char *arg, struct pat_json_err *err)
{
    long long least, most;
    double n = pat_json_value_num(v);

    if (sscanf(arg, "%lld,%lld", &least, &most) == 2 && pat_json_kind(v) == PAT_JSON_NUM &&
        n >= (double)least && n <= (double)most && n == (double)(long long)n)
        return PAT_OK;
    snprintf(err->what, sizeof err->what, "must be a whole number from %lld to %lld", least, most);
    return PAT_EINVAL;
}

static bool e164(const char *s)
{
    size_t n = s && *s == '+' ? strspn(s + 1, "0123456789") : 0;

    return n >= 2 && n <= 15 && s[1] != '0' && !s[1 + n];
}

static int check_number(const struct pat_json *v, const char *arg, struct pat_json_err *err)
{
    (void)arg;
    return e164(pat_json_value_str(v))
               ? PAT_OK
               : wrong(err, "must be a phone number in E.164, +12025550100");
}

static int pattern(const struct pat_json *v, struct pat_json_err *err)
{
    const char *s = pat_json_value_str(v);
    size_t n = s && *s == '+' ? strspn(s + 1, "0123456789") : 0;

    if (e164(s) || (n && n < 15 && s[1] != '0' && !strcmp(s + 1 + n, "*")))
        return PAT_OK;
    return wrong(err, "must be a phone number in E.164, or the beginning of one and a *");
}

static int check_patterns(const struct pat_json *v, const char *arg, struct pat_json_err *err)
{
    (void)arg;
    return each(v, err, pattern);
}

static int country(const struct pat_json *v, struct pat_json_err *err)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char *s = pat_json_value_str(v);

    return s && strlen(s) == 2 && strspn(s, letters) == 2
               ? PAT_OK
               : wrong(err, "must be a country's two letters (ISO 3166-1), US");
}

static int check_countries(const struct pat_json *v, const char *arg, struct pat_json_err *err)
{
    (void)arg;
    return each(v, err, country);
}

static int check_zone(const struct pat_json *v, const char *arg, struct pat_json_err *err)
{
    const char *s = pat_json_value_str(v);
    struct pat_tz *tz = NULL;
    int bad = s && strlen(s) < 40 ? pat_tz_load(&tz, s) : PAT_EINVAL;

    (void)arg;
    pat_tz_free(bad ? NULL : tz);
    return bad ? wrong(err, "must be a time zone's name, America/New_York") : PAT_OK;
}

/* Minutes of the day; negative: no time. */
static int minutes(const struct pat_json *v)
{
    const char *s = v ? pat_json_value_str(v) : NULL;
    int h, m;

    if (!s || strlen(s) != 5 || s[2] != ':' || strspn(s, "0123456789") != 2 ||
        strspn(s + 3, "0123456789") != 2 || sscanf(s, "%2d:%2d", &h, &m) != 2)
        return -1;
    return m < 60 && h * 60 + m <= 1440 ? h * 60 + m : -1;
}

static int range(const struct pat_json *v, struct pat_json_err *err)
{
    bool pair = pat_json_kind(v) == PAT_JSON_ARR && pat_json_size(v) == 2;
    int from = pair ? minutes(pat_json_item(v, 0)) : -1;
    int to = pair ? minutes(pat_json_item(v, 1)) : -1;

    return from >= 0 && from < 1440 && to >= 0 && from != to
               ? PAT_OK
               : wrong(err, "must be two different times of the day, [\"09:00\", \"17:00\"]");
}

static int ranges(const struct pat_json *v, struct pat_json_err *err)
{
    return each(v, err, range);
}

static int check_hours(const struct pat_json *v, const char *arg, struct pat_json_err *err)
{
    static const char days[] = "mon,tue,wed,thu,fri,sat,sun";

    (void)arg;
    if (pat_json_kind(v) != PAT_JSON_OBJ)
        return wrong(err, "must be an object of weekdays, {\"mon\": [[\"09:00\", \"17:00\"]]}");
    PAT_JSON_EACH(day, v)
    {
        const char *key = pat_json_key(day);
        const char *at = strlen(key) == 3 ? strstr(days, key) : NULL;

        if (!at || (at - days) % 4)
            return in_item(err, key, 0, NULL, NULL);
        if (in_item(err, key, 0, ranges, day))
            return PAT_EINVAL;
    }
    return PAT_OK;
}

static bool is_date(const char *s)
{
    static const int days[] = { 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    size_t n = s ? strlen(s) : 0;
    const char *md = n == 10 ? s + 5 : s;
    int m, d;

    if ((n != 10 && n != 5) || (n == 10 && (strspn(s, "0123456789") != 4 || s[4] != '-')))
        return false;
    if (strspn(md, "0123456789") != 2 || md[2] != '-' || strspn(md + 3, "0123456789") != 2)
        return false;
    m = (md[0] - '0') * 10 + md[1] - '0';
    d = (md[3] - '0') * 10 + md[4] - '0';
    return m >= 1 && m <= 12 && d >= 1 && d <= days[m - 1];
}

static int day_range(const struct pat_json *v, struct pat_json_err *err)
{
    if (range(v, err))
        return PAT_EINVAL;
    return minutes(pat_json_item(v, 0)) < minutes(pat_json_item(v, 1))
               ? PAT_OK
               : wrong(err, "must end on the day it begins");
}

static int day_ranges(const struct pat_json *v, struct pat_json_err *err)
{
    return each(v, err, day_range);
}

static int holiday(const struct pat_json *v, struct pat_json_err *err)
{
    const struct pat_json *hours = pat_json_at(v, "hours");

    if (pat_json_kind(v) != PAT_JSON_OBJ || !is_date(pat_json_str_or(v, "date", NULL)))
        return wrong(err, "must have a date, \"2026-12-25\" or each year's \"12-25\"");
    return hours ? in_item(err, "hours", 0, day_ranges, hours) : PAT_OK;
}

static int check_holidays(const struct pat_json *v, const char *arg, struct pat_json_err *err)
{
    (void)arg;
    return each(v, err, holiday);
}

static int check_quiet(const struct pat_json *v, const char *arg, struct pat_json_err *err)
{
    (void)arg;
    if (pat_json_kind(v) == PAT_JSON_OBJ && minutes(pat_json_at(v, "start")) >= 0 &&
        minutes(pat_json_at(v, "end")) >= 0)
        return PAT_OK;
    return wrong(err, "must be {\"start\": \"22:00\", \"end\": \"08:00\"}");
}

static int check_ladder(const struct pat_json *v, const char *arg, struct pat_json_err *err)
{
    size_t i = 0;

    if (pat_json_kind(v) != PAT_JSON_ARR)
        return wrong(err, "must be a list");
    PAT_JSON_EACH(item, v)
    {
        const char *name = pat_json_value_str(item);
        size_t k = 0, n = strlen(err->path);
        int bad = check_word(item, arg, err);

        PAT_JSON_EACH(other, v)
        if (!bad && k++ < i && !strcmp(pat_json_value_str(other), name))
            bad = wrong(err, "must be there once");
        if (bad) {
            snprintf(err->path + n, sizeof err->path - n, "[%zu]", i);
            return bad;
        }
        i++;
    }
    return PAT_OK;
}

/* ------------------------------------------------------------------ the fields */

#define ANY_DO "serve,forward,voicemail,busy,reject"

static const struct {
    const char *name;
    check_fn *check;
    const char *arg;
} fields[] = {
    { "after_hours", check_word, ANY_DO },
    { "after_hours_number", check_number, NULL },
    { "allowed_countries", check_countries, NULL },
    { "block_action", check_word, "busy,reject,voicemail" },
    { "block_list", check_patterns, NULL },
    { "business_hours", check_hours, NULL },
    { "daily_forward_cents", check_int, "0,100000000" },
    { "fallback", check_ladder, "other_stack,voicemail,forward,apology" },
    { "fallback_number", check_number, NULL },
    { "forward_number", check_number, NULL },
    { "holidays", check_holidays, NULL },
    { "max_concurrent", check_int, "1,10000" },
    { "max_per_minute", check_int, "1,100000" },
    { "over_budget", check_word, "forward,voicemail,busy,reject" },
    { "over_limit", check_word, "forward,voicemail,busy,reject" },
    { "quiet_hours", check_quiet, NULL },
    { "time_zone", check_zone, NULL },
    { "unknown", check_word, "preferences," ANY_DO },
    { "whitelist", check_word, "preferences,serve,forward" },
    { "withheld", check_word, ANY_DO },
};

/* What an answer has besides: whoever sends it back means no harm. */
static bool is_ours(const char *name)
{
    return !strcmp(name, "user_id") || !strcmp(name, "version") || !strcmp(name, "updated_at");
}

static int check_field(const struct pat_json *v, struct pat_json_err *err)
{
    const char *name = pat_json_key(v);

    snprintf(err->path, sizeof err->path, "%.60s", name);
    if (is_ours(name))
        return PAT_OK;
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        if (!strcmp(fields[i].name, name))
            return pat_json_kind(v) == PAT_JSON_NULL ? PAT_OK
                                                     : fields[i].check(v, fields[i].arg, err);
    return wrong(err, "no such field");
}

int policies_check(const struct pat_json *doc, struct pat_json_err *err)
{
    *err = (struct pat_json_err){ { 0 }, { 0 } };
    if (!doc || pat_json_kind(doc) != PAT_JSON_OBJ)
        return wrong(err, "must be an object");
    PAT_JSON_EACH(field, doc)
    if (check_field(field, err))
        return PAT_EINVAL;
    return PAT_OK;
}
