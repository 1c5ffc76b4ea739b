/* call_reply.c - what we say: begun, followed to the caller's ear, and written down as heard; and
 * the news of ear, recogniser, voice and player that the turn machine wants.
 */
#include "call_int.h"

#include <string.h>

enum {
    MESSAGES_MAX = 48 * 1024, /* bytes of history given to the model */
    FAILURES_MAX = 3,         /* replies in a row: then we say so and hang up */
    PARTIAL_US = 250 * 1000,  /* live text at most this often */
    MUTE_US = 2500 * 1000,    /* a voice that works is faster, the substitute's turn included */
    DEAF_MS = 20000,          /* no recogniser for so long: the call is over */
    STEADY_US = 5000 * 1000,  /* connected for so long: it is back */
    PAUSE_US = 60 * 1000,     /* no voice for so long, and the recogniser says the same */
};

/* ---- replies ---- */

static void on_failed(bool sounds, void *arg);

static void on_made(bool sounds, void *arg)
{
    struct call *c = arg;

    if (c->reply_answers && !sounds) { /* to the caller an empty answer is none */
        on_failed(false, c);
        return;
    }
    if (c->reply_answers)
        c->failures = 0;
    call_turn(c, (struct turn_event){ .kind = TURN_REPLY_DONE, .reply = c->reply_no, .n = sounds });
}

static void on_failed(bool sounds, void *arg)
{
    struct call *c = arg;

    pat_counter_add(c->env->failed, 1);
    pat_log(PAT_WARN, "call.reply_failed", PAT_S("call", c->id), PAT_B("sounds", sounds));
    if (sounds) { /* its beginning will be heard: that has to do */
        call_turn(c, (struct turn_event){ .kind = TURN_REPLY_DONE, .reply = c->reply_no, .n = 1 });
        return;
    }
    call_turn(c, (struct turn_event){ .kind = TURN_REPLY_FAILED, .reply = c->reply_no });
    if (++c->failures < FAILURES_MAX || c->ending)
        return;
    c->bye = PROMPT_OUT_OF_ORDER;
    pat_strcpy(c->reason, sizeof c->reason, "providers_failed");
    call_turn_kind(c, TURN_HANG_UP, 2);
}

static void on_tools(void *arg)
{
    struct call *c = arg;

    call_tools_called(c->tools);
}

static const struct reply_events reply_events = {
    .tools = on_tools, .made = on_made, .failed = on_failed, .provider_failed = call_provider_failed
};

static struct reply_opts begin(struct call *c)
{
    if (c->reply)
        call_reply_over(c, false);
    player_pause(c->player); /* until the machine says play */
    c->reply_no = c->turn.reply;
    c->reply_answers = c->reply_counted = false;
    return (struct reply_opts){ c->mouth, c->player, &reply_events, c };
}

static void cannot_begin(struct call *c, int err, const char *what)
{
    if (!err)
        return;
    c->reply = NULL;
    pat_log(PAT_WARN, "call.reply_refused", PAT_S("call", c->id), PAT_S("what", what),
            PAT_ERR(err));
    on_failed(false, c);
}

/* Words of the turn so far, frozen and not. Yours to free. */
static char *all_said(const struct call *c)
{
    struct pat_buf b;

    pat_buf_init(&b, 64 * 1024);
    pat_buf_addf(&b, "%s%s%s", c->said.len ? c->said.data : "",
                 c->said.len && c->partial.len ? " " : "", c->partial.len ? c->partial.data : "");
    return pat_buf_take(&b);
}

struct llm_req call_llm_req(const struct call *c, const struct pat_json *messages)
{
    return (struct llm_req){ .messages = messages,
                             .tools = call_tools_offered(c->tools),
                             .no_tools = !call_tools_may(c->tools),
                             .temperature = c->ctx->temperature,
                             .max_tokens = c->ctx->max_tokens,
                             .cache_key = c->ctx->agent_config_id,
                             .first_model = c->ctx->model };
}

