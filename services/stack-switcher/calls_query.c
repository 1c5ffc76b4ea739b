/* calls_query.c - what a list of calls may be asked by: see calls_query.h. */
#include "calls_query.h"

#include <stdio.h>
#include <string.h>

enum { DIGITS_MIN = 4, DIGITS_MAX = 15 };

static bool is_word(const char *s, const char *words)
{
    size_t n = strlen(s);

    for (const char *w = words; *w; w += strcspn(w, " "), w += *w == ' ')
        if (n == strcspn(w, " ") && !strncmp(s, w, n))
            return true;
    return false;
}

/* A '+' before them may come as a blank. */
static const char *digits_of(const char *s)
{
    size_t n;

    s += *s == '+' || *s == ' ';
    n = strspn(s, "0123456789");
    return n >= DIGITS_MIN && n <= DIGITS_MAX && !s[n] ? s : NULL;
}

static bool two(const char **s, int least, int most)
{
    int n;

    if (strspn(*s, "0123456789") < 2)
        return false;
    n = ((*s)[0] - '0') * 10 + (*s)[1] - '0';
    *s += 2;
    return n >= least && n <= most;
}

static bool skip(const char **s, char c)
{
    return *(*s)++ == c;
}

static bool zone_valid(const char *s)
{
    if (*s == 'Z' || *s == 'z')
        return !s[1];
    /* In a query a '+' may have become a blank. */
    if (*s != '+' && *s != '-' && *s != ' ')
        return false;
    s++;
    return two(&s, 0, 14) && skip(&s, ':') && two(&s, 0, 59) && !*s;
}

/* Postgres refuses days that no month has. */
static bool day_valid(const char **s)
{
    static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
    int year = 0, month;

    for (int i = 0; i < 4; i++)
        year = year * 10 + *(*s)++ - '0';
    if (!year || !skip(s, '-') || !two(s, 1, 12))
        return false;
    month = ((*s)[-2] - '0') * 10 + (*s)[-1] - '0';
    if (!skip(s, '-'))
        return false;
    return two(s, 1,
               days[month - 1] + (month == 2 && year % 4 == 0 && (year % 100 || year % 400 == 0)));
}

bool calls_time_valid(const char *s)
{
    if (strlen(s) > 40 || strspn(s, "0123456789") != 4 || !day_valid(&s))
        return false;
    if (!*s)
        return true;
    if (!skip(&s, 'T') || !two(&s, 0, 23) || !skip(&s, ':') || !two(&s, 0, 59))
        return false;
    if (*s == ':') {
        s++;
        if (!two(&s, 0, 60))
            return false;
    }
    if (*s == '.') {
        size_t n = strspn(s + 1, "0123456789");

        if (!n || n > 9)
            return false;
        s += 1 + n;
    }
    return zone_valid(s);
}

/* As Postgres reads it: the blank is a '+' again. */
static void set_time(struct pat_json *j, const char *key, const char *value)
{
    char text[48];
    char *blank;

    (void)pat_strcpy(text, sizeof text, value);
    blank = strchr(text, ' ');
    if (blank)
        *blank = '+';
    pat_json_set_str(j, key, text);
}

static const struct {
    const char *name, *words, *what;
} choices[] = {
    { "stack", "retell livekit", "must be retell or livekit" },
    { "state", "live offered routed answered ended",
      "must be live, offered, routed, answered or ended" },
    { "outcome", "answered transferred screened voicemail failed",
      "must be answered, transferred, screened, voicemail or failed" },
};

static int read_filters(struct pat_json *j, struct pat_httpd_req *http, const char **field,
                        const char **what)
{
    static const char *const times[] = { "since", "until" };
    const char *s;

    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        *field = choices[i].name;
        *what = choices[i].what;
        s = pat_httpd_query_param(http, *field);
        if (s && *s && !is_word(s, choices[i].words))
            return PAT_EINVAL;
        if (s && *s)
            pat_json_set_str(j, *field, s);
    }
    *what = "must be a day or a time, 2026-11-23 or 2026-11-23T10:00:00Z";
    for (size_t i = 0; i < 2; i++) {
        *field = times[i];
        s = pat_httpd_query_param(http, *field);
        if (s && *s && !calls_time_valid(s))
            return PAT_EINVAL;
        if (s && *s)
            set_time(j, *field, s);
    }
    *field = "number";
    *what = "must be a number's last four to fifteen digits";
    s = pat_httpd_query_param(http, "number");
    if (s && *s && !digits_of(s))
        return PAT_EINVAL;
    if (s && *s)
        pat_json_set_str(j, "number", digits_of(s));
    return PAT_OK;
}

static int read_whose(struct calls_query *q, struct pat_httpd_req *http, const char *me,
                      const char **field, const char **what)
{
    const char *all = pat_httpd_query_param(http, "all");
    const char *user = pat_httpd_query_param(http, "user_id");

    *field = "all";
    *what = "must be true or false, and true not beside a user_id";
    q->all = all && !strcmp(all, "true");
    if ((all && !q->all && strcmp(all, "false") != 0) || (q->all && user))
        return PAT_EINVAL;
    *field = "user_id";
    *what = "must be the id of a user";
    if (q->all)
        return PAT_OK;
    if (user ? !pat_id_valid(user) : !me)
        return PAT_EINVAL;
    (void)pat_strcpy(q->user, sizeof q->user, user ? user : me);
    return PAT_OK;
}

int calls_query_read(struct calls_query *out, struct pat_httpd_req *http, const char *me,
                     const char **field, const char **what)
{
    int err;

    *out = (struct calls_query){ .filters = pat_json_obj() };
    err = page_read(&out->page, pat_httpd_query_param(http, "limit"),
                    pat_httpd_query_param(http, "before"), field, what);
    if (!err)
        err = read_whose(out, http, me, field, what);
    return err ? err : read_filters(out->filters, http, field, what);
}

void calls_query_free(struct calls_query *q)
{
    pat_json_free(q->filters);
}
