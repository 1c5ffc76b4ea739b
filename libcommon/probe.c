/* probe.c - claims a look, looks, tells: see probe.h. */
#include "probe.h"

#include "event.h"
#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET        "pat_health"
#define KV_MS         2000
#define FIRST_MS      500
#define TROUBLE_MS    5000 /* between looks while something is wrong */
#define TWICE_MS      2000 /* before what may be an accident is told */
#define CLAIM_MORE_MS 8000 /* a claim is good for so much longer than its look is due */
#define KEY_MAX       32

/* A request to the bucket; outlives the probe, which then clears owner. */
struct probe_op {
    struct pat_probe *owner;
};

struct pat_probe {
    struct pat_probe_opts o;
    char id[PAT_ID_LEN + 1]; /* names us in the claim */
    char key[KEY_MAX];
    pat_probe_look_fn *look;
    void *arg;
    struct probe_op *op;
    struct pat_timer timer;
    bool looking, doubtful; /* the last look found trouble, and nobody was told */
    enum pat_probe_word word;
    struct pat_gauge *state;
};

static const char *const words[] = { "up", "degraded", "down" };

static int64_t interval(const struct pat_probe *p)
{
    if (p->doubtful)
        return TWICE_MS;
    return p->word == PAT_PROBE_UP || p->o.every_ms < TROUBLE_MS ? p->o.every_ms : TROUBLE_MS;
}

static struct pat_probe *op_done(void *arg)
{
    struct probe_op *op = arg;
    struct pat_probe *p = op->owner;

    free(op);
    if (p)
        p->op = NULL;
    return p;
}

static struct probe_op *op_new(struct pat_probe *p)
{
    p->op = malloc(sizeof *p->op);
    if (p->op)
        p->op->owner = p;
    return p->op;
}

static void later(struct pat_probe *p)
{
    pat_timer_start(&p->timer, interval(p));
}

/* ------------------------------------------------------------------ the claim */

static void on_claimed(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct pat_probe *p = op_done(arg);

    (void)revision, (void)data, (void)len;
    if (!p)
        return;
    if (err) {
        later(p);
        return;
    }
    p->looking = true;
    p->look(p->arg);
}

static void claim(struct pat_probe *p, uint64_t revision)
{
    PAT_AUTO_JSON j = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    struct probe_op *op;

    pat_json_set_str(j, "by", p->id);
    pat_json_set_int(j, "until_ms", pat_unix_ms() + interval(p) + CLAIM_MORE_MS);
    text = pat_json_print(j);
    op = text ? op_new(p) : NULL;
    if (op &&
        !pat_kv_put(p->o.bus, BUCKET, p->key, text, strlen(text), revision, KV_MS, on_claimed, op))
        return;
    if (op)
        (void)op_done(op);
    later(p);
}

static void on_claim(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct pat_probe *p = op_done(arg);
    PAT_AUTO_JSON j = NULL;

    if (!p)
        return;
    if (err && err != PAT_ENOENT) {
        later(p);
        return;
    }
    if (!err && !pat_json_parse(&j, data, len, NULL) &&
        strcmp(pat_json_str_or(j, "by", ""), p->id) &&
        pat_json_int_or(j, "until_ms", 0) > pat_unix_ms()) {
        p->doubtful = false; /* somebody else looks */
        later(p);
        return;
    }
    claim(p, err ? 0 : revision);
}

static void on_due(void *arg)
{
    struct pat_probe *p = arg;
    struct probe_op *op;

    if (p->looking || p->op || !pat_bus_up(p->o.bus)) {
        later(p);
        return;
    }
    op = op_new(p);
    if (op && !pat_kv_get(p->o.bus, BUCKET, p->key, KV_MS, on_claim, op))
        return;
    if (op)
        (void)op_done(op);
    later(p);
}

/* ------------------------------------------------------------------ what was found */

static void on_told(int err, const struct pat_msg *m, void *arg)
{
    (void)m, (void)arg;
    if (err && err != PAT_ECANCELED)
        pat_log(PAT_INFO, "probe.not_kept", PAT_ERR(err)); /* who listens has heard it */
}

static void tell(struct pat_probe *p, const struct pat_probe_found *f)
{
    struct pat_event e = { .area = "health",
                           .name = "stack",
                           .user_id = p->o.stack,
                           .key = "api",
                           .source = p->o.source };
    struct pat_json *data = pat_json_obj(), *reasons = pat_json_arr();
    struct pat_event_text text;
    int err;

    if (f->word != PAT_PROBE_UP)
        pat_json_add_str(reasons, f->reason);
    pat_json_set_str(data, "stack", p->o.stack);
    pat_json_set_str(data, "probe", "api");
    pat_json_set_str(data, "state", words[f->word]);
    pat_json_set_bool(data, "sure", f->sure);
    pat_json_set_int(data, "at_ms", pat_unix_ms());
    pat_json_set_take(data, "reasons", reasons);
    err = pat_event_make(&text, &e, data);
    if (err)
        return;
    if (pat_bus_js_publish(p->o.bus, text.subject, text.id.s, text.json, text.len, KV_MS, on_told,
                           NULL))
        pat_log(PAT_WARN, "probe.not_told", PAT_S("stack", p->o.stack));
    pat_event_text_fini(&text);
}

void pat_probe_found(struct pat_probe *p, const struct pat_probe_found *f)
{
    bool news = f->word != p->word;

    p->looking = false;
    if (f->word == PAT_PROBE_DOWN && news && !f->sure && !p->doubtful) {
        p->doubtful = true;
        later(p);
        return;
    }
    p->doubtful = false;
    p->word = f->word;
    pat_gauge_set(p->state, f->word);
    if (news)
        pat_log(f->word == PAT_PROBE_UP ? PAT_INFO : PAT_WARN, "probe.found",
                PAT_S("stack", p->o.stack), PAT_S("state", words[f->word]),
                PAT_S("why", f->reason));
    tell(p, f);
    later(p);
}

/* ------------------------------------------------------------------ life */

static void on_bucket(int err, const struct pat_msg *m, void *arg)
{
    (void)m, (void)arg;
    if (err)
        pat_log(PAT_WARN, "health.bucket", PAT_ERR(err));
}

int pat_probe_new(struct pat_probe **out, const struct pat_probe_opts *opts,
                  pat_probe_look_fn *look, void *arg)
{
    struct pat_probe *p = calloc(1, sizeof *p);
    char labels[48];
    int err;

    if (!p)
        return PAT_ENOMEM;
    p->o = *opts;
    p->look = look;
    p->arg = arg;
    memcpy(p->id, pat_id_new().s, sizeof p->id);
    snprintf(p->key, sizeof p->key, "probe.%s", opts->stack);
    snprintf(labels, sizeof labels, "stack=\"%s\"", opts->stack);
    p->state = pat_gauge(opts->metrics, "pat_probe_state",
                         "What this process found last: 0 up, 1 degraded, 2 down", labels);
    err = pat_timer_init(&p->timer, opts->loop, on_due, p);
    if (!err && opts->every_ms)
        err = pat_kv_ensure(opts->bus, BUCKET, 0, 5000, on_bucket, NULL);
    if (err) {
        pat_probe_free(p);
        return err;
    }
    if (opts->every_ms)
        pat_timer_start(&p->timer, FIRST_MS);
    *out = p;
    return PAT_OK;
}

void pat_probe_free(struct pat_probe *p)
{
    if (!p)
        return;
    if (p->op)
        p->op->owner = NULL;
    pat_timer_fini(&p->timer);
    free(p);
}
