/* health.c - what is known of each stack, here and in the bucket: see health.h.
 *
 * base is the bucket's value, now is that with our own evidence on top which the bucket does not
 * have yet. One write per stack is under way at a time; who loses a race takes the winner's value
 * and puts what is left of its evidence on top of that.
 */
#include "health.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUCKET      "pat_health"
#define KV_MS       2000
#define TICK_MS     500
#define PENDING_MAX 32
#define KEY_MAX     24

struct view;

/* A request to the bucket under way; outlives health, which then clears owner. */
struct health_op {
    struct view *owner;
};

/* Of one stack. */
struct view {
    struct health *h;
    enum stack stack;
    struct health_record base, now, sent;
    uint64_t revision; /* of base; 0: there is no value */
    struct health_event pending[PENDING_MAX];
    size_t n_pending, n_sent;
    struct health_op *op;
    uint64_t skipped;      /* the latest change seen while op was under way */
    bool lone;             /* now has evidence from while NATS was away */
    int64_t claimed_ms;    /* rehearsed_ms, if the others agree */
    int64_t trial_used_ms; /* trial_until_ms of the trial we used */
    struct pat_gauge *state;
    struct pat_counter *accepted; /* what nearly all calls count */
};

struct health {
    struct router *r;
    struct pat_id id; /* names this router as holder of a trial */
    struct view of[STACK_LIVEKIT + 1];
    bool current; /* the bucket's values are all known */
    struct pat_kv_watch *watch;
    struct pat_sub *answered, *probed;
    struct pat_timer tick;
};

static bool is_shared(const struct health *h)
{
    return h->current && pat_bus_up(h->r->d->bus);
}

/* ------------------------------------------------------------------ telling */

static void show(struct view *v, const struct health_record *before)
{
    pat_gauge_set(v->state, v->now.word);
    if (before->word == v->now.word)
        return;
    pat_log(v->now.word == HEALTH_UP ? PAT_INFO : PAT_WARN, "stack.health",
            PAT_S("stack", stack_name(v->stack)), PAT_S("state", health_word_name(v->now.word)),
            PAT_S("was", health_word_name(before->word)), PAT_S("why", v->now.why));
}

/* By the router whose write it was. */
static void tell(const struct view *v, const struct health_record *before)
{
    struct pat_event e = { .area = "health",
                           .name = "stack",
                           .user_id = stack_name(v->stack),
                           .key = "overall",
                           .source = "/patchbay/router" };
    struct pat_db_stmt stmt = { "put_stack_state", "select patchbay.put_stack_state($1::jsonb)", 1,
                                NULL };
    const char *params[1];
    struct pat_json *data, *reasons;
    PAT_AUTO_JSON row = NULL;
    PAT_AUTO_STR text = NULL;

    if (before->word == v->base.word)
        return;
    data = pat_json_obj();
    reasons = pat_json_arr();
    if (*v->base.why)
        pat_json_add_str(reasons, v->base.why);
    pat_json_set_str(data, "stack", stack_name(v->stack));
    pat_json_set_str(data, "probe", "overall");
    pat_json_set_str(data, "state", health_word_name(v->base.word));
    pat_json_set_take(data, "reasons", reasons);
    row = pat_json_dup(data);
    pat_json_set_int(row, "since_ms", v->base.since_ms);
    params[0] = text = pat_json_print(row);
    stmt.params = params;
    if (pat_journal_add(v->h->r->journal, &e, data, &stmt, text ? 1 : 0))
        pat_log(PAT_WARN, "health.event_lost", PAT_S("stack", stack_name(v->stack)));
}

/* ------------------------------------------------------------------ the bucket */

static void flush(struct view *v);

/* Our own evidence on top of the bucket's value; what that knows already is dropped. */
static void put_together(struct view *v)
{
    struct health_record before = v->now;
    size_t n = 0;

    v->now = v->base;
    for (size_t i = 0; i < v->n_pending; i++)
        if (health_step(&v->now, &v->pending[i]))
            v->pending[n++] = v->pending[i];
    v->n_pending = n;
    show(v, &before);
}

static struct view *op_done(void *arg)
{
    struct health_op *op = arg;
    struct view *v = op->owner;

    free(op);
    if (v)
        v->op = NULL;
    return v;
}

static void on_read(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct view *v = op_done(arg);
    struct health_record rec;

    if (!v || (err && err != PAT_ENOENT))
        return; /* the tick tries again */
    if (err) {
        v->base = (struct health_record){ 0 };
        v->revision = 0;
    } else if (revision >= v->revision && !health_record_parse(&rec, data, len)) {
        v->base = rec;
        v->revision = revision;
    }
    put_together(v);
    flush(v);
}

