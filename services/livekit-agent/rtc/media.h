/* media.h - the sound of one peer connection: our packets out, everybody's in, RTCP for both.
 *
 * Against loss, each of our packets carries its predecessor along where the peer takes RED, two of
 * them while it reports much of it; else what was sent is kept for being asked for. What is
 * lost on the way to us is taken from RED, or asked for (gaps.h): it then comes late, out of order.
 * Allocation-free after media_codec. Owns the SRTP keys. It sends through a callback and has no
 * clock of its own: media_report is called every MEDIA_REPORT_MS. Thread: the loop's.
 */
#ifndef RTC_MEDIA_H
#define RTC_MEDIA_H

#include "red.h"
#include "rtp.h"
#include "srtp.h"
#include "tracks.h"

#define MEDIA_REPORT_MS  2000
#define MEDIA_PACKET_MAX 1500

struct media_events {
    void (*send)(const uint8_t *data, size_t len, void *arg);
    void (*packet)(const struct rtp_packet *p, struct track *t, int64_t received_us, void *arg);
};

struct media {
    struct media_events ev;
    void *arg;
    struct srtp_pair *srtp; /* NULL: not connected */
    struct tracks tracks;
    struct rtp_history *sent; /* NULL: in RED nobody asks */
    struct red_past past;
    bool red;
    int64_t lossy_until_us; /* the peer has reported much loss */
    uint32_t ssrc;
    uint16_t seq;
    uint32_t timestamp; /* of the next packet */
    int64_t last_sent_us;
    uint32_t packets;
    uint32_t octets;
    uint64_t lost;    /* packets asked for again, both ways */
    uint64_t mended;  /* lost ones that came in RED or late, to us */
    uint64_t refused; /* packets that did not decrypt or belong to nobody */
};

int media_init(struct media *m, const struct media_events *ev, void *arg) PAT_MUST_CHECK;
void media_fini(struct media *m);
/* What the peer agreed to: Opus in RED, or bare. Before the first packet; again, it changes
 * nothing. */
int media_codec(struct media *m, bool red) PAT_MUST_CHECK;
/* Keys are there: packets may flow. Takes srtp over. */
void media_connect_take(struct media *m, struct srtp_pair *srtp);
int media_send(struct media *m, const uint8_t *opus, size_t len, uint32_t samples, bool marker,
               int level);
void media_skip(struct media *m, uint32_t samples);
/* An SRTP or SRTCP packet, decrypted in place. */
void media_input(struct media *m, uint8_t *data, size_t len, int64_t now_us);
void media_report(struct media *m, int64_t now_us, int64_t unix_us);

#endif
