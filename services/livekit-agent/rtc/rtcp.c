/* rtcp.c - reads and writes RTCP.
 * How: a compound is walked packet by packet, each within its own length word; statistics follow
 * RFC 3550 appendix A. It sends nothing by itself: the caller has the timer. */
#include "rtcp.h"

#include "bytes.h"

#include <string.h>

enum { PT_SR = 200, PT_RR = 201, PT_SDES = 202, PT_RTPFB = 205 };
enum { FMT_NACK = 1 };

uint64_t rtcp_ntp(int64_t unix_us)
{
    uint64_t s = (uint64_t)(unix_us / 1000000) + 2208988800u; /* 1900 to 1970 */
    uint64_t us = (uint64_t)(unix_us % 1000000);

    return s << 32 | (us << 32) / 1000000;
}

static void read_blocks(const uint8_t *p, size_t len, unsigned count, const struct rtcp_events *ev,
                        void *arg)
{
    for (; count && len >= 24; count--, p += 24, len -= 24)
        if (ev->report)
            ev->report(get32(p), p[4], get32(p + 16), get32(p + 20), arg);
}

/* Pairs of packet id and a mask of the 16 that follow it. */
static void read_nack(const uint8_t *p, size_t len, const struct rtcp_events *ev, void *arg)
{
    uint32_t ssrc = get32(p + 4);

    for (size_t at = 8; at + 4 <= len; at += 4) {
        uint16_t first = get16(p + at), mask = get16(p + at + 2);

        ev->nack(ssrc, first, arg);
        for (int i = 0; i < 16; i++)
            if (mask >> i & 1)
                ev->nack(ssrc, (uint16_t)(first + 1 + i), arg);
    }
}

/* p: behind the four-byte header. */
static void read_packet(uint8_t pt, unsigned count, const uint8_t *p, size_t len,
                        const struct rtcp_events *ev, void *arg)
{
    if (pt == PT_SR && len >= 24) {
        if (ev->sender_report)
            ev->sender_report(get32(p), (uint64_t)get32(p + 4) << 32 | get32(p + 8), arg);
        read_blocks(p + 24, len - 24, count, ev, arg);
    } else if (pt == PT_RR && len >= 4) {
        read_blocks(p + 4, len - 4, count, ev, arg);
    } else if (pt == PT_RTPFB && count == FMT_NACK && len >= 8 && ev->nack) {
        read_nack(p, len, ev, arg);
    }
}

int rtcp_parse(const uint8_t *data, size_t len, const struct rtcp_events *ev, void *arg)
{
    while (len) {
        if (len < 4 || data[0] >> 6 != 2)
            return PAT_EPROTO;
        size_t n = 4 + 4u * (size_t)get16(data + 2);
        if (n > len)
            return PAT_EPROTO;
        read_packet(data[1], data[0] & 0x1f, data + 4, n - 4, ev, arg);
        data += n;
        len -= n;
    }
    return PAT_OK;
}

static void source_start(struct rtcp_source *s, uint16_t seq)
{
    s->started = true;
    s->base_seq = s->max_seq = seq;
    s->cycles = s->received = s->expected_prior = s->received_prior = 0;
    s->jitter = 0;
    s->transit = 0;
}

static void source_jitter(struct rtcp_source *s, uint32_t timestamp, int64_t now_us)
{
    uint32_t transit = (uint32_t)(now_us * 48 / 1000) - timestamp;
    int32_t d = (int32_t)(transit - s->transit);

    if (s->transit)
        s->jitter += (uint32_t)(d < 0 ? -d : d) - ((s->jitter + 8) >> 4);
    s->transit = transit;
}

void rtcp_source_packet(struct rtcp_source *s, uint16_t seq, uint32_t timestamp, int64_t now_us)
{
    if (!s->started)
        source_start(s, seq);
    uint16_t ahead = (uint16_t)(seq - s->max_seq);

    s->received++;
    if (ahead && ahead < 0x8000) {
        if (seq < s->max_seq)
            s->cycles += 0x10000;
        s->max_seq = seq;
        source_jitter(s, timestamp, now_us);
    }
}

