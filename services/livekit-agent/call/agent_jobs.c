/* agent_jobs.c - which jobs we take, and the table of the calls they become.
 *
 * An offer is answered at once from what is in memory: the server forgets a job after seconds of
 * silence. Whether a context can be found is asked while we join.
 */
#include "agent_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_EPOCH = 1 };

struct served *agent_served(const struct agent *a, const char *call_id_text)
{
    for (struct served *s = a->calls; s; s = s->next)
        if (strcmp(call_id(s->call), call_id_text) == 0)
            return s;
    return NULL;
}

struct call *agent_find(const struct agent *a, const char *call_id_text)
{
    const struct served *s = agent_served(a, call_id_text);

    return s ? s->call : NULL;
}

void agent_identity(char out[129], const char *call_id_text, int epoch)
{
    (void)snprintf(out, 129, "agent-%.100s-%d", call_id_text, epoch);
}

/* The call's id by the room's name, else by the dispatch. NULL: a room that is not ours. */
static const char *id_of(const char *room, const char *metadata)
{
    const char *id = context_call_of_room(room);

    return id ? id : pat_id_valid(metadata) ? metadata : NULL;
}

static bool is_over(const struct agent *a, const char *id)
{
    for (size_t i = 0; i < AGENT_OVER; i++)
        if (strcmp(a->over[i].call_id, id) == 0 && pat_now_ms() - a->over[i].at_ms < AGENT_OVER_MS)
            return true;
    return false;
}

/* Only the caller's own leaving is final: a leg lost by a fault may be dialled again. */
static void note_over(struct agent *a, const struct call *c)
{
    struct over *o = &a->over[a->over_next];

    if (strcmp(call_reason(c), "caller_hangup") != 0)
        return;
    a->over_next = (a->over_next + 1) % AGENT_OVER;
    (void)pat_strcpy(o->call_id, sizeof o->call_id, call_id(c));
    o->at_ms = pat_now_ms();
}

static void remember_offer(struct agent *a, const char *job_id, int epoch)
{
    struct offer *o = &a->offers[a->offers_next];

    a->offers_next = (a->offers_next + 1) % AGENT_OFFERS;
    (void)pat_strcpy(o->job, sizeof o->job, job_id);
    o->epoch = epoch;
}

static int offered_epoch(const struct agent *a, const char *job_id)
{
    for (size_t i = 0; i < AGENT_OFFERS; i++)
        if (strcmp(a->offers[i].job, job_id) == 0)
            return a->offers[i].epoch;
    return FIRST_EPOCH;
}

static int on_offered(const char *job_id, const char *room, const char *metadata,
                      char identity[129], void *arg)
{
    struct agent *a = arg;
    const char *id = id_of(room, metadata);
    int epoch = FIRST_EPOCH;

    if (a->draining || !agent_room(a) ||
        (id && (agent_find(a, id) || is_over(a, id) || agent_lease_epoch(a, id, &epoch)))) {
        pat_log(PAT_INFO, "agent.job_refused", PAT_S("job", job_id), PAT_S("room", room),
                PAT_I("calls", a->n_calls));
        return PAT_EAGAIN;
    }
    remember_offer(a, job_id, epoch);
    agent_identity(identity, id ? id : room, epoch);
    return PAT_OK;
}

static void on_headers(struct call *c, const struct context_headers *h, void *arg)
{
    agent_look_up_headers(arg, c, h);
}

static void forget(struct agent *a, const struct call *c)
{
    struct served **at = &a->calls;

    while (*at && (*at)->call != c)
        at = &(*at)->next;
    if (*at) {
        struct served *s = *at;
        *at = s->next;
        free(s);
        a->n_calls--;
        pat_gauge_set(a->env.calls, a->n_calls);
    }
}

static void on_ended(struct call *c, void *arg)
{
    struct agent *a = arg;
    const struct served *s = agent_served(a, call_id(c));

    if (s)
        agent_lease_over(a, s);
    a->late_before += call_late_frames(c);
    forget(a, c);
    note_over(a, c);
    call_free(c);
    agent_drain_step(a);
}

