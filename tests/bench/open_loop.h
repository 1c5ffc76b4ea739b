/* open_loop.h - requests at fixed times over raw sockets, and how long each answer took.
 *
 * Open loop: a request is due at its time whatever became of the ones before, and a late one counts
 * from when it was due, so that a stall shows in full. Raw sockets: the figures are to be the
 * server's, not a client library's. Ends the process on any fault. Thread: one.
 */
#ifndef OPEN_LOOP_H
#define OPEN_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OPEN_LOOP_REQUEST_MAX 16384

struct open_loop {
    int port; /* on 127.0.0.1 */
    int connections;
    double rate; /* a second */
    double seconds;
    size_t (*write)(void *arg, char *out, size_t cap); /* one whole request; its length */
    bool (*good)(const char *response);
    void *arg;
};

struct open_loop_result {
    size_t done, wrong;
    double per_second;
    int32_t p50_us, p90_us, p99_us, max_us;
};

void open_loop_run(const struct open_loop *o, struct open_loop_result *r);

#endif
