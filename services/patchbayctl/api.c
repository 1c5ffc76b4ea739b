/* api.c - requests and streams, waited for. */
#include "ctl.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    ANSWER_MS = 30000,
    IDLE_MS = 45000, /* the server says something each 15 s */
    AGAIN_MS = 1000,
    TRIES = 30, /* in a row */
    ANSWER_MAX = 64 << 20,
    LINE_MAX_LEN = 4 << 20,
    HEADERS_MAX = 8,
};

/* ------------------------------------------------------------------ life */

static void on_signal(int err, int events, void *arg)
{
    struct ctl *c = arg;
    struct signalfd_siginfo info;

    (void)err;
    (void)events;
    while (read(c->signal_fd, &info, sizeof info) == sizeof info)
        c->interrupted = true;
    if (c->interrupted)
        pat_loop_stop(c->loop);
}

/* Ctrl-C is an event like others: what was begun on the server goes on, and that is said. */
static int watch_signals(struct ctl *c)
{
    sigset_t set;
    int err;

    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    if (sigprocmask(SIG_BLOCK, &set, NULL))
        return PAT_EIO;
    c->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (c->signal_fd < 0)
        return PAT_EIO;
    err = pat_poll_new(&c->signals, c->loop, c->signal_fd, on_signal, c);
    return err ? err : pat_poll_set(c->signals, PAT_POLL_IN);
}

int ctl_open(struct ctl *c)
{
    const char *no_color = getenv("NO_COLOR");
    int err = pat_loop_new(&c->loop);

    c->signal_fd = -1;
    c->tty = isatty(STDOUT_FILENO) == 1;
    c->color = c->tty && !(no_color && *no_color);
    if (!err)
        err = watch_signals(c);
    if (!err)
        err = pat_http_new(
            &c->http, c->loop,
            &(struct pat_http_opts){ .user_agent = "patchbayctl",
                                     .ca_file = *c->set.ca_file ? c->set.ca_file : NULL });
    return err;
}

void ctl_close(struct ctl *c)
{
    pat_http_free(c->http);
    pat_poll_close(c->signals);
    if (c->loop)
        (void)pat_loop_free(c->loop);
    if (c->signal_fd >= 0)
        close(c->signal_fd);
    settings_free(&c->set);
}

void answer_fini(struct answer *a)
{
    pat_json_free(a->json);
    free(a->text);
    *a = (struct answer){ 0 };
}

/* ------------------------------------------------------------------ a request */

struct request {
    struct ctl *c;
    struct answer *a;
    bool done;
};

static void tell_refusal(int status, const struct pat_json *problem)
{
    const char *field = pat_json_str_or(problem, "field", NULL);

    fprintf(stderr, "patchbayctl: %s%s%s", field ? field : "", field ? ": " : "",
            pat_json_str_or(problem, "detail", "the server refused"));
    if (pat_json_str_or(problem, "switch_id", NULL))
        fprintf(stderr, " (switch %s)", pat_json_str_or(problem, "switch_id", ""));
    fprintf(stderr, " [%d]\n", status);
}

static void tell_unreachable(const struct ctl *c, int err, const char *fault)
{
    fprintf(stderr, "patchbayctl: %s cannot be reached: %s\n", c->server,
            fault ? fault : pat_err_text(err));
}

/* What a proxy in between says of a server that is away is no refusal. */
static int status_of(int http)
{
    if (http < 300)
        return CTL_OK;
    return http == 502 || http == 504 ? CTL_UNREACHABLE : CTL_REFUSED;
}

static void on_done(int err, const struct pat_http_res *res, void *arg)
{
    struct request *r = arg;
    char type[80] = "";

    r->done = true;
    pat_loop_stop(r->c->loop);
    if (err) {
        r->a->status = CTL_UNREACHABLE;
        tell_unreachable(r->c, err, res->fault);
        return;
    }
    r->a->status = status_of(res->status);
    pat_http_header(res, "content-type", type, sizeof type);
    if (strstr(type, "json"))
        err = pat_json_parse(&r->a->json, res->body, res->len, NULL);
    else
        r->a->text = strdup(res->body);
    if (res->status >= 300 && !r->c->quiet)
        tell_refusal(res->status, r->a->json);
    else if (res->status < 300 && (err || (!r->a->json && !r->a->text))) {
        fprintf(stderr, "patchbayctl: the answer makes no sense\n");
        r->a->status = CTL_REFUSED;
    }
}

