/* warm.c - see warm.h: the states, the router, the caller's side. What is said to who is asked
 * stands in warm_ask.c.
 */
#include "warm_int.h"

#include "own_words.h"
#include "role.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROOM_MS = 3000,
    ASK_MS = 2000,
    UPDATE_MS = 2500,
    RING_S = 25,
    RING_SLACK_MS = 15000, /* beyond the ringing: his leg comes to us, and headers with it */
    COMING_MS = 20000,     /* from one room to the other */
    AGAIN_MS = 2000,       /* the router did not answer */
    INTRO_MS = 8000,       /* and then we leave whether it was heard or not */
    COMFORT_MS = 20000,    /* the caller hears a voice again */
    EMPTY_S = 60,
    LEFT_S = 20,
    REMOVE_MS = 3000,
    LABEL_TEXT = 600,
    HOLD_VOLUME = 2,
};

static const char *const names[] = {
    [WARM_BEGUN] = "begun",   [WARM_RINGING] = "ringing", [WARM_ASKING] = "asking",
    [WARM_COMING] = "coming", [WARM_THERE] = "there",     [WARM_OVER] = "over"
};

void warm_set_state(struct warm *w, enum warm_state to)
{
    if (w->state == to)
        return;
    w->state = to;
    pat_log(PAT_INFO, "call.warm", PAT_S("call", w->c->id), PAT_S("transfer", w->id),
            PAT_S("state", names[to]));
    checkpoint_touch(w->c);
}

char *warm_phrase(const struct warm *w, int which, const char *with)
{
    const char *form = own_words((enum own_words)which, w->c->ctx->language);
    const char *at = strstr(form, "%s");
    struct pat_buf b;

    pat_buf_init(&b, LABEL_TEXT);
    if (at)
        pat_buf_addf(&b, "%.*s%s%s", (int)(at - form), form, with ? with : w->label, at + 2);
    else
        pat_buf_adds(&b, form);
    return pat_buf_take(&b);
}

/* ---- the caller waits ---- */

static void hold(struct warm *w)
{
    struct call *c = w->c;
    struct ambience *music;

    call_turn_opts(c);
    pat_timer_start(&w->comfort, COMFORT_MS);
    if (!c->env->ambiences || !c->env->conf->hold_sound || !*c->env->conf->hold_sound)
        return;
    music = ambiences_get(c->env->ambiences, c->env->conf->hold_sound, HOLD_VOLUME);
    if (music)
        player_set_ambience(c->player, music);
    w->holding = music != NULL;
}

static void unhold(struct warm *w)
{
    struct call *c = w->c;
    const struct context *x = c->ctx;

    pat_timer_stop(&w->comfort);
    if (w->holding)
        player_set_ambience(
            c->player, *x->ambient_sound
                           ? ambiences_get(c->env->ambiences, x->ambient_sound, x->ambient_volume)
                           : NULL);
    w->holding = false;
}

static void to_caller(struct warm *w, int phrase)
{
    PAT_AUTO_STR text = warm_phrase(w, phrase, NULL);

    if (!text || call_announce(w->c, text, 0, NULL, NULL))
        pat_log(PAT_WARN, "call.warm_mute", PAT_S("call", w->c->id));
}

static void on_comfort(void *arg)
{
    struct warm *w = arg;

    if (w->c->turn.state == TURN_LISTENING && !w->c->turn.have)
        to_caller(w, OWN_STILL_TRYING);
    pat_timer_start(&w->comfort, COMFORT_MS);
}

/* ---- the end of it ---- */

static void on_forgotten(int err, const struct pat_json *result, const char *message, void *arg)
{
    (void)err, (void)result, (void)message, (void)arg;
}

static struct pat_json *update(const struct warm *w, const char *action)
{
    const struct call *c = w->c;
    struct pat_json *j = pat_json_obj();

    pat_json_set_str(j, "call_id", c->id);
    pat_json_set_str(j, "user_id", c->ctx->user_id);
    pat_json_set_int(j, "epoch", c->epoch);
    pat_json_set_str(j, "transfer_id", w->id);
    if (action)
        pat_json_set_str(j, "action", action);
    return j;
}

/* His phone is let go, whatever the router makes of it. */
static void tell_router(struct warm *w, const char *action)
{
    PAT_AUTO_JSON j = update(w, action);
    pat_bus_id ignored;

    if (w->asked && w->c->env->bus &&
        pat_rpc_call(w->c->env->bus, "router", "transfer_update", j, UPDATE_MS, on_forgotten, NULL,
                     &ignored))
        pat_log(PAT_WARN, "call.warm_not_told", PAT_S("call", w->c->id), PAT_S("action", action));
}

