/* httpd_tls.c - TLS in front of a plain connection.
 *
 * A session ends TLS and pumps the plain bytes through a socket pair, whose other end is served
 * like any connection: HTTP and WebSockets need not know. Costs two more system calls each way;
 * public traffic normally has its TLS ended before us.
 */
#include "httpd_private.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PUMP_SIZE (16 * 1024)
#define LINGER_MS 5000 /* to get the last bytes out once one side has ended */

struct pump {
    char data[PUMP_SIZE];
    size_t len;
    size_t sent;
    bool ended; /* the source has */
    bool shut;  /* and the sink was told */
};

struct session {
    struct httpd_tls *tls;
    SSL *ssl;
    int net_fd;
    int pair_fd; /* -1 until the handshake is done */
    struct pat_poll *net_poll;
    struct pat_poll *pair_poll;
    struct pat_timer timer;
    bool ssl_wants_write; /* whatever it was asked for last */
    struct pump in;       /* decrypted, to the pair */
    struct pump out;      /* from the pair, to encrypt */
    char peer[48];
    struct session *next;
    struct session **prev;
};

struct httpd_tls {
    struct pat_httpd *server;
    SSL_CTX *ctx;
    struct session *sessions;
    size_t n;
};

static void session_free(struct session *s)
{
    *s->prev = s->next;
    if (s->next)
        s->next->prev = s->prev;
    s->tls->n--;
    pat_poll_close(s->net_poll);
    pat_poll_close(s->pair_poll);
    pat_timer_fini(&s->timer);
    SSL_free(s->ssl);
    close(s->net_fd);
    if (s->pair_fd >= 0)
        close(s->pair_fd);
    free(s);
}

/* 1: went on, 0: has to wait, -1: over. */
static int ssl_outcome(struct session *s, int ret)
{
    int why = SSL_get_error(s->ssl, ret);

    ERR_clear_error();
    if (ret > 0)
        return 1;
    s->ssl_wants_write = s->ssl_wants_write || why == SSL_ERROR_WANT_WRITE;
    return why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE ? 0 : -1;
}

/* ---- the four moves: each true when it moved something ---- */

static bool read_tls(struct session *s)
{
    int n, outcome;

    if (s->in.len || s->in.ended)
        return false;
    n = SSL_read(s->ssl, s->in.data, PUMP_SIZE);
    outcome = ssl_outcome(s, n);
    if (outcome > 0)
        s->in.len = (size_t)n;
    s->in.ended = outcome < 0;
    return outcome != 0;
}

static bool write_tls(struct session *s)
{
    int n, outcome;

    if (!s->out.len)
        return false;
    n = SSL_write(s->ssl, s->out.data, (int)s->out.len);
    outcome = ssl_outcome(s, n);
    if (outcome < 0)
        s->in.ended = s->out.ended = s->out.shut = true;
    if (outcome != 0)
        s->out.len = 0; /* all or nothing: no partial writes are asked for */
    return outcome != 0;
}

static bool read_pair(struct session *s)
{
    ssize_t n;

    if (s->out.len || s->out.ended)
        return false;
    n = recv(s->pair_fd, s->out.data, PUMP_SIZE, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n > 0)
        s->out.len = (size_t)n;
    else
        s->out.ended = true;
    return true;
}

static bool write_pair(struct session *s)
{
    struct pump *p = &s->in;
    ssize_t n;

    if (!p->len)
        return false;
    n = send(s->pair_fd, p->data + p->sent, p->len - p->sent, MSG_NOSIGNAL);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (n < 0) {
        p->ended = p->shut = true;
        p->len = p->sent = 0;
        return true;
    }
    p->sent += (size_t)n;
    if (p->sent == p->len)
        p->len = p->sent = 0;
    return true;
}

static void pass_ends(struct session *s)
{
    if (s->in.ended && !s->in.len && !s->in.shut) {
        s->in.shut = true;
        shutdown(s->pair_fd, SHUT_WR);
    }
    if (s->out.ended && !s->out.len && !s->out.shut) {
        s->out.shut = true;
        SSL_shutdown(s->ssl);
        ERR_clear_error();
        shutdown(s->net_fd, SHUT_WR);
    }
    if ((s->in.ended || s->out.ended) && !pat_timer_running(&s->timer))
        pat_timer_start(&s->timer, LINGER_MS);
}

