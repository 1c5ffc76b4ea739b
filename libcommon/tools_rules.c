/* tools_rules.c - whom the caller may be put through to, when, and which number may be called back.
 *
 * Pure: the time is an argument. The router asks again before it dials: it knows all of the user's
 * numbers.
 */
#include "tools_int.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool may_call(const struct pat_tools *t, const char *number)
{
    return strcmp(number, t->called) != 0 && pat_phone_allowed(number, t->countries);
}

static const struct pat_target *find(const struct pat_tools *t, const char *label)
{
    for (size_t i = 0; i < t->n_targets; i++)
        if (label && *label ? strcasecmp(t->target[i].label, label) == 0 : t->target[i].is_default)
            return &t->target[i];
    return NULL;
}

int pat_tools_target(const struct pat_tools *t, const char *label, const struct pat_target **out)
{
    const struct pat_target *to = find(t, label);

    if (!to)
        return PAT_ENOENT;
    *out = to;
    if (strcmp(to->number, t->caller) == 0 || !may_call(t, to->number))
        return PAT_EPERM;
    return PAT_OK;
}

bool pat_tools_warm(const struct pat_tools *t, const struct pat_json *args)
{
    return t->mode == TRANSFER_WARM ||
           (t->mode == TRANSFER_CHOOSE && strcmp(pat_json_str_or(args, "mode", ""), "warm") == 0);
}

size_t pat_tools_targets(const struct pat_tools *t)
{
    return t->n_targets;
}

bool pat_tools_may_transfer(const struct pat_tools *t, int64_t now_ms)
{
    struct pat_local l;
    int now;

    if (t->quiet_from == t->quiet_to)
        return true;
    pat_tz_local(t->zone, now_ms / 1000, &l);
    now = l.hour * 60 + l.minute;
    if (t->quiet_from < t->quiet_to)
        return now < t->quiet_from || now >= t->quiet_to;
    return now < t->quiet_from && now >= t->quiet_to;
}

static int refuse(char what[160], const char *why)
{
    (void)pat_strcpy(what, 160, why);
    return PAT_EINVAL;
}

int pat_tools_callback(const struct pat_tools *t, const char *when, int64_t now_ms, int64_t *at_ms,
                       char what[160])
{
    struct pat_tz *utc = NULL;
    struct pat_local l;
    int32_t offset;
    int64_t at_s;
    bool has;
    int err;

    what[0] = 0;
    if (pat_local_parse(when, &l, &has, &offset))
        return refuse(what, "must be a local date and time like 2026-11-23T15:00");
    if (has && pat_tz_load(&utc, "UTC"))
        return PAT_ENOMEM;
    err = pat_tz_unix(has ? utc : t->zone, &l, &at_s);
    pat_tz_free(utc);
    if (err == PAT_ENOENT)
        return refuse(what, "does not exist: the clocks are put forward over it");
    if (err)
        return refuse(what, "is not a date and time of the calendar");
    *at_ms = (at_s - (has ? offset : 0)) * 1000;
    if (*at_ms < now_ms + PAT_CALLBACK_MIN_MS)
        return refuse(what, "lies in the past, or is now");
    if (*at_ms > now_ms + PAT_CALLBACK_MAX_MS)
        return refuse(what, "is more than 90 days away");
    return PAT_OK;
}

void pat_tools_local(const struct pat_tools *t, int64_t unix_ms, char out[PAT_LOCAL_LEN + 1])
{
    struct pat_local l;
    char text[80];

    pat_tz_local(t->zone, unix_ms / 1000, &l);
    (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d", l.year, l.month, l.day, l.hour,
                   l.minute);
    (void)pat_strcpy(out, PAT_LOCAL_LEN + 1, text);
}

const char *pat_tools_zone(const struct pat_tools *t)
{
    return t->zone_name;
}

int pat_tools_reach(const struct pat_tools *t, const char *said, char out[PAT_PHONE_LEN + 1])
{
    if (!said || !*said) {
        if (!*t->caller)
            return PAT_ENOENT;
        (void)pat_strcpy(out, PAT_PHONE_LEN + 1, t->caller);
        return PAT_OK;
    }
    if (pat_phone_normal(out, said))
        return PAT_EINVAL;
    return strcmp(out, t->caller) == 0 || may_call(t, out) ? PAT_OK : PAT_EPERM;
}
