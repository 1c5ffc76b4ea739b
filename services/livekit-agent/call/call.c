/* call.c - the life of a call: what is made when, and what has to be gone at its end.
 *
 * The end is always the same door, call_end: whoever ends it names the reason, the rest follows.
 */
#include "call_int.h"

#include "prompt.h"

#include <stdlib.h>
#include <string.h>

enum {
    JOIN_MS = 10000,
    NO_CALLER_MS = 120000, /* a carrier rings for a minute or so */
    CALLER_BACK_MS = 8000, /* where we take over: who is not there has hung up meanwhile */
    PROGRESS_MS = 200,
    DELETE_MS = 5000,
    SAID_MAX = 16 * 1024,
};

int64_t call_ms(const struct call *c)
{
    return (pat_now_us() - c->began_us) / 1000;
}

static void on_wake(void *arg)
{
    struct call *c = arg;

    call_turn_kind(c, TURN_WAKE, 0);
}

static void on_absent(void *arg)
{
    struct call *c = arg;

    call_end(c, c->answered ? "caller_lost" : "no_caller");
}

static void on_no_context(void *arg)
{
    struct call *c = arg;

    call_context(c, NULL);
}

static void on_ready(void *arg)
{
    struct call *c = arg;

    if (c->keep.plan.what != RESUME_NO) {
        pat_timer_start_rough(&c->progress, PROGRESS_MS);
        call_record_begin(c);
        call_resume(c);
        return;
    }
    checkpoint_touch(c);
    pat_timer_start_rough(&c->progress, PROGRESS_MS);
    call_record_begin(c);
    call_machine_start(c);
    if (!c->ctx)
        c->bye = OWN_OUT_OF_ORDER;
    call_turn_kind(c, TURN_READY, !c->ctx ? -1 : *c->ctx->greeting || c->came_back ? 1 : 0);
    if (c->ctx && !*c->ctx->greeting && !c->came_back)
        report_answered(c, -1);
}

static void on_progress(void *arg)
{
    struct call *c = arg;

    call_tick(c);
    call_look_at_cost(c);
    call_back_look(c);
    if (c->turn.state == TURN_SPEAKING) /* how far we have been heard */
        checkpoint_touch(c);
    pat_timer_start_rough(&c->progress, PROGRESS_MS);
}

static int init_timers(struct call *c)
{
    struct pat_loop *l = c->env->loop;
    int err = pat_timer_init(&c->wake, l, on_wake, c);

    if (!err)
        err = pat_timer_init(&c->ready_timer, l, on_ready, c);
    if (!err)
        err = pat_timer_init(&c->progress, l, on_progress, c);
    if (!err)
        err = pat_timer_init(&c->limit, l, call_on_limit, c);
    if (!err)
        err = pat_timer_init(&c->absent, l, on_absent, c);
    if (!err)
        err = pat_timer_init(&c->ctx_timer, l, on_no_context, c);
    if (!err)
        err = pat_timer_init(&c->deaf, l, call_deaf, c);
    if (!err)
        err = checkpoint_init(c);
    return err ? err : call_dtmf_init(c);
}

static void fini_timers(struct call *c)
{
    pat_timer_fini(&c->wake);
    pat_timer_fini(&c->ready_timer);
    pat_timer_fini(&c->progress);
    pat_timer_fini(&c->limit);
    pat_timer_fini(&c->absent);
    pat_timer_fini(&c->ctx_timer);
    pat_timer_fini(&c->deaf);
    call_dtmf_fini(c);
}

static void stop_timers(struct call *c)
{
    pat_timer_stop(&c->wake);
    pat_timer_stop(&c->ready_timer);
    pat_timer_stop(&c->progress);
    pat_timer_stop(&c->limit);
    pat_timer_stop(&c->absent);
    pat_timer_stop(&c->ctx_timer);
    pat_timer_stop(&c->deaf);
    pat_timer_stop(&c->keep.due);
    call_dtmf_stop(c);
}

static int make_player(struct call *c)
{
    struct player_opts o = { .loop = c->env->loop,
                             .beat = &c->env->beat,
                             .sink = &call_player_sink,
                             .events = &call_player_events,
                             .arg = c,
                             .gain = c->ctx ? c->ctx->volume : 1,
                             .late = c->env->frame_late_s };

    return player_new(&c->player, &o);
}

/* The pause a recogniser tells us of. So much sooner than the turn ends that the reply, made ahead,
 * is there in time; below 100 ms it cuts words apart. */
static int pause_to_hear(int min_delay_ms)
{
    enum { LEAST_MS = 100, SHORT_MS = 200, MOST_MS = 500, REPLY_MS = 350 /* to its first sound */ };
    int ms = min_delay_ms - REPLY_MS;

    if (ms < SHORT_MS)
        ms = min_delay_ms < SHORT_MS ? min_delay_ms : SHORT_MS;
    return ms < LEAST_MS ? LEAST_MS : ms > MOST_MS ? MOST_MS : ms;
}

