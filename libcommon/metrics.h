/* metrics.h - counters, gauges and histograms in the Prometheus text format (version 0.0.4).
 *
 * A series is found once and then bumped through its handle. Label sets are bounded: past
 * PAT_METRIC_SERIES per family new ones fall into a series whose labels read "other". Thread: the
 * loop's.
 */
#ifndef PAT_METRICS_H
#define PAT_METRICS_H

#include "buf.h"

#include <stdint.h>

#define PAT_METRIC_SERIES 200

struct pat_metrics;
struct pat_counter;
struct pat_gauge;
struct pat_histogram;

int pat_metrics_new(struct pat_metrics **out);
void pat_metrics_free(struct pat_metrics *m);

/* Adds name="value" with the value escaped, behind a comma when out is not empty: for labels whose
 * values are not literals. */
int pat_metric_label(struct pat_buf *out, const char *name, const char *value);

/* name, help and labels follow Prometheus' rules; labels as text:
 * "stack=\"retell\",reason=\"busy\"" or NULL. The same name and labels give the same handle. Never
 * NULL, out of memory gives a series that is not shown - but for m NULL, which gives NULL, and that
 * is fine to bump. */
struct pat_counter *pat_counter(struct pat_metrics *m, const char *name, const char *help,
                                const char *labels);
struct pat_gauge *pat_gauge(struct pat_metrics *m, const char *name, const char *help,
                            const char *labels);
/* bounds: ascending, in the unit the name ends with; borrowed (a static table). */
struct pat_histogram *pat_histogram(struct pat_metrics *m, const char *name, const char *help,
                                    const char *labels, const double *bounds, size_t n);
void pat_counter_add(struct pat_counter *c, double v);
void pat_gauge_set(struct pat_gauge *g, double v);
void pat_gauge_add(struct pat_gauge *g, double v);
void pat_histogram_observe(struct pat_histogram *h, double v);

/* Seconds, from 0.5 ms to 10 s. */
extern const double pat_buckets_latency_s[14];

int pat_metrics_print(const struct pat_metrics *m, struct pat_buf *out) PAT_MUST_CHECK;

#endif
