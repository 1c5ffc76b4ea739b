/* rtc_load.c - what a room costs: joins many with two participants each, who both speak at 50
 * packets a second, and tells CPU, memory and losses per participant as one line of JSON.
 * How: one process, one loop, paced by absolute deadlines in as many phases as fit 20 ms. The
 * packets are of a 32 kb/s voice's size; nothing is encoded.
 *
 *   rtc_load URL KEY SECRET ROOMS SECONDS
 */
#include "roomapi.h"
#include "rtc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PACKET_LEN 80
#define PERIOD_US  20000
#define PHASES     20
#define JOINING    8 /* at a time */

struct bench;

struct member {
    struct bench *bench;
    struct rtc_room *room;
    int64_t joining_since_us;
    uint64_t sent, received;
    bool joined;
};

struct bench {
    struct pat_loop *loop;
    struct pat_net *net;
    struct pat_http *http;
    struct rtc *rtc;
    struct roomapi *api;
    const char *url;
    struct member *members;
    size_t n, started, joined, failed;
    struct pat_timer pace, end;
    int64_t due_us, begin_us, slowest_join_us;
    uint64_t ticks;
    int64_t seconds;
    long rss_before_kb;
    struct rusage before;
};

static long rss_kb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");

    if (!f || fscanf(f, "%*d %ld", &pages) != 1)
        pages = 0;
    if (f)
        (void)fclose(f);
    return pages * sysconf(_SC_PAGESIZE) / 1024;
}

static double cpu_s(const struct rusage *a, const struct rusage *b)
{
    return (double)(b->ru_utime.tv_sec - a->ru_utime.tv_sec) +
           (double)(b->ru_stime.tv_sec - a->ru_stime.tv_sec) +
           (double)(b->ru_utime.tv_usec - a->ru_utime.tv_usec) / 1e6 +
           (double)(b->ru_stime.tv_usec - a->ru_stime.tv_usec) / 1e6;
}

static void join_next(struct bench *b);

static void begin_measuring(struct bench *b)
{
    for (size_t i = 0; i < b->n; i++)
        b->members[i].sent = b->members[i].received = 0;
    (void)pat_loop_lag_us(b->loop);
    (void)getrusage(RUSAGE_SELF, &b->before);
    b->begin_us = pat_now_us();
    pat_timer_start(&b->end, b->seconds * 1000);
}

static void on_joined(void *arg)
{
    struct member *m = arg;
    struct bench *b = m->bench;
    int64_t took_us = pat_now_us() - m->joining_since_us;

    if (m->joined)
        return;
    m->joined = true;
    if (took_us > b->slowest_join_us)
        b->slowest_join_us = took_us;
    if (++b->joined == b->n)
        begin_measuring(b);
    else
        join_next(b);
}

static void on_packet(const struct rtc_packet *p, void *arg)
{
    (void)p;
    ((struct member *)arg)->received++;
}

static void on_left(enum rtc_left reason, void *arg)
{
    struct member *m = arg;

    fprintf(stderr, "left: %d\n", (int)reason);
    m->room = NULL;
    m->bench->failed++;
    pat_timer_start(&m->bench->end, 0);
}

static void ignore_participant(const struct rtc_participant *p, void *arg)
{
    (void)p;
    (void)arg;
}

static void ignore_attribute(const struct rtc_participant *p, const char *n, const char *v,
                             void *arg)
{
    (void)p;
    (void)n;
    (void)v;
    (void)arg;
}

static void ignore(void *arg)
{
    (void)arg;
}

static void ignore_dtmf(const struct rtc_participant *p, char d, void *arg)
{
    (void)p;
    (void)d;
    (void)arg;
}

static void ignore_text(const char *i, const char *t, const char *text, size_t len, void *arg)
{
    (void)i;
    (void)t;
    (void)text;
    (void)len;
    (void)arg;
}

static void join_next(struct bench *b)
{
    static const struct rtc_events events = { on_joined,        ignore_participant,
                                              ignore_attribute, ignore,
                                              on_packet,        ignore_dtmf,
                                              ignore_text,      on_left };
    char room[32], identity[32];

    if (b->started == b->n)
        return;
    struct member *m = &b->members[b->started];
    (void)snprintf(room, sizeof room, "load-%zu", b->started / 2);
    (void)snprintf(identity, sizeof identity, "member-%zu", b->started % 2);
    b->started++;
    PAT_AUTO_STR token = roomapi_token(b->api, room, identity, 600);
    const struct rtc_join j = {
        .url = b->url, .token = token, .track_name = "load", .timeout_ms = 30000
    };
    m->bench = b;
    m->joining_since_us = pat_now_us();
    if (rtc_room_join(&m->room, b->rtc, &j, &events, m)) {
        b->failed++;
        pat_timer_start(&b->end, 0);
    }
}

