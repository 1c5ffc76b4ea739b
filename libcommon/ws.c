/* ws.c - WebSocket connections on libwebsockets.
 *
 * Each pat_ws hangs on its lws as opaque user data. Cutting that link is how a connection is let
 * go: whatever the library still says about it then reaches nobody. Names are resolved by us, as
 * the library would block the loop for it. Extensions (compression) are not offered.
 */
#include "net_lws.h"

#include "buf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#define MAX_MESSAGE     (1024 * 1024)
#define MAX_QUEUE       (1024 * 1024)
#define MAX_HEADERS     (16 * 1024)
#define CONNECT_TIMEOUT 10000
#define CLOSE_WAIT_MS   2000
#define UNANSWERED_MAX  2
#define ABNORMAL        1006 /* RFC 6455, 7.1.5: closed without a close frame */
#define MAX_REASON      123
#define MAX_KEPT        8
#define MAX_KEPT_LEN    512

enum ws_state { WS_CONNECTING, WS_OPEN, WS_CLOSING, WS_ENDED };

struct frame {
    struct frame *next;
    size_t len;
    bool text;
    unsigned char data[]; /* LWS_PRE bytes of room, then len */
};

struct pat_ws {
    struct pat_net *net;
    struct lws *wsi;
    enum ws_state state;
    struct pat_ws_events ev;
    void *arg;
    struct pat_resolve *resolve;
    struct pat_timer timer; /* connecting, then closing */
    struct pat_timer ping;
    int64_t ping_ms;
    int unanswered;
    bool ping_due;
    size_t max_message;
    size_t max_queue;
    struct pat_buf message; /* pieces of the one coming in */
    struct frame *queue;
    struct frame **queue_tail;
    size_t queued;
    char *host; /* with port when not the scheme's own */
    char *path;
    char *protocol;
    char *headers; /* lines, CRLF-ended: the request's, or the 101's on the server side */
    int port;
    bool tls;
    int close_code;
    char close_reason[MAX_REASON + 1];
    bool peer_closed;
    bool is_server;
    bool close_sent;
    bool given_up; /* closed before it was open */
    struct kept {
        char *name; /* "x-request-id:" */
        char *value;
    } kept[MAX_KEPT];
    int busy;  /* its callback is on the stack */
    bool dead; /* to be freed when that returns */
    struct pat_ws *next;
    struct pat_ws **prev;
};

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

