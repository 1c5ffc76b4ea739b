/* media.c - sends and receives RTP and RTCP.
 * How: what was sent is kept sealed, so that an answer to a NACK is one copy. A gap in what comes
 * is asked for once, at once: later there would be no time left to play it. */
#include "media.h"

#include "loop.h"

#include <openssl/rand.h>
#include <stdlib.h>
#include <string.h>

static const char cname[] = "patchbay";

int media_init(struct media *m, const struct media_events *ev, void *arg)
{
    struct {
        uint32_t ssrc;
        uint32_t timestamp;
        uint16_t seq;
    } seed;

    memset(m, 0, sizeof *m);
    if (RAND_bytes((unsigned char *)&seed, sizeof seed) != 1)
        return PAT_EINTERNAL;
    m->sent = calloc(1, sizeof *m->sent);
    if (!m->sent)
        return PAT_ENOMEM;
    m->ev = *ev;
    m->arg = arg;
    m->ssrc = seed.ssrc | 1; /* never 0 */
    m->timestamp = seed.timestamp;
    m->seq = seed.seq & 0x7fff; /* SRTP's rollover guess wants the lower half at first */
    tracks_init(&m->tracks);
    return PAT_OK;
}

void media_fini(struct media *m)
{
    srtp_pair_free(m->srtp);
    free(m->sent);
    m->srtp = NULL;
    m->sent = NULL;
}

void media_connect_take(struct media *m, struct srtp_pair *srtp)
{
    srtp_pair_free(m->srtp);
    m->srtp = srtp;
}

int media_send(struct media *m, const uint8_t *opus, size_t len, uint32_t samples, bool marker,
               int level)
{
    uint8_t data[MEDIA_PACKET_MAX];
    struct rtp_packet p = { .pt = SDP_PT_OPUS,
                            .marker = marker,
                            .seq = m->seq,
                            .timestamp = m->timestamp,
                            .ssrc = m->ssrc,
                            .level = level,
                            .voice = level < 60,
                            .mid = "0",
                            .payload = opus,
                            .len = len };

    if (!m->srtp)
        return PAT_EAGAIN;
    int n = rtp_build(data, sizeof data - SRTP_TRAILER, &p);
    if (n < 0)
        return n;
    size_t sealed = (size_t)n;
    int err = srtp_pair_seal(m->srtp, data, &sealed);
    if (err)
        return err;
    rtp_history_keep(m->sent, m->seq, data, sealed);
    m->seq++;
    m->timestamp += samples;
    m->packets++;
    m->octets += (uint32_t)len;
    m->last_sent_us = pat_now_us();
    m->ev.send(data, sealed, m->arg);
    return PAT_OK;
}

void media_skip(struct media *m, uint32_t samples)
{
    m->timestamp += samples;
}

static void send_rtcp(struct media *m, uint8_t *data, int n)
{
    size_t len = (size_t)n;

    if (n > 0 && srtp_pair_seal_rtcp(m->srtp, data, &len) == PAT_OK)
        m->ev.send(data, len, m->arg);
}

static void ask_again(struct media *m, uint32_t ssrc, uint16_t first, size_t n)
{
    uint8_t data[64 + SRTP_TRAILER];

    m->lost += n;
    send_rtcp(m, data, rtcp_build_nack(data, sizeof data - SRTP_TRAILER, m->ssrc, ssrc, first, n));
}

static void on_nack(uint32_t ssrc, uint16_t seq, void *arg)
{
    struct media *m = arg;
    size_t len;
    const uint8_t *data = ssrc == m->ssrc ? rtp_history_find(m->sent, seq, &len) : NULL;

    if (!data)
        return;
    m->lost++;
    m->ev.send(data, len, m->arg);
}

static void on_sender_report(uint32_t ssrc, uint64_t ntp, void *arg)
{
    struct media *m = arg;

    for (size_t i = 0; i < m->tracks.n; i++)
        if (m->tracks.list[i].bound && m->tracks.list[i].ssrc == ssrc)
            rtcp_source_report(&m->tracks.list[i].source, ntp, pat_now_us());
}

static void input_rtcp(struct media *m, uint8_t *data, size_t len)
{
    static const struct rtcp_events events = { .sender_report = on_sender_report, .nack = on_nack };

    if (srtp_pair_open_rtcp(m->srtp, data, &len)) {
        m->refused++;
        return;
    }
    (void)rtcp_parse(data, len, &events, m);
}

static void input_rtp(struct media *m, uint8_t *data, size_t len, int64_t now_us)
{
    struct rtp_packet p;
    uint16_t first = 0;

    struct track *t = srtp_pair_open(m->srtp, data, &len) || rtp_parse(&p, data, len)
                          ? NULL
                          : tracks_route(&m->tracks, &p);
    if (!t) {
        m->refused++;
        return;
    }
    size_t missing = rtcp_source_packet(&t->source, p.seq, p.timestamp, now_us, &first);
    if (missing)
        ask_again(m, p.ssrc, first, missing);
    /* Padding alone carries no sound (RFC 3550 section 5.1): probes and keep-alives. */
    if (p.pt == SDP_PT_OPUS && p.len)
        m->ev.packet(&p, t, now_us, m->arg);
}

void media_input(struct media *m, uint8_t *data, size_t len, int64_t now_us)
{
    if (!m->srtp || len < 8)
        return;
    if (data[1] >= 192 && data[1] <= 223)
        input_rtcp(m, data, len);
    else
        input_rtp(m, data, len, now_us);
}

static size_t take_sources(struct media *m, struct track **from, struct rtcp_source *out)
{
    size_t n = 0;

    for (size_t i = 0; i < m->tracks.n && n < RTCP_REPORTS; i++) {
        struct track *t = &m->tracks.list[i];

        if (!t->source.started || t->source.received == t->source.received_prior)
            continue;
        from[n] = t;
        out[n++] = t->source;
    }
    return n;
}

void media_report(struct media *m, int64_t now_us, int64_t unix_us)
{
    uint8_t data[RTCP_MAX + SRTP_TRAILER];
    struct rtcp_source sources[RTCP_REPORTS];
    struct track *from[RTCP_REPORTS];

    if (!m->srtp)
        return;
    size_t n = take_sources(m, from, sources);
    const struct rtcp_sender me = {
        .ssrc = m->ssrc,
        .ntp = rtcp_ntp(unix_us),
        .timestamp = m->timestamp + (uint32_t)((now_us - m->last_sent_us) * 48 / 1000),
        .packets = m->packets,
        .octets = m->octets,
        .cname = cname,
    };
    int len = rtcp_build(data, RTCP_MAX, &me, sources, n, now_us);
    for (size_t i = 0; i < n; i++)
        from[i]->source = sources[i];
    send_rtcp(m, data, len);
}
