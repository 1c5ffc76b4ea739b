/* tz.c - see tz.h.
 *
 * How: the 64-bit block of the file gives the offset by binary search; behind its last transition
 * the rule in the footer does (tz_rule.c). Leap seconds are not known here, as in POSIX.
 */
#include "tz.h"

#include "tz_rule.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 64 * 1024, NAME_MAX_LEN = 64, HEADER = 44 };

struct pat_tz {
    size_t n;        /* transitions */
    int64_t *at;     /* n of them, rising */
    uint8_t *type;   /* of each */
    int32_t *offset; /* by type */
    size_t n_types;  /* at least 1 */
    struct tz_rule rule;
};

static uint32_t be32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int64_t be64(const uint8_t *p)
{
    return (int64_t)((uint64_t)be32(p) << 32 | be32(p + 4));
}

struct block {
    size_t utc, std, leap, times, types, chars, len; /* counts, and bytes behind the header */
};

/* PAT_EPROTO: not a header, or it claims more than there is. */
static int read_header(struct block *b, const uint8_t *p, size_t len, size_t time_size)
{
    if (len < HEADER || memcmp(p, "TZif", 4) != 0)
        return PAT_EPROTO;
    *b = (struct block){
        be32(p + 20), be32(p + 24), be32(p + 28), be32(p + 32), be32(p + 36), be32(p + 40), 0
    };
    if (b->utc > FILE_MAX || b->std > FILE_MAX || b->leap > FILE_MAX || b->times > FILE_MAX ||
        b->types > 256 || b->chars > FILE_MAX)
        return PAT_EPROTO;
    b->len = b->times * (time_size + 1) + b->types * 6 + b->chars + b->leap * (time_size + 4) +
             b->std + b->utc;
    return b->len <= len - HEADER ? PAT_OK : PAT_EPROTO;
}

static int read_block(struct pat_tz *z, const struct block *b, const uint8_t *p)
{
    if (!b->types)
        return PAT_EPROTO;
    z->at = calloc(b->times + 1, sizeof *z->at);
    z->type = calloc(b->times + 1, 1);
    z->offset = calloc(b->types, sizeof *z->offset);
    if (!z->at || !z->type || !z->offset)
        return PAT_ENOMEM;
    z->n = b->times;
    z->n_types = b->types;
    for (size_t i = 0; i < b->times; i++) {
        z->at[i] = be64(p + 8 * i);
        z->type[i] = p[8 * b->times + i];
        if (z->type[i] >= b->types || (i && z->at[i] <= z->at[i - 1]))
            return PAT_EPROTO;
    }
    for (size_t i = 0; i < b->types; i++) {
        z->offset[i] = (int32_t)be32(p + 9 * b->times + 6 * i);
        if (z->offset[i] < -100000 || z->offset[i] > 100000)
            return PAT_EPROTO;
    }
    return PAT_OK;
}

/* "\n<rule>\n" behind the second block; an empty one: the last offset holds for ever. */
static int read_footer(struct pat_tz *z, const char *p, size_t len)
{
    char text[128];
    const char *end;

    if (len < 2 || p[0] != '\n' || !(end = memchr(p + 1, '\n', len - 1)) ||
        (size_t)(end - p - 1) >= sizeof text)
        return PAT_EPROTO;
    memcpy(text, p + 1, (size_t)(end - p - 1));
    text[end - p - 1] = 0;
    return *text ? tz_rule_parse(&z->rule, text) : PAT_OK;
}

static int parse(struct pat_tz *z, const uint8_t *p, size_t len)
{
    struct block first, second;
    int err = read_header(&first, p, len, 4);
    size_t skip;

    if (err)
        return err;
    if (p[4] < '2')
        return PAT_EPROTO; /* 32-bit only: nobody ships those any more */
    skip = HEADER + first.len;
    err = read_header(&second, p + skip, len - skip, 8);
    if (!err)
        err = read_block(z, &second, p + skip + HEADER);
    skip += HEADER + second.len;
    return err ? err : read_footer(z, (const char *)p + skip, len - skip);
}

int pat_tz_parse(struct pat_tz **out, const void *data, size_t len)
{
    struct pat_tz *z = calloc(1, sizeof *z);
    int err = z ? parse(z, data, len) : PAT_ENOMEM;

    if (err)
        pat_tz_free(z);
    else
        *out = z;
    return err;
}

void pat_tz_free(struct pat_tz *z)
{
    if (!z)
        return;
    free(z->at);
    free(z->type);
    free(z->offset);
    free(z);
}

static int utc(struct pat_tz **out)
{
    struct pat_tz *z = calloc(1, sizeof *z);

    if (!z || !(z->offset = calloc(1, sizeof *z->offset))) {
        free(z);
        return PAT_ENOMEM;
    }
    z->n_types = 1;
    *out = z;
    return PAT_OK;
}

/* A path below the zones' folder, never out of it. */
static bool good_name(const char *s)
{
    size_t len = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+-/");

    return len && len < NAME_MAX_LEN && !s[len] && s[0] != '/' && s[len - 1] != '/' &&
           !strstr(s, "//");
}

