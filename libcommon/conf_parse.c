/* conf_parse.c - values of settings: one small reader per kind.
 *
 * Every reader takes the whole text or refuses it; none guesses.
 */
#include "conf_parse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

bool pat__conf_is_text(enum pat_conf_kind kind)
{
    return kind != PAT_CONF_INT && kind != PAT_CONF_MS && kind != PAT_CONF_BOOL;
}

/* Is word, len long, one of the comma-separated names? */
static bool one_of(const char *names, const char *word, size_t len)
{
    for (size_t n; *names; names += n + (names[n] == ',')) {
        n = strcspn(names, ",");
        if (n == len && !strncmp(names, word, len))
            return true;
    }
    return false;
}

/* --- Numbers ---------------------------------------------------------------------------------- */

static int range_fault(const struct pat_conf_row *row, struct pat_buf *why)
{
    const char *what =
        row->kind == PAT_CONF_MS ? "a time like 250ms, 3s, 5m or 1h" : "a whole number";

    if (row->min == 0 && row->max == 0)
        pat_buf_addf(why, "must be %s", what);
    else if (row->kind == PAT_CONF_MS)
        pat_buf_addf(why, "must be %s within %" PRId64 "ms..%" PRId64 "ms", what, row->min,
                     row->max);
    else
        pat_buf_addf(why, "must be %" PRId64 "..%" PRId64, row->min, row->max);
    return PAT_EINVAL;
}

/* How many ms the unit has; 0 for one we do not know. */
static int64_t unit_ms(const char *unit)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = { { "", 1 }, { "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 } };

    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (!strcmp(unit, units[i].name))
            return units[i].ms;
    return 0;
}

static int parse_number(const struct pat_conf_row *row, const char *text, int64_t *out,
                        struct pat_buf *why)
{
    const char *first = *text == '-' ? text + 1 : text;
    char *end;
    int64_t v;
    int64_t unit;

    errno = 0;
    v = strtoll(text, &end, 10);
    unit = row->kind == PAT_CONF_MS ? unit_ms(end) : *end == '\0';
    if (*first < '0' || *first > '9' || errno || !unit || __builtin_mul_overflow(v, unit, &v))
        return range_fault(row, why);
    if ((row->min || row->max) && (v < row->min || v > row->max))
        return range_fault(row, why);
    *out = v;
    return PAT_OK;
}

static int parse_bool(const char *text, bool *out, struct pat_buf *why)
{
    static const char *const words[2][4] = { { "false", "0", "no", "off" },
                                             { "true", "1", "yes", "on" } };

    for (int v = 0; v < 2; v++)
        for (int i = 0; i < 4; i++)
            if (!strcasecmp(text, words[v][i])) {
                *out = v;
                return PAT_OK;
            }
    pat_buf_adds(why, "must be true or false");
    return PAT_EINVAL;
}

/* --- Texts ------------------------------------------------------------------------------------ */

/* "scheme://" at text with one of the schemes: its length, else 0. */
static size_t scheme_len(const char *text, const char *schemes)
{
    const char *sep = strstr(text, "://");

    return sep && one_of(schemes, text, (size_t)(sep - text)) ? (size_t)(sep - text) + 3 : 0;
}

/* An empty host is right for one thing only: a database behind a Unix socket, named in the query.
 */
static bool url_has_host(const char *authority)
{
    size_t len = strcspn(authority, "/?#,");
    const char *at = memrchr(authority, '@', len);
    const char *host = at ? at + 1 : authority;

    if (host < authority + len && *host != ':')
        return true;
    return strstr(authority, "?host=") || strstr(authority, "&host=");
}

static int check_url(const char *text, const char *schemes, struct pat_buf *why)
{
    size_t n = scheme_len(text, schemes);
    bool ok = n > 0;

    for (const char *s = text; *s && ok; s++)
        ok = (unsigned char)*s > 0x20 && (unsigned char)*s < 0x7f;
    while (ok && n) {
        text += n;
        ok = url_has_host(text);
        /* Servers of one cluster may be listed: nats://a:4222,nats://b:4222. */
        do {
            text = strchr(text, ',');
            text = text ? text + 1 : "";
            n = scheme_len(text, schemes);
        } while (*text && !n);
    }
    if (ok)
        return PAT_OK;
    pat_buf_adds(why, "must be an absolute URL with scheme ");
    pat_buf_adds(why, schemes);
    return PAT_EINVAL;
}

static bool port_ok(const char *s)
{
    char *end;
    unsigned long v;

    if (*s < '0' || *s > '9' || strlen(s) > 5)
        return false;
    v = strtoul(s, &end, 10);
    return *end == '\0' && v <= 65535;
}

static bool addr_ok(const char *text)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    struct in_addr v4;
    struct in6_addr v6;
    size_t len = colon ? (size_t)(colon - text) : 0;

    if (!len || len >= sizeof host || !port_ok(colon + 1))
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    /* No other names: who listens asks nobody for an address. */
    if (host[0] != '[')
        return !strcmp(host, "localhost") || inet_pton(AF_INET, host, &v4) == 1;
    if (host[len - 1] != ']')
        return false;
    host[len - 1] = '\0';
    return inet_pton(AF_INET6, host + 1, &v6) == 1;
}

