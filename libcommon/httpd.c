/* httpd.c - HTTP servers: listening, routes, draining.
 *
 * HTTP/1.1 is spoken here and not by libwebsockets, whose server does not decode chunked request
 * bodies and costs twice as much CPU per request; it gets the connections that become WebSockets.
 */
#include "httpd_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_BODY          (64 * 1024)
#define MAX_BODIES        ((size_t)256 << 20)
#define MAX_CONNECTIONS   4096
#define OTHER_DESCRIPTORS 128 /* what is no connection: database, bus, clients, files */
#define HEADER_TIMEOUT_MS 10000
#define IDLE_TIMEOUT_MS   60000
#define BACKLOG           1024
#define ACCEPTS_PER_TURN  64
#define ACCEPT_PAUSE_MS   100
#define GRACE_MS          300 /* what clients have sent by the time they see us close */

/* ---- routes ---- */

static int add_route(struct pat_httpd *s, const struct route *route)
{
    struct route *routes;

    if (route->pattern[0] != '/' || s->n_conns)
        return PAT_EINVAL; /* requests point into the table */
    routes = realloc(s->routes, (s->n_routes + 1) * sizeof *routes);
    if (!routes)
        return PAT_ENOMEM;
    s->routes = routes;
    s->routes[s->n_routes] = *route;
    s->routes[s->n_routes++].fixed = strcspn(route->pattern, "{");
    return PAT_OK;
}

int pat_httpd_route(struct pat_httpd *s, const char *method, const char *pattern, size_t max_body,
                    pat_httpd_fn *fn, void *arg)
{
    struct route route = { .method = method,
                           .pattern = pattern,
                           .max_body = max_body ? max_body : s->max_body,
                           .fn = fn,
                           .arg = arg };

    return add_route(s, &route);
}

int pat_httpd_routes(struct pat_httpd *s, const struct pat_httpd_route *table, void *arg)
{
    int err = PAT_OK;

    for (; !err && table->fn; table++)
        err = pat_httpd_route(s, table->method, table->pattern, table->max_body, table->fn, arg);
    return err;
}

int pat_httpd_route_ws(struct pat_httpd *s, const char *pattern, size_t max_message,
                       pat_httpd_ws_fn *fn, void *arg)
{
    struct route route = { .pattern = pattern, .max_body = max_message, .ws_fn = fn, .arg = arg };

    return add_route(s, &route);
}

static int set_params(struct pat_httpd_req *r, const struct route_param *found, size_t n)
{
    size_t need = 0;
    char *at;

    for (size_t i = 0; i < n; i++)
        need += found[i].name_len + found[i].len + 2;
    if (!n)
        return 0;
    r->params_text = at = malloc(need);
    if (!at)
        return 503;
    for (size_t i = 0; i < n; i++) {
        r->params[i].name = memcpy(at, found[i].name, found[i].name_len);
        at += found[i].name_len;
        *at++ = '\0';
        r->params[i].value = memcpy(at, found[i].value, found[i].len);
        at += found[i].len;
        *at++ = '\0';
    }
    r->n_params = n;
    return 0;
}

static bool method_fits(const struct route *route, const struct http_head *h)
{
    if (!route->method)
        return h->upgrades;
    return !strcmp(route->method, h->method) ||
           (!strcmp(h->method, "HEAD") && !strcmp(route->method, "GET"));
}

static void allow_method(struct pat_buf *allow, const char *method)
{
    if (!allow->len || !strstr(allow->data, method)) /* no method is part of another's name */
        pat_buf_addf(allow, "%s%s%s", allow->len ? ", " : "", method,
                     strcmp(method, "GET") ? "" : ", HEAD"); /* as method_fits has it */
}

static int choose(struct pat_httpd_req *r, const struct route *route,
                  const struct route_param *params, size_t n)
{
    const char *version = http_head_find(&r->head, "Sec-WebSocket-Version");

    if (!route->method && (!version || strcmp(version, "13")))
        return 426;
    r->route = route;
    r->body.max = route->max_body;
    return set_params(r, params, n);
}

