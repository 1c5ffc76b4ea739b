/* call_hear.c - what the caller says: voice and words into the turn machine, the turn's words kept
 * until they are somebody's.
 */
#include "call_int.h"

#include "shape.h"
#include "words.h"

#include <stdlib.h>
#include <string.h>

enum {
    NOTICE_MS = 60000, /* nobody says so much into the notice that it is cut */
    NOTICE_WORDS = 1000,
    WAIT_LEAST_MS = 1500,    /* from the turn's end to "one moment", however late that was */
    JUDGE_MS = 1000,         /* behind the recogniser's own limit: then we judge */
    PARTIAL_US = 250 * 1000, /* live text at most this often */
    DEAF_MS = 20000,         /* no recogniser for so long: the call is over */
    STEADY_US = 5000 * 1000, /* connected for so long: it is back */
    PAUSE_US = 60 * 1000,    /* no voice for so long, and the recogniser says the same */
};

char *call_all_said(const struct call *c)
{
    struct pat_buf b;

    pat_buf_init(&b, 64 * 1024);
    pat_buf_addf(&b, "%s%s%s", c->said.len ? c->said.data : "",
                 c->said.len && c->partial.len ? " " : "", c->partial.len ? c->partial.data : "");
    return pat_buf_take(&b);
}

/* ---- who judges turns ---- */

struct stt_flux call_flux(const struct call *c)
{
    const char *how =
        *c->ctx->turn_detection ? c->ctx->turn_detection : c->env->conf->turn_detection;
    double r = c->ctx->responsiveness;
    char code[3];
    const char *language = pat_language_code(c->ctx->language, code);
    bool english = language && strcmp(language, "en") == 0;

    if (strcmp(how, "flux") != 0)
        return (struct stt_flux){ 0 };
    return (struct stt_flux){ .model = english ? "flux-general-en" : "flux-general-multi",
                              .eot_threshold = 0.85 - 0.2 * r,
                              .eager_threshold = 0.6 - 0.2 * r,
                              .eot_timeout_ms = (int)(5000 - 3000 * r) };
}

void call_turn_opts(struct call *c)
{
    struct stt_flux flux = call_flux(c);

    c->turn_opts = turn_opts_for(c->ctx->responsiveness, c->ctx->interruption_sensitivity);
    if (c->ctx->announced)
        c->turn_opts.guard_ms = NOTICE_MS, c->turn_opts.guard_words = NOTICE_WORDS;
    if (flux.model && (!c->stt || stt_judges(c->stt)))
        c->turn_opts.end_wait_ms = flux.eot_timeout_ms + JUDGE_MS;
    c->turn_opts.idle_ms = warm_waits(c) ? 0 : (int32_t)c->env->conf->idle_ms;
    c->turn_opts.idle_max = (int32_t)c->env->conf->idle_prompts;
    c->turn_opts.wait_ms = (int32_t)c->env->conf->wait_ms;
    c->turn_opts.wait_least_ms = WAIT_LEAST_MS;
    c->turn_opts.wait_more_ms = (int32_t)c->env->conf->wait_more_ms;
    turn_log_opts(c->log, &c->turn_opts);
}

/* ---- whose words they are ---- */

void call_commit(struct call *c)
{
    PAT_AUTO_STR said = call_all_said(c);
    const char *shown = call_tools_secret(c->tools) ? PASSCODE_SHOWN : said;

    if (said && *said) {
        c->turns++;
        c->times.commit_us = pat_now_us();
        if (c->final_us >= c->times.voiced_us) /* later than the thought it led to */
            c->times.final_us = c->final_us;
        (void)history_user(c->history, shown, c->said_at_ms);
        transcript_user(&c->transcript, c->caller, c->caller_track, shown, true);
        report_user(c, shown);
    }
    call_forget(c);
    call_tools_committed(c->tools);
}

/* What is not frozen yet will be told again, as a part of something longer: it was taken. */
void call_forget(struct call *c)
{
    if (c->partial.len)
        c->taken_words += words_total(c->partial.data);
    pat_buf_reset(&c->said);
    pat_buf_reset(&c->partial);
}

/* ---- voice ---- */

static void on_voice_started(int64_t at_us, void *arg)
{
    struct call *c = arg;

    if (!c->said.len)
        c->said_at_ms = (at_us - c->began_us) / 1000;
    call_turn(c, (struct turn_event){ .kind = TURN_VOICE_START, .at_us = at_us });
    call_machine_voice(c, true);
}

static void on_voice_stopped(int64_t at_us, void *arg)
{
    call_turn(arg, (struct turn_event){ .kind = TURN_VOICE_STOP, .at_us = at_us });
    call_machine_voice(arg, false);
}

static void on_calm(bool calm, void *arg)
{
    struct call *c = arg;

    if (c->room)
        rtc_room_calm(c->room, calm);
}