static int open_stt(struct call *c)
{
    struct stt_opts o = {
        .providers = c->env->providers,
        .connect_ms = c->env->conf->connect_ms,
        .language = c->ctx->language,
        .endpointing_ms = pause_to_hear(c->turn_opts.min_delay_ms),
        .utterance_end_ms = 1000,
        .keyterms = c->ctx->keyterms[0] ? (const char *const *)c->ctx->keyterms : NULL,
    };
    struct stt_flux flux = call_flux(c);
    int err;

    o.flux = flux.model ? &flux : NULL;
    err = stt_open(&c->stt, c->env->loop, c->env->net, &o, &call_stt_events, c);

    if (!err)
        ear_attach(c->ear, c->stt);
    return err;
}

int call_open_mouth(struct call *c)
{
    int err = c->mouth ? PAT_OK : env_mouth(&c->mouth, c->env, c->ctx);

    if (!err)
        mouth_listen(c->mouth, &call_mouth_events, c);
    return err;
}

/* With the context known: instructions, recogniser, voice. */
int call_open_speech(struct call *c)
{
    call_record_notice(c->env, c->ctx);
    int err = call_tools_new(&c->tools, c);
    char *system =
        call_tools_instructions(c->tools, prompt_system(c->ctx, c->began_ms), c->began_ms);

    if (!err)
        err = system ? history_new(&c->history, system) : PAT_ENOMEM;
    call_return_known(c);
    free(system);
    call_turn_opts(c);
    if (!err)
        err = open_stt(c);
    if (!err)
        err = call_open_mouth(c);
    if (!err)
        call_sound_settings(c);
    return err ? err : call_resume_load(c);
}

static int join(struct call *c, const struct call_start *s)
{
    struct rtc_join j = { s->url, s->token, "agent", JOIN_MS };

    return rtc_room_join(&c->room, c->env->rtc, &j, &call_rtc_events, c);
}

static void release(struct call *c)
{
    c->yielded = true; /* not by its end: somebody else finishes what was recorded */
    call_record_over(c);
    warm_free(c);
    reply_free(c->reply);
    mouth_free(c->mouth);
    ear_free(c->ear);
    stt_close(c->stt);
    player_free(c->player);
    call_tools_free(c->tools);
    call_return_free(c);
    call_announce_free(c);
    history_free(c->history);
    turn_log_close(c->log);
    free(c->answering);
    checkpoint_free(c);
    context_free(c->ctx);
    pat_buf_fini(&c->said);
    pat_buf_fini(&c->partial);
    fini_timers(c);
}

static int set_up(struct call *c, const struct call_start *s)
{
    const char *dir = c->env->conf->event_log_dir;
    int err = init_timers(c);

    if (*dir && turn_log_open(&c->log, dir, c->id, c->began_us))
        pat_log(PAT_WARN, "turn_log.failed", PAT_S("call", c->id));
    turn_log_opts(c->log, &c->turn_opts);

    if (!err)
        err = ear_new(&c->ear, c->env->loop, &call_ear_events, c);
    if (!err)
        err = make_player(c);
    if (!err && c->ctx)
        err = call_open_speech(c);
    if (!err)
        err = join(c, s);
    return err;
}

int call_new(struct call **out, struct env *env, const struct call_start *s,
             struct context *ctx_take, struct mouth *mouth_take, const struct call_events *ev,
             void *arg)
{
    struct call *c = calloc(1, sizeof *c);
    int err;

    if (!c) {
        context_free(ctx_take);
        mouth_free(mouth_take);
        return PAT_ENOMEM;
    }
    c->env = env;
    c->ev = ev;
    c->arg = arg;
    c->ctx = ctx_take;
    c->ctx_asked = ctx_take != NULL;
    c->mouth = mouth_take;
    c->made_us = c->began_us = pat_now_us();
    c->began_ms = pat_unix_ms();
    c->bye = OWN_GOODBYE;
    call_wait_reset(c);
    c->segment = 1;
    c->epoch = s->epoch;
    c->keep.saved = s->saved ? pat_json_dup(s->saved) : NULL;
    pat_strcpy(c->id, sizeof c->id, s->call_id);
    pat_strcpy(c->job, sizeof c->job, s->job_id ? s->job_id : "");
    pat_strcpy(c->room_name, sizeof c->room_name, s->room);
    pat_buf_init(&c->said, SAID_MAX);
    pat_buf_init(&c->partial, SAID_MAX);
    turn_init(&c->turn);
    c->turn_opts = turn_opts_for(1, 1);
    transcript_init(&c->transcript);
    err = set_up(c, s);
    if (err) {
        release(c);
        free(c);
        return err;
    }
    pat_timer_start(&c->absent, c->answered ? CALLER_BACK_MS : NO_CALLER_MS);
    call_limits_start(c);
    if (s->cut_off)
        call_came_back(c, "redial");
    pat_log(PAT_INFO, "call.joining", PAT_S("call", c->id), PAT_S("room", c->room_name),
            PAT_B("context", c->ctx != NULL));
    *out = c;
    return PAT_OK;
}

