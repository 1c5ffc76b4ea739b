/* room.c - the life of a room connection.
 * How: one state, one function that writes it. A lost socket is resumed under flowing media; a lost
 * path of media is made anew under the same connection; lost media, or either of them failing,
 * means a new peer connection; a deadline bounds them all. It decodes nothing. */
#include "room.h"

#include "peer.h"
#include "signalling.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define ATTEMPT_MS   6000  /* socket, ICE and DTLS of one attempt */
#define RESUME_MS    4000  /* socket and answer of one resume */
#define RESTART_MS   6000  /* ICE anew: with what it took to notice, before the server gives up */
#define GIVE_UP_MS   30000 /* without a room after having been in it; nobody holds longer */
#define LEAVE_MS     1500
#define REASON_MS    500 /* media closed: a leave that says why may be on its way */
#define RETRY_MS     300
#define RETRY_MAX_MS 7000
#define RESUMES      3 /* tries after the first one, then a full reconnect */

#define TO(s)        (1u << (s))
#define ANY_END      (TO(ROOM_LEAVING) | TO(ROOM_ENDED))

static const struct {
    const char *name;
    unsigned next;
} states[] = {
    [ROOM_CONNECTING] = { "connecting", TO(ROOM_JOINED) | TO(ROOM_WAITING) | ANY_END },
    [ROOM_JOINED] = { "joined", TO(ROOM_RESUMING) | TO(ROOM_WAITING) | ANY_END },
    [ROOM_RESUMING] = { "resuming", TO(ROOM_JOINED) | TO(ROOM_WAITING) | ANY_END },
    [ROOM_WAITING] = { "waiting", TO(ROOM_CONNECTING) | ANY_END },
    [ROOM_LEAVING] = { "leaving", TO(ROOM_ENDED) },
    [ROOM_ENDED] = { "ended", 0 },
};
static_assert(sizeof states / sizeof states[0] == ROOM_STATES, "every state has a row");

void room_set_state(struct rtc_room *r, enum room_state to)
{
    if (!(states[r->state].next & TO(to))) {
        pat_log(PAT_ERROR, "rtc.impossible_state", PAT_S("from", states[r->state].name),
                PAT_S("to", states[to].name));
        assert(0 && "impossible transition");
        return;
    }
    pat_log(PAT_DEBUG, "rtc.state", PAT_S("from", states[r->state].name),
            PAT_S("to", states[to].name), PAT_S("participant", r->sid));
    r->state = to;
}

bool room_over(const struct rtc_room *r)
{
    return r->state == ROOM_ENDED;
}

static void drop_connection(struct rtc_room *r)
{
    signalling_free(r->sig);
    r->sig = NULL;
    peer_free(r->peer);
    r->peer = NULL;
    r->heard_track = NULL;
    pat_timer_stop(&r->answer);
    stream_inbox_fini(&r->inbox);
}

static void destroy(void *arg)
{
    struct rtc_room *r = arg;
    struct rtc *rtc = r->rtc;

    for (size_t i = 0; i < r->n_attrs; i++) {
        free(r->attrs[i].name);
        free(r->attrs[i].value);
    }
    room_neg_reset(r);
    room_relays_drop(&r->relays);
    people_fini(&r->people);
    stream_inbox_fini(&r->inbox);
    pat_timer_fini(&r->deadline);
    pat_timer_fini(&r->attempt);
    pat_timer_fini(&r->answer);
    free(r->url);
    free(r->token);
    free(r->track_name);
    free(r);
    if (rtc->metrics.rooms)
        pat_gauge_add(rtc->metrics.rooms, -1);
    rtc_release(rtc);
}

static void run_step(void *arg)
{
    struct rtc_room *r = arg;

    r->step(r);
}

static void next_turn(struct rtc_room *r, pat_loop_fn *step)
{
    r->step = step;
    pat_loop_next_turn(r->rtc->loop, &r->task, run_step, r);
}