const struct ear_events call_ear_events = { on_voice_started, on_voice_stopped, on_calm,
                                            call_machine_sound };

/* Our detector waits a little longer before it calls silence silence. When the recogniser has
 * heard the pause too, there is nothing to wait for. */
static void believe_pause(struct call *c)
{
    int64_t voiced_us = ear_voiced_us(c->ear);

    if (c->turn.voice && voiced_us && pat_now_us() - voiced_us >= PAUSE_US)
        on_voice_stopped(voiced_us, c);
}

/* ---- words ---- */

static void show_partial(struct call *c)
{
    int64_t now = pat_now_us();
    PAT_AUTO_STR said = NULL;

    if (call_tools_secret(c->tools) || now - c->partial_told_us < PARTIAL_US ||
        !(said = call_all_said(c)))
        return;
    c->partial_told_us = now;
    transcript_user(&c->transcript, c->caller, c->caller_track, said, false);
    report_partial(c, said);
}

static void keep(struct call *c, const char *text, bool is_final)
{
    pat_buf_reset(&c->partial);
    while (*text == ' ')
        text++;
    if (!*text)
        return;
    if (is_final && c->said.len)
        pat_buf_adds(&c->said, " ");
    pat_buf_adds(is_final ? &c->said : &c->partial, text);
}

static bool other_than_answered(const struct call *c)
{
    PAT_AUTO_STR said = c->answering ? call_all_said(c) : NULL;

    return said && !words_same(said, c->answering);
}

static void see_shape(const struct call *c, struct turn_event *e)
{
    enum shape shape = shape_of(c->said.data, c->ctx->language);

    e->open = shape == SHAPE_OPEN;
    e->asked = shape == SHAPE_ASKED;
}

static void on_transcript(const struct stt_transcript *t, void *arg)
{
    struct call *c = arg;
    const char *text = words_skip(t->text, c->taken_words);
    struct words n = words_count(text, c->ctx->language);
    struct turn_event e = { .kind = t->is_final ? TURN_FINAL
                                    : t->eager  ? TURN_EAGER
                                                : TURN_PARTIAL,
                            .n = n.hard,
                            .soft = n.soft };

    if (c->ending)
        return;
    pat_timer_stop(&c->deaf);
    keep(c, n.hard + n.soft ? text : "", t->is_final);
    e.changed = other_than_answered(c);
    if (t->is_final) {
        c->taken_words = 0;
        e.end = t->speech_final;
        /* A recogniser that judges turns has judged this one. */
        if (!stt_judges(c->stt) && c->said.len)
            see_shape(c, &e);
    }
    if (t->speech_final || t->eager) {
        c->final_us = pat_now_us();
        believe_pause(c);
    }
    call_turn(c, e);
    if (!c->ending && n.hard + n.soft)
        show_partial(c);
    if (t->is_final)
        call_machine_words(c, t->text);
}

static void on_resumed(void *arg)
{
    call_turn_kind(arg, TURN_RESUMED, 0);
}

static void on_utterance_end(int64_t last_word_end_ms, void *arg)
{
    struct call *c = arg;

    (void)last_word_end_ms;
    c->final_us = pat_now_us();
    call_turn_kind(c, TURN_UTTERANCE_END, 0);
}

static void on_stt_ready(void *arg)
{
    struct call *c = arg;

    c->hearing_us = pat_now_us();
    call_turn_opts(c); /* it may have been asked for less than we wished */
    pat_log(PAT_DEBUG, "call.stt_ready", PAT_S("call", c->id), PAT_I("after_ms", call_ms(c)));
}

static void on_speech_started(int64_t audio_ms, void *arg)
{
    (void)audio_ms, (void)arg; /* our own detector is earlier */
}

/* A call in which we cannot hear is no call. */
static void cannot_hear(struct call *c, int err, const char *why)
{
    pat_log(PAT_ERROR, "call.cannot_hear", PAT_S("call", c->id), PAT_ERR(err), PAT_S("why", why));
    call_give_up(c, "stt_failed");
}

void call_deaf(void *arg)
{
    struct call *c = arg;

    if (!c->hearing_us || pat_now_us() - c->hearing_us < STEADY_US)
        cannot_hear(c, PAT_EUNAVAIL, "no recogniser for too long");
}

static void on_stt_failed(int err, bool retrying, const char *why, void *arg)
{
    struct call *c = arg;

    c->hearing_us = 0;
    if (c->ending)
        return;
    if (!retrying)
        cannot_hear(c, err, why);
    else if (!pat_timer_running(&c->deaf)) /* it has logged why, and goes on trying */
        pat_timer_start(&c->deaf, DEAF_MS);
}

const struct stt_events call_stt_events = {
    .ready = on_stt_ready,
    .speech_started = on_speech_started,
    .transcript = on_transcript,
    .resumed = on_resumed,
    .utterance_end = on_utterance_end,
    .failed = on_stt_failed,
    .provider_failed = call_provider_failed,
};
