/* verdict.c - a function in Postgres judges a request: see verdict.h. */
#include "verdict.h"

#include "change.h"
#include "door.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TIMEOUT_MS 8000

struct asked {
    struct switcher *s;
    struct pat_httpd_req *http;
    const char *name, *noun;
    int status;
    bool etag;
    int64_t started_us;
};

static void reply_refused(struct pat_httpd_req *http, const struct pat_json *answer,
                          const struct pat_json *refused)
{
    PAT_AUTO_JSON more = pat_json_obj();

    PAT_JSON_EACH(beside, answer)
    if (beside != refused)
        pat_json_set_take(more, pat_json_key(beside), pat_json_dup(beside));
    pat_httpd_reply_problem(
        http, &(struct pat_httpd_problem){ .status = (int)pat_json_int_or(refused, "status", 400),
                                           .code = pat_json_str_or(refused, "code", "invalid"),
                                           .field = pat_json_str_or(refused, "field", NULL),
                                           .detail = pat_json_str_or(refused, "message", ""),
                                           .more = more });
}

static int reply(const struct asked *a, const char *text)
{
    PAT_AUTO_JSON j = NULL;
    const struct pat_json *refused, *answer;
    char etag[32];

    if (pat_json_parse(&j, text, strlen(text), NULL))
        return PAT_EINTERNAL;
    refused = pat_json_at(j, "refused");
    answer = a->noun ? pat_json_at(j, a->noun) : j;
    if (refused) {
        reply_refused(a->http, j, refused);
        return PAT_OK;
    }
    if (!answer)
        return PAT_EINTERNAL;
    snprintf(etag, sizeof etag, "\"%lld\"", (long long)pat_json_int_or(answer, "version", 0));
    if (a->etag)
        (void)pat_httpd_set_header(a->http, "ETag", etag);
    pat_httpd_reply_json(a->http, a->status, answer);
    return PAT_OK;
}

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct asked *a = arg;
    const char *text = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;

    pat_histogram_observe(a->s->reply_s, (double)(pat_now_us() - a->started_us) / 1e6);
    if (!err && text)
        err = reply(a, text);
    else if (!err)
        pat_httpd_reply_error(a->http, PAT_ENOENT, NULL, "no such thing");
    if (err) {
        pat_log(PAT_ERROR, "api.not_answered", PAT_S("question", a->name), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        pat_httpd_reply_error(a->http,
                              err == PAT_EINTERNAL || err == PAT_EINVAL ? err : PAT_EUNAVAIL, NULL,
                              "the database did not take it, try again");
    }
    free(a);
}

void verdict_ask(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
                 const struct verdict *v)
{
    const char *params[ASK_MAX_PARAMS] = { *who->user ? who->user : NULL,
                                           who->admin ? "true" : "false" };
    struct asked *a = calloc(1, sizeof *a);
    int err = PAT_ENOMEM;

    if (a) {
        *a = (struct asked){ s,       http,        v->name, v->noun, v->status ? v->status : 200,
                             v->etag, pat_now_us() };
        memcpy(params + 2, v->params, (size_t)v->n * sizeof *params);
        err = pat_db_run1(s->d->db, v->name, v->sql, params, 2 + v->n, TIMEOUT_MS, on_row, a, NULL);
    }
    if (!err)
        return;
    free(a);
    pat_log(PAT_WARN, "api.not_asked", PAT_S("question", v->name), PAT_ERR(err));
    pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too much to do, try again");
}

char *verdict_by(const struct who *who, struct pat_httpd_req *http)
{
    PAT_AUTO_JSON p = change_about(who, http, pat_httpd_query_param(http, "why"));

    return pat_json_print(p);
}