/* Callbacks of ours may be on the stack: the memory goes at the next turn. */
static void bury(struct rtc_room *r)
{
    drop_connection(r);
    pat_timer_stop(&r->deadline);
    pat_timer_stop(&r->attempt);
    next_turn(r, destroy);
}

void room_end(struct rtc_room *r, enum rtc_left reason)
{
    static const char *const names[] = { "by_us",     "room_gone", "removed",
                                         "duplicate", "refused",   "unreachable" };

    if (room_over(r))
        return;
    room_set_state(r, ROOM_ENDED);
    pat_log(PAT_INFO, "rtc.left", PAT_S("reason", names[reason]), PAT_S("participant", r->sid));
    if (r->rtc->metrics.left[reason])
        pat_counter_add(r->rtc->metrics.left[reason], 1);
    bury(r);
    r->ev.left(reason, r->arg);
}

void rtc_room_abort(struct rtc_room *r)
{
    if (!r || room_over(r))
        return;
    room_send_leave(r);
    room_set_state(r, ROOM_ENDED);
    bury(r);
}

static void on_deadline(void *arg)
{
    struct rtc_room *r = arg;

    room_end(r, r->state == ROOM_LEAVING ? RTC_LEFT_BY_US : RTC_LEFT_UNREACHABLE);
}

static void leave_now(void *arg)
{
    room_end(arg, RTC_LEFT_BY_US);
}

void rtc_room_leave(struct rtc_room *r)
{
    if (r->state == ROOM_LEAVING || room_over(r))
        return;
    bool reachable = r->sig && (r->state == ROOM_JOINED || r->state == ROOM_CONNECTING);
    room_set_state(r, ROOM_LEAVING);
    pat_timer_stop(&r->attempt);
    pat_timer_stop(&r->answer);
    room_send_leave(r);
    pat_timer_start(&r->deadline, LEAVE_MS);
    if (!reachable)
        next_turn(r, leave_now);
}

/* One attempt at a whole new connection. */
static int connect_anew(struct rtc_room *r)
{
    int err = room_new_peer(r);

    if (!err)
        err = room_connect(r, false);
    if (err)
        drop_connection(r);
    return err;
}

static void wait_and_retry(struct rtc_room *r)
{
    room_set_state(r, ROOM_WAITING);
    /* The first time nobody has failed yet: at once. */
    int64_t pause_ms =
        r->retry.attempts ? pat_retry_next_ms(&r->retry, pat_random32()) : (r->retry.attempts++, 0);
    pat_timer_start(&r->attempt, pause_ms);
}

void room_reconnect(struct rtc_room *r, const char *why)
{
    if (room_over(r))
        return;
    if (r->state == ROOM_LEAVING) {
        next_turn(r, leave_now);
        return;
    }
    pat_log(PAT_WARN, "rtc.reconnect", PAT_S("why", why), PAT_S("participant", r->sid),
            PAT_I("attempt", r->retry.attempts));
    if (r->rtc->metrics.reconnected)
        pat_counter_add(r->rtc->metrics.reconnected, 1);
    if (r->state == ROOM_JOINED)
        pat_timer_start(&r->deadline, GIVE_UP_MS);
    drop_connection(r);
    people_mark_stale(&r->people);
    r->track_sid[0] = 0;
    r->sequence = 0;
    wait_and_retry(r);
}

static void resume_attempt(struct rtc_room *r)
{
    signalling_free(r->sig);
    r->sig = NULL;
    int err = room_connect(r, true);
    if (err) {
        room_reconnect(r, pat_err_name(err));
        return;
    }
    pat_timer_start(&r->attempt, RESUME_MS);
}

static void resume_later(void *arg)
{
    struct rtc_room *r = arg;

    if (r->state == ROOM_RESUMING)
        resume_attempt(r);
}

