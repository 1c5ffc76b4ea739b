/* agent_load.c - N phone calls for one livekit-agent without a LiveKit server: see
 * agent_load_bench.py.
 *
 *   agent_load PORT CALLS PCM_FILE NOISE PERIOD_MS
 *
 * Commands on standard input, a line of JSON for each on standard output: "wait" (until all calls
 * run), "measure SECONDS".
 */
#include "sfu.h"
#include "ws.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { RESPONSES = 100000 };

struct load {
    struct pat_loop *loop;
    struct sfu *sfu;
    size_t calls;
    struct figures figures;
    struct pat_poll *commands;
    struct pat_timer timer;
    bool waiting;
};

static int by_size(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static double response_ms(const struct figures *f, double share)
{
    size_t at = (size_t)(share * (double)f->n_responses);

    if (!f->n_responses)
        return -1;
    return (double)f->response_us[at < f->n_responses ? at : f->n_responses - 1] / 1000;
}

static void report(struct load *l)
{
    struct figures *f = &l->figures;

    qsort(f->response_us, f->n_responses, sizeof *f->response_us, by_size);
    printf("{\"calls\":%zu,\"packets\":%llu,\"voiced_share\":%.3f,\"turns\":%llu,"
           "\"unanswered\":%llu,\"responses\":%zu,\"response_p50_ms\":%.1f,"
           "\"response_p95_ms\":%.1f,\"late_p50_ms\":%.1f,\"late_p99_ms\":%.1f,"
           "\"late_p999_ms\":%.1f}\n",
           sfu_greeted(l->sfu), (unsigned long long)f->packets,
           f->packets ? (double)f->voiced / (double)f->packets : 0, (unsigned long long)f->turns,
           (unsigned long long)f->unanswered, f->n_responses, response_ms(f, 0.5),
           response_ms(f, 0.95), (double)figures_late_us(f, 0.5) / 1000,
           (double)figures_late_us(f, 0.99) / 1000, (double)figures_late_us(f, 0.999) / 1000);
    (void)fflush(stdout);
}

static void on_timer(void *arg)
{
    struct load *l = arg;

    if (!l->waiting) {
        report(l);
    } else if (sfu_greeted(l->sfu) == l->calls) {
        l->waiting = false;
        printf("{\"calls\":%zu}\n", l->calls);
        (void)fflush(stdout);
    } else {
        pat_timer_start(&l->timer, 100);
    }
}

static void measure(struct load *l, int64_t seconds)
{
    int64_t *room = l->figures.response_us;

    memset(&l->figures, 0, sizeof l->figures);
    l->figures.response_us = room;
    l->figures.cap_responses = RESPONSES;
    sfu_measure(l->sfu, &l->figures);
    pat_timer_start(&l->timer, seconds * 1000);
}

static void on_command(int err, int events, void *arg)
{
    struct load *l = arg;
    char line[128];
    ssize_t n = read(STDIN_FILENO, line, sizeof line - 1);

    (void)err;
    (void)events;
    if (n <= 0) { /* whoever started us has gone */
        pat_poll_close(l->commands);
        pat_loop_stop(l->loop);
        return;
    }
    line[n] = '\0';
    l->waiting = strncmp(line, "wait", 4) == 0;
    if (l->waiting)
        pat_timer_start(&l->timer, 0);
    else if (strncmp(line, "measure ", 8) == 0)
        measure(l, strtol(line + 8, NULL, 10));
}

int main(int argc, char **argv)
{
    struct load l = { 0 };
    struct recording r;
    struct pat_net *net;

    if (argc != 6) {
        (void)fprintf(stderr, "usage: agent_load PORT CALLS PCM_FILE NOISE PERIOD_MS\n");
        return 2;
    }
    l.calls = strtoul(argv[2], NULL, 10);
    l.figures.response_us = calloc(RESPONSES, sizeof *l.figures.response_us);
    if (!l.figures.response_us ||
        recording_load(&r, argv[3], (int)strtol(argv[4], NULL, 10), strtol(argv[5], NULL, 10)) ||
        pat_loop_new(&l.loop) || pat_net_new(&net, l.loop, NULL) ||
        sfu_new(&l.sfu, l.loop, net, &r, l.calls, (int)strtol(argv[1], NULL, 10)) ||
        pat_timer_init(&l.timer, l.loop, on_timer, &l) ||
        pat_poll_new(&l.commands, l.loop, STDIN_FILENO, on_command, &l) ||
        pat_poll_set(l.commands, PAT_POLL_IN)) {
        (void)fprintf(stderr, "agent_load: could not start\n");
        return 1;
    }
    pat_loop_run(l.loop);
    return 0; /* a program of one run: what it holds goes with it */
}