static void ws_free(struct pat_ws *ws)
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
    for (size_t i = 0; i < MAX_KEPT; i++) {
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

static void drop(struct pat_ws *ws)
{
    let_go(ws);
    if (ws->busy)
        ws->dead = true;
    else
        ws_free(ws);
}

/* The one place closed is told. */
static void finish(struct pat_ws *ws, int err, int status, int code, const char *reason)
{
    if (ws->state == WS_ENDED)
        return;
    let_go(ws);
    ws->busy++;
    ws->ev.closed(ws, err, status, code, reason, ws->arg);
    ws->busy--;
    drop(ws);
}

void pat_ws_abort(struct pat_ws *ws)
{
    if (ws && ws->state != WS_ENDED)
        drop(ws);
}

void ws_close_all(struct pat_net *n)
{
    while (n->sockets)
        finish(n->sockets, PAT_ECANCELED, 0, ABNORMAL, "");
}

/* ---- sending ---- */

int pat_ws_send(struct pat_ws *ws, const void *data, size_t len, bool text)
{
    struct frame *f;

    if (ws->state != WS_OPEN)
        return PAT_ECONN;
    if (len > ws->max_queue - ws->queued)
        return PAT_EAGAIN;
    f = malloc(sizeof *f + LWS_PRE + len);
    if (!f)
        return PAT_ENOMEM;
    f->next = NULL;
    f->len = len;
    f->text = text;
    if (len)
        memcpy(f->data + LWS_PRE, data, len);
    *ws->queue_tail = f;
    ws->queue_tail = &f->next;
    if (!ws->queued && ws->queue == f)
        lws_callback_on_writable(ws->wsi);
    ws->queued += len;
    return PAT_OK;
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
    unsigned char frame[LWS_PRE + 6 + 2 + MAX_REASON], *at = frame + LWS_PRE, *payload;
    unsigned char mask[4] = { 0 };
    size_t len = 2 + strlen(reason);

    *at++ = 0x88;
    *at++ = (unsigned char)(len | (ws->is_server ? 0 : 0x80));
    if (!ws->is_server) {
        if (getrandom(mask, sizeof mask, 0) != sizeof mask)
            return false;
        memcpy(at, mask, sizeof mask);
        at += sizeof mask;
    }
    payload = at;
    *at++ = (unsigned char)(code >> 8);
    *at++ = (unsigned char)code;
    memcpy(at, reason, len - 2);
    for (size_t i = 0; i < len; i++)
        payload[i] ^= mask[i % 4];
    len += (size_t)(payload - frame) - LWS_PRE;
    ws->close_sent = true;
    return lws_write(ws->wsi, frame + LWS_PRE, len, LWS_WRITE_RAW) >= 0;
}

/* As many frames as the socket takes; -1 ends the connection. */
static int on_writable(struct pat_ws *ws)
{
    bool had = ws->queue;

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
    if (had && ws->ev.drained)
        ws->ev.drained(ws, ws->arg);
    return 0;
}

/* ---- receiving ---- */

static int too_big(struct pat_ws *ws)
{
    send_close(ws, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "");
    finish(ws, PAT_E2BIG, 0, LWS_CLOSE_STATUS_MESSAGE_TOO_LARGE, "message too large");
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
        finish(ws, PAT_ENOMEM, 0, ABNORMAL, "out of memory");
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
        finish(ws, PAT_OK, 0, ws->close_code, ws->close_reason);
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
        finish(ws, PAT_OK, 0, ws->close_code, ws->close_reason);
    else
        finish(ws, PAT_ECONN, 0, ABNORMAL, "");
}

static void on_refused(struct pat_ws *ws, const char *why, size_t len)
{
    int status = (int)lws_http_client_http_response(ws->wsi);
    char text[160];

    snprintf(text, sizeof text, "%.*s", why ? (int)len : 0, why ? why : "");
    if (status == 101)
        finish(ws, PAT_EPROTO, 0, ABNORMAL, text);
    else
        finish(ws, status ? PAT_EUPSTREAM : PAT_ECONN, status, ABNORMAL, text);
}

static void on_open(struct pat_ws *ws)
{
    if (ws->given_up)
        return; /* the timer ends it */
    ws->state = WS_OPEN;
    pat_timer_stop(&ws->timer);
    if (ws->ping_ms)
        pat_timer_start(&ws->ping, ws->ping_ms);
    ws->ev.open(ws, ws->arg);
}

/* ---- headers of the answer ---- */

static int copy_header(struct lws *wsi, const char *name, char *out, int cap)
{
    /* Names the library knows are stored by number, others by name. */
    for (int i = 0; i < WSI_TOKEN_COUNT; i++) {
        const unsigned char *known = lws_token_to_string((enum lws_token_indexes)i);

        if (known && !strcmp((const char *)known, name))
            return lws_hdr_copy(wsi, out, cap, (enum lws_token_indexes)i) > 0 ? 0 : -1;
    }
    return lws_hdr_custom_copy(wsi, out, cap, name, (int)strlen(name)) >= 0 ? 0 : -1;
}

/* The library forgets them before it says "established". */
static void keep_headers(struct pat_ws *ws)
{
    char value[MAX_KEPT_LEN];

    for (size_t i = 0; i < MAX_KEPT && ws->kept[i].name; i++)
        if (!ws->kept[i].value && !copy_header(ws->wsi, ws->kept[i].name, value, sizeof value))
            ws->kept[i].value = strdup(value);
}

static int want_headers(struct pat_ws *ws, const char *const *names)
{
    static const char *const usual[] = { "X-Request-Id", "Retry-After", NULL };

    if (!names)
        names = usual;
    for (size_t i = 0; names[i]; i++) {
        if (i == MAX_KEPT)
            return PAT_E2BIG;
        if (asprintf(&ws->kept[i].name, "%s:", names[i]) < 0) {
            ws->kept[i].name = NULL;
            return PAT_ENOMEM;
        }
        for (char *c = ws->kept[i].name; *c; c++)
            if (*c >= 'A' && *c <= 'Z')
                *c = (char)(*c - 'A' + 'a');
    }
    return PAT_OK;
}

const char *pat_ws_header(struct pat_ws *ws, const char *name)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < MAX_KEPT && ws->kept[i].name; i++)
        if (!strncasecmp(ws->kept[i].name, name, len) && ws->kept[i].name[len] == ':')
            return ws->kept[i].value;
    return NULL;
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
        keep_headers(ws);
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        keep_headers(ws);
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

