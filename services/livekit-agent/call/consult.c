/* consult.c - see consult.h: a small call beside the call, of the same parts.
 *
 * Turn taking is simple here, for the questions are ours: what he says counts when he pauses, also
 * while we speak. Everything that may be followed by the line's end is told in a turn of the loop
 * of its own.
 */
#include "consult.h"

#include "call_int.h"
#include "role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    JOIN_MS = 10000,
    TOKEN_S = 600,
    SETTLE_MS = 300,   /* a telephone gateway drops what comes before its own first packet */
    STRANGER_MS = 500, /* headers come with the participant, or right behind */
    TICK_MS = 100,
    REMOVE_MS = 3000,
    ENDPOINTING_MS = 300,
    SAID_MAX = 4000,
};

struct consult {
    struct call *c;
    const struct consult_events *ev;
    void *arg;
    char transfer[PAT_ID_LEN + 1], room_name[CONSULT_ROOM_LEN];
    struct rtc_room *room;
    struct player *player;
    struct mouth *mouth;
    struct ear *ear;
    struct stt *stt;
    struct reply *reply;
    bool made; /* all its sound is with the player */
    struct pat_timer tick, settle, strangers;
    struct pat_task over_task, gone_task, machine_task;
    char person[129], track[65], stranger[129];
    bool active, subscribed, here, gone, stopped, whole;
    struct pat_buf said;
    char *prepared; /* being made, or made; NULL: nothing */
    struct machine machine;
    struct beep beep;
};

void consult_room(char out[CONSULT_ROOM_LEN], const char *transfer_id)
{
    (void)snprintf(out, CONSULT_ROOM_LEN, "call_%.36s", transfer_id);
}

/* ---- who is there ---- */

static void on_removed(int err, void *arg)
{
    (void)arg;
    if (err && err != PAT_ENOENT)
        pat_log(PAT_WARN, "consult.not_removed", PAT_ERR(err));
}

static void put_out(struct consult *x, const char *identity)
{
    pat_log(PAT_WARN, "consult.put_out", PAT_S("call", x->c->id), PAT_S("room", x->room_name));
    if (roomapi_remove(x->c->env->rooms, x->room_name, identity, REMOVE_MS, on_removed, NULL))
        pat_log(PAT_WARN, "consult.not_removed", PAT_S("call", x->c->id));
}

static const char *attribute(const struct consult *x, const char *identity, const char *name)
{
    return x->room ? rtc_room_attribute(x->room, identity, name) : NULL;
}

static bool is_him(const struct consult *x, const char *identity)
{
    const struct role r = { attribute(x, identity, "sip.h.x-pat-role"),
                            attribute(x, identity, "sip.h.x-pat-transfer"),
                            attribute(x, identity, "sip.h.x-pat-role-sig") };

    return role_verify(&r, x->c->id, "consult", x->transfer, x->c->env->conf->call_secret) ==
           PAT_OK;
}

static void on_settled(void *arg)
{
    struct consult *x = arg;

    if (x->stopped || x->here || *x->stranger)
        return;
    x->here = true;
    machine_init(&x->machine, pat_loop_now_ms(x->c->env->loop));
    beep_init(&x->beep);
    x->ev->here(x->arg);
}

static void look(struct consult *x)
{
    if (!x->here && *x->person && x->active && x->subscribed && !*x->stranger)
        pat_timer_start(&x->settle, SETTLE_MS);
}

static void on_strangers(void *arg)
{
    struct consult *x = arg;

    if (x->stopped || !*x->stranger)
        return;
    if (is_him(x, x->stranger)) {
        x->stranger[0] = 0;
        look(x);
        return;
    }
    put_out(x, x->stranger);
    pat_timer_start(&x->strangers, REMOVE_MS); /* until he is gone */
}

static void tell_gone(void *arg)
{
    struct consult *x = arg;

    if (!x->stopped)
        x->ev->gone(x->arg);
}

static void lost(struct consult *x)
{
    if (x->gone || x->stopped)
        return;
    x->gone = true;
    pat_loop_next_turn(x->c->env->loop, &x->gone_task, tell_gone, x);
}

