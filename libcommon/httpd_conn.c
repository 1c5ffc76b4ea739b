/* httpd_conn.c - one HTTP/1.1 connection of a server: bytes in, bytes out, timeouts.
 *
 * Plain non-blocking sockets on the loop: one recv and one send per small request. One request at
 * a time; what is pipelined behind it waits in the input buffer, which is bounded. Whoever calls
 * something here that may free the connection returns at once when told so.
 */
#include "httpd_private.h"

#include "buf.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE     (16 * 1024)
#define FIRST_READ    4000 /* with its bookkeeping 4 KiB per connection */
#define LINGER_MS     2000
#define LINGER_BYTES  (1024 * 1024)
#define KEEP_OUT_CAP  (64 * 1024)    /* a larger send buffer is not kept for the next reply */
#define WAITING_BYTES HTTPD_MAX_HEAD /* pipelined behind others */

static void process(struct conn *c);

static void conn_watch(struct conn *c)
{
    int want = 0;

    /* A body is used up as it comes; what waits for its turn waits in the kernel beyond this. */
    if (!c->eof && (c->state == CONN_BODY || c->in.len < WAITING_BYTES))
        want |= PAT_POLL_IN;
    if (c->out.len > c->sent)
        want |= PAT_POLL_OUT;
    if (want != c->watched)
        pat_poll_set(c->poll, want);
    c->watched = want;
}

static void conn_detach(struct conn *c)
{
    if (c->req)
        req_detach(c->req);
    c->req = NULL;
    pat_task_cancel(c->server->loop, &c->more);
    pat_timer_fini(&c->timer);
    pat_poll_close(c->poll);
    c->poll = NULL;
}

void conn_free(struct conn *c)
{
    conn_detach(c);
    if (c->fd >= 0)
        close(c->fd);
    *c->prev = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->server->n_conns--;
    httpd_check_drain(c->server);
    pat_buf_fini(&c->in);
    pat_buf_fini(&c->out);
    free(c);
}

/* The answer is out, and input we will not read may still come. Closing now would reset the
 * connection and take the answer away from a client that is still sending. */
static bool conn_end(struct conn *c)
{
    if (c->eof) {
        conn_free(c);
        return false;
    }
    c->state = CONN_LINGER;
    httpd_check_drain(c->server);
    pat_buf_reset(&c->in);
    shutdown(c->fd, SHUT_WR);
    pat_timer_start(&c->timer, LINGER_MS);
    conn_watch(c);
    return true;
}

