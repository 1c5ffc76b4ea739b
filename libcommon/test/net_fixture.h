/* net_fixture.h - for tests: a loop with a net and one server on it, and raw client sockets.
 *
 * Include after cmocka.h. All on one loop: reading awaits by running it.
 */
#ifndef PAT_TEST_NET_FIXTURE_H
#define PAT_TEST_NET_FIXTURE_H

#include "buf.h"
#include "httpd.h"
#include "test/loop_until.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_httpd *server;
    char base[64]; /* "127.0.0.1:port" */
    int net_closed;
};

static inline void fixture_counted(void *arg)
{
    ++*(int *)arg;
}

static inline struct fixture *fixture_new_ca(const struct pat_httpd_opts *opts,
                                             void (*routes)(struct pat_httpd *s),
                                             const char *ca_file)
{
    struct fixture *f = calloc(1, sizeof *f);

    assert_non_null(f);
    assert_int_equal(pat_loop_new(&f->loop), PAT_OK);
    assert_int_equal(pat_net_new(&f->net, f->loop, ca_file), PAT_OK);
    assert_int_equal(pat_httpd_new(&f->server, f->net, opts), PAT_OK);
    routes(f->server);
    assert_int_equal(pat_httpd_listen(f->server), PAT_OK);
    snprintf(f->base, sizeof f->base, "127.0.0.1:%d", pat_httpd_port(f->server));
    return f;
}

static inline struct fixture *fixture_new(const struct pat_httpd_opts *opts,
                                          void (*routes)(struct pat_httpd *s))
{
    return fixture_new_ca(opts, routes, NULL);
}

static inline void fixture_close_net(struct fixture *f)
{
    if (!f->net)
        return;
    pat_net_close(f->net, fixture_counted, &f->net_closed);
    f->net = NULL;
    loop_until(f->loop, f->net_closed);
}

static inline void fixture_free(struct fixture *f)
{
    fixture_close_net(f);
    assert_int_equal(f->net_closed, 1);
    assert_int_equal(pat_loop_free(f->loop), PAT_OK);
    free(f);
}

struct raw {
    struct pat_loop *loop;
    int fd;
    bool eof;
    struct pat_buf in;
};

static inline void raw_connect(struct raw *r, struct fixture *f)
{
    struct sockaddr_in to = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)pat_httpd_port(f->server)) };

    *r = (struct raw){ .loop = f->loop };
    pat_buf_init(&r->in, 1 << 28);
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(r->fd >= 0);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(r->fd, (struct sockaddr *)&to, sizeof to), 0);
}

static inline void raw_open(struct raw *r, struct fixture *f)
{
    raw_connect(r, f);
    pat_loop_run_once(r->loop, 0);
}

static inline void raw_send(struct raw *r, const char *data, size_t len)
{
    assert_int_equal(send(r->fd, data, len, MSG_NOSIGNAL), len);
}

static inline void raw_sends(struct raw *r, const char *s)
{
    raw_send(r, s, strlen(s));
}

/* Takes what is there; true once there is anything. */
static inline bool raw_pump(struct raw *r)
{
    char piece[65536];
    ssize_t n;

    while ((n = recv(r->fd, piece, sizeof piece, MSG_DONTWAIT)) > 0)
        assert_int_equal(pat_buf_add(&r->in, piece, (size_t)n), PAT_OK);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        r->eof = true;
    return r->in.len;
}

static inline void raw_until_eof(struct raw *r)
{
    loop_until(r->loop, (raw_pump(r), r->eof));
}

static inline bool raw_complete(struct raw *r)
{
    const char *end, *length;

    if (!raw_pump(r))
        return r->eof;
    end = strstr(r->in.data, "\r\n\r\n");
    length = strstr(r->in.data, "Content-Length: ");
    if (r->eof || !end)
        return r->eof;
    if (!length || length > end)
        return true;
    return strlen(end + 4) >= strtoul(length + 16, NULL, 10) || !strlen(end + 4);
}

/* The first answer, or all until the server closes. Borrowed. */
static inline char *raw_answer(struct raw *r, bool closes)
{
    if (closes)
        raw_until_eof(r);
    else
        loop_until(r->loop, raw_complete(r));
    return r->in.data ? r->in.data : (char *)"";
}

static inline void raw_half_close(struct raw *r)
{
    shutdown(r->fd, SHUT_WR);
}

static inline void raw_close(struct raw *r)
{
    close(r->fd);
    pat_buf_fini(&r->in);
}

#endif
