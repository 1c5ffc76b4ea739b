/* agent_lease.c - the process's heartbeat, and whether its calls are still its own.
 *
 * Every LEASE_BEAT_MS / 2 it looks at everything: cheap, and the only clock there is. A process
 * that stood still falls silent before its next packet and asks; one that is only cut off from NATS
 * goes on, since nobody can have taken its calls without putting it out of the room
 * (docs/decisions/0012-takeover.md). It takes no call itself; that is agent_takeover.c.
 */
#include "agent_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AGENTS_BUCKET "pat_agents"

enum {
    KV_MS = 1000,
    CALLS_TTL_MS = 3600 * 1000,
    AGENTS_TTL_MS = 60 * 1000,
    TICK_MS = LEASE_BEAT_MS / 2,
    RENEW_MS = 600 * 1000, /* long before the bucket forgets */
    RETRY_MS = 1000,
    STEADY_MS = 5000,
    UNSURE_MS = 1000, /* after a standstill, with nobody to ask: the room has not put us out */
    TAKES_PER_TICK = 10,
};

/* ---- marks ---- */

static void on_put(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    (void)revision, (void)data, (void)len, (void)arg;
    if (err && err != PAT_EEXIST)
        pat_log(PAT_INFO, "agent.kv_put", PAT_ERR(err));
}

int agent_put_mark(struct agent *a, const char *call_id_text, const struct lease_mark *m,
                   uint64_t expected, pat_kv_fn *fn, void *arg)
{
    PAT_AUTO_STR text = lease_mark_print(m);
    char key[64];

    if (!text)
        return PAT_ENOMEM;
    (void)snprintf(key, sizeof key, "%.36s.served", call_id_text);
    return pat_kv_put(a->env.bus, AGENT_BUCKET, key, text, strlen(text), expected, KV_MS,
                      fn ? fn : on_put, arg);
}

struct lease_mark agent_own_mark(const struct agent *a, const struct served *s)
{
    struct lease_mark m = { .epoch = call_epoch(s->call), .deaths = s->deaths };

    pat_strcpy(m.agent, sizeof m.agent, a->id.s);
    pat_strcpy(m.room, sizeof m.room, call_room(s->call));
    return m;
}

void agent_mark_prepared(struct agent *a, const struct prepared *p)
{
    struct lease_mark m = { .epoch = 0 };

    pat_strcpy(m.agent, sizeof m.agent, a->id.s);
    pat_strcpy(m.room, sizeof m.room, p->room);
    if (agent_put_mark(a, p->call_id, &m, 0, NULL, NULL))
        pat_log(PAT_WARN, "agent.kv_put", PAT_S("call", p->call_id));
}

int agent_lease_epoch(const struct agent *a, const char *call_id_text, int *epoch)
{
    const struct lease_call *c = leases_find(&a->leases, call_id_text);

    if (c && c->mark.epoch > 0 && !c->mark.over)
        return PAT_EEXIST;
    *epoch = c ? c->mark.epoch + 1 : 1;
    return PAT_OK;
}

/* ---- is it still ours? ---- */

static void ask_who(struct agent *a, struct served *s);

static void settled(struct agent *a, struct served *s, uint64_t revision)
{
    struct lease_mark m = agent_own_mark(a, s);

    s->revision = revision;
    s->confirmed = true;
    s->handing = false;
    s->renewed_ms = pat_now_ms();
    if (leases_put_call(&a->leases, call_id(s->call), &m, revision, s->renewed_ms))
        pat_log(PAT_WARN, "agent.leases_full");
    if (s->stalled_us && s->asked_us > s->stalled_us) {
        s->stalled_us = 0;
        call_unhush(s->call, CALL_HUSH_STALL);
    }
}

