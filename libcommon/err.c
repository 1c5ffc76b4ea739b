/* err.c - the table of errors: name, words, HTTP status.
 *
 * One row per value of enum pat_err; nothing else in the tree maps an error to a name or a status.
 */
#include "err.h"

#include <stddef.h>
#include <string.h>

struct err_row {
    int err;
    int http;
    bool retryable;
    const char *name;
    const char *text;
};

static const struct err_row rows[] = {
    { PAT_OK, 200, false, "ok", "fine" },
    { PAT_ENOMEM, 503, true, "out_of_memory", "out of memory" },
    { PAT_EINVAL, 400, false, "invalid", "invalid input" },
    { PAT_ENOENT, 404, false, "not_found", "no such thing" },
    { PAT_EEXIST, 409, false, "conflict", "exists already" },
    { PAT_ETIMEDOUT, 504, true, "timed_out", "deadline passed" },
    { PAT_ECANCELED, 503, true, "canceled", "canceled" },
    { PAT_EAGAIN, 429, true, "busy", "full or busy, try later" },
    { PAT_ECONN, 502, true, "no_connection", "connection failed" },
    { PAT_EPROTO, 502, false, "protocol", "the peer broke its protocol" },
    { PAT_EAUTH, 401, false, "unauthenticated", "not authenticated" },
    { PAT_EPERM, 403, false, "forbidden", "not allowed" },
    { PAT_E2BIG, 413, false, "too_large", "over the limit" },
    { PAT_EUNAVAIL, 503, true, "unavailable", "not available now" },
    { PAT_ESTALE, 409, false, "stale", "an old version" },
    { PAT_EIO, 500, true, "io", "operating system error" },
    { PAT_EUPSTREAM, 502, true, "upstream", "a provider answered with an error" },
    { PAT_EINTERNAL, 500, false, "internal", "internal error" },
};

static const struct err_row *find(int err)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].err == err)
            return &rows[i];
    return &rows[sizeof rows / sizeof rows[0] - 1];
}

const char *pat_err_name(int err)
{
    return find(err)->name;
}

const char *pat_err_text(int err)
{
    return find(err)->text;
}

int pat_err_http_status(int err)
{
    return find(err)->http;
}

bool pat_err_retryable(int err)
{
    return find(err)->retryable;
}

int pat_err_from_name(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (!strcmp(rows[i].name, name))
            return rows[i].err;
    return PAT_EUPSTREAM;
}
