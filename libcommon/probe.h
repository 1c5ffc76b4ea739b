/* probe.h - somebody looks whether a stack could serve a call, once a minute, and says so.
 *
 * One process of all does it at a time: it claims the next look in KV bucket pat_health (key
 * probe.<stack>) by compare-and-set. While something is wrong it looks every few seconds. What was
 * found once and may be an accident is looked at again before it is told. Told as event
 * health.stack of probe "api", which the routers hear. With NATS away nobody can be told, and
 * nobody looks. Thread: the loop's.
 */
#ifndef PAT_PROBE_H
#define PAT_PROBE_H

#include "bus.h"
#include "metrics.h"

struct pat_probe;

enum pat_probe_word { PAT_PROBE_UP, PAT_PROBE_DEGRADED, PAT_PROBE_DOWN };

struct pat_probe_found {
    enum pat_probe_word word;
    bool sure;          /* down whatever calls say: told at once */
    const char *reason; /* short, for people; NULL when up */
};

/* Looks, then says what it found by pat_probe_found: exactly once, now or later, within ten seconds
 * or so. */
typedef void pat_probe_look_fn(void *arg);

struct pat_probe_opts {
    struct pat_loop *loop;
    struct pat_bus *bus;
    struct pat_metrics *metrics;
    const char *stack;  /* literal */
    const char *source; /* of the events; literal */
    int64_t every_ms;   /* 0: nobody looks */
};

int pat_probe_new(struct pat_probe **out, const struct pat_probe_opts *opts,
                  pat_probe_look_fn *look, void *arg) PAT_MUST_CHECK;
void pat_probe_found(struct pat_probe *p, const struct pat_probe_found *f);
void pat_probe_free(struct pat_probe *p); /* NULL is fine */

#endif