/* One path is one resource: where it stands literally, patterns that would fit it are not it. */
int httpd_find_route(struct pat_httpd *s, struct pat_httpd_req *r, struct pat_buf *allow)
{
    struct route_param found[HTTPD_MAX_PARAMS], params[HTTPD_MAX_PARAMS];
    const struct route *fits = NULL;
    size_t n, n_params = 0;
    bool ws_only = false, literal = false;

    for (size_t i = 0; i < s->n_routes; i++) {
        const struct route *route = &s->routes[i];

        if (strncmp(r->head.path, route->pattern, route->fixed) != 0)
            continue; /* most of them, and quickly */
        if (!route_match(route->pattern, r->head.path, found, &n) || (literal && n))
            continue;
        if (!n && !literal) {
            literal = true;
            fits = NULL;
            ws_only = false;
            pat_buf_reset(allow);
        }
        if (!method_fits(route, &r->head)) {
            if (route->method)
                allow_method(allow, route->method);
            else
                ws_only = true;
        } else if (!fits) {
            fits = route;
            n_params = n;
            memcpy(params, found, n * sizeof *found);
        }
    }
    if (fits)
        return choose(r, fits, params, n_params);
    if (allow->len)
        return 405;
    return ws_only ? 426 : 404;
}

const char *httpd_date(struct pat_httpd *s)
{
    time_t now = time(NULL);
    struct tm tm;

    if (now != s->date_s) {
        s->date_s = now;
        gmtime_r(&now, &tm);
        strftime(s->date, sizeof s->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
    }
    return s->date;
}

/* ---- accepting ---- */

static void peer_text(const struct sockaddr_storage *a, char *out, size_t cap)
{
    const void *addr = &((const struct sockaddr_in *)a)->sin_addr;

    if (a->ss_family == AF_INET6) {
        addr = &((const struct sockaddr_in6 *)a)->sin6_addr;
        if (IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)addr)) {
            inet_ntop(AF_INET, (const char *)addr + 12, out, (socklen_t)cap);
            return;
        }
    }
    if (!inet_ntop(a->ss_family, addr, out, (socklen_t)cap))
        out[0] = '\0';
}

static size_t connections(const struct pat_httpd *s)
{
    /* Behind TLS each session has a plain connection of its own once it is up. */
    size_t sessions = s->tls ? httpd_tls_count(s->tls) : 0;

    size_t plain = s->n_conns + s->n_ws;

    return sessions > plain ? sessions : plain;
}

/* Whoever opens connections and never asks anything must not keep out those who do. */
static bool make_room(struct pat_httpd *s)
{
    struct conn *victim = NULL;

    if (s->tls)
        return false; /* its sessions are counted, and outlive their plain connection a little */
    for (struct conn *c = s->conns; c; c = c->next)
        if (c->state == CONN_HEAD &&
            (!victim || c->served < victim->served ||
             (c->served == victim->served && c->timer.due_us <= victim->timer.due_us)))
            victim = c;
    if (victim)
        conn_free(victim);
    return victim;
}

static void on_connection(struct pat_httpd *s, int fd, const struct sockaddr_storage *from)
{
    char peer[48];
    int on = 1;

    if (connections(s) >= s->max_connections && !make_room(s)) {
        close(fd);
        return;
    }
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    peer_text(from, peer, sizeof peer);
    if (s->tls)
        httpd_tls_accept(s->tls, fd, peer);
    else
        conn_new(s, fd, peer); /* out of memory: the peer sees it closed */
}

static void on_accept(int err, int events, void *arg)
{
    struct pat_httpd *s = arg;

    (void)err;
    (void)events;
    for (int i = 0; i < ACCEPTS_PER_TURN; i++) {
        struct sockaddr_storage from;
        socklen_t len = sizeof from;
        int fd = accept4(s->fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd >= 0) {
            on_connection(s, fd, &from);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            /* It would be told at once again, and spin. */
            pat_poll_set(s->accept_poll, 0);
            pat_timer_start(&s->accept_pause, ACCEPT_PAUSE_MS);
        }
        if (errno != ECONNABORTED && errno != EINTR)
            return;
    }
}

static void on_accept_pause(void *arg)
{
    struct pat_httpd *s = arg;

    if (s->accept_poll && !s->held)
        pat_poll_set(s->accept_poll, PAT_POLL_IN);
}

