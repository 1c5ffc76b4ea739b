/* router_load.c - signed voice webhooks at a fixed rate: how long answers take, what they cost the
 * router's process.
 *
 *   PAT_SIGNALWIRE_SIGNING_KEY=... router_load PORT PUBLIC_URL NUMBER RATE SECONDS CONNECTIONS PID
 * NATS_URL
 *
 * Each has its own call id and signature (open_loop.h sends them). A thread answers agent.prepare,
 * as the agents would. Prints one JSON line.
 */
#include "open_loop.h"
#include "pat.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATH "/v1/signalwire/voice"

struct load {
    const char *url, *number, *key;
};

static void die(const char *what)
{
    fprintf(stderr, "router_load: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ------------------------------------------------------------------ one request */

static size_t write_request(void *arg, char *out, size_t cap)
{
    const struct load *l = arg;
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

static bool is_dialled(const char *response)
{
    return !strncmp(response, "HTTP/1.1 200", 12) && strstr(response, "<Dial");
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

static void print(const struct open_loop_result *r, int64_t cpu)
{
    printf("{\"requests\":%zu,\"not_dialled\":%zu,\"per_second\":%.0f,\"cpu_us\":%.1f,"
           "\"p50_us\":%d,\"p90_us\":%d,\"p99_us\":%d,\"max_us\":%d}\n",
           r->done, r->wrong, r->per_second, (double)cpu / (double)r->done, r->p50_us, r->p90_us,
           r->p99_us, r->max_us);
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
    struct open_loop loop = { .write = write_request, .good = is_dialled, .arg = &l };
    struct open_loop_result result;
    int64_t cpu;
    pthread_t thread;
    char url[512];

    if (argc != 9 || !getenv("PAT_SIGNALWIRE_SIGNING_KEY")) {
        fprintf(stderr, "usage: PAT_SIGNALWIRE_SIGNING_KEY=... router_load PORT PUBLIC_URL NUMBER "
                        "RATE SECONDS CONNECTIONS PID NATS_URL\n");
        return 2;
    }
    snprintf(url, sizeof url, "%s" PATH, argv[2]);
    l.url = url;
    l.number = argv[3];
    l.key = getenv("PAT_SIGNALWIRE_SIGNING_KEY");
    loop.port = (int)strtol(argv[1], NULL, 10);
    loop.rate = strtod(argv[4], NULL);
    loop.seconds = strtod(argv[5], NULL);
    loop.connections = (int)strtol(argv[6], NULL, 10);
    agents.nats_url = argv[8];
    if (pthread_create(&thread, NULL, answer_prepare, &agents))
        die("thread");
    while (!agents.ready)
        nanosleep(&pause, NULL);
    cpu = cpu_us((int)strtol(argv[7], NULL, 10));
    open_loop_run(&loop, &result);
    print(&result, cpu_us((int)strtol(argv[7], NULL, 10)) - cpu);
    /* The last calls' agents are still being told: unanswered, they would open the breaker. */
    nanosleep(&(const struct timespec){ .tv_sec = 2 }, NULL);
    return result.wrong ? 1 : 0;
}
