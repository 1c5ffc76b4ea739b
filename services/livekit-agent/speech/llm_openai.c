/* llm_openai.c - llm.h by OpenAI's Chat Completions and what speaks like it.
 *
 * How: an attempt is one model; a run walks the models until one delivers its first text or tool
 * call, and from then on stays. When all have failed for a while's reasons, one more round after a
 * short pause. What the bytes mean is decided in sse.c and chat.c. */
#include "llm.h"

#include "chat.h"
#include "sse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_MODELS = 8,
    MAX_ROUNDS = 2,
    PAUSE_MS = 150,          /* between the rounds: the caller hears silence meanwhile */
    BREAKER_FAILURES = 3,    /* in a row, then the model is left out ... */
    BREAKER_OPEN_MS = 15000, /* ... for so long */
};
#define MAX_EVENT   ((size_t)256 << 10)
#define MAX_REQUEST ((size_t)4 << 20)

struct model {
    char name[80];
    struct pat_breaker breaker;
};

struct llm {
    struct pat_loop *loop;
    struct pat_http *http;
    char *url;  /* .../chat/completions */
    char *auth; /* the header line */
    int64_t first_token_ms, idle_ms;
    struct model models[MAX_MODELS];
    size_t n_models;
    bool quota_told;
    struct llm_run *runs;
};

struct llm_run {
    struct llm *llm;
    struct llm_run *next, **at;
    struct llm_events ev;
    void *arg;
    struct pat_json *messages, *tools;
    struct llm_req req;
    char cache_key[100], first_model[80];

    size_t order[MAX_MODELS]; /* into llm->models */
    char own_model[80];       /* first_model when the chain does not have it */
    size_t n_order, tried, round;
    int last_err;

    pat_http_id transfer;
    struct pat_timer timer; /* first token, idle, or the pause between rounds */
    bool pausing;
    struct sse sse;
    struct chat chat;
    bool parsing;  /* inside the caller's callback */
    bool canceled; /* while parsing */
};

static void run_free(struct llm_run *r)
{
    pat_http_cancel(r->llm->http, r->transfer);
    pat_timer_fini(&r->timer);
    *r->at = r->next;
    if (r->next)
        r->next->at = r->at;
    sse_fini(&r->sse);
    chat_fini(&r->chat);
    pat_json_free(r->messages);
    pat_json_free(r->tools);
    free(r);
}

static const char *model_name(const struct llm_run *r)
{
    size_t i = r->order[r->tried];

    return i == MAX_MODELS ? r->own_model : r->llm->models[i].name;
}

static struct pat_breaker *breaker_of(struct llm_run *r)
{
    size_t i = r->order[r->tried];

    return i == MAX_MODELS ? NULL : &r->llm->models[i].breaker;
}

/* The last callback: everything it reads must outlive the run. */
static void run_done(struct llm_run *r, int err)
{
    struct llm_events ev = r->ev;
    void *arg = r->arg;
    struct llm_usage usage = r->chat.usage;
    char finish[32], model[80];

    pat_strcpy(finish, sizeof finish, err ? "error" : r->chat.finish);
    pat_strcpy(model, sizeof model, r->tried < r->n_order ? model_name(r) : "");
    run_free(r);
    ev.done(err, finish, model, &usage, arg);
}

static int attempt(struct llm_run *r);

/* The models left, else another round, else the end. */
static void go_on(struct llm_run *r)
{
    for (r->tried++; r->tried < r->n_order; r->tried++) {
        int err = attempt(r);

        if (!err)
            return;
        r->last_err = err;
    }
    if (++r->round < MAX_ROUNDS) {
        r->pausing = true;
        pat_timer_start(&r->timer, PAUSE_MS);
        return;
    }
    run_done(r, r->last_err);
}

static void attempt_failed(struct llm_run *r, int err, const char *why)
{
    struct pat_breaker *b = breaker_of(r);

    pat_http_cancel(r->llm->http, r->transfer);
    r->transfer = 0;
    pat_timer_stop(&r->timer);
    if (b)
        pat_breaker_failure(b, pat_loop_now_ms(r->llm->loop));
    pat_log(PAT_WARN, "llm.attempt_failed", PAT_S("model", model_name(r)), PAT_ERR(err),
            PAT_S("why", why), PAT_B("delivered", r->chat.delivered));
    r->last_err = err;
    if (r->chat.delivered)
        run_done(r, err);
    else
        go_on(r);
}

static void on_timer(void *arg)
{
    struct llm_run *r = arg;

    if (!r->pausing) {
        attempt_failed(r, PAT_ETIMEDOUT, r->chat.delivered ? "silent" : "no first token");
        return;
    }
    r->pausing = false;
    r->tried = SIZE_MAX; /* go_on begins with the one behind it */
    go_on(r);
}