static void think(struct call *c, const char *said)
{
    struct reply_opts o = begin(c);
    PAT_AUTO_JSON messages = history_messages(c->history, said, MESSAGES_MAX);
    struct llm_req req = call_llm_req(c, messages);

    c->reply_answers = true;
    c->times = (struct turn_times){ .voiced_us = ear_voiced_us(c->ear), .final_us = c->final_us };
    if (c->times.final_us < c->times.voiced_us) /* decided by silence alone */
        c->times.final_us = pat_now_us();
    cannot_begin(c, reply_think(&c->reply, &o, c->env->llm, &req), "think");
}

void call_think(struct call *c)
{
    PAT_AUTO_STR said = all_said(c);

    if (!call_tools_take_turn(c->tools, said))
        think(c, said);
}

void call_say_text(struct call *c, const char *text)
{
    struct phrase *known = mouth_known(c->mouth, text);
    struct reply_opts o = begin(c);

    cannot_begin(c, reply_say(&c->reply, &o, text, known, true), "text");
    phrase_unref(known);
}

/* The greeting is still on its way from the voice: what there is of it is heard now. */
static bool greet_live(struct call *c)
{
    struct reply_opts o;
    uint32_t utterance;

    if (!mouth_listen_in(c->mouth, &utterance))
        return false;
    o = begin(c);
    cannot_begin(c, reply_join(&c->reply, &o, c->ctx->greeting, utterance), "greet");
    mouth_replay(c->mouth);
    return true;
}

void call_greet(struct call *c)
{
    struct phrase *known = mouth_known(c->mouth, c->ctx->greeting);
    struct reply_opts o;

    if (!known && mouth_preparing(c->mouth)) {
        if (greet_live(c))
            return;
        c->reply_no = c->turn.reply; /* made, and being encoded: a matter of milliseconds */
        c->greet_waiting = true;
        return;
    }
    o = begin(c);
    cannot_begin(c, reply_say(&c->reply, &o, c->ctx->greeting, known, true), "greet");
    phrase_unref(known);
}

static void on_prepared(struct phrase *p, void *arg)
{
    struct call *c = arg;

    (void)p;
    if (!c->greet_waiting || c->ending)
        return;
    c->greet_waiting = false;
    if (c->turn.have && c->turn.reply == c->reply_no) {
        bool play = c->turn.authorised;
        call_greet(c);
        if (play)
            player_resume(c->player);
    }
}

/* In the call's own voice when it is at hand or nothing else is; else as said at start-up. */
void call_say(struct call *c, enum prompt_phrase which)
{
    const char *language = c->ctx ? c->ctx->language : "en";
    const char *text = prompt_phrase(which, language);
    struct phrase *known = c->mouth ? mouth_known(c->mouth, text) : NULL;
    struct reply_opts o = begin(c);

    if (!known && (!c->mouth || c->voice_down))
        known = phrase_ref(c->env->canned[which]);
    if (known && !c->mouth)
        o.mouth = NULL;
    cannot_begin(c, reply_say(&c->reply, &o, text, known, true), "say");
    phrase_unref(known);
}

static void count_usage(struct call *c)
{
    const struct llm_usage *u = reply_usage(c->reply);

    c->prompt_tokens += u->prompt_tokens;
    c->cached_tokens += u->cached_tokens;
    c->completion_tokens += u->completion_tokens;
    if (*reply_model(c->reply))
        pat_strcpy(c->model, sizeof c->model, reply_model(c->reply));
}

/* It had a sentence for so long and no sound: an apology in that voice would not be heard either.
 */
static bool is_mute(const struct reply *r)
{
    const struct reply_times *t = reply_times(r);

    return t->sentence_us && !t->sound_us && pat_now_us() - t->sentence_us > MUTE_US;
}

