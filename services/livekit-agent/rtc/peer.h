/* peer.h - one peer connection with LiveKit: ICE, then DTLS, then media and data on it.
 *
 * We always offer; the description travels by somebody else's signalling. Life: peer_new ->
 * peer_offer -> peer_gather, peer_answer, peer_candidate -> up -> channels -> ... -> down ->
 * peer_free. It never reconnects: down is the end, make another; only its path can be made anew
 * (peer_restart). Every function is fine inside its
 * callbacks. Thread: the loop's.
 */
#ifndef RTC_PEER_H
#define RTC_PEER_H

#include "rtc_priv.h"
#include "tracks.h"

struct ice_relay;
struct peer;

struct peer_events {
    void (*up)(void *arg);       /* media may flow both ways */
    void (*channels)(void *arg); /* both data channels are open */
    void (*packet)(const struct rtp_packet *p, struct track *t, int64_t received_us, void *arg);
    void (*data)(bool reliable, const uint8_t *data, size_t len, void *arg);
    /* Nothing comes through any more, or ICE says so; what is above it is whole. */
    void (*path_lost)(void *arg);
    void (*path_mended)(void *arg);   /* what peer_restart began has come to its good end */
    void (*down)(int err, void *arg); /* once */
};

struct peer_opts {
    const char *cid; /* of our voice track */
    bool loopback;   /* the server is on this machine */
    bool tcp;        /* also try ICE over TCP */
};

int peer_new(struct peer **out, struct rtc *r, const struct peer_opts *opts,
             const struct peer_events *ev, void *arg) PAT_MUST_CHECK;
/* ICE anew, under the same DTLS, SRTP and data channels (RFC 8445 section 9): the next offer has
 * new credentials. With sockets of its own, so that a changed address does not matter, and beside
 * the old flow until it works; TCP is tried too. Then peer_offer, peer_gather, peer_answer as at
 * first. PAT_EAGAIN: there is nothing to be mended yet. */
int peer_restart(struct peer *p) PAT_MUST_CHECK;
bool peer_restarting(const struct peer *p);
/* Nothing has come for a moment, or path_lost was told. */
bool peer_path_doubtful(const struct peer *p);
/* Adds the text of the next offer. */
int peer_offer(struct peer *p, struct pat_buf *out) PAT_MUST_CHECK;
int peer_gather(struct peer *p, const struct ice_relay *relays, size_t n,
                bool only_relays) PAT_MUST_CHECK;
/* PAT_EPROTO: unusable. PAT_ESTALE: another server's (new fingerprint, or credentials nobody
 * asked for). */
int peer_answer(struct peer *p, const char *sdp, size_t len) PAT_MUST_CHECK;
/* The JSON of a trickled candidate; what cannot be used is ignored. */
void peer_candidate(struct peer *p, const char *json);
struct tracks *peer_tracks(struct peer *p);

bool peer_is_up(const struct peer *p);
int peer_send(struct peer *p, const uint8_t *opus, size_t len, uint32_t samples, bool marker,
              int level);
void peer_skip(struct peer *p, uint32_t samples);
/* What comes may be late by 20 ms from now on, or no more. */
void peer_calm(struct peer *p, bool calm);
int peer_send_data(struct peer *p, bool reliable, const void *data, size_t len);
/* Stream id of a data channel; 0xffff before there are any. */
uint16_t peer_channel_id(const struct peer *p, bool reliable);
/* Without further callbacks. NULL is fine. */
void peer_free(struct peer *p);

#endif
