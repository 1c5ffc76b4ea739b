/* call_reply.c - what we say: begun, followed to the caller's ear, and written down as heard; and
 * the news of voice and player that the turn machine wants.
 */
#include "call_int.h"

#include <stdlib.h>
#include <string.h>

enum {
    MESSAGES_MAX = 48 * 1024, /* bytes of history given to the model */
    FAILURES_MAX = 3,         /* replies in a row: then we say so and hang up */
    MUTE_US = 2500 * 1000,    /* a voice that works is faster, the substitute's turn included */
};

/* ---- replies ---- */

static void on_failed(bool sounds, void *arg);

static void on_made(bool sounds, void *arg)
{
    struct call *c = arg;

    c->model_runs = false;
    if (c->reply_answers && !sounds) { /* to the caller an empty answer is none */
        on_failed(false, c);
        return;
    }
    if (c->reply_answers)
        c->failures = c->unwritten = 0;
    call_turn(c, (struct turn_event){ .kind = TURN_REPLY_DONE, .reply = c->reply_no, .n = sounds });
}

static void on_failed(bool sounds, void *arg)
{
    struct call *c = arg;

    c->model_runs = false;
    pat_counter_add(c->env->failed, 1);
    pat_log(PAT_WARN, "call.reply_failed", PAT_S("call", c->id), PAT_B("sounds", sounds));
    if (c->reply_answers && (!c->reply || reply_unwritten(c->reply)))
        c->unwritten++;
    if (sounds) { /* its beginning will be heard: that has to do */
        call_turn(c, (struct turn_event){ .kind = TURN_REPLY_DONE, .reply = c->reply_no, .n = 1 });
        return;
    }
    call_turn(c, (struct turn_event){ .kind = TURN_REPLY_FAILED, .reply = c->reply_no });
    if (++c->failures < FAILURES_MAX || c->ending)
        return;
    call_give_up(c, "providers_failed");
}

static void on_tools(void *arg)
{
    struct call *c = arg;

    call_tools_called(c->tools);
}

static const struct reply_events reply_events = {
    .tools = on_tools,
    .made = on_made,
    .failed = on_failed,
    .used = call_used,
    .provider_failed = call_provider_failed,
};

