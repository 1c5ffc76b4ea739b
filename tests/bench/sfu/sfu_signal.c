/* sfu_signal.c - a join is answered whole: who is there, our track, the answer to the offer. */
#include "pb.h"
#include "sfu_int.h"
#include "sign.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define JOIN_MAX (64 * 1024)

static void say(struct call *c, const Livekit__SignalResponse *m)
{
    if (c->ws && pb_send(c->ws, &m->base))
        (void)fprintf(stderr, "a signalling socket is full\n");
}

static void say_join(struct call *c)
{
    Livekit__Room room = LIVEKIT__ROOM__INIT;
    Livekit__ParticipantInfo me = LIVEKIT__PARTICIPANT_INFO__INIT, caller = me,
                             *others[] = { &caller };
    Livekit__ParticipantInfo__AttributesEntry status =
        LIVEKIT__PARTICIPANT_INFO__ATTRIBUTES_ENTRY__INIT;
    Livekit__ParticipantInfo__AttributesEntry *attributes[] = { &status };
    Livekit__TrackInfo track = LIVEKIT__TRACK_INFO__INIT, *tracks[] = { &track };
    Livekit__JoinResponse join = LIVEKIT__JOIN_RESPONSE__INIT;
    Livekit__SignalResponse m = LIVEKIT__SIGNAL_RESPONSE__INIT;

    room.sid = room.name = c->room;
    me.sid = "PA_agent";
    me.identity = "agent";
    status.key = "sip.callStatus";
    status.value = "active";
    track.sid = "TR_caller";
    track.source = LIVEKIT__TRACK_SOURCE__MICROPHONE;
    caller.sid = "PA_caller";
    caller.identity = "sip_caller";
    caller.kind = LIVEKIT__PARTICIPANT_INFO__KIND__SIP;
    caller.state = LIVEKIT__PARTICIPANT_INFO__STATE__ACTIVE;
    caller.version = 1;
    caller.n_attributes = 1;
    caller.attributes = attributes;
    caller.n_tracks = 1;
    caller.tracks = tracks;
    join.room = &room;
    join.participant = &me;
    join.n_other_participants = 1;
    join.other_participants = others;
    join.ping_interval = 5;
    join.ping_timeout = 15;
    m.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_JOIN;
    m.join = &join;
    say(c, &m);
}

static void say_published(struct call *c, const Livekit__AddTrackRequest *add)
{
    Livekit__TrackInfo track = LIVEKIT__TRACK_INFO__INIT;
    Livekit__TrackPublishedResponse published = LIVEKIT__TRACK_PUBLISHED_RESPONSE__INIT;
    Livekit__TrackSubscribed subscribed = LIVEKIT__TRACK_SUBSCRIBED__INIT;
    Livekit__SignalResponse m = LIVEKIT__SIGNAL_RESPONSE__INIT;

    track.sid = subscribed.track_sid = "TR_agent";
    published.cid = add->cid;
    published.track = &track;
    m.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_TRACK_PUBLISHED;
    m.track_published = &published;
    say(c, &m);
    m.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_TRACK_SUBSCRIBED;
    m.track_subscribed = &subscribed;
    say(c, &m);
}

static void say_answer(struct call *c, const Livekit__SessionDescription *offer)
{
    Livekit__SessionDescription answer = LIVEKIT__SESSION_DESCRIPTION__INIT;
    Livekit__SignalResponse m = LIVEKIT__SIGNAL_RESPONSE__INIT;
    struct pat_buf sdp;
    char ufrag[32];

    pat_buf_init(&sdp, JOIN_MAX);
    (void)snprintf(ufrag, sizeof ufrag, "call-%zu", c->index);
    if (leg_answer(c->leg, &sdp, pb_str(offer->sdp), ufrag, c->sfu->port,
                   1000 + (uint32_t)c->index) == PAT_OK) {
        answer.type = "answer";
        answer.sdp = sdp.data;
        answer.id = offer->id;
        m.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_ANSWER;
        m.answer = &answer;
        say(c, &m);
    }
    pat_buf_fini(&sdp);
}

