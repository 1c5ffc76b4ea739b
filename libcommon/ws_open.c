/* ws_open.c - how a WebSocket comes to be: dialled by us, or handed over by the HTTP server.
 *
 * Names are resolved by us, as the library would block the loop for it.
 */
#include "ws_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define MAX_MESSAGE     (1024 * 1024)
#define MAX_QUEUE       (1024 * 1024)
#define MAX_HEADERS     (16 * 1024)
#define CONNECT_TIMEOUT 10000
#define MAX_KEPT_LEN    512

/* ---- making one ---- */

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
    if (pat_timer_init(&ws->timer, n->loop, ws_on_timeout, ws)) {
        free(ws);
        return PAT_ENOMEM;
    }
    if (pat_timer_init(&ws->ping, n->loop, ws_on_ping, ws)) {
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
void ws_keep_headers(struct pat_ws *ws)
{
    char value[MAX_KEPT_LEN];

    for (size_t i = 0; i < WS_MAX_KEPT && ws->kept[i].name; i++)
        if (!ws->kept[i].value && !copy_header(ws->wsi, ws->kept[i].name, value, sizeof value))
            ws->kept[i].value = strdup(value);
}

static int want_headers(struct pat_ws *ws, const char *const *names)
{
    static const char *const usual[] = { "X-Request-Id", "Retry-After", NULL };

    if (!names)
        names = usual;
    for (size_t i = 0; names[i]; i++) {
        if (i == WS_MAX_KEPT)
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

    for (size_t i = 0; i < WS_MAX_KEPT && ws->kept[i].name; i++)
        if (!strncasecmp(ws->kept[i].name, name, len) && ws->kept[i].name[len] == ':')
            return ws->kept[i].value;
    return NULL;
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
        ws_finish(ws, PAT_ECONN, 0, WS_ABNORMAL, "could not connect"); /* unless told already */
    ws->busy--;
    if (ws->dead && !ws->busy)
        ws_free(ws);
}

static void on_resolved(int err, const char *address, void *arg)
{
    struct pat_ws *ws = arg;

    ws->resolve = NULL;
    if (err)
        ws_finish(ws, err, 0, WS_ABNORMAL, "name not resolved");
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

int ws_server_new(struct pat_ws **out, struct pat_net *n, size_t max_message, size_t *counter)
{
    int err = ws_new(out, n, max_message, 0);

    if (err)
        return err;
    (*out)->is_server = true;
    (*out)->counter = counter;
    ++*counter;
    return PAT_OK;
}

void ws_server_drop(struct pat_ws *ws)
{
    ws_drop(ws);
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
        ws_finish(ws, PAT_ECONN, 0, WS_ABNORMAL, "");
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
