/* callback.c - requests about a call we know: see callback.h. */
#include "callback.h"

#include "document.h"

#include <stdlib.h>
#include <string.h>

int callback_url_of(struct pat_buf *out, const struct router *r, const char *path,
                    const struct callref *ref, const char *token)
{
    pat_buf_adds(out, r->conf->public_url);
    pat_buf_adds(out, path);
    pat_buf_adds(out, ref->call.s);
    pat_buf_adds(out, "?t=");
    return pat_buf_adds(out, token);
}

int callback_url(struct pat_buf *out, const struct router *r, const char *path,
                 const struct callref *ref)
{
    int err = callback_url_of(out, r, path, ref, "");

    return err ? err : callref_token(out, r->conf->call_secret, ref);
}

static int read_token(struct callref *out, const struct router *r, struct pat_httpd_req *http)
{
    const char *token = pat_httpd_query_param(http, "t");
    const char *call = pat_httpd_param(http, "call");
    int err = token ? callref_parse(out, r->conf->call_secret, token, pat_unix_ms()) : PAT_EAUTH;

    return !err && strcmp(out->call.s, call) ? PAT_EAUTH : err;
}

int callback_read(struct carrier_req *c, struct callref *ref, struct router *r,
                  struct pat_httpd_req *http)
{
    int bad_token = read_token(ref, r, http);
    int err = carrier_read(c, r, http, !bad_token);

    if (err || !bad_token)
        return err;
    pat_log(PAT_WARN, "carrier.refused", PAT_S("path", pat_httpd_path(http)), PAT_S("field", "t"),
            PAT_S("why", "token missing or not ours"));
    pat_httpd_reply_error(http, PAT_EPERM, "t", "missing or wrong");
    carrier_fini(c);
    return PAT_EPERM;
}

bool callback_url_part(char *out, size_t cap, const char *url, const char *mark)
{
    const char *at = url ? strstr(url, mark) : NULL;
    size_t len;

    if (!at)
        return false;
    at += strlen(mark);
    len = strcspn(at, "&#");
    if (len >= cap)
        return false;
    memcpy(out, at, len);
    out[len] = '\0';
    return true;
}

void callback_hangup(struct router *r, struct pat_httpd_req *http, enum carrier_form form)
{
    struct pat_buf doc;
    int err;

    pat_buf_init(&doc, DOCUMENT_MAX);
    err = form == CARRIER_SWML ? swml_hangup(&doc) : cxml_hangup(&doc);
    carrier_answer(r, http, form, err, &doc);
    pat_buf_fini(&doc);
}

int64_t callback_seconds_ms(const struct carrier_req *c, const char *name)
{
    const char *s = carrier_param(c, name);
    char *end;
    long n;

    if (!s || !*s)
        return -1;
    n = strtol(s, &end, 10);
    return *end || n < 0 || n > 24 * 3600 ? -1 : (int64_t)n * 1000;
}