struct head {
    const char *lines[HEADERS_MAX];
    char *bearer;
};

static int head_make(struct head *h, const struct ctl *c, const char *const *more)
{
    size_t n = 0, size = strlen(c->set.token) + sizeof "Authorization: Bearer ";

    *h = (struct head){ .bearer = malloc(size) };
    if (!h->bearer)
        return PAT_ENOMEM;
    snprintf(h->bearer, size, "Authorization: Bearer %s", c->set.token);
    if (*c->set.token)
        h->lines[n++] = h->bearer;
    while (more && *more && n + 1 < HEADERS_MAX)
        h->lines[n++] = *more++;
    return PAT_OK;
}

static char *url_of(const struct ctl *c, const char *path)
{
    size_t size = strlen(c->server) + strlen(path) + 1;
    char *url = malloc(size);

    if (url)
        snprintf(url, size, "%s%s", c->server, path);
    return url;
}

static int start(struct ctl *c, struct pat_http_req *req, const char *path,
                 const char *const *headers, pat_http_data_fn *data, pat_http_done_fn *done,
                 void *arg, pat_http_id *id)
{
    PAT_AUTO_STR url = url_of(c, path);
    struct head head;
    int err = url ? head_make(&head, c, headers) : PAT_ENOMEM;

    if (err)
        return err;
    req->url = url;
    req->headers = head.lines;
    err = pat_http_start(c->http, req, data, done, arg, id);
    free(head.bearer);
    return err;
}

int ctl_ask(struct ctl *c, const char *method, const char *path, struct pat_json *body_take,
            const char *const *headers, struct answer *a)
{
    static const char json[] = "Content-Type: application/json";
    const char *lines[HEADERS_MAX] = { NULL };
    PAT_AUTO_STR body = body_take ? pat_json_print(body_take) : NULL;
    struct pat_http_req req = { .method = method,
                                .body = body,
                                .body_len = body ? strlen(body) : 0,
                                .timeout_ms = ANSWER_MS,
                                .max_body = ANSWER_MAX };
    struct request r = { .c = c, .a = a };
    pat_http_id id = 0;
    size_t n = 0;

    *a = (struct answer){ 0 };
    if (body)
        lines[n++] = json;
    while (headers && *headers && n + 1 < HEADERS_MAX)
        lines[n++] = *headers++;
    pat_json_free(body_take);
    if ((body_take && !body) || start(c, &req, path, lines, NULL, on_done, &r, &id)) {
        fprintf(stderr, "patchbayctl: out of memory\n");
        return a->status = CTL_REFUSED;
    }
    while (!r.done && !c->interrupted)
        pat_loop_run(c->loop);
    if (!r.done) {
        pat_http_cancel(c->http, id);
        a->status = CTL_INTERRUPTED;
    }
    return a->status;
}

void ctl_query(struct pat_buf *path, const char *name, const char *value)
{
    if (!value)
        return;
    pat_buf_addf(path, "%s%s=", memchr(path->data, '?', path->len) ? "&" : "?", name);
    (void)pat_url_encode(path, value);
}

/* ------------------------------------------------------------------ a stream */

struct stream {
    struct ctl *c;
    ctl_event_fn *shown;
    void *arg;
    struct pat_buf in;   /* lines not whole yet */
    struct pat_buf data; /* of the event coming in */
    char last_id[32];
    bool over;   /* shown has seen enough */
    bool ended;  /* this connection */
    int refused; /* CTL_*: for good */
    int failed;  /* in a row */
    struct pat_timer again;
};