/* What a mark in the bucket says about a call of ours. */
static void judge(struct agent *a, struct served *s, const struct lease_mark *m, uint64_t revision)
{
    int own = call_epoch(s->call);
    bool ours = strcmp(m->agent, a->id.s) == 0;

    if (m->epoch > own || (m->epoch == own && m->agent[0] && !ours)) {
        pat_log(PAT_WARN, "call.lease_lost", PAT_S("call", call_id(s->call)), PAT_I("epoch", own),
                PAT_I("by", m->epoch), PAT_S("agent", m->agent));
        call_yield(s->call, "taken_over");
        return;
    }
    if (revision > s->revision)
        s->revision = revision;
    if (m->epoch == own && ours && !m->over) {
        settled(a, s, s->revision);
        return;
    }
    if (!(m->epoch == own && s->handing)) /* prepared, an earlier epoch, or our own refusal */
        s->again = true;
}

static void finish(struct agent *a, struct served *s)
{
    s->asking = false;
    if (!s->again || call_yielded(s->call))
        return;
    s->again = false;
    agent_renew(a, s);
}

static struct served *answered(struct question *q, struct agent **a)
{
    struct served *s;

    *a = q->agent;
    s = *a ? agent_served(*a, q->call_id) : NULL;
    if (s)
        s->asked_us = q->at_us;
    question_free(q);
    return s;
}

static void on_who(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct agent *a;
    struct served *s = answered(arg, &a);
    struct lease_mark m;

    if (!s)
        return;
    if (err == PAT_ENOENT) { /* the bucket was made again, or has forgotten */
        s->revision = 0;
        s->again = true;
    } else if (!err && !lease_mark_parse(&m, data, len)) {
        judge(a, s, &m, revision);
    } else if (!err) { /* nonsense: ours is better */
        s->revision = revision;
        s->again = true;
    }
    finish(a, s);
}

static void on_renewed(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct agent *a;
    struct served *s = answered(arg, &a);

    (void)data, (void)len;
    if (!s)
        return;
    if (err == PAT_EEXIST) {
        ask_who(a, s);
        return;
    }
    if (err)
        s->confirmed = false;
    else
        settled(a, s, revision);
    finish(a, s);
}

static struct question *ask(struct agent *a, struct served *s)
{
    struct question *q = question_new(a, call_id(s->call), OF_NATS);

    s->asking = q != NULL;
    if (q)
        q->at_us = pat_now_us();
    return q;
}

static void ask_who(struct agent *a, struct served *s)
{
    struct question *q = ask(a, s);
    char key[64];

    (void)snprintf(key, sizeof key, "%.36s.served", call_id(s->call));
    if (q && pat_kv_get(a->env.bus, AGENT_BUCKET, key, KV_MS, on_who, q)) {
        question_free(q);
        s->asking = false;
    }
}

void agent_renew(struct agent *a, struct served *s)
{
    struct lease_mark m = agent_own_mark(a, s);
    struct question *q;

    if (s->asking) {
        s->again = true;
        return;
    }
    q = ask(a, s);
    if (q && agent_put_mark(a, call_id(s->call), &m, s->revision, on_renewed, q)) {
        question_free(q);
        s->asking = false;
    }
}

static void store_context(struct agent *a, struct served *s)
{
    s->stored_ms = pat_now_ms();
    if (call_params(s->call))
        agent_store_context(a, call_id(s->call), call_params(s->call));
}

/* ---- the end of a call ---- */

/* Is it still ours? Then it was an order (removed, terminated), or the room was lost and others
 * may reach it. Else somebody has taken it, or nobody can be asked: the room stays as it is. */
