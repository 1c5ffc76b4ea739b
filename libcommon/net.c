/* net.c - the process's libwebsockets context on our loop: its birth, its two-step end.
 *
 * libwebsockets runs as a guest on the libuv loop. Ending it takes two calls: the first begins to
 * close its handles, the second, once those are closed, frees the rest.
 */
#include "net_lws.h"

#include <stdlib.h>
#include <string.h>
#include <uv.h>

#define SERVICE_BUFFER (32 * 1024) /* a request with a long token in its path has to fit */
#define MAX_HEAD       (16 * 1024)
#define CLOSE_STEP_MS  1
#define CLOSE_STEPS    2000

struct pat_loop *net_loop(struct pat_net *n)
{
    return n->loop;
}

void net_add_server(struct pat_net *n, struct net_server *s)
{
    s->next = n->servers;
    n->servers = s;
}

/* ---- which handles on the loop are the library's ---- */

struct collected {
    const uv_handle_t **list;
    size_t n;
    size_t cap;
};

static void collect(uv_handle_t *h, void *arg)
{
    struct collected *c = arg;

    if (c->n < c->cap)
        c->list[c->n] = h;
    c->n++;
}

static bool contains(const struct collected *c, const uv_handle_t *h)
{
    for (size_t i = 0; i < c->n && i < c->cap; i++)
        if (c->list[i] == h)
            return true;
    return false;
}

static int collect_all(struct pat_loop *l, struct collected *c)
{
    *c = (struct collected){ 0 };
    uv_walk(pat_loop_uv(l), collect, c);
    c->cap = c->n + 64;
    c->list = calloc(c->cap, sizeof *c->list);
    c->n = 0;
    if (!c->list)
        return PAT_ENOMEM;
    uv_walk(pat_loop_uv(l), collect, c);
    return PAT_OK;
}

static int remember_handles(struct pat_net *n, const struct collected *before)
{
    struct collected after;
    int err = collect_all(n->loop, &after);

    if (err)
        return err;
    for (size_t i = 0; i < after.n && n->n_handles < NET_HANDLES; i++)
        if (!contains(before, after.list[i]))
            n->handles[n->n_handles++] = after.list[i];
    free(after.list);
    return PAT_OK;
}

static void count_left(uv_handle_t *h, void *arg)
{
    struct pat_net *n = arg;

    for (size_t i = 0; i < n->n_handles; i++)
        if (n->handles[i] == h)
            n->handles_left++;
}

/* ---- closing ---- */

static void on_close_step(void *arg)
{
    struct pat_net *n = arg;
    pat_loop_fn *closed = n->closed;
    void *closed_arg = n->closed_arg;

    if (n->close_steps == 0)
        lws_context_destroy(n->context); /* not inside one of its callbacks, hence here */
    n->handles_left = 0;
    uv_walk(pat_loop_uv(n->loop), count_left, n);
    if (++n->close_steps == 1 || (n->handles_left && n->close_steps < CLOSE_STEPS)) {
        pat_timer_start(&n->close_timer, CLOSE_STEP_MS);
        return;
    }
    if (n->context)
        lws_context_destroy(n->context);
    pat_timer_fini(&n->close_timer);
    ca_bundle_free(n->ca_bundle);
    free(n->ca_file);
    free(n);
    if (closed)
        closed(closed_arg);
}

void pat_net_close(struct pat_net *n, pat_loop_fn *closed, void *arg)
{
    struct net_server *next;

    n->closing = true;
    n->closed = closed;
    n->closed_arg = arg;
    ws_close_all(n); /* before the servers that count them */
    for (struct net_server *s = n->servers; s; s = next) {
        next = s->next;
        s->free_fn(s);
    }
    pat_timer_start(&n->close_timer, 0);
}

/* ---- birth ---- */

int net_trust(struct pat_net *n, SSL_CTX *ctx)
{
    return ca_use_default(ctx, n->ca_bundle);
}

static int create_vhosts(struct pat_net *n, struct lws_context_creation_info *info)
{
    info->protocols = ws_protocols;
    info->vhost_name = "client";
    info->port = CONTEXT_PORT_NO_LISTEN;
    info->client_ssl_ca_filepath = n->ca_file;
    info->options |= LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS; /* net_trust instead */
    n->client = lws_create_vhost(n->context, info);
    info->client_ssl_ca_filepath = NULL;
    info->options &= ~(uint64_t)LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT; /* httpd's TLS is not lws' */
    info->vhost_name = "server";
    info->port = CONTEXT_PORT_NO_LISTEN_SERVER;
    n->server = n->client ? lws_create_vhost(n->context, info) : NULL;
    return n->server ? PAT_OK : PAT_EIO;
}

static int create_context(struct pat_net *n)
{
    void *loops[] = { pat_loop_uv(n->loop) };
    struct lws_context_creation_info info;
    struct collected before;
    int err = collect_all(n->loop, &before);

    if (err)
        return err;
    memset(&info, 0, sizeof info);
    info.options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS |
                   LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT | LWS_SERVER_OPTION_VALIDATE_UTF8;
    info.foreign_loops = loops;
    info.gid = -1;
    info.uid = -1;
    info.port = CONTEXT_PORT_NO_LISTEN;
    info.pt_serv_buf_size = SERVICE_BUFFER;
    info.max_http_header_data2 = MAX_HEAD;
    info.user = n;
    lws_set_log_level(0, NULL);
    n->context = lws_create_context(&info);
    err = n->context ? create_vhosts(n, &info) : PAT_EIO;
    if (!err)
        err = remember_handles(n, &before);
    free(before.list);
    return err;
}

int pat_net_new(struct pat_net **out, struct pat_loop *l, const char *ca_file)
{
    struct pat_net *n = calloc(1, sizeof *n);
    int err = PAT_ENOMEM;

    if (!n)
        return err;
    n->loop = l;
    n->ca_file = ca_file ? strdup(ca_file) : NULL;
    if (ca_file && !n->ca_file)
        goto fail;
    err = ca_bundle_new(&n->ca_bundle);
    if (err)
        goto fail;
    err = pat_timer_init(&n->close_timer, l, on_close_step, n);
    if (err)
        goto fail;
    err = create_context(n);
    if (err && n->context) {
        pat_net_close(n, NULL, NULL); /* ends by itself in the next turns */
        return err;
    }
    if (err)
        goto fail_timer;
    *out = n;
    return PAT_OK;

fail_timer:
    pat_timer_fini(&n->close_timer);
fail:
    ca_bundle_free(n->ca_bundle);
    free(n->ca_file);
    free(n);
    return err;
}
