/* open_loop.c - see open_loop.h. */
#include "open_loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define RESPONSE_MAX    16384

struct client {
    int fd;
    int64_t due_ns;
    bool busy;
    size_t len;
    char in[RESPONSE_MAX];
};

struct load {
    const struct open_loop *o;
    int epoll;
    struct client *clients;
    int64_t interval_ns;
    size_t total, issued, done, wrong;
    int32_t *took_us;
};

static int64_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void ask(struct load *l, struct client *c, int64_t due_ns)
{
    char text[OPEN_LOOP_REQUEST_MAX];
    size_t len = l->o->write(l->o->arg, text, sizeof text);

    c->due_ns = due_ns;
    c->busy = true;
    c->len = 0;
    if (send(c->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        die("send"); /* the socket's buffer is empty, and larger */
    l->issued++;
}

/* The whole answer is there. */
static bool complete(struct client *c)
{
    const char *head, *length;

    c->in[c->len] = 0;
    head = strstr(c->in, "\r\n\r\n");
    length = head ? strcasestr(c->in, "content-length:") : NULL;
    return length && c->len >= (size_t)(head + 4 - c->in) + strtoul(length + 15, NULL, 10);
}

static void hear(struct load *l, struct client *c)
{
    ssize_t n = recv(c->fd, c->in + c->len, sizeof c->in - 1 - c->len, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0)
        die("the server closed a connection");
    c->len += (size_t)n;
    if (!complete(c))
        return;
    l->wrong += !l->o->good(c->in);
    l->took_us[l->done++] = (int32_t)((now_ns() - c->due_ns) / 1000);
    c->busy = false;
}

/* ------------------------------------------------------------------ the run */

static void connect_all(struct load *l)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)l->o->port) };
    int on = 1;

    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < l->o->connections; i++) {
        struct client *c = &l->clients[i];
        struct epoll_event e = { .events = EPOLLIN, .data.ptr = c };

        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connect(c->fd, (struct sockaddr *)&to, sizeof to))
            die("connect");
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &e);
    }
}

static struct client *idle_client(struct load *l)
{
    for (int i = 0; i < l->o->connections; i++)
        if (!l->clients[i].busy)
            return &l->clients[i];
    return NULL;
}

static void run(struct load *l)
{
    int64_t due_ns = now_ns() + l->interval_ns;
    struct epoll_event events[64];
    struct client *c;

    l->issued = l->done = l->wrong = 0;
    while (l->done < l->total) {
        int64_t left = due_ns - now_ns();
        struct timespec t;
        int n;

        if (left <= 0 && l->issued < l->total && (c = idle_client(l))) {
            ask(l, c, due_ns);
            due_ns += l->interval_ns;
            continue;
        }
        if (left < 0 || l->issued == l->total)
            left = 1000000000;
        t = (struct timespec){ .tv_sec = left / 1000000000, .tv_nsec = left % 1000000000 };
        n = epoll_pwait2(l->epoll, events, 64, &t, NULL);
        for (int i = 0; i < n; i++)
            hear(l, events[i].data.ptr);
    }
}

static int by_size(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

void open_loop_run(const struct open_loop *o, struct open_loop_result *r)
{
    struct load l = { .o = o, .interval_ns = (int64_t)(1e9 / o->rate) };
    int64_t begun;
    size_t n;

    l.total = (size_t)(o->rate * o->seconds);
    if (o->connections < 1 || o->connections > CONNECTIONS_MAX || !l.total)
        die("connections, or too short");
    l.clients = calloc((size_t)o->connections, sizeof *l.clients);
    l.took_us = calloc(l.total, sizeof *l.took_us);
    if (!l.clients || !l.took_us)
        die("memory");
    connect_all(&l);
    begun = now_ns();
    run(&l);
    n = l.done;
    qsort(l.took_us, n, sizeof *l.took_us, by_size);
    *r = (struct open_loop_result){
        .done = n,
        .wrong = l.wrong,
        .per_second = (double)n * 1e9 / (double)(now_ns() - begun),
        .p50_us = l.took_us[n / 2],
        .p90_us = l.took_us[n * 9 / 10],
        .p99_us = l.took_us[n * 99 / 100],
        .max_us = l.took_us[n - 1],
    };
    for (int i = 0; i < o->connections; i++)
        close(l.clients[i].fd);
    close(l.epoll);
    free(l.clients);
    free(l.took_us);
}
