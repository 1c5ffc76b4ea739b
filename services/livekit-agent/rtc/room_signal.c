/* room_signal.c - what the server says over the signalling socket, and what we say there.
 * How: one small function per message; offers are numbered, one in flight at a time. Messages we do
 * not know are ignored: the server adds some in minor versions. */
#include "room.h"

#include "livekit.pb-c.h"
#include "pb.h"
#include "peer.h"
#include "signalling.h"
#include "url.h"

#include <stdlib.h>
#include <string.h>

#define PROTOCOL          16
#define CONNECT_MS        5000
#define ANSWER_TIMEOUT_MS 10000
#define FULL_US           1000000

static void on_message(const Livekit__SignalResponse *m, void *arg)
{
    room_on_signal(arg, m);
}

static void on_closed(int err, int status, void *arg)
{
    struct rtc_room *r = arg;

    if (status == 401 || status == 403) {
        room_end(r, RTC_LEFT_REFUSED);
        return;
    }
    if (r->state == ROOM_LEAVING) {
        room_end(r, RTC_LEFT_BY_US);
        return;
    }
    pat_log(PAT_INFO, "rtc.signal_closed", PAT_ERR(err), PAT_I("status", status),
            PAT_S("participant", r->sid));
    room_lost_signal(r);
}

void room_neg_reset(struct rtc_room *r)
{
    free(r->neg.offer);
    free(r->neg.agreed_offer);
    free(r->neg.agreed_answer);
    memset(&r->neg, 0, sizeof r->neg);
}

/* A new offer, kept verbatim. */
static int make_offer(struct rtc_room *r)
{
    struct pat_buf b;

    pat_buf_init(&b, SDP_MAX_LEN);
    int err = peer_offer(r->peer, &b);
    char *text = err ? NULL : pat_buf_take(&b);
    pat_buf_fini(&b);
    if (!text)
        return err ? err : PAT_ENOMEM;
    free(r->neg.offer);
    r->neg.offer = text;
    r->neg.offer_id++;
    r->neg.in_flight = true;
    r->neg.again = false;
    pat_timer_start(&r->answer, ANSWER_TIMEOUT_MS);
    return PAT_OK;
}

static int dial(struct rtc_room *r, const Livekit__JoinRequest *join)
{
    static const struct signalling_events events = { on_message, on_closed };
    const struct signalling_opts opts = {
        .url = r->url, .token = r->token, .join = join, .timeout_ms = CONNECT_MS
    };

    return signalling_new(&r->sig, r->rtc, &opts, &events, r);
}

static int connect_first(struct rtc_room *r, Livekit__JoinRequest *join)
{
    Livekit__AudioTrackFeature feature = LIVEKIT__AUDIO_TRACK_FEATURE__TF_NO_DTX;
    Livekit__AddTrackRequest track = LIVEKIT__ADD_TRACK_REQUEST__INIT;
    Livekit__AddTrackRequest *tracks[] = { &track };
    Livekit__SessionDescription offer = LIVEKIT__SESSION_DESCRIPTION__INIT;

    room_neg_reset(r);
    int err = make_offer(r);
    if (err)
        return err;
    track.cid = r->cid;
    track.name = r->track_name;
    track.type = LIVEKIT__TRACK_TYPE__AUDIO;
    track.source = LIVEKIT__TRACK_SOURCE__MICROPHONE;
    track.audio_features = &feature;
    track.n_audio_features = 1;
    offer.type = "offer";
    offer.sdp = r->neg.offer;
    offer.id = r->neg.offer_id;
    join->add_track_requests = tracks;
    join->n_add_track_requests = 1;
    join->publisher_offer = &offer;
    return dial(r, join);
}

int room_connect(struct rtc_room *r, bool resume)
{
    Livekit__ClientInfo client = LIVEKIT__CLIENT_INFO__INIT;
    Livekit__ConnectionSettings settings = LIVEKIT__CONNECTION_SETTINGS__INIT;
    Livekit__JoinRequest join = LIVEKIT__JOIN_REQUEST__INIT;

    client.sdk = LIVEKIT__CLIENT_INFO__SDK__CPP; /* UNKNOWN loses behaviour, GO has its own */
    client.version = "1.0.0";
    client.protocol = PROTOCOL;
    client.os = "linux";
    settings.auto_subscribe = true;
    join.client_info = &client;
    join.connection_settings = &settings;
    if (!resume)
        return connect_first(r, &join);
    join.reconnect = true;
    join.reconnect_reason = LIVEKIT__RECONNECT_REASON__RR_SIGNAL_DISCONNECTED;
    join.participant_sid = r->sid;
    return dial(r, &join);
}

