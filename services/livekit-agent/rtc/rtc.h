/* rtc.h - a LiveKit room as a call sees it: join, hear, speak, send text, leave.
 *
 * Signalling v1 with one peer connection (LiveKit signalling protocol 16): WebSocket, ICE
 * (libnice), DTLS-SRTP, SCTP. Native: Opus packets in and out, never samples. Life: rtc_room_join
 * -> joined -> tracks, packets, data -> left(reason) -> it is gone. left comes exactly once for
 * every join that returned PAT_OK, unless rtc_room_abort was called. Resume, ICE restart and
 * full reconnect happen inside; a full reconnect is told by joined again (participants and tracks
 * are then told anew). Thread: the loop's. Times: pat_now_us.
 */
#ifndef RTC_H
#define RTC_H

#include "pat.h"

struct rtc;      /* process-wide: certificate, SCTP, counters. One per process */
struct rtc_room; /* one connection to one room */

int rtc_new(struct rtc **out, struct pat_loop *l, struct pat_net *net,
            struct pat_metrics *m) PAT_MUST_CHECK;
void rtc_close(struct rtc *r, pat_loop_fn *closed, void *arg); /* after all rooms are gone */

enum rtc_kind { RTC_STANDARD = 0, RTC_INGRESS = 1, RTC_EGRESS = 2, RTC_SIP = 3, RTC_AGENT = 4 };

/* Borrowed until the callback returns. */
struct rtc_participant {
    const char *sid;
    const char *identity;
    const char *name;
    enum rtc_kind kind;
    bool gone;             /* it left */
    int disconnect_reason; /* livekit.DisconnectReason when gone */
};

/* One received Opus packet of a subscribed audio track. */
struct rtc_packet {
    const char *identity; /* whose voice */
    const char *track_sid;
    const uint8_t *opus;
    size_t len;
    uint32_t timestamp; /* RTP, 48 kHz */
    uint16_t seq;
    int audio_level; /* -dBov 0..127 of the RTP header extension, or -1 when absent: livekit-server
                      * 1.13 forwards none to subscribers, so have another way to tell speech */
    bool voice;      /* the extension's voice bit */
    int64_t received_us;
};

enum rtc_left {
    RTC_LEFT_BY_US,
    RTC_LEFT_ROOM_GONE, /* deleted or closed */
    RTC_LEFT_REMOVED,
    RTC_LEFT_DUPLICATE,   /* another connection took our identity */
    RTC_LEFT_REFUSED,     /* token or permission */
    RTC_LEFT_UNREACHABLE, /* gave up reconnecting */
};

struct rtc_events {
    /* Joined (again, after a full reconnect): media is connected and our track is published. */
    void (*joined)(void *arg);
    void (*participant)(const struct rtc_participant *p, void *arg); /* came, changed, or gone */
    /* A participant attribute set or changed ("sip.callStatus", "active"); each present one is told
     * at joining. */
    void (*attribute)(const struct rtc_participant *p, const char *name, const char *value,
                      void *arg);
    /* Our voice track got its first subscriber (TrackSubscribed). Again after a full reconnect. */
    void (*subscribed)(void *arg);
    void (*packet)(const struct rtc_packet *p, void *arg); /* hot path: 50 per second and track */
    void (*dtmf)(const struct rtc_participant *from, char digit, void *arg);
    /* A complete text stream or chat message to us (topic "lk.chat" ...). */
    void (*text)(const char *identity, const char *topic, const char *text, size_t len, void *arg);
    void (*left)(enum rtc_left reason, void *arg);
};

struct rtc_join {
    const char *url; /* ws(s):// or http(s)://, base path kept */
    const char *token;
    const char *track_name; /* of our voice */
    int64_t timeout_ms;     /* until joined; passing it ends as RTC_LEFT_UNREACHABLE */
};

int rtc_room_join(struct rtc_room **out, struct rtc *r, const struct rtc_join *j,
                  const struct rtc_events *ev, void *arg) PAT_MUST_CHECK;
/* Leaves politely (LeaveRequest CLIENT_INITIATED); left(RTC_LEFT_BY_US) follows within 2 s. */
void rtc_room_leave(struct rtc_room *room);
/* Gone at once for us, no callback; the others are still told. NULL is fine. */
void rtc_room_abort(struct rtc_room *room);

/* Sends one Opus packet now. samples: its duration at 48 kHz (960 = 20 ms). marker: first packet
 * after silence. level: -dBov 0..127. Media must be connected, else PAT_EAGAIN and nothing happens.
 */
int rtc_room_send(struct rtc_room *room, const uint8_t *opus, size_t len, uint32_t samples,
                  bool marker, int level);
/* Nothing was sent for this long: the RTP timestamp moves on. */
void rtc_room_skip(struct rtc_room *room, uint32_t samples);
/* Nobody speaks to us: packets may reach us up to 20 ms late, which costs less; or no more. Media
 * that is connected anew is not calm. */
void rtc_room_calm(struct rtc_room *room, bool calm);
bool rtc_room_media_up(const struct rtc_room *room);

/* Text streams on the reliable channel (topic "lk.transcription"): header, chunks, trailer. sender:
 * identity to appear as, or NULL for ourselves. attributes: flat JSON object of strings, or NULL.
 * id: pat_id of the stream. PAT_EAGAIN: the channel is not open yet. */
int rtc_room_text_begin(struct rtc_room *room, const char *id, const char *topic,
                        const char *sender, const struct pat_json *attributes);
int rtc_room_text_chunk(struct rtc_room *room, const char *id, uint64_t index, const char *text,
                        size_t len);
int rtc_room_text_end(struct rtc_room *room, const char *id, const struct pat_json *attributes);
/* Merges into our own attributes ("lk.agent.state"). */
int rtc_room_set_attribute(struct rtc_room *room, const char *name, const char *value);
int rtc_room_send_dtmf(struct rtc_room *room, char digit);
const char *rtc_room_track_sid(const struct rtc_room *room); /* of our voice; "" before joined */
/* Of somebody in the room, as the server told it last; borrowed. NULL: nobody, or none. */
const char *rtc_room_attribute(const struct rtc_room *room, const char *identity, const char *name);
const char *rtc_room_identity(const struct rtc_room *room);

#endif
