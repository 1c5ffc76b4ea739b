/* api.c - see api.h.
 *
 * How: waiting requests stand in a list; a timer lets one out every 1/rate of a second. The budget
 * is this process' own: replicas share the vendor's limit by each being told 429.
 */
#include "api.h"

#include "provider.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utlist.h>

#define TIMEOUT_MS   30000 /* half of the vendor's SDK: a job is repeated anyway */
#define PAUSE_MS     2000  /* after a 429 that does not say how long */
#define PAUSE_MAX_MS 60000
#define ANSWER_MAX   ((size_t)8 << 20)
#define WAITING_MAX  1000

struct call {
    struct api *a;
    api_id id;
    char *method, *path, *body;
    pat_http_id http; /* 0: waiting */
    api_fn *fn;
    void *arg;
    struct call *prev, *next;
};

struct api {
    struct provider *p;
    struct call *calls; /* waiting and under way, oldest first */
    size_t n;
    api_id last_id;
    struct pat_timer gate;
    int64_t open_at_ms; /* the next may leave then */
    struct pat_counter *requests, *limited;
};

int api_status_err(int status)
{
    switch (status) {
    case 400:
        return PAT_EINVAL;
    case 401:
        return PAT_EAUTH;
    case 402:
    case 403:
        return PAT_EPERM;
    case 404:
    case 422:
        return PAT_ENOENT;
    case 429:
        return PAT_EAGAIN;
    default:
        return status / 100 == 2 ? PAT_OK : PAT_EUPSTREAM;
    }
}

static void call_free(struct call *c)
{
    DL_DELETE(c->a->calls, c);
    c->a->n--;
    free(c->method);
    free(c->path);
    free(c->body);
    free(c);
}

static void finish(struct call *c, const struct api_answer *answer)
{
    api_fn *fn = c->fn;
    void *arg = c->arg;

    call_free(c);
    fn(answer, arg);
}

int64_t api_pause_ms(const struct pat_http_res *res)
{
    char text[32];
    int64_t s = pat_http_header(res, "Retry-After", text, sizeof text) ? strtol(text, NULL, 10) : 0;

    if (s <= 0)
        return 0;
    return s < PAUSE_MAX_MS / 1000 ? s * 1000 : PAUSE_MAX_MS;
}

static void on_answer(int err, const struct pat_http_res *res, void *arg)
{
    struct call *c = arg;
    struct api *a = c->a;
    PAT_AUTO_JSON body = NULL;
    size_t len = res->len;
    PAT_AUTO_STR mended = !err ? pat_json_mended(res->body, &len) : NULL; /* transcripts */
    struct api_answer answer = { .err = err, .status = res->status };

    if (!err)
        answer.err = api_status_err(res->status);
    if (!err && res->len && pat_json_parse(&body, mended ? mended : res->body, len, NULL) &&
        !answer.err)
        answer.err = PAT_EPROTO;
    if (answer.err == PAT_EAGAIN) {
        answer.retry_after_ms = api_pause_ms(res);
        if (!answer.retry_after_ms)
            answer.retry_after_ms = PAUSE_MS;
        a->open_at_ms = pat_now_ms() + answer.retry_after_ms;
        pat_counter_add(a->limited, 1);
    }
    answer.body = body;
    answer.message = pat_json_str_or(body, "message", answer.err ? pat_err_text(answer.err) : "");
    finish(c, &answer);
}

static int send(struct call *c)
{
    const struct provider *p = c->a->p;
    struct pat_buf url, auth;
    const char *headers[] = { "Content-Type: application/json", NULL, NULL };
    int err;

    pat_buf_init(&url, 4096);
    pat_buf_init(&auth, 1024);
    pat_buf_addf(&url, "%s%s", p->conf->api_url, c->path);
    err = pat_buf_addf(&auth, "Authorization: Bearer %s", p->conf->api_key);
    headers[1] = auth.data;
    if (!err)
        err = url.err;
    if (!err)
        err = pat_http_start(p->d->http,
                             &(struct pat_http_req){ .method = c->method,
                                                     .url = url.data,
                                                     .headers = headers,
                                                     .body = c->body,
                                                     .body_len = c->body ? strlen(c->body) : 0,
                                                     .timeout_ms = TIMEOUT_MS,
                                                     .max_body = ANSWER_MAX },
                             NULL, on_answer, c, &c->http);
    pat_buf_fini(&url);
    pat_buf_fini(&auth);
    pat_counter_add(c->a->requests, 1);
    return err;
}

static struct call *first_waiting(struct api *a)
{
    struct call *c = a->calls;

    while (c && c->http)
        c = c->next;
    return c;
}

static void let_out(void *arg)
{
    struct api *a = arg;
    struct call *c = first_waiting(a);
    int64_t now = pat_now_ms();
    int err;

    if (!c)
        return;
    if (now < a->open_at_ms) {
        pat_timer_start(&a->gate, a->open_at_ms - now);
        return;
    }
    a->open_at_ms = now + 1000 / a->p->conf->requests_per_s;
    pat_timer_start(&a->gate, a->open_at_ms - now);
    err = send(c);
    if (err)
        finish(c, &(struct api_answer){ .err = err, .message = pat_err_text(err) });
}

int api_call(struct api *a, const char *method, const char *path, struct pat_json *body_take,
             api_fn *fn, void *arg, api_id *id)
{
    struct call *c = a->n < WAITING_MAX ? calloc(1, sizeof *c) : NULL;

    if (!c) {
        pat_json_free(body_take);
        return a->n < WAITING_MAX ? PAT_ENOMEM : PAT_EAGAIN;
    }
    c->a = a;
    c->id = *id = ++a->last_id;
    c->fn = fn;
    c->arg = arg;
    c->method = strdup(method);
    c->path = strdup(path);
    c->body = body_take ? pat_json_print(body_take) : NULL;
    DL_APPEND(a->calls, c);
    a->n++;
    if (!c->method || !c->path || (body_take && !c->body)) {
        pat_json_free(body_take);
        call_free(c);
        return PAT_ENOMEM;
    }
    pat_json_free(body_take);
    if (!pat_timer_running(&a->gate))
        pat_timer_start(&a->gate, 0);
    return PAT_OK;
}

static void drop(struct call *c)
{
    if (c->http)
        pat_http_cancel(c->a->p->d->http, c->http);
    call_free(c);
}

void api_cancel(struct api *a, api_id id)
{
    for (struct call *c = a->calls; c; c = c->next)
        if (c->id == id) {
            drop(c);
            return;
        }
}

int api_new(struct api **out, struct provider *p)
{
    struct api *a = calloc(1, sizeof *a);
    int err;

    if (!a)
        return PAT_ENOMEM;
    a->p = p;
    err = pat_timer_init(&a->gate, p->d->loop, let_out, a);
    if (err) {
        free(a);
        return err;
    }
    a->requests = pat_counter(p->d->metrics, "pat_retell_requests_total",
                              "Requests to Retell's control plane", NULL);
    a->limited = pat_counter(p->d->metrics, "pat_retell_limited_total",
                             "Requests Retell refused with 429", NULL);
    *out = a;
    return PAT_OK;
}

void api_free(struct api *a)
{
    if (!a)
        return;
    while (a->calls)
        drop(a->calls);
    pat_timer_fini(&a->gate);
    free(a);
}