void call_reply_over(struct call *c, bool cut)
{
    struct pat_buf heard, text;

    c->greet_waiting = false;
    if (!c->reply)
        return;
    c->voice_down |= is_mute(c->reply);
    pat_buf_init(&heard, 64 * 1024);
    pat_buf_init(&text, 64 * 1024);
    reply_heard(c->reply, &heard);
    reply_text(c->reply, &text);
    count_usage(c);
    if (heard.len) {
        if (c->history)
            (void)history_agent(c->history, heard.data, call_ms(c));
        transcript_agent(&c->transcript, heard.data, heard.len);
        report_agent(c, text.data, heard.data, cut && heard.len < text.len);
    }
    transcript_agent_end(&c->transcript);
    player_flush(c->player);
    reply_free(c->reply);
    c->reply = NULL;
    call_tools_reply_over(c->tools);
    pat_buf_fini(&heard);
    pat_buf_fini(&text);
}

void call_tick(void *arg)
{
    struct call *c = arg;
    struct pat_buf heard;

    if (!c->reply)
        return;
    reply_tick(c->reply);
    if (!c->reply || c->turn.state != TURN_SPEAKING || c->ending)
        return;
    pat_buf_init(&heard, 64 * 1024);
    reply_heard(c->reply, &heard);
    transcript_agent(&c->transcript, heard.data, heard.len);
    pat_buf_fini(&heard);
}

/* ---- the caller's words ---- */

void call_commit(struct call *c)
{
    PAT_AUTO_STR said = all_said(c);

    if (said && *said) {
        c->turns++;
        c->times.commit_us = pat_now_us();
        (void)history_user(c->history, said, c->said_at_ms);
        transcript_user(&c->transcript, c->caller, c->caller_track, said, true);
        report_user(c, said);
    }
    call_forget(c);
    call_tools_committed(c->tools);
}

void call_forget(struct call *c)
{
    pat_buf_reset(&c->said);
    pat_buf_reset(&c->partial);
}

static void on_voice_started(int64_t at_us, void *arg)
{
    struct call *c = arg;

    if (!c->said.len)
        c->said_at_ms = (at_us - c->began_us) / 1000;
    call_turn(c, (struct turn_event){ .kind = TURN_VOICE_START, .at_us = at_us });
}

static void on_voice_stopped(int64_t at_us, void *arg)
{
    call_turn(arg, (struct turn_event){ .kind = TURN_VOICE_STOP, .at_us = at_us });
}

const struct ear_events call_ear_events = { on_voice_started, on_voice_stopped };

static void show_partial(struct call *c)
{
    int64_t now = pat_now_us();
    PAT_AUTO_STR said = NULL;

    if (now - c->partial_told_us < PARTIAL_US || !(said = all_said(c)))
        return;
    c->partial_told_us = now;
    transcript_user(&c->transcript, c->caller, c->caller_track, said, false);
    report_partial(c, said);
}

/* While we speak, "mhm" is no word. While we listen, it may be the answer. */
static int count_words(const struct call *c, const char *text)
{
    return prompt_words(text, c->turn.state == TURN_LISTENING || c->turn.state == TURN_MAYBE_DONE);
}

/* Our detector waits a little longer before it calls silence silence. When the recogniser has
 * heard the pause too, there is nothing to wait for. */
static void believe_pause(struct call *c)
{
    int64_t voiced_us = ear_voiced_us(c->ear);

    if (c->turn.voice && voiced_us && pat_now_us() - voiced_us >= PAUSE_US)
        on_voice_stopped(voiced_us, c);
}