bool conn_flush(struct conn *c)
{
    while (c->sent < c->out.len) {
        ssize_t n = send(c->fd, c->out.data + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (n <= 0) {
            conn_free(c);
            return false;
        }
        c->sent += (size_t)n;
        /* A peer that reads nothing for this long is given up. */
        if (c->state == CONN_BUSY && c->sent < c->out.len)
            pat_timer_start(&c->timer, c->server->idle_timeout_ms);
    }
    if (c->sent == c->out.len) {
        c->sent = 0;
        if (c->out.cap > KEEP_OUT_CAP)
            pat_buf_fini(&c->out);
        pat_buf_reset(&c->out);
        if (c->state == CONN_BUSY && pat_timer_running(&c->timer))
            pat_timer_stop(&c->timer);
    } else if (!pat_timer_running(&c->timer)) {
        pat_timer_start(&c->timer, c->server->idle_timeout_ms);
    }
    conn_watch(c);
    return true;
}

/* ---- after a reply ---- */

static void on_more(void *arg)
{
    process(arg);
}

static void next_request(struct conn *c)
{
    c->state = CONN_HEAD;
    c->scanned = 0;
    if (c->close_after || c->server->draining) {
        conn_end(c);
        return;
    }
    if (c->eof && !c->in.len) {
        conn_free(c);
        return;
    }
    pat_timer_start(&c->timer,
                    c->in.len ? c->server->header_timeout_ms : c->server->idle_timeout_ms);
    conn_watch(c);
    if (c->in.len)
        pat_loop_next_turn(c->server->loop, &c->more, on_more, c);
}

void conn_replied(struct conn *c, bool close_after)
{
    c->req = NULL;
    c->close_after = c->close_after || close_after;
    if (!conn_flush(c))
        return;
    if (c->sent == c->out.len)
        next_request(c);
    /* else: on_writable goes on */
}

/* ---- input ---- */

static bool refuse(struct conn *c, int status)
{
    struct pat_httpd_req *r = c->req;

    c->state = CONN_BUSY;
    c->close_after = true;
    if (!r && req_new(&r, c, NULL, 0)) {
        conn_free(c);
        return false;
    }
    c->req = r;
    req_reply_status(r, status, NULL);
    return false; /* whatever became of it, there is nothing more to read */
}

static bool begin_body(struct conn *c)
{
    struct pat_httpd_req *r = c->req;
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (r->head.content_length > (int64_t)r->body.max)
        return refuse(c, 413);
    c->state = CONN_BODY;
    conn_watch(c);
    c->chunked = (struct chunked){ .state = CHUNK_SIZE };
    c->body_left = r->head.content_length > 0 ? (size_t)r->head.content_length : 0;
    if (c->body_left && (!req_hold(r, c->body_left) || !pat_buf_reserve(&r->body, c->body_left)))
        return refuse(c, 503);
    if (r->head.expects_continue && !c->in.len && (c->body_left || r->head.chunked)) {
        pat_buf_add(&c->out, go_on, sizeof go_on - 1);
        return conn_flush(c);
    }
    return true;
}

static bool refuse_route(struct conn *c, struct pat_httpd_req *r, int status,
                         const struct pat_buf *allow)
{
    bool has_body = r->head.content_length > 0 || r->head.chunked;

    if (status == 405)
        pat_httpd_set_header(r, "Allow", allow->data);
    if (status == 426) {
        pat_httpd_set_header(r, "Upgrade", "websocket");
        pat_httpd_set_header(r, "Sec-WebSocket-Version", "13");
    }
    if (has_body)
        return refuse(c, status);
    c->state = CONN_BUSY;
    req_reply_status(r, status, NULL);
    return false;
}

static void upgrade(struct conn *c)
{
    struct pat_httpd_req *r = c->req;
    struct pat_httpd *s = c->server;
    struct pat_ws *ws;
    const char *asked;
    int err;

    c->state = CONN_BUSY;
    if (ws_server_new(&ws, s->net, r->route->max_body, &s->n_ws)) {
        refuse(c, 503);
        return;
    }
    err = r->route->ws_fn(r, ws, r->route->arg);
    if (err) {
        ws_server_drop(ws);
        if (err < 0) /* else it has replied itself */
            pat_httpd_reply_error(r, err, NULL, pat_err_text(err));
        return;
    }
    /* A browser that offered protocols gives up unless one comes back. */
    asked = http_head_find(&r->head, "Sec-WebSocket-Protocol");
    if (asked && (!r->extra.len || !strcasestr(r->extra.data, "Sec-WebSocket-Protocol:"))) {
        char first[128];

        if (pat_strcpy(first, sizeof first, asked)) {
            first[strcspn(first, " ,")] = '\0';
            pat_httpd_set_header(r, "Sec-WebSocket-Protocol", first);
        }
    }
    pat_poll_close(c->poll); /* the descriptor becomes another's */
    c->poll = NULL;
    ws_server_start(ws, c->fd, http_head_find(&r->head, "Sec-WebSocket-Key"),
                    r->extra.data ? r->extra.data : "", c->in.data, c->in.len);
    c->fd = -1;
    c->req = NULL;
    req_free(r);
    conn_free(c);
}

/* Half a request of a peer that has closed its half stays half a one. */
static bool want_more(struct conn *c)
{
    if (c->eof)
        conn_free(c);
    return false;
}

/* false: nothing more to do for now, or the connection is gone. */
static bool read_head(struct conn *c)
{
    struct pat_buf allow;
    size_t len, blank = 0;
    bool bad;
    int status;

    while (blank + 1 < c->in.len && c->in.data[blank] == '\r' && c->in.data[blank + 1] == '\n')
        blank += 2; /* some clients end a body with a line too many (RFC 9112, 2.2) */
    pat_buf_drop(&c->in, blank);
    if (blank)
        c->scanned = 0;
    if (!c->in.len)
        return want_more(c);
    len = http_head_end(c->in.data, c->in.len, &c->scanned, &bad);
    if (bad)
        return refuse(c, 400);
    if (len > HTTPD_MAX_HEAD || (!len && c->in.len >= HTTPD_MAX_HEAD))
        return refuse(c, 431);
    if (!len)
        return want_more(c);
    if (req_new(&c->req, c, c->in.data, len)) {
        conn_free(c);
        return false;
    }
    pat_buf_drop(&c->in, len);
    c->scanned = 0;
    status = http_head_parse(&c->req->head, c->req->text, len);
    if (!status && !path_decode(c->req->head.path))
        status = 400;
    if (status)
        return refuse(c, status);
    pat_buf_init(&allow, 256);
    status = httpd_find_route(c->server, c->req, &allow);
    c->close_after = !c->req->head.keep_alive;
    if (status)
        refuse_route(c, c->req, status, &allow);
    pat_buf_fini(&allow);
    if (status)
        return false;
    if (!c->req->route->method) {
        upgrade(c);
        return false;
    }
    return begin_body(c);
}

/* true: the body is there in full. */
static bool read_body(struct conn *c)
{
    struct pat_httpd_req *r = c->req;
    size_t used = 0;

    if (!r->head.chunked) {
        used = c->in.len < c->body_left ? c->in.len : c->body_left;
        pat_buf_add(&r->body, c->in.data, used); /* room was made */
        c->body_left -= used;
    } else {
        int err = chunked_feed(&c->chunked, c->in.data, c->in.len, &used, &r->body);

        if (err)
            return refuse(c, err == PAT_E2BIG ? 413 : err == PAT_EPROTO ? 400 : 503);
        if (!req_hold(r, r->body.len))
            return refuse(c, 503);
    }
    pat_buf_drop(&c->in, used);
    if (r->head.chunked ? c->chunked.state != CHUNK_DONE : c->body_left > 0)
        return want_more(c);
    return true;
}

static void dispatch(struct conn *c)
{
    struct pat_httpd_req *r = c->req;

    c->state = CONN_BUSY;
    c->served = true;
    pat_timer_stop(&c->timer);
    req_count(r);
    r->route->fn(r, r->route->arg);
}

/* Goes on with what is in the input buffer, up to one request: the next has to wait for a turn, so
 * that one connection cannot hold the loop. */
static void process(struct conn *c)
{
    if (c->state == CONN_HEAD && !read_head(c))
        return;
    if (c->state == CONN_BODY && read_body(c))
        dispatch(c);
}

static void throw_away(struct conn *c, size_t n)
{
    c->drained += n;
    if (n == 0 || c->drained > LINGER_BYTES)
        conn_free(c);
}

static void on_eof(struct conn *c)
{
    c->eof = true;
    /* A handler's answer may still reach a peer that only closed its sending half. */
    if (c->state == CONN_BUSY || c->out.len > c->sent)
        conn_watch(c);
    else
        conn_free(c);
}

static void on_readable(struct conn *c)
{
    static char trash[4096];
    bool lingers = c->state == CONN_LINGER, was_idle = c->state == CONN_HEAD && !c->in.len;
    size_t room = lingers ? sizeof trash : c->state == CONN_BODY ? READ_SIZE : FIRST_READ;
    char *to = lingers ? trash : pat_buf_reserve(&c->in, room);
    ssize_t n;

    if (!to) {
        conn_free(c);
        return;
    }
    n = recv(c->fd, to, room, 0);
    if (n < 0) {
        if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
            conn_free(c);
        return;
    }
    if (lingers) {
        throw_away(c, (size_t)n);
        return;
    }
    if (n == 0) {
        on_eof(c);
        return;
    }
    c->in.len += (size_t)n;
    if (was_idle)
        pat_timer_start(&c->timer, c->server->header_timeout_ms);
    if (c->state == CONN_BUSY)
        conn_watch(c);
    else
        process(c);
}

static void on_poll(int err, int events, void *arg)
{
    struct conn *c = arg;

    if (err) {
        conn_free(c);
        return;
    }
    if (events & PAT_POLL_OUT) {
        if (!conn_flush(c))
            return;
        if (c->state == CONN_BUSY && !c->req && c->sent == c->out.len) {
            next_request(c);
            return; /* what became of it may be anything: reading waits for the next event */
        }
    }
    if (events & PAT_POLL_IN)
        on_readable(c);
}

static void on_timeout(void *arg)
{
    struct conn *c = arg;

    if (c->state == CONN_BODY || (c->state == CONN_HEAD && c->in.len))
        refuse(c, 408);
    else
        conn_free(c);
}

int conn_new(struct pat_httpd *s, int fd, const char *peer)
{
    struct conn *c = calloc(1, sizeof *c);
    int err = PAT_ENOMEM;

    if (!c)
        goto fail;
    c->server = s;
    c->fd = fd;
    pat_strcpy(c->peer, sizeof c->peer, peer);
    /* Two reads beyond the head: what is refused is refused before this is full. */
    pat_buf_init(&c->in, HTTPD_MAX_HEAD + 2 * READ_SIZE);
    pat_buf_init(&c->out, SIZE_MAX);
    err = pat_timer_init(&c->timer, s->loop, on_timeout, c);
    if (err)
        goto fail;
    err = pat_poll_new(&c->poll, s->loop, fd, on_poll, c);
    if (err)
        goto fail_timer;
    c->next = s->conns;
    c->prev = &s->conns;
    if (c->next)
        c->next->prev = &c->next;
    s->conns = c;
    s->n_conns++;
    pat_timer_start(&c->timer, s->header_timeout_ms);
    conn_watch(c);
    return PAT_OK;

fail_timer:
    pat_timer_fini(&c->timer);
fail:
    free(c);
    close(fd);
    return err;
}