static void on_deleted(int err, void *arg)
{
    struct env *e = arg;

    e->deletes--;
    if (err && err != PAT_ENOENT)
        pat_log(PAT_WARN, "call.room_not_deleted", PAT_ERR(err));
    e->deleted(e->deleted_arg);
}

static void close_room(struct warm *w)
{
    struct env *e = w->c->env;
    char room[CONSULT_ROOM_LEN];

    if (w->closed)
        return;
    w->closed = true;
    consult_room(room, w->id);
    if (roomapi_delete(e->rooms, room, ROOM_MS, on_deleted, e))
        pat_log(PAT_WARN, "call.room_not_deleted", PAT_S("call", w->c->id));
    else
        e->deletes++;
}

static void cancel_asked(struct warm *w)
{
    if (w->rpc)
        pat_bus_cancel(w->c->env->bus, w->rpc);
    w->rpc = 0;
    if (w->creating)
        w->creating->w = NULL;
    w->creating = NULL;
    warm_ask_stop(w);
}

static void drop(struct warm *w)
{
    struct call *c = w->c;

    cancel_asked(w);
    consult_free(w->line);
    pat_bus_unsubscribe(w->sub);
    pat_task_cancel(c->env->loop, &w->gone);
    pat_timer_fini(&w->deadline);
    pat_timer_fini(&w->comfort);
    pat_timer_fini(&w->patience);
    free(w->briefing);
    if (c->warm == w)
        c->warm = NULL;
    free(w);
}

static void on_gone(void *arg)
{
    struct warm *w = arg;
    struct call *c = w->c;
    bool done = w->done;

    if (done && !c->ending) { /* the two are alone now */
        pat_strcpy(c->reason, sizeof c->reason, "transferred");
        c->left_to_it = true;
        call_end(c, "transferred");
        return;
    }
    drop(w);
    checkpoint_touch(c);
}

/* Nothing of it is told any more; it goes when nobody is in the middle of it. */
static void over(struct warm *w)
{
    cancel_asked(w);
    pat_timer_stop(&w->deadline);
    pat_timer_stop(&w->patience);
    consult_stop(w->line);
    warm_set_state(w, WARM_OVER);
    if (!w->c->ending)
        call_turn_opts(w->c);
    pat_loop_next_turn(w->c->env->loop, &w->gone, on_gone, w);
}

static void begun(struct warm *w, const char *refusal)
{
    warm_begun_fn *fn = w->begun;

    w->begun = NULL;
    if (fn)
        fn(refusal, w->begun_arg);
}

void warm_fail(struct warm *w, const char *outcome, const char *action)
{
    bool waiting = w->state > WARM_BEGUN;

    if (w->state == WARM_OVER)
        return;
    pat_log(PAT_INFO, "call.warm_failed", PAT_S("call", w->c->id), PAT_S("transfer", w->id),
            PAT_S("outcome", outcome), PAT_S("state", names[w->state]));
    if (action)
        tell_router(w, action);
    close_room(w);
    if (waiting) {
        unhold(w);
        if (w->state == WARM_THERE) /* he is gone again: the caller is heard by us once more */
            ear_attach(w->c->ear, w->c->stt);
        to_caller(w, OWN_NO_ANSWER);
    }
    over(w);
    begun(w, outcome);
}

static void on_deadline(void *arg)
{
    struct warm *w = arg;

    if (w->state == WARM_THERE) { /* the sentence was not heard to its end */
        w->introduced = true;
        warm_look(w);
        return;
    }
    warm_fail(w, w->state == WARM_ASKING ? "refused" : "no_answer", "cancel");
}

/* ---- begin ---- */

static void on_step(const struct pat_msg *m, void *arg)
{
    static const char *const failures[] = { "no_answer", "busy", "refused", "failed" };
    struct warm *w = arg;
    PAT_AUTO_JSON j = NULL;
    const char *outcome;

    if (w->state == WARM_OVER || pat_json_parse(&j, m->data, m->len, NULL) ||
        strcmp(pat_json_str_or(j, "data.transfer_id", ""), w->id) != 0)
        return;
    outcome = pat_json_str_or(j, "data.outcome", "");
    for (size_t i = 0; i < sizeof failures / sizeof failures[0]; i++)
        if (strcmp(outcome, failures[i]) == 0) {
            warm_fail(w, failures[i], NULL);
            return;
        }
}

