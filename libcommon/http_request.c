/* http_request.c - one request as curl is told of it, and its answer as curl tells it.
 *
 * Headers and body are copied, so that the caller's may go. Nothing here adds a handle to curl or
 * ends a transfer: a callback that refuses leaves the reason in err, and http.c does the rest.
 */
#include "http_guard.h"
#include "http_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

/* ---- the answer ---- */

static void saw_bytes(struct transfer *t)
{
    if (!t->first_byte_ms)
        t->first_byte_ms = pat_now_ms() - t->started_ms;
    if (t->on_data)
        pat_timer_start(&t->deadline, t->idle_ms);
}

static size_t on_header(char *data, size_t one, size_t len, void *arg)
{
    struct transfer *t = arg;

    (void)one;
    if (t->dead)
        return 0;
    saw_bytes(t);
    if (len > 5 && !strncmp(data, "HTTP/", 5)) {
        const char *space = memchr(data, ' ', len); /* header data is not terminated */

        pat_buf_reset(&t->head);
        t->status = space && data + len - space > 3 ? (int)strtol(space, NULL, 10) : 0;
        return len;
    }
    if (len <= 2) /* the blank line */
        return len;
    t->err = pat_buf_add(&t->head, data, len);
    return t->err ? 0 : len;
}

static size_t on_body(char *data, size_t one, size_t len, void *arg)
{
    struct transfer *t = arg;

    (void)one;
    if (t->dead)
        return 0;
    saw_bytes(t);
    t->seen += len;
    if (t->seen > t->max_body) {
        t->err = PAT_E2BIG;
        return 0;
    }
    if (t->on_data && t->status >= 200 && t->status < 300) {
        t->on_data(data, len, t->arg);
        return t->dead ? 0 : len;
    }
    t->err = pat_buf_add(&t->answer, data, len);
    return t->err ? 0 : len;
}

/* ---- the request ---- */

static bool has_header(const char *const *headers, const char *name)
{
    size_t n = strlen(name);

    for (; headers && *headers; headers++)
        if (!strncasecmp(*headers, name, n) && (*headers)[n] == ':')
            return true;
    return false;
}

static int add_header(struct transfer *t, const char *line)
{
    struct curl_slist *more = curl_slist_append(t->headers, line);

    if (!more)
        return PAT_ENOMEM;
    t->headers = more;
    return PAT_OK;
}

static int copy_headers(struct transfer *t, const struct pat_http_req *req)
{
    int err = PAT_OK;

    for (const char *const *h = req->headers; h && *h && !err; h++) {
        if (strpbrk(*h, "\r\n") || !strchr(*h, ':'))
            return PAT_EINVAL;
        err = add_header(t, *h);
    }
    /* curl's own: it would wait a second for a 100, and call any body a form. */
    if (!err && !has_header(req->headers, "Expect"))
        err = add_header(t, "Expect:");
    if (!err && !has_header(req->headers, "Content-Type"))
        err = add_header(t, "Content-Type:");
    return err;
}

static int copy_body(struct transfer *t, const struct pat_http_req *req)
{
    t->body = malloc(req->body_len + 1);
    if (!t->body)
        return PAT_ENOMEM;
    if (req->body_len)
        memcpy(t->body, req->body, req->body_len);
    return PAT_OK;
}

static void set_method(struct transfer *t, const struct pat_http_req *req)
{
    const char *method = req->method ? req->method : "GET";
    bool sends = req->body_len || !strcmp(method, "POST") || !strcmp(method, "PUT");

    if (!strcmp(method, "HEAD"))
        curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
    if (sends) {
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)req->body_len);
        curl_easy_setopt(t->easy, CURLOPT_POSTFIELDS, t->body);
    }
    if (sends ? strcmp(method, "POST") : strcmp(method, "GET") && strcmp(method, "HEAD"))
        curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, method);
}

/* The address the connection really goes to, whatever a name said before. */
static curl_socket_t open_public(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct transfer *t = arg;

    (void)purpose;
    if (http_guard_public(&a->addr))
        return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    t->not_public = true;
    return CURL_SOCKET_BAD;
}

static void set_public_only(struct transfer *t)
{
    CURL *e = t->easy;

    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_public);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, t);
    curl_easy_setopt(e, CURLOPT_PROXY, ""); /* a proxy would connect for us */
    if (!t->http->public_only) {            /* a kept one was not checked */
        curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
    }
}

static int set_options(struct transfer *t, const struct pat_http_req *req, int64_t timeout_ms)
{
    struct pat_http *h = t->http;
    CURL *e = t->easy;
    bool tls = !strncasecmp(req->url, "https://", 8);
    int64_t connect_ms = req->connect_timeout_ms ? req->connect_timeout_ms : timeout_ms;

    if (curl_easy_setopt(e, CURLOPT_URL, req->url))
        return PAT_ENOMEM;
    curl_easy_setopt(e, CURLOPT_PRIVATE, t);
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    /* Else removing a handle, and its timeout, join the resolver's thread: the loop would wait. */
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
    curl_easy_setopt(e, CURLOPT_PIPEWAIT, tls ? 1L : 0L);
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(e, CURLOPT_USERAGENT, h->user_agent);
    if (h->ca_file)
        curl_easy_setopt(e, CURLOPT_CAINFO, h->ca_file);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
    set_method(t, req);
    if (req->public_only || h->public_only)
        set_public_only(t);
    return PAT_OK;
}

int http_request_set(struct transfer *t, const struct pat_http_req *req, int64_t timeout_ms)
{
    int err = copy_headers(t, req);

    if (!err)
        err = copy_body(t, req);
    return err ? err : set_options(t, req, timeout_ms);
}