static int check_addr(const char *text, struct pat_buf *why)
{
    if (addr_ok(text))
        return PAT_OK;
    pat_buf_adds(why, "must be address:port, [v6]:port or localhost:port");
    return PAT_EINVAL;
}

static int check_enum(const struct pat_conf_row *row, const char *text, struct pat_buf *why)
{
    if (!strchr(text, ',') && one_of(row->arg, text, strlen(text)))
        return PAT_OK;
    pat_buf_adds(why, "must be one of ");
    pat_buf_adds(why, row->arg);
    return PAT_EINVAL;
}

/* " a, b ,,c " -> "a,b,c", in place. */
static void tidy_list(char *list)
{
    char *to = list;
    const char *from = list;

    while (*from) {
        size_t n = strcspn(from, ",");
        size_t len = n;
        const char *item = from;

        from += n + (from[n] == ',');
        for (; len && is_blank(*item); len--)
            item++;
        while (len && is_blank(item[len - 1]))
            len--;
        if (!len)
            continue;
        if (to != list)
            *to++ = ',';
        memmove(to, item, len);
        to += len;
    }
    *to = '\0';
}

/* So that a path can be put behind a base URL without asking. */
static void cut_slashes(char *url)
{
    size_t n = strlen(url);

    while (n && url[n - 1] == '/')
        url[--n] = '\0';
}

static int parse_text(const struct pat_conf_row *row, const char *text, char **out,
                      struct pat_buf *why)
{
    char *copy;
    int err = PAT_OK;

    if (*text == '\0')
        ; /* unset: no kind has a rule for nothing */
    else if (row->kind == PAT_CONF_URL)
        err = check_url(text, row->arg, why);
    else if (row->kind == PAT_CONF_ADDR)
        err = check_addr(text, why);
    else if (row->kind == PAT_CONF_ENUM)
        err = check_enum(row, text, why);
    if (err)
        return err;
    copy = strdup(text);
    if (!copy)
        return PAT_ENOMEM;
    if (row->kind == PAT_CONF_LIST)
        tidy_list(copy);
    else if (row->kind == PAT_CONF_URL)
        cut_slashes(copy);
    *out = copy;
    return PAT_OK;
}

int pat__conf_parse(const struct pat_conf_row *row, const char *text, void *out,
                    struct pat_buf *why)
{
    void *field = (char *)out + row->offset;

    switch (row->kind) {
    case PAT_CONF_INT:
    case PAT_CONF_MS:
        return parse_number(row, text, field, why);
    case PAT_CONF_BOOL:
        return parse_bool(text, field, why);
    case PAT_CONF_STR:
    case PAT_CONF_SECRET:
    case PAT_CONF_URL:
    case PAT_CONF_ADDR:
    case PAT_CONF_ENUM:
    case PAT_CONF_LIST:
        break;
    }
    return parse_text(row, text, field, why);
}

/* --- Showing ---------------------------------------------------------------------------------- */

static bool secret_name(const char *name, size_t len)
{
    static const char *const words[] = { "pass", "token", "secret", "key", "sig", "auth" };
    char low[32] = "";

    for (size_t i = 0; i < len && i < sizeof low - 1; i++)
        low[i] = (char)(name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i]);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(low, words[i]))
            return true;
    return false;
}

/* "name=value" pairs up to the end of the query. */
static const char *redact_query(const char *s, struct pat_buf *out)
{
    while (*s && *s != '#') {
        size_t name = strcspn(s, "=&#");
        size_t all = strcspn(s, "&#");

        pat_buf_add(out, s, name);
        if (s[name] == '=' && secret_name(s, name))
            pat_buf_adds(out, "=***");
        else
            pat_buf_add(out, s + name, all - name);
        s += all;
        if (*s == '&')
            pat_buf_add(out, s++, 1);
    }
    return s;
}

int pat__conf_redact(const char *url, struct pat_buf *out)
{
    const char *sep;

    while ((sep = strstr(url, "://"))) {
        size_t authority = strcspn(sep + 3, "/?#");
        const char *at = memrchr(sep + 3, '@', authority);

        pat_buf_add(out, url, (size_t)(sep + 3 - url));
        url = sep + 3;
        if (at) {
            pat_buf_adds(out, "***");
            url = at;
        }
        authority = strcspn(url, "?#,");
        pat_buf_add(out, url, authority);
        url += authority;
        if (*url == '?')
            url = redact_query(url, out);
    }
    return pat_buf_adds(out, url);
}