static void on_put_out(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    static const char *const names[] = { "removed", "replaced", "unreachable", "job_terminated" };
    struct agent *a;
    enum call_lost why = (enum call_lost)((struct question *)arg)->tries;
    struct served *s = answered(arg, &a);
    struct lease_mark m;
    bool ours;

    if (!s)
        return;
    ours = !err && !lease_mark_parse(&m, data, len) && strcmp(m.agent, a->id.s) == 0 &&
           m.epoch == call_epoch(s->call);
    pat_log(PAT_WARN, "call.put_out", PAT_S("call", call_id(s->call)), PAT_S("why", names[why]),
            PAT_B("ours", ours), PAT_I("epoch", call_epoch(s->call)));
    if (ours && (why == CALL_LOST_REMOVED || why == CALL_LOST_TERMINATED)) {
        call_close(s->call, names[why]);
        return;
    }
    s->release = ours;
    s->revision = ours ? revision : s->revision;
    call_yield(s->call, names[why]);
}

void agent_ask_put_out(struct agent *a, struct call *c, enum call_lost why)
{
    struct question *q = question_new(a, call_id(c), OF_NATS);
    char key[64];

    (void)snprintf(key, sizeof key, "%.36s.served", call_id(c));
    if (q) {
        q->tries = (int)why;
        q->at_us = pat_now_us();
    }
    if (!q || pat_kv_get(a->env.bus, AGENT_BUCKET, key, KV_MS, on_put_out, q)) {
        if (q)
            question_free(q);
        call_yield(c, "put_out");
    }
}

void agent_lease_over(struct agent *a, const struct served *s)
{
    struct lease_mark m = agent_own_mark(a, s);
    char key[64];

    if (call_yielded(s->call)) {
        m.agent[0] = 0;
        if (s->release && agent_put_mark(a, call_id(s->call), &m, s->revision, NULL, NULL))
            pat_log(PAT_WARN, "agent.kv_put", PAT_S("call", call_id(s->call)));
        return;
    }
    m.over = true;
    m.over_ms = pat_unix_ms();
    if (agent_put_mark(a, call_id(s->call), &m, s->revision, NULL, NULL))
        pat_log(PAT_INFO, "agent.kv_put", PAT_S("call", call_id(s->call)));
    (void)snprintf(key, sizeof key, "%.36s.state.%d", call_id(s->call), call_epoch(s->call));
    if (pat_kv_delete(a->env.bus, AGENT_BUCKET, key, KV_MS, on_put, NULL))
        pat_log(PAT_INFO, "agent.kv_put", PAT_S("call", call_id(s->call)));
}

/* ---- what the buckets tell ---- */

static void on_call_change(const struct pat_kv_change *c, void *arg)
{
    struct agent *a = arg;
    char id[PAT_ID_LEN + 1];
    struct lease_mark m;
    struct served *s;

    switch (c->news) {
    case PAT_KV_BEGIN:
        a->calls_current = false;
        leases_forget_calls(&a->leases);
        return;
    case PAT_KV_CURRENT:
        a->calls_current = true;
        for (s = a->calls; s; s = s->next) { /* the bucket may be a new one */
            if (!leases_find(&a->leases, call_id(s->call)))
                s->revision = 0;
            agent_renew(a, s);
            store_context(a, s);
        }
        return;
    case PAT_KV_GONE:
        if (lease_call_of_key(c->key, id))
            leases_drop_call(&a->leases, id);
        return;
    case PAT_KV_PUT:
        break;
    }
    if (!lease_call_of_key(c->key, id) || lease_mark_parse(&m, c->data, c->len))
        return;
    if (leases_put_call(&a->leases, id, &m, c->revision, pat_now_ms()))
        pat_log(PAT_WARN, "agent.leases_full");
    s = agent_served(a, id);
    if (s && !s->asking && !call_yielded(s->call)) {
        judge(a, s, &m, c->revision);
        finish(a, s);
    }
}

