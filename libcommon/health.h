/* health.h - is the process alive, is it ready, and what does it need: /healthz, /readyz, /metrics,
 * /version.
 *
 * Alive: the loop turns (answering proves it). Ready: every required check is up and the daemon is
 * not draining. Checks that are not required are shown but do not make it unready (new calls are
 * answered with NATS away).
 */
#ifndef PAT_HEALTH_H
#define PAT_HEALTH_H

#include "httpd.h"
#include "metrics.h"

struct pat_health;

int pat_health_new(struct pat_health **out, struct pat_metrics *m) PAT_MUST_CHECK;
void pat_health_free(struct pat_health *h);
/* name is a borrowed literal; starts as down. */
int pat_health_check(struct pat_health *h, const char *name, bool required);
void pat_health_set(struct pat_health *h, const char *name, bool up, const char *detail);
void pat_health_drain(struct pat_health *h);
bool pat_health_ready(const struct pat_health *h);
/* Adds GET /healthz, /readyz, /metrics, /version. */
int pat_health_routes(struct pat_health *h, struct pat_httpd *s,
                      const char *service) PAT_MUST_CHECK;

#endif