/* An agent of this call before us, or behind us, under the other room's epochs. */
static void meet(struct consult *x, const char *identity)
{
    char prefix[64];
    size_t n;
    long epoch;

    (void)snprintf(prefix, sizeof prefix, "consult-%.36s-", x->c->id);
    n = strlen(prefix);
    epoch = strncmp(identity, prefix, n) == 0 ? strtol(identity + n, NULL, 10) : 0;
    if (epoch < x->c->epoch)
        put_out(x, identity);
}

static void on_participant(const struct rtc_participant *p, void *arg)
{
    struct consult *x = arg;

    if (x->stopped)
        return;
    if (p->gone) {
        if (strcmp(p->identity, x->person) == 0)
            lost(x);
        if (strcmp(p->identity, x->stranger) == 0) {
            x->stranger[0] = 0;
            look(x);
        }
        return;
    }
    if (p->kind == RTC_AGENT) {
        meet(x, p->identity);
        return;
    }
    if (strcmp(p->identity, x->person) == 0)
        return;
    if (!*x->person && is_him(x, p->identity)) {
        pat_strcpy(x->person, sizeof x->person, p->identity);
        pat_log(PAT_INFO, "consult.came", PAT_S("call", x->c->id), PAT_S("transfer", x->transfer));
        return;
    }
    pat_strcpy(x->stranger, sizeof x->stranger, p->identity);
    pat_timer_start(&x->strangers, STRANGER_MS);
}

static void on_attribute(const struct rtc_participant *p, const char *name, const char *value,
                         void *arg)
{
    struct consult *x = arg;

    if (x->stopped)
        return;
    if (!*x->person && p->kind == RTC_SIP && is_him(x, p->identity)) {
        if (strcmp(x->stranger, p->identity) == 0)
            x->stranger[0] = 0;
        on_participant(p, x);
        value = attribute(x, p->identity, "sip.callStatus");
        name = value ? "sip.callStatus" : name;
    }
    if (strcmp(p->identity, x->person) != 0 || strcmp(name, "sip.callStatus") != 0)
        return;
    if (strcmp(value, "active") == 0)
        x->active = true;
    else if (strcmp(value, "hangup") == 0)
        lost(x);
    look(x);
}

static void on_joined(void *arg)
{
    struct consult *x = arg;

    player_start(x->player);
    player_lead(x->player, true);
}

static void on_subscribed(void *arg)
{
    struct consult *x = arg;

    x->subscribed = true;
    look(x);
}

static void on_packet(const struct rtc_packet *p, void *arg)
{
    struct consult *x = arg;

    if (x->stopped || !*x->person || strcmp(p->identity, x->person) != 0)
        return;
    if (strcmp(p->track_sid, x->track) != 0) {
        pat_strcpy(x->track, sizeof x->track, p->track_sid);
        ear_restart(x->ear);
    }
    ear_packet(x->ear, p);
}

static void on_dtmf(const struct rtc_participant *from, char digit, void *arg)
{
    struct consult *x = arg;

    if (!x->stopped && x->here && strcmp(from->identity, x->person) == 0)
        x->ev->key(digit, x->arg);
}

static void on_left(enum rtc_left reason, void *arg)
{
    struct consult *x = arg;

    (void)reason;
    x->room = NULL;
    lost(x);
}

static const struct rtc_events rtc_events = {
    .joined = on_joined,
    .participant = on_participant,
    .attribute = on_attribute,
    .subscribed = on_subscribed,
    .packet = on_packet,
    .dtmf = on_dtmf,
    .left = on_left,
};

/* ---- what he says ---- */

static void tell_machine(void *arg)
{
    struct consult *x = arg;

    if (!x->stopped)
        x->ev->machine(x->arg);
}

static void found(struct consult *x, bool machine)
{
    if (machine)
        pat_loop_next_turn(x->c->env->loop, &x->machine_task, tell_machine, x);
}

static int64_t now_of(const struct consult *x)
{
    return pat_loop_now_ms(x->c->env->loop);
}

static void on_voice_started(int64_t at_us, void *arg)
{
    struct consult *x = arg;

    (void)at_us;
    if (x->here && !x->stopped)
        found(x, machine_voice(&x->machine, true, now_of(x)));
}

