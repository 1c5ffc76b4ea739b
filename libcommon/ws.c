/* ws.c - WebSocket connections on libwebsockets: messages, closing, events.
 *
 * Each pat_ws hangs on its lws as opaque user data. Cutting that link is how a connection is let
 * go: whatever the library still says about it then reaches nobody. How connections come to be is
 * in ws_open.c. Extensions (compression) are not offered.
 */
#include "ws_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define CLOSE_WAIT_MS  2000
#define UNANSWERED_MAX 2
#define DIRECT_MAX     4096
#define HEAD_MAX       8 /* of a frame of so many bytes, its mask included */

/* ---- life ---- */

static void no_open(struct pat_ws *ws, void *arg)
{
    (void)ws;
    (void)arg;
}

static void no_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    (void)ws;
    (void)data;
    (void)len;
    (void)text;
    (void)arg;
}

static void no_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                      void *arg)
{
    (void)ws;
    (void)err;
    (void)status;
    (void)code;
    (void)reason;
    (void)arg;
}

void pat_ws_set(struct pat_ws *ws, const struct pat_ws_events *ev, void *arg)
{
    ws->ev = ev ? *ev : (struct pat_ws_events){ 0 };
    ws->arg = arg;
    if (!ws->ev.open)
        ws->ev.open = no_open;
    if (!ws->ev.message)
        ws->ev.message = no_message;
    if (!ws->ev.closed)
        ws->ev.closed = no_closed;
}

void ws_free(struct pat_ws *ws)
{
    struct frame *next;

    *ws->prev = ws->next;
    if (ws->next)
        ws->next->prev = ws->prev;
    pat_resolve_cancel(ws->resolve);
    pat_timer_fini(&ws->timer);
    pat_timer_fini(&ws->ping);
    pat_buf_fini(&ws->message);
    for (struct frame *f = ws->queue; f; f = next) {
        next = f->next;
        free(f);
    }
    free(ws->host);
    free(ws->path);
    free(ws->protocol);
    free(ws->headers);
    for (size_t i = 0; i < WS_MAX_KEPT; i++) {
        free(ws->kept[i].name);
        free(ws->kept[i].value);
    }
    free(ws);
}

/* Lets the library's side go. Inside its callback the return value closes it. */
static void let_go(struct pat_ws *ws)
{
    struct lws *wsi = ws->wsi;

    ws->wsi = NULL;
    ws->state = WS_ENDED;
    if (ws->counter)
        --*ws->counter;
    ws->counter = NULL;
    pat_timer_stop(&ws->timer);
    pat_timer_stop(&ws->ping);
    pat_resolve_cancel(ws->resolve);
    ws->resolve = NULL;
    if (!wsi)
        return;
    lws_set_opaque_user_data(wsi, NULL);
    if (!ws->busy)
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
}

void ws_drop(struct pat_ws *ws)
{
    let_go(ws);
    if (ws->busy)
        ws->dead = true;
    else
        ws_free(ws);
}

void ws_finish(struct pat_ws *ws, int err, int status, int code, const char *reason)
{
    if (ws->state == WS_ENDED)
        return;
    let_go(ws);
    ws->busy++;
    ws->ev.closed(ws, err, status, code, reason, ws->arg);
    ws->busy--;
    ws_drop(ws);
}

void pat_ws_abort(struct pat_ws *ws)
{
    if (ws && ws->state != WS_ENDED)
        ws_drop(ws);
}

static struct pat_ws *first_alive(const struct pat_net *n)
{
    struct pat_ws *ws = n->sockets;

    while (ws && ws->state == WS_ENDED) /* on the stack: freed when that returns */
        ws = ws->next;
    return ws;
}

void ws_close_all(struct pat_net *n)
{
    struct pat_ws *ws;

    while ((ws = first_alive(n)))
        ws_finish(ws, PAT_ECANCELED, 0, WS_ABNORMAL, "");
}

/* ---- sending ---- */

static int queue_frame(struct pat_ws *ws, const struct pat_ws_part *part, bool text)
{
    struct frame *f = malloc(sizeof *f + LWS_PRE + part->len);

    if (!f)
        return PAT_ENOMEM;
    f->next = NULL;
    f->len = part->len;
    f->text = text;
    if (part->len)
        memcpy(f->data + LWS_PRE, part->data, part->len);
    *ws->queue_tail = f;
    ws->queue_tail = &f->next;
    if (!ws->queued && ws->queue == f)
        lws_callback_on_writable(ws->wsi);
    ws->queued += part->len;
    return PAT_OK;
}