static int listen_to_router(struct warm *w)
{
    char subject[PAT_SUBJECT_MAX];

    (void)snprintf(subject, sizeof subject, "pat.call.v1.transfer.%s.%s", w->c->ctx->user_id,
                   w->c->id);
    return pat_bus_subscribe(w->c->env->bus, &w->sub, subject, NULL, on_step, w);
}

static void on_asked(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct warm *w = arg;

    (void)result;
    w->rpc = 0;
    if (err) {
        /* Perhaps the word was lost, and not the request. */
        warm_fail(w, message && *message ? message : pat_err_name(err), "cancel");
        return;
    }
    warm_set_state(w, WARM_RINGING);
    pat_timer_start(&w->deadline, RING_S * 1000 + RING_SLACK_MS);
    hold(w);
    warm_ask_prepare(w);
    begun(w, NULL);
}

static int ask_router(struct warm *w)
{
    PAT_AUTO_JSON j = update(w, NULL);

    pat_json_set_str(j, "mode", "warm");
    pat_json_set_str(j, "to", w->number);
    pat_json_set_str(j, "label", w->label);
    pat_json_set_int(j, "timeout_s", RING_S);
    pat_json_set_null(j, "briefing");
    w->asked = true;
    return pat_rpc_call(w->c->env->bus, "router", "transfer", j, ASK_MS, on_asked, w, &w->rpc);
}

static void on_room(int err, void *arg)
{
    struct warm_creating *k = arg;
    struct warm *w = k->w;

    free(k);
    if (!w)
        return;
    w->creating = NULL;
    if (!err)
        err = consult_new(&w->line, w->c, w->id, &warm_line_events, w);
    if (!err)
        err = listen_to_router(w);
    if (!err)
        err = ask_router(w);
    if (err)
        warm_fail(w, pat_err_name(err), NULL);
}

/* Before anybody dials into it: a room that is made by his coming would get an agent dispatched. */
static int make_room(struct warm *w)
{
    char name[CONSULT_ROOM_LEN];
    const struct roomapi_room room = {
        .name = name, .metadata = "", .empty_timeout_s = EMPTY_S, .departure_timeout_s = LEFT_S
    };
    struct warm_creating *k = calloc(1, sizeof *k);
    int err;

    if (!k)
        return PAT_ENOMEM;
    k->w = w;
    consult_room(name, w->id);
    err = roomapi_create(w->c->env->rooms, &room, ROOM_MS, on_room, k);
    if (err)
        free(k);
    else
        w->creating = k;
    return err;
}

static int make(struct warm **out, struct call *c)
{
    struct warm *w = calloc(1, sizeof *w);
    int err = w ? PAT_OK : PAT_ENOMEM;

    if (!err)
        err = pat_timer_init(&w->deadline, c->env->loop, on_deadline, w);
    if (!err)
        err = pat_timer_init(&w->comfort, c->env->loop, on_comfort, w);
    if (!err)
        err = pat_timer_init(&w->patience, c->env->loop, warm_patience, w);
    if (err) {
        free(w);
        return err;
    }
    w->c = c;
    *out = w;
    return PAT_OK;
}

int warm_start(struct call *c, const struct pat_target *to, const char *briefing, warm_begun_fn *fn,
               void *arg)
{
    struct pat_id id = pat_id_new();
    struct warm *w;
    int err = c->warm ? PAT_EEXIST : !c->env->bus ? PAT_EUNAVAIL : make(&w, c);

    if (err)
        return err;
    c->warm = w;
    pat_strcpy(w->id, sizeof w->id, id.s);
    pat_strcpy(w->label, sizeof w->label, to->label);
    pat_strcpy(w->number, sizeof w->number, to->number);
    w->briefing = strdup(briefing);
    w->begun = fn;
    w->begun_arg = arg;
    err = w->briefing ? make_room(w) : PAT_ENOMEM;
    if (err)
        drop(w);
    return err;
}

void warm_forget_begun(struct call *c)
{
    if (c->warm)
        c->warm->begun = NULL;
}

/* ---- he wants the caller ---- */

static void on_accepted(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct warm *w = arg;

    (void)result;
    w->rpc = 0;
    if (err) {
        warm_fail(w, message && *message ? message : "failed", "cancel");
        return;
    }
    w->accepted = true;
    warm_let_come(w);
}