int room_send_signal(struct rtc_room *r, const Livekit__SignalRequest *m)
{
    return r->sig ? signalling_send(r->sig, m) : PAT_ECONN;
}

void room_send_leave(struct rtc_room *r)
{
    Livekit__LeaveRequest leave = LIVEKIT__LEAVE_REQUEST__INIT;
    Livekit__SignalRequest m = LIVEKIT__SIGNAL_REQUEST__INIT;

    leave.reason = LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED;
    m.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_LEAVE;
    m.leave = &leave;
    (void)room_send_signal(r, &m);
}

static int send_attributes(struct rtc_room *r, const struct person_attr *attrs, size_t n)
{
    Livekit__UpdateParticipantMetadata update = LIVEKIT__UPDATE_PARTICIPANT_METADATA__INIT;
    Livekit__SignalRequest m = LIVEKIT__SIGNAL_REQUEST__INIT;
    Livekit__UpdateParticipantMetadata__AttributesEntry entries[ROOM_ATTRS], *list[ROOM_ATTRS];

    for (size_t i = 0; i < n; i++) {
        livekit__update_participant_metadata__attributes_entry__init(&entries[i]);
        entries[i].key = attrs[i].name;
        entries[i].value = attrs[i].value;
        list[i] = &entries[i];
    }
    update.attributes = list;
    update.n_attributes = n;
    update.request_id = ++r->request_id;
    m.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_UPDATE_METADATA;
    m.update_metadata = &update;
    return room_send_signal(r, &m);
}

void room_send_attributes(struct rtc_room *r)
{
    if (r->n_attrs)
        (void)send_attributes(r, r->attrs, r->n_attrs);
}

static struct person_attr *own_attribute(struct rtc_room *r, const char *name)
{
    for (size_t i = 0; i < r->n_attrs; i++)
        if (strcmp(r->attrs[i].name, name) == 0)
            return &r->attrs[i];
    if (r->n_attrs == ROOM_ATTRS)
        return NULL;
    struct person_attr *a = &r->attrs[r->n_attrs];
    a->value = NULL;
    a->name = strdup(name);
    if (!a->name)
        return NULL;
    r->n_attrs++;
    return a;
}

int rtc_room_set_attribute(struct rtc_room *r, const char *name, const char *value)
{
    struct person_attr *a = own_attribute(r, name);
    char *copy = strdup(value);

    if (!a || !copy) {
        free(copy);
        return a ? PAT_ENOMEM : PAT_E2BIG;
    }
    free(a->value);
    a->value = copy;
    if (r->state != ROOM_JOINED)
        return PAT_OK; /* told when we are in again */
    return send_attributes(r, a, 1);
}

static void send_offer(struct rtc_room *r)
{
    Livekit__SessionDescription offer = LIVEKIT__SESSION_DESCRIPTION__INIT;
    Livekit__SignalRequest m = LIVEKIT__SIGNAL_REQUEST__INIT;

    offer.type = "offer";
    offer.sdp = r->neg.offer;
    offer.id = r->neg.offer_id;
    m.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_OFFER;
    m.offer = &offer;
    (void)room_send_signal(r, &m); /* unsent: the socket is going, and a resume offers again */
}

void room_negotiate(struct rtc_room *r)
{
    if (r->neg.in_flight || r->state == ROOM_RESUMING) {
        r->neg.again = true;
        return;
    }
    int err = make_offer(r);
    if (err) {
        room_reconnect(r, pat_err_name(err));
        return;
    }
    send_offer(r);
}

static void on_answer(struct rtc_room *r, const Livekit__SessionDescription *d)
{
    const char *sdp = pb_str(d->sdp);

    if (!r->peer || !r->neg.in_flight || d->id != r->neg.offer_id)
        return; /* of an older offer */
    int err = peer_answer(r->peer, sdp, strlen(sdp));
    if (err) {
        pat_log(PAT_WARN, "rtc.answer_unusable", PAT_ERR(err));
        room_reconnect(r, "answer_unusable");
        return;
    }
    for (size_t i = 0; i < d->n_mid_to_track_id; i++)
        tracks_name(peer_tracks(r->peer), pb_str(d->mid_to_track_id[i]->key),
                    pb_str(d->mid_to_track_id[i]->value));
    pat_timer_stop(&r->answer);
    free(r->neg.agreed_offer);
    free(r->neg.agreed_answer);
    r->neg.agreed_offer = r->neg.offer;
    r->neg.offer = NULL;
    r->neg.agreed_answer = strdup(sdp);
    r->neg.agreed_id = d->id;
    r->neg.in_flight = false;
    if (r->neg.again)
        room_negotiate(r);
}