static void read_again(struct view *v)
{
    char key[KEY_MAX];

    v->op = malloc(sizeof *v->op);
    if (!v->op)
        return;
    v->op->owner = v;
    snprintf(key, sizeof key, "stack.%s", stack_name(v->stack));
    if (pat_kv_get(v->h->r->d->bus, BUCKET, key, KV_MS, on_read, v->op))
        (void)op_done(v->op);
}

static void on_written(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct view *v = op_done(arg);
    struct health_record before;

    (void)data, (void)len;
    if (!v)
        return;
    if (!err) {
        before = v->base;
        v->base = v->sent;
        v->revision = revision;
        v->n_sent = v->n_sent < v->n_pending ? v->n_sent : v->n_pending;
        v->n_pending -= v->n_sent;
        memmove(v->pending, v->pending + v->n_sent, v->n_pending * sizeof v->pending[0]);
        tell(v, &before);
    }
    if (err == PAT_EEXIST || v->skipped > v->revision) {
        read_again(v);
    } else if (!err) {
        put_together(v);
        flush(v);
    } /* else the tick tries again */
}

static void write_record(struct view *v, const struct health_record *rec, size_t n_sent)
{
    PAT_AUTO_STR text = health_record_print(rec);
    char key[KEY_MAX];

    v->op = text ? malloc(sizeof *v->op) : NULL;
    if (!v->op)
        return;
    v->op->owner = v;
    v->sent = *rec;
    v->skipped = 0;
    v->n_sent = n_sent;
    snprintf(key, sizeof key, "stack.%s", stack_name(v->stack));
    if (pat_kv_put(v->h->r->d->bus, BUCKET, key, text, strlen(text), v->revision, KV_MS, on_written,
                   v->op))
        (void)op_done(v->op);
}

static void flush(struct view *v)
{
    if (v->op || !v->n_pending || !is_shared(v->h))
        return;
    write_record(v, &v->now, v->n_pending);
}

static void take(struct view *v, const struct health_event *e)
{
    struct health_record before = v->now;

    if (!health_step(&v->now, e))
        return;
    show(v, &before);
    if (!is_shared(v->h)) {
        v->lone = true;
        return;
    }
    if (v->n_pending == PENDING_MAX) { /* a write hangs: it counts here, the others miss it */
        if (v->op)
            return;
        v->n_pending = 0;
    }
    v->pending[v->n_pending++] = *e;
    flush(v);
}

static struct view *view_of_key(struct health *h, const char *key)
{
    enum stack s = strncmp(key, "stack.", 6) ? STACK_NONE : stack_parse(key + 6);

    return s == STACK_NONE ? NULL : &h->of[s];
}

/* All is known again. What happened here meanwhile counts when it is later than what is there. */
static void on_current(struct view *v)
{
    struct health_record mine = v->now;
    bool later = (!v->revision || v->lone) && mine.at_ms > v->base.at_ms;

    if (v->op)
        return; /* it ends, and reads again */
    v->lone = false;
    v->n_pending = 0;
    if (later) {
        write_record(v, &mine, 0);
        return;
    }
    put_together(v);
}

static void on_change(const struct pat_kv_change *c, void *arg)
{
    struct health *h = arg;
    struct health_record rec;
    struct view *v;

    if (c->news == PAT_KV_BEGIN) {
        h->current = false;
        for (size_t i = STACK_RETELL; i <= STACK_LIVEKIT; i++) {
            h->of[i].base = (struct health_record){ 0 };
            h->of[i].revision = 0;
        }
    } else if (c->news == PAT_KV_CURRENT) {
        h->current = true;
        for (size_t i = STACK_RETELL; i <= STACK_LIVEKIT; i++)
            on_current(&h->of[i]);
    } else if ((v = view_of_key(h, c->key)) && c->revision > v->revision) {
        if (v->op) { /* our own write, or one that it lost against */
            v->skipped = c->revision;
            return;
        }
        if (c->news == PAT_KV_GONE)
            rec = (struct health_record){ 0 };
        else if (health_record_parse(&rec, c->data, c->len))
            return;
        v->base = rec;
        v->revision = c->revision;
        if (c->news == PAT_KV_GONE)
            v->n_pending = 0;
        if (h->current)
            put_together(v);
    }
}

/* ------------------------------------------------------------------ what others tell */

