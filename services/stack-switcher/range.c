/* range.c - which bytes a request asks for: see recordings_int.h. */
#include "recordings_int.h"

#include <stdlib.h>
#include <string.h>

/* Digits, at most 18 of them: then nothing overflows. */
static bool number(const char **s, uint64_t *out)
{
    size_t n = strspn(*s, "0123456789");

    if (!n || n > 18)
        return false;
    *out = strtoull(*s, NULL, 10);
    *s += n;
    return true;
}

struct range range_read(const char *header)
{
    struct range none = { 0 }, r = { .any = true, .to = UINT64_MAX };

    if (!header || strncmp(header, "bytes=", 6) != 0)
        return none;
    header += 6;
    if (*header == '-') {
        header++;
        r.suffix = true;
        return number(&header, &r.from) && !*header ? r : none;
    }
    if (!number(&header, &r.from) || *header++ != '-')
        return none;
    if (*header && (!number(&header, &r.to) || r.to < r.from))
        return none;
    return *header ? none : r;
}

int range_of(const struct range *r, uint64_t total, uint64_t *from, uint64_t *to)
{
    *from = 0;
    *to = total - 1;
    if (!total || (r->suffix && !r->from))
        return PAT_EINVAL;
    if (!r->any)
        return PAT_OK;
    if (r->suffix) {
        *from = r->from < total ? total - r->from : 0;
        return PAT_OK;
    }
    *from = r->from;
    if (r->to < *to)
        *to = r->to;
    return *from < total ? PAT_OK : PAT_EINVAL;
}