static void event_ends(struct stream *s)
{
    PAT_AUTO_JSON j = NULL;

    if (s->data.len && !pat_json_parse(&j, s->data.data, s->data.len, NULL) && !s->over) {
        s->failed = 0;
        s->over = s->shown(j, s->arg);
        if (s->over)
            pat_loop_stop(s->c->loop);
    }
    pat_buf_reset(&s->data);
}

/* WHATWG HTML, "Server-sent events": of its fields, the two in use. */
static void take_line(struct stream *s, const char *line, size_t len)
{
    if (!len)
        event_ends(s);
    else if (len > 6 && !strncmp(line, "data: ", 6))
        (void)pat_buf_add(&s->data, line + 6, len - 6);
    else if (len > 4 && !strncmp(line, "id: ", 4) && len - 4 < sizeof s->last_id)
        snprintf(s->last_id, sizeof s->last_id, "%.*s", (int)(len - 4), line + 4);
}

static void on_data(const char *data, size_t len, void *arg)
{
    struct stream *s = arg;
    size_t at = 0;
    const char *end;

    if (pat_buf_add(&s->in, data, len))
        return; /* longer than any picture: it cannot be one of ours */
    while ((end = memchr(s->in.data + at, '\n', s->in.len - at))) {
        size_t n = (size_t)(end - s->in.data) - at;

        take_line(s, s->in.data + at, n && end[-1] == '\r' ? n - 1 : n);
        at += n + 1;
    }
    pat_buf_drop(&s->in, at);
}

static void on_end(int err, const struct pat_http_res *res, void *arg)
{
    struct stream *s = arg;
    PAT_AUTO_JSON problem = NULL;

    s->ended = true;
    pat_loop_stop(s->c->loop);
    if (err || res->status < 300 || res->status == 429 || res->status >= 500)
        return; /* another try */
    (void)!pat_json_parse(&problem, res->body, res->len, NULL);
    tell_refusal(res->status, problem);
    s->refused = CTL_REFUSED;
}

static void on_again(void *arg)
{
    struct stream *s = arg;

    pat_loop_stop(s->c->loop);
}

static void follow_once(struct stream *s, const char *path)
{
    char last[64];
    const char *headers[] = { "Accept: text/event-stream", *s->last_id ? last : NULL, NULL };
    struct pat_http_req req = { .timeout_ms = ANSWER_MS, .idle_ms = IDLE_MS };
    pat_http_id id = 0;

    snprintf(last, sizeof last, "Last-Event-ID: %s", s->last_id);
    s->ended = false;
    pat_buf_reset(&s->in);
    pat_buf_reset(&s->data);
    if (start(s->c, &req, path, headers, on_data, on_end, s, &id))
        return;
    while (!s->ended && !s->over && !s->c->interrupted)
        pat_loop_run(s->c->loop);
    pat_http_cancel(s->c->http, id);
}

static void pause_a_little(struct stream *s)
{
    pat_timer_start(&s->again, AGAIN_MS);
    while (pat_timer_running(&s->again) && !s->c->interrupted)
        pat_loop_run(s->c->loop);
    pat_timer_stop(&s->again);
}

int ctl_follow(struct ctl *c, const char *path, ctl_event_fn *shown, void *arg)
{
    struct stream s = { .c = c, .shown = shown, .arg = arg };

    if (pat_timer_init(&s.again, c->loop, on_again, &s))
        return CTL_REFUSED;
    pat_buf_init(&s.in, LINE_MAX_LEN);
    pat_buf_init(&s.data, LINE_MAX_LEN);
    while (!s.over && !s.refused && !c->interrupted && s.failed < TRIES) {
        s.failed++;
        follow_once(&s, path);
        if (!s.over && !s.refused && !c->interrupted)
            pause_a_little(&s);
    }
    pat_buf_fini(&s.in);
    pat_buf_fini(&s.data);
    pat_timer_fini(&s.again);
    if (s.over || s.refused)
        return s.refused;
    if (c->interrupted)
        return CTL_INTERRUPTED;
    tell_unreachable(c, PAT_ECONN, NULL);
    return CTL_UNREACHABLE;
}
