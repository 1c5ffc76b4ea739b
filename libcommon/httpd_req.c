/* httpd_req.c - one request: what its handler reads, and its reply.
 *
 * A request belongs to its connection until a handler has it; then to the handler until it has
 * replied. A peer that leaves only cuts it from its connection.
 */
#include "httpd_private.h"

#include "buf.h"
#include "id.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAX_EXTRA 8192 /* response header lines */

int req_new(struct pat_httpd_req **out, struct conn *c, const char *head, size_t len)
{
    struct pat_httpd_req *r = calloc(1, sizeof *r);

    if (!r)
        return PAT_ENOMEM;
    r->text = malloc(len + 1);
    if (!r->text) {
        free(r);
        return PAT_ENOMEM;
    }
    if (len)
        memcpy(r->text, head, len);
    r->text[len] = '\0';
    r->server = c->server;
    r->conn = c;
    r->head.method = r->head.query = "";
    r->head.path = r->text + len;
    r->head.minor = 1;
    pat_buf_init(&r->body, c->server->max_body);
    pat_buf_init(&r->extra, MAX_EXTRA);
    pat_strcpy(r->peer, sizeof r->peer, c->peer);
    *out = r;
    return PAT_OK;
}

bool req_hold(struct pat_httpd_req *r, size_t len)
{
    struct pat_httpd *s = r->server;

    if (len <= r->held)
        return true;
    if (len - r->held > s->max_bodies - s->bodies)
        return false;
    s->bodies += len - r->held;
    r->held = len;
    return true;
}

void req_count(struct pat_httpd_req *r)
{
    struct pat_httpd *s = r->server;

    r->counted = true;
    s->n_open++;
    r->next = s->requests;
    r->prev = &s->requests;
    if (r->next)
        r->next->prev = &r->next;
    s->requests = r;
}

static void uncount(struct pat_httpd_req *r)
{
    *r->prev = r->next;
    if (r->next)
        r->next->prev = r->prev;
    r->counted = false;
    httpd_request_ended(r->server);
}

void req_forget_server(struct pat_httpd_req *r)
{
    uncount(r);
    r->server = NULL;
}

void req_free(struct pat_httpd_req *r)
{
    if (r->counted)
        uncount(r);
    if (r->server)
        r->server->bodies -= r->held;
    free(r->text);
    free(r->params_text);
    free(r->form);
    free(r->form_text);
    free(r->query);
    free(r->query_text);
    pat_buf_fini(&r->body);
    pat_buf_fini(&r->extra);
    free(r);
}

void req_detach(struct pat_httpd_req *r)
{
    r->conn = NULL;
    if (!r->counted)
        req_free(r); /* no handler knows it */
}

/* ---- reading ---- */

const char *pat_httpd_method(const struct pat_httpd_req *r)
{
    return r->head.method;
}

const char *pat_httpd_path(const struct pat_httpd_req *r)
{
    return r->head.path;
}

const char *pat_httpd_query(const struct pat_httpd_req *r)
{
    return r->head.query;
}

const char *pat_httpd_peer(const struct pat_httpd_req *r)
{
    return r->peer;
}

const char *pat_httpd_param(const struct pat_httpd_req *r, const char *name)
{
    return pat_param_find(r->params, r->n_params, name);
}

const char *pat_httpd_header(const struct pat_httpd_req *r, const char *name)
{
    return http_head_find(&r->head, name);
}

const char *pat_httpd_body(const struct pat_httpd_req *r, size_t *len)
{
    if (len)
        *len = r->body.len;
    return r->body.data ? r->body.data : "";
}

const char *pat_param_find(const struct pat_param *params, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(params[i].name, name))
            return params[i].value;
    return NULL;
}

/* A copy of text, cut into fields. */
static int decode_fields(const char *text, char **copy, struct pat_param **params, size_t *n)
{
    size_t max = 1;
    int err;

    for (const char *s = text; *s; s++)
        max += *s == '&';
    if (max > HTTPD_MAX_FIELDS)
        return PAT_EINVAL;
    *copy = strdup(text);
    *params = calloc(max, sizeof **params);
    err = *copy && *params ? form_parse(*copy, *params, max, n) : PAT_ENOMEM;
    if (err) {
        free(*copy);
        free(*params);
        *copy = NULL;
        *params = NULL;
        *n = 0;
    }
    return err;
}

int pat_httpd_query_params(struct pat_httpd_req *r, const struct pat_param **params, size_t *n)
{
    int err =
        r->query ? PAT_OK : decode_fields(r->head.query, &r->query_text, &r->query, &r->n_query);

    *params = r->query;
    *n = r->n_query;
    return err;
}

const char *pat_httpd_query_param(struct pat_httpd_req *r, const char *name)
{
    const struct pat_param *params;
    size_t n;

    return pat_httpd_query_params(r, &params, &n) ? NULL : pat_param_find(params, n, name);
}