int pat_tz_load(struct pat_tz **out, const char *name)
{
    char path[sizeof PAT_TZ_DIR + NAME_MAX_LEN + 2];
    uint8_t *data;
    size_t len;
    FILE *f;
    int err;

    if (!good_name(name))
        return PAT_EINVAL;
    if (strcmp(name, "UTC") == 0)
        return utc(out);
    (void)snprintf(path, sizeof path, "%s/%s", PAT_TZ_DIR, name);
    f = fopen(path, "re");
    if (!f)
        return PAT_ENOENT;
    data = malloc(FILE_MAX);
    len = data ? fread(data, 1, FILE_MAX, f) : 0;
    err = data ? pat_tz_parse(out, data, len) : PAT_ENOMEM;
    free(data);
    (void)fclose(f);
    return err;
}

int32_t pat_tz_offset(const struct pat_tz *z, int64_t unix_s)
{
    size_t lo = 0, hi = z->n;

    if (z->rule.set && (!z->n || unix_s >= z->at[z->n - 1]))
        return tz_rule_offset(&z->rule, unix_s);
    while (lo < hi) { /* the first transition behind it */
        size_t mid = lo + (hi - lo) / 2;

        if (z->at[mid] <= unix_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    return z->offset[lo ? z->type[lo - 1] : 0];
}

void pat_tz_local(const struct pat_tz *z, int64_t unix_s, struct pat_local *out)
{
    int64_t t = unix_s + pat_tz_offset(z, unix_s);
    int64_t days = t >= 0 ? t / 86400 : -((86399 - t) / 86400);
    int rest = (int)(t - days * 86400);

    tz_civil(days, &out->year, &out->month, &out->day);
    out->weekday = tz_weekday(days);
    out->hour = rest / 3600;
    out->minute = rest / 60 % 60;
    out->second = rest % 60;
}

int pat_tz_unix(const struct pat_tz *z, const struct pat_local *l, int64_t *unix_s)
{
    int year, month, day;
    int64_t days, naive, found = 0;
    bool any = false;

    if (l->year < 1970 || l->year > 9999 || l->month < 1 || l->month > 12 || l->day < 1 ||
        l->day > 31 || l->hour < 0 || l->hour > 23 || l->minute < 0 || l->minute > 59 ||
        l->second < 0 || l->second > 59)
        return PAT_EINVAL;
    days = tz_days(l->year, l->month, l->day);
    tz_civil(days, &year, &month, &day);
    if (month != l->month || day != l->day)
        return PAT_EINVAL; /* 31 April */
    naive = days * 86400 + l->hour * 3600 + l->minute * 60 + l->second;
    for (int i = -1; i <= 1; i += 2) { /* what holds a day before, and a day after */
        int32_t offset = pat_tz_offset(z, naive + i * 86400);
        int64_t t = naive - offset;

        if (pat_tz_offset(z, t) == offset && (!any || t < found)) {
            found = t;
            any = true;
        }
    }
    if (!any)
        return PAT_ENOENT;
    *unix_s = found;
    return PAT_OK;
}

/* digits of exactly n, then the character behind; 0: the end or anything. */
static bool take(const char **p, int n, char behind, int *out)
{
    *out = 0;
    for (int i = 0; i < n; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        *out = *out * 10 + (**p - '0');
    }
    if (!behind)
        return true;
    return *(*p)++ == behind;
}

static bool take_zone(const char *p, bool *has_offset, int32_t *offset_s)
{
    int sign, hours, minutes = 0;

    *has_offset = *p != 0;
    *offset_s = 0;
    if (!*p || strcmp(p, "Z") == 0 || strcmp(p, "z") == 0)
        return true;
    if (*p != '+' && *p != '-')
        return false;
    sign = *p++ == '-' ? -1 : 1;
    if (!take(&p, 2, 0, &hours))
        return false;
    if (*p == ':')
        p++;
    if (*p && !take(&p, 2, 0, &minutes))
        return false;
    *offset_s = sign * (hours * 3600 + minutes * 60);
    return !*p && hours <= 15 && minutes <= 59;
}

int pat_local_parse(const char *text, struct pat_local *out, bool *has_offset, int32_t *offset_s)
{
    struct pat_local l = { 0 };
    const char *p = text;

    if (!take(&p, 4, '-', &l.year) || !take(&p, 2, '-', &l.month) || !take(&p, 2, 0, &l.day) ||
        !*p || !strchr("Tt ", *p))
        return PAT_EINVAL;
    p++;
    if (!take(&p, 2, ':', &l.hour) || !take(&p, 2, 0, &l.minute))
        return PAT_EINVAL;
    if (*p == ':' && (p++, !take(&p, 2, 0, &l.second)))
        return PAT_EINVAL;
    if (*p == '.')
        p += 1 + strspn(p + 1, "0123456789");
    if (!take_zone(p, has_offset, offset_s))
        return PAT_EINVAL;
    *out = l;
    return PAT_OK;
}
