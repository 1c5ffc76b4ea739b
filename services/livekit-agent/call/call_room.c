/* call_room.c - the room's news: the caller comes, can hear, speaks, goes; we are in, or out.
 *
 * The caller is the first participant that is a telephone or a person; others are not heard. A
 * caller whose connection broke is waited for.
 */
#include "call_int.h"

#include <string.h>

enum {
    /* Let the other end's jitter buffer settle on silence first. A telephone gateway drops what
     * comes before its own first packet after the answer. */
    SETTLE_MS = 60,
    SETTLE_SIP_MS = 100,
    RETURN_MS = 10000,    /* a lost connection may come back */
    TIMED_OUT_MS = 4000,  /* the server has waited for it already, 20 s */
    REJOIN_MS = 5000,     /* after our own, everybody is told anew */
    NO_CONTEXT_MS = 3000, /* then the caller hears an apology */
};

/* livekit.DisconnectReason of those who did not mean to go. */
enum { STATE_MISMATCH = 6, MIGRATION = 8, SIGNAL_CLOSE = 9, CONNECTION_TIMEOUT = 14 };

static bool hears(const struct call *c)
{
    return c->joined && c->subscribed && c->caller_here &&
           (c->caller_kind != RTC_SIP || c->caller_active);
}

void call_check_ready(struct call *c)
{
    int64_t settled;

    if (c->ready || c->ending || c->keep.hush || !hears(c))
        return;
    if (!c->hears_us) {
        c->hears_us = c->active_us > c->subscribed_us ? c->active_us : c->subscribed_us;
        pat_log(PAT_INFO, "call.connected", PAT_S("call", c->id),
                PAT_S("kind", c->caller_kind == RTC_SIP ? "sip" : "standard"),
                PAT_I("after_ms", call_ms(c)));
        pat_timer_start(&c->ctx_timer, NO_CONTEXT_MS);
    }
    if (!c->ctx_asked)
        return;
    c->ready = true;
    pat_timer_stop(&c->ctx_timer);
    settled = c->hears_us + (c->caller_kind == RTC_SIP ? SETTLE_SIP_MS : SETTLE_MS) * 1000;
    pat_timer_start_at(&c->ready_timer, settled > pat_now_us() ? settled : pat_now_us());
}

static void on_joined(void *arg)
{
    struct call *c = arg;

    if (c->joined)
        pat_timer_start(&c->absent, REJOIN_MS);
    if (c->joined)
        call_away(c);
    c->caller_here = c->joined ? false : c->caller_here;
    c->joined = true;
    c->transcript.room = c->room;
    player_start(c->player);
    player_lead(c->player, !c->ready);
    ear_restart(c->ear);
    call_check_ready(c);
}

static void caller_left(struct call *c, int reason)
{
    c->caller_here = false;
    if (reason == MIGRATION || reason == SIGNAL_CLOSE || reason == CONNECTION_TIMEOUT ||
        reason == STATE_MISMATCH) {
        pat_log(PAT_INFO, "call.caller_away", PAT_S("call", c->id), PAT_I("reason", reason));
        call_away(c);
        pat_timer_start(&c->absent, reason == CONNECTION_TIMEOUT ? TIMED_OUT_MS : RETURN_MS);
        return;
    }
    if (call_moved(c)) {
        call_end(c, c->reason);
        return;
    }
    pat_strcpy(c->reason, sizeof c->reason,
               call_tools_moved(c->tools) ? "transferred" : "caller_hangup");
    call_turn_kind(c, TURN_GONE, 0);
}

static void on_participant(const struct rtc_participant *p, void *arg)
{
    struct call *c = arg;
    bool known = c->caller[0] && strcmp(c->caller, p->identity) == 0;

    if (p->kind == RTC_AGENT)
        call_meet(c, p);
    if (c->ending || warm_meets(c, p))
        return;

    if (p->gone) {
        if (known && c->caller_here)
            caller_left(c, p->disconnect_reason);
        return;
    }
    /* A telephone is the caller even when somebody looks on from a browser who came first. */
    if ((!c->caller[0] && (p->kind == RTC_SIP || p->kind == RTC_STANDARD)) ||
        (p->kind == RTC_SIP && c->caller_kind == RTC_STANDARD && !known)) {
        c->caller_here = c->caller_active = false;
        pat_strcpy(c->caller, sizeof c->caller, p->identity);
        c->caller_kind = p->kind;
        player_set_use(c->player, p->kind == RTC_SIP ? OPUSIO_PHONE : OPUSIO_WIDE);
        known = true;
    }
    if (known && !c->caller_here) {
        c->caller_here = true;
        call_back_here(c);
        pat_timer_stop(&c->absent);
        call_check_ready(c);
    }
}

