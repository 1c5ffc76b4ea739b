/* look.c - how a call stands at Retell: see look.h. */
#include "look.h"

#include "api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((size_t)8 << 20) /* every word of hours, twice */

struct asking {
    look_fn *fn;
    void *arg;
};

static int meaning(int err, const struct pat_http_res *res, struct pat_json **body)
{
    size_t len = res->len;
    PAT_AUTO_STR mended = !err ? pat_json_mended(res->body, &len) : NULL; /* transcripts */
    bool bad = !err && pat_json_parse(body, mended ? mended : res->body, len, NULL);

    if (!err && res->status / 100 != 2)
        err = api_status_err(res->status);
    else if (bad)
        err = PAT_EPROTO;
    if (err == PAT_ETIMEDOUT || err == PAT_ECONN || err == PAT_EPROTO)
        err = PAT_EUPSTREAM;
    return err;
}

static void on_answer(int err, const struct pat_http_res *res, void *arg)
{
    struct asking *a = arg;
    PAT_AUTO_JSON body = NULL;

    err = meaning(err, res, &body);
    if (err)
        pat_log(PAT_WARN, "retell.look_failed", PAT_ERR(err));
    a->fn(err, err ? NULL : body, a->arg);
    free(a);
}

int look_call(struct provider *p, const char *retell_call, int64_t left_ms, look_fn *fn, void *arg)
{
    const struct provider_conf *conf = p->conf;
    char auth[1024];
    const char *headers[] = { auth, "Accept: application/json", NULL };
    struct asking *a = malloc(sizeof *a);
    struct pat_buf url;
    pat_http_id id;
    int err;

    if (!a)
        return PAT_ENOMEM;
    *a = (struct asking){ fn, arg };
    pat_buf_init(&url, 2048);
    pat_buf_addf(&url, "%s/v2/get-call/", conf->api_url);
    err = pat_url_encode(&url, retell_call);
    if (!err && (size_t)snprintf(auth, sizeof auth, "Authorization: Bearer %s", conf->api_key) >=
                    sizeof auth)
        err = PAT_E2BIG;
    if (!err)
        err = pat_http_start(p->d->http,
                             &(struct pat_http_req){ .method = "GET",
                                                     .url = url.data,
                                                     .headers = headers,
                                                     .timeout_ms = left_ms > 0 ? left_ms : 1,
                                                     .max_body = ANSWER_MAX },
                             NULL, on_answer, a, &id);
    if (err)
        free(a);
    pat_buf_fini(&url);
    return err;
}

struct pat_json *look_json(const struct pat_json *call)
{
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "status", pat_json_str_or(call, "call_status", ""));
    pat_json_set_str(j, "reason", pat_json_str_or(call, "disconnection_reason", NULL));
    pat_json_set_int(j, "ended_ms", pat_json_int_or(call, "end_timestamp", 0));
    return j;
}