static void on_voice_stopped(int64_t at_us, void *arg)
{
    struct consult *x = arg;

    (void)at_us;
    if (x->here && !x->stopped)
        found(x, machine_voice(&x->machine, false, now_of(x)));
}

static void on_sound(const int16_t *samples, int n, void *arg)
{
    struct consult *x = arg;

    if (!x->here || x->stopped || !machine_listens(&x->machine, now_of(x)))
        return;
    for (int at = 0; at + BEEP_BLOCK <= n; at += BEEP_BLOCK)
        if (beep_feed(&x->beep, samples + at))
            found(x, machine_beep(&x->machine, now_of(x)));
}

static void on_calm(bool calm, void *arg)
{
    struct consult *x = arg;

    if (x->room)
        rtc_room_calm(x->room, calm);
}

static const struct ear_events ear_events = { on_voice_started, on_voice_stopped, on_calm,
                                              on_sound };

static void pause_over(struct consult *x)
{
    PAT_AUTO_STR text = NULL;

    if (!x->said.len)
        return;
    text = pat_buf_take(&x->said);
    if (text && x->here)
        x->ev->said(text, x->arg);
}

static void on_transcript(const struct stt_transcript *t, void *arg)
{
    struct consult *x = arg;
    const char *text = t->text;

    if (x->stopped || !t->is_final)
        return;
    text += strspn(text, " ");
    if (*text) {
        pat_buf_addf(&x->said, "%s%s", x->said.len ? " " : "", text);
        if (x->here)
            found(x, machine_words(&x->machine, text, now_of(x)));
    }
    if (t->speech_final)
        pause_over(x);
}

static void on_utterance_end(int64_t last_word_end_ms, void *arg)
{
    struct consult *x = arg;

    (void)last_word_end_ms;
    if (!x->stopped)
        pause_over(x);
}

static void on_stt_ready(void *arg)
{
    (void)arg;
}

static void on_speech_started(int64_t audio_ms, void *arg)
{
    (void)audio_ms, (void)arg;
}

/* Keys remain. */
static void on_stt_failed(int err, bool retrying, const char *why, void *arg)
{
    struct consult *x = arg;

    pat_log(PAT_WARN, "consult.deaf", PAT_S("call", x->c->id), PAT_ERR(err), PAT_S("why", why),
            PAT_B("retrying", retrying));
}

static void on_provider_failed(const struct provider_failure *f, void *arg)
{
    struct consult *x = arg;

    call_provider_failed(f, x->c);
}

static const struct stt_events stt_events = {
    .ready = on_stt_ready,
    .speech_started = on_speech_started,
    .transcript = on_transcript,
    .utterance_end = on_utterance_end,
    .failed = on_stt_failed,
    .provider_failed = on_provider_failed,
};

/* ---- what we say ---- */

static void tell_spoken(void *arg)
{
    struct consult *x = arg;

    if (!x->stopped)
        x->ev->spoken(x->whole, x->arg);
}

static void over(struct consult *x, bool whole)
{
    x->whole = whole;
    pat_loop_next_turn(x->c->env->loop, &x->over_task, tell_spoken, x);
}

static void on_made(bool sounds, void *arg)
{
    struct consult *x = arg;

    x->made = true;
    if (!sounds || player_idle(x->player))
        over(x, sounds);
}

static void on_failed(bool sounds, void *arg)
{
    struct consult *x = arg;

    pat_log(PAT_WARN, "consult.not_said", PAT_S("call", x->c->id));
    x->made = true;
    if (!sounds || player_idle(x->player))
        over(x, false);
}

static void on_used(const char *model, const struct llm_usage *u, void *arg)
{
    struct consult *x = arg;

    call_used(model, u, x->c);
}

static const struct reply_events reply_events = {
    .made = on_made, .failed = on_failed, .used = on_used, .provider_failed = on_provider_failed
};

static void on_audio(uint32_t utterance, const int16_t *samples, size_t n, void *arg)
{
    struct consult *x = arg;

    if (x->reply)
        reply_audio(x->reply, utterance, samples, n);
}