static void forget_last(struct pat_ws *ws, size_t n_kept)
{
    struct frame **at = &ws->queue, *f;

    while (n_kept--)
        at = &(*at)->next;
    while ((f = *at)) {
        *at = f->next;
        ws->queued -= f->len;
        free(f);
    }
    ws->queue_tail = at;
}

static int queue_all(struct pat_ws *ws, const struct pat_ws_part *parts, size_t n, bool text)
{
    size_t before = 0;
    int err = PAT_OK;

    for (const struct frame *f = ws->queue; f; f = f->next)
        before++;
    for (size_t i = 0; i < n && !err; i++)
        err = queue_frame(ws, &parts[i], text);
    if (err)
        forget_last(ws, before);
    return err;
}

/* A system call for each frame's mask, as the library does it, is a fifth of those of a call. */
static bool take_mask(struct pat_net *n, uint8_t mask[4])
{
    if (n->chance_left < 4) {
        if (getrandom(n->chance, sizeof n->chance, 0) != (ssize_t)sizeof n->chance)
            return false;
        n->chance_left = sizeof n->chance;
    }
    n->chance_left -= 4;
    memcpy(mask, n->chance + n->chance_left, 4);
    return true;
}

/* One whole frame by hand (RFC 6455, 5.2); its end, NULL without chance. */
static unsigned char *put_frame(struct pat_ws *ws, unsigned char *at, int opcode,
                                const struct pat_ws_part *part)
{
    uint8_t mask[4] = { 0 }, masked = ws->is_server ? 0 : 0x80;
    const unsigned char *from = part->data;

    *at++ = (unsigned char)(0x80 | opcode);
    if (part->len < 126) {
        *at++ = (unsigned char)(masked | part->len);
    } else {
        *at++ = masked | 126;
        *at++ = (unsigned char)(part->len >> 8);
        *at++ = (unsigned char)part->len;
    }
    if (masked) {
        if (!take_mask(ws->net, mask))
            return NULL;
        memcpy(at, mask, sizeof mask);
        at += sizeof mask;
    }
    for (size_t i = 0; i < part->len; i++)
        at[i] = from[i] ^ mask[i % 4];
    return at + part->len;
}