void warm_accept(struct warm *w)
{
    PAT_AUTO_JSON j = update(w, "accept");

    warm_set_state(w, WARM_COMING);
    pat_timer_start(&w->deadline, COMING_MS);
    if (pat_rpc_call(w->c->env->bus, "router", "transfer_update", j, UPDATE_MS, on_accepted, w,
                     &w->rpc))
        warm_fail(w, "failed", "cancel");
}

/* The router knows, and he has heard it: the room they were asked in is closed, and his leg goes on
 * to the call's. */
void warm_let_come(struct warm *w)
{
    if (!w->accepted || !w->thanked || w->state != WARM_COMING)
        return;
    consult_stop(w->line);
    close_room(w);
}

/* ---- and is there ---- */

static void on_joined_told(int err, const struct pat_json *result, const char *message, void *arg)
{
    struct warm *w = arg;

    (void)result;
    w->rpc = 0;
    if (err == PAT_ENOENT) { /* no such phone any more */
        warm_fail(w, "failed", NULL);
        return;
    }
    w->told = !err;
    if (err) { /* we stay until the router knows whose end ends the call */
        pat_log(PAT_WARN, "call.warm_not_told", PAT_S("call", w->c->id), PAT_ERR(err),
                PAT_S("why", message ? message : ""));
        pat_timer_start(&w->patience, AGAIN_MS);
        return;
    }
    warm_look(w);
}

void warm_tell_joined(struct warm *w)
{
    PAT_AUTO_JSON j = update(w, "joined");

    if (pat_rpc_call(w->c->env->bus, "router", "transfer_update", j, UPDATE_MS, on_joined_told, w,
                     &w->rpc))
        pat_timer_start(&w->patience, AGAIN_MS);
}

void warm_look(struct warm *w)
{
    if (w->state != WARM_THERE || !w->told || !w->introduced)
        return;
    w->done = true;
    pat_timer_stop(&w->deadline);
    pat_loop_next_turn(w->c->env->loop, &w->gone, on_gone, w);
}

static void on_introduced(bool whole, void *arg)
{
    struct call *c = arg;

    (void)whole;
    if (!c->warm || c->warm->state != WARM_THERE)
        return;
    c->warm->introduced = true;
    warm_look(c->warm);
}

/* What they say to each other is not for us. */
static void introduce(struct warm *w)
{
    PAT_AUTO_STR text = warm_phrase(w, OWN_CONNECTED, NULL);

    warm_set_state(w, WARM_THERE);
    unhold(w);
    ear_attach(w->c->ear, NULL);
    pat_timer_start(&w->deadline, INTRO_MS);
    if (!text || call_announce(w->c, text, CALL_SAY_NOW | CALL_SAY_FIRM, on_introduced, w->c))
        w->introduced = true;
    warm_tell_joined(w);
}

static void on_removed(int err, void *arg)
{
    (void)arg;
    if (err && err != PAT_ENOENT)
        pat_log(PAT_WARN, "call.not_removed", PAT_ERR(err));
}

/* Headers come with the participant: who claims a role without a signature of ours made it up. */
static void put_out(struct call *c, const struct rtc_participant *p)
{
    if (strcmp(c->stranger, p->identity) == 0)
        return;
    pat_strcpy(c->stranger, sizeof c->stranger, p->identity);
    pat_log(PAT_WARN, "call.stranger", PAT_S("call", c->id));
    if (roomapi_remove(c->env->rooms, c->room_name, p->identity, REMOVE_MS, on_removed, NULL))
        pat_log(PAT_WARN, "call.not_removed", PAT_S("call", c->id));
}

static const char *header(const struct call *c, const struct rtc_participant *p, const char *name)
{
    return rtc_room_attribute(c->room, p->identity, name);
}

/* Who is signed for another transfer, or one that this agent does not know (yet), is let be. */
static void meet(struct call *c, const struct rtc_participant *p, const struct role *r)
{
    struct warm *w = c->warm;

    if (p->gone || !r->transfer || !r->sig)
        return;
    if (role_verify(r, c->id, r->name, r->transfer, c->env->conf->call_secret))
        put_out(c, p);
    else if (w && strcmp(r->name, "joined") == 0 && strcmp(r->transfer, w->id) == 0)
        pat_strcpy(w->person, sizeof w->person, p->identity);
}