static void on_answered(const struct pat_msg *m, void *arg)
{
    struct health *h = arg;
    PAT_AUTO_JSON e = NULL;
    enum stack s;

    if (pat_event_parse(&e, m->data, m->len, NULL))
        return;
    s = stack_parse(pat_json_str_or(e, "data.stack", ""));
    if (s != STACK_NONE)
        take(&h->of[s], &(struct health_event){ .kind = HEALTH_SERVED, .at_ms = pat_unix_ms() });
}

static void on_probed(const struct pat_msg *m, void *arg)
{
    struct health *h = arg;
    struct health_event ev = { .kind = HEALTH_PROBED };
    const struct pat_json *reasons;
    const char *state, *why = "probe";
    PAT_AUTO_JSON e = NULL;
    enum stack s;

    if (pat_event_parse(&e, m->data, m->len, NULL) ||
        strcmp(pat_json_str_or(e, "data.probe", ""), "api"))
        return; /* "stt" and its like are one agent's matter */
    s = stack_parse(pat_json_str_or(e, "data.stack", ""));
    state = pat_json_str_or(e, "data.state", "");
    reasons = pat_json_at(e, "data.reasons");
    if (reasons && pat_json_size(reasons))
        why = pat_json_value_str(pat_json_item(reasons, 0));
    ev.probed = !strcmp(state, "up")    ? HEALTH_UP
                : strcmp(state, "down") ? HEALTH_DEGRADED
                                        : HEALTH_DOWN;
    ev.sure = pat_json_bool_or(e, "data.sure", false);
    ev.at_ms = pat_json_int_or(e, "data.at_ms", 0);
    snprintf(ev.why, sizeof ev.why, "%s", why ? why : "probe");
    if (s != STACK_NONE && ev.at_ms > 0)
        take(&h->of[s], &ev);
}

/* ------------------------------------------------------------------ life */

static void on_tick(void *arg)
{
    struct health *h = arg;
    struct health_event claim = { .kind = HEALTH_CLAIM, .at_ms = pat_unix_ms() };

    memcpy(claim.router, h->id.s, sizeof claim.router);
    for (size_t i = STACK_RETELL; i <= STACK_LIVEKIT; i++) {
        flush(&h->of[i]);
        take(&h->of[i], &claim);
    }
    pat_timer_start(&h->tick, TICK_MS);
}

static void on_bucket(int err, const struct pat_msg *m, void *arg)
{
    (void)m, (void)arg;
    if (err)
        pat_log(PAT_WARN, "health.bucket", PAT_ERR(err));
}

static int listen_in(struct health *h)
{
    struct pat_bus *bus = h->r->d->bus;
    int err = pat_kv_ensure(bus, BUCKET, 0, 5000, on_bucket, NULL);

    if (!err)
        err = pat_kv_watch(&h->watch, bus, BUCKET, "stack.>", on_change, h);
    if (!err) /* one router hears each */
        err = pat_bus_subscribe(bus, &h->answered, "pat.call.v1.answered.>", "router_health",
                                on_answered, h);
    return err ? err
               : pat_bus_subscribe(bus, &h->probed, "pat.health.v1.stack.*.api", NULL, on_probed,
                                   h);
}

static struct pat_counter *outcomes(struct pat_metrics *m, enum stack s, const char *outcome)
{
    struct pat_counter *c;
    struct pat_buf labels;

    pat_buf_init(&labels, 256);
    pat_metric_label(&labels, "stack", stack_name(s));
    pat_metric_label(&labels, "outcome", outcome);
    c = pat_counter(m, "pat_router_stack_outcomes_total",
                    "How attempts at a stack ended, before a word was said", labels.data);
    pat_buf_fini(&labels);
    return c;
}

static void make_view(struct health *h, enum stack s)
{
    char labels[32];

    snprintf(labels, sizeof labels, "stack=\"%s\"", stack_name(s));
    h->of[s].h = h;
    h->of[s].stack = s;
    h->of[s].state = pat_gauge(h->r->d->metrics, "pat_router_stack_state",
                               "0 up, 1 degraded, 2 down: no new calls but trials", labels);
    pat_gauge_set(h->of[s].state, 0);
    h->of[s].accepted = outcomes(h->r->d->metrics, s, "accepted");
}

int health_new(struct health **out, struct router *r)
{
    struct health *h = calloc(1, sizeof *h);
    int err;

    if (!h)
        return PAT_ENOMEM;
    h->r = r;
    h->id = pat_id_new();
    make_view(h, STACK_RETELL);
    make_view(h, STACK_LIVEKIT);
    err = pat_timer_init(&h->tick, r->d->loop, on_tick, h);
    if (!err)
        err = listen_in(h);
    if (err) {
        health_free(h);
        return err;
    }
    pat_timer_start(&h->tick, TICK_MS);
    *out = h;
    return PAT_OK;
}