static bool is_us(const struct rtc_room *r, const Livekit__ParticipantInfo *p)
{
    return strcmp(pb_str(p->sid), r->sid) == 0 || strcmp(pb_str(p->identity), r->identity) == 0;
}

static void on_people(struct rtc_room *r, Livekit__ParticipantInfo *const *list, size_t n)
{
    for (size_t i = 0; i < n && !room_over(r); i++)
        if (!is_us(r, list[i]))
            (void)people_update(&r->people, list[i], &room_people_events, r);
}

static void on_join(struct rtc_room *r, const Livekit__JoinResponse *j)
{
    if (!r->peer || !j->participant || r->state != ROOM_CONNECTING)
        return;
    if (!pat_strcpy(r->sid, sizeof r->sid, pb_str(j->participant->sid)) ||
        !pat_strcpy(r->identity, sizeof r->identity, pb_str(j->participant->identity))) {
        room_reconnect(r, "identity_too_long");
        return;
    }
    if (r->sig)
        signalling_set_ping(r->sig, j->ping_interval, j->ping_timeout);
    on_people(r, j->other_participants, j->n_other_participants);
    room_relays_joined(r, j);
    int err = room_gather(r);
    if (err)
        room_reconnect(r, "no_candidates");
}

static void send_sync_state(struct rtc_room *r)
{
    static const char *const labels[2] = { "_lossy", "_reliable" };
    Livekit__SyncState sync = LIVEKIT__SYNC_STATE__INIT;
    Livekit__SessionDescription offer = LIVEKIT__SESSION_DESCRIPTION__INIT, answer = offer;
    Livekit__UpdateSubscription subscription = LIVEKIT__UPDATE_SUBSCRIPTION__INIT;
    Livekit__TrackPublishedResponse published = LIVEKIT__TRACK_PUBLISHED_RESPONSE__INIT;
    Livekit__TrackInfo track = LIVEKIT__TRACK_INFO__INIT;
    Livekit__TrackPublishedResponse *tracks[] = { &published };
    Livekit__DataChannelInfo channels[2], *channel_list[2];
    Livekit__SignalRequest m = LIVEKIT__SIGNAL_REQUEST__INIT;

    offer.type = "offer";
    offer.sdp = r->neg.agreed_offer;
    offer.id = answer.id = r->neg.agreed_id;
    answer.type = "answer";
    answer.sdp = r->neg.agreed_answer;
    track.sid = r->track_sid;
    track.name = r->track_name;
    track.source = LIVEKIT__TRACK_SOURCE__MICROPHONE;
    published.cid = r->cid;
    published.track = &track;
    for (int i = 0; i < 2; i++) {
        livekit__data_channel_info__init(&channels[i]);
        channels[i].label = (char *)(uintptr_t)labels[i];
        channels[i].id = peer_channel_id(r->peer, i);
        channel_list[i] = &channels[i];
    }
    sync.offer = &offer;
    sync.answer = &answer;
    sync.subscription = &subscription;
    sync.publish_tracks = tracks;
    sync.n_publish_tracks = 1;
    sync.data_channels = channel_list;
    sync.n_data_channels = 2;
    m.message_case = LIVEKIT__SIGNAL_REQUEST__MESSAGE_SYNC_STATE;
    m.sync_state = &sync;
    (void)room_send_signal(r, &m);
}

static void on_reconnect(struct rtc_room *r, const Livekit__ReconnectResponse *m)
{
    if (r->state != ROOM_RESUMING || !r->peer)
        return;
    send_sync_state(r);
    room_relays_resumed(r, m);
    room_send_attributes(r);
    /* What the old socket swallowed: our offer's answer, or a call for more sections. */
    r->neg.in_flight = false;
    room_resumed(r);
}

static enum rtc_left left_reason(Livekit__DisconnectReason reason)
{
    switch (reason) {
    case LIVEKIT__DISCONNECT_REASON__CLIENT_INITIATED:
        return RTC_LEFT_BY_US;
    case LIVEKIT__DISCONNECT_REASON__DUPLICATE_IDENTITY:
        return RTC_LEFT_DUPLICATE;
    case LIVEKIT__DISCONNECT_REASON__PARTICIPANT_REMOVED:
        return RTC_LEFT_REMOVED;
    case LIVEKIT__DISCONNECT_REASON__ROOM_DELETED:
    case LIVEKIT__DISCONNECT_REASON__ROOM_CLOSED:
        return RTC_LEFT_ROOM_GONE;
    default:
        return RTC_LEFT_UNREACHABLE;
    }
}