void room_lost_signal(struct rtc_room *r)
{
    bool media = r->peer && peer_is_up(r->peer);

    signalling_free(r->sig);
    r->sig = NULL;
    pat_timer_stop(&r->answer); /* a resume offers again */
    if (r->state == ROOM_JOINED && media) {
        pat_log(PAT_INFO, "rtc.resume", PAT_S("participant", r->sid));
        room_set_state(r, ROOM_RESUMING);
        pat_timer_start(&r->deadline, GIVE_UP_MS);
        r->retry.attempts = 0;
        next_turn(r, resume_later);
        return;
    }
    if (r->state != ROOM_RESUMING || !media || r->retry.attempts >= RESUMES) {
        room_reconnect(r, "signal_lost");
        return;
    }
    pat_timer_start(&r->attempt, pat_retry_next_ms(&r->retry, pat_random32()));
}

/* The next offer has other credentials: the server's side follows it. */
static void restart_ice(struct rtc_room *r)
{
    bool begun = peer_restarting(r->peer);
    int err = peer_restart(r->peer);

    if (!err && !begun)
        err = room_gather(r);
    if (err) {
        room_reconnect(r, pat_err_name(err));
        return;
    }
    pat_log(PAT_INFO, "rtc.ice_restart", PAT_S("participant", r->sid), PAT_B("again", begun));
    pat_timer_start(&r->attempt, RESTART_MS);
    room_negotiate(r);
}

void room_lost_path(struct rtc_room *r)
{
    if (r->state == ROOM_JOINED && r->sig)
        restart_ice(r);
    else if (r->state != ROOM_RESUMING) /* with a socket again it is looked at again */
        room_lost_media(r, PAT_ECONN);
}

void room_mended_path(struct rtc_room *r)
{
    if (r->rtc->metrics.restarted)
        pat_counter_add(r->rtc->metrics.restarted, 1);
    pat_log(PAT_INFO, "rtc.ice_restarted", PAT_S("participant", r->sid));
    if (r->state == ROOM_JOINED)
        pat_timer_stop(&r->attempt);
}

void room_lost_media(struct rtc_room *r, int err)
{
    if (r->state == ROOM_JOINED && err == PAT_ECONN) {
        pat_timer_start(&r->attempt, REASON_MS);
        return;
    }
    if (r->state == ROOM_CONNECTING)
        r->try_tcp = true;
    room_reconnect(r, err == PAT_EAUTH ? "wrong_certificate" : "media_lost");
}

void room_resumed(struct rtc_room *r)
{
    room_set_state(r, ROOM_JOINED);
    pat_timer_stop(&r->attempt);
    pat_timer_stop(&r->deadline);
    pat_retry_reset(&r->retry);
    if (r->rtc->metrics.resumed)
        pat_counter_add(r->rtc->metrics.resumed, 1);
    pat_log(PAT_INFO, "rtc.resumed", PAT_S("participant", r->sid));
    if (peer_restarting(r->peer) || peer_path_doubtful(r->peer))
        restart_ice(r);
    else
        room_negotiate(r);
}

static void on_attempt(void *arg)
{
    struct rtc_room *r = arg;

    switch (r->state) {
    case ROOM_WAITING:
        room_set_state(r, ROOM_CONNECTING);
        pat_timer_start(&r->attempt, ATTEMPT_MS);
        int err = connect_anew(r);
        if (err)
            room_reconnect(r, pat_err_name(err));
        return;
    case ROOM_RESUMING:
        /* Either the pause before the next try is over, or the try has taken too long. */
        if (r->sig)
            room_lost_signal(r);
        else
            resume_attempt(r);
        return;
    case ROOM_CONNECTING:
        /* The server answers but no media comes through: UDP may be blocked. */
        if (r->sid[0])
            r->try_tcp = true;
        room_reconnect(r, "attempt_timed_out");
        return;
    case ROOM_JOINED:
        room_reconnect(r, "media_lost");
        return;
    default:
        return;
    }
}

static void on_answer_late(void *arg)
{
    room_reconnect(arg, "no_answer");
}

