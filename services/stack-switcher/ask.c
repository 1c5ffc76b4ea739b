/* ask.c - one question to Postgres for one request: see ask.h. */
#include "ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A page waits for it; longer, and its user has clicked again. */
#define TIMEOUT_MS 5000

struct asked {
    struct switcher *s;
    struct pat_httpd_req *http;
    const char *name;
    ask_shape_fn *shape;
    ask_reply_fn *reply;
    bool admins_only, tagged;
    int64_t started_us;
};

/* True: the reader has it already, and was told so. */
static bool known(struct pat_httpd_req *http, const char *text, size_t len)
{
    const char *theirs = pat_httpd_header(http, "if-none-match");
    uint8_t hash[32];
    struct pat_buf tag;
    bool same;

    pat_sha256(text, len, hash);
    pat_buf_init(&tag, 64);
    pat_buf_adds(&tag, "W/\""); /* of the text, compressed or not */
    pat_hex(&tag, hash, 16);
    pat_buf_adds(&tag, "\"");
    if (tag.err) {
        pat_buf_fini(&tag);
        return false;
    }
    (void)pat_httpd_set_header(http, "ETag", tag.data);
    same = theirs && strstr(theirs, tag.data + 2);
    pat_buf_fini(&tag);
    if (same)
        pat_httpd_reply(http, 304, NULL, NULL, 0);
    return same;
}

static void reply(const struct asked *a, const char *text)
{
    size_t len = strlen(text);

    pat_httpd_allow_gzip(a->http); /* no question's answer holds a secret: ask.h */
    if (!a->tagged || !known(a->http, text, len))
        pat_httpd_reply(a->http, 200, "application/json", text, len);
}

static int shape(const struct asked *a, const char *text)
{
    PAT_AUTO_JSON j = NULL;
    PAT_AUTO_STR shaped = NULL;

    if (pat_json_parse(&j, text, strlen(text), NULL))
        return PAT_EINTERNAL;
    a->shape(j);
    shaped = pat_json_print(j);
    if (!shaped)
        return PAT_EINTERNAL;
    reply(a, shaped);
    return PAT_OK;
}

/* See ASK_PAGE: the cursor's name is one of ours. */
static bool wrong_cursor(const char *text, char name[16])
{
    return sscanf(text, "{\"wrong\": \"%15[a-z]\"}", name) == 1;
}

static void on_row(int err, const struct pat_db_result *const *results, size_t n, void *arg)
{
    struct asked *a = arg;
    const char *text = !err && pat_db_rows(results[0]) ? pat_db_value(results[0], 0, 0) : NULL;
    char cursor[16];

    pat_histogram_observe(a->s->reply_s, (double)(pat_now_us() - a->started_us) / 1e6);
    if (!err && text && wrong_cursor(text, cursor)) {
        pat_httpd_reply_error(a->http, PAT_EINVAL, cursor, "names nothing: begin again without it");
    } else if (!err && text && a->reply) {
        a->reply(a->http, text);
    } else if (!err && text && a->shape) {
        err = shape(a, text);
    } else if (!err && text) {
        reply(a, text);
    } else if (!err) {
        pat_httpd_reply_error(a->http, a->admins_only ? PAT_EPERM : PAT_ENOENT, NULL,
                              a->admins_only ? "for admins only" : "no such thing");
    }
    if (err) {
        pat_log(PAT_ERROR, "api.not_answered", PAT_S("question", a->name), PAT_ERR(err),
                PAT_S("why", n ? pat_db_message(results[0]) : NULL));
        pat_httpd_reply_error(a->http, err == PAT_EINTERNAL ? err : PAT_EUNAVAIL, NULL,
                              "the database did not answer, try again");
    }
    free(a);
}

void ask(struct switcher *s, struct pat_httpd_req *http, const struct who *who,
         const struct question *q)
{
    const char *params[ASK_MAX_PARAMS] = { *who->user ? who->user : NULL,
                                           who->admin ? "true" : "false" };
    struct asked *a = calloc(1, sizeof *a);
    int err = PAT_ENOMEM;

    if (a) {
        *a = (struct asked){ s,        http,           q->name,   q->shape,
                             q->reply, q->admins_only, q->tagged, pat_now_us() };
        memcpy(params + 2, q->params, (size_t)q->n * sizeof *params);
        err = pat_db_run1(s->d->db, q->name, q->sql, params, 2 + q->n, TIMEOUT_MS, on_row, a, NULL);
    }
    if (err) {
        free(a);
        pat_log(PAT_WARN, "api.not_asked", PAT_S("question", q->name), PAT_ERR(err));
        pat_httpd_reply_error(http, PAT_EUNAVAIL, NULL, "too much to do, try again");
    }
}