static void on_rival(struct call *c, int epoch, void *arg)
{
    agent_meet_ghost(arg, c, epoch);
}

static void on_lost(struct call *c, enum call_lost why, void *arg)
{
    agent_ask_put_out(arg, c, why);
}

static const struct call_events call_events = { on_headers, on_ended, on_rival, on_lost };

/* What was prepared here is warm; what the caller brings is as good for the rest. */
static struct context *context_of(struct prepared *p, struct context *ctx_take)
{
    struct context *ctx = p ? p->ctx : NULL;

    if (!ctx)
        return ctx_take;
    p->ctx = NULL;
    context_free(ctx_take);
    return ctx;
}

int agent_serve(struct agent *a, const struct call_start *s, struct context *ctx_take,
                struct served **out)
{
    struct prepared *p = agent_take_prepared(a, s->call_id);
    struct served *entry = calloc(1, sizeof *entry);
    struct context *ctx = context_of(p, ctx_take);
    struct mouth *mouth = p ? p->mouth : NULL;
    int err;

    if (p)
        p->mouth = NULL;
    prepared_free(p);
    if (!entry) {
        context_free(ctx);
        mouth_free(mouth);
        return PAT_ENOMEM;
    }
    err = call_new(&entry->call, &a->env, s, ctx, mouth, &call_events, a);
    if (err) {
        pat_log(PAT_ERROR, "call.not_begun", PAT_S("call", s->call_id), PAT_ERR(err));
        free(entry);
        return err;
    }
    entry->next = a->calls;
    a->calls = entry;
    a->n_calls++;
    pat_gauge_set(a->env.calls, a->n_calls);
    if (ctx)
        kept_want(a->env.kept, ctx->language);
    else
        agent_look_up(a, s->call_id);
    if (out)
        *out = entry;
    return PAT_OK;
}

static void on_assigned(const struct worker_job *job, void *arg)
{
    struct agent *a = arg;
    const char *known = id_of(job->room, job->metadata);
    struct pat_id fresh = pat_id_new();
    const struct lease_call *mark = known ? leases_find(&a->leases, known) : NULL;
    struct call_start s = { .call_id = known ? known : fresh.s,
                            .room = job->room,
                            .url = job->url,
                            .token = job->token,
                            .job_id = job->id,
                            .epoch = offered_epoch(a, job->id) };
    uint64_t revision = mark ? mark->revision : 0;
    struct served *entry;

    if (known && agent_find(a, known)) { /* claimed, or offered twice */
        worker_job_done(a->env.worker, job->id, "served already");
        return;
    }
    if (agent_serve(a, &s, NULL, &entry)) {
        worker_job_done(a->env.worker, job->id, "could not begin");
        return;
    }
    entry->revision = revision;
    entry->began_ms = pat_now_ms();
    agent_renew(a, entry);
}

/* The server ends a job by order, and also one whose agent was put out of the room by the agent
 * that has taken the call over: then the call is none of ours any more. */
static void on_terminated(const char *job_id, const char *room, void *arg)
{
    struct agent *a = arg;

    for (struct served *s = a->calls; s; s = s->next)
        if (strcmp(call_job(s->call), job_id) == 0) {
            pat_log(PAT_INFO, "agent.job_terminated", PAT_S("call", call_id(s->call)),
                    PAT_S("room", room));
            agent_ask_put_out(a, s->call, CALL_LOST_TERMINATED);
            return;
        }
}

static void on_registered(bool up, void *arg)
{
    struct agent *a = arg;

    a->worker_up = up;
    pat_health_set(a->d->health, "livekit", up, up ? NULL : "the worker is not registered");
    pat_log(up ? PAT_INFO : PAT_WARN, up ? "agent.registered" : "agent.unregistered");
}

const struct worker_events agent_worker_events = {
    .offered = on_offered,
    .assigned = on_assigned,
    .terminated = on_terminated,
    .registered = on_registered,
};

void agent_drop_calls(struct agent *a)
{
    while (a->calls) {
        struct served *s = a->calls;
        a->calls = s->next;
        call_free(s->call);
        free(s);
    }
    a->n_calls = 0;
}