void pat_httpd_hold(struct pat_httpd *s, bool hold)
{
    s->held = hold;
    if (s->accept_poll && !pat_timer_running(&s->accept_pause))
        pat_poll_set(s->accept_poll, hold ? 0 : PAT_POLL_IN);
}

/* "address:port", "[v6]:port"; no address: all of them. */
static int parse_listen(const char *text, struct sockaddr_storage *out, socklen_t *len)
{
    const char *colon = strrchr(text, ':');
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    char host[64], *end, *name = host;
    long port;

    if (!colon || (size_t)(colon - text) >= sizeof host)
        return PAT_EINVAL;
    memcpy(host, text, (size_t)(colon - text));
    host[colon - text] = '\0';
    port = strtol(colon + 1, &end, 10);
    if (!colon[1] || *end || port < 0 || port > 65535)
        return PAT_EINVAL;
    if (host[0] == '[' && colon > text && colon[-1] == ']') {
        host[strlen(host) - 1] = '\0';
        name++;
    }
    if (!strcmp(name, "localhost"))
        pat_strcpy(host, sizeof host, "127.0.0.1");
    if (!*name)
        pat_strcpy(host, sizeof host, "0.0.0.0");
    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, name, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *len = sizeof *v4;
        return PAT_OK;
    }
    if (inet_pton(AF_INET6, name, &v6->sin6_addr) != 1)
        return PAT_EINVAL;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)port);
    *len = sizeof *v6;
    return PAT_OK;
}

static int open_listener(struct pat_httpd *s)
{
    struct sockaddr_storage addr;
    socklen_t len;
    int on = 1, off = 0, err = parse_listen(s->listen, &addr, &len);

    if (err)
        return err;
    s->fd = socket(addr.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->fd < 0)
        return PAT_EIO;
    setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (addr.ss_family == AF_INET6)
        setsockopt(s->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    if (bind(s->fd, (struct sockaddr *)&addr, len) || listen(s->fd, BACKLOG))
        return errno == EADDRINUSE ? PAT_EEXIST : PAT_EIO;
    len = sizeof addr;
    getsockname(s->fd, (struct sockaddr *)&addr, &len);
    s->port = ntohs(((struct sockaddr_in *)&addr)->sin_port); /* at the same place for IPv6 */
    return PAT_OK;
}

static void close_listener(struct pat_httpd *s)
{
    pat_timer_stop(&s->accept_pause);
    pat_poll_close(s->accept_poll);
    s->accept_poll = NULL;
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
}

int pat_httpd_listen(struct pat_httpd *s)
{
    int err = s->fd < 0 ? open_listener(s) : PAT_EEXIST;

    if (!err)
        err = pat_poll_new(&s->accept_poll, s->loop, s->fd, on_accept, s);
    if (!err)
        err = pat_poll_set(s->accept_poll, PAT_POLL_IN);
    if (err)
        close_listener(s);
    return err;
}

int pat_httpd_port(const struct pat_httpd *s)
{
    return s->port;
}

/* ---- draining ---- */

static void close_connections(struct pat_httpd *s, bool all)
{
    struct conn *next;

    for (struct conn *c = s->conns; c; c = next) {
        next = c->next;
        if (all || c->state == CONN_HEAD)
            conn_free(c);
    }
}

static void on_drained(void *arg)
{
    struct pat_httpd *s = arg;
    pat_loop_fn *drained = s->drained;

    pat_timer_stop(&s->drain_timer);
    pat_timer_stop(&s->grace);
    pat_task_cancel(s->loop, &s->drain_task);
    s->drained = NULL;
    close_connections(s, false);
    if (drained)
        drained(s->drained_arg);
}

static void on_drain_timeout(void *arg)
{
    struct pat_httpd *s = arg;

    close_connections(s, true);
    on_drained(s);
}

/* A request is open while it comes in, too: its client has begun to speak. Of one that is silent
 * nobody knows: a request may be on its way. */
static bool has_open_requests(const struct pat_httpd *s)
{
    bool grace = pat_timer_running(&s->grace);

    if (s->n_open)
        return true;
    for (const struct conn *c = s->conns; c; c = c->next)
        if (c->state == CONN_BODY || c->state == CONN_BUSY || (grace && c->state == CONN_HEAD))
            return true;
    return false;
}

static void on_grace_over(void *arg)
{
    struct pat_httpd *s = arg;

    close_connections(s, false);
    httpd_check_drain(s);
}

static void on_drain_check(void *arg)
{
    struct pat_httpd *s = arg;

    if (!has_open_requests(s))
        on_drained(s);
}

/* Looked at in the next turn: what has just changed is still on the stack. */
void httpd_check_drain(struct pat_httpd *s)
{
    if (s->drained)
        pat_loop_next_turn(s->loop, &s->drain_task, on_drain_check, s);
}

void httpd_request_ended(struct pat_httpd *s)
{
    s->n_open--;
    httpd_check_drain(s);
}

void pat_httpd_drain(struct pat_httpd *s, int64_t timeout_ms, pat_loop_fn *drained, void *arg)
{
    if (s->accept_poll)
        on_accept(PAT_OK, 0, s); /* who was let in while the signal came */
    close_listener(s);
    s->draining = true;
    s->drained = drained;
    s->drained_arg = arg;
    pat_timer_start(&s->drain_timer, timeout_ms);
    pat_timer_start(&s->grace, GRACE_MS);
    httpd_check_drain(s);
}

/* ---- life ---- */

/* Requests that handlers still have live on by themselves. */
static void forget_requests(struct pat_httpd *s)
{
    while (s->requests)
        req_forget_server(s->requests);
}

static void httpd_free(struct net_server *base)
{
    struct pat_httpd *s = (struct pat_httpd *)base;

    close_listener(s);
    s->drained = NULL;
    close_connections(s, true);
    forget_requests(s);
    httpd_tls_free(s->tls);
    pat_task_cancel(s->loop, &s->drain_task);
    pat_timer_fini(&s->drain_timer);
    pat_timer_fini(&s->grace);
    pat_timer_fini(&s->accept_pause);
    free(s->routes);
    free(s->listen);
    free(s);
}

static size_t most_connections(size_t wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted + OTHER_DESCRIPTORS)
        return wanted;
    return limit.rlim_cur > 2 * OTHER_DESCRIPTORS ? limit.rlim_cur - OTHER_DESCRIPTORS
                                                  : OTHER_DESCRIPTORS;
}