static void on_text(const char *delta, size_t len, void *arg)
{
    struct llm_run *r = arg;

    if (!r->canceled)
        r->ev.text(delta, len, r->arg);
}

static bool on_event(const char *data, size_t len, void *arg)
{
    struct llm_run *r = arg;
    bool before = r->chat.delivered;
    int err = chat_event(&r->chat, data, len, on_text, r);

    if (err)
        r->last_err = err;
    else if (r->chat.delivered)
        pat_timer_start(&r->timer, r->llm->idle_ms);
    if (!before && r->chat.delivered && breaker_of(r))
        pat_breaker_success(breaker_of(r));
    return !err && !r->canceled && !r->chat.done;
}

/* True: it was canceled from inside its callback, and is gone now. */
static bool parse_ended(struct llm_run *r)
{
    bool canceled = r->canceled;

    r->parsing = false;
    if (canceled)
        run_free(r);
    return canceled;
}

static void whole(struct llm_run *r)
{
    int err = chat_end(&r->chat);

    if (err) {
        attempt_failed(r, err, err == PAT_ECONN ? "cut off" : "arguments are no JSON");
        return;
    }
    pat_http_cancel(r->llm->http, r->transfer);
    r->transfer = 0;
    r->llm->quota_told = false;
    r->parsing = true;
    for (size_t i = 0; i < r->chat.n_calls && !r->canceled; i++) {
        const struct chat_call *c = &r->chat.calls[i];

        r->ev.tool_call((int)i, c->id, c->name, c->args.data, r->arg);
    }
    if (!parse_ended(r))
        run_done(r, PAT_OK);
}

static void on_data(const char *data, size_t len, void *arg)
{
    struct llm_run *r = arg;
    int err;

    r->last_err = PAT_OK;
    r->parsing = true;
    err = sse_feed(&r->sse, data, len, on_event, r);
    if (parse_ended(r))
        return;
    if (r->last_err)
        attempt_failed(r, r->last_err, r->last_err == PAT_EUPSTREAM ? r->chat.error : "too much");
    else if (r->chat.done)
        whole(r);
    else if (err)
        attempt_failed(r, err, "an event is too long");
}

static void refused(struct llm_run *r, const struct pat_http_res *res)
{
    char why[200];
    enum chat_refusal what = chat_refusal(res->status, res->body, res->len, why, sizeof why);
    int err = res->status == 401 || res->status == 403 ? PAT_EAUTH
              : res->status == 404                     ? PAT_ENOENT
              : what == CHAT_FINAL                     ? PAT_EINVAL
                                                       : PAT_EUPSTREAM;

    if (what == CHAT_NEXT_MODEL) {
        attempt_failed(r, err, why);
        return;
    }
    if (what == CHAT_FINAL || !r->llm->quota_told)
        pat_log(PAT_ERROR, what == CHAT_NO_QUOTA ? "llm.quota" : "llm.refused",
                PAT_S("model", model_name(r)), PAT_I("status", res->status), PAT_S("why", why));
    r->llm->quota_told = r->llm->quota_told || what == CHAT_NO_QUOTA;
    run_done(r, err);
}

static void on_done(int err, const struct pat_http_res *res, void *arg)
{
    struct llm_run *r = arg;

    r->transfer = 0;
    if (err) {
        attempt_failed(r, err, "transfer");
        return;
    }
    if (res->status < 200 || res->status > 299) {
        refused(r, res);
        return;
    }
    r->last_err = PAT_OK;
    r->parsing = true;
    err = sse_end(&r->sse, on_event, r);
    if (parse_ended(r))
        return;
    if (r->last_err || (err && err != PAT_ECANCELED))
        attempt_failed(r, r->last_err ? r->last_err : err, r->chat.error);
    else
        whole(r);
}

static bool all_open(struct llm_run *r)
{
    for (size_t i = 0; i < r->llm->n_models; i++)
        if (r->llm->models[i].breaker.state == PAT_BREAKER_CLOSED)
            return false;
    return true;
}

static int attempt(struct llm_run *r)
{
    struct llm *m = r->llm;
    struct pat_breaker *b = breaker_of(r);
    const char *const headers[] = { "Content-Type: application/json", "Accept: text/event-stream",
                                    m->auth, NULL };
    struct pat_http_req req = { .method = "POST",
                                .url = m->url,
                                .headers = headers,
                                .timeout_ms = m->first_token_ms,
                                .idle_ms = m->idle_ms };
    struct pat_buf body;
    int err;

    /* A closed door is passed by, but not when all are closed: then a caller waits. */
    if (b && !pat_breaker_allow(b, pat_loop_now_ms(m->loop)) && !all_open(r))
        return PAT_EUNAVAIL;
    chat_fini(&r->chat);
    chat_init(&r->chat);
    sse_fini(&r->sse);
    sse_init(&r->sse, MAX_EVENT);
    pat_buf_init(&body, MAX_REQUEST);
    err = chat_request(&body, &r->req, model_name(r));
    if (!err) {
        req.body = body.data;
        req.body_len = body.len;
        err = pat_http_start(m->http, &req, on_data, on_done, r, &r->transfer);
    }
    pat_buf_fini(&body);
    if (!err)
        pat_timer_start(&r->timer, m->first_token_ms);
    return err;
}

