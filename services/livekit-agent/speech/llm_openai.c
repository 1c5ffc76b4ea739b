/* llm_openai.c - see llm_openai.h.
 *
 * How: one HTTP transfer, its bytes through sse.c and chat.c, three deadlines: the first token, the
 * pause between tokens, and a pace below which nobody wants to listen (a stream that drips on for
 * ever passes the other two). */
#include "llm_openai.h"

#include "sse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PACE_AFTER_MS = 4000, /* of the first token: then so many bytes a second must have come */
    PACE_BYTES_S = 4,     /* speech is about 15 */
};
#define MAX_EVENT   ((size_t)256 << 10)
#define MAX_REQUEST ((size_t)4 << 20)

struct llm_request {
    struct pat_loop *loop;
    struct pat_http *http;
    struct llm_request_events ev;
    void *arg;
    int64_t idle_ms;
    pat_http_id transfer;
    struct pat_timer timer;
    struct sse sse;
    struct chat chat;
    int64_t begun_ms;
    size_t bytes; /* of text */
    int err;      /* of the event being read */
    bool too_slow;
    bool busy; /* inside a callback */
    bool dead; /* freed meanwhile: goes when the callback returns */
};

static void really_free(struct llm_request *q)
{
    sse_fini(&q->sse);
    chat_fini(&q->chat);
    pat_timer_fini(&q->timer);
    free(q);
}

void llm_request_free(struct llm_request *q)
{
    if (!q)
        return;
    pat_http_cancel(q->http, q->transfer);
    q->transfer = 0;
    pat_timer_stop(&q->timer);
    q->dead = true;
    if (!q->busy)
        really_free(q);
}

/* True: it is gone. */
static bool left(struct llm_request *q)
{
    q->busy = false;
    if (q->dead)
        really_free(q);
    else
        return false;
    return true;
}

static void end(struct llm_request *q, const struct llm_request_end *e)
{
    pat_http_cancel(q->http, q->transfer);
    q->transfer = 0;
    pat_timer_stop(&q->timer);
    q->busy = true;
    q->ev.done(q, e, q->arg);
    (void)left(q);
}

static void fail(struct llm_request *q, enum provider_fault fault, const char *detail)
{
    const struct llm_request_end e = { .fault = fault, .detail = detail };

    end(q, &e);
}

static void on_timer(void *arg)
{
    struct llm_request *q = arg;

    fail(q, FAULT_TIMEOUT, q->chat.delivered ? "silent in mid-answer" : "no first token");
}

static void on_text(const char *delta, size_t len, void *arg)
{
    struct llm_request *q = arg;

    q->bytes += len;
    if (!q->begun_ms) {
        q->begun_ms = pat_loop_now_ms(q->loop);
        q->ev.begun(q, q->arg);
    }
    if (!q->dead)
        q->ev.text(q, delta, len, q->arg);
}

static bool keeps_pace(const struct llm_request *q)
{
    int64_t ms = pat_loop_now_ms(q->loop) - q->begun_ms;

    return ms < PACE_AFTER_MS || (int64_t)q->bytes >= ms * PACE_BYTES_S / 1000;
}

static bool on_event(const char *data, size_t len, void *arg)
{
    struct llm_request *q = arg;
    size_t before = q->bytes;

    q->err = chat_event(&q->chat, data, len, on_text, q);
    if (q->err || q->dead)
        return false;
    if (q->chat.n_calls)
        q->bytes = before + len; /* arguments are not heard: any pace will do */
    if (q->chat.delivered && !q->begun_ms) {
        q->begun_ms = pat_loop_now_ms(q->loop);
        q->ev.begun(q, q->arg);
        if (q->dead)
            return false;
    }
    if (q->bytes > before)
        pat_timer_start(&q->timer, q->idle_ms);
    q->too_slow = q->begun_ms && !keeps_pace(q);
    return !q->chat.done && !q->too_slow;
}

/* The text ended; is it an answer? */
static void whole(struct llm_request *q)
{
    static const struct llm_request_end ok = { .ok = true };
    int err = chat_end(&q->chat);

    if (err == PAT_ECONN)
        fail(q, FAULT_CONNECTION, "cut off");
    else if (err)
        fail(q, FAULT_SERVER, "arguments are no JSON");
    else if (!q->chat.delivered && !strcmp(q->chat.finish, "content_filter"))
        fail(q, FAULT_CONTENT, "filtered");
    else if (!q->chat.delivered)
        fail(q, FAULT_SERVER, "an empty answer");
    else
        end(q, &ok);
}