void call_context(struct call *c, struct context *ctx_take)
{
    int err;

    if (c->ctx_asked || c->ending) {
        context_free(ctx_take);
        return;
    }
    c->ctx_asked = true;
    c->ctx = ctx_take;
    pat_timer_stop(&c->ctx_timer);
    if (ctx_take) {
        if (ctx_take->max_call_ms)
            call_limits_start(c);
        err = call_open_speech(c);
        if (err) {
            pat_log(PAT_ERROR, "call.speech_failed", PAT_S("call", c->id), PAT_ERR(err));
            call_end(c, "speech_failed");
            return;
        }
    } else {
        pat_log(PAT_WARN, "call.no_context", PAT_S("call", c->id));
    }
    call_check_ready(c);
}

static void tell_ended(void *arg)
{
    struct call *c = arg;

    c->ev->ended(c, c->arg);
}

static void deleted(int err, void *arg)
{
    struct env *e = arg;

    e->deletes--;
    if (err && err != PAT_ENOENT)
        pat_log(PAT_WARN, "call.room_not_deleted", PAT_ERR(err));
    e->deleted(e->deleted_arg);
}

static void delete_room(struct call *c)
{
    struct env *e = c->env;

    if (roomapi_delete(e->rooms, c->room_name, DELETE_MS, deleted, e))
        pat_log(PAT_WARN, "call.room_not_deleted", PAT_S("call", c->id));
    else
        e->deletes++;
}

void call_left(struct call *c)
{
    pat_loop_next_turn(c->env->loop, &c->gone, tell_ended, c);
}

/* Nobody else hangs up on the caller: a room that only the agent left goes on in silence. */
static void close_room(struct call *c)
{
    if (c->job[0])
        worker_job_done(c->env->worker, c->job, NULL);
    if (!c->yielded && !c->left_to_it)
        delete_room(c);
    if (c->room)
        rtc_room_leave(c->room);
    else
        call_left(c);
}

void call_end(struct call *c, const char *reason)
{
    if (c->ending)
        return;
    c->ending = true;
    if (!c->reason[0])
        pat_strcpy(c->reason, sizeof c->reason, reason);
    call_reply_over(c, true);
    call_record_over(c);
    call_tools_stop(c->tools);
    warm_stop(c);
    call_announce_end(c);
    stop_timers(c);
    call_trouble_stop(c);
    ear_attach(c->ear, NULL);
    if (!c->yielded) { /* else it is in what we have left */
        report_end(c);
        report_usage(c);
        report_web_end(c);
    }
    pat_log(PAT_INFO, "call.ended", PAT_S("call", c->id), PAT_S("reason", c->reason),
            PAT_I("duration_ms", call_ms(c)), PAT_I("turns", c->turns),
            PAT_I("late_frames", player_late_frames(c->player)));
    pat_counter_add(c->env->late_frames, (double)player_late_frames(c->player));
    call_sound_report(c);
    /* One of them may be calling us just now: they are closed with the rest, a little later. */
    if (c->mouth)
        mouth_listen(c->mouth, NULL, NULL);
    player_stop(c->player);
    close_room(c);
}

void call_hang_up(struct call *c, const char *reason, bool polite)
{
    if (!c->reason[0])
        pat_strcpy(c->reason, sizeof c->reason, reason);
    call_turn_kind(c, TURN_HANG_UP, polite ? 1 : 0);
}

void call_close(struct call *c, const char *reason)
{
    call_end(c, reason);
}

void call_yield(struct call *c, const char *reason)
{
    if (c->ending)
        return;
    c->yielded = true;
    call_end(c, reason);
}

void call_free(struct call *c)
{
    if (!c)
        return;
    pat_task_cancel(c->env->loop, &c->gone);
    call_trouble_stop(c);
    rtc_room_abort(c->room);
    release(c);
    free(c);
}

bool call_yielded(const struct call *c)
{
    return c->yielded;
}

int64_t call_late_frames(const struct call *c)
{
    return player_late_frames(c->player);
}

const char *call_room(const struct call *c)
{
    return c->room_name;
}

const char *call_params(const struct call *c)
{
    return c->ctx ? c->ctx->params : NULL;
}

const char *call_id(const struct call *c)
{
    return c->id;
}

const char *call_reason(const struct call *c)
{
    return c->reason;
}

const char *call_job(const struct call *c)
{
    return c->job;
}

int call_epoch(const struct call *c)
{
    return c->epoch;
}

bool call_has_context(const struct call *c)
{
    return c->ctx != NULL;
}