/* ---- making one ---- */

static void on_ping(void *arg)
{
    struct pat_ws *ws = arg;

    if (ws->unanswered >= UNANSWERED_MAX) {
        finish(ws, PAT_ETIMEDOUT, 0, ABNORMAL, "no answer to a ping");
        return;
    }
    ws->unanswered++;
    ws->ping_due = true;
    pat_timer_start(&ws->ping, ws->ping_ms);
    lws_callback_on_writable(ws->wsi);
}

static void on_timeout(void *arg)
{
    struct pat_ws *ws = arg;

    if (ws->given_up)
        finish(ws, PAT_ECANCELED, 0, ABNORMAL, "");
    else
        finish(ws, PAT_ETIMEDOUT, 0, ABNORMAL, "");
}

static int ws_new(struct pat_ws **out, struct pat_net *n, size_t max_message, size_t max_queue)
{
    struct pat_ws *ws;

    if (n->closing)
        return PAT_ECANCELED;
    ws = calloc(1, sizeof *ws);
    if (!ws)
        return PAT_ENOMEM;
    ws->net = n;
    ws->queue_tail = &ws->queue;
    ws->max_message = max_message ? max_message : MAX_MESSAGE;
    ws->max_queue = max_queue ? max_queue : MAX_QUEUE;
    pat_buf_init(&ws->message, ws->max_message);
    pat_ws_set(ws, NULL, NULL);
    if (pat_timer_init(&ws->timer, n->loop, on_timeout, ws)) {
        free(ws);
        return PAT_ENOMEM;
    }
    if (pat_timer_init(&ws->ping, n->loop, on_ping, ws)) {
        pat_timer_fini(&ws->timer);
        free(ws);
        return PAT_ENOMEM;
    }
    ws->next = n->sockets;
    ws->prev = &n->sockets;
    if (ws->next)
        ws->next->prev = &ws->next;
    n->sockets = ws;
    *out = ws;
    return PAT_OK;
}

/* ---- client ---- */

static void connect_to(struct pat_ws *ws, const char *address)
{
    struct lws_client_connect_info i;

    memset(&i, 0, sizeof i);
    i.context = ws->net->context;
    i.vhost = ws->net->client;
    i.address = address;
    i.port = ws->port;
    i.host = ws->host; /* also what the certificate has to be for */
    i.path = ws->path;
    i.protocol = ws->protocol;
    i.local_protocol_name = ws_protocols[0].name;
    i.ietf_version_or_minus_one = -1;
    i.alpn = "http/1.1";
    i.ssl_connection = LCCSCF_HTTP_NO_FOLLOW_REDIRECT | (ws->tls ? LCCSCF_USE_SSL : 0);
    i.opaque_user_data = ws;
    i.pwsi = &ws->wsi;
    ws->busy++;
    if (!lws_client_connect_via_info(&i))
        finish(ws, PAT_ECONN, 0, ABNORMAL, "could not connect"); /* unless told already */
    ws->busy--;
    if (ws->dead && !ws->busy)
        ws_free(ws);
}

static void on_resolved(int err, const char *address, void *arg)
{
    struct pat_ws *ws = arg;

    ws->resolve = NULL;
    if (err)
        finish(ws, err, 0, ABNORMAL, "name not resolved");
    else
        connect_to(ws, address);
}

static int parse_url(struct pat_ws *ws, const char *url, char *name, size_t cap)
{
    const char *host, *end, *colon;
    size_t len;

    ws->tls = !strncasecmp(url, "wss://", 6);
    if (!ws->tls && strncasecmp(url, "ws://", 5))
        return PAT_EINVAL;
    host = strchr(url, ':') + 3;
    end = host + strcspn(host, "/?#");
    len = (size_t)(end - host);
    if (!len || memchr(host, '@', len) || strpbrk(url, "\r\n "))
        return PAT_EINVAL;
    ws->host = strndup(host, len);
    if (asprintf(&ws->path, "%s%s", *end == '/' ? "" : "/", end) < 0)
        ws->path = NULL;
    if (!ws->host || !ws->path)
        return PAT_ENOMEM;
    ws->path[strcspn(ws->path, "#")] = '\0';
    colon = strrchr(ws->host, ':');
    if (colon && strchr(colon, ']'))
        colon = NULL;
    ws->port = colon ? (int)strtol(colon + 1, NULL, 10) : ws->tls ? 443 : 80;
    if (ws->port < 1 || ws->port > 65535)
        return PAT_EINVAL;
    len = colon ? (size_t)(colon - ws->host) : len;
    if (!len || len >= cap)
        return PAT_EINVAL;
    memcpy(name, ws->host, len);
    name[len] = '\0';
    return PAT_OK;
}