void health_free(struct health *h)
{
    if (!h)
        return;
    pat_timer_fini(&h->tick);
    pat_kv_watch_close(h->watch);
    pat_bus_unsubscribe(h->answered);
    pat_bus_unsubscribe(h->probed);
    for (size_t i = STACK_RETELL; i <= STACK_LIVEKIT; i++)
        if (h->of[i].op)
            h->of[i].op->owner = NULL;
    free(h);
}

/* ------------------------------------------------------------------ asked and fed */

/* Only a trial that the others know of counts, where they can know. */
static bool trial_is_ours(const struct view *v)
{
    const struct health_record *known = is_shared(v->h) ? &v->base : &v->now;

    return v->now.word == HEALTH_DOWN && health_has_trial(known, v->h->id.s, pat_unix_ms()) &&
           v->trial_used_ms != known->trial_until_ms;
}

bool health_would_allow(const struct router *r, enum stack s)
{
    const struct view *v = &r->health->of[s];

    return health_is_open(&v->now) || trial_is_ours(v);
}

bool health_allows(struct router *r, enum stack s)
{
    struct view *v = &r->health->of[s];

    if (health_is_open(&v->now))
        return true;
    if (!trial_is_ours(v))
        return false;
    v->trial_used_ms = is_shared(v->h) ? v->base.trial_until_ms : v->now.trial_until_ms;
    pat_log(PAT_INFO, "stack.trial", PAT_S("stack", stack_name(s)));
    return true;
}

static void count(struct router *r, enum stack s, const char *outcome)
{
    pat_counter_add(outcomes(r->d->metrics, s, outcome), 1);
}

/* Nobody but the stack can be at fault. */
static bool is_clear(const char *why)
{
    static const char *const clear[] = { "no_answer", "no_agent", "sip_408", "sip_480" };

    for (size_t i = 0; i < sizeof clear / sizeof clear[0]; i++)
        if (!strcmp(why, clear[i]))
            return true;
    return !strncmp(why, "sip_5", 5);
}

static void outcome(struct router *r, enum stack s, enum health_kind kind, const char *why)
{
    struct health_event e = { .kind = kind, .at_ms = pat_unix_ms() };

    if (why)
        snprintf(e.why, sizeof e.why, "%s", why);
    take(&r->health->of[s], &e);
}

void health_outcome(struct router *r, enum stack s, bool ok, const char *why)
{
    if (!ok && !why)
        why = "failed";
    if (ok)
        pat_counter_add(r->health->of[s].accepted, 1);
    else
        count(r, s, why);
    outcome(r, s,
            ok              ? HEALTH_ACCEPTED
            : is_clear(why) ? HEALTH_BROKEN
                            : HEALTH_FAILED,
            ok ? NULL : why);
}

void health_leg_failed(struct router *r, enum stack s, const char *result, const char *sip_code)
{
    char why[16] = "";
    long code = sip_code ? strtol(sip_code, NULL, 10) : 0;

    if (code >= 400 && code <= 699)
        snprintf(why, sizeof why, "sip_%ld", code);
    health_outcome(r, s, false, *why ? why : result);
}

void health_rehearsed(struct router *r, enum stack s, bool ok, const char *why)
{
    count(r, s, ok ? "rehearsed" : "rehearsal_failed");
    outcome(r, s, ok ? HEALTH_PROVEN : HEALTH_BROKEN, ok ? NULL : why);
}

bool health_rehearse(struct router *r, enum stack s, int64_t cents)
{
    struct view *v = &r->health->of[s];
    struct health_event e = { .kind = HEALTH_REHEARSE,
                              .at_ms = pat_unix_ms(),
                              .cents = cents,
                              .day_cents_max = r->conf->rehearse_cents,
                              .every_ms = r->conf->rehearse_ms };

    if (!is_shared(r->health))
        return false;
    if (v->claimed_ms && v->base.rehearsed_ms == v->claimed_ms) {
        v->claimed_ms = 0;
        return true;
    }
    take(v, &e);
    if (v->now.rehearsed_ms == e.at_ms)
        v->claimed_ms = e.at_ms;
    return false;
}

enum health_word health_word(const struct router *r, enum stack s)
{
    return r->health->of[s].now.word;
}

const char *health_reason(const struct router *r, enum stack s)
{
    return r->health->of[s].now.why;
}