static void on_attribute(const struct rtc_participant *p, const char *name, const char *value,
                         void *arg)
{
    struct call *c = arg;

    on_participant(p, arg);
    if (strcmp(c->caller, p->identity) != 0 || c->ending)
        return;
    if (strcmp(name, "sip.callStatus") == 0) {
        if (strcmp(value, "active") == 0)
            call_back_active(c);
        if (strcmp(value, "active") == 0 && !c->caller_active) {
            c->caller_active = true;
            c->active_us = pat_now_us();
            call_check_ready(c);
        } else if (strcmp(value, "hangup") == 0) {
            caller_left(c, 0);
        }
        return;
    }
    if (strcmp(name, "sip.h.x-pat-returned") == 0)
        call_came_back(c, value);
    if (context_headers_take(&c->headers, name, value) && !c->ctx_asked && !c->headers_told) {
        c->headers_told = true;
        c->ev->headers(c, &c->headers, c->arg);
    }
}

static void on_subscribed(void *arg)
{
    struct call *c = arg;

    if (c->subscribed)
        return;
    c->subscribed = true;
    c->subscribed_us = pat_now_us();
    call_check_ready(c);
}

static void on_packet(const struct rtc_packet *p, void *arg)
{
    struct call *c = arg;

    if (c->ending || strcmp(p->identity, c->caller) != 0)
        return;
    if (strcmp(p->track_sid, c->caller_track) != 0) {
        pat_strcpy(c->caller_track, sizeof c->caller_track, p->track_sid);
        ear_restart(c->ear);
        record_new_track(c->record);
    }
    record_caller(c->record, p->opus, p->len, p->timestamp, p->received_us);
    call_tools_hear(c->tools, p->opus, p->len, p->timestamp, p->received_us);
    ear_packet(c->ear, p);
}

static void on_dtmf(const struct rtc_participant *from, char digit, void *arg)
{
    struct call *c = arg;

    if (strcmp(from->identity, c->caller) == 0)
        call_dtmf_digit(c, digit);
}

static void on_text(const char *identity, const char *topic, const char *text, size_t len,
                    void *arg)
{
    struct call *c = arg;

    if (c->ending || strcmp(topic, "lk.chat") != 0 || strcmp(identity, c->caller) != 0 || !len)
        return;
    call_typed(c, text, len);
}

/* Somebody else has the call, or may reach it where we cannot: whoever owns us finds out. */
static bool tell_lost(struct call *c, enum rtc_left reason)
{
    switch (reason) {
    case RTC_LEFT_REMOVED:
        c->ev->lost(c, CALL_LOST_REMOVED, c->arg);
        return true;
    case RTC_LEFT_DUPLICATE:
        c->ev->lost(c, CALL_LOST_REPLACED, c->arg);
        return true;
    case RTC_LEFT_UNREACHABLE:
        c->ev->lost(c, CALL_LOST_UNREACHABLE, c->arg);
        return true;
    default:
        return false;
    }
}

static void on_left(enum rtc_left reason, void *arg)
{
    static const char *const names[] = {
        [RTC_LEFT_BY_US] = "left",           [RTC_LEFT_ROOM_GONE] = "room_closed",
        [RTC_LEFT_REMOVED] = "removed",      [RTC_LEFT_DUPLICATE] = "replaced",
        [RTC_LEFT_REFUSED] = "join_refused", [RTC_LEFT_UNREACHABLE] = "unreachable",
    };
    struct call *c = arg;

    c->room = NULL;
    c->transcript.room = NULL;
    if (!c->ending) {
        if (reason != RTC_LEFT_ROOM_GONE)
            pat_log(PAT_WARN, "call.lost_room", PAT_S("call", c->id), PAT_S("why", names[reason]));
        if (c->ev->lost && tell_lost(c, reason))
            return;
        c->yielded |= reason == RTC_LEFT_DUPLICATE;
        call_end(c, names[reason]);
        return;
    }
    call_left(c);
}

const struct rtc_events call_rtc_events = {
    .joined = on_joined,
    .participant = on_participant,
    .attribute = on_attribute,
    .subscribed = on_subscribed,
    .packet = on_packet,
    .dtmf = on_dtmf,
    .text = on_text,
    .left = on_left,
};