static int copy_headers(struct pat_ws *ws, const char *const *headers)
{
    struct pat_buf lines;
    int err;

    pat_buf_init(&lines, MAX_HEADERS);
    for (; headers && *headers; headers++) {
        if (strpbrk(*headers, "\r\n") || !strchr(*headers, ':')) {
            pat_buf_fini(&lines);
            return PAT_EINVAL;
        }
        pat_buf_adds(&lines, *headers);
        pat_buf_adds(&lines, "\r\n");
    }
    err = lines.err;
    if (!err && lines.len)
        ws->headers = pat_buf_take(&lines);
    pat_buf_fini(&lines);
    return err;
}

int pat_ws_connect(struct pat_ws **out, struct pat_net *n, const struct pat_ws_opts *opts,
                   const struct pat_ws_events *ev, void *arg)
{
    int64_t timeout_ms = opts->connect_timeout_ms > 0 ? opts->connect_timeout_ms : CONNECT_TIMEOUT;
    struct pat_ws *ws;
    char name[256];
    int err = ws_new(&ws, n, opts->max_message, opts->max_queue);

    if (err)
        return err;
    ws->ping_ms = opts->ping_ms;
    err = parse_url(ws, opts->url, name, sizeof name);
    if (!err)
        err = copy_headers(ws, opts->headers);
    if (!err)
        err = want_headers(ws, opts->keep_headers);
    if (!err && opts->protocol) {
        ws->protocol = strdup(opts->protocol);
        err = ws->protocol ? PAT_OK : PAT_ENOMEM;
    }
    if (!err)
        err = pat_resolve_start(&ws->resolve, n->loop, name, timeout_ms, on_resolved, ws);
    if (err) {
        ws_free(ws);
        return err;
    }
    pat_ws_set(ws, ev, arg);
    pat_timer_start(&ws->timer, timeout_ms);
    *out = ws;
    return PAT_OK;
}

/* ---- server ---- */

int ws_server_new(struct pat_ws **out, struct pat_net *n, size_t max_message)
{
    int err = ws_new(out, n, max_message, 0);

    if (!err)
        (*out)->is_server = true;
    return err;
}

void ws_server_drop(struct pat_ws *ws)
{
    drop(ws);
}

/* The handshake we have checked is replayed to the library in its smallest form. */
static int replay(struct pat_buf *head, const char *key, const char *rest, size_t rest_len)
{
    pat_buf_adds(head, "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                       "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
    pat_buf_adds(head, key);
    pat_buf_adds(head, "\r\n\r\n");
    return pat_buf_add(head, rest, rest_len);
}

void ws_server_start(struct pat_ws *ws, int fd, const char *key, const char *header_lines,
                     const char *rest, size_t rest_len)
{
    struct pat_net *n = ws->net;
    struct pat_buf head;
    struct lws *wsi = NULL;

    pat_buf_init(&head, rest_len + 1024);
    ws->headers = strdup(header_lines);
    if (!ws->headers || replay(&head, key, rest, rest_len)) {
        close(fd);
    } else {
        ws->busy++;
        n->adopting = ws;
        wsi = lws_adopt_socket_vhost_readbuf(n->server, fd, head.data, head.len);
        n->adopting = NULL;
        ws->busy--;
    }
    pat_buf_fini(&head);
    if (!wsi) {
        ws->wsi = NULL; /* closed by the library */
        finish(ws, PAT_ECONN, 0, ABNORMAL, "");
        if (ws->dead)
            ws_free(ws);
        return;
    }
    if (ws->state == WS_ENDED) {
        lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_SYNC);
        ws_free(ws);
        return;
    }
    ws->wsi = wsi;
    lws_set_opaque_user_data(wsi, ws);
}