void rtcp_source_report(struct rtcp_source *s, uint64_t ntp, int64_t now_us)
{
    s->lsr = (uint32_t)(ntp >> 16);
    s->lsr_at_us = now_us;
}

static void write_block(uint8_t *p, struct rtcp_source *s, int64_t now_us)
{
    uint32_t highest = s->cycles + s->max_seq;
    uint32_t expected = highest - s->base_seq + 1;
    uint32_t expected_now = expected - s->expected_prior;
    uint32_t received_now = s->received - s->received_prior;
    int32_t lost_now = (int32_t)(expected_now - received_now);
    int32_t lost = (int32_t)(expected - s->received);
    uint32_t fraction = expected_now && lost_now > 0 ? ((uint32_t)lost_now << 8) / expected_now : 0;

    s->expected_prior = expected;
    s->received_prior = s->received;
    lost = lost > 0x7fffff ? 0x7fffff : lost < -0x800000 ? -0x800000 : lost;
    put32(p, s->ssrc);
    put32(p + 4, (fraction > 255 ? 255 : fraction) << 24 | ((uint32_t)lost & 0xffffff));
    put32(p + 8, highest);
    put32(p + 12, s->jitter >> 4);
    put32(p + 16, s->lsr);
    put32(p + 20, s->lsr ? (uint32_t)((now_us - s->lsr_at_us) * 65536 / 1000000) : 0);
}

static void write_header(uint8_t *p, unsigned count, uint8_t pt, size_t len)
{
    p[0] = (uint8_t)(0x80 | count);
    p[1] = pt;
    put16(p + 2, (uint16_t)(len / 4 - 1));
}

static size_t write_sdes(uint8_t *p, const struct rtcp_sender *me)
{
    size_t cname = strnlen(me->cname, 60);
    size_t len = (8 + 2 + cname + 1 + 3) & ~(size_t)3;

    memset(p, 0, len);
    write_header(p, 1, PT_SDES, len);
    put32(p + 4, me->ssrc);
    p[8] = 1; /* CNAME */
    p[9] = (uint8_t)cname;
    memcpy(p + 10, me->cname, cname);
    return len;
}

int rtcp_build(uint8_t *out, size_t cap, const struct rtcp_sender *me, struct rtcp_source *sources,
               size_t n, int64_t now_us)
{
    size_t at = 8;

    if (cap < RTCP_MAX)
        return PAT_E2BIG;
    if (n > RTCP_REPORTS)
        n = RTCP_REPORTS;
    put32(out + 4, me->ssrc);
    if (me->packets) {
        put32(out + 8, (uint32_t)(me->ntp >> 32));
        put32(out + 12, (uint32_t)me->ntp);
        put32(out + 16, me->timestamp);
        put32(out + 20, me->packets);
        put32(out + 24, me->octets);
        at = 28;
    }
    for (size_t i = 0; i < n; i++, at += 24)
        write_block(out + at, &sources[i], now_us);
    write_header(out, (unsigned)n, me->packets ? PT_SR : PT_RR, at);
    return (int)(at + write_sdes(out + at, me));
}

int rtcp_build_nack(uint8_t *out, size_t cap, uint32_t me, uint32_t ssrc, const uint16_t *seqs,
                    size_t n)
{
    size_t at = 12;

    for (size_t i = 0; i < n; at += 4) {
        uint16_t first = seqs[i++], mask = 0;

        if (at + 4 > cap)
            return PAT_E2BIG;
        for (; i < n && (uint16_t)(seqs[i] - first - 1) < 16; i++)
            mask |= (uint16_t)(1u << (uint16_t)(seqs[i] - first - 1));
        put16(out + at, first);
        put16(out + at + 2, mask);
    }
    if (at == 12)
        return PAT_E2BIG;
    write_header(out, FMT_NACK, PT_RTPFB, at);
    put32(out + 4, me);
    put32(out + 8, ssrc);
    return (int)at;
}
