/* health_report.h - how the providers of this process are doing, told as health.stack.
 *
 * One probe per part ("stt", "llm", "tts"): up, degraded while somebody of its chain is left out,
 * down when all are.
 */
#ifndef CALL_HEALTH_REPORT_H
#define CALL_HEALTH_REPORT_H

#include "env.h"

/* A provider_change_fn; env is a struct env. */
void health_changed(const struct provider *p, bool up, void *env);

#endif