/* The wished model first, then the chain without it. */
static void plan(struct llm_run *r, const char *first)
{
    struct llm *m = r->llm;
    size_t known = MAX_MODELS;

    for (size_t i = 0; first && i < m->n_models; i++)
        if (!strcmp(m->models[i].name, first))
            known = i;
    if (first && *first) {
        pat_strcpy(r->own_model, sizeof r->own_model, first);
        r->order[r->n_order++] = known;
    }
    for (size_t i = 0; i < m->n_models && r->n_order < MAX_MODELS; i++)
        if (i != known || !r->n_order)
            r->order[r->n_order++] = i;
}

static int run_new(struct llm_run **out, struct llm *m, const struct llm_req *req)
{
    struct llm_run *r = calloc(1, sizeof *r);
    int err;

    if (!r)
        return PAT_ENOMEM;
    err = pat_timer_init(&r->timer, m->loop, on_timer, r);
    if (err) {
        free(r);
        return err;
    }
    r->llm = m;
    r->next = m->runs;
    r->at = &m->runs;
    if (r->next)
        r->next->at = &r->next;
    m->runs = r;
    sse_init(&r->sse, MAX_EVENT);
    chat_init(&r->chat);
    r->req = *req;
    r->messages = pat_json_dup(req->messages);
    r->tools = req->tools ? pat_json_dup(req->tools) : NULL;
    if (!r->messages || (req->tools && !r->tools)) {
        run_free(r);
        return PAT_ENOMEM;
    }
    r->req.messages = r->messages;
    r->req.tools = r->tools;
    if (req->cache_key) {
        pat_strcpy(r->cache_key, sizeof r->cache_key, req->cache_key);
        r->req.cache_key = r->cache_key;
    }
    plan(r, req->first_model);
    *out = r;
    return PAT_OK;
}

int llm_start(struct llm_run **out, struct llm *m, const struct llm_req *req,
              const struct llm_events *ev, void *arg)
{
    struct llm_run *r;
    int err = run_new(&r, m, req);

    if (err)
        return err;
    r->ev = *ev;
    r->arg = arg;
    err = PAT_EINVAL;
    for (; r->tried < r->n_order; r->tried++) {
        err = attempt(r);
        if (!err) {
            *out = r;
            return PAT_OK;
        }
    }
    run_free(r);
    return err;
}

void llm_cancel(struct llm_run *r)
{
    if (!r)
        return;
    if (r->parsing)
        r->canceled = true;
    else
        run_free(r);
}

/* "a, b" into the table. */
static int models_parse(struct llm *m, const char *list)
{
    while (*list) {
        size_t len;
        struct model *to = &m->models[m->n_models];

        list += strspn(list, ", ");
        len = strcspn(list, ", ");
        if (!len)
            break;
        if (m->n_models == MAX_MODELS || len >= sizeof to->name)
            return PAT_EINVAL;
        memcpy(to->name, list, len);
        pat_breaker_init(&to->breaker, BREAKER_FAILURES, BREAKER_OPEN_MS);
        m->n_models++;
        list += len;
    }
    return m->n_models ? PAT_OK : PAT_EINVAL;
}

int llm_new(struct llm **out, struct pat_loop *l, struct pat_http *http, const struct llm_opts *o)
{
    struct llm *m = calloc(1, sizeof *m);
    int err;

    if (!m)
        return PAT_ENOMEM;
    *m = (struct llm){
        .loop = l, .http = http, .first_token_ms = o->first_token_ms, .idle_ms = o->idle_ms
    };
    err = models_parse(m, o->models);
    if (!err && (asprintf(&m->url, "%s/chat/completions", o->url) < 0 ||
                 asprintf(&m->auth, "Authorization: Bearer %s", o->api_key) < 0))
        err = PAT_ENOMEM;
    if (err) {
        llm_free(m);
        return err;
    }
    *out = m;
    return PAT_OK;
}

void llm_free(struct llm *m)
{
    if (!m)
        return;
    while (m->runs)
        run_free(m->runs);
    free(m->url);
    free(m->auth);
    free(m);
}