static bool telling(const struct rtc_room *r)
{
    return r->state == ROOM_JOINED || r->state == ROOM_RESUMING;
}

static void tell_participant(const struct rtc_participant *p, void *arg)
{
    struct rtc_room *r = arg;

    if (telling(r))
        r->ev.participant(p, r->arg);
}

static void tell_attribute(const struct rtc_participant *p, const char *name, const char *value,
                           void *arg)
{
    struct rtc_room *r = arg;

    if (telling(r))
        r->ev.attribute(p, name, value, r->arg);
}

const struct people_events room_people_events = { tell_participant, tell_attribute };

void room_check_joined(struct rtc_room *r)
{
    if (r->state != ROOM_CONNECTING || !r->peer || !peer_is_up(r->peer) || !r->track_sid[0])
        return;
    room_set_state(r, ROOM_JOINED);
    pat_timer_stop(&r->deadline);
    pat_timer_stop(&r->attempt);
    pat_retry_reset(&r->retry);
    r->was_joined = true;
    if (r->rtc->metrics.joined)
        pat_counter_add(r->rtc->metrics.joined, 1);
    pat_log(PAT_INFO, "rtc.joined", PAT_S("participant", r->sid), PAT_S("track", r->track_sid));
    room_send_attributes(r);
    r->ev.joined(r->arg);
    people_sweep(&r->people, &room_people_events, r);
    people_tell(&r->people, &room_people_events, r);
    if (r->subscribed_early && telling(r))
        r->ev.subscribed(r->arg);
    r->subscribed_early = false;
}

static int copy_strings(struct rtc_room *r, const struct rtc_join *j)
{
    struct pat_id id = pat_id_new();

    (void)pat_strcpy(r->cid, sizeof r->cid, id.s);
    r->url = strdup(j->url);
    r->token = strdup(j->token);
    r->track_name = strdup(j->track_name ? j->track_name : "voice");
    return r->url && r->token && r->track_name ? PAT_OK : PAT_ENOMEM;
}

static int init_timers(struct rtc_room *r)
{
    int err = pat_timer_init(&r->deadline, r->rtc->loop, on_deadline, r);

    if (!err)
        err = pat_timer_init(&r->attempt, r->rtc->loop, on_attempt, r);
    if (!err)
        err = pat_timer_init(&r->answer, r->rtc->loop, on_answer_late, r);
    return err;
}

int rtc_room_join(struct rtc_room **out, struct rtc *rtc, const struct rtc_join *j,
                  const struct rtc_events *ev, void *arg)
{
    struct rtc_room *r = calloc(1, sizeof *r);

    if (!r)
        return PAT_ENOMEM;
    r->rtc = rtc;
    r->ev = *ev;
    r->arg = arg;
    r->retry = PAT_RETRY(RETRY_MS, RETRY_MAX_MS);
    rtc_hold(rtc);
    if (rtc->metrics.rooms)
        pat_gauge_add(rtc->metrics.rooms, 1);
    int err = copy_strings(r, j);
    if (!err)
        err = init_timers(r);
    if (!err)
        err = connect_anew(r);
    if (err) {
        destroy(r);
        return err;
    }
    pat_timer_start(&r->deadline, j->timeout_ms);
    pat_timer_start(&r->attempt, ATTEMPT_MS);
    *out = r;
    return PAT_OK;
}

const char *rtc_room_track_sid(const struct rtc_room *room)
{
    return room->track_sid;
}

const char *rtc_room_attribute(const struct rtc_room *room, const char *identity, const char *name)
{
    const struct person *who = people_by_identity(&room->people, identity);

    for (size_t i = 0; who && i < who->n_attrs; i++)
        if (strcmp(who->attrs[i].name, name) == 0)
            return *who->attrs[i].value ? who->attrs[i].value : NULL;
    return NULL;
}

const char *rtc_room_identity(const struct rtc_room *room)
{
    return room->identity;
}
