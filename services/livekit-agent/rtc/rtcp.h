/* rtcp.h - the RTCP packets of an audio call: reports both ways, loss reports, goodbye.
 *
 * Pure and allocation-free (RFC 3550 section 6, RFC 4585 section 6.2.1). Compound and reduced-size
 * packets are read.
 */
#ifndef RTC_RTCP_H
#define RTC_RTCP_H

#include "err.h"

#include <stddef.h>
#include <stdint.h>

/* What one received RTCP datagram holds, told in the order it stands there. */
struct rtcp_events {
    void (*sender_report)(uint32_t ssrc, uint64_t ntp, void *arg);
    /* One lost packet of ours that is wanted again. */
    void (*nack)(uint32_t ssrc, uint16_t seq, void *arg);
    /* How our stream arrives there. lost: fraction in 256ths; lsr, dlsr: for the round trip. */
    void (*report)(uint32_t ssrc, uint8_t lost, uint32_t lsr, uint32_t dlsr, void *arg);
};

/* PAT_EPROTO: broken somewhere; what stood before has been told. Any event may be NULL. */
int rtcp_parse(const uint8_t *data, size_t len, const struct rtcp_events *ev, void *arg);

struct rtcp_sender {
    uint32_t ssrc;
    uint64_t ntp; /* now */
    uint32_t timestamp;
    uint32_t packets;
    uint32_t octets;
    const char *cname;
};

/* Reception of one source (RFC 3550 appendix A.1, A.3, A.8), kept up by rtcp_source_packet. */
struct rtcp_source {
    uint32_t ssrc;
    bool started;
    uint16_t max_seq;
    uint32_t cycles;
    uint32_t base_seq;
    uint32_t received;
    uint32_t expected_prior;
    uint32_t received_prior;
    uint32_t transit;
    uint32_t jitter; /* scaled by 16 */
    uint32_t lsr;    /* middle bits of the last sender report's time */
    int64_t lsr_at_us;
};

void rtcp_source_packet(struct rtcp_source *s, uint16_t seq, uint32_t timestamp, int64_t now_us);
void rtcp_source_report(struct rtcp_source *s, uint64_t ntp, int64_t now_us);

#define RTCP_REPORTS 8
#define RTCP_MAX     (28 + 24 * RTCP_REPORTS + 8 + 2 + 64)
/* A compound packet: SR (or RR when nothing was sent), up to RTCP_REPORTS blocks, SDES. The length,
 * or PAT_E2BIG. */
int rtcp_build(uint8_t *out, size_t cap, const struct rtcp_sender *me, struct rtcp_source *sources,
               size_t n, int64_t now_us) PAT_MUST_CHECK;
/* Asks for n packets, ascending. The length, or PAT_E2BIG (also for none). */
int rtcp_build_nack(uint8_t *out, size_t cap, uint32_t me, uint32_t ssrc, const uint16_t *seqs,
                    size_t n) PAT_MUST_CHECK;

/* NTP's 32.32 format of a wall clock time in microseconds. */
uint64_t rtcp_ntp(int64_t unix_us);

#endif
