/* metrics.c - families of series, found by name and labels, printed in the order they were made.
 *
 * A bump is one addition. Finding is a walk over names, so callers keep their handles.
 * No timestamps, no summaries, no removal of series.
 */
#include "metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pat_counter {
    double v;
};

struct pat_gauge {
    double v;
};

struct pat_histogram {
    const double *bounds;
    size_t n;
    double sum;
    uint64_t *counts; /* n + 1: one per bound, not added up, and the rest */
    uint64_t rest[1]; /* what counts points to when there are no bounds */
};

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct series {
    struct series *next;
    char *labels; /* "" for none */
    union {
        struct pat_counter counter;
        struct pat_gauge gauge;
        struct pat_histogram histogram;
    } u;
};

struct family {
    struct family *next;
    char *name;
    char *help;
    enum kind kind;
    struct series *first;
    struct series **last;
    size_t n;
};

struct pat_metrics {
    struct family *first;
    struct family **last;
    /* Where bumps go that have no series: not shown. */
    struct pat_counter lost_counter;
    struct pat_gauge lost_gauge;
    struct pat_histogram lost_histogram;
};

const double pat_buckets_latency_s[14] = { 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05,
                                           0.1,    0.2,   0.5,   1,     2,    5,    10 };

int pat_metrics_new(struct pat_metrics **out)
{
    struct pat_metrics *m = calloc(1, sizeof *m);

    if (!m)
        return PAT_ENOMEM;
    m->last = &m->first;
    m->lost_histogram.counts = m->lost_histogram.rest;
    *out = m;
    return PAT_OK;
}

static void free_series(struct series *s, enum kind kind)
{
    if (kind == HISTOGRAM && s->u.histogram.counts != s->u.histogram.rest)
        free(s->u.histogram.counts);
    free(s->labels);
    free(s);
}

static void free_family(struct family *f)
{
    while (f->first) {
        struct series *s = f->first;

        f->first = s->next;
        free_series(s, f->kind);
    }
    free(f->name);
    free(f->help);
    free(f);
}

void pat_metrics_free(struct pat_metrics *m)
{
    while (m && m->first) {
        struct family *f = m->first;

        m->first = f->next;
        free_family(f);
    }
    free(m);
}

/* --- Labels ----------------------------------------------------------------------------------- */

int pat_metric_label(struct pat_buf *out, const char *name, const char *value)
{
    pat_buf_adds(out, out->len ? "," : "");
    pat_buf_addf(out, "%s=\"", name);
    for (; *value; value++) {
        if (*value == '\\' || *value == '"')
            pat_buf_add(out, "\\", 1);
        pat_buf_add(out, *value == '\n' ? "\\n" : value, *value == '\n' ? 2 : 1);
    }
    return pat_buf_add(out, "\"", 1);
}

static bool name_char(char c, bool first)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (!first && c >= '0' && c <= '9');
}

/* Length of one name="value" at s, 0 when it is not one. value_at: where the value begins. */
static size_t label_len(const char *s, size_t *value_at)
{
    size_t n = 0;

    while (name_char(s[n], n == 0))
        n++;
    if (!n || s[n] != '=' || s[n + 1] != '"')
        return 0;
    *value_at = n += 2;
    for (; s[n] && s[n] != '"' && s[n] != '\n'; n++)
        if (s[n] == '\\' && (!s[++n] || !strchr("\\\"n", s[n])))
            return 0;
    return s[n] == '"' ? n + 1 : 0;
}

static bool labels_valid(const char *labels)
{
    size_t value_at;
    size_t n;

    while (*labels) {
        n = label_len(labels, &value_at);
        labels += n;
        if (!n || (*labels && *labels != ',') || (*labels && !*++labels))
            return false;
    }
    return true;
}

/* The same names, every value "other". NULL: no memory. */
static char *other_labels(const char *labels)
{
    struct pat_buf out;
    size_t value_at;
    size_t n;
    char *text;

    pat_buf_init(&out, 2 * strlen(labels) + 8 * strlen(labels));
    while (*labels) {
        n = label_len(labels, &value_at);
        pat_buf_add(&out, labels, value_at);
        pat_buf_adds(&out, "other\"");
        labels += n;
        if (*labels)
            pat_buf_add(&out, labels++, 1);
    }
    text = pat_buf_take(&out);
    pat_buf_fini(&out);
    return text;
}

/* --- Finding ---------------------------------------------------------------------------------- */

static struct family *find_family(struct pat_metrics *m, const char *name)
{
    struct family *f = m->first;

    while (f && strcmp(f->name, name) != 0)
        f = f->next;
    return f;
}

static struct family *add_family(struct pat_metrics *m, const char *name, const char *help,
                                 enum kind kind)
{
    struct family *f = calloc(1, sizeof *f);

    if (!f)
        return NULL;
    f->kind = kind;
    f->last = &f->first;
    f->name = strdup(name);
    f->help = strdup(help);
    if (!f->name || !f->help) {
        free_family(f);
        return NULL;
    }
    *m->last = f;
    m->last = &f->next;
    return f;
}

static struct series *find_series(struct family *f, const char *labels)
{
    struct series *s = f->first;

    while (s && strcmp(s->labels, labels) != 0)
        s = s->next;
    return s;
}

static struct series *add_series(struct family *f, const char *labels, const double *bounds,
                                 size_t n)
{
    struct series *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->labels = strdup(labels);
    if (!s->labels)
        goto fail;
    if (f->kind == HISTOGRAM) {
        s->u.histogram.bounds = bounds;
        s->u.histogram.n = n;
        s->u.histogram.counts = calloc(n + 1, sizeof *s->u.histogram.counts);
        if (!s->u.histogram.counts)
            goto fail;
    }
    *f->last = s;
    f->last = &s->next;
    f->n++;
    return s;

fail:
    free(s->labels);
    free(s);
    return NULL;
}