/* text: what the values lie in. */
static void lower_ids(char *text, const struct pat_param *params, size_t n)
{
    for (size_t i = 0; i < n; i++)
        (void)pat_id_lower(text + (params[i].value - text));
}

void pat_httpd_lower_ids(struct pat_httpd_req *r)
{
    const struct pat_param *query;
    size_t n;

    lower_ids(r->params_text, r->params, r->n_params);
    if (!pat_httpd_query_params(r, &query, &n))
        lower_ids(r->query_text, query, n);
}

int pat_httpd_form(struct pat_httpd_req *r, const struct pat_param **params, size_t *n)
{
    static const char form[] = "application/x-www-form-urlencoded";
    const char *type = http_head_find(&r->head, "Content-Type");
    const char *body = r->body.data ? r->body.data : "";
    int err;

    if (!r->form) {
        if (!type || strncasecmp(type, form, sizeof form - 1) || strlen(body) != r->body.len)
            return PAT_EINVAL;
        err = decode_fields(body, &r->form_text, &r->form, &r->n_form);
        if (err)
            return err;
    }
    *params = r->form;
    *n = r->n_form;
    return PAT_OK;
}

bool pat_httpd_gone(const struct pat_httpd_req *r)
{
    return !r->conn || r->conn->eof;
}

/* ---- replying ---- */

