/* http.c - the HTTP client: libcurl's multi interface driven by the loop.
 *
 * One multi for all transfers, so that connections and TLS sessions are shared. A handle is never
 * added or removed inside one of curl's callbacks: what is asked for there waits for the next turn.
 * What one request asks of curl is http_request.c. Redirects, cookies and retries are deliberately
 * not here.
 */
#include "http_private.h"
#include "version.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_BODY_DEFAULT (1024 * 1024)
#define MAX_HEADERS      (64 * 1024)
#define MAX_CONNECTIONS  512
#define TIMEOUT_DEFAULT  30000
#define STREAM_UNLIMITED SIZE_MAX

struct sock {
    struct pat_http *http;
    struct pat_poll *poll;
    curl_socket_t fd;
    struct sock *next;
};

/* ---- transfers ---- */

static void easy_release(struct pat_http *h, CURL *easy)
{
    if (h->n_spare < HTTP_SPARE_HANDLES) {
        curl_easy_reset(easy);
        h->spare[h->n_spare++] = easy;
    } else {
        curl_easy_cleanup(easy);
    }
}

static void unlink_waiting(struct pat_http *h, const struct transfer *t)
{
    for (struct transfer **at = &h->to_add; *at; at = &(*at)->next) {
        if (*at == t) {
            *at = t->next;
            return;
        }
    }
}

/* Not inside a callback of curl's. */
static void transfer_free(struct transfer *t)
{
    http_ids_release(&t->http->ids, t->id);
    unlink_waiting(t->http, t);
    pat_timer_fini(&t->deadline);
    if (t->added)
        curl_multi_remove_handle(t->http->multi, t->easy);
    if (t->easy)
        easy_release(t->http, t->easy);
    curl_slist_free_all(t->headers);
    pat_buf_fini(&t->answer);
    pat_buf_fini(&t->head);
    free(t->body);
    free(t);
}

/* Out of curl and of the table first, then told, then freed: done may do anything. */
static void transfer_finish(struct transfer *t, int err)
{
    struct pat_http_res res = {
        .seen_status = t->status,
        .fault = err == PAT_ECONN ? t->fault : NULL,
        .body = t->answer.data ? t->answer.data : "",
        .len = t->answer.len,
        .headers = t->head.data ? t->head.data : "",
        .total_ms = pat_now_ms() - t->started_ms,
        .first_byte_ms = t->first_byte_ms,
    };

    if (!err)
        res.status = t->status;
    http_ids_release(&t->http->ids, t->id);
    pat_timer_stop(&t->deadline);
    if (t->added)
        curl_multi_remove_handle(t->http->multi, t->easy);
    t->added = false;
    t->done(err, &res, t->arg);
    transfer_free(t);
}

static int err_of(CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return PAT_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return PAT_ETIMEDOUT;
    case CURLE_OUT_OF_MEMORY:
        return PAT_ENOMEM;
    case CURLE_URL_MALFORMAT:
        return PAT_EINVAL;
    case CURLE_UNSUPPORTED_PROTOCOL: /* the answer's: pat_http_start has looked at the URL's */
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return PAT_EPROTO;
    case CURLE_SSL_CACERT_BADFILE:
        return PAT_EIO;
    default: /* CURLE_HTTP2 too: most of all it is a GOAWAY */
        return PAT_ECONN;
    }
}

/* Names and certificates are the other side's business, a broken connection may be anybody's. */
static const char *fault_of(const struct transfer *t, CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return "dns";
    case CURLE_COULDNT_CONNECT:
        return t->not_public ? "not_public" : "connect";
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
        return "tls";
    default:
        return "broken";
    }
}

/* ---- driving curl ---- */

static void finish_done(struct pat_http *h)
{
    CURLMsg *msg;
    int left;

    while ((msg = curl_multi_info_read(h->multi, &left))) {
        CURLcode code = msg->data.result;
        struct transfer *t = NULL;

        curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        t->fault = fault_of(t, code);
        if (!t->dead)
            transfer_finish(t, t->err ? t->err : err_of(code));
    }
}

static void drive(struct pat_http *h, curl_socket_t fd, int events)
{
    int running;

    h->in_curl = true;
    curl_multi_socket_action(h->multi, fd, events, &running);
    h->in_curl = false;
    finish_done(h);
}