static struct series *other_series(struct family *f, const char *labels, const double *bounds,
                                   size_t n)
{
    char *other = other_labels(labels);
    struct series *s = other ? find_series(f, other) : NULL;

    if (other && !s)
        s = add_series(f, other, bounds, n);
    free(other);
    return s;
}

/* NULL when there is no memory, and for a name or labels that are wrong: those come from our code,
 * are our bug, and must not spoil the whole page. */
static struct series *find_or_add(struct pat_metrics *m, enum kind kind, const char *name,
                                  const char *help, const char *labels, const double *bounds,
                                  size_t n)
{
    struct family *f = find_family(m, name);
    struct series *s;

    labels = labels ? labels : "";
    if (!f)
        f = add_family(m, name, help, kind);
    if (!f || f->kind != kind)
        return NULL;
    s = find_series(f, labels);
    if (s)
        return s;
    if (!labels_valid(labels))
        return NULL;
    return f->n < PAT_METRIC_SERIES ? add_series(f, labels, bounds, n)
                                    : other_series(f, labels, bounds, n);
}

struct pat_counter *pat_counter(struct pat_metrics *m, const char *name, const char *help,
                                const char *labels)
{
    struct series *s = m ? find_or_add(m, COUNTER, name, help, labels, NULL, 0) : NULL;

    if (!m)
        return NULL;
    return s ? &s->u.counter : &m->lost_counter;
}

struct pat_gauge *pat_gauge(struct pat_metrics *m, const char *name, const char *help,
                            const char *labels)
{
    struct series *s = m ? find_or_add(m, GAUGE, name, help, labels, NULL, 0) : NULL;

    if (!m)
        return NULL;
    return s ? &s->u.gauge : &m->lost_gauge;
}

struct pat_histogram *pat_histogram(struct pat_metrics *m, const char *name, const char *help,
                                    const char *labels, const double *bounds, size_t n)
{
    struct series *s = m ? find_or_add(m, HISTOGRAM, name, help, labels, bounds, n) : NULL;

    if (!m)
        return NULL;
    return s ? &s->u.histogram : &m->lost_histogram;
}

/* --- Bumping ---------------------------------------------------------------------------------- */

void pat_counter_add(struct pat_counter *c, double v)
{
    if (c && v > 0)
        c->v += v;
}

void pat_gauge_set(struct pat_gauge *g, double v)
{
    if (g)
        g->v = v;
}

void pat_gauge_add(struct pat_gauge *g, double v)
{
    if (g)
        g->v += v;
}

void pat_histogram_observe(struct pat_histogram *h, double v)
{
    size_t i = 0;

    if (!h || isnan(v))
        return;
    while (i < h->n && v > h->bounds[i])
        i++;
    h->counts[i]++;
    h->sum += v;
}

/* --- Printing --------------------------------------------------------------------------------- */

static void put_number(struct pat_buf *out, double v)
{
    if (isnan(v))
        pat_buf_adds(out, "NaN");
    else if (isinf(v))
        pat_buf_adds(out, v > 0 ? "+Inf" : "-Inf");
    else
        pat_buf_addf(out, "%.15g", v);
}

static void put_sample(struct pat_buf *out, const struct family *f, const struct series *s,
                       const char *suffix, double v)
{
    pat_buf_addf(out, *s->labels ? "%s%s{%s} " : "%s%s%s ", f->name, suffix, s->labels);
    put_number(out, v);
    pat_buf_add(out, "\n", 1);
}

static void put_bucket(struct pat_buf *out, const struct family *f, const struct series *s,
                       double bound, uint64_t count)
{
    pat_buf_addf(out, "%s_bucket{%s%sle=\"", f->name, s->labels, *s->labels ? "," : "");
    put_number(out, bound);
    pat_buf_addf(out, "\"} %llu\n", (unsigned long long)count);
}

static void put_histogram(struct pat_buf *out, const struct family *f, const struct series *s)
{
    const struct pat_histogram *h = &s->u.histogram;
    uint64_t count = 0;

    for (size_t i = 0; i < h->n; i++) {
        count += h->counts[i];
        put_bucket(out, f, s, h->bounds[i], count);
    }
    count += h->counts[h->n];
    put_bucket(out, f, s, INFINITY, count);
    put_sample(out, f, s, "_sum", h->sum);
    put_sample(out, f, s, "_count", (double)count);
}

static void put_head(struct pat_buf *out, const struct family *f)
{
    static const char *const kinds[] = { "counter", "gauge", "histogram" };

    pat_buf_addf(out, "# HELP %s ", f->name);
    for (const char *s = f->help; *s; s++) {
        if (*s == '\\' || *s == '\n')
            pat_buf_adds(out, *s == '\n' ? "\\n" : "\\\\");
        else
            pat_buf_add(out, s, 1);
    }
    pat_buf_addf(out, "\n# TYPE %s %s\n", f->name, kinds[f->kind]);
}

int pat_metrics_print(const struct pat_metrics *m, struct pat_buf *out)
{
    for (const struct family *f = m->first; f; f = f->next) {
        if (f->first)
            put_head(out, f);
        for (const struct series *s = f->first; s; s = s->next) {
            if (f->kind == HISTOGRAM)
                put_histogram(out, f, s);
            else
                put_sample(out, f, s, "", f->kind == GAUGE ? s->u.gauge.v : s->u.counter.v);
        }
    }
    return out->err;
}
