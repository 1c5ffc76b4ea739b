/* ws_fixture.h - for tests: a client and a server of ours, each with what it has seen, and a peer
 * that never answers.
 *
 * Include after cmocka.h.
 */
#ifndef PAT_TEST_WS_FIXTURE_H
#define PAT_TEST_WS_FIXTURE_H

#include "buf.h"
#include "test/net_fixture.h"
#include "ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one end of a connection has seen. */
struct end {
    struct pat_ws *ws;
    int opened;
    int messages;
    int closed;
    int err;
    int status;
    int code;
    char reason[128];
    char header[64];
    bool text;
    bool echo;
    bool abort_at_message;
    bool close_at_open;
    struct pat_buf last;
};

struct world {
    struct fixture *f;
    struct end client;
    struct end server;
    int refuse_with;
    bool unheard;
    char protocol[64];
    char in[64];
};

static struct world *w;

static inline void on_open(struct pat_ws *ws, void *arg)
{
    struct end *e = arg;
    const char *header = pat_ws_header(ws, "X-Out");

    e->opened++;
    if (header)
        pat_strcpy(e->header, sizeof e->header, header);
    if (e->close_at_open)
        pat_ws_close(ws, 1000, "enough");
}

static inline void on_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    struct end *e = arg;

    assert_int_equal(e->opened, 1);
    e->messages++;
    e->text = text;
    pat_buf_reset(&e->last);
    assert_int_equal(pat_buf_add(&e->last, data, len), PAT_OK);
    if (e->echo)
        assert_int_equal(pat_ws_send(ws, data, len, text), PAT_OK);
    if (e->abort_at_message) {
        e->ws = NULL;
        pat_ws_abort(ws);
    }
}

static inline void on_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                             void *arg)
{
    struct end *e = arg;

    assert_ptr_equal(ws, e->ws);
    e->ws = NULL;
    e->closed++;
    e->err = err;
    e->status = status;
    e->code = code;
    pat_strcpy(e->reason, sizeof e->reason, reason);
}

static const struct pat_ws_events events = { on_open, on_message, on_closed };

static inline int on_upgrade(struct pat_httpd_req *r, struct pat_ws *ws, void *arg)
{
    const char *protocol = pat_httpd_header(r, "Sec-WebSocket-Protocol");
    const char *in = pat_httpd_header(r, "X-In");

    (void)arg;
    pat_strcpy(w->protocol, sizeof w->protocol, protocol ? protocol : "");
    pat_strcpy(w->in, sizeof w->in, in ? in : "");
    if (w->refuse_with)
        return w->refuse_with;
    assert_int_equal(pat_httpd_set_header(r, "X-Out", "out"), PAT_OK);
    if (w->unheard) {
        w->server.opened = 1; /* nobody hears its events */
        return PAT_OK;
    }
    w->server.ws = ws;
    pat_ws_set(ws, &events, &w->server);
    return PAT_OK;
}

static inline void on_plain(struct pat_httpd_req *r, void *arg)
{
    (void)arg;
    pat_httpd_reply(r, 200, "text/plain", "plain", 5);
}

static inline void routes(struct pat_httpd *s)
{
    assert_int_equal(pat_httpd_route_ws(s, "/ws/{room}", 100000, on_upgrade, NULL), PAT_OK);
    assert_int_equal(pat_httpd_route(s, "GET", "/plain", 0, on_plain, NULL), PAT_OK);
}

static inline int setup_with(void **state, const char *cert, const char *key)
{
    struct pat_httpd_opts opts = {
        .listen = "127.0.0.1:0", .cert_file = cert, .key_file = key, .max_connections = 4
    };

    w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->f = fixture_new_ca(&opts, routes, cert);
    pat_buf_init(&w->client.last, 1 << 24);
    pat_buf_init(&w->server.last, 1 << 24);
    w->server.echo = true;
    *state = w;
    return 0;
}

static inline int setup(void **state)
{
    return setup_with(state, NULL, NULL);
}

static inline int teardown(void **state)
{
    (void)state;
    fixture_free(w->f);
    assert_null(w->client.ws); /* each was told closed, or let go */
    assert_null(w->server.ws);
    assert_true(w->client.closed <= 1 && w->server.closed <= 1);
    pat_buf_fini(&w->client.last);
    pat_buf_fini(&w->server.last);
    free(w);
    return 0;
}

static inline void dial(struct pat_ws_opts *opts, const char *scheme_host, const char *path)
{
    char url[256];

    snprintf(url, sizeof url, "%s:%d%s", scheme_host, pat_httpd_port(w->f->server), path);
    opts->url = url;
    if (!opts->connect_timeout_ms)
        opts->connect_timeout_ms = LOOP_UNTIL_MS;
    assert_int_equal(pat_ws_connect(&w->client.ws, w->f->net, opts, &events, &w->client), PAT_OK);
    assert_int_equal(w->client.opened + w->client.closed, 0);
}

static inline void dial_open(struct pat_ws_opts *opts)
{
    dial(opts, "ws://127.0.0.1", "/ws/a");
    loop_until(w->f->loop, w->client.opened && w->server.opened);
}

static inline void hang_up(void)
{
    pat_ws_close(w->client.ws, 1000, "bye");
    loop_until(w->f->loop, w->client.closed && w->server.closed);
}

/* ---- a peer that never answers ---- */

struct mute {
    int fd;
    int accepted;
    char url[64];
};

/* Listens; the kernel accepts, nobody ever answers. */
static inline void mute_open(struct mute *m)
{
    struct sockaddr_in at = { .sin_family = AF_INET };
    socklen_t len = sizeof at;

    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    m->fd = socket(AF_INET, SOCK_STREAM, 0);
    m->accepted = -1;
    assert_int_equal(bind(m->fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(m->fd, 4), 0);
    assert_int_equal(getsockname(m->fd, (struct sockaddr *)&at, &len), 0);
    snprintf(m->url, sizeof m->url, "ws://127.0.0.1:%d/", ntohs(at.sin_port));
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

#endif