/* What the socket does not take the library keeps. A broken connection is told by closed, later. */
static void write_now(struct pat_ws *ws, const struct pat_ws_part *parts, size_t n, bool text)
{
    unsigned char frames[LWS_PRE + DIRECT_MAX], *end = frames + LWS_PRE;

    for (size_t i = 0; i < n && end; i++)
        end = put_frame(ws, end, text ? 1 : 2, &parts[i]);
    if (!end ||
        lws_write(ws->wsi, frames + LWS_PRE, (size_t)(end - frames) - LWS_PRE, LWS_WRITE_RAW) < 0)
        lws_set_timeout(ws->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

/* Small messages on an idle connection, packets of a caller's voice, go out at once: to ask for a
 * writable socket and wait for it costs four epoll_ctl, a poll and a turn of the loop. */
int pat_ws_send_all(struct pat_ws *ws, const struct pat_ws_part *parts, size_t n, bool text)
{
    size_t len = 0;

    for (size_t i = 0; i < n; i++) {
        if (parts[i].len > ws->max_queue || len > ws->max_queue)
            return PAT_EAGAIN;
        len += parts[i].len;
    }
    if (ws->state != WS_OPEN)
        return PAT_ECONN;
    if (len > ws->max_queue - ws->queued)
        return PAT_EAGAIN;
    if (len + n * HEAD_MAX > DIRECT_MAX || ws->queue || lws_partial_buffered(ws->wsi))
        return queue_all(ws, parts, n, text);
    write_now(ws, parts, n, text);
    return PAT_OK;
}

int pat_ws_send(struct pat_ws *ws, const void *data, size_t len, bool text)
{
    const struct pat_ws_part part = { data, len };

    return pat_ws_send_all(ws, &part, 1, text);
}

size_t pat_ws_queued(const struct pat_ws *ws)
{
    return ws->queued;
}

void pat_ws_close(struct pat_ws *ws, int code, const char *reason)
{
    if (ws->state == WS_CLOSING || ws->state == WS_ENDED)
        return;
    ws->close_code = code;
    pat_strcpy(ws->close_reason, sizeof ws->close_reason, reason ? reason : "");
    if (ws->state == WS_CONNECTING) {
        /* closed must not run before this has returned. */
        ws->given_up = true;
        ws->state = WS_CLOSING;
        pat_timer_start(&ws->timer, 0);
        return;
    }
    ws->state = WS_CLOSING;
    pat_timer_stop(&ws->ping);
    pat_timer_start(&ws->timer, CLOSE_WAIT_MS);
    lws_callback_on_writable(ws->wsi);
}

static bool write_frame(struct pat_ws *ws)
{
    struct frame *f = ws->queue;
    bool sent = lws_write(ws->wsi, f->data + LWS_PRE, f->len,
                          f->text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY) >= 0;

    ws->queue = f->next;
    if (!ws->queue)
        ws->queue_tail = &ws->queue;
    ws->queued -= f->len;
    free(f);
    return sent;
}

/* A close frame made by hand (RFC 6455, 5.5.1). Asked to close, the library on libuv does so at
 * once and sends nothing: lws_service_fd_tsi of 4.1.6 closes a second time, which overrides its own
 * waiting. */
static bool send_close(struct pat_ws *ws, int code, const char *reason)
{
    unsigned char frame[LWS_PRE + HEAD_MAX + 2 + WS_MAX_REASON], *end, payload[2 + WS_MAX_REASON];
    const struct pat_ws_part part = { payload, code ? 2 + strlen(reason) : 0 };

    payload[0] = (unsigned char)(code >> 8);
    payload[1] = (unsigned char)code;
    memcpy(payload + 2, reason, part.len ? part.len - 2 : 0);
    end = put_frame(ws, frame + LWS_PRE, 8, &part);
    ws->close_sent = true;
    return end &&
           lws_write(ws->wsi, frame + LWS_PRE, (size_t)(end - frame) - LWS_PRE, LWS_WRITE_RAW) >= 0;
}

/* As many frames as the socket takes; -1 ends the connection. */
static int on_writable(struct pat_ws *ws)
{
    if (ws->ping_due) {
        unsigned char ping[LWS_PRE];

        ws->ping_due = false;
        if (lws_write(ws->wsi, ping + LWS_PRE, 0, LWS_WRITE_PING) < 0)
            return -1;
    }
    while (ws->queue) {
        if (lws_send_pipe_choked(ws->wsi)) {
            lws_callback_on_writable(ws->wsi);
            return 0;
        }
        if (!write_frame(ws))
            return -1;
    }
    if (ws->state == WS_CLOSING)
        return ws->close_sent || send_close(ws, ws->close_code, ws->close_reason) ? 0 : -1;
    return 0;
}

/* ---- receiving ---- */

static int too_big(struct pat_ws *ws)
{
    send_close(ws, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "");
    ws_finish(ws, PAT_E2BIG, 0, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "message too large");
    return -1;
}

static int on_piece(struct pat_ws *ws, const char *data, size_t len)
{
    bool last = lws_is_final_fragment(ws->wsi), text = !lws_frame_is_binary(ws->wsi);

    ws->unanswered = 0;
    if (ws->state != WS_OPEN)
        return 0;
    if (len > ws->max_message - ws->message.len)
        return too_big(ws);
    if (last && !ws->message.len) {
        ws->ev.message(ws, len ? data : "", len, text, ws->arg);
        return 0;
    }
    if (pat_buf_add(&ws->message, data, len)) {
        ws_finish(ws, PAT_ENOMEM, 0, WS_ABNORMAL, "out of memory");
        return -1;
    }
    if (last) {
        struct pat_buf whole = ws->message;

        pat_buf_init(&ws->message, ws->max_message);
        ws->ev.message(ws, whole.data, whole.len, text, ws->arg);
        pat_buf_fini(&whole);
    }
    return 0;
}

/* The library answers with a close frame of its own and ends; an answer to ours ends at once. */
static int on_peer_close(struct pat_ws *ws, const unsigned char *data, size_t len)
{
    if (ws->close_sent) {
        ws_finish(ws, PAT_OK, 0, ws->close_code, ws->close_reason);
        return -1;
    }
    ws->peer_closed = true;
    ws->close_code = len >= 2 ? data[0] << 8 | data[1] : 1005;
    snprintf(ws->close_reason, sizeof ws->close_reason, "%.*s", len > 2 ? (int)len - 2 : 0,
             len > 2 ? (const char *)data + 2 : "");
    return 0;
}

static void on_gone(struct pat_ws *ws)
{
    if (ws->peer_closed || ws->state == WS_CLOSING)
        ws_finish(ws, PAT_OK, 0, ws->close_code, ws->close_reason);
    else
        ws_finish(ws, PAT_ECONN, 0, WS_ABNORMAL, "");
}

static void on_refused(struct pat_ws *ws, const char *why, size_t len)
{
    int status = (int)lws_http_client_http_response(ws->wsi);
    char text[160];

    snprintf(text, sizeof text, "%.*s", why ? (int)len : 0, why ? why : "");
    if (status == 101)
        ws_finish(ws, PAT_EPROTO, 0, WS_ABNORMAL, text);
    else
        ws_finish(ws, status ? PAT_EUPSTREAM : PAT_ECONN, status, WS_ABNORMAL, text);
}

static void on_open(struct pat_ws *ws)
{
    if (ws->given_up)
        return; /* the timer ends it */
    ws->state = WS_OPEN;
    pat_timer_stop(&ws->timer);
    if (ws->ping_ms)
        pat_timer_start_rough(&ws->ping, ws->ping_ms);
    ws->ev.open(ws, ws->arg);
}

/* ---- timers ---- */

void ws_on_ping(void *arg)
{
    struct pat_ws *ws = arg;

    if (ws->unanswered >= UNANSWERED_MAX) {
        ws_finish(ws, PAT_ETIMEDOUT, 0, WS_ABNORMAL, "no answer to a ping");
        return;
    }
    ws->unanswered++;
    ws->ping_due = true;
    pat_timer_start_rough(&ws->ping, ws->ping_ms);
    lws_callback_on_writable(ws->wsi);
}

void ws_on_timeout(void *arg)
{
    struct pat_ws *ws = arg;

    if (ws->given_up)
        ws_finish(ws, PAT_ECANCELED, 0, WS_ABNORMAL, "");
    else
        ws_finish(ws, PAT_ETIMEDOUT, 0, WS_ABNORMAL, "");
}

/* ---- the library's callback ---- */

static int append_lines(struct pat_ws *ws, char **at, size_t room)
{
    size_t len = ws->headers ? strlen(ws->headers) : 0;

    if (len > room)
        return -1;
    if (len)
        memcpy(*at, ws->headers, len);
    *at += len;
    return 0;
}

static int on_event(struct pat_ws *ws, enum lws_callback_reasons reason, void *in, size_t len)
{
    struct lws_process_html_args *args = in;

    switch (reason) {
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER:
        return append_lines(ws, in, len);
    case LWS_CALLBACK_ADD_HEADERS:
        return append_lines(ws, &args->p, (size_t)args->max_len);
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
    case LWS_CALLBACK_ESTABLISHED:
        on_open(ws);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
    case LWS_CALLBACK_RECEIVE:
        return on_piece(ws, in, len);
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
    case LWS_CALLBACK_RECEIVE_PONG:
        ws->unanswered = 0;
        return 0;
    case LWS_CALLBACK_CLIENT_WRITEABLE:
    case LWS_CALLBACK_SERVER_WRITEABLE:
        return on_writable(ws);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        return on_peer_close(ws, in, len);
    case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH:
        ws_keep_headers(ws);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        ws_keep_headers(ws);
        on_refused(ws, in, len);
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
        on_gone(ws);
        return 0;
    default:
        return 0;
    }
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t len)
{
    struct pat_net *n = lws_context_user(lws_get_context(wsi));
    struct pat_ws *ws = wsi ? lws_get_opaque_user_data(wsi) : NULL;
    int ret;

    if (reason == LWS_CALLBACK_OPENSSL_LOAD_EXTRA_CLIENT_VERIFY_CERTS)
        return net_trust(n, user);
    if (!ws && n && n->adopting && reason != LWS_CALLBACK_PROTOCOL_INIT) {
        ws = n->adopting;
        ws->wsi = wsi;
    }
    if (!ws || ws->state == WS_ENDED)
        return lws_callback_http_dummy(wsi, reason, user, in, len);
    if (!ws->wsi)
        ws->wsi = wsi;
    ws->busy++;
    ret = on_event(ws, reason, in, len);
    ws->busy--;
    if (ws->state == WS_ENDED && !ws->busy)
        ret = -1;
    if (ws->dead && !ws->busy)
        ws_free(ws);
    return ret;
}

const struct lws_protocols ws_protocols[] = {
    { .name = "pat", .callback = on_lws, .rx_buffer_size = 0 },
    { 0 },
};