static void on_readiness(int err, int events, void *arg)
{
    struct sock *s = arg;
    int mask = 0;

    if (events & PAT_POLL_IN)
        mask |= CURL_CSELECT_IN;
    if (events & PAT_POLL_OUT)
        mask |= CURL_CSELECT_OUT;
    if (err)
        mask |= CURL_CSELECT_ERR;
    drive(s->http, s->fd, mask);
}

static void on_timeout(void *arg)
{
    drive(arg, CURL_SOCKET_TIMEOUT, 0);
}

static int on_curl_timer(CURLM *multi, long timeout_ms, void *arg)
{
    struct pat_http *h = arg;

    (void)multi;
    pat_timer_stop(&h->timer);
    pat_task_cancel(h->loop, &h->kick);
    if (timeout_ms == 0)
        pat_loop_next_turn(h->loop, &h->kick, on_timeout, h);
    else if (timeout_ms > 0)
        pat_timer_start(&h->timer, timeout_ms);
    return 0;
}

static void sock_close(struct pat_http *h, struct sock *s)
{
    struct sock **at = &h->socks;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    pat_poll_close(s->poll);
    free(s);
}

static struct sock *sock_open(struct pat_http *h, curl_socket_t fd)
{
    struct sock *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->http = h;
    s->fd = fd;
    if (pat_poll_new(&s->poll, h->loop, fd, on_readiness, s)) {
        free(s);
        return NULL;
    }
    s->next = h->socks;
    h->socks = s;
    curl_multi_assign(h->multi, fd, s);
    return s;
}

static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *sockp)
{
    struct pat_http *h = arg;
    struct sock *s = sockp;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            sock_close(h, s);
        curl_multi_assign(h->multi, fd, NULL);
        return 0;
    }
    if (!s)
        s = sock_open(h, fd);
    if (!s)
        return -1;
    return pat_poll_set(s->poll, (what & CURL_POLL_IN ? PAT_POLL_IN : 0) |
                                     (what & CURL_POLL_OUT ? PAT_POLL_OUT : 0))
               ? -1
               : 0;
}

/* ---- starting and canceling ---- */

static void on_deadline(void *arg)
{
    transfer_finish(arg, PAT_ETIMEDOUT);
}

static int transfer_new(struct transfer **out, struct pat_http *h, const struct pat_http_req *req,
                        bool streams)
{
    struct transfer *t = calloc(1, sizeof *t);
    int64_t timeout_ms = req->timeout_ms > 0 ? req->timeout_ms : TIMEOUT_DEFAULT;
    int err;

    if (!t)
        return PAT_ENOMEM;
    t->http = h;
    t->max_body = req->max_body ? req->max_body : streams ? STREAM_UNLIMITED : MAX_BODY_DEFAULT;
    t->idle_ms = req->idle_ms > 0 ? req->idle_ms : timeout_ms;
    t->started_ms = pat_now_ms();
    pat_buf_init(&t->answer, t->max_body == STREAM_UNLIMITED ? MAX_BODY_DEFAULT : t->max_body);
    pat_buf_init(&t->head, MAX_HEADERS);
    t->easy = h->n_spare ? h->spare[--h->n_spare] : curl_easy_init();
    err = t->easy ? PAT_OK : PAT_ENOMEM;
    if (!err)
        err = pat_timer_init(&t->deadline, h->loop, on_deadline, t);
    if (!err)
        err = http_request_set(t, req, timeout_ms);
    if (!err)
        err = http_ids_take(&h->ids, t, &t->id);
    if (err) {
        transfer_free(t);
        return err;
    }
    pat_timer_start(&t->deadline, timeout_ms);
    *out = t;
    return PAT_OK;
}

static int transfer_add(struct transfer *t)
{
    if (curl_multi_add_handle(t->http->multi, t->easy))
        return PAT_ENOMEM;
    t->added = true;
    return PAT_OK;
}