static void on_agent_change(const struct pat_kv_change *c, void *arg)
{
    struct agent *a = arg;
    PAT_AUTO_JSON j = NULL;

    switch (c->news) {
    case PAT_KV_BEGIN:
        a->agents_current = false;
        leases_forget_agents(&a->leases);
        return;
    case PAT_KV_CURRENT:
        a->agents_current = true;
        return;
    case PAT_KV_GONE:
        leases_drop_agent(&a->leases, c->key);
        return;
    case PAT_KV_PUT:
        break;
    }
    if (!pat_id_valid(c->key) || pat_json_parse(&j, c->data, c->len, NULL))
        return;
    if (leases_put_agent(&a->leases, c->key, (int)pat_json_int_or(j, "free", 0),
                         pat_json_bool_or(j, "draining", false), pat_now_ms()))
        pat_log(PAT_WARN, "agent.leases_full");
}

/* ---- the clock ---- */

static void on_beat(int err, uint64_t revision, const char *data, size_t len, void *arg)
{
    struct question *q = arg;
    struct agent *a = q->agent;

    (void)revision, (void)data, (void)len;
    if (a && !err && q->at_us > a->beat_stored_us)
        a->beat_stored_us = q->at_us;
    question_free(q);
}

static void beat(struct agent *a)
{
    PAT_AUTO_JSON j = pat_json_obj();
    PAT_AUTO_STR text = NULL;
    struct question *q = question_new(a, "", OF_NATS);

    a->beat_sent_ms = pat_now_ms();
    pat_json_set_int(j, "calls", a->n_calls);
    pat_json_set_int(j, "free", agent_room(a));
    pat_json_set_bool(j, "draining", a->draining);
    text = pat_json_print(j);
    if (!q)
        return;
    q->at_us = pat_now_us();
    if (!text || pat_kv_put(a->env.bus, AGENTS_BUCKET, a->id.s, text, strlen(text), PAT_KV_ANY,
                            LEASE_MS, on_beat, q))
        question_free(q);
}

/* Others may have our calls. Not a packet more before we know. */
static void on_stalled(int64_t for_us, void *arg)
{
    struct agent *a = arg;

    pat_log(PAT_WARN, "agent.stalled", PAT_I("for_ms", for_us / 1000), PAT_I("calls", a->n_calls));
    for (struct served *s = a->calls; s; s = s->next) {
        s->stalled_us = pat_now_us();
        call_hush(s->call, CALL_HUSH_STALL);
        agent_renew(a, s);
    }
}

static void mind_calls(struct agent *a, int64_t now, bool sound)
{
    for (struct served *s = a->calls; s; s = s->next) {
        /* The room would have told us by now, and nobody else can be asked. */
        if (s->stalled_us && !sound && pat_now_us() - s->stalled_us > UNSURE_MS * 1000LL) {
            pat_log(PAT_WARN, "call.unsure", PAT_S("call", call_id(s->call)));
            s->stalled_us = 0;
            call_unhush(s->call, CALL_HUSH_STALL);
        }
        if (s->deaths &&
            now - s->began_ms > STEADY_MS) { /* it was not this call that killed them */
            s->deaths = 0;
            s->confirmed = false;
        }
        if (!s->asking && !s->handing && sound &&
            (now - s->renewed_ms > RENEW_MS || !s->confirmed) &&
            pat_now_us() - s->asked_us > RETRY_MS * 1000LL)
            agent_renew(a, s);
        if (call_params(s->call) && now - s->stored_ms > 2 * RENEW_MS)
            store_context(a, s);
    }
}

/* Our own tables are fresh, and NATS has taken our heartbeat lately. */
static bool is_sound(const struct agent *a)
{
    return a->calls_current && a->agents_current && a->beat_stored_us &&
           pat_now_us() - a->beat_stored_us < LEASE_MS * 1000LL;
}

int agent_room(const struct agent *a)
{
    return load_room(&a->load, a->n_calls, (int)a->env.conf->max_calls);
}