const char *http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } rows[] = {
        { 200, "OK" },
        { 201, "Created" },
        { 202, "Accepted" },
        { 204, "No Content" },
        { 206, "Partial Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 303, "See Other" },
        { 304, "Not Modified" },
        { 307, "Temporary Redirect" },
        { 308, "Permanent Redirect" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 402, "Payment Required" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 408, "Request Timeout" },
        { 409, "Conflict" },
        { 410, "Gone" },
        { 411, "Length Required" },
        { 412, "Precondition Failed" },
        { 413, "Content Too Large" },
        { 415, "Unsupported Media Type" },
        { 416, "Range Not Satisfiable" },
        { 417, "Expectation Failed" },
        { 422, "Unprocessable Content" },
        { 426, "Upgrade Required" },
        { 428, "Precondition Required" },
        { 429, "Too Many Requests" },
        { 431, "Request Header Fields Too Large" },
        { 500, "Internal Server Error" },
        { 501, "Not Implemented" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
        { 505, "HTTP Version Not Supported" },
    };

    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (rows[i].status == status)
            return rows[i].reason;
    return "Status";
}

int pat_httpd_set_header(struct pat_httpd_req *r, const char *name, const char *value)
{
    if (!*name || strpbrk(name, "\r\n: ") || strpbrk(value, "\r\n"))
        return PAT_EINVAL;
    return pat_buf_addf(&r->extra, "%s: %s\r\n", name, value);
}

/* Who has only closed his half may have asked more before. */
static bool closes(const struct pat_httpd_req *r)
{
    const struct conn *c = r->conn;

    return c->close_after || (c->eof && !c->in.len) || r->server->draining;
}

static void add(struct pat_buf *b, const char *s)
{
    pat_buf_adds(b, s);
}

static void add_head(struct pat_httpd_req *r, int status, const char *content_type)
{
    struct pat_buf *out = &r->conn->out;
    char line[24];

    /* Formatted by hand: printf was a tenth of a small request. */
    line[0] = (char)('0' + status / 100 % 10);
    line[1] = (char)('0' + status / 10 % 10);
    line[2] = (char)('0' + status % 10);
    line[3] = ' ';
    add(out, "HTTP/1.1 ");
    pat_buf_add(out, line, 4);
    add(out, http_reason(status));
    add(out, "\r\nDate: ");
    add(out, httpd_date(r->server));
    if (content_type) {
        add(out, "\r\nContent-Type: ");
        add(out, content_type);
    }
    add(out, "\r\n");
    if (closes(r))
        add(out, "Connection: close\r\n");
    else if (r->head.minor == 0)
        add(out, "Connection: keep-alive\r\n");
    if (r->may_gzip)
        add(out, "Vary: Accept-Encoding\r\n");
    if (r->extra.len)
        pat_buf_add(out, r->extra.data, r->extra.len);
}

/* Out of memory in the middle of a head leaves nothing sound to send. */
static void finish(struct pat_httpd_req *r)
{
    struct conn *c = r->conn;
    bool close_after = closes(r), failed = c->out.err;

    c->req = NULL;
    r->conn = NULL;
    req_free(r);
    if (failed)
        conn_free(c);
    else
        conn_replied(c, close_after);
}

static void add_length(struct pat_buf *out, uint64_t len)
{
    char digits[24], *at = digits + sizeof digits;

    do
        *--at = (char)('0' + len % 10);
    while (len /= 10);
    add(out, "Content-Length: ");
    pat_buf_add(out, at, (size_t)(digits + sizeof digits - at));
    add(out, "\r\n");
}

static bool is_head(const struct pat_httpd_req *r)
{
    return !strcmp(r->head.method, "HEAD");
}

void pat_httpd_reply(struct pat_httpd_req *r, int status, const char *content_type,
                     const void *body, size_t len)
{
    bool bodiless = status == 204 || status == 304;
    void *packed;

    if (!r->conn) {
        req_free(r);
        return;
    }
    packed = req_gzip(r, status, body, len, &len);
    add_head(r, status, bodiless ? NULL : content_type);
    if (packed)
        add(&r->conn->out, "Content-Encoding: gzip\r\n");
    if (!bodiless)
        add_length(&r->conn->out, len);
    add(&r->conn->out, "\r\n");
    if (len && !bodiless && !is_head(r))
        pat_buf_add(&r->conn->out, packed ? packed : body, len);
    free(packed);
    finish(r);
}

void pat_httpd_reply_json(struct pat_httpd_req *r, int status, const struct pat_json *body)
{
    struct pat_buf text;

    pat_buf_init(&text, SIZE_MAX);
    if (pat_json_print_to(body, &text))
        pat_httpd_reply_error(r, PAT_ENOMEM, NULL, NULL);
    else
        pat_httpd_reply(r, status, "application/json", text.data, text.len);
    pat_buf_fini(&text);
}

/* ---- replies in pieces ---- */

static bool chunks(const struct pat_httpd_req *r)
{
    return r->head.minor && !r->sized;
}

static int stream_begin(struct pat_httpd_req *r, int status, const char *content_type)
{
    if (r->reply != REPLY_NONE)
        return PAT_EINVAL;
    r->reply = REPLY_STREAMING;
    if (!r->conn)
        return PAT_ECONN;
    if (r->head.minor == 0 && !r->sized)
        r->conn->close_after = true; /* the end of the connection ends the body */
    add_head(r, status, content_type);
    if (r->sized)
        add_length(&r->conn->out, r->left);
    else if (r->head.minor)
        add(&r->conn->out, "Transfer-Encoding: chunked\r\n");
    add(&r->conn->out, "\r\n");
    if (r->conn->out.err) {
        conn_free(r->conn);
        return PAT_ENOMEM;
    }
    return conn_flush(r->conn) ? PAT_OK : PAT_ECONN;
}

int pat_httpd_stream_begin(struct pat_httpd_req *r, int status, const char *content_type)
{
    return stream_begin(r, status, content_type);
}

int pat_httpd_stream_begin_len(struct pat_httpd_req *r, int status, const char *content_type,
                               uint64_t len)
{
    if (r->reply != REPLY_NONE)
        return PAT_EINVAL;
    r->sized = true;
    r->left = len;
    return stream_begin(r, status, content_type);
}

size_t pat_httpd_stream_unsent(const struct pat_httpd_req *r)
{
    return r->conn ? r->conn->out.len - r->conn->sent : 0;
}

int pat_httpd_stream_send(struct pat_httpd_req *r, const void *data, size_t len)
{
    struct pat_buf *out;
    size_t before;

    if (r->reply != REPLY_STREAMING)
        return PAT_EINVAL;
    if (!r->conn)
        return PAT_ECONN;
    if (!len || is_head(r))
        return PAT_OK;
    if (r->sized && len > r->left)
        return PAT_EINVAL;
    out = &r->conn->out;
    if (out->len - r->conn->sent > HTTPD_MAX_UNSENT)
        return PAT_EAGAIN;
    pat_buf_drop(out, r->conn->sent);
    r->conn->sent = 0;
    before = out->len;
    if (chunks(r))
        pat_buf_addf(out, "%zx\r\n", len);
    pat_buf_add(out, data, len);
    if (chunks(r))
        pat_buf_add(out, "\r\n", 2);
    if (out->err) {
        out->len = before;
        out->err = PAT_OK;
        return PAT_ENOMEM;
    }
    if (r->sized)
        r->left -= len;
    return conn_flush(r->conn) ? PAT_OK : PAT_ECONN;
}

void pat_httpd_stream_end(struct pat_httpd_req *r)
{
    if (!r->conn) {
        req_free(r);
        return;
    }
    if (chunks(r) && !is_head(r))
        add(&r->conn->out, "0\r\n\r\n");
    if (r->sized && r->left && !is_head(r))
        pat_httpd_abort(r);
    else
        finish(r);
}

void pat_httpd_abort(struct pat_httpd_req *r)
{
    struct conn *c = r->conn;

    if (c)
        c->req = NULL;
    r->conn = NULL;
    req_free(r);
    if (c)
        conn_free(c);
}
