/* agent.c - the parts in order up, and in order down.
 *
 * Going down is a chain: calls end, what they said is stored, the worker's socket closes, then the
 * media library. Each step has a deadline of its own.
 */
#include "agent_int.h"

#include "chains.h"
#include "health_report.h"
#include "realtime.h"

#include <stdlib.h>

enum { LLM_IDLE_MS = 3000, END_CALLS_BEFORE_MS = 2500, JOURNAL_MS = 1500, RECORDER_MS = 1500 };

static int make_llm(struct agent *a, const struct agent_conf *f)
{
    const struct llm_opts o = { .providers = a->env.providers,
                                .metrics = a->env.metrics,
                                .connect_ms = f->connect_ms,
                                .first_token_ms = f->first_token_ms,
                                .idle_ms = LLM_IDLE_MS,
                                .hedge_ms = f->hedge_ms };

    return llm_new(&a->env.llm, a->env.loop, a->env.http, &o);
}

static int make_worker(struct agent *a, const struct agent_conf *f)
{
    const struct worker_opts o = { f->livekit_url, f->livekit_key, f->livekit_secret, f->agent_name,
                                   (int)f->max_calls };

    return worker_new(&a->env.worker, a->env.loop, a->env.net, &o, &agent_worker_events, a);
}

static void make_metrics(struct env *e)
{
    static const double frame_s[] = {
        0.0005, 0.001, 0.002, 0.003, 0.005, 0.008, 0.013, 0.02, 0.05
    };
    size_t n = sizeof pat_buckets_latency_s / sizeof pat_buckets_latency_s[0];
    struct pat_metrics *m = e->metrics;

    e->calls = pat_gauge(m, "pat_agent_calls", "Calls being served", NULL);
    e->load = pat_gauge(m, "pat_agent_load", "Of its capacity, what is used; 1: full", NULL);
    e->answered = pat_counter(m, "pat_agent_calls_answered_total", "Calls answered", NULL);
    e->taken_over = pat_counter(m, "pat_agent_calls_taken_over_total",
                                "Calls begun by another agent, or prepared and not begun", NULL);
    e->failed = pat_counter(m, "pat_agent_replies_failed_total", "Replies that failed", NULL);
    e->interruptions =
        pat_counter(m, "pat_agent_interruptions_total", "Replies cut by the caller", NULL);
    e->late_frames = pat_counter(m, "pat_agent_late_frames_total",
                                 "Packets sent more than 5 ms behind their time", NULL);
    e->greeting_s = pat_histogram(m, "pat_agent_greeting_seconds",
                                  "From the caller can hear to the greeting's first sound", NULL,
                                  pat_buckets_latency_s, n);
    e->response_s = pat_histogram(m, "pat_agent_response_seconds",
                                  "From the caller's last voice to the reply's first sound", NULL,
                                  pat_buckets_latency_s, n);
    e->own_s = pat_histogram(m, "pat_agent_own_seconds",
                             "Of a response, what was not waiting for a provider", NULL,
                             pat_buckets_latency_s, n);
    e->frame_late_s = pat_histogram(m, "pat_agent_frame_late_seconds",
                                    "How far behind its time a packet of speech was sent", NULL,
                                    frame_s, sizeof frame_s / sizeof frame_s[0]);
}

static int make_shared(struct agent *a, const struct agent_conf *f)
{
    struct env *e = &a->env;
    const struct pat_journal_opts jo = { .spool_file = *f->spool_file ? f->spool_file : NULL,
                                         .metrics = e->metrics };
    const struct phrases_opts po = { .max_bytes = (size_t)f->phrase_cache_bytes,
                                     .dir = f->phrase_dir,
                                     .dir_bytes = (uint64_t)f->phrase_disk_bytes,
                                     .metrics = e->metrics };
    int err = pat_journal_new(&e->journal, e->loop, e->db, e->bus, &jo);

    if (!err)
        err = env_recorder(&e->recorder, e);
    if (!err)
        err = rtc_new(&e->rtc, e->loop, e->net, e->metrics);
    if (!err)
        err = roomapi_new(&e->rooms, e->http, f->livekit_url, f->livekit_key, f->livekit_secret);
    if (!err)
        err = phrases_new(&e->phrases, e->loop, &po);
    if (!err)
        err = ambiences_new(&e->ambiences, e->loop, f->ambient_dir);
    if (!err)
        err = chains_new(&e->providers, f, e->metrics, health_changed, e);
    if (!err)
        err = kept_new(&e->kept, e);
    if (!err)
        err = make_llm(a, f);
    if (!err)
        err = pat_price_book_new(&e->prices, e->loop, e->db);
    return err;
}