static void set_limits(struct pat_httpd *s, const struct pat_httpd_opts *o)
{
    s->max_body = o->max_body ? o->max_body : MAX_BODY;
    s->max_bodies = o->max_bodies ? o->max_bodies : MAX_BODIES;
    s->max_connections =
        most_connections(o->max_connections ? o->max_connections : MAX_CONNECTIONS);
    s->header_timeout_ms = o->header_timeout_ms ? o->header_timeout_ms : HEADER_TIMEOUT_MS;
    s->idle_timeout_ms = o->idle_timeout_ms ? o->idle_timeout_ms : IDLE_TIMEOUT_MS;
}

int pat_httpd_new(struct pat_httpd **out, struct pat_net *n, const struct pat_httpd_opts *opts)
{
    struct pat_httpd *s = calloc(1, sizeof *s);
    int err = PAT_ENOMEM;

    if (!s)
        return err;
    s->base.free_fn = httpd_free;
    s->net = n;
    s->loop = net_loop(n);
    s->fd = -1;
    set_limits(s, opts);
    s->problems = opts->problems;
    s->listen = strdup(opts->listen);
    if (!s->listen)
        goto fail;
    err = pat_timer_init(&s->drain_timer, s->loop, on_drain_timeout, s);
    if (err)
        goto fail;
    err = pat_timer_init(&s->grace, s->loop, on_grace_over, s);
    if (err)
        goto fail;
    err = pat_timer_init(&s->accept_pause, s->loop, on_accept_pause, s);
    if (err)
        goto fail;
    err = !opts->cert_file == !opts->key_file ? PAT_OK : PAT_EINVAL;
    if (!err && opts->cert_file)
        err = httpd_tls_new(&s->tls, s, opts->cert_file, opts->key_file);
    if (err)
        goto fail;
    net_add_server(n, &s->base);
    *out = s;
    return PAT_OK;

fail:
    pat_timer_fini(&s->drain_timer); /* fine on one not begun */
    pat_timer_fini(&s->grace);
    pat_timer_fini(&s->accept_pause);
    free(s->listen);
    free(s);
    return err;
}
