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

struct call *agent_find(const struct agent *a, const char *call_id_text)
{
    for (struct served *s = a->calls; s; s = s->next)
        if (strcmp(call_id(s->call), call_id_text) == 0)
            return s->call;
    return NULL;
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

    if (strcmp(call_reason(c), "caller_left") != 0)
        return;
    a->over_next = (a->over_next + 1) % AGENT_OVER;
    (void)pat_strcpy(o->call_id, sizeof o->call_id, call_id(c));
    o->at_ms = pat_now_ms();
}

static int on_offered(const char *job_id, const char *room, const char *metadata,
                      char identity[129], void *arg)
{
    struct agent *a = arg;
    const char *id = id_of(room, metadata);

    if (a->draining || a->n_calls >= a->env.conf->max_calls ||
        (id && (agent_find(a, id) || is_over(a, id)))) {
        pat_log(PAT_INFO, "agent.job_refused", PAT_S("job", job_id), PAT_S("room", room),
                PAT_I("calls", a->n_calls));
        return PAT_EAGAIN;
    }
    (void)snprintf(identity, 129, "agent-%.100s-%d", id ? id : room, FIRST_EPOCH);
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

    forget(a, c);
    note_over(a, c);
    call_free(c);
    agent_drain_step(a);
}

static const struct call_events call_events = { on_headers, on_ended };

int agent_serve(struct agent *a, const struct call_start *s)
{
    struct prepared *p = agent_take_prepared(a, s->call_id);
    struct served *entry = calloc(1, sizeof *entry);
    struct context *ctx = p ? p->ctx : NULL;
    struct mouth *mouth = p ? p->mouth : NULL;
    int err;

    if (p)
        p->ctx = NULL, p->mouth = NULL;
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
    agent_mark_served(a, s);
    if (!ctx)
        agent_look_up(a, s->call_id);
    return PAT_OK;
}

static void on_assigned(const struct worker_job *job, void *arg)
{
    struct agent *a = arg;
    const char *known = id_of(job->room, job->metadata);
    struct pat_id fresh = pat_id_new();
    struct call_start s = {
        known ? known : fresh.s, job->room, job->url, job->token, job->id, FIRST_EPOCH
    };

    if (known && agent_find(a, known)) { /* claimed, or offered twice */
        worker_job_done(a->env.worker, job->id, "served already");
        return;
    }
    if (agent_serve(a, &s))
        worker_job_done(a->env.worker, job->id, "could not begin");
}

static void on_terminated(const char *job_id, const char *room, void *arg)
{
    struct agent *a = arg;

    for (struct served *s = a->calls; s; s = s->next)
        if (strcmp(call_job(s->call), job_id) == 0) {
            pat_log(PAT_INFO, "agent.job_terminated", PAT_S("call", call_id(s->call)),
                    PAT_S("room", room));
            call_hang_up(s->call, "job_terminated", false);
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