static void on_drain_limit(void *arg);

static void on_deleted(void *arg)
{
    agent_drain_step(arg);
}

int agent_start(struct agent **out, struct pat_daemon *d)
{
    struct agent *a = calloc(1, sizeof *a);
    int err;

    if (!a)
        return PAT_ENOMEM;
    a->d = d;
    a->id = pat_id_new();
    a->env = (struct env){ .loop = d->loop,
                           .net = d->net,
                           .http = d->http,
                           .bus = d->bus,
                           .db = d->db,
                           .metrics = d->metrics,
                           .conf = d->conf,
                           .deleted = on_deleted,
                           .deleted_arg = a };
    make_metrics(&a->env);
    realtime_begin((int)a->env.conf->realtime);
    *out = a;
    err = pat_health_check(d->health, "livekit", true);
    if (!err)
        err = pat_timer_init(&a->drain_timer, d->loop, on_drain_limit, a);
    if (!err)
        err = make_shared(a, d->conf);
    if (!err)
        err = make_worker(a, d->conf);
    if (!err)
        err = agent_serve_rpc(a);
    if (!err)
        err = agent_lease_start(a);
    if (!err)
        err = agent_reap_start(a);
    if (err)
        return err;
    kept_want(a->env.kept, "en");
    return PAT_OK;
}

static void rtc_closed(void *arg)
{
    struct agent *a = arg;

    a->env.rtc = NULL;
    a->drained(a->drained_arg);
}

static void worker_closed(void *arg)
{
    struct agent *a = arg;

    a->env.worker = NULL;
    rtc_close(a->env.rtc, rtc_closed, a);
}

static void journal_closed(void *arg)
{
    struct agent *a = arg;

    a->env.journal = NULL;
    worker_close(a->env.worker, worker_closed, a);
}

static void recorder_closed(void *arg)
{
    struct agent *a = arg;

    a->env.recorder = NULL;
    pat_journal_close(a->env.journal, JOURNAL_MS, journal_closed, a);
}

void agent_drain_step(struct agent *a)
{
    if (!a->draining || a->closing || a->n_calls || a->env.deletes)
        return;
    a->closing = true;
    pat_timer_stop(&a->drain_timer);
    agent_drop_prepared(a);
    agent_reap_stop(a);
    agent_lease_stop(a);
    if (a->env.recorder)
        recorder_close(a->env.recorder, RECORDER_MS, recorder_closed, a);
    else
        recorder_closed(a);
}

static void on_drain_limit(void *arg)
{
    struct agent *a = arg;

    pat_log(PAT_WARN, "agent.drain_limit", PAT_I("calls", a->n_calls));
    for (struct served *s = a->calls; s; s = s->next)
        call_hang_up(s->call, "shutdown", false);
}

void agent_drain(struct agent *a, pat_loop_fn *drained, void *arg)
{
    int64_t limit_ms = a->d->drain_ms - END_CALLS_BEFORE_MS - RECORDER_MS - JOURNAL_MS;
    int64_t hand_ms;

    a->draining = true;
    a->drained = drained;
    a->drained_arg = arg;
    hand_ms = limit_ms / 2 < a->env.conf->handover_ms ? limit_ms / 2 : a->env.conf->handover_ms;
    a->hand_by_ms = a->env.conf->handover_ms ? pat_now_ms() + hand_ms : 0;
    agent_stop_rpc(a);
    worker_drain(a->env.worker);
    pat_timer_start(&a->drain_timer, limit_ms > 0 ? limit_ms : 0);
    agent_drain_step(a);
}

static void ignore(void *arg)
{
    (void)arg;
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    agent_stop_rpc(a);
    agent_reap_stop(a);
    agent_lease_stop(a);
    agent_drop_calls(a);
    agent_drop_prepared(a);
    kept_free(a->env.kept);
    recorder_free(a->env.recorder);
    if (a->env.journal && !a->closing)
        pat_journal_close(a->env.journal, 0, ignore, NULL);
    if (a->env.worker)
        worker_close(a->env.worker, ignore, NULL);
    if (a->env.rtc)
        rtc_close(a->env.rtc, ignore, NULL);
    pat_price_book_free(a->env.prices);
    phrases_free(a->env.phrases);
    ambiences_free(a->env.ambiences);
    llm_free(a->env.llm);
    providers_free(a->env.providers);
    roomapi_free(a->env.rooms);
    agent_drop_questions(a);
    pat_timer_fini(&a->drain_timer);
    free(a);
}
