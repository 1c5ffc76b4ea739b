/* room_media.c - sound in and out of a room, and who it belongs to.
 * How: the last voice heard is remembered with the versions of both tables, so that a packet costs
 * two comparisons and no search. It does not reorder: the ears above have a jitter buffer. */
#include "room.h"

#include "peer.h"
#include "url.h"

#include <string.h>

static void on_up(void *arg)
{
    room_check_joined(arg);
}

static void on_channels(void *arg)
{
    (void)arg; /* text functions ask the channel itself */
}

static void on_data(bool reliable, const uint8_t *data, size_t len, void *arg)
{
    room_on_data(arg, reliable, data, len);
}

static void on_path_lost(void *arg)
{
    room_lost_path(arg);
}

static void on_path_mended(void *arg)
{
    room_mended_path(arg);
}

static void on_down(int err, void *arg)
{
    room_lost_media(arg, err);
}

static const char *speaker(struct rtc_room *r, const struct track *t)
{
    uint32_t generation = peer_tracks(r->peer)->generation;

    if (r->heard_track == t && r->heard_tracks_generation == generation &&
        r->heard_people_generation == r->people.generation)
        return r->heard_identity;
    const struct person *who = t->sid[0] ? people_by_track(&r->people, t->sid) : NULL;
    if (!who && t->owner[0])
        who = people_by_sid(&r->people, t->owner);
    r->heard_track = t;
    r->heard_tracks_generation = generation;
    r->heard_people_generation = r->people.generation;
    if (!who || !pat_strcpy(r->heard_identity, sizeof r->heard_identity, who->identity))
        r->heard_identity[0] = 0;
    return r->heard_identity;
}

static void on_packet(const struct rtp_packet *p, struct track *t, int64_t received_us, void *arg)
{
    struct rtc_room *r = arg;

    if (r->state != ROOM_JOINED && r->state != ROOM_RESUMING)
        return;
    const struct rtc_packet packet = { .identity = speaker(r, t),
                                       .track_sid = t->sid,
                                       .opus = p->payload,
                                       .len = p->len,
                                       .timestamp = p->timestamp,
                                       .seq = p->seq,
                                       .audio_level = p->level,
                                       .voice = p->voice,
                                       .received_us = received_us };
    r->ev.packet(&packet, r->arg);
}

int room_new_peer(struct rtc_room *r)
{
    static const struct peer_events events = { on_up,        on_channels,    on_packet, on_data,
                                               on_path_lost, on_path_mended, on_down };
    const struct peer_opts opts = { .cid = r->cid,
                                    .loopback = url_is_loopback(r->url),
                                    .tcp = r->try_tcp };

    return peer_new(&r->peer, r->rtc, &opts, &events, r);
}

int rtc_room_send(struct rtc_room *r, const uint8_t *opus, size_t len, uint32_t samples,
                  bool marker, int level)
{
    return r->peer ? peer_send(r->peer, opus, len, samples, marker, level) : PAT_EAGAIN;
}

void rtc_room_skip(struct rtc_room *r, uint32_t samples)
{
    if (r->peer)
        peer_skip(r->peer, samples);
}

void rtc_room_calm(struct rtc_room *r, bool calm)
{
    if (r->peer)
        peer_calm(r->peer, calm);
}

bool rtc_room_media_up(const struct rtc_room *r)
{
    return r->peer && peer_is_up(r->peer);
}