/* What had to wait until curl was not on the stack. */
static void on_sweep(void *arg)
{
    struct pat_http *h = arg;
    struct transfer *t;

    while ((t = h->to_add)) {
        h->to_add = t->next;
        if (!t->dead && transfer_add(t))
            transfer_finish(t, PAT_ENOMEM);
    }
    while ((t = h->to_free)) {
        h->to_free = t->next;
        transfer_free(t);
    }
}

int pat_http_start(struct pat_http *h, const struct pat_http_req *req, pat_http_data_fn *on_data,
                   pat_http_done_fn *done, void *arg, pat_http_id *id)
{
    struct transfer *t;
    int err;

    if (strncasecmp(req->url, "http://", 7) && strncasecmp(req->url, "https://", 8))
        return PAT_EINVAL;
    err = transfer_new(&t, h, req, on_data);
    if (err)
        return err;
    t->on_data = on_data;
    t->done = done;
    t->arg = arg;
    if (h->in_curl) {
        t->next = h->to_add;
        h->to_add = t;
        pat_loop_next_turn(h->loop, &h->sweep, on_sweep, h);
    } else {
        err = transfer_add(t);
        if (err) {
            transfer_free(t);
            return err;
        }
    }
    if (id)
        *id = t->id;
    return PAT_OK;
}

void pat_http_cancel(struct pat_http *h, pat_http_id id)
{
    struct transfer *t = http_ids_find(&h->ids, id);

    if (!t)
        return;
    t->dead = true;
    http_ids_release(&t->http->ids, t->id);
    unlink_waiting(h, t);
    pat_timer_stop(&t->deadline);
    t->next = h->to_free;
    h->to_free = t;
    pat_loop_next_turn(h->loop, &h->sweep, on_sweep, h);
}

/* ---- life ---- */

static int setup_multi(struct pat_http *h, long max_connections)
{
    h->multi = curl_multi_init();
    if (!h->multi)
        return PAT_ENOMEM;
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
    curl_multi_setopt(h->multi, CURLMOPT_SOCKETDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
    curl_multi_setopt(h->multi, CURLMOPT_TIMERDATA, h);
    curl_multi_setopt(h->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_MULTIPLEX);
    curl_multi_setopt(h->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, max_connections);
    curl_multi_setopt(h->multi, CURLMOPT_MAXCONNECTS, max_connections);
    return PAT_OK;
}

int pat_http_new(struct pat_http **out, struct pat_loop *l, const struct pat_http_opts *opts)
{
    static const struct pat_http_opts none;
    struct pat_http *h = calloc(1, sizeof *h);
    int err = PAT_ENOMEM;

    if (!h)
        return err;
    if (!opts)
        opts = &none;
    h->loop = l;
    h->public_only = opts->public_only;
    if (curl_global_init(CURL_GLOBAL_DEFAULT))
        goto fail;
    h->user_agent = strdup(opts->user_agent ? opts->user_agent : "patchbay/" PAT_VERSION);
    h->ca_file = opts->ca_file ? strdup(opts->ca_file) : NULL;
    if (!h->user_agent || (opts->ca_file && !h->ca_file))
        goto fail_strings;
    err = pat_timer_init(&h->timer, l, on_timeout, h);
    if (!err)
        err = setup_multi(h, opts->max_connections ? opts->max_connections : MAX_CONNECTIONS);
    if (err)
        goto fail_timer;
    *out = h;
    return PAT_OK;

fail_timer:
    pat_timer_fini(&h->timer);
fail_strings:
    free(h->ca_file);
    free(h->user_agent);
    curl_global_cleanup();
fail:
    free(h);
    return err;
}

void pat_http_free(struct pat_http *h)
{
    if (!h)
        return;
    for (size_t i = 0; i < h->ids.n; i++)
        pat_http_cancel(h, h->ids.ids[i]);
    on_sweep(h);
    while (h->n_spare)
        curl_easy_cleanup(h->spare[--h->n_spare]);
    curl_multi_cleanup(h->multi);
    while (h->socks)
        sock_close(h, h->socks);
    pat_task_cancel(h->loop, &h->kick);
    pat_task_cancel(h->loop, &h->sweep);
    pat_timer_fini(&h->timer);
    http_ids_fini(&h->ids);
    free(h->ca_file);
    free(h->user_agent);
    free(h);
    curl_global_cleanup();
}
