/* query.c - what a request's query may say: see query.h. */
#include "query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int query_limit(int *out, const char *s, int max)
{
    size_t digits = strspn(s, "0123456789");
    long n = strtol(s, NULL, 10);

    if (!digits || s[digits] || digits > 4 || n < 1 || n > max)
        return PAT_EINVAL;
    *out = (int)n;
    return PAT_OK;
}

int page_read(struct page *out, const char *limit, const char *before, const char **field,
              const char **what)
{
    struct page p = { 0 };
    int n = QUERY_LIMIT_DEFAULT;

    *field = "limit";
    *what = "must be a number from 1 to 200";
    if (limit && query_limit(&n, limit, QUERY_LIMIT_MAX))
        return PAT_EINVAL;
    *field = "before";
    *what = "must be what next was, a UUID";
    if (before && !pat_id_valid(before))
        return PAT_EINVAL;
    snprintf(p.limit, sizeof p.limit, "%d", n);
    (void)pat_strcpy(p.before, sizeof p.before, before ? before : "");
    *out = p;
    return PAT_OK;
}

bool query_is_json(const char *media_type)
{
    size_t len = strcspn(media_type, "; \t");

    if (len == 16 && !strncasecmp(media_type, "application/json", len))
        return true;
    return len > 5 && !strncasecmp(media_type + len - 5, "+json", 5);
}

const char *query_mistyped(const struct pat_json *body, const struct query_kind *kinds,
                           const char **what)
{
    *what = "is a field of the query: ?dry_run=1";
    if (pat_json_at(body, "dry_run"))
        return "dry_run";
    for (; kinds->name; kinds++) {
        const struct pat_json *j = pat_json_at(body, kinds->name);

        *what = kinds->kind == PAT_JSON_BOOL ? "must be true or false" : "must be text";
        if (j && pat_json_kind(j) != kinds->kind && pat_json_kind(j) != PAT_JSON_NULL)
            return kinds->name;
    }
    return NULL;
}