/* One phase: every PHASES-th member sends. */
static void on_pace(void *arg)
{
    struct bench *b = arg;
    static const uint8_t opus[PACKET_LEN] = { 0x78 };

    for (size_t i = b->ticks % PHASES; i < b->started; i += PHASES) {
        struct member *m = &b->members[i];

        if (m->room && rtc_room_send(m->room, opus, sizeof opus, 960, false, 20) == PAT_OK)
            m->sent++;
    }
    b->ticks++;
    b->due_us += PERIOD_US / PHASES;
    pat_timer_start_at(&b->pace, b->due_us);
}

static void report(struct bench *b)
{
    struct rusage now;
    double seconds = (double)(pat_now_us() - b->begin_us) / 1e6;
    uint64_t sent = 0, received = 0;

    (void)getrusage(RUSAGE_SELF, &now);
    for (size_t i = 0; i < b->n; i++) {
        sent += b->members[i].sent;
        received += b->members[i].received;
    }
    printf("{\"participants\":%zu,\"failed\":%zu,\"rss_kb_each\":%.0f,\"cpu_percent_each\":%.3f,"
           "\"sent_per_s\":%.1f,\"received_share\":%.4f,\"loop_lag_ms\":%.1f,"
           "\"slowest_join_ms\":%lld}\n",
           b->n, b->failed, (double)(rss_kb() - b->rss_before_kb) / (double)b->n,
           100 * cpu_s(&b->before, &now) / seconds / (double)b->n,
           (double)sent / seconds / (double)b->n, sent ? (double)received / (double)sent : 0,
           (double)pat_loop_lag_us(b->loop) / 1000, (long long)(b->slowest_join_us / 1000));
    (void)fflush(stdout);
}

static void on_net_closed(void *arg)
{
    (void)arg;
}

static void on_rtc_closed(void *arg)
{
    struct bench *b = arg;

    roomapi_free(b->api);
    pat_http_free(b->http);
    pat_net_close(b->net, on_net_closed, b);
}

static void on_end(void *arg)
{
    struct bench *b = arg;

    report(b);
    for (size_t i = 0; i < b->n; i++)
        rtc_room_abort(b->members[i].room);
    pat_timer_fini(&b->pace);
    pat_timer_fini(&b->end);
    rtc_close(b->rtc, on_rtc_closed, b);
}

static int build(struct bench *b, char **argv)
{
    const struct pat_http_opts http = { 0 };
    int err = pat_loop_new(&b->loop);

    if (!err)
        err = pat_net_new(&b->net, b->loop, NULL);
    if (!err)
        err = pat_http_new(&b->http, b->loop, &http);
    if (!err)
        err = rtc_new(&b->rtc, b->loop, b->net, NULL);
    if (!err)
        err = roomapi_new(&b->api, b->http, argv[1], argv[2], argv[3]);
    if (!err)
        err = pat_timer_init(&b->pace, b->loop, on_pace, b);
    if (!err)
        err = pat_timer_init(&b->end, b->loop, on_end, b);
    return err;
}

int main(int argc, char **argv)
{
    struct bench b = { 0 };
    const struct pat_log_opts log = { .service = "rtc_load", .level = PAT_WARN, .fd = 2 };

    if (argc != 6)
        return 2;
    pat_log_setup(&log);
    b.url = argv[1];
    b.n = 2 * (size_t)strtoul(argv[4], NULL, 10);
    b.seconds = strtol(argv[5], NULL, 10);
    b.members = calloc(b.n, sizeof *b.members);
    if (!b.members || build(&b, argv))
        return 2;
    b.rss_before_kb = rss_kb();
    b.due_us = pat_now_us();
    on_pace(&b);
    for (int i = 0; i < JOINING; i++)
        join_next(&b);
    pat_loop_run(b.loop);
    free(b.members);
    return pat_loop_free(b.loop) || b.failed;
}