bool warm_meets(struct call *c, const struct rtc_participant *p)
{
    struct warm *w = c->warm;
    const char *status;
    struct role r;

    if (p->kind != RTC_SIP || !c->room || strcmp(p->identity, c->caller) == 0)
        return false;
    r = (struct role){ header(c, p, "sip.h.x-pat-role"), header(c, p, "sip.h.x-pat-transfer"),
                       header(c, p, "sip.h.x-pat-role-sig") };
    if (r.name)
        meet(c, p, &r);
    if (!w || strcmp(w->person, p->identity) != 0)
        return r.name != NULL;
    status = header(c, p, "sip.callStatus");
    if (p->gone && (w->state == WARM_THERE || w->state == WARM_COMING))
        warm_fail(w, "failed", NULL);
    else if (status && strcmp(status, "active") == 0 && w->state == WARM_COMING)
        introduce(w);
    return true;
}

bool warm_waits(const struct call *c)
{
    return c->warm && c->warm->state > WARM_BEGUN && c->warm->state < WARM_OVER;
}

/* ---- the caller's own word ---- */

bool warm_takes_turn(struct call *c, const char *said)
{
    struct warm *w = c->warm;
    PAT_AUTO_STR text = NULL;
    bool stop;

    if (!w || w->state == WARM_BEGUN || w->state == WARM_OVER)
        return false;
    stop = w->state < WARM_COMING && said && consent_cancels(said, c->ctx->language);
    if (stop) {
        tell_router(w, "cancel");
        close_room(w);
        unhold(w);
        over(w);
        begun(w, "canceled");
    }
    text = warm_phrase(w,
                       stop                     ? OWN_NOT_CONNECTING
                       : w->state < WARM_COMING ? OWN_STILL_TRYING
                                                : OWN_CONNECTING,
                       NULL);
    call_say_text(c, text ? text : "");
    return true;
}

/* ---- the call's end, and its next agent ---- */

void warm_stop(struct call *c)
{
    struct warm *w = c->warm;

    if (!w)
        return;
    w->begun = NULL;
    cancel_asked(w);
    pat_timer_stop(&w->deadline);
    pat_timer_stop(&w->comfort);
    pat_timer_stop(&w->patience);
    consult_stop(w->line);
    if (c->yielded || w->state == WARM_OVER)
        return; /* another agent goes on with it */
    if (!c->left_to_it)
        tell_router(w, "cancel");
    close_room(w);
}

void warm_free(struct call *c)
{
    if (c->warm)
        drop(c->warm);
}

struct pat_json *warm_save(const struct call *c)
{
    const struct warm *w = c->warm;
    struct pat_json *j;

    if (!w || w->state == WARM_BEGUN || w->state == WARM_OVER)
        return NULL;
    j = pat_json_obj();
    pat_json_set_str(j, "transfer_id", w->id);
    pat_json_set_str(j, "label", w->label);
    pat_json_set_str(j, "state", names[w->state]);
    pat_json_set_str(j, "briefing", w->briefing);
    return j;
}

static enum warm_state state_of(const char *name)
{
    for (int s = WARM_RINGING; s < WARM_OVER; s++)
        if (strcmp(names[s], name) == 0)
            return (enum warm_state)s;
    return WARM_OVER;
}

/* Who was being asked is asked again; who was on the way, or there, is waited for. */
static int go_on(struct warm *w, enum warm_state state)
{
    int err;

    w->asked = true;
    if (state < WARM_COMING) {
        warm_set_state(w, WARM_RINGING);
        pat_timer_start(&w->deadline, RING_S * 1000 + RING_SLACK_MS);
        hold(w);
        err = consult_new(&w->line, w->c, w->id, &warm_line_events, w);
        if (!err)
            err = listen_to_router(w);
        if (!err)
            warm_ask_prepare(w);
        return err;
    }
    warm_set_state(w, WARM_COMING);
    w->accepted = w->thanked = true;
    pat_timer_start(&w->deadline, COMING_MS);
    close_room(w);
    return listen_to_router(w);
}

void warm_load(struct call *c, const struct pat_json *saved)
{
    enum warm_state state = state_of(pat_json_str_or(saved, "state", ""));
    struct warm *w;

    if (c->warm || state == WARM_OVER || !c->env->bus || make(&w, c))
        return;
    c->warm = w;
    pat_strcpy(w->id, sizeof w->id, pat_json_str_or(saved, "transfer_id", ""));
    pat_strcpy(w->label, sizeof w->label, pat_json_str_or(saved, "label", ""));
    w->briefing = strdup(pat_json_str_or(saved, "briefing", ""));
    if (go_on(w, state))
        warm_fail(w, "failed", "cancel");
}