static void on_data(const char *data, size_t len, void *arg)
{
    struct llm_request *q = arg;
    int err;

    q->err = PAT_OK;
    q->busy = true;
    err = sse_feed(&q->sse, data, len, on_event, q);
    if (left(q))
        return;
    if (q->err)
        fail(q, FAULT_SERVER, q->err == PAT_EUPSTREAM ? q->chat.error : "too much");
    else if (q->too_slow)
        fail(q, FAULT_TIMEOUT, "too slow to listen to");
    else if (q->chat.done)
        whole(q);
    else if (err)
        fail(q, FAULT_SERVER, "an event is too long");
}

/* "retry-after-ms" where it is said, else "retry-after" in seconds (RFC 9110, 10.2.3; a date is not
 * read: the vendors send none). */
static int64_t retry_after(const struct pat_http_res *res)
{
    char text[32];

    if (pat_http_header(res, "retry-after-ms", text, sizeof text))
        return strtoll(text, NULL, 10);
    if (pat_http_header(res, "retry-after", text, sizeof text))
        return 1000 * strtoll(text, NULL, 10);
    return 0;
}

static void refused(struct llm_request *q, const struct pat_http_res *res)
{
    char why[200];
    struct llm_request_end e = { .detail = why, .retry_after_ms = retry_after(res) };

    e.fault = chat_refusal(res->status, res->body, res->len, &e.too_long, why, sizeof why);
    end(q, &e);
}

static void on_done(int err, const struct pat_http_res *res, void *arg)
{
    struct llm_request *q = arg;

    q->transfer = 0;
    if (err) {
        fail(q, provider_fault_of_err(err),
             err == PAT_ETIMEDOUT ? "no answer in time" : "the connection broke");
        return;
    }
    if (res->status < 200 || res->status > 299) {
        refused(q, res);
        return;
    }
    q->err = PAT_OK;
    q->busy = true;
    err = sse_end(&q->sse, on_event, q);
    if (left(q))
        return;
    if (q->err || (err && err != PAT_ECANCELED))
        fail(q, FAULT_SERVER, q->chat.error);
    else
        whole(q);
}

static int start(struct llm_request *q, const struct llm_request_opts *o, const struct llm_req *req)
{
    PAT_AUTO_STR url = NULL;
    PAT_AUTO_STR auth = NULL;
    struct pat_buf body;
    int err;

    if (asprintf(&url, "%s/chat/completions", o->by->url) < 0 ||
        asprintf(&auth, "Authorization: Bearer %s", o->by->key) < 0)
        return PAT_ENOMEM;
    const char *const headers[] = { "Content-Type: application/json", "Accept: text/event-stream",
                                    auth, NULL };
    struct pat_http_req http = { .method = "POST",
                                 .url = url,
                                 .headers = headers,
                                 .timeout_ms = o->first_token_ms,
                                 .connect_timeout_ms = o->connect_ms,
                                 .idle_ms = o->idle_ms };
    pat_buf_init(&body, MAX_REQUEST);
    err = chat_request(&body, req, o->model);
    if (!err) {
        http.body = body.data;
        http.body_len = body.len;
        err = pat_http_start(o->http, &http, on_data, on_done, q, &q->transfer);
    }
    pat_buf_fini(&body);
    return err;
}

int llm_request_start(struct llm_request **out, const struct llm_request_opts *o,
                      const struct llm_req *req, const struct llm_request_events *ev, void *arg)
{
    struct llm_request *q = calloc(1, sizeof *q);
    int err;

    if (!q)
        return PAT_ENOMEM;
    q->loop = o->loop;
    q->http = o->http;
    q->ev = *ev;
    q->arg = arg;
    q->idle_ms = o->idle_ms;
    sse_init(&q->sse, MAX_EVENT);
    chat_init(&q->chat);
    err = pat_timer_init(&q->timer, o->loop, on_timer, q);
    if (err) {
        free(q);
        return err;
    }
    err = start(q, o, req);
    if (err) {
        really_free(q);
        return err;
    }
    pat_timer_start(&q->timer, o->first_token_ms);
    *out = q;
    return PAT_OK;
}

const struct chat *llm_request_chat(const struct llm_request *q)
{
    return &q->chat;
}