static void say_pong(struct call *c, const Livekit__Ping *ping)
{
    Livekit__Pong pong = LIVEKIT__PONG__INIT;
    Livekit__SignalResponse m = LIVEKIT__SIGNAL_RESPONSE__INIT;

    pong.last_ping_timestamp = ping->timestamp;
    pong.timestamp = pat_unix_ms();
    m.message_case = LIVEKIT__SIGNAL_RESPONSE__MESSAGE_PONG_RESP;
    m.pong_resp = &pong;
    say(c, &m);
}

static void on_message(struct pat_ws *ws, const char *data, size_t len, bool text, void *arg)
{
    struct call *c = arg;
    Livekit__SignalRequest *m = livekit__signal_request__unpack(NULL, len, (const uint8_t *)data);

    (void)ws;
    (void)text;
    if (!m)
        return;
    if (m->message_case == LIVEKIT__SIGNAL_REQUEST__MESSAGE_PING_REQ)
        say_pong(c, m->ping_req);
    else if (m->message_case == LIVEKIT__SIGNAL_REQUEST__MESSAGE_OFFER)
        say_answer(c, m->offer);
    livekit__signal_request__free_unpacked(m, NULL);
}

static void on_closed(struct pat_ws *ws, int err, int status, int code, const char *reason,
                      void *arg)
{
    struct call *c = arg;

    (void)ws;
    (void)err;
    (void)status;
    (void)code;
    (void)reason;
    c->ws = NULL;
}

static void leg_out(const uint8_t *data, size_t len, void *arg)
{
    struct call *c = arg;

    if (c->from.sin_port)
        (void)sendto(c->sfu->fd, data, len, MSG_DONTWAIT, (struct sockaddr *)&c->from,
                     sizeof c->from);
}

static void leg_heard(const struct rtp_packet *p, void *arg)
{
    struct call *c = arg;

    caller_heard(&c->caller, c->sfu->figures, p, pat_now_us());
}

/* WrappedJoinRequest, gzip inside: what ?join_request= holds. NULL: it does not. */
static Livekit__JoinRequest *unwrap(const char *text)
{
    static uint8_t plain[JOIN_MAX];
    Livekit__WrappedJoinRequest *w = NULL;
    Livekit__JoinRequest *join = NULL;
    z_stream z = { 0 };
    struct pat_buf raw;

    pat_buf_init(&raw, JOIN_MAX);
    if (pat_unbase64(&raw, text, strlen(text)) == PAT_OK)
        w = livekit__wrapped_join_request__unpack(NULL, raw.len, (const uint8_t *)raw.data);
    if (w && inflateInit2(&z, 15 + 16) == Z_OK) {
        z.next_in = w->join_request.data;
        z.avail_in = (unsigned)w->join_request.len;
        z.next_out = plain;
        z.avail_out = sizeof plain;
        if (inflate(&z, Z_FINISH) == Z_STREAM_END)
            join = livekit__join_request__unpack(NULL, z.total_out, plain);
        (void)inflateEnd(&z);
    }
    if (w)
        livekit__wrapped_join_request__free_unpacked(w, NULL);
    pat_buf_fini(&raw);
    return join;
}

static void on_open(struct pat_ws *ws, void *arg)
{
    struct call *c = arg;

    (void)ws;
    say_join(c);
    say_published(c, c->join->add_track_requests[0]);
    say_answer(c, c->join->publisher_offer);
    livekit__join_request__free_unpacked(c->join, NULL);
    c->join = NULL;
}

int sfu_on_join(struct pat_httpd_req *r, struct pat_ws *ws, void *arg)
{
    static const struct pat_ws_events events = { on_open, on_message, on_closed };
    static const struct leg_events leg = { leg_out, leg_heard };
    const char *token = pat_httpd_header(r, "authorization");
    const char *text = pat_httpd_query_param(r, "join_request");
    struct call *c = token ? sfu_call(arg, token + strlen("Bearer ")) : NULL;
    Livekit__JoinRequest *join = text ? unwrap(text) : NULL;

    if (!c || !join || !join->publisher_offer || !join->n_add_track_requests || c->leg ||
        leg_new(&c->leg, c->sfu->loop, c->sfu->id, c->sfu->hub, &leg, c)) {
        if (join)
            livekit__join_request__free_unpacked(join, NULL);
        return PAT_EINVAL;
    }
    c->ws = ws;
    c->join = join;
    pat_ws_set(ws, &events, c);
    return PAT_OK;
}
