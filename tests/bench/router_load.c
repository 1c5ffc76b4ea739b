/* router_load.c - signed voice webhooks at a fixed rate: how long answers take, what they cost the
 * router's process.
 *
 *   PAT_SIGNALWIRE_SIGNING_KEY=... router_load PORT PUBLIC_URL NUMBER RATE SECONDS CONNECTIONS PID
 * NATS_URL
 *
 * Open loop: requests are due at fixed times, and a late one counts from when it was due, so that a
 * stall shows in full. Each has its own call id and signature. A thread answers agent.prepare, as
 * the agents would. Prints one JSON line. Raw sockets: the figures are to be the router's, not a
 * client library's.
 */
#include "pat.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNECTIONS_MAX 256
#define RESPONSE_MAX    16384
#define PATH            "/v1/signalwire/voice"

struct client {
    int fd;
    int64_t due_ns;
    bool busy;
    size_t len;
    char in[RESPONSE_MAX];
};

struct load {
    const char *url, *number, *key;
    int n_clients, epoll;
    struct client clients[CONNECTIONS_MAX];
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
    fprintf(stderr, "router_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ------------------------------------------------------------------ one request */

static size_t write_request(const struct load *l, char *out, size_t cap)
{
    struct pat_id id = pat_id_new();
    struct pat_param params[] = { { "CallSid", id.s },
                                  { "AccountSid", "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee" },
                                  { "ApiVersion", "2010-04-01" },
                                  { "From", "+15550109999" },
                                  { "To", l->number },
                                  { "CallStatus", "ringing" },
                                  { "Direction", "inbound" } };
    struct pat_buf body, sig;
    int n;

    pat_buf_init(&body, 4096);
    pat_buf_init(&sig, 256);
    for (size_t i = 0; i < sizeof params / sizeof params[0]; i++) {
        pat_buf_addf(&body, "%s%s=", i ? "&" : "", params[i].name);
        pat_url_encode(&body, params[i].value);
    }
    if (pat_sign_signalwire_form(&sig, l->key, l->url, params, sizeof params / sizeof params[0]))
        die("sign");
    n = snprintf(out, cap,
                 "POST " PATH
                 " HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/x-www-form-urlencoded"
                 "\r\nX-SignalWire-Signature: %s\r\nContent-Length: %zu\r\n\r\n%s",
                 sig.data, body.len, body.data);
    pat_buf_fini(&body);
    pat_buf_fini(&sig);
    return (size_t)n;
}

static void ask(struct load *l, struct client *c, int64_t due_ns)
{
    char text[4096];
    size_t len = write_request(l, text, sizeof text);

    c->due_ns = due_ns;
    c->busy = true;
    c->len = 0;
    if (send(c->fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
        die("send");
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
        die("the router closed a connection");
    c->len += (size_t)n;
    if (!complete(c))
        return;
    l->wrong += strncmp(c->in, "HTTP/1.1 200", 12) || !strstr(c->in, "<Dial");
    l->took_us[l->done++] = (int32_t)((now_ns() - c->due_ns) / 1000);
    c->busy = false;
}

/* ------------------------------------------------------------------ the run */

static void connect_all(struct load *l, int port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    int on = 1;

    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    l->epoll = epoll_create1(EPOLL_CLOEXEC);
    for (int i = 0; i < l->n_clients; i++) {
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
    for (int i = 0; i < l->n_clients; i++)
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

/* User and system time of a process, all its threads, in microseconds (proc(5), stat 14 and 15). */
static int64_t cpu_us(int pid)
{
    char path[64], text[1024];
    unsigned long user = 0, system = 0;
    const char *s;
    size_t n;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    f = fopen(path, "re");
    if (!f)
        die(path);
    n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    s = strrchr(text, ')');
    if (!s ||
        sscanf(s + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
        die("stat");
    return (int64_t)(user + system) * 1000000 / sysconf(_SC_CLK_TCK);
}

static int by_size(const void *a, const void *b)
{
    return *(const int32_t *)a - *(const int32_t *)b;
}

static void print(const struct load *l, int64_t cpu, int64_t wall_ns)
{
    size_t n = l->done;

    qsort(l->took_us, n, sizeof *l->took_us, by_size);
    printf(
        "{\"requests\":%zu,\"not_dialled\":%zu,\"per_second\":%.0f,\"cpu_us\":%.1f,\"p50_us\":%d,"
        "\"p90_us\":%d,\"p99_us\":%d,\"max_us\":%d}\n",
        n, l->wrong, (double)n * 1e9 / (double)wall_ns, (double)cpu / (double)n, l->took_us[n / 2],
        l->took_us[n * 9 / 10], l->took_us[n * 99 / 100], l->took_us[n - 1]);
}

/* ------------------------------------------------------------------ the agents' side */

struct agents {
    const char *nats_url;
    struct pat_bus *bus;
    atomic_bool ready;
};

static void on_prepare(const struct pat_msg *m, void *arg)
{
    static const char ok[] = "{\"result\":{\"room\":\"call\"}}";
    struct agents *a = arg;

    if (pat_bus_reply(a->bus, m, ok, sizeof ok - 1))
        fprintf(stderr, "router_load: prepare not answered\n");
}

static void on_state(bool up, void *arg)
{
    struct agents *a = arg;

    a->ready = up;
}

/* Ends with the process. */
static void *answer_prepare(void *arg)
{
    struct agents *a = arg;
    struct pat_loop *loop;
    struct pat_sub *sub;

    if (pat_loop_new(&loop) ||
        pat_bus_new(&a->bus, loop,
                    &(struct pat_bus_opts){
                        .url = a->nats_url, .name = "router_load", .state = on_state, .arg = a }) ||
        pat_bus_subscribe(a->bus, &sub, "pat.rpc.v1.agent.prepare", "agent", on_prepare, a))
        die("nats");
    pat_loop_run(loop);
    return NULL;
}

int main(int argc, char **argv)
{
    static struct load l;
    static struct agents agents;
    const struct timespec pause = { .tv_nsec = 10000000 };
    int64_t cpu, begun;
    pthread_t thread;
    double rate;
    char url[512];

    if (argc != 9 || !getenv("PAT_SIGNALWIRE_SIGNING_KEY")) {
        fprintf(stderr, "usage: PAT_SIGNALWIRE_SIGNING_KEY=... router_load PORT PUBLIC_URL NUMBER "
                        "RATE SECONDS CONNECTIONS PID NATS_URL\n");
        return 2;
    }
    snprintf(url, sizeof url, "%s" PATH, argv[2]);
    rate = strtod(argv[4], NULL);
    l.url = url;
    l.number = argv[3];
    l.key = getenv("PAT_SIGNALWIRE_SIGNING_KEY");
    l.interval_ns = (int64_t)(1e9 / rate);
    l.n_clients = (int)strtol(argv[6], NULL, 10);
    if (l.n_clients < 1 || l.n_clients > CONNECTIONS_MAX)
        die("connections");
    agents.nats_url = argv[8];
    if (pthread_create(&thread, NULL, answer_prepare, &agents))
        die("thread");
    while (!agents.ready)
        nanosleep(&pause, NULL);
    connect_all(&l, (int)strtol(argv[1], NULL, 10));
    l.total = (size_t)(rate * strtod(argv[5], NULL));
    l.took_us = calloc(l.total, sizeof *l.took_us);
    cpu = cpu_us((int)strtol(argv[7], NULL, 10));
    begun = now_ns();
    run(&l);
    cpu = cpu_us((int)strtol(argv[7], NULL, 10)) - cpu;
    print(&l, cpu, now_ns() - begun);
    /* The last calls' agents are still being told: unanswered, they would open the breaker. */
    nanosleep(&(const struct timespec){ .tv_sec = 2 }, NULL);
    free(l.took_us);
    return l.wrong ? 1 : 0;
}
