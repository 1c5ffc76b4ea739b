/* room.h - one connection to one room: what its parts (room_*.c) share.
 *
 *   room.c         life: join, leave, abort, the states and their deadlines
 *   room_signal.c  what the server says, and our offers
 *   room_relays.c  the TURN servers we were told, for each gathering of candidates
 *   room_media.c   packets in and out, who they belong to
 *   room_data.c    data packets: text, digits
 *
 * CONNECTING  socket and media on the way, also at a full reconnect
 * JOINED      all is well
 * RESUMING    the socket is lost, media may flow on
 * WAITING     pause before the next attempt
 * LEAVING     we said goodbye
 * ENDED       left was told, memory goes at the next turn
 */
#ifndef RTC_ROOM_H
#define RTC_ROOM_H

#include "people.h"
#include "rtc_priv.h"
#include "stream.h"

struct Livekit__SignalRequest;
struct peer;
struct rtp_packet;
struct signalling;
struct track;

enum room_state {
    ROOM_CONNECTING,
    ROOM_JOINED,
    ROOM_RESUMING,
    ROOM_WAITING,
    ROOM_LEAVING,
    ROOM_ENDED,
    ROOM_STATES
};

#define ROOM_ATTRS 16 /* own attributes remembered for a full reconnect */

struct room_negotiation {
    uint32_t offer_id; /* of the newest offer */
    int64_t full_us;   /* the last time there was no place for another */
    bool in_flight;
    bool again;         /* something changed meanwhile: offer once more after the answer */
    char *offer;        /* newest */
    char *agreed_offer; /* the pair the server has agreed to, verbatim for a resume */
    char *agreed_answer;
    uint32_t agreed_id;
};

/* TURN servers; all texts ours. */
#define ROOM_RELAYS 4
struct room_relays {
    struct {
        char *host, *username, *credential;
        uint16_t port;
        bool tcp;
    } at[ROOM_RELAYS];
    size_t n;
    bool only; /* nothing else may be used */
};

struct rtc_room {
    struct rtc *rtc;
    struct rtc_events ev;
    void *arg;
    enum room_state state;
    char *url;
    char *token;
    char *track_name;
    char cid[PAT_ID_LEN + 1];

    struct signalling *sig;
    struct peer *peer;
    char sid[64];
    char identity[256];
    char track_sid[64];
    bool was_joined; /* at least once */
    bool try_tcp;
    bool subscribed_early; /* before joined was told */

    struct room_negotiation neg;
    struct room_relays relays;
    struct people people;
    struct stream_inbox inbox;
    struct person_attr attrs[ROOM_ATTRS]; /* own */
    size_t n_attrs;
    uint32_t sequence;   /* of our last reliable packet in this session */
    uint32_t request_id; /* of our last metadata request */

    struct pat_retry retry;
    struct pat_timer deadline; /* until joined (again) */
    struct pat_timer attempt;  /* of the present attempt, or the pause before the next */
    struct pat_timer answer;   /* of the offer in flight */
    struct pat_task task;      /* runs step */
    pat_loop_fn *step;

    /* The last voice heard, so that the hot path looks nobody up. */
    const struct track *heard_track;
    uint32_t heard_tracks_generation;
    uint32_t heard_people_generation;
    char heard_identity[256];
};

/* room.c */
void room_set_state(struct rtc_room *r, enum room_state to);
bool room_over(const struct rtc_room *r); /* nothing may be told any more */
void room_end(struct rtc_room *r, enum rtc_left reason);
void room_check_joined(struct rtc_room *r); /* JOINED when everything for it is there */
/* The socket is of no use any more: resume when media flows, else reconnect. */
void room_lost_signal(struct rtc_room *r);
/* Media does not come through: ICE anew, under the same connection, where we can still signal. */
void room_lost_path(struct rtc_room *r);
void room_mended_path(struct rtc_room *r);
/* The peer connection is down. */
void room_lost_media(struct rtc_room *r, int err);
void room_reconnect(struct rtc_room *r, const char *why);
void room_resumed(struct rtc_room *r); /* and offers again */

/* room_signal.c */
struct Livekit__SignalResponse;
int room_connect(struct rtc_room *r, bool resume) PAT_MUST_CHECK;
void room_on_signal(struct rtc_room *r, const struct Livekit__SignalResponse *m);
void room_negotiate(struct rtc_room *r);
int room_send_signal(struct rtc_room *r, const struct Livekit__SignalRequest *m);
void room_send_leave(struct rtc_room *r);
void room_send_attributes(struct rtc_room *r);
void room_neg_reset(struct rtc_room *r);

/* room_relays.c */
struct Livekit__JoinResponse;
struct Livekit__ReconnectResponse;
void room_relays_joined(struct rtc_room *r, const struct Livekit__JoinResponse *j);
void room_relays_resumed(struct rtc_room *r, const struct Livekit__ReconnectResponse *m);
void room_relays_drop(struct room_relays *l);
/* Candidates of ours, for the newest path. */
int room_gather(struct rtc_room *r) PAT_MUST_CHECK;

/* room_media.c */
int room_new_peer(struct rtc_room *r) PAT_MUST_CHECK;

/* room_data.c */
void room_on_data(struct rtc_room *r, bool reliable, const uint8_t *data, size_t len);

/* Tell about participants, but only while joined; arg is the room. */
extern const struct people_events room_people_events;

#endif