static void on_transcript(const struct stt_transcript *t, void *arg)
{
    struct call *c = arg;
    int n = count_words(c, t->text);
    struct turn_event e = { .kind = t->is_final ? TURN_FINAL : TURN_PARTIAL, .n = n };

    if (c->ending)
        return;
    pat_timer_stop(&c->deaf);
    pat_buf_reset(&c->partial);
    if (n && t->is_final) {
        if (c->said.len)
            pat_buf_adds(&c->said, " ");
        pat_buf_adds(&c->said, t->text);
    } else if (n) {
        pat_buf_adds(&c->partial, t->text);
    }
    if (t->is_final) {
        e.end = t->speech_final;
        e.open = c->said.len && prompt_open_ended(c->said.data, c->ctx->language);
    }
    if (t->speech_final) {
        c->final_us = pat_now_us();
        believe_pause(c);
    }
    call_turn(c, e);
    if (!c->ending && n)
        show_partial(c);
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
    c->bye = PROMPT_OUT_OF_ORDER;
    pat_strcpy(c->reason, sizeof c->reason, "stt_failed");
    call_turn_kind(c, TURN_HANG_UP, 2);
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

    pat_counter_add(env_provider_error(c->env, "stt"), 1);
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
    .utterance_end = on_utterance_end,
    .failed = on_stt_failed,
    .provider_failed = call_provider_failed,
};

/* ---- the voice and the player ---- */

static void on_audio(uint32_t utterance, const int16_t *samples, size_t n, void *arg)
{
    struct call *c = arg;

    if (c->reply)
        reply_audio(c->reply, utterance, samples, n);
}

static void on_packet(uint32_t utterance, const uint8_t *opus, size_t len, int level, void *arg)
{
    struct call *c = arg;

    if (c->reply)
        reply_packet(c->reply, utterance, opus, len, level);
}

static void on_aligned(uint32_t utterance, const char *text, size_t len, int start_ms, int end_ms,
                       void *arg)
{
    struct call *c = arg;

    if (c->reply)
        reply_aligned(c->reply, utterance, text, len, start_ms, end_ms);
}

static void on_spoken_for(uint32_t utterance, int err, void *arg)
{
    struct call *c = arg;

    c->voice_down = err != PAT_OK;
    if (err) {
        pat_counter_add(env_provider_error(c->env, "tts"), 1);
        pat_log(PAT_WARN, "call.tts_failed", PAT_S("call", c->id), PAT_ERR(err));
    }
    if (c->reply)
        reply_spoken_for(c->reply, utterance, err);
}

static void on_fell_back(const char *from, const char *to, const char *why, void *arg)
{
    struct call *c = arg;

    pat_counter_add(env_provider_error(c->env, "tts"), 1);
    pat_log(PAT_WARN, "call.voice_fell_back", PAT_S("call", c->id), PAT_S("from", from),
            PAT_S("to", to), PAT_S("why", why));
}

const struct mouth_events call_mouth_events = {
    .audio = on_audio,
    .packet = on_packet,
    .aligned = on_aligned,
    .done = on_spoken_for,
    .prepared = on_prepared,
    .fell_back = on_fell_back,
};

static void on_sounding(uint32_t piece, void *arg)
{
    (void)piece;
    call_turn_kind(arg, TURN_SOUNDING, 0);
}

static void on_voiced(uint32_t piece, void *arg)
{
    struct call *c = arg;

    if (c->reply)
        reply_voiced(c->reply, piece);
    if (!c->answered)
        report_answered(c, (pat_now_us() - c->hears_us) / 1000);
    if (c->reply_answers && !c->reply_counted) {
        c->reply_counted = true;
        report_turn_figures(c);
    }
}

static void on_played(uint32_t piece, void *arg)
{
    struct call *c = arg;

    if (c->reply)
        reply_played(c->reply, piece);
    if (player_idle(c->player))
        call_turn_kind(c, TURN_SPOKEN, 0);
}

const struct player_events call_player_events = { on_sounding, on_voiced, on_played };

static int send_packet(const uint8_t *opus, size_t len, uint32_t samples, bool marker, int level,
                       void *arg)
{
    struct call *c = arg;

    return c->room ? rtc_room_send(c->room, opus, len, samples, marker, level) : PAT_EAGAIN;
}

static void skip_samples(uint32_t samples, void *arg)
{
    struct call *c = arg;

    if (c->room)
        rtc_room_skip(c->room, samples);
}

const struct player_sink call_player_sink = { send_packet, skip_samples };
