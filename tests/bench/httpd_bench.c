/* httpd_bench.c - what one JSON webhook costs our HTTP server, in CPU of the server's process.
 *
 *   httpd_bench [connections] [seconds]
 *
 * The child serves POST /echo (parse, build, print JSON); the parent keeps every connection busy
 * with one request at a time, then reads the child's CPU time from wait4. Wall-clock figures are
 * only hints: both share the machine.
 */
#include "httpd.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CLIENTS 1024
#define DRAIN_MS    2000

/* ---- the server ---- */

struct server {
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_httpd *httpd;
    struct pat_signal *term;
};

static void on_echo(struct pat_httpd_req *r, void *arg)
{
    PAT_AUTO_JSON in = NULL;
    PAT_AUTO_JSON out = NULL;
    size_t len;
    const char *body = pat_httpd_body(r, &len);

    (void)arg;
    if (pat_json_parse(&in, body, len, NULL)) {
        pat_httpd_reply_error(r, PAT_EINVAL, NULL, "not JSON");
        return;
    }
    out = pat_json_obj();
    pat_json_set_str(out, "call", pat_json_str_or(in, "call.id", ""));
    pat_json_set_str(out, "from", pat_json_str_or(in, "call.from", ""));
    pat_json_set_bool(out, "ok", true);
    pat_httpd_reply_json(r, 200, out);
}

static void on_net_closed(void *arg)
{
    struct server *s = arg;

    pat_signal_close(s->term);
}

static void on_drained(void *arg)
{
    struct server *s = arg;

    pat_net_close(s->net, on_net_closed, s);
}

static void on_term(int signum, void *arg)
{
    struct server *s = arg;

    (void)signum;
    pat_httpd_drain(s->httpd, DRAIN_MS, on_drained, s);
}

static int serve(int port_fd)
{
    static const struct pat_httpd_opts opts = { .listen = "127.0.0.1:0" };
    struct server s;
    int port;

    if (pat_loop_new(&s.loop) || pat_net_new(&s.net, s.loop, NULL) ||
        pat_httpd_new(&s.httpd, s.net, &opts) ||
        pat_httpd_route(s.httpd, "POST", "/echo", 0, on_echo, NULL) || pat_httpd_listen(s.httpd) ||
        pat_signal_new(&s.term, s.loop, SIGTERM, on_term, &s))
        return 1;
    port = pat_httpd_port(s.httpd);
    if (write(port_fd, &port, sizeof port) != sizeof port)
        return 1;
    pat_loop_run(s.loop);
    return pat_loop_free(s.loop) ? 1 : 0;
}

/* ---- the load ---- */

static const char body[] =
    "{\"call\":{\"id\":\"0193c1c0-0000-7000-8000-000000000001\",\"from\":\"+15551230001\","
    "\"to\":\"+15551230002\",\"direction\":\"inbound\",\"state\":\"created\",\"headers\":["
    "{\"name\":\"X-A\",\"value\":\"one\"},{\"name\":\"X-B\",\"value\":\"two\"}]},"
    "\"vars\":{\"a\":1,\"b\":2.5,\"c\":true,\"d\":null},\"project\":\"demo\",\"space\":\"example\"}";

struct load {
    int epoll;
    char request[2048];
    size_t request_len;
    uint64_t answers;
    uint64_t bad;
};

static bool ask(const struct load *l, int fd)
{
    return send(fd, l->request, l->request_len, MSG_NOSIGNAL) == (ssize_t)l->request_len;
}

static int open_client(struct load *l, int port)
{
    struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
    struct epoll_event ev = { .events = EPOLLIN };
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ev.data.fd = fd;
    if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) ||
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) || !ask(l, fd))
        return -1;
    return fd;
}

/* Answers are small and sent at once: one read is one answer. */
static bool take_answer(struct load *l, int fd)
{
    char answer[4096];
    ssize_t n = recv(fd, answer, sizeof answer, 0);

    if (n <= 0)
        return false;
    l->answers++;
    if (n < 12 || memcmp(answer, "HTTP/1.1 200", 12) || answer[n - 1] != '}')
        l->bad++;
    return ask(l, fd);
}

static int run_load(struct load *l, int port, int clients, int64_t until_us)
{
    struct epoll_event events[64];

    for (int i = 0; i < clients; i++)
        if (open_client(l, port) < 0)
            return -1;
    while (pat_now_us() < until_us) {
        int n = epoll_wait(l->epoll, events, 64, 100);

        for (int i = 0; i < n; i++)
            if (!take_answer(l, events[i].data.fd))
                return -1;
    }
    return 0;
}

static double cpu_us(const struct rusage *u)
{
    return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e6 +
           (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

int main(int argc, char **argv)
{
    int clients = argc > 1 ? (int)strtol(argv[1], NULL, 10) : 64;
    int64_t seconds = argc > 2 ? strtol(argv[2], NULL, 10) : 5;
    struct load l = { .epoll = epoll_create1(EPOLL_CLOEXEC) };
    struct rusage usage;
    int pipe_fd[2], port, status, failed;
    double cpu;
    pid_t pid;

    if (clients < 1 || clients > MAX_CLIENTS || seconds < 1 || pipe(pipe_fd))
        return 2;
    pid = fork();
    if (pid == 0)
        _exit(serve(pipe_fd[1]));
    close(pipe_fd[1]);
    if (pid < 0 || read(pipe_fd[0], &port, sizeof port) != sizeof port)
        return 2;
    l.request_len = (size_t)snprintf(l.request, sizeof l.request,
                                     "POST /echo HTTP/1.1\r\nHost: bench\r\nUser-Agent: bench\r\n"
                                     "Accept: */*\r\nContent-Type: application/json\r\n"
                                     "Content-Length: %zu\r\n\r\n%s",
                                     sizeof body - 1, body);
    failed = run_load(&l, port, clients, pat_now_us() + seconds * 1000000);
    kill(pid, SIGTERM);
    if (wait4(pid, &status, 0, &usage) != pid || status || failed || l.bad || !l.answers) {
        fprintf(stderr, "failed: status %d, %lu bad answers\n", status, (unsigned long)l.bad);
        return 1;
    }
    cpu = cpu_us(&usage);
    printf("connections %d, requests %lu, %.0f per second, server CPU %.1f us per request "
           "(user %.1f), %.0f requests per second and core\n",
           clients, (unsigned long)l.answers, (double)l.answers / (double)seconds,
           cpu / (double)l.answers,
           ((double)usage.ru_utime.tv_sec * 1e6 + (double)usage.ru_utime.tv_usec) /
               (double)l.answers,
           1e6 / (cpu / (double)l.answers));
    return 0;
}