static void on_voice_packet(uint32_t utterance, const uint8_t *opus, size_t len, int level,
                            void *arg)
{
    struct consult *x = arg;

    if (x->reply)
        reply_packet(x->reply, utterance, opus, len, level);
}

static void on_aligned(uint32_t utterance, const char *text, size_t len, int start_ms, int end_ms,
                       void *arg)
{
    struct consult *x = arg;

    if (x->reply)
        reply_aligned(x->reply, utterance, text, len, start_ms, end_ms);
}

static void on_spoken_for(uint32_t utterance, int err, void *arg)
{
    struct consult *x = arg;

    if (x->reply)
        reply_spoken_for(x->reply, utterance, err);
}

static const struct mouth_events mouth_events = {
    .audio = on_audio,
    .packet = on_voice_packet,
    .aligned = on_aligned,
    .done = on_spoken_for,
    .provider_failed = on_provider_failed,
};

static void on_sounding(uint32_t piece, void *arg)
{
    (void)piece, (void)arg;
}

static void on_voiced(uint32_t piece, void *arg)
{
    struct consult *x = arg;

    if (x->reply)
        reply_voiced(x->reply, piece);
}

static void on_played(uint32_t piece, void *arg)
{
    struct consult *x = arg;

    if (x->reply)
        reply_played(x->reply, piece);
    if (x->made && player_idle(x->player))
        over(x, true);
}

static const struct player_events player_events = { on_sounding, on_voiced, on_played };

/* The call's fence holds here, too: whose it is is being asked. */
static int send_packet(const uint8_t *opus, size_t len, uint32_t samples, bool marker, int level,
                       void *arg)
{
    struct consult *x = arg;

    return x->room && !x->stopped && !call_hushed(x->c)
               ? rtc_room_send(x->room, opus, len, samples, marker, level)
               : PAT_EAGAIN;
}

static void skip_samples(uint32_t samples, void *arg)
{
    struct consult *x = arg;

    if (x->room && !x->stopped)
        rtc_room_skip(x->room, samples);
}

static const struct player_sink player_sink = { send_packet, skip_samples };

static void on_tick(void *arg)
{
    struct consult *x = arg;

    if (x->reply && !x->stopped)
        reply_tick(x->reply);
    pat_timer_start(&x->tick, TICK_MS);
}

void consult_hush(struct consult *x)
{
    pat_task_cancel(x->c->env->loop, &x->over_task);
    player_flush(x->player);
    reply_free(x->reply);
    x->reply = NULL;
    x->made = false;
}

static struct reply_opts opts_of(struct consult *x)
{
    return (struct reply_opts){ x->mouth, x->player, &reply_events, x, x->c->ctx->language };
}

void consult_prepare(struct consult *x, const char *text)
{
    if (x->prepared || x->stopped || mouth_prepare(x->mouth, text))
        return;
    x->prepared = strdup(text);
}

/* Its making is under way: what there is of it is heard now. */
static bool say_prepared(struct consult *x, const char *text, const struct reply_opts *o)
{
    uint32_t utterance;

    if (!x->prepared || strcmp(x->prepared, text) != 0 || !mouth_listen_in(x->mouth, &utterance) ||
        reply_join(&x->reply, o, text, utterance))
        return false;
    mouth_replay(x->mouth);
    return true;
}

int consult_say(struct consult *x, const char *text)
{
    struct reply_opts o;
    struct phrase *known;
    int err;

    consult_hush(x);
    o = opts_of(x);
    known = mouth_known(x->mouth, text);
    if (!known && say_prepared(x, text, &o))
        return PAT_OK;
    err = reply_say(&x->reply, &o, text, known, false);
    phrase_unref(known);
    return err;
}

int consult_think(struct consult *x, const struct pat_json *messages)
{
    struct llm_req q = { .messages = messages,
                         .temperature = x->c->ctx->temperature,
                         .max_tokens = 200,
                         .first_model = x->c->ctx->model };
    struct reply_opts o;

    consult_hush(x);
    o = opts_of(x);
    return reply_think(&x->reply, &o, x->c->env->llm, &q);
}

bool consult_speaking(const struct consult *x)
{
    return x->reply && (!x->made || !player_idle(x->player));
}