static void watch(struct session *s)
{
    int net = 0, pair = 0;

    if ((!s->in.len && !s->in.ended) || s->pair_fd < 0)
        net |= PAT_POLL_IN;
    if (s->ssl_wants_write)
        net |= PAT_POLL_OUT;
    pat_poll_set(s->net_poll, net);
    if (!s->pair_poll)
        return;
    if (!s->out.len && !s->out.ended)
        pair |= PAT_POLL_IN;
    if (s->in.len)
        pair |= PAT_POLL_OUT;
    pat_poll_set(s->pair_poll, pair);
}

static void pump(struct session *s)
{
    bool moved;

    s->ssl_wants_write = false;
    do {
        moved = read_tls(s);
        moved = write_pair(s) || moved;
        moved = read_pair(s) || moved;
        moved = write_tls(s) || moved;
    } while (moved);
    pass_ends(s);
    if (s->in.shut && s->out.shut)
        session_free(s);
    else
        watch(s);
}

static void on_pair(int err, int events, void *arg)
{
    struct session *s = arg;

    (void)events;
    if (err)
        session_free(s);
    else
        pump(s);
}

static int open_pair(struct session *s)
{
    int fd[2], err;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd))
        return PAT_EIO;
    s->pair_fd = fd[0];
    err = pat_poll_new(&s->pair_poll, s->tls->server->loop, fd[0], on_pair, s);
    if (err) {
        close(fd[1]);
        return err;
    }
    return conn_new(s->tls->server, fd[1], s->peer);
}

static void handshake(struct session *s)
{
    int outcome;

    s->ssl_wants_write = false;
    outcome = ssl_outcome(s, SSL_accept(s->ssl));
    if (outcome < 0 || (outcome > 0 && open_pair(s))) {
        session_free(s);
        return;
    }
    if (outcome == 0) {
        watch(s);
        return;
    }
    pat_timer_stop(&s->timer);
    pump(s);
}

static void on_net(int err, int events, void *arg)
{
    struct session *s = arg;

    (void)events;
    if (err)
        session_free(s);
    else if (s->pair_fd < 0)
        handshake(s);
    else
        pump(s);
}

static void on_timeout(void *arg)
{
    session_free(arg);
}

void httpd_tls_accept(struct httpd_tls *t, int fd, const char *peer)
{
    struct session *s = calloc(1, sizeof *s);
    struct pat_loop *loop = t->server->loop;

    if (!s) {
        close(fd);
        return;
    }
    s->tls = t;
    s->net_fd = fd;
    s->pair_fd = -1;
    pat_strcpy(s->peer, sizeof s->peer, peer);
    s->next = t->sessions;
    s->prev = &t->sessions;
    if (s->next)
        s->next->prev = &s->next;
    t->sessions = s;
    t->n++;
    s->ssl = SSL_new(t->ctx);
    if (!s->ssl || !SSL_set_fd(s->ssl, fd) || pat_timer_init(&s->timer, loop, on_timeout, s) ||
        pat_poll_new(&s->net_poll, loop, fd, on_net, s)) {
        session_free(s);
        return;
    }
    pat_timer_start(&s->timer, t->server->header_timeout_ms);
    watch(s);
}

size_t httpd_tls_count(const struct httpd_tls *t)
{
    return t->n;
}

int httpd_tls_new(struct httpd_tls **out, struct pat_httpd *s, const char *cert, const char *key)
{
    struct httpd_tls *t = calloc(1, sizeof *t);

    if (!t)
        return PAT_ENOMEM;
    t->server = s;
    t->ctx = SSL_CTX_new(TLS_server_method());
    if (!t->ctx) {
        free(t);
        return PAT_ENOMEM;
    }
    SSL_CTX_set_min_proto_version(t->ctx, TLS1_2_VERSION);
    SSL_CTX_set_mode(t->ctx, SSL_MODE_RELEASE_BUFFERS);
    if (SSL_CTX_use_certificate_chain_file(t->ctx, cert) != 1 ||
        SSL_CTX_use_PrivateKey_file(t->ctx, key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(t->ctx) != 1) {
        ERR_clear_error();
        SSL_CTX_free(t->ctx);
        free(t);
        return PAT_EINVAL;
    }
    *out = t;
    return PAT_OK;
}

void httpd_tls_free(struct httpd_tls *t)
{
    if (!t)
        return;
    while (t->sessions)
        session_free(t->sessions);
    SSL_CTX_free(t->ctx);
    free(t);
}