/* Honest load, for LiveKit and for the other agents. */
static void measure(struct agent *a)
{
    struct load_sample s = { .now_us = pat_now_us(),
                             .late = a->late_before,
                             .calls = a->n_calls,
                             .max_calls = (int)a->env.conf->max_calls };
    struct timespec t;

    for (const struct served *c = a->calls; c; c = c->next)
        s.late += call_late_frames(c->call);
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) == 0)
        s.cpu_us = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
    load_step(&a->load, &s);
    pat_gauge_set(a->env.load, load_fraction(&a->load));
    worker_load(a->env.worker, load_fraction(&a->load), agent_room(a) == 0);
}

static void note_sound(struct agent *a, bool sound, int64_t now)
{
    bool was = a->leases.sound_ms != 0;

    if (sound == was)
        return;
    /* The first time there is nobody who lost the connection with us. */
    if (sound)
        a->leases.sound_ms = a->was_sound ? now + LEASE_GRACE_MS - LEASE_MS : now;
    else
        a->leases.sound_ms = 0;
    a->was_sound |= sound;
    pat_log(PAT_INFO, sound ? "agent.lease_held" : "agent.lease_unsure",
            PAT_I("calls", a->n_calls));
    for (struct served *s = a->calls; sound && s; s = s->next)
        agent_renew(a, s);
}

static void on_tick(void *arg)
{
    struct agent *a = arg;
    int64_t now = pat_now_ms();
    bool sound;
    int takes = 0;

    (void)env_stalled(&a->env);
    a->env.fence.alive_us = pat_now_us();
    pat_timer_start_rough(&a->beat, TICK_MS);
    if (now - a->beat_sent_ms >= LEASE_BEAT_MS)
        beat(a);
    measure(a);
    sound = is_sound(a);
    note_sound(a, sound, now);
    mind_calls(a, now, sound);
    agent_ghosts_step(a, now);
    if (a->draining)
        agent_hand_over(a, now);
    for (const struct lease_call *c;
         sound && takes < TAKES_PER_TICK && (c = leases_next_due(&a->leases, now)); takes++)
        agent_take(a, c);
    leases_sweep(&a->leases, now);
}

/* ---- life ---- */

static void on_bucket(int err, const struct pat_msg *m, void *arg)
{
    (void)m, (void)arg;
    if (err)
        pat_log(PAT_WARN, "agent.bucket", PAT_ERR(err));
}

int agent_lease_start(struct agent *a)
{
    struct pat_bus *b = a->env.bus;
    int err = pat_timer_init(&a->beat, a->env.loop, on_tick, a);

    leases_init(&a->leases, a->id.s);
    a->env.fence = (struct env_fence){ pat_now_us(), on_stalled, a };
    if (!err)
        err = pat_kv_watch(&a->watch_calls, b, AGENT_BUCKET, "*.served", on_call_change, a);
    if (!err)
        err = pat_kv_watch(&a->watch_agents, b, AGENTS_BUCKET, ">", on_agent_change, a);
    if (err)
        return err;
    if (pat_kv_ensure(b, AGENT_BUCKET, CALLS_TTL_MS, 5000, on_bucket, NULL) ||
        pat_kv_ensure(b, AGENTS_BUCKET, AGENTS_TTL_MS, 5000, on_bucket, NULL))
        pat_log(PAT_WARN, "agent.bucket");
    pat_timer_start(&a->beat, 0);
    pat_log(PAT_INFO, "agent.id", PAT_S("agent", a->id.s));
    return PAT_OK;
}

void agent_lease_stop(struct agent *a)
{
    if (!a->watch_calls && !a->watch_agents)
        return;
    pat_timer_fini(&a->beat);
    a->env.fence.alive_us = 0;
    pat_kv_watch_close(a->watch_calls);
    pat_kv_watch_close(a->watch_agents);
    a->watch_calls = a->watch_agents = NULL;
    agent_takings_drop(a);
    leases_fini(&a->leases);
    /* Nobody need wait for our lease to run out. */
    if (pat_kv_delete(a->env.bus, AGENTS_BUCKET, a->id.s, KV_MS, on_put, NULL))
        pat_log(PAT_DEBUG, "agent.kv_put");
}