void consult_text(const struct consult *x, struct pat_buf *out)
{
    if (x->reply)
        reply_text(x->reply, out);
}

/* ---- life ---- */

static int open_ear(struct consult *x)
{
    const struct call *c = x->c;
    struct stt_opts o = { .providers = c->env->providers,
                          .connect_ms = c->env->conf->connect_ms,
                          .language = c->ctx->language,
                          .endpointing_ms = ENDPOINTING_MS,
                          .utterance_end_ms = 1000 };
    int err = ear_new(&x->ear, c->env->loop, &ear_events, x);

    if (!err)
        err = stt_open(&x->stt, c->env->loop, c->env->net, &o, &stt_events, x);
    if (!err)
        ear_attach(x->ear, x->stt);
    return err;
}

static int open_voice(struct consult *x)
{
    struct call *c = x->c;
    const struct player_opts o = { .loop = c->env->loop,
                                   .beat = &c->env->beat,
                                   .sink = &player_sink,
                                   .events = &player_events,
                                   .arg = x,
                                   .gain = c->ctx->volume };
    int err = player_new(&x->player, &o);

    if (!err)
        err = env_mouth(&x->mouth, c->env, c->ctx);
    if (!err)
        mouth_listen(x->mouth, &mouth_events, x);
    return err;
}

static int join(struct consult *x)
{
    struct env *e = x->c->env;
    char identity[129];
    PAT_AUTO_STR token = NULL;
    struct rtc_join j = { e->conf->livekit_url, NULL, "agent", JOIN_MS };

    (void)snprintf(identity, sizeof identity, "consult-%.36s-%d", x->c->id, x->c->epoch);
    token = roomapi_token(e->rooms, x->room_name, identity, TOKEN_S);
    j.token = token;
    return token ? rtc_room_join(&x->room, e->rtc, &j, &rtc_events, x) : PAT_ENOMEM;
}

int consult_new(struct consult **out, struct call *c, const char *transfer_id,
                const struct consult_events *ev, void *arg)
{
    struct consult *x = calloc(1, sizeof *x);
    int err;

    if (!x)
        return PAT_ENOMEM;
    x->c = c;
    x->ev = ev;
    x->arg = arg;
    pat_strcpy(x->transfer, sizeof x->transfer, transfer_id);
    consult_room(x->room_name, transfer_id);
    pat_buf_init(&x->said, SAID_MAX);
    err = pat_timer_init(&x->tick, c->env->loop, on_tick, x);
    if (!err)
        err = pat_timer_init(&x->settle, c->env->loop, on_settled, x);
    if (!err)
        err = pat_timer_init(&x->strangers, c->env->loop, on_strangers, x);
    if (!err)
        err = open_voice(x);
    if (!err)
        err = open_ear(x);
    if (!err)
        err = join(x);
    if (err) {
        consult_free(x);
        return err;
    }
    pat_timer_start(&x->tick, TICK_MS);
    *out = x;
    return PAT_OK;
}

void consult_stop(struct consult *x)
{
    if (!x || x->stopped)
        return;
    x->stopped = true;
    call_usage_speech(&x->c->used, x->stt, x->mouth);
    pat_timer_stop(&x->tick);
    pat_timer_stop(&x->settle);
    pat_timer_stop(&x->strangers);
    if (x->ear)
        ear_attach(x->ear, NULL);
    if (x->player)
        player_stop(x->player);
}

void consult_free(struct consult *x)
{
    struct pat_loop *l;

    if (!x)
        return;
    l = x->c->env->loop;
    consult_stop(x);
    pat_task_cancel(l, &x->over_task);
    pat_task_cancel(l, &x->gone_task);
    pat_task_cancel(l, &x->machine_task);
    rtc_room_abort(x->room);
    reply_free(x->reply);
    mouth_free(x->mouth);
    ear_free(x->ear);
    stt_close(x->stt);
    player_free(x->player);
    pat_timer_fini(&x->tick);
    pat_timer_fini(&x->settle);
    pat_timer_fini(&x->strangers);
    pat_buf_fini(&x->said);
    free(x->prepared);
    free(x);
}