static struct reply_opts begin(struct call *c)
{
    if (c->reply)
        call_reply_over(c, false);
    player_pause(c->player); /* until the machine says play */
    c->reply_no = c->turn.reply;
    c->reply_answers = c->reply_counted = false;
    call_wait_reset(c);
    return (struct reply_opts){ c->mouth, c->player, &reply_events, c,
                                c->ctx ? c->ctx->language : NULL };
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

static size_t size_of(const struct pat_json *messages)
{
    size_t n = 0;

    for (size_t i = 0; i < pat_json_size(messages); i++)
        n += strlen(pat_json_str_or(pat_json_item(messages, i), "content", ""));
    return n;
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
    c->answering = strdup(said ? said : "");
    c->asked_bytes = size_of(messages);
    c->model_runs = true;
    cannot_begin(c, reply_think(&c->reply, &o, c->env->llm, &req), "think");
}

/* A caller who makes a model talk for hours, or in circles, is not served for ever. */
static bool spent(const struct call *c)
{
    int64_t max = c->env->conf->max_call_tokens;

    return max && c->prompt_tokens + c->completion_tokens >= max;
}

void call_think(struct call *c)
{
    PAT_AUTO_STR said = call_all_said(c);

    if (call_tools_take_turn(c->tools, said))
        return;
    if (!spent(c)) {
        think(c, said);
        return;
    }
    call_limit_reached(c, "tokens", c->prompt_tokens + c->completion_tokens,
                       c->env->conf->max_call_tokens);
}

void call_say_text(struct call *c, const char *text)
{
    struct phrase *known = mouth_known(c->mouth, text);
    struct reply_opts o = begin(c);

    cannot_begin(c, reply_say(&c->reply, &o, text, known, true), "text");
    phrase_unref(known);
}

void call_say_tool(struct call *c, const char *name, const char *arguments, const char *said)
{
    struct reply_opts o = begin(c);
    int err = reply_call_tool(&c->reply, &o, name, arguments);

    c->answering = strdup(said);
    cannot_begin(c, err, "tool");
    if (!err)
        call_tools_called(c->tools);
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

static void greet_again(struct call *c)
{
    PAT_AUTO_STR text = call_return_greeting(c);

    call_say_text(c, text ? text : c->ctx->greeting);
}

void call_greet(struct call *c)
{
    struct phrase *known;
    struct reply_opts o;

    if (c->keep.plan.what != RESUME_NO) {
        call_open(c);
        return;
    }
    if (c->came_back) {
        greet_again(c);
        return;
    }
    known = mouth_known(c->mouth, c->ctx->greeting);
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

const char *call_language(const struct call *c)
{
    return c->ctx ? c->ctx->language : "en";
}

/* In the call's own voice when it is at hand or nothing else is; else as kept; else, when nothing
 * is, now, in the voice for all. */
void call_say(struct call *c, enum own_words which)
{
    const char *language = call_language(c);
    const char *text = own_words(which, language);
    struct phrase *known = c->mouth ? mouth_known(c->mouth, text) : NULL;
    struct kept_words kept = kept_get(c->env->kept, which, language);
    struct reply_opts o;

    if (!known && kept.phrase && (!c->mouth || c->voice_down)) {
        known = phrase_ref(kept.phrase);
        text = kept.text;
    }
    phrase_unref(kept.phrase);
    if (!known && !c->mouth)
        (void)call_open_mouth(c); /* in vain: the reply says so */
    o = begin(c);
    c->wait.prompt = known ? OWN_KEPT : which;
    cannot_begin(c, reply_say(&c->reply, &o, text, known, true), "say");
    phrase_unref(known);
}

/* The first words of a call that another agent has begun. */
void call_open(struct call *c)
{
    struct reply_opts o;

    if (c->keep.plan.what == RESUME_REPEAT) {
        call_say(c, OWN_SORRY);
        return;
    }
    PAT_AUTO_STR rest = call_back_rest(c);
    o = begin(c);
    cannot_begin(c, reply_say(&c->reply, &o, rest ? rest : c->keep.plan.say, NULL, false), "go on");
}

/* A model that was interrupted does not tell what it has read and written, but it is paid for:
 * about four bytes are a token. */
static void estimate_usage(struct call *c, size_t written)
{
    struct llm_usage u = { .prompt_tokens = (int64_t)(c->asked_bytes + 3) / 4,
                           .completion_tokens = (int64_t)(written + 3) / 4 };
    const char *model;

    if (!reply_asks(c->reply, &u.provider, &model))
        return;
    pat_log(PAT_DEBUG, "call.usage_estimated", PAT_S("call", c->id),
            PAT_I("prompt_tokens", u.prompt_tokens),
            PAT_I("completion_tokens", u.completion_tokens));
    call_used(model, &u, c);
}

static void count_usage(struct call *c, size_t written)
{
    if (c->model_runs)
        estimate_usage(c, written);
    c->model_runs = false;
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
    count_usage(c, text.len);
    if (heard.len)
        transcript_agent(&c->transcript, heard.data, heard.len);
    call_resume_prepend(c, &heard, &text);
    if (heard.len) {
        if (c->history)
            (void)history_agent(c->history, heard.data, call_ms(c));
        report_agent(c, text.data, heard.data, cut && heard.len < text.len);
    }
    transcript_agent_end(&c->transcript);
    player_flush(c->player);
    reply_free(c->reply);
    c->reply = NULL;
    call_wait_reset(c);
    call_tools_reply_over(c->tools);
    free(c->answering);
    c->answering = NULL;
    call_announced(c, heard.len && heard.len == text.len);
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
        pat_log(PAT_WARN, "call.tts_failed", PAT_S("call", c->id), PAT_ERR(err));
    }
    if (c->reply)
        reply_spoken_for(c->reply, utterance, err);
}

static void on_fell_back(const char *from, const char *to, const char *why, void *arg)
{
    struct call *c = arg;

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
    .provider_failed = call_provider_failed,
};

static void on_sounding(uint32_t piece, void *arg)
{
    if (!call_wait_is(arg, piece))
        call_turn_kind(arg, TURN_SOUNDING, 0);
}

static void on_voiced(uint32_t piece, void *arg)
{
    struct call *c = arg;

    if (c->reply)
        reply_voiced(c->reply, piece);
    if (!c->answered)
        report_answered(c, (pat_now_us() - c->hears_us) / 1000);
    if (c->reply_answers && !c->reply_counted && !call_wait_is(c, piece)) {
        c->reply_counted = true;
        report_turn_figures(c);
    }
}

static void on_played(uint32_t piece, void *arg)
{
    struct call *c = arg;

    if (c->reply)
        reply_played(c->reply, piece);
    checkpoint_touch(c);
    if (player_idle(c->player))
        call_turn_kind(c, TURN_SPOKEN, 0);
}

const struct player_events call_player_events = { on_sounding, on_voiced, on_played };

static int send_packet(const uint8_t *opus, size_t len, uint32_t samples, bool marker, int level,
                       void *arg)
{
    struct call *c = arg;
    bool heard = c->room && !call_hushed(c) && !call_is_away(c);
    int err = heard ? rtc_room_send(c->room, opus, len, samples, marker, level) : PAT_EAGAIN;

    if (!err)
        record_agent(c->record, opus, len, pat_now_us());
    return err;
}

static void skip_samples(uint32_t samples, void *arg)
{
    struct call *c = arg;

    if (c->room)
        rtc_room_skip(c->room, samples);
}

const struct player_sink call_player_sink = { send_packet, skip_samples };