static void on_leave(struct rtc_room *r, const Livekit__LeaveRequest *l)
{
    pat_log(PAT_INFO, "rtc.leave", PAT_I("reason", l->reason), PAT_I("action", l->action),
            PAT_S("participant", r->sid));
    if (r->state == ROOM_LEAVING) {
        room_end(r, RTC_LEFT_BY_US);
        return;
    }
    switch (l->action) {
    case LIVEKIT__LEAVE_REQUEST__ACTION__RESUME:
        room_lost_signal(r);
        return;
    case LIVEKIT__LEAVE_REQUEST__ACTION__RECONNECT:
        room_reconnect(r, "server_asked");
        return;
    default:
        /* A server that goes down without asking for it: another may take us. */
        if (l->reason == LIVEKIT__DISCONNECT_REASON__SERVER_SHUTDOWN)
            room_reconnect(r, "server_shutdown");
        else
            room_end(r, left_reason(l->reason));
    }
}

static void on_published(struct rtc_room *r, const Livekit__TrackPublishedResponse *p)
{
    if (!p->track || strcmp(pb_str(p->cid), r->cid) != 0 ||
        !pat_strcpy(r->track_sid, sizeof r->track_sid, pb_str(p->track->sid)))
        return;
    room_check_joined(r);
}

static void on_token(struct rtc_room *r, const char *token)
{
    char *copy = strdup(token);

    if (!copy)
        return; /* the old one lives some minutes more */
    free(r->token);
    r->token = copy;
}

static void on_sections(struct rtc_room *r, const Livekit__MediaSectionsRequirement *need)
{
    unsigned wanted = need->num_audios > SDP_SECTIONS ? SDP_SECTIONS : need->num_audios;

    if (!r->peer)
        return;
    if (tracks_add_recv(peer_tracks(r->peer), wanted)) {
        if (pat_now_us() - r->neg.full_us < FULL_US)
            return; /* it would ask again at once, and so on */
        r->neg.full_us = pat_now_us();
        pat_log(PAT_WARN, "rtc.too_many_tracks", PAT_S("participant", r->sid),
                PAT_I("max", SDP_SECTIONS));
    }
    room_negotiate(r);
}

static void on_moved(struct rtc_room *r, const Livekit__RoomMovedResponse *m)
{
    if (*pb_str(m->token))
        on_token(r, m->token);
    if (m->participant)
        (void)pat_strcpy(r->sid, sizeof r->sid, pb_str(m->participant->sid));
    people_mark_stale(&r->people);
    on_people(r, m->other_participants, m->n_other_participants);
    people_sweep(&r->people, &room_people_events, r);
}

static void on_trickle(struct rtc_room *r, const Livekit__TrickleRequest *t)
{
    if (r->peer && t->target == LIVEKIT__SIGNAL_TARGET__PUBLISHER)
        peer_candidate(r->peer, pb_str(t->candidateinit));
}

void room_on_signal(struct rtc_room *r, const Livekit__SignalResponse *m)
{
    if (room_over(r))
        return;
    switch (m->message_case) {
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_JOIN:
        on_join(r, m->join);
        return;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ANSWER:
        on_answer(r, m->answer);
        return;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_TRICKLE:
        on_trickle(r, m->trickle);
        return;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_UPDATE:
        on_people(r, m->update->participants, m->update->n_participants);
        return;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_TRACK_PUBLISHED:
        on_published(r, m->track_published);
        return;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_LEAVE:
        on_leave(r, m->leave);
        return;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_REFRESH_TOKEN:
        on_token(r, pb_str(m->refresh_token));
        return;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_RECONNECT:
        on_reconnect(r, m->reconnect);
        return;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_TRACK_SUBSCRIBED:
        if (r->state == ROOM_JOINED || r->state == ROOM_RESUMING)
            r->ev.subscribed(r->arg);
        else
            r->subscribed_early = true;
        return;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ROOM_MOVED:
        on_moved(r, m->room_moved);
        return;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_MEDIA_SECTIONS_REQUIREMENT:
        on_sections(r, m->media_sections_requirement);
        return;
    case LIVEKIT__SIGNAL_RESPONSE__MESSAGE_REQUEST_RESPONSE:
        if (m->request_response->reason != LIVEKIT__REQUEST_RESPONSE__REASON__OK)
            pat_log(PAT_WARN, "rtc.request_refused", PAT_I("reason", m->request_response->reason),
                    PAT_S("message", m->request_response->message));
        return;
    default:
        return;
    }
}
