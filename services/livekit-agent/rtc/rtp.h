/* rtp.h - RTP packets (RFC 3550) with the two header extensions we use, and a memory of what was
 * sent.
 *
 * Pure and allocation-free. Parsing borrows from the packet and never reads past len.
 */
#ifndef RTC_RTP_H
#define RTC_RTP_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

#define RTP_HEADER_MAX 40 /* of what we send */
#define RTP_MID_MAX    15

struct rtp_packet {
    uint8_t pt;
    bool marker;
    uint16_t seq;
    uint32_t timestamp;
    uint32_t ssrc;
    int level;                 /* -dBov 0..127, -1: no such extension */
    bool voice;                /* with level */
    char mid[RTP_MID_MAX + 1]; /* "" : no such extension */
    const uint8_t *payload;
    size_t len;
};

/* PAT_EPROTO: not an RTP packet. Ids of the extensions are those of our offer (sdp.h). */
int rtp_parse(struct rtp_packet *out, const uint8_t *data, size_t len) PAT_MUST_CHECK;
/* Writes the header (with level, and mid when it is not empty) and the payload. The length, or
 * PAT_E2BIG. */
int rtp_build(uint8_t *out, size_t cap, const struct rtp_packet *p) PAT_MUST_CHECK;

/* The last packets as they went out, to be sent again when the peer asks (RFC 4585 section 6.2.1).
 * 64 are 1.3 s: nobody plays what comes later. Packets over RTP_KEPT_LEN (an Opus rate no voice
 * uses) are not kept. */
#define RTP_KEPT     64
#define RTP_KEPT_LEN 320

struct rtp_history {
    struct {
        uint16_t seq;
        uint16_t len; /* 0: empty */
        uint8_t data[RTP_KEPT_LEN];
    } slots[RTP_KEPT];
};

void rtp_history_keep(struct rtp_history *h, uint16_t seq, const uint8_t *data, size_t len);
/* NULL: not here any more. */
const uint8_t *rtp_history_find(const struct rtp_history *h, uint16_t seq, size_t *len);

#endif
